"""Converts weights between a model of torch and a stack of the same layers: names, axes and the order of gates."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina import _display as display
from lamina._saving import safetensors
from lamina._saving.guard import file_bytes
from lamina._saving.torch_layout import TorchModule, Values, Walk
from lamina._saving.weights import at_one_moment
from lamina._settings.converters import checked, flag
from lamina._training.model import Model
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, NotBuiltError, ShapeError

SHOWN = 4
"""The most unmatched modules that a message lists for each library."""
EPSILON = 1e-5
"""The default epsilon of torch's normalizations."""


class Group(NamedTuple):
    """The arrays of one module in a state dict: their full names and their shapes, by the last part of the name."""

    path: str
    names: dict[str, str]
    shapes: dict[str, tuple[int, ...]]


def load(model: Model, state_dict: object, verbose: bool) -> None:
    """Load a state dict, as `Sequential.load_torch_state_dict` describes."""
    verbose = checked("load_torch_state_dict", "verbose", flag, verbose)
    arrays = {name: _array(name, value) for name, value in _mapping(state_dict).items()}
    walk = _walk(model)
    pairs = _pairs(walk.found, arrays)
    assigned: list[tuple[Weight, Values]] = []
    for module, group in pairs:
        given = {name: arrays[full] for name, full in group.names.items()}
        assigned += module.weights(given)
    for weight, value in assigned:
        weight.assign(value)
    if verbose:
        _show(f"{model.name} has the weights of these modules", pairs, walk.notes)


def state_dict(model: Model, like: Mapping[str, object] | None, verbose: bool) -> dict[str, Values]:
    """Return a state dict, as `Sequential.torch_state_dict` describes."""
    verbose = checked("torch_state_dict", "verbose", flag, verbose)
    walk = _walk(model)
    modules = walk.found
    pairs = [(module, _own_names(module)) for module in modules] if like is None else _pairs(modules, _mapping(like))
    with at_one_moment(model):
        found = {full: module.arrays()[name] for module, group in pairs for name, full in group.names.items()}
    if like is None:
        norms = [module.path for module in modules if module.kind == "BatchNorm"]
        found |= {f"{path}.num_batches_tracked": np.zeros((), "int64") for path in norms}
    else:  # in the order of `like`, with its num_batches_tracked
        found = {name: found[name] if name in found else np.array(_array(name, like[name])) for name in like}
    if verbose:
        _show(f"{model.name} as a state dict of torch", pairs, walk.notes)
    return found


def _own_names(module: TorchModule) -> Group:
    """Name the arrays of a module after its layer."""
    shapes = {name: array.shape for name, array in module.arrays().items()}
    return Group(module.path, {name: f"{module.path}.{name}" for name in shapes}, shapes)


def _walk(model: Model) -> Walk:
    if not model.built:
        raise NotBuiltError(f"{model.name!r} has no weights yet: put Input(shape) first, or call it on data.")
    return Walk(model)


def _mapping(given: object) -> Mapping[str, object]:
    """Return a state dict, or read one from a safetensors file; for other values, the error says how to get one."""
    if isinstance(given, (str, os.PathLike)):
        path = os.fsdecode(given)
        if path.endswith(".safetensors"):
            return dict(sorted(safetensors.read(file_bytes(path), path).items()))  # always in the same order
        raise ArgumentError(
            f"expected a state dict, got a path: write torch.load({path!r}, weights_only=True). A file of torch is a "
            "pickle, which can run code when it is read, so only torch reads it."
        )
    if hasattr(given, "state_dict"):
        raise ArgumentError(f"expected a state dict, got a {type(given).__name__}: write module.state_dict().")
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ArgumentError(f"expected a state dict, arrays by their names; got {type(given).__name__}.")
    inner = [name for name, value in given.items() if isinstance(value, Mapping)]
    if inner:
        raise ArgumentError(
            f"expected a state dict, arrays by their names; here {', '.join(map(repr, inner))} are dicts themselves: "
            f"give the one that holds the weights, such as checkpoint[{inner[0]!r}]."
        )
    return given


def _array(name: str, value: Any) -> Values:
    if hasattr(value, "detach"):  # a tensor of torch; NumPy itself has no bfloat16
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ArgumentError(f"{name!r} of the state dict is not an array of numbers, but a {type(value).__name__}.")
    return array


