"""Reads and writes whole models in `.h5` and `.hdf5` files: the format of Keras 2, which Keras 3 still writes."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._layer.layer import Layer
from lamina._layer.tracking import own_weights
from lamina._messages.tracebacks import warn
from lamina._saving import KERAS, hdf5, weights
from lamina._saving.guard import file_bytes, parsed_json
from lamina._saving.hdf5 import Stored
from lamina._settings.converters import short
from lamina._training.model import Model
from lamina._weights.weight import Weight, read
from lamina.errors import FileError, ShapeError
from lamina.losses.loss import registry as losses

MOST_IN_ATTRIBUTE = 64512
"""The most bytes of a list of names in one HDF5 attribute; longer lists are split into `names0`, `names1`, ..."""
TOP = "top_level_model_weights"
"""The group of the weights that belong to the model itself and not to a layer."""

Arrays = list[HostArray]


class Legacy(NamedTuple):
    """The content of such a file."""

    config: dict[str, Any] | None
    """The config of the model; None in a file that holds only weights."""
    training: dict[str, Any] | None
    """The arguments of `compile`."""
    layers: dict[str, Arrays]
    """The weights of each layer that has any, by the layer's name."""
    top: Arrays
    optimizer: Arrays | None
    version: str
    """The version of Keras that wrote the file, or whose format the writer used."""
    extra: dict[str, Any]
    """The content that `lamina.json` has in a `.keras` file."""


def read_file(name: str) -> Legacy:
    """Read a file."""
    held = hdf5.read(file_bytes(name), name)
    root = held.attributes.get("", {})
    top = "model_weights" if "layer_names" not in root and "layer_names0" not in root else ""
    if top not in held.attributes or not (names := _names(held, top, "layer_names", name)):
        raise FileError(f"{name!r} is not a model saved by Keras: it has no names of layers.")

    def arrays(group: str) -> Arrays:
        paths = [f"{group}/{each}" for each in _names(held, group, "weight_names", name)]
        if missing := [path for path in paths if path not in held.arrays]:
            raise FileError(f"{name!r} has no {missing[0]!r}, which it names among the weights.")
        return [held.arrays[path] for path in paths]

    layers = {each: arrays(f"{top}/{each}".lstrip("/")) for each in names}
    told = {key: parsed_json(text.encode(), f"{name}: {key}") for key, text in root.items()
            if key in ("model_config", "training_config", "lamina") and isinstance(text, str)}  # fmt: skip
    for key, value in told.items():
        if not (isinstance(value, dict) or (value is None and key == "training_config")):
            raise FileError(f"{name!r}: its {key} holds no JSON object, but {short(value)}.")
    return Legacy(
        told.get("model_config"), told.get("training_config"), {each: found for each, found in layers.items() if found},
        arrays(f"{top}/{TOP}".lstrip("/")),
        arrays("optimizer_weights") if "optimizer_weights" in held.attributes else None,
        str(held.attributes[top].get("keras_version", root.get("keras_version", "1"))), told.get("lamina", {}),
    )  # fmt: skip


def load_weights(
    model: Model, held: Legacy, where: str, *, by_name: bool = False, skip_mismatch: bool = False,
    whole: bool = False,
) -> None:  # fmt: skip
    """Assign the weights of each layer; layers are matched by their order, or by their names.

    Args:
        whole: whether the model is made from the same file.
    """
    mine = [layer for layer in model._lamina_chain if layer.weights]
    if not by_name and len(mine) != len(held.layers):
        advice = (
            "\nMake the stack that was saved, or load the layers of the same names: load_weights(path, by_name=True)."
        )
        raise (FileError if whole else ShapeError)(
            f"{where} does not fit {model.name!r}; nothing was loaded. It has weights for {len(held.layers)} layers "
            f"({', '.join(held.layers)}), and the model has {len(mine)} with weights "
            f"({', '.join(layer.name for layer in mine)}).{advice * (not whole)}"
        )
    found = [held.layers.get(layer.name) for layer in mine] if by_name else list(held.layers.values())
    pairs = zip(mine, found, strict=True)
    todo = [weights.Pair(layer, ordered(layer), weights.numbered(arrays)) for layer, arrays in pairs if arrays]
    if held.top or (own_weights(model) and not by_name):
        todo.append(weights.Pair(model, own_weights(model), weights.numbered(held.top)))
    weights.assign(model, todo, where, skip_mismatch, whole)


