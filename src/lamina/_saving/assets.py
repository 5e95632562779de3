"""Puts the vocabularies of a file by Keras, text files with one term per line, into the config of the model."""

from __future__ import annotations

from typing import Any

from lamina._saving.archive import Archive
from lamina._saving.weights import named_by_class
from lamina.errors import FileError

FILE = "vocabulary.txt"


def in_config(described: Any, held: Archive, where: str, path: str = "") -> Any:
    """Return the config with the vocabularies of the layers that look up terms.

    Args:
        path: the path of the object's group in the file of weights.
    """
    if not held.assets or not isinstance(described, dict) or not isinstance(config := described.get("config"), dict):
        return described
    if isinstance(config.get("layers"), list):
        kinds = [each for each in config["layers"] if isinstance(each, dict)]
        named = named_by_class(
            (str(each.get("class_name")), each) for each in kinds if each.get("class_name") != "InputLayer"
        )
        inner = {id(each): in_config(each, held, where, f"{path}/layers/{name}".lstrip("/")) for name, each in named}
        return described | {"config": config | {"layers": [inner.get(id(each), each) for each in config["layers"]]}}
    if (name := f"{path}/{FILE}") not in held.assets or config.get("vocabulary") is not None:
        return described
    weights = held.weights.arrays.get(f"{path}/vars/idf_weights")
    found = {"vocabulary": _terms(held.assets[name], config, f"{where}, assets/{name}")}
    found |= {} if weights is None else {"idf_weights": weights.tolist()}
    return described | {"config": config | found}


def _terms(data: bytes, config: dict[str, object], where: str) -> list[int] | list[str]:
    """Split a vocabulary into its terms, as Keras does."""
    try:
        terms = data.decode().splitlines()
        while terms and not terms[-1]:
            terms.pop()
        return [int(term) for term in terms] if config.get("vocabulary_dtype") == "int64" else terms
    except ValueError:
        raise FileError(f"{where}: it is not a list of terms, one per line.") from None
