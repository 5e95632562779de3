"""Stacks and shapes drawn by chance: lamina-onednn computes the same as XLA's operations, values and gradients.

`LAMINA_SOAK=0.1 pytest -m nightly tests/test_random_stacks.py` tries a tenth of the 300.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina import Sequential, layers
from lamina.errors import ShapeError

pytestmark = pytest.mark.nightly
STACKS = max(int(300 * float(os.environ.get("LAMINA_SOAK", "1"))), 10)


def images(rng):
    size, channels = int(rng.integers(7, 34)), int(rng.choice([1, 2, 3, 4, 8, 16, 17, 32]))
    found = [layers.Input((size, size + int(rng.integers(0, 3)), channels))]
    for _ in range(rng.integers(1, 4)):
        settings = {
            "padding": str(rng.choice(["same", "valid"])),
            "activation": str(rng.choice(["relu", "linear", "tanh"])),
            "use_bias": bool(rng.random() < 0.8),
        }
        settings["strides" if rng.random() < 0.5 else "dilation_rate"] = int(rng.choice([1, 1, 2]))
        kind = str(rng.choice(["plain", "plain", "plain", "depthwise", "separable", "transposed"]))
        width, filters = int(rng.choice([1, 2, 3, 3, 5])), int(rng.choice([1, 3, 8, 16, 24, 32]))
        if kind == "depthwise":
            settings["dilation_rate"] = 1
            found.append(layers.DepthwiseConv2D(width, **settings))
        elif kind == "separable":
            settings["dilation_rate"] = 1
            found.append(layers.SeparableConv2D(filters, width, **settings))
        elif kind == "transposed":
            settings.pop("dilation_rate", None)
            found.append(layers.Conv2DTranspose(filters, width, **settings))
        else:
            found.append(layers.Conv2D(filters, width, **settings))
        if rng.random() < 0.5:
            found.append(layers.BatchNormalization())
        if rng.random() < 0.4:
            found.append(layers.ReLU())
        if rng.random() < 0.5:
            kind = layers.MaxPooling2D if rng.random() < 0.7 else layers.AveragePooling2D
            found.append(kind(int(rng.choice([2, 2, 3])), padding="same"))
    found.append(layers.Flatten() if rng.random() < 0.5 else layers.GlobalAveragePooling2D())
    return [*found, layers.Dense(int(rng.integers(1, 12)))]


def sequences(rng):
    features = int(rng.choice([1, 3, 8, 20, 64]))
    found = [layers.Input((int(rng.integers(4, 40)), features))]
    if rng.random() < 0.3:
        found.append(layers.Masking())
    if rng.random() < 0.4 and len(found) == 1:
        found.append(layers.Conv1D(int(rng.choice([4, 16, 40])), 3, padding="causal", activation="relu"))
    count = int(rng.integers(1, 3))
    for number in range(count):
        kind = [layers.LSTM, layers.GRU, layers.SimpleRNN][rng.choice(3, p=[0.45, 0.45, 0.1])]
        last = number == count - 1
        net = kind(
            int(rng.choice([1, 5, 16, 33, 64, 128])), return_sequences=not last, go_backwards=bool(rng.random() < 0.3)
        )
        found.append(layers.Bidirectional(net) if rng.random() < 0.3 else net)
    return [*found, layers.Dense(int(rng.integers(1, 12)))]


def tables(rng):
    found = [layers.Input((int(rng.choice([1, 7, 64, 300, 784])),))]
    for _ in range(rng.integers(1, 4)):
        found.append(layers.Dense(int(rng.choice([1, 10, 64, 512])), activation=str(rng.choice(["relu", "tanh"]))))
        if rng.random() < 0.4:
            found.append(layers.BatchNormalization())
    return [*found, layers.Dense(int(rng.integers(1, 12)))]


def made(number):
    """A stack, and the number of rows that it is given."""
    rng = np.random.default_rng(number)
    kind = [images, sequences, tables][rng.choice(3, p=[0.5, 0.35, 0.15])]
    while True:
        try:
            return Sequential(kind(rng)), int(rng.choice([1, 2, 5, 32, 33, 128])), rng
        except ShapeError:  # after a few layers the images may be smaller than the next one's window: another stack
            continue


def computed(model, x, slopes):
    """The output, and the gradients of the weights and of x."""
    trained, kept = (
        [weight.value for weight in each] for each in (model.trainable_variables, model.non_trainable_variables)
    )

    def objective(trained, x):
        y, after = model.stateless_call(trained, kept, x, training=True)
        return jnp.sum(jnp.sin(y) * slopes), (y, after)

    gradients, (y, after) = jax.jit(jax.grad(objective, (0, 1), has_aux=True))(trained, x)
    return [np.asarray(each, np.float64) for each in (y, *after, *jax.tree.leaves(gradients))]


@pytest.mark.parametrize("number", range(STACKS))
def test_a_random_stack_gives_the_same_with_either_kernels(number, monkeypatch):
    pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    model, count, rng = made(number)
    x = jnp.asarray(rng.normal(size=(count, *model.input_shape[1:])), jnp.float32)
    slopes = jnp.asarray(rng.normal(size=(count, model.output_shape[-1])), jnp.float32)
    found = {}
    for kernels in ("xla", "onednn"):
        monkeypatch.setenv("LAMINA_KERNELS", kernels)
        found[kernels] = computed(model, x, slopes)
    whole = sum(np.linalg.norm(each) for each in found["xla"]) / len(found["xla"])
    for expected, given in zip(found["xla"], found["onednn"], strict=True):
        assert np.isfinite(given).all()
        # One element at the edge of relu or of a window's largest may fall on the other side, so norms are compared:
        # where it was seen, that was 2.4e-4 of a small gradient. A gradient that is 0 but for rounding, as that of a
        # bias before a normalization, is compared with the size of all of them.
        error = np.linalg.norm(given - expected)
        assert error <= 1e-3 * np.linalg.norm(expected) + 1e-5 * whole, (error, np.linalg.norm(expected), model)
