"""What is larger than the memory is an error that names the layer or the function and its bytes, before it runs."""

import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import callbacks, layers, ops, utils
from lamina._layer import room
from lamina._saving import safetensors
from lamina.errors import ArgumentError, FileError, LaminaError, NoMemoryError, ShapeError

IMAGE = np.ones((2, 4, 4, 3), "float32")
ROWS = np.ones((2, 3), "float32")
ONE = np.ones((2, 1), "int32")


def said(error, *fragments):
    told = " ".join(str(error.value).split())
    assert all(fragment in told for fragment in fragments), told
    assert len(str(error.value).splitlines()) <= 15


LAYERS = {
    "resizing": (layers.Resizing, {"height": 10**6, "width": 10**6}, IMAGE),
    "up_sampling2d": (layers.UpSampling2D, {"size": 10**10}, IMAGE),
    "up_sampling1d": (layers.UpSampling1D, {"size": 10**12}, IMAGE[0]),
    "zero_padding2d": (layers.ZeroPadding2D, {"padding": 10**6}, IMAGE),
    "zero_padding3d": (layers.ZeroPadding3D, {"padding": 10**4}, IMAGE[None]),
    "repeat_vector": (layers.RepeatVector, {"n": 10**12}, ROWS),
    "category_encoding": (layers.CategoryEncoding, {"num_tokens": 10**12}, ONE),
    "category_encoding 2": (layers.CategoryEncoding, {"num_tokens": 10**12, "output_mode": "one_hot"}, ONE),
    "conv2d_transpose": (layers.Conv2DTranspose, {"filters": 1, "kernel_size": 2, "strides": 10**5}, IMAGE),
    "hashing": (layers.Hashing, {"num_bins": 2**31, "output_mode": "one_hot"}, np.ones((100, 1), "int64")),
    "hashing 2": (layers.Hashing, {"num_bins": 2**31, "output_mode": "multi_hot"}, np.ones((100, 3), "int64")),
    "text_vectorization": (
        layers.TextVectorization, {"vocabulary": ["a"], "output_sequence_length": 10**12}, np.array(["a", "b"])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_is_called_by_itself(name):
    kind, settings, x = LAYERS[name]
    layer = kind(**settings)
    for _ in range(2):
        with pytest.raises(LaminaError) as error:
            layer(x)
        said(error, kind.__name__, "bytes")


class Own(layers.Layer):
    """A layer of the user's own with one of those in it."""

    def __init__(self, kind, settings):
        super().__init__()
        self.inner = [kind(**settings)]

    def call(self, x):
        return self.inner[0](x) if x.ndim else x


@pytest.mark.parametrize("name", ["resizing", "repeat_vector", "up_sampling2d", "zero_padding2d", "conv2d_transpose"])
def test_a_layer_within_one_of_the_users_own(name):
    kind, settings, x = LAYERS[name]
    for layer, given in ((Own(kind, settings), x), (layers.TimeDistributed(Own(kind, settings)), x[:, None])):
        for _ in range(2):
            with pytest.raises(LaminaError) as error:
                layer(given)
            said(error, kind.__name__, "bytes of memory are free")


def test_what_is_asked_draws_no_numbers():
    """A layer of the user's own gives the same at its first call, where it is asked, as later."""

    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5, seed=3)

        def call(self, x, training=None):
            return self.drop(x, training=training) + 10 * self.drop(x, training=training)

    x = np.ones((8, 64), "float32")
    first, other = Noisy(), Noisy()
    other(np.ones((2, 64), "float32"))  # a call without draws
    other.drop._lamina.fits.add((((8, 64), "float32"),))
    other._lamina.calls = 0
    np.testing.assert_array_equal(first(x, training=True), other(x, training=True))


@pytest.mark.parametrize("name", ["resizing", "repeat_vector", "up_sampling2d", "conv2d_transpose"])
def test_a_stack_of_which_not_one_row_has_room(name):
    kind, settings, x = LAYERS[name]
    with pytest.raises((ShapeError, ArgumentError)) as error:
        lamina.Sequential([layers.Input(x.shape[1:]), kind(**settings)])
    said(error, kind.__name__, "bytes of memory are free", "(None, ")


@pytest.mark.filterwarnings("ignore:no weight")
@pytest.mark.parametrize("verb", ["predict", "call", "fit", "evaluate"])
def test_a_batch_that_has_no_room(verb, monkeypatch):
    model = lamina.Sequential([layers.Input((3,)), layers.RepeatVector(2**20), layers.GlobalMaxPooling1D()])
    model.compile("sgd", "mse")
    monkeypatch.setattr("lamina._process.memory.free_memory", lambda: 2**25)  # two rows, not three
    two, four = np.ones((2, 3), "float32"), np.ones((4, 3), "float32")
    run = {
        "predict": lambda x: model.predict(x, verbose=0), "call": model, "fit": lambda x: model.fit(x, x, verbose=0),
        "evaluate": lambda x: model.evaluate(x, x, verbose=0),
    }[verb]  # fmt: skip
    run(two)
    with pytest.raises(ShapeError) as error:
        run(four)
    said(error, "RepeatVector", "50,331,648 bytes", "33,554,432 bytes of memory are free")
    run(two)


def test_a_file_with_such_a_stack_opens_and_its_verbs_say_it(tmp_path):
    model = lamina.Sequential([layers.Input((3,)), layers.RepeatVector(3)])
    model.save(tmp_path / "model.keras")
    text = f"""
        import json, zipfile, numpy, lamina
        from pathlib import Path
        whole = zipfile.ZipFile({str(tmp_path / "model.keras")!r})
        with zipfile.ZipFile({str(tmp_path / "large.keras")!r}, "w") as file:
            for name in whole.namelist():
                data = whole.read(name)
                file.writestr(name, data.replace(b'"n": 3', b'"n": 10000000000000') if name == "config.json" else data)
        try:
            lamina.saving.load_model({str(tmp_path / "large.keras")!r}).predict(numpy.ones((2, 3)), verbose=0)
        except lamina.errors.LaminaError as error:
            print(error)
    """
    text = "\n".join(line[8:] for line in text.splitlines())
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "RepeatVector" in done.stdout and "bytes of" in done.stdout, done.stderr


def test_it_is_asked_once_for_each_shape(monkeypatch):
    asked, before = [], room.require
    monkeypatch.setattr(room, "require", lambda *told, **named: (asked.append(1), before(*told, **named)))
    layer = layers.UpSampling2D(512)
    for _ in range(3):
        layer(IMAGE)
    assert len(asked) == 1
    layer(IMAGE[:1])
    assert len(asked) == 2


# Files of safetensors


@pytest.mark.parametrize("shape", [[0, 2**62], [0, 2**31, 2**31], [1] * 1000, [0] * 33, [0, 10**19], [2**63, 0]])
def test_a_shape_that_no_array_has_is_refused(shape):
    text = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 if 0 not in shape else 0]}}).encode()
    data = len(text).to_bytes(8, "little") + text + bytes(4 if 0 not in shape else 0)
    with pytest.raises(FileError, match=r"model\.safetensors"):
        safetensors.read(data, "model.safetensors")


