"""After a power cut at any instant of a save, opening gives the old or the new: never an error, never a mix."""

import os
import re

import numpy as np
import powercut
import pytest

import lamina
from lamina import layers
from lamina._files import files
from lamina._saving import folders
from lamina._saving.checkpoint import FolderStore
from lamina._training.resume import Saved
from lamina.callbacks import Checkpoint
from lamina.random import set_random_seed


def outcomes(tmp_path, save, read):
    """What `read(folder)` gives for a cut during the save of "new" over "old", and for one after it has ended."""
    folder = tmp_path / "disk"
    folder.mkdir()
    save(folder, "old")

    def told(copy):
        try:
            return read(copy)
        except Exception as error:
            return type(error).__name__

    return powercut.outcomes(folder, lambda: save(folder, "new"), told, tmp_path / "cuts")


SAFE = {"old", "new"}, {"new"}
"""During the save the old or the new, and afterwards the new, whatever happens."""


def save_file(folder, content):
    files.write(folder / "m.keras", content.encode() * 1000)


def read_file(folder):
    content = (folder / "m.keras").read_bytes().decode()
    return {"old" * 1000: "old", "new" * 1000: "new"}.get(content, "neither")


def save_folder(folder, content):
    members = {"config.json": content, "assets/a/terms.txt": content, content: ""}
    known = re.compile(r"config\.json|assets/(a/(terms\.txt)?)?|(old)+|(new)+")
    folders.write(folder / "m.keras", {name: each.encode() for name, each in members.items()}, known)


def read_folder(folder):
    found = {path.name: path.read_text() for path in (folder / "m.keras").rglob("*") if path.is_file()}
    version = found["config.json"]
    return version if found == {"config.json": version, "terms.txt": version, version: ""} else "neither"


def test_a_file_survives(tmp_path):
    assert outcomes(tmp_path, save_file, read_file) == SAFE


def test_a_folder_survives(tmp_path):
    assert outcomes(tmp_path, save_folder, read_folder) == SAFE


def test_a_file_that_was_not_there_is_whole_or_not_there(tmp_path):
    def save(folder, content):
        if content == "new":
            save_file(folder, content)

    assert outcomes(tmp_path, save, read_file) == ({"FileNotFoundError", "new"}, {"new"})


def test_new_folders_survive(tmp_path):
    def save(folder, content):
        if content == "new":
            files.make_folder(folder / "a" / "b")

    assert outcomes(tmp_path, save, lambda folder: (folder / "a/b").is_dir()) == ({False, True}, {True})


def test_what_a_cut_left_goes_with_the_next_save(tmp_path):
    def read(folder):
        save_file(folder, "next")
        return tuple(os.listdir(folder))

    assert outcomes(tmp_path, save_file, read) == ({("m.keras",)}, {("m.keras",)})


def in_place(folder, content):
    (folder / "m.keras").write_bytes(content.encode() * 1000)


def renamed_too_soon(folder, content):
    with open(folder / "part", "wb") as file:
        file.write(content.encode() * 1000)
        os.replace(folder / "part", folder / "m.keras")
        file.flush()
        os.fsync(file.fileno())
    files.sync_folder(folder)


def one_after_the_other(folder, content):
    for name, each in {"config.json": content, "assets/a/terms.txt": content, content: ""}.items():
        (folder / "m.keras" / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(folder / "m.keras" / name, each.encode())
    for name in {"old", "new"} - {content}:
        (folder / "m.keras" / name).unlink(missing_ok=True)


def test_the_states_of_a_run_survive(tmp_path):
    """The third state takes the place of the first one; the newest is then the second or the third."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def store(place):
        return FolderStore(Checkpoint(str(place / "states")))

    def keep(number):
        kept = store(folder)
        kept.newest()
        kept.write(Saved({}, {"values": np.full(50, number)}, f"step-{number:010}"))
        kept.close(ended=False, failed=False)

    def newest(copy):
        saved = store(copy).newest()
        return saved and {*saved.arrays["values"].tolist()}

    for number in (1, 2):
        keep(number)
    seen = powercut.outcomes(folder, lambda: keep(3), lambda copy: str(newest(copy)), tmp_path / "cuts")
    assert seen == ({"{2}", "{3}"}, {"{3}"})


SEEDS = {"old": 1, "new": 2}


def stack(content="old"):
    set_random_seed(SEEDS[content])
    model = lamina.Sequential([lamina.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.learning_rate = float(SEEDS[content])
    return model


def which(model):
    """Whose weights a model has, those of its optimizer included."""
    for content in SEEDS:
        other = stack(content)
        held, wanted = ([*each.get_weights(), float(each.optimizer.learning_rate)] for each in (model, other))
        if all(map(np.array_equal, held, wanted)):
            return content
    return "neither"


WAYS = {
    "m.keras": lambda model, path: model.save(path),
    "m.h5": lambda model, path: model.save(path),
    "folder": lambda model, path: model.save(path, zipped=False),
    "m.weights.h5": lambda model, path: model.save_weights(path),
    "m.weights.json": lambda model, path: model.save_weights(path, max_shard_size=5e-8),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_model_survives(tmp_path, name):
    def save(folder, content):
        WAYS[name](stack(content), folder / name)

    def read(folder):
        if "weights" not in name:
            return which(lamina.models.load_model(folder / name))
        model = stack()
        model.set_weights([np.zeros_like(each) for each in model.get_weights()])
        model.load_weights(folder / name)
        return which(model)

    assert outcomes(tmp_path, save, read) == SAFE


@pytest.mark.parametrize(
    ("fault", "save", "read", "seen"),
    [
        ("sync", save_file, read_file, "neither"),
        ("sync_folder", save_file, read_file, "old after the save has ended"),
        ("sync", save_folder, read_folder, "neither"),
        ("sync_folder", save_folder, read_folder, "neither"),
        ("", in_place, read_file, "neither"),
        ("", renamed_too_soon, read_file, "neither"),
        ("", one_after_the_other, read_folder, "neither"),
    ],
)
def test_the_simulator_finds_faults(tmp_path, monkeypatch, fault, save, read, seen):
    """A save that leaves out a step, or does it in another order, is found."""
    for module in (files, folders):
        if fault:
            monkeypatch.setattr(module, fault, lambda *_: None)
    during, after = outcomes(tmp_path, save, read)
    assert seen in during | {f"{each} after the save has ended" for each in after}


def test_the_simulator_sees_all_that_happens(tmp_path):
    """Its last folder is the real one."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def save():
        for _ in range(2):
            save_folder(folder, "old")
        os.rename(folder / "m.keras", folder / "n")
        with open(folder / "x", "wb") as file:
            file.write(b"1")

    disk = powercut.record(folder, save)
    everything = list(powercut.after_cut(disk, len(disk.events)))[-1]
    real = {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
    assert everything == real
