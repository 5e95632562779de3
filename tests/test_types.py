"""A type checker passes what is right, and marks what is wrong on its line; mypy and pyright see the same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "typed"


def lines_marked_by_mypy(file):
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", file]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    return {int(line): text for line, text in re.findall(r"\w+\.py:(\d+): error: (.*)", told)}


def lines_marked_by_pyright(file):
    # basedpyright is pyright with its Node.js inside the wheel: nothing is fetched when it first runs.
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, file]
    told = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    return {
        found["range"]["start"]["line"] + 1: found["message"]
        for found in told["generalDiagnostics"]
        if found["severity"] == "error"
    }


checkers = pytest.mark.parametrize("marked", [lines_marked_by_mypy, lines_marked_by_pyright])


@checkers
def test_a_right_program_passes(marked):
    assert marked(PROGRAMS / "right.py") == {}


@checkers
def test_every_wrong_line_is_marked(marked):
    program = (PROGRAMS / "wrong.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(program, 1) if "  # " in line}
    assert len(wrong) > 30
    assert set(marked(PROGRAMS / "wrong.py")) == wrong
