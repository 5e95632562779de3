"""`model.export(path, format="jax")`: the file computes what `predict` does, where only JAX is installed."""

import errno
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from cases import CASES
from jax import export
from quick import OPTIONS

import lamina
from lamina import layers
from lamina._kernels.native import onednn
from lamina.errors import ArgumentError, CallError, FileError, MissingPackageError, NotBuiltError, StackError

RAN = CASES[::6]
"""The cases whose file is also run, which takes the time of a compilation."""


def loaded(path):
    """The function in a file, compiled."""
    exported = export.deserialize(bytearray(Path(path).read_bytes()))
    return jax.jit(exported.call, compiler_options=OPTIONS)


def operations(path):
    return export.deserialize(bytearray(Path(path).read_bytes())).mlir_module()


def assert_computes(path, model, *inputs, near=1e-5):
    for x in inputs:
        want = model.predict(x, verbose=0)
        np.testing.assert_allclose(loaded(path)(x).astype("float32"), want.astype("float32"), rtol=1e-5, atol=near)


def rows(count, *shape):
    return np.random.default_rng(count).normal(0.5, 2, (count, *shape)).astype("float32")


class Scale(layers.Layer):
    """A layer of the user's own."""

    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[-1:], "uniform")

    def call(self, x, training=False):
        return x if training else x * self.factor


@pytest.mark.no_cover
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_layer_is_exported_for_any_number_of_rows(case, tmp_path):
    model = lamina.Sequential([layers.Input(case.shape), case.make(layers)])
    model.export(tmp_path / "model.jax", format="jax")
    exported = export.deserialize(bytearray((tmp_path / "model.jax").read_bytes()))
    (taken,) = exported.in_avals
    assert export.is_symbolic_dim(taken.shape[0]) and taken.shape[1:] == case.shape
    assert exported.platforms == ("cpu", "cuda", "rocm", "tpu")
    if case in RAN:
        assert_computes(tmp_path / "model.jax", model, rows(3, *case.shape))


