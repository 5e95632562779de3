"""What is shown: on a terminal, in a file, as a picture."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import keras
import nbclient
import nbformat
import numpy as np
import pyte
import pytest
from rich.console import Console

from lamina import _display as display
from lamina import utils
from lamina._display import Progress, progress
from lamina._views.summary import summary
from lamina.callbacks import History, ProgbarLogger
from lamina.errors import ArgumentError, FileError, MissingPackageError
from lamina.utils import learning_curve

END = b"\0"


class Terminal:
    """A terminal as standard output; `text` is all that it was sent, and `lines` what is seen of it in the end."""

    def __init__(self, monkeypatch, columns=120):
        assert progress.TerminalLine.shown is None, "an earlier test left its bar on another terminal"
        ours, theirs = pty.openpty()
        self.ours, self.file, self.sent = ours, os.fdopen(theirs, "w", encoding="utf-8"), b""
        self.screen = pyte.HistoryScreen(columns, 24, history=1000)
        self.stream = pyte.ByteStream(self.screen)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        monkeypatch.setattr(sys, "stdout", self.file)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns)}.items():
            monkeypatch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)

    def read(self):
        """All until END: what a terminal holds may be lost when its other end is closed."""
        while not self.sent.endswith(END):
            piece = os.read(self.ours, 4096)
            self.sent += piece
            self.stream.feed(piece)
        os.close(self.ours)

    def close(self):
        if not self.file.closed:
            print(END.decode(), end="", file=self.file, flush=True)
            self.thread.join()
            self.file.close()

    @property
    def text(self):
        self.close()
        return self.sent.removesuffix(END).decode()

    @property
    def lines(self):
        self.close()
        above = ["".join(row[at].data for at in range(self.screen.columns)) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip("\n").split("\n")


@pytest.fixture
def open_terminal(monkeypatch):
    """To be called in the test itself: pytest sets standard output anew between a fixture and its test."""
    opened = []
    yield lambda columns=120: opened.append(Terminal(monkeypatch, columns)) or opened[0]
    for terminal in opened:
        terminal.close()


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", clock)
    return clock


def run(shown, clock, epochs=2, steps=4, seconds=0.2):
    for epoch in range(epochs):
        shown.begin(epoch)
        for step in range(steps):
            clock.now += seconds
            shown.update(step + 1, {"loss": 0.5 / (step + 1), "accuracy": np.float32(0.5)})
        shown.end({"loss": 0.125, "accuracy": 0.5, "val_loss": 0.25})


@pytest.mark.parametrize("verbose", ["auto", 1, 2, True, np.int64(2)])
def test_a_file_gets_one_plain_line_an_epoch(capsys, clock, verbose, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as many build servers do
    with Progress(verbose, epochs=2, steps=4) as shown:
        run(shown, clock)
    line = "4/4 - 1s - 200ms/step - accuracy: 0.5000 - loss: 0.1250 - val_loss: 0.2500\n"
    assert capsys.readouterr().out == f"Training begins: 2 epochs of 4 steps\nEpoch 1/2 - {line}Epoch 2/2 - {line}"


@pytest.mark.parametrize(
    ("initial", "epochs", "steps", "line"),
    [
        (0, 1, 1, "Training begins: 1 epoch of 1 step"),
        (0, 3, None, "Training begins: 3 epochs"),
        (3, 10, 79, "Training begins: 7 epochs of 79 steps"),
        (0, None, 79, ""),  # evaluate and predict
    ],
)
def test_a_file_is_told_at_once_that_training_begins(capsys, initial, epochs, steps, line):
    shown = Progress(epochs=epochs, steps=steps, initial_epoch=initial)
    shown.begin()
    assert capsys.readouterr().out.rstrip("\n") == line
    shown.begin()
    assert capsys.readouterr().out == ""


def test_a_file_is_told_each_minute_that_an_epoch_goes_on(capsys, clock):
    shown = Progress(epochs=2, steps=400)
    shown.begin()
    for step in range(200):
        clock.now += 1
        shown.update(step + 1, {"loss": 0.5 - step / 1000})
    for step in range(70):
        clock.now += 1
        shown.validate(step + 1)
    shown.end({"loss": 0.25})
    shown.begin()
    clock.now += 59
    shown.update(1, {"loss": 0.25})
    assert capsys.readouterr().out.splitlines() == [
        "Training begins: 2 epochs of 400 steps",
        "Epoch 1/2 -  60/400 - 60s - 1s/step - loss: 0.4410",
        "Epoch 1/2 - 120/400 - 120s - 1s/step - loss: 0.3810",
        "Epoch 1/2 - 180/400 - 180s - 1s/step - loss: 0.3210",
        "Epoch 1/2 - 200/400 - validation step 40 - 240s - 1s/step - loss: 0.3010",
        "Epoch 1/2 - 200/400 - 270s - 1s/step - loss: 0.2500",
    ]


def test_verbose_2_ends_with_the_line_of_keras(capsys):
    logs = {"accuracy": 0.5, "loss": 0.25, "small": 0.0001}
    bar = keras.utils.Progbar(100, verbose=2, stateless_metrics=[])
    bar.update(100, list(logs.items()), finalize=True)
    theirs = capsys.readouterr().out
    shown = Progress(2, steps=100)
    shown.begin()
    shown.update(100)
    shown.end(logs)
    ours = capsys.readouterr().out
    assert re.sub(r"\d+us/step", "us/step", ours) == re.sub(r"\d+us/step", "us/step", theirs)


def test_verbose_0_is_silent(capsys, clock):
    run(Progress(0, epochs=2, steps=4), clock, seconds=100)
    assert capsys.readouterr().out == ""


def test_output_goes_where_stdout_points_at_that_moment(monkeypatch, clock):
    shown, stream = Progress(1, epochs=1, steps=4), io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    run(shown, clock, epochs=1)
    assert stream.getvalue().startswith("Training begins: 1 epoch of 4 steps\n4/4 - 1s - 200ms/step")


def test_a_terminal_keeps_the_line_of_each_finished_epoch(open_terminal, clock):
    terminal = open_terminal()
    with Progress("auto", epochs=2, steps=4) as shown:
        run(shown, clock)
    last = "4/4 - 1s - 200ms/step - accuracy: 0.5000 - loss: 0.1250 - val_loss: 0.2500"
    assert terminal.lines == [f"Epoch 1/2 - {last}", f"Epoch 2/2 - {last}"]
    assert f"Epoch 2/2 2/4\x1b[0m \x1b[32m{'━' * 10}\x1b[0m\x1b[37m{'━' * 10}" in terminal.text


USUAL = {"accuracy": 0.9875, "loss": 0.125, "val_accuracy": 0.975, "val_loss": 0.25}
TWELVE = {f"metric_{at}": (at + 1) / 16 for at in range(11)} | {"loss": 0.5}
LONG = {"loss": 0.5, "top_5_categorical_accuracy_of_all_rows": 0.9}
WIDTHS = [
    (100, USUAL, """\
