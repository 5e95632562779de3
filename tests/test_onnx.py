"""A file of ONNX gives what `predict` gives, for any number of rows, in onnxruntime."""

import functools

import numpy as np
import onnx
import onnxruntime
import pytest
from cases import CASES

import lamina as keras
from lamina import activations, layers
from lamina._onnx import export, writers
from lamina.errors import ArgumentError, StackError

WITHOUT = {"ContrastLimitedAdaptiveHistogramEqualization"}
"""The layers of the cases that no writer knows yet."""
NO_ZERO = {"Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "RNN", "SimpleRNN"}
"""The layers that onnxruntime does not compute for no rows; some versions end the process."""


def session(model, **settings):
    made = export.graph_of(model, **settings)
    onnx.checker.check_model(made, full_check=True)
    return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])


def same(model, x, run=None):
    run = run or session(model)
    got = run.run(None, {run.get_inputs()[0].name: x})
    wanted = model.predict(x, verbose=0)
    for a, b in zip(wanted if isinstance(wanted, tuple) else (wanted,), got, strict=True):
        assert a.shape == b.shape and b.dtype == a.dtype
        assert np.abs(a - b).max(initial=0) <= 1e-5 * max(1, np.abs(a).max(initial=0))


def drawn(model, seed=0):
    """The model with random weights, moving averages and biases included."""
    draw = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype == "float32":
            value = (
                draw.uniform(0.2, 1.2, weight.shape) if "variance" in weight.path else draw.normal(size=weight.shape)
            )
            weight.assign(value * (1 if "variance" in weight.path else 0.5))
    return model


def of_cases(names=None):
    return [case for case in CASES if case.name not in WITHOUT and (names is None or case.name in names)]


def check_case(case):
    model = drawn(keras.Sequential([layers.Input(case.shape), case.make(layers)]))
    run, draw = session(model), np.random.default_rng(1)
    for rows in (1, 3, 7, *([] if case.name in NO_ZERO else [0])):
        x = draw.normal(size=(rows, *case.shape)).astype("float32")
        if "int" in run.get_inputs()[0].type:
            x = draw.integers(0, 3, x.shape).astype("int32")
        same(model, x, run)


FEW = {case.name: case for case in of_cases()}


@pytest.mark.parametrize("case", FEW.values(), ids=str)
def test_each_layer_gives_in_onnxruntime_what_predict_gives(case):
    check_case(case)


@pytest.mark.nightly
@pytest.mark.parametrize("case", [case for case in of_cases() if FEW[case.name] is not case], ids=str)
def test_each_setting_of_each_layer_gives_in_onnxruntime_what_predict_gives(case):
    check_case(case)


def test_the_layers_without_a_writer_are_those_that_are_listed():
    for case in CASES:
        known = type(case.make(layers)) in writers.of_layers
        assert known != (case.name in WITHOUT), case.name


ACTIVATIONS = [name for name in activations.__all__ if name not in ("deserialize", "get", "serialize", "threshold")]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_gives_in_onnxruntime_what_it_gives_here(name):
    model = keras.Sequential([layers.Input((6,)), layers.Activation(name)])
    same(model, np.random.default_rng(0).normal(size=(5, 6)).astype("float32") * 3)


def test_arguments_of_activations_are_followed():
    draw = np.random.default_rng(0)
    for function in (
        functools.partial(activations.threshold, threshold=0.3, default_value=-2.0),
        functools.partial(activations.softmax, axis=(1, 2)),
        functools.partial(activations.relu, negative_slope=0.1, max_value=0.7, threshold=0.2),
        functools.partial(activations.gelu, approximate=True),
    ):
        model = keras.Sequential([layers.Input((3, 4)), layers.Activation(function)])
        same(model, draw.normal(size=(2, 3, 4)).astype("float32"))


RECURRENT = {
    "LSTM": lambda: layers.LSTM(3),
    "GRU with the reset before": lambda: layers.GRU(3, reset_after=False, return_sequences=True),
    "zeros for masked steps": lambda: layers.GRU(3, return_sequences=True, zero_output_for_mask=True),
    "backwards": lambda: layers.SimpleRNN(3, go_backwards=True, return_sequences=True),
    "both directions": lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="ave"),
    "two cells": lambda: layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], return_sequences=True),
    "another activation": lambda: layers.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid"),
}
MASKED = {
    "right": [[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]],
    "left": [[0, 0, 1, 2, 3], [0, 0, 0, 0, 8]],
    "holes": [[1, 0, 2, 0, 3], [0, 4, 0, 0, 5]],
    "all": [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1]],
    "longer": [[0, 1, 2, 0, 3, 4, 5, 0], [1] * 8],
}


