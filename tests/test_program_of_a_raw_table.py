"""The way from the raw census to a model in a file: as a user types it, each half in a process of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CENSUS = Path(__file__).parent.parent / "examples" / "data" / "adult.csv.gz"
NEW_ROWS = """
new_rows = pandas.read_csv("adult.csv.gz", na_values="?").drop(columns="income")[::-1][:2000]
new_rows.loc[new_rows.index[0], ["age", "occupation"]] = None
new_rows.loc[new_rows.index[1], "native_country"] = "Atlantis"
new_rows = new_rows[sorted(new_rows.columns, reverse=True)].assign(more=1)
numpy.savez(PATH, numbers=model.predict(new_rows, verbose=0), classes=model.predict_classes(new_rows))
"""
TRAIN = """
import numpy
import pandas
import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
table = pandas.read_csv("adult.csv.gz", na_values="?")
income = table.pop("income")                          # '<=50K', '>50K'
model = keras.Sequential([
    keras.utils.FeatureSpace.from_frame(table),       # or FeatureSpace(features={...}), as in Keras
    layers.Dense(256, activation="relu"), layers.Dropout(0.3), layers.Dense(1, activation="sigmoid"),
])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(table, income, epochs=20, validation_split=0.1, verbose=0)
model.save("census.keras")
print(max(history.history["val_accuracy"]))
"""
PREDICT = """
import numpy
import pandas
import lamina as keras

model = keras.models.load_model("census.keras")
"""


@pytest.mark.nightly
def test_the_census_as_it_is_and_a_fresh_process_predict_the_same(tmp_path):
    shutil.copy(CENSUS, tmp_path)
    made = []
    for name, program in (("before", TRAIN), ("after", PREDICT)):
        code = program + NEW_ROWS.replace("PATH", repr(f"{name}.npz"))
        ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        made.append((ran, np.load(tmp_path / f"{name}.npz")))
    (trained, before), (_, after) = made
    assert float(trained.stdout.splitlines()[-1]) > 0.85, trained.stdout
    np.testing.assert_array_equal(before["numbers"], after["numbers"])
    assert before["classes"].tolist() == after["classes"].tolist() and set(after["classes"]) == {"<=50K", ">50K"}
    assert np.isfinite(after["numbers"]).all() and len(after["numbers"]) == 2000
    assert "string_categorical: " in trained.stdout and "CheckWarning" not in trained.stderr, trained.stderr