Epoch 3/20 45/90 ━━━━━━━━━━━━━━━━━━━━ 9s 200ms/step - accuracy: 0.9875 - loss: 0.1250
Epoch 3/20 - 90/90 - 18s - accuracy: 0.9875 - loss: 0.1250 - val_accuracy: 0.9750 - val_loss: 0.2500"""),
    (95, USUAL, """\
Epoch 3/20 45/90 ━━━━━━━━━━━━━━━━━━━━ 9s 200ms/step - accuracy: 0.9875 - loss: 0.1250
Epoch 3/20 - 18s - accuracy: 0.9875 - loss: 0.1250 - val_accuracy: 0.9750 - val_loss: 0.2500"""),
    (80, USUAL, """\
Epoch 3/20 45/90 ━━━━━━━━━━━━━━━ 9s 200ms/step - accuracy: 0.9875 - loss: 0.1250
Epoch 3/20 - 90/90 - 18s - 200ms/step - accuracy: 0.9875 - loss: 0.1250 -
  val_accuracy: 0.9750 - val_loss: 0.2500"""),
    (40, USUAL, """\
Epoch 3/20 45/90 ━━━━━ 9s - loss: 0.1250
Epoch 3/20 - 90/90 - 18s - 200ms/step -
  accuracy: 0.9875 - loss: 0.1250 -
  val_accuracy: 0.9750 -
  val_loss: 0.2500"""),
    (80, TWELVE, """\
