"""More hostile files and folders: `attacks.py` tries them all, and those that once did harm are tried here."""

import os
import subprocess
import sys
from pathlib import Path

import attacks
import numpy as np
import pytest

from lamina import initializers, layers, saving, utils
from lamina._messages import spelling
from lamina._training import fingerprint
from lamina.compat.tensorflow import image
from lamina.errors import DataError, FileError, UnknownNameError


@pytest.mark.nightly
def test_no_attack_does_harm():
    """10 s and 1 GB at the most for each, an error of ours or nothing, no program run, no file elsewhere."""
    program = [sys.executable, Path(__file__).with_name("attacks.py")]
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=1800, env=os.environ | {"LAMINA_CACHE": "off"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *wrong, count = done.stdout.splitlines()
    assert int(count) >= 40 and not [line for line in wrong if ":" in line], done.stdout


@pytest.mark.parametrize(
    ("read", "ending"),
    [(utils.text_dataset_from_directory, "txt"), (utils.audio_dataset_from_directory, "wav"),
     (utils.image_dataset_from_directory, "png")],
)  # fmt: skip
@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_a_pipe_among_files_is_refused_at_once(read, ending, make, tmp_path):
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / f"1.{ending}")
    with pytest.raises(DataError, match="is a pipe, a device or a broken link"):
        read(tmp_path, verbose=False)


def test_a_picture_of_too_many_dots_is_refused(tmp_path):
    path = tmp_path / "1.png"
    path.write_bytes(attacks.png(40_000, 40_000))
    with pytest.raises(FileError, match="has more pixels than Pillow reads"):
        utils.load_img(path)
    for content in (path.read_bytes(), b"\x89PNG\r\n\x1a\n", b""):
        with pytest.raises(DataError, match="are no image that can be read"):
            image.decode_image(content)


def test_a_name_of_many_letters_is_compared_with_none_and_shown_in_short(tmp_path, monkeypatch):
    monkeypatch.setattr(spelling, "_alike", lambda *_: pytest.fail("compared"))
    for make in (
        lambda name: layers.Dense(1, dtype=name), lambda name: layers.Dense(1, activation=name),
        lambda name: layers.deserialize({"class_name": name, "config": {}}),
    ):  # fmt: skip
        with pytest.raises(UnknownNameError) as caught:
            make("f" * 10**5)
        assert len(str(caught.value)) < 5000
    path = attacks.with_layer(tmp_path, class_name="g" * 10**5)
    with pytest.raises(FileError) as caught:
        saving.load_model(path)
    assert len(str(caught.value)) < 5000


def test_many_numbers_in_a_setting_are_looked_at_as_one(monkeypatch):
    visits, visit = [], fingerprint._visit
    monkeypatch.setattr(fingerprint, "_visit", lambda value, seen: visits.append(1) or visit(value, seen))

    def of(values):
        visits.clear()
        return fingerprint.fingerprint(initializers.Constant(values)), len(visits)

    few, many = of([1.0] * 10), of([1.0] * 10_000)
    assert few[1] == many[1] and few[0] != many[0]
    assert len({of(values)[0] for values in ([1.0, 2.0], [1, 2], [True, 2], [1.0, 2.5], [np.nan, 2.0])}) == 5
    assert of([1.0, 2.0])[0] == of([1.0, 2.0])[0]
