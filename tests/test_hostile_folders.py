"""What the user has in a folder stays, and a log that is none is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from lamina import Input, Sequential, callbacks, layers
from lamina._files import files
from lamina._saving import folders
from lamina.errors import ArgumentError, FileError


def model():
    made = Sequential([Input((4,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_a_folder_that_holds_no_model_is_not_replaced(tmp_path):
    mine = tmp_path / "m" / "assets" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    with pytest.raises(FileError, match="it holds other files"):
        model().save(tmp_path / "m", zipped=False)
    assert mine.read_text() == "precious"
    assert [each.name for each in tmp_path.iterdir()] == ["m"]
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        model().save(tmp_path / "empty", zipped=False)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 200_000, bytes(200_000)], ids=["bytes", "long", "nulls"])
def test_a_log_that_goes_on_in_a_file_that_is_none_is_refused(content, tmp_path):
    (tmp_path / "log.csv").write_bytes(content)
    x = np.ones((4, 4), "float32")
    with pytest.raises(ArgumentError, match="no column of"):
        model().fit(x, x[:, :1], verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "log.csv", append=True)])
    assert (tmp_path / "log.csv").read_bytes() == content


@pytest.mark.parametrize(
    "mine", ["mine.txt", "assets/mine.txt", "assets/layers/mine/mine.json", "mine/", "config.json.mine", ".mine"]
)
def test_a_users_file_in_the_folder_of_a_model_is_no_part_of_it(mine, tmp_path):
    model().save(tmp_path / "m", zipped=False)
    place = tmp_path / "m" / mine
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir() if mine.endswith("/") else place.write_text("precious")
    with pytest.raises(FileError, match="it holds other files, such as"):
        model().save(tmp_path / "m", zipped=False)
    assert place.exists() and [each.name for each in tmp_path.iterdir()] == ["m"]


def test_a_users_config_alone_is_no_model(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("mine")
    with pytest.raises(FileError, match=r"such as\s+'config\.json'"):
        model().save(tmp_path / "m", zipped=False)
    assert (tmp_path / "m" / "config.json").read_text() == "mine"


def test_vocabularies_that_keras_wrote_are_replaced_with_the_model(tmp_path):
    model().save(tmp_path / "m", zipped=False)
    terms = tmp_path / "m" / "assets" / "layers" / "string_lookup" / "vocabulary.txt"
    terms.parent.mkdir(parents=True)
    terms.write_text("a")
    model().save(tmp_path / "m", zipped=False)
    assert not terms.exists()


@pytest.mark.parametrize("exchange", [True, False])
def test_folders_of_the_user_with_names_like_ours_stay(exchange, tmp_path, monkeypatch):
    if not exchange:
        monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    mine = [tmp_path / name / "mine" for name in ("m.lamina-old", ".x.0123456789abcdef.lamina-part")]
    for each in mine:
        each.parent.mkdir()
        each.write_text("precious")
    for _ in range(2):
        model().save(tmp_path / "m", zipped=False)
        model().save(tmp_path / "m.keras")
    assert [each.read_text() for each in mine] == ["precious"] * 2
    assert {each.name for each in tmp_path.iterdir()} == {"m", "m.keras", *(each.parent.name for each in mine)}


def test_a_folder_that_a_killed_process_left_goes(tmp_path):
    with files.folder_beside(str(tmp_path / ".m.0123456789abcdef.lamina-part")) as new:
        (Path(new) / "half").write_text("x")
        model().save(tmp_path / "a.keras")
        assert os.path.isdir(new)  # its lock is held
    assert len(os.listdir(tmp_path)) == 3
    model().save(tmp_path / "a.keras")
    assert os.listdir(tmp_path) == ["a.keras"]