Epoch 3/20 45/90 ━━━━━━━ 9s - loss: 0.5000 - metric_0: 0.0625 - metric_1: 0.1250
Epoch 3/20 - 90/90 - 18s - 200ms/step - loss: 0.5000 - metric_0: 0.0625 -
  metric_1: 0.1250 - metric_10: 0.6875 - metric_2: 0.1875 - metric_3: 0.2500 -
  metric_4: 0.3125 - metric_5: 0.3750 - metric_6: 0.4375 - metric_7: 0.5000 -
  metric_8: 0.5625 - metric_9: 0.6250"""),
    (60, LONG, """\
Epoch 3/20 45/90 ━━━━━━━━━━━━━━━━━━━━ 9s - loss: 0.5000
Epoch 3/20 - 90/90 - 18s - 200ms/step - loss: 0.5000 -
  top_5_categorical_accuracy_of_all_rows: 0.9000"""),
    (18, {"loss": 0.125}, """\
Epoch 3/20 45/90 9
Epoch 3/20 -
  90/90 - 18s -
  200ms/step -
  loss: 0.1250"""),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "logs", "lines"), WIDTHS)
def test_no_line_breaks_within_a_number(open_terminal, clock, columns, logs, lines):
    """The bar has one line, where what does not fit is left out; a finished epoch has all of its numbers."""
    terminal = open_terminal(columns)
    for steps in (45, 90):
        with Progress(epochs=20, steps=90) as shown:
            shown.begin(2)
            for step in range(steps):
                clock.now += 0.2
                shown.update(step + 1, {name: value for name, value in logs.items() if "val" not in name})
            if steps == 90:
                shown.end(logs)
    assert terminal.lines == lines.splitlines()


def test_a_terminal_that_says_it_has_no_columns_gets_whole_lines(open_terminal, clock, monkeypatch):
    terminal = open_terminal()
    monkeypatch.setenv("COLUMNS", "0")
    with Progress(steps=4) as shown:
        run(shown, clock, epochs=1)
    assert terminal.text == "4/4 - 1s - 200ms/step - accuracy: 0.5000 - loss: 0.1250 - val_loss: 0.2500\r\n"


def test_the_bar_grows_and_tells_the_time_left(open_terminal, clock):
    terminal = open_terminal()
    with Progress(steps=400) as shown:
        shown.begin()
        clock.now += 50  # compiling
        shown.update(100, {})
        clock.now += 100
        shown.update(200, {})
    text = terminal.text
    assert "\x1b[1m  0/400\x1b[0m \x1b[37m" + "━" * 20 in text
    assert "\x1b[32m" + "━" * 5 + "\x1b[0m\x1b[37m" + "━" * 15 in text
    assert "200/400" in text and "\x1b[1m 3:20\x1b[0m 1s/step" in text


def test_an_unknown_number_of_steps_is_known_after_the_first_epoch(open_terminal, clock):
    terminal = open_terminal()
    with Progress(epochs=2) as shown:
        run(shown, clock)
    assert "      1/Unknown" in terminal.text
    assert terminal.lines[0].startswith("Epoch 1/2 - 4/4 - 1s")
    assert "Unknown" not in terminal.text.partition("Epoch 2/2")[2]


def test_the_terminal_is_drawn_at_most_ten_times_a_second_and_reads_nothing_in_between(open_terminal, clock):
    open_terminal()

    class Costly:
        read = 0

        def __array__(self, *args, **kwargs):
            self.read += 1
            return np.array(0.5)

    costly = Costly()
    with Progress(steps=1000) as shown:
        shown.begin()
        for step in range(1000):  # of a millisecond each
            clock.now += 0.001
            shown.update(step + 1, {"loss": costly})
    assert costly.read in (10, 11)  # the last step is shown at once, since validation and callbacks follow


def test_the_last_step_is_shown_before_the_callbacks_that_follow_it(open_terminal, clock):
    terminal = open_terminal()
    with Progress(epochs=2, steps=4) as shown:
        shown.begin()
        for step in range(4):
            clock.now += 0.01
            shown.update(step + 1, {"loss": 0.5})
        print("from a callback")
    bars = [f"{step}/4" for step in (0, 4)]
    assert re.findall(r"\d/4", terminal.text.partition("from a callback")[0]) == bars


def test_an_interrupt_leaves_a_clean_terminal(open_terminal, clock):
    terminal = open_terminal()
    before = sys.stdout, sys.stderr

    def interrupted():
        with Progress(epochs=3, steps=4) as shown:
            shown.begin(0)
            clock.now += 1
            shown.update(2, {"loss": 0.5})
            print("from a callback")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (sys.stdout, sys.stderr) == before
    assert terminal.text.count("\x1b[?25l") == terminal.text.count("\x1b[?25h") == 1  # the cursor, hidden and shown
    above, bar = terminal.lines
    assert above == "from a callback" and bar.startswith("Epoch 1/3 2/4 ━")


def test_quick_epochs_are_printed_once_each(open_terminal, clock):
    terminal = open_terminal()
    with Progress(epochs=50, steps=4) as shown:
        run(shown, clock, epochs=50, seconds=0.001)
    assert sum("4/4" in line for line in terminal.lines) == 50
    assert terminal.text.count("\x1b[?25l") <= 3  # only about one in 25 lasted until a drawing


def test_a_run_within_a_run_takes_the_place_of_its_bar(open_terminal, clock):
    """As a callback's `evaluate` does; and what is printed goes above."""
    terminal = open_terminal()
    with Progress(epochs=1, steps=4) as outer:
        outer.begin()
        clock.now += 1
        outer.update(4, {"loss": 0.5})
        with Progress(steps=2) as inner:
            run(inner, clock, epochs=1, steps=2)
        print("from a callback")
        outer.update(4, {"loss": 0.5})
        print("and another")
        outer.end({"loss": 0.25})
    assert terminal.lines == [
        "2/2 - 0s - 200ms/step - accuracy: 0.5000 - loss: 0.1250 - val_loss: 0.2500",
        "from a callback",
        "and another",
        "4/4 - 1s - 350ms/step - loss: 0.2500",
    ]


