"""Sources of torch, Hugging Face, Grain and TensorFlow themselves, in the nightly tests.

They come into an environment of their own, `out/streams`, which is made once: `make clean` removes it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / "out" / "streams"
PACKAGES = ("torch>=2.9", "datasets>=4", "grain>=0.2.12", "tensorflow-cpu", "pyarrow>=18", "polars", "pandas", "pytest")


@pytest.mark.nightly
def test_sources_of_other_libraries_are_taken_as_they_are():
    if not (ENVIRONMENT / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", "-e", HERE.parent, *PACKAGES], check=True)
        (ENVIRONMENT / "made").touch()
    command = [ENVIRONMENT / "bin" / "python", "-m", "pytest", "-q", "--noconftest", HERE / "real_streams.py"]
    subprocess.run(command, check=True, cwd=HERE.parent)
