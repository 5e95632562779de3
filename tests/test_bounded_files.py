"""A file takes memory and time by what it says and the model needs, not by what stands behind or beside it."""

import os
from pathlib import Path

import numpy as np
import pytest

from lamina import Input, Sequential, layers
from lamina._saving import config, guard, shards
from lamina.errors import FileError, ShapeError


def model():
    return Sequential([Input((4,)), layers.Dense(1)])


def test_bytes_behind_the_end_of_an_hdf5_file_are_not_read(tmp_path):
    ours, other = model(), model()
    ours.save_weights(path := tmp_path / "m.weights.h5")
    size = os.path.getsize(path)
    os.truncate(path, 2**40)
    assert len(guard.file_bytes(path)) == size
    other.load_weights(path)
    assert np.array_equal(ours.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("end", [0, 95, 97, 2**62, 2**64 - 1])
def test_an_end_that_is_none_is_refused(end, tmp_path):
    model().save_weights(path := tmp_path / "m.weights.h5")
    data = bytearray(path.read_bytes())
    data[40:48] = end.to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(FileError):
        model().load_weights(path)


def test_only_the_parts_that_an_index_names_are_read(tmp_path, monkeypatch):
    ours, other = model(), model()
    ours.save_weights(path := tmp_path / "m.weights.json", max_shard_size=1)
    with open(tmp_path / "m_00001.weights.h5", "wb") as file:
        file.truncate(2**40)
    os.mkfifo(tmp_path / "m_00002.weights.h5")
    read, real = [], shards.file_bytes
    monkeypatch.setattr(shards, "file_bytes", lambda name: read.append(Path(name).name) or real(name))
    other.load_weights(path)
    assert set(read) == {"m.weights.json", "m_00000.weights.h5"}
    assert np.array_equal(ours.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("nested", [False, True])
def test_a_configuration_with_more_layers_than_one_waits_for_is_refused_at_once(nested):
    many = [{"class_name": "ReLU", "config": {}}] * (guard.MOST_LAYERS // (2 if nested else 1) + 1)
    stack = {"class_name": "Sequential", "config": {"layers": many}}
    if nested:
        stack = {"class_name": "Sequential", "config": {"layers": [stack] * 2}}
    with pytest.raises(FileError, match=r"a\.keras: it has 10,\d+ layers; 10,000 is the limit"):
        config.deserialized(stack, where="a.keras")


def test_numbers_of_thousands_of_digits_in_the_names_of_torch_are_no_error_of_pythons():
    held = {"9" * 5000 + ".weight": np.ones((1, 3), "f4"), "8" * 5000 + ".bias": np.ones(1, "f4")}
    with pytest.raises(ShapeError, match="0 of the 2 modules"):
        model().load_torch_state_dict(held)
