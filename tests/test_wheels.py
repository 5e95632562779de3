"""The wheels of both packages: one of each for every version of Python, in an environment that has nothing else."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OLDEST, NEWEST = 11, 14
PROGRAM = """
import os
import numpy
import lamina as keras
from lamina import layers

onednn = os.environ["LAMINA_KERNELS"] == "onednn"
stack = [layers.Conv2D(4, 3, activation="relu"), layers.Reshape((-1, 4)), layers.LSTM(3), layers.Dense(1)]
model = keras.Sequential(stack)
model.compile("adam", "mse")
x = numpy.random.default_rng(0).normal(size=(8, 6, 6, 3))
assert numpy.isfinite(model.fit(x, x[:, 0, 0, 0], verbose=0).history["loss"]).all()
model.save("model.keras")
again = keras.models.load_model("model.keras")
numpy.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
try:
    model.export("model.onnx", format="onnx")
except keras.errors.MissingPackageError as error:
    assert 'pip install "lamina[onnx]"' in str(error) and not os.path.exists("model.onnx")
else:
    raise AssertionError("the package onnx is there")
from lamina._kernels.native import onednn as used
assert bool(used()) == onednn
"""


def found(minor):
    """A Python of that version on the path, which works: there may be a command that only says it is not chosen."""
    command = shutil.which(f"python3.{minor}")
    asked = command and subprocess.run([command, "-c", "import ensurepip, venv"], capture_output=True)
    return command if asked and asked.returncode == 0 else None


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, ROOT / "native"], check=True)
    return sorted(folder.glob("*.whl"))


def test_the_native_package_is_built_with_the_oldest_xla_that_is_supported():
    """A newer one's headers make custom calls that an older XLA refuses, when a program that has one is compiled."""
    ours, native = (tomllib.loads((ROOT / folder / "pyproject.toml").read_text()) for folder in (".", "native"))
    ranges = [dict(map(split, package["project"]["dependencies"]))["jax"] for package in (ours, native)]
    oldest = dict(map(split, native["build-system"]["requires"]))["jaxlib"].removeprefix("==").removesuffix(".*")
    assert all(f">={oldest}" in each.split(",") for each in ranges)


def split(requirement):
    """A package's name and its versions."""
    return re.fullmatch(r"([\w-]+)(.*)", requirement).groups()


@pytest.mark.nightly
def test_there_is_one_wheel_of_each_package(wheels):
    names = [wheel.name for wheel in wheels]
    assert len(names) == 2 and names[0].endswith("-py3-none-any.whl") and "-py3-none-linux_" in names[1]


@pytest.mark.nightly
def test_a_model_trains_in_an_environment_of_each_python(wheels, tmp_path):
    pythons = [python for python in map(found, range(OLDEST, NEWEST + 1)) if python]
    assert pythons
    for number, python in enumerate(pythons):
        inside = tmp_path / f"env-{number}" / "bin" / "python"
        subprocess.run([python, "-m", "venv", inside.parent.parent], check=True)
        for kernels, wheel in zip(("xla", "onednn"), wheels, strict=True):
            pip = [inside, "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", wheel], check=True)
            variables = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LAMINA_KERNELS": kernels}
            subprocess.run([inside, "-c", PROGRAM], check=True, cwd=tmp_path, env=variables)