def test_threads_may_train_side_by_side(open_terminal):
    terminal, before = open_terminal(), sys.stdout
    failures = []

    def train(steps):
        try:
            with Progress(epochs=2, steps=steps) as shown:
                for _ in range(2):
                    shown.begin()
                    for step in range(steps):
                        shown._drawn = 0.0
                        shown.update(step + 1, {"loss": 0.5})
                    shown.end({"loss": 0.25})
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=train, args=(steps,)) for steps in (41, 42, 43)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and sys.stdout is before
    said = "\n".join(terminal.lines)
    assert all(f"Epoch {epoch}/2 - {steps}/{steps} - " in said for epoch in (1, 2) for steps in (41, 42, 43))


def test_the_bar_says_how_far_the_validation_is(open_terminal, clock):
    terminal = open_terminal()
    with Progress(epochs=2, steps=4) as shown:
        shown.begin()
        clock.now += 1
        shown.update(4, {"loss": 0.5})
        clock.now += 1
        shown.validate(17)
    assert terminal.lines == [f"Epoch 1/2 4/4 {'━' * 20} validation step 17 250ms/step - loss: 0.5000"]


def test_no_colour_still_shows_how_far_it_is(open_terminal, clock, monkeypatch):
    terminal = open_terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    with Progress(steps=4) as shown:
        shown.begin()
        clock.now += 1
        shown.update(1, {})
    assert terminal.lines[0].startswith("1/4 ━━━━━                ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2.0, "2s/step"), (0.25, "250ms/step"), (0.0005, "500us/step"), (0, "0s/step")],
)
def test_time_per_step(capsys, clock, seconds, words):
    run(Progress(2, steps=4), clock, epochs=1, seconds=seconds)
    assert f" - {words} - " in capsys.readouterr().out


