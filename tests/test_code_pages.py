"""Where the output's encoding lacks a character of a name, an escape stands for it: no run is lost by that."""

import io
import sys

import numpy as np
import pytest

from lamina import Sequential, layers
from lamina._saving.show import show


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_names_in_korean_on_a_code_page_without_it_are_escaped(monkeypatch, tmp_path, encoding):
    model = Sequential([layers.Input((1,)), layers.Dense(1, name="층")], name="모델")
    model.compile("sgd", "mse", metrics=[np_error])
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", file)
    model.summary()
    model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=2)
    model.save(tmp_path / "m.keras")
    show(str(tmp_path / "m.keras"))
    file.seek(0)
    said = file.read()
    assert 'Model: "\\ubaa8\\ub378"' in said and "| \\uce35 (Dense)" in said.replace("│", "|")
    assert "\\uc624\\ucc28: " in said and "Stack: \\uce35 (Dense)" in said


def np_error(y_true, y_pred):
    return abs(y_true - y_pred)


np_error.__name__ = "오차"
