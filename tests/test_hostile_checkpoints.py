"""Checkpoints that somebody else has made, and folders of checkpoints that somebody else has filled."""

import os
import shutil

import numpy as np
import pytest

import lamina
from lamina import callbacks, layers
from lamina._saving import checkpoint as checkpoints
from lamina._saving import show
from lamina.errors import FileError, LaminaWarning

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X[:, :1]


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch):
    monkeypatch.setattr(checkpoints, "_ended", {})


class Notes(callbacks.Callback):
    def __init__(self, path="notes/log.txt"):
        self.seen, self.path, self.text, self.best = [], path, "none", None

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)
        self.best, self.text = logs["loss"], f"epoch {epoch}"


def fit(folder, *more, epochs=2, data=(X, Y), **told):
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    try:
        model.fit(*data, epochs=epochs, batch_size=5, verbose=0, callbacks=list(more), checkpoint=str(folder), **told)
    except FileError:
        assert all(map(np.array_equal, before, model.get_weights())) and model.history is None
        raise
    return model


@pytest.fixture(scope="module")
def genuine(tmp_path_factory):
    """A folder with the states of a run, to be copied."""
    fit(tmp_path_factory.mktemp("genuine"), Notes())
    return sorted(tmp_path_factory.getbasetemp().glob("genuine*"))[-1]


def rewritten(folder, change, genuine):
    """Change all states of a folder, with the right hash."""
    checkpoints._ended.clear()
    shutil.copytree(genuine, folder, dirs_exist_ok=True)
    for name in checkpoints.states_in(str(folder)):
        facts, arrays, _ = checkpoints.read(str(folder / name))
        change(facts, arrays)
        (folder / name).write_bytes(b"".join(checkpoints.packed(checkpoints.Saved(facts, arrays))))


def place(**told):
    return lambda facts, arrays: facts["place"].update(told)


def run(**told):
    return lambda facts, arrays: facts["run"].update(told)


def tupled(*numbers):
    return {"$tuple": list(numbers)}


FACTS = {
    "an epoch of 10**18": place(epoch=10**18),
    "an epoch that never began": place(epoch=10**6),
    "an epoch below 0": place(epoch=-1),
    "an epoch that is True": place(epoch=True),
    "an epoch that is text": place(epoch="1"),
    "10**12 steps of an epoch": place(done=10**12),
    "more steps than an epoch has": place(done=5),
    "half a step": place(done=0.5),
    "ended, maybe": place(ended="maybe"),
    "stops, maybe": place(stops=1),
    "a loss that is text": place(logs={"loss": "x"}),
    "a val_loss that is None": place(logs={"val_loss": None}),
    "a loss that is a list of text": place(logs={"loss": ["x"]}),
    "logs by number": place(logs={"$dict": [[1, 2.0]]}),
    "firsts that go back": place(firsts=tupled(5, 0)),
    "firsts beyond all steps": place(firsts=tupled(0, 2**30)),
    "firsts of text": place(firsts=tupled("a", "b")),
    "a million epochs begun": place(firsts=tupled(*[0] * 10**6)),
    "another place": place(place=1),
    "no run": lambda facts, arrays: facts.pop("run"),
    "a run of numbers": run(loss=1),
    "a seed of True": lambda facts, arrays: facts.update(seed=True),
    "a seed below 0": lambda facts, arrays: facts.update(seed=-1),
    "a step of -5": lambda facts, arrays: arrays.update(step=np.int32(-5)),
    "a step of 64 bits": lambda facts, arrays: arrays.update(step=np.int64(2**40)),
    "a step that is a vector": lambda facts, arrays: arrays.update(step=np.zeros(3, "int32")),
    "no step": lambda facts, arrays: arrays.pop("step"),
    "a rate that is a matrix": lambda facts, arrays: arrays.update({"optimizers/0/learning_rate": np.ones((2, 2))}),
    "attributes by number": lambda facts, arrays: facts["callbacks"].append({"class": "Notes", "attributes": [1]}),
    "a tuple as callbacks": lambda facts, arrays: facts.update(callbacks=7),
    "a set of sets of itself": lambda facts, arrays: facts["callbacks"].append({"class": "A", "attributes": {
        "a": {"$set": [{"$dict": [[{"$numpy": 0}, 1]]}]}
    }}),
}  # fmt: skip


@pytest.mark.parametrize("what", FACTS)
def test_a_fact_of_the_wrong_type_or_beyond_its_bounds_is_refused(what, tmp_path, genuine):
    rewritten(tmp_path, FACTS[what], genuine)
    with pytest.raises(FileError, match=r"is not a state of a run|are of another run"):
        fit(tmp_path, Notes(), epochs=4)


def test_an_empty_run_is_said_to_be_another_one(tmp_path, genuine):
    rewritten(tmp_path, lambda facts, arrays: facts.update(run={}), genuine)
    with pytest.raises(FileError, match="are of another run"):
        fit(tmp_path, Notes(), epochs=4)


def test_what_show_prints_of_any_of_them_is_no_error_of_pythons(tmp_path, capsys, genuine):
    for what, change in FACTS.items():
        folder = tmp_path / what.replace("*", "_")
        rewritten(folder, change, genuine)
        assert show.show(str(folder)) in (0, 1)
        capsys.readouterr()


