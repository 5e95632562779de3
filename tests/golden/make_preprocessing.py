"""Makes preprocessing.json: what real Keras's layers say, on TensorFlow, which they need.

    KERAS_BACKEND=tensorflow python tests/golden/make_preprocessing.py

in an environment with keras and tensorflow-cpu. Each case: the class, its settings, what it adapts to, its input, and
then its output, vocabulary and config.
"""

import json
from pathlib import Path

import keras
import numpy as np

TEXTS = [
    "The cat sat on the mat.", "The DOG, the cat; and É è ß!", "", "  tabs\tand\nlines  ", "a\u00a0b naïve co-op it's",
    "the the the dog", "Ünïcode 東京 here", "cat",
]  # fmt: skip
WORDS = [["a", "b", "c"], ["b", "b", "zebra"], ["", "c", "b"], ["yak", "d", "[UNK]"]]
NUMBERS = [[12, 5, 12], [7, 12, -3], [5, 5, 0], [1000, 2, -1]]
SEEN = [["b"], ["a"], ["b"], ["c"], ["c"], ["b"], ["[UNK]"], ["d"]]
VOCABULARY = ["a", "b", "c", "d"]


def cases():
    """Class, settings, data to adapt to, input."""
    for settings in [
        {}, {"output_sequence_length": 4}, {"max_tokens": 5}, {"standardize": None}, {"standardize": "lower"},
        {"standardize": "strip_punctuation"}, {"split": "character"}, {"ngrams": 2}, {"ngrams": (1, 3)},
        {"output_mode": "multi_hot"}, {"output_mode": "count"}, {"output_mode": "tf_idf"},
        {"output_mode": "count", "max_tokens": 40, "pad_to_max_tokens": True}, {"output_mode": "tf_idf", "ngrams": 2},
        {"output_mode": "tf_idf", "max_tokens": 50, "pad_to_max_tokens": True},
    ]:  # fmt: skip
        yield "TextVectorization", settings, TEXTS, [*TEXTS[::-1], "an unknown dog"]
    yield "TextVectorization", {"vocabulary": ["the", "cat"]}, None, TEXTS
    yield "TextVectorization", {"vocabulary": ["", "[UNK]", "the", "cat"], "output_sequence_length": 3}, None, TEXTS
    yield "TextVectorization", {"split": None, "standardize": None}, WORDS, WORDS
    for settings in [
        {}, {"mask_token": ""}, {"num_oov_indices": 3}, {"num_oov_indices": 4, "mask_token": ""}, {"max_tokens": 3},
        {"num_oov_indices": 3, "salt": 7}, {"output_mode": "multi_hot"}, {"output_mode": "count", "mask_token": ""},
        {"output_mode": "one_hot"}, {"output_mode": "tf_idf"}, {"output_mode": "tf_idf", "num_oov_indices": 2},
        {"output_mode": "count", "max_tokens": 8, "pad_to_max_tokens": True}, {"oov_token": "b"},
    ]:  # fmt: skip
        yield "StringLookup", settings, SEEN, WORDS
    yield "StringLookup", {"vocabulary": VOCABULARY}, None, WORDS
    yield "StringLookup", {"vocabulary": VOCABULARY, "output_mode": "one_hot"}, None, [["a"], ["q"], ["d"]]
    yield "StringLookup", {"vocabulary": VOCABULARY, "output_mode": "multi_hot"}, None, ["a", "q", "d"]
    weights = {"output_mode": "tf_idf", "idf_weights": [0.5, 0.25, 2.0, 1.0]}
    yield "StringLookup", {"vocabulary": VOCABULARY, **weights}, None, WORDS
    yield "StringLookup", {"vocabulary": VOCABULARY, "invert": True}, None, [[0, 1], [4, 9]]
    yield "StringLookup", {"vocabulary": VOCABULARY, "invert": True, "mask_token": ""}, None, [[0, 1], [2, 9]]
    for settings in [
        {}, {"mask_token": 0}, {"num_oov_indices": 3}, {"num_oov_indices": 3, "oov_method": "farmhash"},
        {"num_oov_indices": 3, "oov_method": "farmhash", "salt": [1, 2]}, {"max_tokens": 3}, {"output_mode": "count"},
        {"output_mode": "multi_hot", "mask_token": 5}, {"output_mode": "one_hot"}, {"output_mode": "tf_idf"},
    ]:  # fmt: skip
        yield "IntegerLookup", settings, [[12], [5], [5], [7], [12], [2], [12]], NUMBERS
    yield "IntegerLookup", {"vocabulary": [12, 5, 7], "invert": True}, None, [[0, 1], [3, 8]]
    strings = [["A"], ["B"], [""], ["a longer string than eight"], ["é" * 40], ["0123456789abcdef" * 6]]
    for settings in [
        {"num_bins": 3}, {"num_bins": 1000}, {"num_bins": 1000, "salt": 133}, {"num_bins": 1000, "salt": [133, 137]},
        {"num_bins": 5, "mask_value": ""}, {"num_bins": 4, "output_mode": "one_hot"},
        {"num_bins": 4, "output_mode": "multi_hot"}, {"num_bins": 4, "output_mode": "count"}, {"num_bins": 1},
    ]:  # fmt: skip
        yield "Hashing", settings, None, strings
    yield "Hashing", {"num_bins": 4, "output_mode": "count"}, None, WORDS
    yield "Hashing", {"num_bins": 100}, None, NUMBERS
    yield "Hashing", {"num_bins": 100, "mask_value": 12}, None, NUMBERS


def plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value


def main():
    made = []
    for name, settings, seen, x in cases():
        layer = getattr(keras.layers, name)(**settings, name="given")
        if seen is not None:
            layer.adapt(np.array(seen))
        y = np.asarray(layer(np.array(x)))
        y = np.vectorize(plain, otypes=[object])(y) if y.dtype == object else y
        made.append(
            {
                "name": name,
                "settings": settings,
                "adapt": seen,
                "x": x,
                "y": y.tolist(),
                "vocabulary": [plain(term) for term in layer.get_vocabulary()] if hasattr(layer, "adapt") else None,
                "config": sorted(layer.get_config()),
            }
        )
    path = Path(__file__).with_name("preprocessing.json")
    path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in made) + "\n]\n")


if __name__ == "__main__":
    main()
