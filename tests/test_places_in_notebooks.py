"""In a notebook the messages name the cell that the user sees, and not the file that IPython makes up for it."""

import sys
from types import SimpleNamespace

import pytest

from lamina.errors import ShapeError

CELL = """
import numpy as np
from lamina import Sequential, layers
class Own(layers.Layer):
    def call(self, x):
        return x @ np.ones((9, 9))
model = Sequential([layers.Input((4,)), layers.Dense(4)])
model.add(Own())
"""
FILE = "/tmp/ipykernel_12/2409049201.py"
OF_THE_CELL = SimpleNamespace(format_code_name=lambda name: ("Cell", "In[4]") if name == FILE else None)
SHELLS = {
    "notebook": (SimpleNamespace(compile=OF_THE_CELL), "In[4]"),
    "older notebook": (SimpleNamespace(compile=SimpleNamespace()), "2409049201.py"),
    "program that imports IPython": (None, "2409049201.py"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_an_error_names_the_cell_and_its_line(shell, monkeypatch):
    running, said = SHELLS[shell]
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: running))
    with pytest.raises(ShapeError) as caught:
        exec(compile(CELL, FILE, "exec"), {"__name__": "__main__"})
    assert f"added at {said}:8" in str(caught.value) and f"fails at {said}:6" in str(caught.value)


def test_a_place_in_a_file_stays_as_it_is_in_a_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SHELLS["notebook"][0]))
    with pytest.raises(ShapeError, match=r"fails at train\.py:6"):
        exec(compile(CELL, "/home/train.py", "exec"), {"__name__": "__main__"})
