"""The files of an export to ONNX: one, or two above 2 GB, which are put in place together or not at all."""

import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from test_onnx import convnet, drawn

import lamina as keras
from lamina import layers
from lamina._files import files
from lamina._onnx import export


@pytest.fixture
def limit(monkeypatch):
    """The most bytes of one file are few."""
    monkeypatch.setattr(export, "MOST_BYTES", 10_000)


def equal(path, model):
    run = onnxruntime.InferenceSession(path)
    x = np.random.default_rng(0).random((3, 28, 28, 1), "float32")
    got = run.run(None, {run.get_inputs()[0].name: x})[0]
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("limit")
def test_weights_above_the_limit_go_to_a_file_beside_it(tmp_path, capsys):
    model, path = drawn(convnet()), tmp_path / "big.onnx"
    for _ in range(2):
        model.export(path, format="onnx", verbose=True)
        assert sorted(os.listdir(tmp_path)) == ["big.onnx", "big.onnx.data"]
    size = sum(each.stat().st_size for each in tmp_path.iterdir())
    assert (
        path.stat().st_size < 10_000 < 4 * model.count_params() <= size
        and f"({size:,} bytes)" in capsys.readouterr().out
    )
    onnx.checker.check_model(path, full_check=True)
    equal(path, model)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("fails", ["check_model", "write"])
def test_a_failed_export_leaves_neither_file_or_both_old_ones(tmp_path, monkeypatch, fails):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    old, path = drawn(convnet()), tmp_path / "big.onnx"
    for there in ([], ["big.onnx", "big.onnx.data"]):
        with monkeypatch.context() as patch:
            if fails == "check_model":
                patch.setattr(onnx.checker, fails, fail)
            else:  # after the data, before the graph
                patch.setattr(export.np, "ascontiguousarray", fail)
            with pytest.raises(OSError, match=r"disk|space"):
                drawn(convnet(), 1).export(path, format="onnx", verbose=False)
        assert sorted(os.listdir(tmp_path)) == there
        if there:
            equal(path, old)
        old.export(path, format="onnx", verbose=False)


def test_a_file_below_the_limit_is_one_file(tmp_path):
    model = drawn(convnet())
    model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
    assert os.listdir(tmp_path) == ["m.onnx"] and not files.PART.fullmatch("m.onnx")
    equal(tmp_path / "m.onnx", model)


HIDDEN = """
import sys
sys.modules["onnx"] = None  # as if it were not installed
import lamina
from lamina import layers
assert "lamina._onnx.export" not in sys.modules and "onnx.checker" not in sys.modules
model = lamina.Sequential([layers.Input((2,)), layers.Dense(1)])
try:
    model.export("m.onnx", format="onnx")
except lamina.errors.MissingPackageError as error:
    print(error)
"""


def test_without_the_package_onnx_the_export_says_what_to_install(tmp_path):
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert 'pip install "lamina[onnx]"' in done.stdout and not os.listdir(tmp_path)


@pytest.mark.nightly
def test_weights_of_more_than_2_gb_are_exported(tmp_path):
    model, path = (
        keras.Sequential([layers.Input((1,), dtype="int32"), layers.Embedding(270_000, 2048)]),
        tmp_path / "m.onnx",
    )
    model.export(path, format="onnx", verbose=False)
    assert (tmp_path / "m.onnx.data").stat().st_size == 270_000 * 2048 * 4
    run = onnxruntime.InferenceSession(path)
    x = np.array([[0], [269_999]], "int32")
    np.testing.assert_array_equal(run.run(None, {run.get_inputs()[0].name: x})[0], model.predict(x, verbose=0))
