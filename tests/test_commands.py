"""Each command of README, CONTRIBUTING, the pages and the Makefile runs alone, in an empty clone: nightly.

A command that runs all tests, or this file, gets a few tests only; `make bench`, which takes hours, is read by make.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXTS = [
    "README.md",
    "CONTRIBUTING.md",
    "Makefile",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/pages/**/*.md")),
]
COMMAND = re.compile(
    r"(?:(?<!`)`|^ {4}|^# |^)(make [a-z-]+|(?:pip install |python |\.venv/bin/)[^`#\n]+?(?=  |[`#]|$))", re.MULTILINE
)

FEW = {"PYTEST_ADDOPTS": "tests/test_size.py --cov-fail-under=0"}
COLLECTED = {"PYTEST_ADDOPTS": "--collect-only"}
SCRIPT = '''"""A program for Keras."""

import keras

print(keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).count_params())
'''
SAVED = "import lamina as l; l.Sequential([l.layers.Input((2,)), l.layers.Dense(1)]).save(__import__('sys').argv[1])"
SAVE = f'python -c "{SAVED}"'
INSTALLED = ["make wheels", "pip install dist/lamina-*.whl"]

RUN = {
    "make demo": ["make demo"],
    "make test": (["make test"], FEW),
    "make docs": ["make docs"],
    "make site": ["make site"],
    "make check": ["make check"],
    "make coverage": (["make coverage"], FEW),
    "make nightly": (["make nightly"], COLLECTED),
    "make wheels": ["make wheels"],
    "make release-check": ["make --dry-run release-check"],
    "make bench": ["make --dry-run bench"],
    "make clean": ["make clean"],
    ".venv/bin/python -m pytest tests/test_utils.py": ["make check", ".venv/bin/python -m pytest tests/test_utils.py"],
    ".venv/bin/ruff format .": ["make check", ".venv/bin/ruff format ."],
    ".venv/bin/pre-commit install": ["make check", ".venv/bin/pre-commit install"],
    "pip install dist/lamina-*.whl": INSTALLED,
    "pip install dist/lamina-*.whl matplotlib": ["make wheels", "pip install dist/lamina-*.whl matplotlib"],
    "pip install dist/lamina_onednn-*.whl": [*INSTALLED, "pip install dist/lamina_onednn-*.whl"],
    "pip install matplotlib": [*INSTALLED, "pip install matplotlib"],
    "pip install flatbuffers": [*INSTALLED, "pip install flatbuffers"],
    "pip install pillow": [*INSTALLED, "pip install pillow"],
    "pip install scikit-learn": [*INSTALLED, "pip install scikit-learn"],
    "pip install '.[demo]'": ["pip install '.[demo]'"],
    "pip install '.[onnx]'": ["pip install '.[onnx]'"],
    "pip install '.[serve]'": ["pip install '.[serve]'"],
    "python -m lamina launch -n 4 train.py --epochs 20": [
        *INSTALLED, "python -m lamina launch -n 4 -m lamina run script.py --epochs 20",
    ],
    "python -m lamina serve census.keras": [
        "pip install '.[serve]'", f"{SAVE} c.keras", "timeout 30 python -m lamina serve c.keras || test $? = 124",
    ],
    "python -m lamina serve digits.keras": [
        "pip install '.[serve]'", f"{SAVE} d.keras", "timeout 30 python -m lamina serve d.keras || test $? = 124",
    ],
    "python -m http.server --bind 127.0.0.1": ["timeout 5 python -m http.server --bind 127.0.0.1 0 || test $? = 124"],
    "pip install emx-onnx-cgen==1.4.0": ["pip install emx-onnx-cgen==1.4.0"],
    "pip install openvino==2026.4.1": ["pip install openvino==2026.4.1"],
    "python examples/NAME.py": ["pip install '.[demo]'", "for each in examples/*.py; do python $each || exit 1; done"],
    "pip install keras-tuner six": ["pip install keras-tuner six"],
    "python -m lamina run": [*INSTALLED, "python -m lamina run script.py"],
    "python -m lamina run script.py [its arguments]": [*INSTALLED, "python -m lamina run script.py 1 2"],
    "python -m lamina run -m package.module [its arguments]": [*INSTALLED, "python -m lamina run -m package.module 1"],
    "python -m package.module": [*INSTALLED, "python -m lamina run -m package.module"],
    "python -m lamina show moons.keras": [*INSTALLED, f"{SAVE} moons.keras", "python -m lamina show moons.keras"],
    "python -m lamina show census.keras": [*INSTALLED, f"{SAVE} c.keras", "python -m lamina show c.keras"],
}  # fmt: skip
"""For each command of the texts what is typed in an empty clone, what it needs before it included; and what is set."""


def commands():
    """The commands in the texts."""
    found = (each.strip() for text in TEXTS for each in COMMAND.findall((ROOT / text).read_text()))
    return sorted(dict.fromkeys(found))


def test_each_command_of_the_texts_is_tried():
    assert len(commands()) > 20 and set(commands()) == set(RUN)


@pytest.mark.nightly
@pytest.mark.parametrize("command", RUN)
def test_a_command_runs_alone_in_an_empty_clone(command, tmp_path):
    lines, told = RUN[command] if isinstance(RUN[command], tuple) else (RUN[command], {})
    clone, environment = tmp_path / "clone", tmp_path / "environment"
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON", "PYTEST"))
    }
    path = os.pathsep.join(each for each in plain["PATH"].split(os.pathsep) if not Path(each, "activate").exists())
    told = {**plain, "PATH": path, "LAMINA_CACHE": str(tmp_path / "cache"), "MPLBACKEND": "agg", **told}
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    if any(line.startswith(("pip ", "python ", "for ")) for line in lines):
        subprocess.run(["python3", "-m", "venv", environment], check=True, env=told)
        told["PATH"] = os.pathsep.join([str(environment / "bin"), path])
    (clone / "script.py").write_text(SCRIPT)
    (clone / "package").mkdir()
    (clone / "package" / "module.py").write_text(SCRIPT)
    try:
        for line in lines:
            ran = subprocess.run(line, shell=True, cwd=clone, env=told, capture_output=True, text=True, timeout=3000)
            assert ran.returncode == 0, f"{line}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    finally:
        shutil.rmtree(clone)
        shutil.rmtree(environment, ignore_errors=True)
