"""Golden values of Keras's FeatureSpace: `adapt` and the call need TensorFlow, also for columns of numbers.

In an environment with `pip install tensorflow keras==3.15.1`:

    KERAS_BACKEND=tensorflow python make_feature_space.py

Each case is a space, a table, and what real Keras makes of it, in feature_space.json.
"""

import json
from pathlib import Path

import keras
import numpy as np

rng = np.random.default_rng(7)
ROWS = 60
TABLE = {
    "age": rng.normal(40, 12, ROWS).round(3).tolist(),
    "city": rng.choice(["Rome", "Oslo", "Bonn", "Kyōto"], ROWS, p=[0.5, 0.3, 0.15, 0.05]).tolist(),
    "Rooms": rng.choice([2, 3, 4, 7], ROWS, p=[0.4, 0.3, 0.2, 0.1]).tolist(),
    "id": rng.integers(-500, 500, ROWS).tolist(),
}
NEW = {"age": [20.0, 90.5], "city": ["Paris", "Oslo"], "Rooms": [99, 3], "id": [12345, 4]}
ONE = {name: values[1] for name, values in NEW.items()}
GIVEN = {"preprocessor": ["Normalization", {"mean": 40.0, "variance": 100.0}], "dtype": "float32"}
CASES = [
    {"features": {"age": "float", "Rooms": "float"}},
    {"features": {"age": "float_normalized", "id": "float_rescaled"}},
    {"features": {"id": ["float_rescaled", {"scale": 0.01, "offset": 2.0}], "age": ["float_normalized", {}]}},
    {"features": {"city": "string_categorical", "Rooms": "integer_categorical", "age": "float"}},
    {"features": {"city": ["string_categorical", {"max_tokens": 3}],
     "Rooms": ["integer_categorical", {"max_tokens": 3}]}},
    {"features": {"city": ["string_categorical", {"num_oov_indices": 3}],
     "id": ["integer_categorical", {"num_oov_indices": 2}]}},
    {"features": {"city": "string_hashed", "id": "integer_hashed"}},
    {"features": {"city": "string_hashed", "id": "integer_hashed"}, "hashing_dim": 5},
    {"features": {"city": ["string_hashed", {"num_bins": 7}], "id": ["integer_hashed", {"num_bins": 3}]}},
    {"features": {"city": "string_categorical", "Rooms": "integer_categorical"}, "crosses": [["city", "Rooms"]]},
    {"features": {"Rooms": "integer_hashed", "city": "string_categorical", "age": "float"},
     "crosses": [["city", "Rooms"], ["Rooms", "city"]], "crossing_dim": 9},
    {"features": {"city": "string_categorical", "Rooms": "integer_categorical", "id": "integer_hashed"},
     "crosses": [["cross", {"feature_names": ["id", "city"], "crossing_dim": 4}]]},
    {"features": {"age": ["feature", GIVEN | {"output_mode": "float"}], "city": "string_categorical"}},
]  # fmt: skip
LEARNED = [
    {"features": {"age": "float_discretized"}},
    {"features": {"age": ["float_discretized", {"num_bins": 6}], "id": "float_discretized"},
     "num_discretization_bins": 5},
]  # fmt: skip


def described(value):
    """A kind of column, from its name and its arguments."""
    if isinstance(value, str):
        return value
    kind, settings = value
    settings = dict(settings)
    if kind == "feature":
        layer, arguments = settings["preprocessor"]
        settings["preprocessor"] = getattr(keras.layers, layer)(**arguments)
    return getattr(keras.utils.FeatureSpace, kind)(**settings)


def made(case):
    space = {name: value for name, value in case.items() if name not in ("features", "crosses")}
    crosses = [tuple(each) if each[0] != "cross" else described(each) for each in case.get("crosses", [])]
    features = {name: described(value) for name, value in case["features"].items()}
    return keras.utils.FeatureSpace(features, crosses=crosses, **space)


def of(case, table):
    return {name: table[name] for name in case["features"]}


def arrays(case):
    return {name: np.array(values) for name, values in of(case, TABLE).items()}


if __name__ == "__main__":
    found = []
    for case in CASES:
        space = made(case)
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(space)))["config"]
        space.adapt(arrays(case))
        results = [np.asarray(space(of(case, table))).tolist() for table in (TABLE, NEW, ONE)]
        found.append({"case": case, "config": config, "results": results})
    bounds = []
    for case in LEARNED:
        space = made(case)
        space.adapt(arrays(case))
        edges = {name: np.asarray(layer.bin_boundaries).tolist() for name, layer in space.preprocessors.items()}
        bounds.append({"case": case, "edges": edges, "width": int(np.shape(space(of(case, TABLE)))[1])})
    told = {"table": TABLE, "new": NEW, "one": ONE, "cases": found, "learned": bounds}
    path = Path(__file__).parent / "feature_space.json"
    path.write_text(json.dumps(told, ensure_ascii=False) + "\n")
