"""The benchmarks' programs build and train with this library; nothing is timed here."""

import ast
import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
QUICKLY = Path(__file__).parent / "quick_child.py"
CODE = "from programs import PROGRAMS; print([(name, program.batch) for name, program in PROGRAMS.items()])"


def test_every_program_trains_two_steps():
    listed = subprocess.check_output([sys.executable, "-c", CODE], cwd=BENCHMARKS, text=True)
    programs = ast.literal_eval(listed)
    assert len(programs) >= 8
    orders = "".join(f"prepare {name}\nfit 1 {2 * batch}\n" for name, batch in programs) + "memory\n"
    worker = [sys.executable, QUICKLY, BENCHMARKS / "worker.py", "lamina"]
    done = subprocess.run(worker, input=orders, capture_output=True, text=True, timeout=300, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["error"] for answer in answers if "error" in answer] == []
    assert [answer["steps"] for answer in answers[1::2]] == [2] * len(programs)
    assert answers[-1]["bytes"] > 2**20
