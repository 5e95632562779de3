"""Sources of torch, Hugging Face, Grain and TensorFlow themselves, in the nightly tests.

They come into an environment of their own, `out/streams`.
"""

import subprocess
from pathlib import Path

import pytest
from environments import OUTSIDE, STREAMS, python_with

HERE = Path(__file__).parent


@pytest.mark.nightly
def test_sources_of_other_libraries_are_taken_as_they_are():
    command = [python_with(*STREAMS), "-m", "pytest", "-q", "--noconftest", HERE / "real_streams.py"]
    subprocess.run(command, check=True, cwd=HERE.parent, env=OUTSIDE)