def test_the_lines_of_the_docstring_load_it_where_only_jax_is(tmp_path):
    model = lamina.Sequential(
        [layers.Input((12, 12, 3)), layers.Conv2D(16, 3, activation="relu"), layers.BatchNormalization(), Scale(),
         layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(4, "softmax")]
    )  # fmt: skip
    model.compile("sgd", "mse")
    model.fit(rows(32, 12, 12, 3), np.eye(4, dtype="float32")[np.arange(32) % 4], verbose=0)
    model.export(tmp_path / "model.jax", format="jax")
    lines = re.search(r"( +from pathlib import Path\n(?: +\S.*\n){2})", model.export.__doc__).group(1)
    assert lines.count("\n") == 3
    inputs = {str(count): rows(count, 12, 12, 3) for count in (1, 3, 128)}
    np.savez(tmp_path / "inputs.npz", **inputs)
    program = f"""
import sys
sys.modules["lamina"] = sys.modules["lamina_onednn"] = None
{inspect.cleandoc(lines)}
import numpy as np
np.savez("outputs.npz", **{{name: predict(x) for name, x in np.load("inputs.npz").items()}})
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=tmp_path)
    for name, y in np.load(tmp_path / "outputs.npz").items():
        np.testing.assert_allclose(y, model.predict(inputs[name], verbose=0), rtol=1e-5, atol=1e-6)


def test_sizes_that_the_input_leaves_open_stay_open(tmp_path):
    sequences = [layers.Embedding(9, 3, mask_zero=True), layers.Bidirectional(layers.LSTM(3)), layers.Dense(1)]
    words = lamina.Sequential([layers.Input((None,)), *sequences])
    words.export(tmp_path / "words.jax", format="jax")
    padded = np.array([[1, 2, 3, 0], [4, 0, 0, 0]], "int32")
    assert_computes(tmp_path / "words.jax", words, padded, padded[:, :3])
    np.testing.assert_allclose(*(loaded(tmp_path / "words.jax")(x)[1] for x in (padded, padded[:, :2])), rtol=1e-6)

    convolutions = [layers.Conv2D(4, 3, strides=2), layers.MaxPooling2D(), layers.Conv2D(2, 3)]
    same = [layers.Conv2D(2, 3, strides=2, padding="same"), layers.GlobalMaxPooling2D()]
    images = lamina.Sequential([layers.Input((None, None, 2)), *convolutions, *same])
    images.export(tmp_path / "images.jax", format="jax")
    assert_computes(tmp_path / "images.jax", images, rows(2, 20, 16, 2), rows(1, 17, 30, 2))

    volumes = lamina.Sequential([layers.Input((None, 4, 4, 2), batch_size=2), layers.Conv3D(2, 3)])
    volumes.export(tmp_path / "volumes.jax", format="jax")
    assert_computes(tmp_path / "volumes.jax", volumes, rows(2, 4, 4, 4, 2))


def test_a_fixed_number_of_rows_takes_no_operation_of_onednn(tmp_path):
    model = lamina.Sequential([layers.Input((8, 8, 16), batch_size=4), layers.Conv2D(16, 3), layers.Flatten()])
    recurrent = lamina.Sequential([layers.Input((5, 8), batch_size=4), layers.LSTM(8)])
    for made, x in ((model, rows(4, 8, 8, 16)), (recurrent, rows(4, 5, 8))):
        text = str(jax.make_jaxpr(made)(x))
        assert ("ffi_call" in text) == (onednn() is not None)
        made.export(tmp_path / "model.jax", format="jax")
        assert "custom_call" not in operations(tmp_path / "model.jax")
        assert_computes(tmp_path / "model.jax", made, x)
        assert str(jax.make_jaxpr(made)(x)) == text  # and the next program has them as before


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16", "float64"])
def test_every_dtype_policy(policy, tmp_path):
    jax.config.update("jax_enable_x64", policy == "float64")
    model = lamina.Sequential(
        [layers.Input((6,)), layers.Dense(5, "relu", dtype=policy), layers.Dense(2, dtype=policy)]
    )
    model.export(tmp_path / "model.jax", format="jax")
    near = 0.01 if "16" in policy else 1e-5  # a CPU rounds to 16 bits once, a program for all devices at each operation
    assert_computes(tmp_path / "model.jax", model, rows(3, 6), near=near)
    assert loaded(tmp_path / "model.jax")(rows(1, 6)).dtype == model.predict(rows(1, 6), verbose=0).dtype


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_batch_normalization_behind_a_convolution(policy, tmp_path):
    convolution, normalization = layers.Conv2D(16, 3, dtype=policy), layers.BatchNormalization(dtype=policy)
    model = lamina.Sequential([layers.Input((8, 8, 3)), convolution, normalization, layers.MaxPooling2D(2)])
    model.export(tmp_path / "m.jax", format="jax", verbose=False)
    assert_computes(tmp_path / "m.jax", model, rows(3, 8, 8, 3), near=1e-5 if policy == "float32" else 5e-2)


def test_what_goes_in_has_the_shape_and_dtype_of_the_input_or_of_the_signature(tmp_path):
    def taken(model, **told):
        model.export(tmp_path / "model.jax", format="jax", **told)
        (aval,) = export.deserialize(bytearray((tmp_path / "model.jax").read_bytes())).in_avals
        return str(aval.dtype), str(aval.shape)

    scaled = [layers.Rescaling(1 / 255), layers.Dense(2)]
    assert taken(lamina.Sequential([layers.Input((3,), dtype="uint8"), *scaled])) == ("uint8", "(batch, 3)")
    model = lamina.Sequential(scaled)
    with pytest.raises(NotBuiltError, match="no input shape yet"):
        taken(model)
    for signature in (layers.InputSpec(shape=(None, 3)), [layers.InputSpec(shape=(None, 3))]):
        assert taken(model, input_signature=signature) == ("float32", "(batch, 3)")
    assert taken(model, input_signature=[np.zeros((2, 3), "uint8")]) == ("uint8", "(2, 3)")
    assert taken(model, input_signature=[jax.ShapeDtypeStruct((7, 3), "int32")]) == ("int32", "(7, 3)")
    assert taken(lamina.Sequential([layers.Input((3,)), layers.Embedding(4, 2)]))[0] == "int32"
    lamina.config.set_floatx("float16")
    assert taken(lamina.Sequential([layers.Input((3,)), layers.Dense(2)]))[0] == "float16"


def test_an_own_predict_step_and_weights_of_another_model(tmp_path):
    other = layers.Dense(3)
    other.build((None, 3))

    class Own(lamina.Sequential):
        def predict_step(self, data):
            return self(data) + other.bias

    own = Own([layers.Input((3,)), layers.Dense(3)])
    own.export(tmp_path / "own.jax", format="jax")
    assert_computes(tmp_path / "own.jax", own, rows(2, 3))


def test_an_error_of_the_users_own_step_stays_what_it_is(tmp_path):
    class Wrong(lamina.Sequential):
        def predict_step(self, x, y, z):
            return x

    with pytest.raises(ArgumentError, match=r"write Wrong.predict_step\(self, data\)"):
        Wrong([layers.Input((3,)), layers.Dense(3)]).export(tmp_path / "wrong.jax", format="jax")


def test_several_outputs(tmp_path):
    lstm = lamina.Sequential([layers.Input((4, 2)), layers.LSTM(3, return_state=True)])
    lstm.export(tmp_path / "lstm.jax", format="jax")
    want = lstm.predict(rows(2, 4, 2), verbose=0)
    for y, expected in zip(loaded(tmp_path / "lstm.jax")(rows(2, 4, 2)), want, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_verbose_says_what_was_written(tmp_path, capsys):
    model = lamina.Sequential([layers.Input((6,)), layers.Dense(2)], name="net")
    model.export(tmp_path / "model.jax", format="jax", platforms=["cpu", "tpu"])
    assert capsys.readouterr().out == ""
    model.export(str(tmp_path / "model.jax"), format="jax", platforms=["cpu", "tpu"], verbose=True)
    said = capsys.readouterr().out
    assert re.search(r"net is exported to .*model.jax \([\d,]+ bytes\) for cpu, tpu: float32\[batch, 6\] -> ", said)


@pytest.mark.parametrize(
    "told", [{}, *({"format": name} for name in ("openvino", "tf_saved_model", "litert", "torch", "jaxx"))]
)
def test_another_format_is_answered_with_the_one_there_is(told, tmp_path):
    model = lamina.Sequential([layers.Input((6,)), layers.Dense(2)])
    with pytest.raises(ArgumentError, match=r'model\.export\(filepath, format="onnx"\)'):
        model.export(tmp_path / "m.jax", **told)
    assert not list(tmp_path.iterdir())


def adapted():
    text = layers.TextVectorization()
    text.adapt(["one two"])
    return text


def calls_python(x):
    return jax.pure_callback(np.array, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="sequential")


def counts_rows(x):
    return x / 2 if x.shape[0] > 4 else x


REFUSED = [
    (StackError, r"(?s)converts raw data.*\nrest = Sequential\(\[Input\(\(None,\)\), \*model.layers\[1:\]\]\)", {},
     lambda: [layers.Input((1,), dtype="string"), adapted(), layers.Embedding(5, 2)]),
    (StackError, r"(?s)stateful=False.*set_weights", {},
     lambda: [layers.Input((5, 3), batch_size=2), layers.LSTM(2, stateful=True)]),
    (StackError, r"it calls pure_callback\.\nA file can hold", {},
     lambda: [layers.Input((3,)), layers.Lambda(calls_python)]),
    (StackError, r"(?s)for \(None, 3\), because of test_export.py:\d+: .*\nSet the sizes.*\(32, 3\)", {},
     lambda: [layers.Input((3,)), layers.Lambda(counts_rows)]),
    (StackError, r"no layers", {}, lambda: []),
    (CallError, r"takes only platforms=.* as a further argument, got jax2tf", {"jax2tf_kwargs": {}}, None),
    (ArgumentError, r"a list of names out of cpu, cuda, rocm, tpu", {"platforms": ["gpu"]}, None),
    (ArgumentError, r"a list of names out of cpu, cuda, rocm, tpu", {"platforms": "cpu"}, None),
    (ArgumentError, r"expected a shape", {"input_signature": [1]}, None),
    (lamina.errors.ShapeError, r"takes \(None, 3\)", {"input_signature": [layers.InputSpec(shape=(2, 4))]}, None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "said", "told", "made"), REFUSED)
def test_what_cannot_be_exported_is_refused(kind, said, told, made, tmp_path):
    model = lamina.Sequential(made() if made else [layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(kind, match=said):
        model.export(tmp_path / "model.jax", format="jax", **told)
    assert not list(tmp_path.iterdir())


def test_the_layers_after_text_are_exported_as_the_message_says(tmp_path):
    text = adapted()
    model = lamina.Sequential([layers.Input((1,), dtype="string"), text, layers.Embedding(5, 2), layers.GRU(3)])
    rest = lamina.Sequential([layers.Input((None,)), *model.layers[1:]])
    rest.export(tmp_path / "rest.jax", format="jax")
    given = ["one two", "two two one"]
    np.testing.assert_allclose(loaded(tmp_path / "rest.jax")(text(given)), model.predict(given, verbose=0), rtol=1e-5)


def test_without_flatbuffers_the_message_names_the_extra(tmp_path, monkeypatch):
    for name in ("flatbuffers", "jax._src.export.serialization"):
        monkeypatch.setitem(sys.modules, name, None)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(MissingPackageError, match=r"pip install flatbuffers"):
        model.export(tmp_path / "model.jax", format="jax")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2)])
    with pytest.raises(FileError, match="nowhere"):
        model.export(tmp_path / "nowhere" / "model.jax", format="jax")
    model.export(tmp_path / "model.jax", format="jax")
    before = (tmp_path / "model.jax").read_bytes()
    model.layers[0].kernel.assign(np.zeros((3, 2)))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="disk is full"):
        model.export(tmp_path / "model.jax", format="jax")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("model.jax", before)]