@pytest.mark.parametrize("layer", RECURRENT)
def test_masks_of_every_kind_are_exact(layer):
    stack = [layers.Input((None,)), layers.Embedding(9, 4, mask_zero=True), RECURRENT[layer](), layers.Dense(2)]
    model = drawn(keras.Sequential(stack))
    run = session(model)
    for words in MASKED.values():
        same(model, np.array(words, "int32"), run)


def test_a_mask_reaches_the_mean_over_steps_and_a_softmax():
    for last in (layers.GlobalAveragePooling1D(), layers.Masking(0.5)):
        model = keras.Sequential([layers.Input((None, 2)), layers.Masking(), last])
        x = np.array([[[0, 0], [1, 2], [0, 3.0]], [[0, 0], [0, 0], [0.5, 0.5]]], "float32")
        same(model, x)


def convnet():
    return keras.Sequential([
        layers.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dropout(0.5), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def test_the_files_of_two_stacks_are_small_and_the_same_bytes_twice(tmp_path):
    census = [layers.Input((63,)), layers.BatchNormalization(), layers.Dense(256, "relu"), layers.Dropout(0.3)]
    for model in (convnet(), keras.Sequential([*census, layers.Dense(1, "sigmoid")])):
        drawn(model)
        model.export(tmp_path / "one.onnx", format="onnx", verbose=False)
        model.export(tmp_path / "two.onnx", format="onnx", verbose=False)
        data = (tmp_path / "one.onnx").read_bytes()
        assert data == (tmp_path / "two.onnx").read_bytes()
        assert len(onnx.load(tmp_path / "one.onnx").graph.node) <= 12
        assert len(data) < 4 * model.count_params() + 10_000
        assert onnx.load(tmp_path / "one.onnx").ir_version == 8


def test_free_axes_stay_free():
    stack = [layers.Input((None, None, 3)), layers.Conv2D(4, 3, strides=2, padding="same"), layers.GlobalMaxPooling2D()]
    model = drawn(keras.Sequential(stack))
    run = session(model)
    for size in ((9, 7), (4, 11)):
        same(model, np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32"), run)
    assert run.get_inputs()[0].shape == ["batch", "n1", "n2", 3]


def test_stacks_in_stacks_many_outputs_and_newer_operators_work():
    inner = keras.Sequential([layers.Dense(4, "gelu"), layers.LayerNormalization()])
    model = drawn(keras.Sequential([layers.Input((5, 3)), inner, layers.LSTM(2, return_state=True)]))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    same(model, x)
    same(model, x, session(model, opset=20))


def test_mixed_policies_leave_in_float32():
    model = drawn(
        keras.Sequential([layers.Input((3,)), layers.Dense(4, "relu", dtype="mixed_float16"), layers.Dense(1)])
    )
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    run = session(model)
    y = run.run(None, {run.get_inputs()[0].name: x})[0]
    assert y.dtype == np.float32 and np.allclose(y, model.predict(x, verbose=0), rtol=1e-2, atol=1e-2)


class Scale(layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[-1:], "ones")
        self.inner = layers.Dense(2)
        self.inner.build(input_shape)

    def call(self, x):
        return self.inner(x * self.factor)


def test_a_layer_of_ones_own_is_written_once_its_writer_is_known(tmp_path):
    model = drawn(keras.Sequential([layers.Input((3,)), Scale(name="scale"), layers.Dense(1)]))
    with pytest.raises(StackError, match=r"'scale' \(Scale\).*(?s:.)*register_onnx\(Scale\)"):
        model.export(tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())

    @keras.saving.register_onnx(Scale)
    def write(graph, x, layer):
        return graph.layer(layer.inner, graph.node("Mul", x, graph.constant(layer.factor)))

    try:
        same(model, np.random.default_rng(0).normal(size=(4, 3)).astype("float32"))
    finally:
        del writers.of_layers[Scale]


def test_an_activation_of_ones_own_names_itself():
    def doubled(x):
        return 2 * x

    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, doubled, name="last")])
    with pytest.raises(StackError, match="'last' applies the function doubled"):
        export.graph_of(model)
    keras.saving.register_onnx(doubled)(lambda graph, x: graph.node("Mul", x, np.float32(2)))
    same(drawn(model), np.ones((2, 3), "float32"))