def test_the_first_step_and_validation_do_not_count_as_speed(capsys, clock):
    shown = Progress(2, steps=3)
    shown.begin()
    for step, seconds in enumerate((9.0, 0.25, 0.25), 1):
        clock.now += seconds
        shown.update(step)
    clock.now += 3.5
    shown.end()
    assert capsys.readouterr().out == "3/3 - 13s - 250ms/step\n"


def test_epochs_are_counted_from_the_initial_one(capsys):
    shown = Progress(2, epochs=10, steps=1, initial_epoch=8)
    for _ in range(2):
        shown.begin()
        shown.end({"change": -0.5, "tiny": -0.0001, "zero": 0.0})
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(0) == "Training begins: 2 epochs of 1 step"
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 9/10", "Epoch 10/10"]
    assert lines[0].endswith("change: -0.5000 - tiny: -1.0000e-04 - zero: 0.0000e+00")


@pytest.mark.parametrize("verbose", [4, "loud", None, [1]])
def test_other_verbosity_is_refused(verbose):
    with pytest.raises(ArgumentError, match=re.escape("2 (one line an epoch)")):
        Progress(verbose)


CELLS = [
    """
import os, signal
import numpy as np
import lamina as keras
x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
model.compile("sgd", "mse")
class Print(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("from a callback")
""",
    "model.fit(x, x**2, epochs=3, callbacks=[Print()], validation_split=0.5, batch_size=32);",
    "model.fit(x, x, epochs=60);",
    """
class Press(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            os.kill(os.getpid(), signal.SIGINT)
model.fit(x, x, callbacks=[Press()])
""",
    "for rate in (0.1, 0.2):\n    model.optimizer.lr = rate",
]


