"""The oldest versions of ONNX Runtime that the guide names read the files and give the same: nightly."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_onnx import convnet, drawn
from test_wheels import found

import lamina as keras
from lamina import layers

PAGE = (Path(__file__).parent.parent / "docs" / "pages" / "guides" / "onnx.md").read_text()
PROGRAM = """
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
x = np.load("x.npy")
np.save("y.npy", session.run(None, {session.get_inputs()[0].name: x})[0])
"""


def of_texts():
    words = layers.TextVectorization(ngrams=2)
    words.adapt(["The cat sat. On the mat!", "the dog"])
    stack = [words, layers.Embedding(30, 4, mask_zero=True), layers.LSTM(3)]
    return keras.Sequential([layers.Input((1,), dtype="string"), *stack])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("version", "make", "x"),
    [
        ("1.15.0", convnet, np.random.default_rng(0).random((3, 28, 28, 1), "float32")),
        ("1.17.0", of_texts, np.array([["The cat... on a mat"], ["x"]], object)),
    ],
)
def test_an_old_onnxruntime_gives_what_predict_gives(version, make, x, tmp_path):
    assert version in PAGE
    python = found(11)
    if python is None:
        pytest.skip("needs Python 3.11, the newest one for which this version was built")
    inside = tmp_path / "environment" / "bin" / "python"
    subprocess.run([python, "-m", "venv", inside.parent.parent], check=True)
    subprocess.run([inside, "-m", "pip", "install", "--quiet", f"onnxruntime=={version}", "numpy<2"], check=True)
    model = drawn(make())
    model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
    np.save(tmp_path / "x.npy", x if x.dtype.kind == "f" else x.astype("U"))
    program = PROGRAM if x.dtype.kind == "f" else PROGRAM.replace('x.npy")', 'x.npy").astype(object)')
    subprocess.run([inside, "-c", program], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