def test_what_cannot_be_written_is_refused_with_the_reason(tmp_path):
    stateful = keras.Sequential([layers.Input(batch_shape=(2, 3, 1)), layers.LSTM(2, stateful=True)])
    with pytest.raises(StackError, match="stateful"):
        export.graph_of(stateful)
    with pytest.raises(ArgumentError, match="opset_version=3"):
        convnet().export(tmp_path / "m.onnx", format="onnx", opset_version=3)
    for name, tool in (("tf_saved_model", "onnx2tf"), ("openvino", "convert_model"), ("litert", "onnx2tf")):
        with pytest.raises(ArgumentError, match=tool):
            convnet().export(tmp_path / "m", format=name)
    words = layers.TextVectorization(vocabulary=["a"], split="character")
    model = keras.Sequential([words, layers.Embedding(4, 2)])
    model(np.array(["a"]))
    with pytest.raises(StackError, match="split='character'"):
        model.export(tmp_path / "m.onnx", format="onnx")
    assert not list(tmp_path.iterdir())


def test_names_of_columns_and_classes_stand_in_the_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2, 3, 4], "b": [2.0, 1, 4, 3]})
    model = keras.Sequential([layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(frame, ["no", "yes", "no", "yes"], verbose=0)
    made = export.graph_of(model)
    told = {each.key: each.value for each in made.metadata_props}
    assert told == {"columns": '["a", "b"]', "classes": '["no", "yes"]'} and made.producer_name == "lamina"


def fed(run, table):
    """The columns of a dict as the inputs of a graph: NaN and "" are gaps."""
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(string)": object}
    return {one.name: np.array(table[one.name], kinds[one.type])[:, None] for one in run.get_inputs()}


def test_a_feature_space_has_one_named_input_for_each_column():
    """Gaps, categories that training had not, and numbers beyond those of training included."""
    draw = np.random.default_rng(0)
    table = {
        "age": np.where(draw.random(200) < 0.1, np.nan, draw.normal(40, 10, 200)),
        "bins": draw.normal(size=200), "pieces": draw.normal(size=200), "waves": draw.normal(size=200),
        "city": draw.choice(["Rome", "Oslo", "Bern", ""], 200).tolist(), "rooms": draw.integers(1, 6, 200),
    }  # fmt: skip
    table["city"] = [city or None for city in table["city"]]
    kinds = {
        "age": "float_normalized", "bins": "float_discretized", "city": "string_categorical",
        "pieces": keras.utils.FeatureSpace.float_piecewise(8, units=3), "rooms": "integer_categorical",
        "waves": "float_periodic",
    }  # fmt: skip
    model = keras.Sequential([keras.utils.FeatureSpace(kinds), layers.Dense(4, "relu"), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(table, draw.normal(size=200), verbose=0)
    run = session(model)
    assert [one.name for one in run.get_inputs()] == sorted(kinds)
    new = {
        "age": [np.nan, 20.0, 90.0], "bins": [-9.0, 0.1, 9.0], "pieces": [-9.0, 0.1, 9.0], "waves": [-9.0, 0.1, 9.0],
        "city": ["Paris", "Rome", ""], "rooms": [99, 1, 5],
    }  # fmt: skip
    got = run.run(None, fed(run, new))[0]
    new["city"][2] = None
    np.testing.assert_allclose(got, model.predict(new, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_lookups_begin_a_stack(mode):
    lookup = layers.StringLookup(vocabulary=["a", "b"], output_mode=mode)
    rest = [layers.Embedding(3, 2), layers.Flatten()] if mode == "int" else []
    model = keras.Sequential([lookup, *rest, layers.Dense(2)])
    words = np.array([["a"], ["b"], ["c"]], object)
    wanted = model.predict(words, verbose=0)
    run = session(model)
    np.testing.assert_allclose(run.run(None, {run.get_inputs()[0].name: words})[0], wanted, rtol=1e-5, atol=1e-6)


def test_columns_that_onnx_cannot_encode_are_named():
    for kind, values, said in (
        ("date", ["2024-01-01", "2024-02-01"], "has no dates"),
        ("string_hashed", ["a", "b"], "hash"),
    ):
        model = keras.Sequential([keras.utils.FeatureSpace({"x": kind}), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit({"x": values}, [0.0, 1.0], verbose=0)
        with pytest.raises(StackError, match=said):
            export.graph_of(model)