@pytest.mark.parametrize("label", [10**12, 10**20])
def test_labels_that_are_no_class_numbers(label):
    with pytest.raises(ArgumentError, match="bytes of memory are free") as caught:
        utils.to_categorical([label])
    assert "return_inverse=True" in str(caught.value)


def test_many_classes_take_the_memory_of_their_rows_alone():
    rows = utils.to_categorical([[99_999], [3]])
    assert rows.shape == (2, 100_000) and rows.argmax(1).tolist() == [99_999, 3] and rows.sum() == 2


def test_rows_that_are_too_long():
    with pytest.raises(ArgumentError, match=r"pad_sequences\(maxlen=1000000000000\).*4,000,000,000,000 bytes"):
        utils.pad_sequences([[1, 2]], maxlen=10**12)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("zeros", lambda shape: ops.zeros(shape)), ("tile", lambda shape: ops.tile(np.ones(shape[:1]), shape[1])),
        ("Initializer", lambda shape: lamina.initializers.Zeros()(shape)),
        ("Initializer", lambda shape: lamina.initializers.GlorotUniform()(shape)),
        ("Initializer", lambda shape: lamina.Variable("zeros", shape=shape)),
    ],
)  # fmt: skip
def test_an_array_that_is_too_large_is_an_error_of_ours(name, make):
    with pytest.raises(NoMemoryError, match=rf"^{name} needs .*memory is free") as caught:
        make((10**6, 10**7))
    assert isinstance(caught.value, MemoryError)


def test_the_users_own_lack_of_memory_stays_as_it_is():
    full = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: np.zeros((10**6, 10**7)))
    model = lamina.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(MemoryError) as caught:
        model.fit(ROWS, ONE, verbose=0, callbacks=[full])
    assert not isinstance(caught.value, NoMemoryError)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((4, 2), lambda: layers.Conv1DTranspose(2, 3, strides=10**12)),
        ((4, 4, 2), lambda: layers.AdaptiveAveragePooling2D(10**6)),
        ((4, 4, 2), lambda: layers.AdaptiveAveragePooling2D(2**16)),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_at_once(shape, layer):
    with pytest.raises((ArgumentError, ShapeError)):
        lamina.Sequential([layers.Input(shape), layer()])


class Maker(layers.Layer):
    """A layer whose `call`, or `build`, makes what `fill` says."""

    def __init__(self, fill, where="call"):
        super().__init__(name="own")
        self.fill, self.where = fill, where

    def build(self, input_shape):
        if self.where == "build":
            self.fill()

    def call(self, x):
        return x + self.fill() if self.where == "call" else x


class Around(layers.Layer):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def numpy_array():
    return np.zeros(10**14)


def jax_array():
    return jnp.zeros(10**12).sum()


def plain_bytes():
    return bytearray(10**14)


@pytest.mark.parametrize(
    "call",
    [
        Maker(numpy_array), Maker(jax_array), Maker(plain_bytes), Around(Maker(numpy_array)), Around(Maker(jax_array)),
        lamina.Sequential([Maker(numpy_array)]), lamina.Sequential([layers.Dense(3), Around(Maker(plain_bytes))]),
        Maker(numpy_array, "build"), Maker(jax_array, "build"), lamina.Sequential([Maker(jax_array, "build")]),
    ],
    ids=range(10),
)  # fmt: skip
def test_an_array_that_a_layer_of_ones_own_makes_is_an_error_with_its_name(call):
    with pytest.raises(NoMemoryError, match=r"^own \(Maker\), given \((2|None), 3\), needs (more|\d+)\s\S+") as caught:
        call(ROWS)
    assert " at test_larger_than_memory.py:" in str(caught.value)
