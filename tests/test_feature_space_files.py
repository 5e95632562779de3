"""Files of stacks that begin with a FeatureSpace: what Keras opens of them, and what a file may hold."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas
import pytest

import lamina as keras
from lamina.errors import FileError

TABLE = {"age": [30.0, np.nan, 50.0, 60.0] * 10, "city": ["Rome", "Oslo", "Rome", None] * 10}


def trained(**more):
    space = keras.utils.FeatureSpace({"age": "float_normalized", "city": "string_categorical"}, **more)
    space.adapt(TABLE)
    model = keras.Sequential([space, keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(TABLE, np.arange(40.0), verbose=0)
    return model


def test_the_line_that_save_prints_saves_layers_that_keras_opens(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = trained()
    model.save("census.keras")
    said = capsys.readouterr().out.splitlines()
    assert "'census.keras' opens in Lamina alone" in said[0]
    exec(said[1].strip(), {"keras": keras, "model": model})
    model.save("census.keras")
    assert capsys.readouterr().out == ""  # once for a model
    vectors = np.asarray(model.layers[0](TABLE))
    np.save("x.npy", vectors)
    program = (
        "import keras, numpy\n"
        "y = keras.models.load_model('for_keras_census.keras').predict(numpy.load('x.npy'), verbose=0)\n"
        "numpy.save('y.npy', y)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "KERAS_BACKEND": "jax"})
    np.testing.assert_allclose(np.load("y.npy"), model.predict(TABLE, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_fresh_process_predicts_the_same_on_reordered_columns_a_gap_and_a_new_category(tmp_path):
    model = trained()
    model.save(tmp_path / "model.keras")
    new = pandas.DataFrame({"city": ["Paris", None, "Oslo"], "more": [1, 2, 3], "age": [np.nan, 31.0, 60.5]})
    new.to_json(tmp_path / "new.json", orient="records")
    program = (
        "import json, sys, numpy, lamina\n"
        "rows = json.load(open(sys.argv[1] + '/new.json'))\n"
        "y = lamina.models.load_model(sys.argv[1] + '/model.keras').predict(rows, verbose=0)\n"
        "numpy.save(sys.argv[1] + '/y.npy', y)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.predict(new, verbose=0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda space: space["learned"].pop("age"), "learned"),
        (lambda space: space["learned"].update(age=3), "Learned"),
        (lambda space: space["learned"]["age"].update(median="x"), "median"),
        (lambda space: space["features"].update(age={"class_name": "Feature", "config": 3}), "config of a Feature"),
        (lambda space: space["features"]["age"]["config"].update(preprocessor="os.system"), "expected a layer"),
        (lambda space: space["features"].update(age="os.system"), "not a kind of column"),
        (
            lambda space: space.update(crosses=[{"class_name": "Cross", "config": {"feature_names": 3}}]),
            "feature_names",
        ),
    ],
)
def test_a_file_with_other_content_is_refused(tmp_path, change, said):
    trained().save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    change(next(each for each in config["config"]["layers"] if each["class_name"] == "FeatureSpace")["config"])
    with zipfile.ZipFile(tmp_path / "changed.keras", "w") as file:
        for name, data in (members | {"config.json": json.dumps(config)}).items():
            file.writestr(name, data)
    with pytest.raises(FileError, match=said):
        keras.models.load_model(tmp_path / "changed.keras")
