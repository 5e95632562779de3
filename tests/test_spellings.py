"""Programs for Keras as people have written them since 2015 run unchanged, and say what their spellings became."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "spellings"
PROGRAMS = sorted(path for path in FOLDER.glob("*.py") if path.name != "run.py")
SAYS = re.compile(r"^# > (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def done():
    """What each program printed; they run in one process, which compiles what they have in common once."""
    command = [sys.executable, FOLDER.parent / "quick_child.py", FOLDER / "run.py", *PROGRAMS]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_there_are_forty_programs():
    assert len(PROGRAMS) >= 40


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_runs_as_it_is_and_is_told_what_became_of_its_spellings(done, path):
    result = done[str(path)]
    assert result["status"] == 0, "\n".join(result["stderr"])
    assert result["stderr"] == SAYS.findall(path.read_text())
