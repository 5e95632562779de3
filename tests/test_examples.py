"""Every example as its user runs it, some with less data or fewer epochs than they have without arguments."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ACCURACY = r"Test accuracy.*?: ([\d.]+)%"
# Name, arguments, the numbers that it prints, and from where to where they may lie.
RUNS = [
    ("airline_passengers", "24 40", r"off by ([\d.]+)% on average", 0, 12),  # 15.5 repeats the last year
    ("autoencoder", "2000 30", r"hold ([\d.]+)% of a curve", 98, 100),
    ("census", "", ACCURACY, 84.5, 90),  # Keras: 84.8
    ("contrastive", "2000 8", r"nearest code in ([\d.]+)%", 90, 100),  # the nearest row is right in 69 %
    ("gan", "6400 30", r"off by ([\d.]+) on average, and lie in 4", 0, 0.1),
    ("housing", "3", r"off by ([\d,]+) dollars", 0, 60_000),  # 88,000 says the median of every house
    ("mnist", "12000 2", ACCURACY, 92, 99),
    ("mnist_convnet", "6000 1", ACCURACY, 80, 100),
    ("movie_reviews", "2000 6", ACCURACY, 65, 100),
    ("quickstart", "", r"Total params: (\d+) ", 17, 17),
    ("residual_block", "", ACCURACY, 97, 100),
    ("text_transformer", "1200 3", ACCURACY, 65, 100),
    ("two_towers", "", r"explain ([\d.]+)%", 60, 100),
]
WHOLE = [
    ("housing", "", r"off by ([\d,]+) dollars", 0, 40_000),
    ("mnist", "", ACCURACY, 97.4, 99),  # Keras: 97.5
    ("mnist_convnet", "", ACCURACY, 98.5, 100),
    ("movie_reviews", "", r"convolution: ([\d.]+)%", 85, 100),  # Keras: 86.6 and 86.2
]


def run(folder, name, arguments):
    """What the example says; what it draws lies in the folder."""
    command = [sys.executable, EXAMPLES / f"{name}.py", *arguments.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    if "There is no file" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "pattern", "least", "most"),
    [*RUNS, *(pytest.param(*case, marks=pytest.mark.nightly) for case in WHOLE)],
)
def test_example(tmp_path, name, arguments, pattern, least, most):
    said = run(tmp_path, name, arguments)
    numbers = [float(number.replace(",", "")) for number in re.findall(pattern, said)]
    assert numbers and least <= min(numbers) <= max(numbers) <= most
    for picture in re.findall(r"is in (out/\w+\.png)\.", said):
        assert (tmp_path / picture).stat().st_size > 10_000
    assert ("out/" in said) == (tmp_path / "out").exists() == (name in ("airline_passengers", "census"))


def test_no_example_is_left_out():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {name for name, *_ in RUNS}