@pytest.fixture(scope="module")
def notebook():
    """The outputs of each cell but the first, as a real kernel made them."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    run = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(run, kernel_name="python3", timeout=120, allow_errors=True).execute()
    assert run.cells[0].outputs == []
    return [[Output(out) for out in cell.outputs] for cell in run.cells[1:]]


class Output:
    def __init__(self, out):
        self.kind = out.output_type
        text = {"stream": lambda: out.text, "error": lambda: "\n".join(out.traceback)}
        self.text = text.get(self.kind, lambda: out.data["text/plain"])()
        self.lines = re.sub(r"\x1b\[[\d;]*m", "", self.text).splitlines()
        self.html = out.data["text/html"] if self.kind == "display_data" else ""


def test_a_notebook_has_one_output_in_which_each_epoch_keeps_its_line(notebook):
    shown, *printed = notebook[0]
    assert [line.split(" - ")[0] for line in shown.lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert all(re.search(r" - loss: \S+ - val_loss: \S+$", line) for line in shown.lines)
    assert shown.html.startswith('<pre style="white-space:pre;') and shown.html.count("Epoch") == 3
    assert {out.kind for out in printed} == {"stream"}
    assert "".join(out.text for out in printed) == "from a callback\n" * 3


def test_a_notebook_with_many_epochs_does_not_send_all_of_them_again(notebook):
    assert [len(out.lines) for out in notebook[1]] == [50, 10]
    assert notebook[1][1].lines[-1].startswith("Epoch 60/60 - 2/2 - ")


def test_a_notebook_is_sent_a_text_at_most_ten_times_a_second(monkeypatch, clock):
    sent = []

    class Output:
        def __init__(self, text, display_id):
            self.update(text)

        def update(self, text):
            sent.append(text.plain.splitlines())

    monkeypatch.setattr("IPython.display.display", Output)
    console = Console(file=io.StringIO())
    console.is_jupyter = True
    monkeypatch.setattr(progress, "Console", lambda **options: console)
    with Progress("auto", epochs=75, steps=4) as shown:
        run(shown, clock, epochs=75, seconds=0.004)
    assert 12 <= len(sent) <= 25  # in 1.2 seconds: each epoch whose bar was sent is sent again with its last step
    assert sent[0][0].startswith("Epoch 1/75 0/4 ") and max(map(len, sent)) <= 51
    assert len(sent[-1]) == 25 and sent[-1][-1].startswith("Epoch 75/75 - 4/4 - 0s")


def test_ctrl_c_in_a_notebook_leaves_the_bar_and_shows_the_users_line(notebook):
    shown, error = notebook[2]
    assert len(shown.lines) == 1 and shown.lines[0].startswith("2/2 ━")
    assert error.lines[-1].startswith("KeyboardInterrupt") and "----> 5 model.fit" in "\n".join(error.lines)
    assert "lamina/" not in error.text and sum("KeyboardInterrupt" in line for line in error.lines) == 2


def test_a_warning_in_a_notebook_stands_on_the_users_line_and_is_shown_once(notebook):
    [said] = notebook[3]
    warning, line = said.lines
    assert re.search(r"\d\.py:2: LaminaWarning: lr is Keras 2's name of learning_rate, which it sets\.$", warning)
    assert line == "  model.optimizer.lr = rate"


def test_the_callback_shows_the_same(capsys, clock):
    bar = ProgbarLogger()
    bar.set_params({"verbose": 2, "epochs": 2, "steps": 4})
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    for batch in range(4):
        clock.now += 0.2
        bar.on_train_batch_end(batch, {})
    bar.on_test_begin()  # a validation has no line of its own
    clock.now += 60
    bar.on_test_batch_end(0, {})
    clock.now -= 60
    bar.on_test_end({"loss": 3})
    bar.on_epoch_end(0, {"loss": 0.5})
    bar.on_train_end()
    bar.on_test_begin()
    for batch in range(4):
        bar.on_test_batch_end(batch, {})
    bar.on_test_end({"loss": 0.25})
    bar.on_predict_begin()
    bar.on_predict_batch_end(3, {"outputs": np.zeros(3)})
    bar.on_predict_end()
    assert capsys.readouterr().out.splitlines() == [
        "Training begins: 2 epochs of 4 steps",
        "Epoch 1/2 - 4/4 - validation step 1 - 61s - 200ms/step",
        "Epoch 1/2 - 4/4 - 1s - 200ms/step - loss: 0.5000",
        "4/4 - 0s - 0s/step - loss: 0.2500",
        "4/4 - 0s - 0s/step",
    ]


# summary


def layer(kind, of, **changes):
    """A layer of ours, as far as summary sees it, with the facts of Keras's layer."""
    layers = [layer(type(inner).__name__, inner) for inner in getattr(of, "layers", ())]
    facts = {"name": of.name, "built": of.built, "trainable": of.trainable, "count_params": of.count_params}
    if of.built:
        facts |= {name: getattr(of, name) for name in ("weights", "trainable_weights", "non_trainable_weights")}
    shapes = (None, of.output_shape if layers else of.output.shape) if of.built else None
    facts["_lamina"] = SimpleNamespace(shapes=changes.pop("shapes", shapes))
    facts |= {"layers": layers} if layers else {}
    return type(kind, (), facts | changes)()


def keras_model():
    of = keras.layers
    inner = keras.Sequential([keras.Input((8,)), of.Dense(4), of.BatchNormalization()], name="inner")
    inner.layers[0].trainable = False
    return keras.Sequential([keras.Input((8,)), inner, of.Dropout(0.3, name="dropout"), of.Dense(1000, name="last")])


def shown_by(model, **options):
    texts = []
    summary(model, print_fn=texts.append, **options)
    assert len(texts) == 1
    return texts[0]


def cells(text):
    return [re.split(r"\s*[│┃|]\s*", line.strip()) for line in text.splitlines() if not re.search("[━─]", line)]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("options", [{}, {"expand_nested": True, "show_trainable": True}])
