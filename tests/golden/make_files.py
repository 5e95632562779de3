"""Makes one small file of each format of this version, and what each holds: run it once for a release.

    cd tests && python golden/make_files.py

The files stand in `golden/files-<version>`, and `test_golden_files.py` opens those of every version. They are made once
and never again: a later version has to open them as they are.
"""

import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import keras_2_files
import numpy as np

import lamina

FOLDER = Path(__file__).parent / f"files-{lamina.__version__}"
X = np.linspace(-1, 1, 24, dtype="float32").reshape(6, 4)
Y = np.linspace(0, 1, 12, dtype="float32").reshape(6, 2)
WORDS = np.array([["red"], ["blue"], ["grün"], ["other"]], dtype=object)


def stack(library):
    kind = library.layers
    model = library.Sequential(
        [kind.Input((4,)), kind.Dense(3, "relu"), kind.BatchNormalization(), kind.Dropout(0.25), kind.Dense(2)],
        name="golden",
    )
    model.compile(library.optimizers.Adam(0.01), "mean_squared_error", metrics=["mae"])
    model.fit(X, Y, epochs=2, batch_size=3, verbose=0)
    return model


def words():
    lookup = lamina.layers.StringLookup(vocabulary=["red", "grün"], output_mode="one_hot")
    model = lamina.Sequential([lamina.layers.Input((1,), dtype="string"), lookup, lamina.layers.Dense(2)], name="words")
    model.compile("sgd", "mse")
    return model


def state(name):
    """The state of a run, as `fit(checkpoint=)` keeps it.  -> the model"""
    model = stack(lamina)
    model.fit(X, Y, epochs=1, batch_size=3, verbose=0, checkpoint="states")
    os.replace(max(Path("states").iterdir(), key=lambda path: path.stem), name)
    shutil.rmtree("states")
    return model


def main():
    FOLDER.mkdir()
    os.chdir(FOLDER)
    held = {}
    for name, library in (("lamina", lamina), ("keras", keras)):
        model = stack(library)
        model.save(f"{name}.keras")
        model.save(f"{name}-folder", zipped=False)
        model.save(f"{name}.h5")
        model.save_weights(f"{name}.weights.h5")
        model.save_weights(f"{name}.weights.json", max_shard_size=1e-7)
        held[name] = {
            "output": model.predict(X, verbose=0).tolist(), "loss": float(model.evaluate(X, Y, verbose=0)[0]),
            "iterations": int(model.optimizer.iterations),
        }  # fmt: skip
        if library is lamina:
            model.save_weights("lamina.safetensors")
            model.fit(X, Y, epochs=1, batch_size=3, verbose=0)
            held[name]["output after another epoch"] = model.predict(X, verbose=0).tolist()
    model = words()
    model.save("words.keras")
    held["words"] = {"output": model.predict(WORDS, verbose=0).tolist()}
    keras_2_files.mlp("keras-2.h5", compiled=keras_2_files.training())
    held["keras-2"] = {"output": lamina.models.load_model("keras-2.h5").predict(X, verbose=0).tolist()}
    held["state"] = {"output": state("state.safetensors").predict(X, verbose=0).tolist()}
    Path("held.json").write_text(json.dumps(held, indent=1))


if __name__ == "__main__":
    main()
