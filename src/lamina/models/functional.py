"""Reads configs of Keras's functional models whose layers form one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lamina._layer.layers_by_name import registry
from lamina._settings.converters import short
from lamina.errors import ArgumentError, StackError
from lamina.models.sequential import Sequential


class Functional:
    """The class that configs of Keras's functional models name. Their layers become a `Sequential`."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Sequential:
        """Make a stack of the layers, if each layer takes one tensor, the output of the layer before it."""
        line = _line(config, str(config.get("name", "a functional model")))
        return Sequential.from_config({**config, "layers": line}, custom_objects)


registry.add("Model")(Functional)


def _line(config: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """The configs of the layers, first to last."""
    described = config.get("layers")
    if not isinstance(described, list) or not all(isinstance(layer, dict) for layer in described):
        raise ArgumentError(f"{model}: expected the config of a functional model, got {short(config)}.")
    layers: dict[str, dict[str, Any]] = {str(layer.get("name")): layer for layer in described}
    after: dict[str, str] = {}
    for name, layer in layers.items():
        sources = _sources(layer.get("inbound_nodes") or [], name, model)
        if len(sources) > 1:
            raise _branches(model, f"{name!r} takes {' and '.join(sources)}")
        if sources and sources[0] in after:
            raise _branches(model, f"{sources[0]!r} goes to {after[sources[0]]} and {name}")
        after |= dict.fromkeys(sources, name)
    starts = [name for name in layers if name not in after.values()]
    if len(starts) != 1:
        raise _branches(model, f"it has {len(starts)} inputs")
    line = starts
    while line[-1] in after and len(line) <= len(layers):
        line.append(after[line[-1]])
    if len(line) != len(layers):
        raise _branches(model, "its layers are not connected one after another")
    return [{key: value for key, value in layers[name].items() if key != "inbound_nodes"} for name in line]


def _sources(nodes: Any, name: str, model: str) -> list[str]:
    """The names of the layers whose outputs a layer takes."""
    found: list[str] = []
    for node in nodes:
        found += _tensors(node)
        kwargs = node.get("kwargs", {}) if isinstance(node, dict) else next((e[3] for e in node if len(e) > 3), {})
        told = [key for key, value in kwargs.items() if value is not None and not list(_tensors(value))]
        if told:
            raise StackError(
                f"{model!r} calls {name!r} with {told[0]}={short(kwargs[told[0]])}, and a stack calls each layer with "
                "one tensor only. Write a layer of your own that passes this argument."
            )
    return found


def _tensors(value: object) -> Iterator[str]:
    """The layers that made the tensors of a call. Keras 3 stores their history, Keras 2 stores [name, 0, 0, {}]."""
    if isinstance(value, dict):
        history = (value.get("config") or {}).get("keras_history") if value.get("class_name") else None
        if isinstance(history, list) and history:
            yield str(history[0])
        else:
            for each in value.values():
                yield from _tensors(each)
    elif isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int):
            yield value[0]
            value = value[3:]
        for each in value:
            yield from _tensors(each)


def _branches(model: str, why: str) -> StackError:
    return StackError(
        f"{model!r} is a functional model whose layers are not a single line: {why}. A stack is one line, in which "
        "each layer takes the output of the one before; write the part with branches as a Layer of your own."
    )
