"""Which layers have a writer for ONNX, cells of one's own, weights of 16 bits, and terms that vectors leave out."""

import inspect

import numpy as np
import pytest
from test_onnx import drawn, same, session

import lamina as keras
from lamina import layers
from lamina._onnx import writers
from lamina.errors import StackError

WITHIN = {"AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"}
"""What stands only within a layer of one's own, whose writer says what it does."""
WITHOUT = {
    "ContrastLimitedAdaptiveHistogramEqualization", "HashedCrossing", "Hashing", "Lambda", "MaxNumBoundingBoxes",
}  # fmt: skip


def test_every_layer_has_a_writer_or_stands_in_a_list():
    chains = {"Pipeline", "StackedRNNCells"}  # their parts are written one after the other
    bases = {"Layer", "Wrapper"}
    found = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))} - bases - chains - {"InputSpec"}
    missing = {name for name in found if getattr(layers, name) not in writers.of_layers}
    assert missing == WITHIN | WITHOUT


def test_a_pipeline_is_written_layer_by_layer():
    pipeline = layers.Pipeline([layers.Rescaling(0.5), layers.RandomFlip(), layers.CenterCrop(3, 2)])
    model = drawn(keras.Sequential([layers.Input((5, 6, 2)), pipeline, layers.Conv2D(2, 2)]))
    same(model, np.random.default_rng(0).normal(size=(3, 5, 6, 2)).astype("float32"))


class Merged(layers.Layer):
    """Merges a Dense layer's output with its input."""

    def __init__(self, merge, **kwargs):
        super().__init__(**kwargs)
        self.merge, self.inner = merge, layers.Dense(4)

    def call(self, x):
        return self.merge([x, self.inner(x)])


@pytest.fixture
def merged():
    @keras.saving.register_onnx(Merged)
    def write(graph, x, layer):
        return graph.layer(layer.merge, [x, graph.layer(layer.inner, x)])

    yield Merged
    del writers.of_layers[Merged]


MERGES = [layers.Average(), layers.Concatenate(axis=1), layers.Dot(axes=2, normalize=True)]
MORE = [
    layers.Add(), layers.Concatenate(), layers.Maximum(), layers.Minimum(), layers.Multiply(), layers.Subtract(),
    layers.Dot(axes=-1), layers.Dot(axes=(1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    "merge", [*MERGES, *(pytest.param(merge, marks=pytest.mark.nightly) for merge in MORE)], ids=str
)
def test_a_layer_of_ones_own_merges_tensors(merge, merged):
    model = drawn(keras.Sequential([layers.Input((3, 4)), merged(merge), layers.Dense(2)]))
    run, draw = session(model), np.random.default_rng(0)
    for rows in (1, 3, *([] if isinstance(merge, layers.Dot) else [0])):  # onnxruntime's product ends the process
        same(model, draw.normal(size=(rows, 3, 4)).astype("float32"), run)


def test_merged_tensors_may_have_fewer_axes_and_masks():
    class Sums(layers.Layer):
        """Adds the mean of a row to its steps, then reads them backwards."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.mean, self.add, self.net = layers.GlobalAveragePooling1D(), layers.Add(), layers.LSTM(3)

        def call(self, x):
            return self.net(self.add([x, self.mean(x)]))

    @keras.saving.register_onnx(Sums)
    def write(graph, x, layer):
        return graph.layer(layer.net, graph.layer(layer.add, [x, graph.layer(layer.mean, x)]))

    model = drawn(keras.Sequential([layers.Input((5, 4)), Sums(), layers.Dense(2)]))
    same(model, np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32"))
    del writers.of_layers[Sums]


def test_the_cosine_of_two_vectors_has_one_axis_more(merged):
    model = drawn(keras.Sequential([layers.Input((4,)), merged(layers.Dot(axes=1, normalize=True)), layers.Dense(2)]))
    same(model, np.random.default_rng(0).normal(size=(3, 4)).astype("float32"))


class Decay(layers.Layer):
    """A cell that keeps a share of its state."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units))

    def call(self, x, states, training=False):
        h = 0.5 * states[0] + x @ self.kernel
        return h, [h]


@pytest.mark.parametrize("masked", [False, True])
def test_a_cell_of_ones_own_is_written_once_its_writer_is_known(masked):
    front = [layers.Input((None, 3)), *([layers.Masking()] if masked else [])]
    model = drawn(keras.Sequential([*front, layers.RNN(Decay(4), return_sequences=True), layers.Dense(2)]))

    @keras.saving.register_onnx(Decay)
    def write(graph, x, cell, states):
        kept = graph.node("Mul", states[0], graph.constant(0.5))
        return [graph.node("Add", kept, graph.node("MatMul", x, graph.constant(cell.kernel)))]

    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    x[0, 2:4] = 0
    try:
        same(model, x)
    finally:
        del writers.of_layers[Decay]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_16_bits_leave_in_float32(dtype):
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, "relu", dtype=dtype), layers.Dense(1, dtype=dtype)])
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    run = session(model)
    got = run.run(None, {run.get_inputs()[0].name: x})[0]
    assert got.dtype == np.float32
    assert np.allclose(got, np.asarray(model.predict(x, verbose=0), "float32"), rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("mode", ["multi_hot", "count", "one_hot"])
def test_a_mask_token_is_left_out_of_vectors(mode):
    lookup = layers.StringLookup(vocabulary=["a", "b"], mask_token="", output_mode=mode)
    model = keras.Sequential([lookup, layers.Dense(2)])
    words = np.array([["a"], [""], ["c"]], object)
    wanted = model.predict(words, verbose=0)
    run = session(model)
    np.testing.assert_allclose(run.run(None, {run.get_inputs()[0].name: words})[0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["nearest", "bilinear"])
def test_images_of_any_size_are_resized(how):
    model = keras.Sequential([layers.Input((None, None, 2)), layers.Resizing(4, 7, how)])
    run = session(model)
    for size in ((5, 6), (9, 3)):
        same(model, np.random.default_rng(0).normal(size=(2, *size, 2)).astype("float32"), run)


def test_whole_numbers_of_images_stay_whole():
    model = keras.Sequential([layers.Input((5, 6, 1), dtype="uint8"), layers.Resizing(3, 4)])
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 1)).astype("uint8")
    run = session(model)
    np.testing.assert_array_equal(run.run(None, {run.get_inputs()[0].name: x})[0], model.predict(x, verbose=0))


@pytest.mark.parametrize("settings", [{"interpolation": "bicubic"}, {"crop_to_aspect_ratio": True}])
def test_what_needs_fixed_sizes_of_images_says_so(settings):
    model = keras.Sequential([layers.Input((None, None, 2)), layers.Resizing(4, 7, **settings)])
    with pytest.raises(StackError, match="needs fixed sizes"):
        session(model)


def test_a_mixed_policy_is_said_in_one_line(tmp_path):
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, dtype="mixed_bfloat16", name="wide")])
    with pytest.warns(UserWarning, match="'wide' computes in bfloat16 here, and the file in float32"):
        model.export(tmp_path / "m.onnx", format="onnx")


def test_a_failed_export_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.onnx"
    keras.Sequential([layers.Input((3,)), layers.Dense(2)]).export(path, format="onnx")
    before = path.read_bytes()
    with pytest.raises(StackError):
        keras.Sequential([layers.Input((3,)), layers.Lambda(abs)]).export(path, format="onnx")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
