"""The files of all released versions, and of Keras at their times, open for ever and give what they gave then."""

import json
from pathlib import Path

import numpy as np
import pytest
from golden.make_files import WORDS, X, Y, stack

import lamina
from lamina.models import load_model

VERSIONS = sorted(Path(__file__).parent.glob("golden/files-*"))
FILES = [path for version in VERSIONS for path in sorted(version.iterdir()) if path.name != "held.json"]


def held(path):
    return json.loads((path.parent / "held.json").read_text())[path.name.split(".")[0].removesuffix("-folder")]


def names(paths):
    return [f"{path.parent.name}/{path.name}" for path in paths]


MODELS = [path for path in FILES if path.is_dir() or path.suffixes in ([".keras"], [".h5"])]
PARTS = [path for path in FILES if "_0" in path.name]
WEIGHTS = [path for path in FILES if path not in MODELS and path not in PARTS]


def test_there_is_a_file_of_each_format():
    assert {path.name for path in FILES} >= {
        "lamina.keras", "lamina-folder", "lamina.h5", "lamina.weights.h5", "lamina.weights.json", "lamina.safetensors",
        "keras.keras", "keras-folder", "keras.h5", "keras.weights.h5", "keras.weights.json", "keras-2.h5",
        "words.keras", "state.safetensors",
    }  # fmt: skip
    assert {path.suffix for path in WEIGHTS} == {".h5", ".json", ".safetensors"} and len(PARTS) > 3


@pytest.mark.parametrize("path", MODELS, ids=names(MODELS))
def test_models_open(path):
    model, then = load_model(path), held(path)
    x = WORDS if model.name == "words" else X
    np.testing.assert_allclose(model.predict(x, verbose=0), then["output"], rtol=1e-5, atol=1e-6)
    assert model.compiled
    if "loss" in then:
        assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(then["loss"], rel=1e-5)
        assert int(model.optimizer.iterations) == then["iterations"]
    if "output after another epoch" in then:
        model.fit(X, Y, epochs=1, batch_size=3, verbose=0)
        np.testing.assert_allclose(
            model.predict(X, verbose=0), then["output after another epoch"], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("path", WEIGHTS, ids=names(WEIGHTS))
def test_weights_open(path):
    model = stack(lamina)
    model.load_weights(path)
    np.testing.assert_allclose(model.predict(X, verbose=0), held(path)["output"], rtol=1e-5, atol=1e-6)
