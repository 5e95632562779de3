"""`verbose="rich"`: rows a second, memory and the time left of all epochs, only where asked."""

import re
import time

import numpy as np
import pytest

from lamina import Sequential, layers
from lamina._display import Progress, details
from lamina.errors import ArgumentError

X = np.zeros((64, 1), "float32")


def model():
    model = Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_fit_in_a_file_says_rows_memory_and_time_left(capsys):
    model().fit(X, X, epochs=2, batch_size=16, verbose="rich")
    first, second = re.findall(r"^Epoch .*", capsys.readouterr().out, re.M)
    words = r"Epoch 1/2 - 4/4 - \d+s - \d+.?s/step - [\d,]+ rows/s - [\d,]+ MB - ETA \d+s - loss: .*"
    assert re.fullmatch(words, first)
    assert " - ETA 0s - " in second


def test_streams_and_predict_have_no_rows_a_second(capsys):
    model().predict(X, batch_size=16, verbose="rich")
    model().fit(((X[:8], X[:8]) for _ in range(4)), verbose="rich", steps_per_epoch=4)
    said = capsys.readouterr().out
    assert said.count(" MB - ETA 0s") == 2 and "rows/s" not in said


def test_no_other_verbose_says_more(capsys):
    model().fit(X, X, verbose=2)
    model().fit(X, X, verbose="auto")
    assert not re.search("rows/s| MB|ETA", capsys.readouterr().out)


def test_the_time_left_counts_the_epochs_that_follow_as_the_last_one(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(details, "memory", lambda: "")
    shown = Progress("rich", epochs=4, steps=10, rows=32)
    shown.verbose = 0  # the text alone is looked at
    shown.begin()
    for step in range(1, 6):
        now[0] += 2
        shown.update(step)
    assert shown._details() == "16 rows/s - ETA 1:10"  # 10 s of this epoch, and 3 of 20 s
    for step in range(6, 11):
        now[0] += 2
        shown.update(step)
    now[0] += 10  # a validation
    shown.end()
    shown.begin()
    now[0] += 2
    shown.update(1)
    assert shown._details().endswith("ETA 1:28")  # 18 s, two epochs of 20 s, three validations of 10 s


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_screen_a_line_is_broken_between_numbers_and_no_figure_is_left_out(monkeypatch, width):
    monkeypatch.setattr(details, "memory", lambda: "292 MB")
    shown = Progress("rich", epochs=2, steps=19, rows=32)
    shown.verbose = 0
    shown.begin()
    shown.update(19, {"AUC": 0.5293, "accuracy": 0.54, "loss": 0.7051})
    lines = shown._line(width).split("\n")
    assert len(lines) > 1 and all(len(line) <= width for line in lines)
    assert " - ".join(line.strip(" -") for line in lines) == shown._line()
    assert "Epoch 1/2 - 19/19 - 0s" in lines[0]
    assert "rows/s" in shown._line(width) and "292 MB" in shown._line(width)


def test_another_word_is_an_error_that_names_rich():
    with pytest.raises(ArgumentError, match='or "rich"'):
        model().fit(X, X, verbose="loud")