def _groups(arrays: Mapping[str, Any]) -> list[Group]:
    """Group the arrays of a state dict by module, in its order; each layer of a stacked recurrent module is a group."""
    found: dict[tuple[str, str], Group] = {}
    for name, value in arrays.items():
        path, _, last = name.rpartition(".")
        if last == "num_batches_tracked":
            continue
        layer = re.fullmatch(r"(\w+_[ih]h_l)(\d+)(_reverse)?", last)
        number, last = (layer[2], f"{layer[1]}0{layer[3] or ''}") if layer else ("", last)
        group = found.setdefault((path, number), Group(f"{path}[{number}]" if number else path, {}, {}))
        group.names[last], group.shapes[last] = name, tuple(np.shape(value))
    groups = list(found.values())
    return sorted(groups, key=lambda group: _numbers(group.path)) if _is_sorted(arrays) else groups


def _is_sorted(arrays: Mapping[str, object]) -> bool:
    """Whether the names are in alphabetical order, as in a safetensors file, and not in the order of the modules."""
    names = [name for name in arrays if not name.endswith("num_batches_tracked")]
    return names == sorted(names)


def _numbers(path: str) -> list[int]:
    """Return the numbers in a name as a sort key, so that "blocks.10.conv2" comes after "blocks.9.conv1"."""
    return [int(digits) for digits in re.findall(r"\d{1,999}", path)]


def _pairs(modules: list[TorchModule], arrays: Mapping[str, object]) -> list[tuple[TorchModule, Group]]:
    """Match each module of the stack with one of the state dict that has arrays of the same shapes, in order."""
    groups = _groups(arrays)
    given: dict[Hashable, list[Group]] = {}
    for group in groups:
        given.setdefault(_kind(group.shapes), []).append(group)
    if _is_sorted(arrays):
        _refuse_alike(given.values())
    pairs, missing = [], []
    for module in modules:
        shapes = {name: array.shape for name, array in module.arrays().items()}
        same = given.get(_kind(shapes))
        if same:
            pairs.append((module, same.pop(0)))
        else:
            missing.append(f"{module.path} ({module.kind}): {_text(shapes)}")
    left = [f"{group.path or 'by itself'}: {_text(group.shapes)}" for same in given.values() for group in same]
    if missing or left:
        raise ShapeError(
            f"{len(pairs)} of the {len(groups)} modules in the state dict fit a layer. Nothing is changed.\n"
            + _listed("Layers without a module, with their arrays in torch:", missing)
            + _listed("Modules without a layer:", left)
            + "Both need the same layers with weights, of the same sizes and with the same use_bias."
        )
    return pairs


def _kind(shapes: Mapping[str, tuple[int, ...]]) -> Hashable:
    return tuple(sorted(shapes.items()))


def _refuse_alike(given: Iterable[list[Group]]) -> None:
    """Refuse modules of equal shapes if neither the state dict nor their names show their order."""
    for same in given:
        if len({re.sub(r"\d+", "", group.path) for group in same}) > 1:
            raise ShapeError(
                f"{' and '.join(repr(group.path) for group in same[:SHOWN])} have arrays of the same shapes, and the "
                "state dict is sorted by name, so their order is unknown.\nPut its items in the order of the "
                "layers, as in torch's module.state_dict()."
            )


def _text(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def _listed(title: str, lines: list[str]) -> str:
    more = [f"… and {len(lines) - SHOWN} more"] * (len(lines) > SHOWN)
    return "".join(f"{line}\n" for line in [title, *(f"  {line}" for line in [*lines[:SHOWN], *more])] if lines)


def _show(title: str, pairs: list[tuple[TorchModule, Group]], notes: list[str]) -> None:
    """Print which array belongs to which weight, and how it was changed."""
    rows = [
        (
            f"{entry.weight.path.partition('/')[2]} {entry.weight.shape}",
            f"{group.names[entry.name]} {group.shapes[entry.name]}",
            entry.move.said,
        )
        for module, group in pairs
        for entry in module.entries
    ]
    others = {
        module.layer.name: module.layer.epsilon  # type: ignore[attr-defined]
        for module, _ in pairs
        if module.kind in ("BatchNorm", "LayerNorm", "GroupNorm") and module.layer.epsilon != EPSILON  # type: ignore[attr-defined]
    }
    told = [f"{name} has epsilon={epsilon:g}; torch's default is {EPSILON:g}." for name, epsilon in others.items()]
    display.tables.show(title, ("Weight", "In torch", "Change"), rows, [*told, *notes])
