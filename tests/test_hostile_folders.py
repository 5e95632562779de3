"""What the user has in a folder stays, and a log that is none is refused."""

import numpy as np
import pytest

from lamina import Input, Sequential, callbacks, layers
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
