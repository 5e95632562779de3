"""What stands in the attributes of an .h5 file is checked before it is used: each has the type that Keras gives it."""

import json

import h5py
import hostile
import numpy as np
import pytest

from lamina import Input, Sequential, layers, saving
from lamina.errors import FileError

STACK = {
    "class_name": "Sequential",
    "config": {"name": "net", "layers": [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "input"}},
        {"class_name": "Dense", "config": {"units": 1, "name": "dense"}},
    ]},
}  # fmt: skip
GIVEN = {
    "model_config": json.dumps(STACK), "training_config": json.dumps(None), "lamina": json.dumps({}),
    "layer_names": ["dense"], "weight_names": ["dense/kernel", "dense/bias"],
}  # fmt: skip
CHANGED = {
    "the model is a list": {"model_config": "[]"},
    "the model is null": {"model_config": "null"},
    "what compile was given is a list": {"training_config": "[1]"},
    "what compile was given is a number": {"training_config": "7"},
    "our own part is a list": {"lamina": "[1, 2]"},
    "the names of layers are a number": {"layer_names": 3},
    "the names of layers are numbers": {"layer_names": np.array([1, 2])},
    "the names of layers are one text": {"layer_names": "dense"},
    "the names of layers are nothing": {"layer_names": h5py.Empty("S1")},
    "the names of layers are nothing, in parts": {"layer_names0": h5py.Empty("f4")},
    "the names of weights are a number": {"weight_names": 9},
    "the names of weights are numbers": {"weight_names": np.array([1.5, 2.5])},
}


def file(folder, changed):
    given = GIVEN | changed

    def build(root):
        root.attrs["keras_version"], root.attrs["backend"] = "3.15.1", "jax"
        for name in ("model_config", "training_config", "lamina"):
            root.attrs[name] = given[name]
        dense = root.create_group("model_weights/dense")
        dense.attrs["weight_names"] = given["weight_names"]
        if "layer_names0" in given:
            root["model_weights"].attrs["layer_names0"] = given["layer_names0"]
        else:
            root["model_weights"].attrs["layer_names"] = given["layer_names"]
        dense["dense/kernel"], dense["dense/bias"] = np.ones((4, 1), "f4"), np.ones(1, "f4")

    (folder / "model.h5").write_bytes(hostile.hdf5(build))
    return folder / "model.h5"


def test_the_file_that_is_not_changed_opens(tmp_path):
    model = saving.load_model(file(tmp_path, {}))
    assert model.predict(np.ones((1, 4)), verbose=0) == 5


@pytest.mark.parametrize("what", CHANGED)
def test_another_type_is_refused(what, tmp_path):
    path = file(tmp_path, CHANGED[what])
    with pytest.raises(FileError, match=r"model\.h5[\s\S]*(JSON\s+object|list\s+of\s+names)") as caught:
        saving.load_model(path)
    assert len(str(caught.value).splitlines()) <= 15
    model = Sequential([Input((4,)), layers.Dense(1)])
    before = model.get_weights()
    with pytest.raises(FileError, match=r"JSON\s+object|list\s+of\s+names"):
        model.load_weights(path)
    assert all(map(np.array_equal, model.get_weights(), before))
    assert [each.name for each in tmp_path.iterdir()] == ["model.h5"]