def attributes(**told):
    def change(facts, arrays):
        next(each for each in facts["callbacks"] if each["class"] == "Notes")["attributes"].update(told)

    return change


def test_a_genuine_state_gives_a_callback_what_it_knew(tmp_path):
    fit(tmp_path, Notes())
    again = Notes()
    checkpoints._ended.clear()
    fit(tmp_path, again, epochs=3)
    assert again.seen == [0, 1, 2] and again.text == "epoch 2" and again.best is not None


@pytest.mark.parametrize(
    "told",
    [
        {
            "__class__": 1, "__dict__": {}, "set_model": 1, "on_epoch_end": 1, "model": 1, "_model": 1, "_lamina": 1,
            "params": {"epochs": 1}, "unknown": 1, "every_batch": False, "handles_nan": True, "_lamina_left": 10**9,
        },
        {"path": "/etc/passwd", "text": "/tmp/x", "seen": [0, {"deep": "../../x"}]},
        {"path": ["..\\x"], "text": {"a/b": 1}},
    ],
)  # fmt: skip
def test_a_state_sets_what_the_callback_has_and_no_path(told, tmp_path, genuine):
    rewritten(tmp_path, attributes(**told), genuine)
    again = Notes()
    before = {name: getattr(again, name) for name in dir(again) if name not in ("seen", "text", "best", "params")}
    fit(tmp_path, again, epochs=3)
    assert type(again) is Notes and again.path == "notes/log.txt" and "/" not in again.text
    assert all("/" not in str(each) for each in again.seen) and "unknown" not in vars(again)
    assert again.every_batch is True and again.handles_nan is False and again.params["epochs"] == 3
    assert set(dir(again)) == {*before, "seen", "text", "best", "params"}


def test_what_a_callback_sets_too_late_is_said(tmp_path):
    class Late(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begun = epoch

        def on_epoch_end(self, epoch, logs=None):
            self.count = getattr(self, "count", 0) + 1

    with pytest.warns(LaminaWarning, match=r"a run that goes on has no Late\.count") as said:
        fit(tmp_path, Late(), epochs=3)
    assert len(said) == 1


def harm_folder(what, folder, outside):
    states = [folder / name for name in checkpoints.states_in(str(folder))]
    match what:
        case "a link in place of the best":
            (folder / "best.safetensors").unlink(missing_ok=True)
            (folder / "best.safetensors").symlink_to(outside)
        case "a pipe as the newest state":
            os.mkfifo(folder / "step-0009999999.safetensors")
        case "a folder as the newest state":
            (folder / "step-0009999999.safetensors").mkdir()
        case "a link as the newest state":
            (folder / "step-0009999999.safetensors").symlink_to(outside)
        case "a link to nowhere as the newest state":
            (folder / "step-0009999999.safetensors").symlink_to("nowhere")
        case "60 GB of nothing as the newest state":
            with open(folder / "step-0009999999.safetensors", "wb") as file:
                file.truncate(60 * 2**30)
        case "a folder in place of the best":
            (folder / "best.safetensors").unlink(missing_ok=True)
            (folder / "best.safetensors").mkdir()
        case "files of somebody else":
            (folder / "thesis.txt").write_text("mine")
            (folder / "step-1.safetensors").write_text("mine")
        case "a link in place of the next state":
            (folder / states[-1].name.replace("0008", "0012")).symlink_to(outside)


@pytest.mark.parametrize(
    "what",
    [
        "a link in place of the best", "a pipe as the newest state", "a folder as the newest state",
        "a link as the newest state", "a link to nowhere as the newest state", "60 GB of nothing as the newest state",
        "a folder in place of the best", "files of somebody else",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::lamina.errors.LaminaWarning")
def test_a_folder_that_somebody_else_has_filled(what, tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    outside.write_bytes(b"mine")
    kept = lambda: callbacks.Checkpoint(folder, every="epoch", monitor="loss")  # noqa: E731
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=2, batch_size=5, verbose=0, callbacks=[kept()])
    checkpoints._ended.clear()
    harm_folder(what, folder, outside)
    lamina.utils.set_random_seed(1)
    again = lamina.Sequential([layers.Input((3,)), layers.Dense(1)])
    again.compile("sgd", "mse")
    again.fit(X, Y, epochs=4, batch_size=5, verbose=0, callbacks=[kept()])
    assert outside.read_bytes() == b"mine" and again.history.epoch == [0, 1, 2, 3]
    if what == "files of somebody else":
        assert (folder / "thesis.txt").read_text() == (folder / "step-1.safetensors").read_text() == "mine"


def test_a_folder_that_deletes_its_states_leaves_what_is_not_its_own(tmp_path):
    folder = tmp_path / "backup"
    (folder / "step-0009999999.safetensors").mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(FileError):  # the only state there is a folder: nothing begins anew unasked
        model.fit(X, Y, verbose=0, callbacks=[callbacks.BackupAndRestore(folder)])
    assert sorted(os.listdir(folder)) == ["step-0009999999.safetensors", "thesis.txt"]