def ordered(layer: Layer) -> list[Weight]:
    """Return a layer's weights in the order of such files: trainable weights come first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def compile_config(training: dict[str, Any]) -> dict[str, Any]:
    """Convert the training config to the present form of the arguments of `compile`."""
    found = {key: training.get(key) for key in ("loss", "loss_weights", "metrics", "weighted_metrics")}
    match optimizer := training.get("optimizer_config"):
        case {"class_name": str(name), **told}:  # Keras 2 wrote "Custom>Adam" for its newer optimizers
            optimizer = told | {"class_name": name.removeprefix("Custom>")}
    return found | {"optimizer": optimizer}


def load_optimizer(model: Model, held: Legacy, where: str) -> None:
    """Assign the optimizer's variables if Keras 3 wrote them, since Keras 2 has another order."""
    if held.optimizer is not None and held.version.startswith("3."):
        weights.load_optimizer(model.optimizer, weights.numbered(held.optimizer), where)
    elif held.optimizer is not None:
        warn(f"{where} is of Keras {held.version}: the state of its optimizer has another format and is not loaded.")


def write(model: Model, described: dict[str, Any], extra: dict[str, Any]) -> bytes:
    """Return the bytes of such a file; `described` is the config of the model with the arguments of `compile`."""
    arrays: dict[str, HostArray] = {}
    whole = {"class_name": described["class_name"], "config": _without_modules(described["config"])}
    root = {"backend": "jax", "keras_version": KERAS, "model_config": json.dumps(whole), "lamina": json.dumps(extra)}
    attributes: dict[str, dict[str, Any]] = {"": root}

    def group(path: str, found: list[Weight]) -> None:
        attributes[path] = _named("weight_names", [weight.path for weight in found])
        arrays.update({f"{path}/{weight.path}": np.asarray(read(weight)) for weight in found})

    names = _named("layer_names", [layer.name for layer in model._lamina_chain])
    attributes["model_weights"] = {"backend": "jax", "keras_version": KERAS, **names}
    for layer in model._lamina_chain:
        group(f"model_weights/{layer.name}", ordered(layer))
    group(f"model_weights/{TOP}", own_weights(model))
    if training := dict(described.get("compile_config") or {}):
        if isinstance(loss := training["loss"], str):  # in these files Keras does not accept short names such as "mse"
            training["loss"] = losses.find(loss).__name__
        optimizer = training.pop("optimizer")
        training["optimizer_config"] = {
            "class_name": optimizer["registered_name"] or optimizer["class_name"], "config": optimizer["config"]
        }  # fmt: skip
        root["training_config"] = json.dumps(training)
        group("optimizer_weights", model.optimizer.variables)
    return hdf5.write(Stored(arrays, attributes))


def _named(name: str, names: list[str]) -> dict[str, list[str]]:
    """Store a list of names in one attribute, or in several if it is long."""
    longest = max((len(each.encode()) for each in names), default=1)
    size = max(MOST_IN_ATTRIBUTE // longest, 1)
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    return {name: names} if len(parts) < 2 else {f"{name}{number}": part for number, part in enumerate(parts)}


def _names(held: Stored, group: str, name: str, where: str) -> list[str]:
    """Read a list of names from one attribute, or from several."""
    found = held.attributes.get(group, {})
    several = itertools.takewhile(found.__contains__, (f"{name}{number}" for number in itertools.count()))
    lists = [found[part] for part in ([name] if name in found else several)]
    if odd := [each for each in lists if not (isinstance(each, list) and all(isinstance(one, str) for one in each))]:
        raise FileError(f"{where!r}: {name!r} of {group or 'the file'!r} is not a list of names, but {short(odd[0])}.")
    return [each for part in lists for each in part]


def _without_modules(config: dict[str, Any]) -> dict[str, Any]:
    """Convert a stack's config to the form of Keras 2, which has no names of modules."""
    return config | {"layers": [_legacy(each) for each in config["layers"]]}


def _legacy(described: dict[str, Any]) -> dict[str, Any]:
    config = described["config"]
    nested = described["class_name"] == "Sequential"
    return {
        "class_name": described.get("registered_name") or described["class_name"],
        "config": _without_modules(config) if nested else config,
    }
