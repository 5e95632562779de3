"""Keras's own tests, one by one: which of those that real Keras passes on JAX does Lamina pass?

The files come with Keras's wheel and are run from there, first with Keras, then with Lamina in its place
(`keras_own.py`). `keras_own_exceptions.txt` names each test that fails with Lamina, by its reason. A test that fails
and is not named there fails the comparison, and so does one that is named and passes. Run as a script this prints
how many of those in scope pass, family by family and in all.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import pytest

HERE, SOURCE = Path(__file__).parent, Path(keras.__file__).parent / "src"
FAMILIES = {
    "activations": "activations", "initializers": "initializers", "regularizers": "regularizers",
    "constraints": "constraints", "losses": "losses", "metrics": "metrics", "optimizers": "optimizers",
    "callbacks": "callbacks", "Sequential": "models/sequential_test.py trainers/trainer_test.py",
    "layers, simple": "layers/activations layers/core layers/normalization layers/regularization layers/reshaping",
    "layers, convolutions": "layers/convolutional layers/pooling",
    "layers, recurrent and joining": "layers/rnn layers/attention layers/merging layers/layer_test.py",
    "layers, images": "layers/preprocessing/image_preprocessing",
}  # fmt: skip


def exceptions():
    """The tests that are known to fail, by file and name, with the reason."""
    found, reason, file = {}, "", ""
    for line in (HERE / "keras_own_exceptions.txt").read_text().splitlines():
        if line.startswith("# "):
            reason = line[2:]
        elif line.startswith(" "):
            found[f"{file}::{line.strip()}"] = reason
        else:
            file = line
    return found


OUTSIDE = ("looks at private", "no distribution", "a stack is one line", "no quantization", "no sparse")
"""How the reasons begin that are no part of the scope; each other test that Keras passes is to pass here as well."""


def share(family, passed, failed):
    """How many tests of a family pass, of those that Keras passes and that are in scope; both are printed."""
    known = exceptions()
    scope = [name for name in passed if not known.get(name, "").startswith(OUTSIDE)]
    done = len(set(scope) - set(failed))
    print(f"{family}: {done} of {len(scope)} in scope; Keras passes {len(passed)}")
    return done, len(scope)


def passed_and_failed(family, folder):
    """The tests that Keras passes, and those among them that fail with Lamina."""
    theirs, ours = (outcomes(subject, family, folder) for subject in ("keras", "lamina"))
    passed = [name for name, outcome in theirs.items() if outcome == "passed"]
    return passed, [name for name in passed if ours.get(name) != "passed"]


def outcomes(subject, family, folder):
    """What became of each test of a family: passed, failed or skipped."""
    paths = [SOURCE / place for place in FAMILIES[family].split()]
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*_test.py")))]
    results = folder / f"{subject}.json"
    told = {
        "KERAS_OWN": subject, "KERAS_OWN_RESULTS": str(results), "KERAS_BACKEND": "jax", "LAMINA_CACHE": "off",
        "PYTHONPATH": str(HERE),
    }  # fmt: skip
    options = ["-p", "keras_own", "--noconftest", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={SOURCE}"]
    more = ["--continue-on-collection-errors", "-q", "-o", "python_files=*_test.py"]
    command = [sys.executable, "-m", "pytest", *options, *more, *map(str, files)]
    done = subprocess.run(command, env=os.environ | told, cwd=folder, capture_output=True, text=True, timeout=5400)
    assert results.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return {name.rpartition("keras/src/")[2]: told[0] for name, told in json.loads(results.read_text()).items()}


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_keras_own_tests_pass_but_for_those_that_are_named(family, tmp_path):
    (passed, failed), known = passed_and_failed(family, tmp_path), exceptions()
    share(family, passed, failed)
    assert len(passed) > 5
    assert [name for name in failed if name not in known] == []
    assert [name for name in passed if name in known and name not in failed] == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        counts = [share(family, *passed_and_failed(family, Path(folder))) for family in FAMILIES]
    done, scope = (sum(each) for each in zip(*counts, strict=True))
    print(f"In all {done} of {scope} in scope: {done / scope:.3f}")
