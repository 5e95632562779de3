"""Where callbacks write: pipes, folders that are missing, and names that are none are refused in our words, at once."""

import os

import numpy as np
import pytest

from lamina import Input, Sequential, callbacks, layers
from lamina._files import files
from lamina.callbacks.tensorboard import library
from lamina.errors import ArgumentError, FileError, LaminaError

X = np.ones((4, 4), "float32")


def fit(*these, first=None):
    made = Sequential([Input((4,)), first or layers.Dense(1), layers.Flatten(), layers.Dense(1)])
    made.compile("sgd", "mse")
    made.fit(X.astype(int) if isinstance(first, layers.Embedding) else X, X[:, :1], verbose=0, callbacks=list(these))


@pytest.mark.parametrize("append", [False, True])
def test_a_log_that_is_a_pipe_is_refused(append, tmp_path):
    os.mkfifo(log := tmp_path / "log.csv")
    with pytest.raises(FileError, match=r"this\s+is\s+a\s+pipe,\s+not\s+a\s+file"):
        fit(callbacks.CSVLogger(log, append=append))


def test_a_log_that_becomes_a_pipe_is_refused(tmp_path):
    def replace(epoch, logs):
        os.unlink(tmp_path / "log.csv")
        os.mkfifo(tmp_path / "log.csv")

    with pytest.raises(FileError, match=r"this\s+is\s+a\s+pipe,\s+not\s+a\s+file"):
        fit(callbacks.LambdaCallback(on_epoch_end=replace), callbacks.CSVLogger(tmp_path / "log.csv"))


@pytest.mark.parametrize("name", ["projector_config.pbtxt", "train/embedding.tsv"])
def test_a_pipe_among_the_files_of_tensorboard_is_refused(name, tmp_path):
    (tmp_path / "train").mkdir()
    os.mkfifo(tmp_path / name)
    with pytest.raises(FileError, match=r"this\s+is\s+a\s+pipe,\s+not\s+a\s+file"):
        fit(callbacks.TensorBoard(tmp_path, embeddings_freq=1), first=layers.Embedding(3, 2, name="embedding"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "a folder of"), ("no/log.csv", "does not exist"), ("f/l", "a file stands")],
)
def test_a_log_that_cannot_be_made_is_refused_with_its_path(name, said, tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(FileError, match=said) as told:
        fit(callbacks.CSVLogger(tmp_path / name))
    assert str(tmp_path) in str(told.value)


@pytest.mark.parametrize("make", [lambda p: p.touch(), os.mkfifo, lambda p: p.symlink_to("/nowhere/x")])
@pytest.mark.parametrize("name", ["logs", "logs/train"])
def test_a_folder_of_tensorboard_that_cannot_be_made_is_refused_with_its_path(name, make, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    make(tmp_path / name)
    with pytest.raises(FileError) as told:
        fit(callbacks.TensorBoard(tmp_path / "logs"))
    assert str(tmp_path / "logs") in str(told.value)


def test_a_file_of_tensorboard_that_may_not_be_written_is_refused_with_its_path(tmp_path, monkeypatch):
    def forbidden(folder):
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(library(), "EventFile", forbidden)
    with pytest.raises(FileError, match="Permission denied") as told:
        fit(callbacks.TensorBoard(tmp_path / "logs"))
    assert str(tmp_path / "logs" / "train") in str(told.value)


MAKERS = {
    "log.csv": callbacks.CSVLogger,
    "m.keras": callbacks.ModelCheckpoint,
    "logs": callbacks.TensorBoard,
    "backup": callbacks.BackupAndRestore,
    "states": callbacks.Checkpoint,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_name_that_is_none_or_remote_is_refused_before_anything_is_made(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for broken in ("", f"a\0{name}", 1):
        with pytest.raises(ArgumentError, match="expected the name of a f"):
            MAKERS[name](broken)
    for remote in (f"s3://bucket/{name}", f"gs://bucket/{name}"):
        with pytest.raises(LaminaError, match=r"remote\s+paths\s+are\s+not\s+supported"):
            MAKERS[name](remote)
    with pytest.raises(FileError, match=r"remote\s+paths\s+are\s+not\s+supported"):
        files.make_folder("s3://bucket/folder")
    assert os.listdir() == []


@pytest.mark.parametrize("field", ["epoch:01000000000d", "epoch:>{epoch}", "epoch.__class__", "epoch[0]", "loss:.500f"])
def test_the_name_of_a_checkpoint_holds_plain_fields_of_short_widths(field):
    with pytest.raises(ArgumentError, match="more than a name and a form"):
        callbacks.ModelCheckpoint(f"{{{field}}}.keras")


def test_plain_fields_stay():
    for name in ("{epoch}", "{epoch:02d}-{val_loss:.2f}", "{epoch:>4}", "{{x}}", "{loss:10.3e}"):
        callbacks.ModelCheckpoint(f"{name}.keras")