def test_summary_says_what_that_of_keras_says(compiled, options, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    theirs = keras_model()
    if compiled:
        theirs.compile("adam", "mse")
        theirs.optimizer.build(theirs.trainable_variables)
    texts = []
    theirs.summary(print_fn=texts.append, **options)
    ours = shown_by(layer("Sequential", theirs, optimizer=theirs.optimizer if compiled else None), **options)
    assert cells(ours) == cells(texts[0].replace("Traina…", "Trainable"))
    assert ("Optimizer params" in ours) == compiled
    assert {len(line) for line in ours.splitlines()[1:-4]} == {100 if options else 88}


def test_summary_of_an_unbuilt_model_says_so(capsys):
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)], name="bare")
    summary(layer("Sequential", model, optimizer=None))
    rows = cells(capsys.readouterr().out)
    assert rows[2][2:4] == rows[3][2:4] == ["?", "0 (unbuilt)"]
    assert ["Total params: 0 (0.00 B)"] in rows
    assert rows[-1] == ["Not built yet: call the model on data, or give its first layer an input_shape."]


def test_a_shared_weight_counts_once():
    model = keras_model()
    twice = layer("Sequential", model, optimizer=None, trainable_weights=model.trainable_weights * 2)
    assert f"Trainable params: {sum(np.prod(w.shape) for w in model.trainable_weights):,} (" in shown_by(twice)


def test_summary_is_readable_where_only_ascii_can_be_printed(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    summary(layer("Sequential", keras_model(), optimizer=None), expand_nested=True)
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")
    assert "| Layer (type) " in text and "|_ dense" in text and "\x1b" not in text


def listed(text):
    return [row[1].split(" ")[0] for row in cells(text) if len(row) > 3][1:]


@pytest.mark.parametrize(
    ("layer_range", "names"),
    [
        (("dropout", "last"), ["dropout", "last"]),
        (("last", "dropout"), ["dropout", "last"]),
        (("in.*", "d"), ["inner", "dropout"]),
        (("inner", "inner"), ["inner"]),
    ],
)
def test_layer_range(layer_range, names):
    theirs, texts = keras_model(), []
    theirs.summary(print_fn=texts.append, layer_range=layer_range)
    ours = shown_by(layer("Sequential", theirs, optimizer=None), layer_range=layer_range)
    assert listed(ours) == listed(texts[0]) == names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer_range": ("iner", "last")}, "no layer is called 'iner'. Did you mean 'inner'?"),
        ({"layer_range": ("inner", "(")}, "neither a layer nor a regular expression"),
        ({"layer_range": ("inner",)}, "the first and of the last layer"),
        ({"layer_range": "inner"}, "the first and of the last layer"),
        ({"line_length": 12}, "Give a larger line_length"),
        ({"positions": (0.5, 1.0)}, "3 growing numbers"),
        ({"positions": (0.5, 0.4, 1.0)}, "3 growing numbers"),
    ],
)
def test_summary_refuses_wrong_arguments(options, words):
    with pytest.raises(ArgumentError) as caught:
        shown_by(layer("Sequential", keras_model(), optimizer=None), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("positions", [(0.4, 0.7, 1.0), (40, 70, 100)])
def test_positions_and_line_length(positions):
    text = shown_by(layer("Sequential", keras_model(), optimizer=None), line_length=100, positions=positions)
    heading = text.splitlines()[2]
    assert [match.start() for match in re.finditer("┃", heading)] == [0, 39, 69, 99]


# learning_curve


def history(epochs=4, **extra):
    record = History()
    for epoch in range(epochs):
        logs = {"loss": 1 / (epoch + 1), "accuracy": epoch / epochs, **extra}
        if epoch % 2:
            logs |= {"val_loss": abs(epoch - 1) + 0.5, "val_accuracy": 0.25}
        record.on_epoch_end(epoch, logs)
    return record


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    from matplotlib.figure import Figure

    saved, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kw: (saved.append(self), save(self, *args, **kw))[1])
    return saved


