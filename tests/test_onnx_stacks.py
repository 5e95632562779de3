"""Forty stacks of layers drawn by chance from the table of cases, with random weights, in onnxruntime: nightly."""

import numpy as np
import pytest
from test_onnx import NO_ZERO, drawn, of_cases, same, session

import lamina as keras
from lamina import layers
from lamina._onnx import export
from lamina.errors import LaminaError

pytestmark = [pytest.mark.nightly, pytest.mark.filterwarnings("ignore:.*supports no masks")]

BEGINS = {
    "tables": lambda: [layers.Input((7,)), layers.Dense(6, "relu")],
    "sequences": lambda: [layers.Input((9, 4)), layers.Conv1D(4, 3, padding="causal")],
    "masked": lambda: [layers.Input((None, 4)), layers.Masking()],
    "words": lambda: [layers.Input((None,), dtype="int32"), layers.Embedding(12, 6, mask_zero=True)],
    "images": lambda: [layers.Input((10, 9, 3)), layers.Conv2D(4, 3, padding="same")],
    "images of any size": lambda: [layers.Input((None, None, 3)), layers.Conv2D(4, 3)],
    "channels first": lambda: [layers.Input((3, 8, 9)), layers.Conv2D(4, 3, data_format="channels_first")],
    "volumes": lambda: [layers.Input((5, 6, 7, 2)), layers.Conv3D(2, 2)],
}
JUMPS = {"CategoryEncoding", "Discretization", "Embedding", "Equalization", "Solarization"}
"""The layers that take whole numbers, or whose output jumps where rounding differs."""
KINDS = [case for case in of_cases() if case.name not in JUMPS]


def made(number):
    """A stack of four to seven layers, each of which takes what the one before gives and can be exported after it."""
    rng = np.random.default_rng(number)
    kind = list(BEGINS)[number % len(BEGINS)]
    model = keras.Sequential(BEGINS[kind]())
    size = int(rng.integers(4, 8))
    names = sorted({case.name for case in KINDS})
    while len(model.layers) < size:
        name = rng.choice(names)
        case = rng.choice([at for at, case in enumerate(KINDS) if case.name == name])
        if name == "Reshape" and None in model.input_shape[1:]:  # the sizes that are drawn later may not fit
            continue
        count = len(model.layers)
        try:
            model.add(KINDS[case].make(layers))
            whole = isinstance(model.output_shape, tuple) and 0 not in model.output_shape
            export.graph_of(model)
        except LaminaError:
            whole = False
        if not whole or len(model.output_shape) < 2:
            while len(model.layers) > count:
                model.pop()
    return kind, model, rng


def data(kind, model, rows, rng):
    """Rows for a stack; steps without a value are anywhere, and may be all that a row has."""
    shape = [int(rng.integers(24, 36)) if size is None else size for size in model.input_shape[1:]]
    if kind == "words":
        return rng.integers(0, 12, (rows, *shape)).astype("int32") * (rng.random((rows, *shape)) < 0.7)
    x = rng.normal(size=(rows, *shape)).astype("float32")
    if kind == "masked":
        x[rng.random((rows, shape[0])) < 0.4] = 0
    return x


@pytest.mark.parametrize("number", range(40))
def test_a_stack_drawn_by_chance_gives_in_onnxruntime_what_predict_gives(number):
    kind, model, rng = made(number)
    drawn(model, number)
    run = session(model)
    print(kind, [layer.name for layer in model.layers])
    for rows in (1, 3, 7):
        x = data(kind, model, rows, rng)
        assert np.isfinite(model.predict(x, verbose=0)).all()
        same(model, x, run)
    if not NO_ZERO & {type(layer).__name__ for layer in model.layers}:
        assert run.run(None, {run.get_inputs()[0].name: x[:0]})[0].shape[0] == 0
