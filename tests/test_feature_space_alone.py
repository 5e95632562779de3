"""A FeatureSpace by itself in a file, as in Keras: `space.save(path)` and `load_model(path)`."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import lamina as keras
from lamina.errors import FileError, StackError
from lamina.serving.served import ServedModel

FeatureSpace = keras.utils.FeatureSpace
TABLE = {
    "age": [30.0, np.nan, 50.0, 60.0] * 10,
    "city": ["Rome", "Oslo", "Rome", None] * 10,
    "rooms": list(range(40)),
    "price": [float(n * n) for n in range(40)],
    "day": [f"2026-01-0{1 + n % 9}" for n in range(40)],
    "said": [f"well well it is {n}" for n in range(40)],
}


def space():
    kinds = {
        "age": "float_normalized",
        "city": "string_categorical",
        "rooms": FeatureSpace.float_discretized(5),
        "price": FeatureSpace.float_piecewise(8, units=4),
        "day": "date",
        "said": "text",
    }
    return FeatureSpace(kinds, crosses=[("city", "rooms")])


@pytest.mark.parametrize("load_model", [keras.models.load_model, keras.saving.load_model])
@pytest.mark.parametrize("called", [True, False])
def test_a_file_gives_the_space_again_with_all_that_it_has_learned(tmp_path, load_model, called):
    saved = space()
    saved.adapt(TABLE)
    if called:  # then it has weights for the pieces
        saved(TABLE)
    saved.save(tmp_path / "space.keras")
    loaded = load_model(tmp_path / "space.keras")
    assert type(loaded) is FeatureSpace
    if not called:
        loaded(TABLE)
        saved(TABLE)
        for ours, theirs in zip(loaded.weights, saved.weights, strict=True):
            ours.assign(theirs)
    new = {"age": [np.nan, 31.5], "city": ["Paris", "Oslo"], "rooms": [3, 99], "price": [5.0, 1e9]}
    new |= {"day": ["2020-02-02", "2030-03-03"], "said": ["well never", "it is"]}
    for table in (TABLE, new):
        np.testing.assert_array_equal(loaded(table), saved(table))


def test_a_space_that_has_learned_nothing_can_be_saved_and_adapted_later(tmp_path):
    space().save(tmp_path / "space.keras")
    loaded = keras.models.load_model(tmp_path / "space.keras")
    loaded.adapt(TABLE)
    assert loaded(TABLE).shape[0] == 40


def test_a_loaded_space_begins_a_stack_in_a_fresh_process_and_is_not_adapted_again(tmp_path):
    saved = FeatureSpace({"age": "float_normalized", "city": "string_categorical"})
    saved.adapt(TABLE)
    saved.save(tmp_path / "space.keras")
    program = (
        "import sys, numpy, lamina as keras\n"
        "space = keras.models.load_model(sys.argv[1])\n"
        "model = keras.Sequential([space, keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "model.fit({'age': [1.0, 2.0], 'city': ['Bern', 'Bonn']}, numpy.ones(2), verbose=0)\n"
        "print(space({'age': [30.0], 'city': ['Rome']}).tolist())\n"
    )
    path = str(tmp_path / "space.keras")
    told = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True).stdout
    np.testing.assert_array_equal(json.loads(told.splitlines()[-1]), saved({"age": [30.0], "city": ["Rome"]}))


def test_other_names_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"space\.keras"):
        space().save(tmp_path / "space.h5")


def test_a_file_cannot_compile_a_space_or_hold_any_other_layer(tmp_path):
    saved = FeatureSpace({"age": "float"})
    saved.save(tmp_path / "space.keras")
    with zipfile.ZipFile(tmp_path / "space.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])

    def written(changed):
        with zipfile.ZipFile(tmp_path / "changed.keras", "w") as file:
            for name, data in (members | {"config.json": json.dumps(changed)}).items():
                file.writestr(name, data)
        return tmp_path / "changed.keras"

    assert type(keras.models.load_model(written(config | {"compile_config": {"optimizer": "adam"}}))) is FeatureSpace
    dense = keras.saving.serialize_keras_object(keras.layers.Dense(2))
    with pytest.raises(FileError, match="does not hold a model"):
        keras.models.load_model(written(dense))


def test_a_service_wants_a_model(tmp_path):
    FeatureSpace({"age": "float"}).save(tmp_path / "space.keras")
    with pytest.raises(StackError, match="FeatureSpace"):
        ServedModel(tmp_path / "space.keras")