def test_learning_curve_draws_each_quantity_with_its_validation(tmp_path, figures):
    path = learning_curve(history(per_class=np.ones(3), learning_rate=0.1), tmp_path / "curve.png")
    assert path == str(tmp_path / "curve.png") and Path(path).read_bytes()[:4] == b"\x89PNG"
    titles = [axes.get_title(loc="left") for axes in figures[0].axes]
    assert titles == ["loss", "accuracy", "learning rate"]  # what is not one number an epoch is left out
    lines = {line.get_label(): line for line in figures[0].axes[0].lines}
    assert list(lines["training"].get_xdata()) == [1, 2, 3, 4]
    assert list(lines["validation"].get_xdata()) == [2, 4]  # it was validated in every second epoch
    assert list(lines["validation"].get_ydata()) == [0.5, 2.5]
    assert figures[0].get_suptitle() == "Learning curve, best at epoch 2 (lowest validation loss)"
    assert figures[0].axes[0].get_title(loc="right") == "0.5000 at epoch 2"


def test_learning_curve_of_a_plain_dict(tmp_path, figures):
    learning_curve({"loss": [3.0, float("nan"), 1.0, 2.0], "val_mae": [1.0, 2.0]}, tmp_path / "curve.svg")
    loss, mae = figures[0].axes
    assert "best at epoch 3 (lowest training loss)" in figures[0].get_suptitle()
    assert list(mae.lines[0].get_xdata()) == [2, 4]
    assert all(tick == int(tick) for tick in loss.get_xticks())
    learning_curve({"loss": [0.5]}, tmp_path / "one.png")
    assert figures[1].get_suptitle() == "Learning curve"


def test_matplotlib_is_imported_only_to_draw():
    script = "import sys, lamina; lamina.utils.learning_curve; assert not {'matplotlib', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_learning_curve_leaves_pyplot_alone(tmp_path):
    sys.modules.pop("matplotlib.pyplot", None)
    learning_curve(history(), tmp_path / "curve.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_a_learning_curve_is_written_whole_or_not_at_all(tmp_path):
    path = learning_curve(history(), tmp_path / "curve")
    before = Path(path).read_bytes()
    assert path.endswith("curve.png") and before[:4] == b"\x89PNG"
    with pytest.raises(FileError, match=r"os\.makedirs"):
        learning_curve(history(), tmp_path / "nowhere" / "curve.png")
    with pytest.raises(ArgumentError, match="expected the name of a file"):
        learning_curve(history(), None)
    with pytest.raises(ArgumentError, match="psd"):
        learning_curve(history(), tmp_path / "curve.psd")
    assert Path(path).read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_learning_curve_says_what_it_cannot_draw(tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match="the history is empty"):
        learning_curve(History())
    with pytest.raises(ArgumentError, match=re.escape("its .history dict, got list")):
        learning_curve([0.5, 0.4])
    with pytest.raises(ArgumentError, match="png"):
        learning_curve(history(), tmp_path / "curve.xyz")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=re.escape("pip install matplotlib")) as caught:
        learning_curve(history())
    assert isinstance(caught.value, ImportError)


def test_a_missing_display_names_the_nearest():
    with pytest.raises(AttributeError, match="Did you mean 'learning_curve'"):
        utils.learning_curves  # noqa: B018
    with pytest.raises(AttributeError, match="Did you mean 'tables'"):
        display.tabels  # noqa: B018


def test_a_bar_of_another_width_and_unit(open_terminal, clock):
    terminal = open_terminal()
    with Progress(steps=4, width=8, unit="row", interval=0.5) as shown:
        shown.begin()
        for row in range(3):
            clock.now += 0.2
            shown.update(row + 1)
    assert f"\x1b[32m{'━' * 6}\x1b[0m\x1b[37m{'━' * 2}\x1b[0m" in terminal.text and "ms/row" in terminal.text
    assert "2/4" not in terminal.text  # half a second had not passed
