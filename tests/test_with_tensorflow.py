"""Files of layers that real Keras runs only with TensorFlow, and those of Keras 2 itself, in the nightly tests.

TensorFlow comes into an environment of its own, `out/tensorflow`.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import with_tensorflow
from environments import OUTSIDE, python_with

import lamina
from lamina.models import load_model

pytestmark = [pytest.mark.nightly, pytest.mark.filterwarnings("ignore::lamina.errors.LaminaWarning")]
HERE = Path(__file__).parent
PACKAGES = ("tensorflow-cpu==2.21.0", "tf_keras==2.21.0", "keras==3.15.1")


@pytest.fixture(scope="module")
def run():
    """Runs with_tensorflow.py in that environment."""
    python = python_with("tensorflow", *PACKAGES)

    def call(what, folder):
        subprocess.run([python, HERE / "with_tensorflow.py", what, folder], check=True, cwd=folder, env=OUTSIDE)

    return call


def test_text_layers_of_real_keras_open_here(run, tmp_path):
    run("make-keras-3", tmp_path)
    files = sorted(tmp_path.glob("*.keras"))
    assert len(files) == 14
    for path in files:
        with np.load(path.with_suffix(".npz")) as held:
            x, y = held["x"], held["y"]
        np.testing.assert_allclose(load_model(path).predict(x, verbose=0), y, rtol=1e-6, err_msg=str(path))


def test_text_layers_saved_here_open_in_real_keras(run, tmp_path):
    outputs = {}
    for number, (layer, x) in enumerate(with_tensorflow.text_layers(lamina.layers)):
        model = with_tensorflow.text_stack(lamina, layer, x)
        path = tmp_path / f"{number}.keras"
        model.save(path)
        Path(f"{path}.json").write_text(json.dumps(x.tolist()))
        outputs[path] = model.predict(x, verbose=0)
    run("open", tmp_path)
    for path, y in outputs.items():
        np.testing.assert_allclose(np.load(f"{path}.npy"), y, rtol=1e-6, err_msg=str(path))


def test_files_of_keras_2_open_here(run, tmp_path):
    run("make-keras-2", tmp_path)
    names = sorted(path.stem for path in tmp_path.glob("*.npz"))
    assert names == ["images", "mlp", "sequences"]
    for name in names:
        with np.load(tmp_path / f"{name}.npz") as held:
            x, y = held["x"], held["y"]
        for ending in (".h5", ".keras"):
            model = load_model(tmp_path / f"{name}{ending}")
            assert model.compiled
            np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-5, atol=1e-6)
        for ending in ("-only.h5", ".weights.h5"):
            model.set_weights([0 * array for array in model.get_weights()])
            model.load_weights(tmp_path / f"{name}{ending}")
            np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-5, atol=1e-6)
