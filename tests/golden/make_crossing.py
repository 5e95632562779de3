"""Makes crossing.json: the bins of real Keras's HashedCrossing, on TensorFlow, which it needs.

    KERAS_BACKEND=tensorflow python tests/golden/make_crossing.py

in an environment with keras and tensorflow-cpu. Each case: the settings, the features, and then the output and the
config.
"""

import json
from pathlib import Path

import keras
import numpy as np

WORDS = ["A", "B", "", "a longer word than eight", "é" * 40, "0123456789abcdef" * 6, "A"]
MORE = ["x", "x", "y", "y", "東京", "", "z"]
NUMBERS = [101, 101, 102, -1, 0, 2**40, -(2**62)]
INT32 = [5, -5, 0, 7, 2**31 - 1, -(2**31), 1]
FEATURES = [
    ["words", WORDS, NUMBERS],
    ["numbers and words", NUMBERS, WORDS],
    ["two of numbers", NUMBERS, INT32],
    ["two of words", WORDS, MORE],
    ["four", WORDS, INT32, MORE, NUMBERS],
    ["the same twice", WORDS, WORDS],
]


def cases():
    """The settings and the features, as nested lists."""
    for _, *features in FEATURES:
        for bins in (1, 5, 1000, 2**31):
            yield {"num_bins": bins}, features
        yield {"num_bins": 7, "output_mode": "one_hot"}, features
        yield {"num_bins": 3, "output_mode": "one_hot"}, [[[value] for value in feature] for feature in features]
        yield {"num_bins": 9}, [[[value] for value in feature] for feature in features]
        yield {"num_bins": 9}, [feature[1] for feature in features]
        yield {"num_bins": 9, "output_mode": "one_hot"}, [feature[3] for feature in features]
    yield {"num_bins": 9, "dtype": "float32"}, [WORDS, MORE]
    yield {"num_bins": 9, "output_mode": "one_hot", "dtype": "int32"}, [WORDS, MORE]
    yield {"num_bins": 9, "dtype": "int32", "sparse": False, "name": "crossed"}, [WORDS, MORE]


def main():
    made = []
    for settings, features in cases():
        layer = keras.layers.HashedCrossing(**{"name": "given", **settings})
        y = np.asarray(layer(tuple(np.array(feature) for feature in features)))
        kind, config = y.dtype.name, layer.get_config()
        made.append({"settings": settings, "x": features, "y": y.tolist(), "dtype": kind, "config": config})
    path = Path(__file__).with_name("crossing.json")
    path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in made) + "\n]\n")


if __name__ == "__main__":
    main()
