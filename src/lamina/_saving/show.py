"""`python -m lamina show FILE`: shows the content of a file of a model, weights or a run's state without loading it."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import sys
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lamina._display.encoding import output
from lamina._messages.spelling import to_snake_case
from lamina._saving import archive, assets, checkpoint, config, guard, hdf5, legacy, safetensors, shards
from lamina._saving.rows import Arrays, Kind, Row, boxes, chain, plain, short
from lamina._views.drawing import Box, Frame
from lamina._views.stack_plot import Dot
from lamina._views.summary import readable_size
from lamina._weights.weight import values_follow
from lamina.errors import FileError, LaminaError


class Held(NamedTuple):
    """The content of a file."""

    what: str
    facts: dict[str, Any]
    """The description in the file."""
    members: Mapping[str, bytes | memoryview]
    """The files in it, if there are several."""
    arrays: Arrays
    """The arrays by their paths."""
    names: dict[str, str]
    """The names of the owners of the arrays, by the paths of their groups."""
    config: object = None
    """The configuration of the model, if the file holds one."""
    compiled: object = None
    most: str = "Weights"
    """The name of the group of all arrays that are not the optimizer's."""


SHOWN = 8
"""The number of arrays listed per owner."""


def show(path: str, picture: str | None = None) -> int:
    """Print what the file holds, and draw its stack to the file `picture`.

    Returns the exit status: 1 if the file is refused, or has no stack to draw.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    console = Console(file=output(), width=width, highlight=False)
    try:
        held = _held(path)
    except FileError as error:
        _say(console, f"Refused: {error}")
        return 1
    _say(console, f"{path}: {held.what}", "bold")
    for name, fact in held.facts.items():
        _say(console, f"  {name}: {short(fact)}")
    if len(held.members) > 1:
        console.print(_member_table(held.members))
    layers, others = _rows(held)
    stack = _stack(held, layers)
    if stack:
        _say(console, f"  Stack: {chain(stack, ' -> ' if console.options.ascii_only else ' → ')}")
    if layers or others:
        console.print(_layer_table(layers + others))
    for title, arrays in ((held.most, _of(held, False)), ("Optimizer", _of(held, True))):
        if arrays:
            count, size = sum(math.prod(shape) for shape, _, _ in arrays), sum(each[2] for each in arrays)
            _say(console, f"{title}: {count:,} params in {len(arrays)} arrays, {size:,} bytes ({readable_size(size)})")
    if held.config is not None:
        for line in _compiled(held.compiled):
            _say(console, line)
        own = _own(held.config, held.compiled)
        if own:
            _say(
                console, f"To open it, give your own: custom_objects={{{', '.join(f'{each!r}: ...' for each in own)}}}"
            )
        refused = _refusal(path, held, own)
        if refused is not None:
            _say(console, f"Refused by load_model: {refused}")
            return 1
    return 0 if picture is None else _draw(console, stack, picture)


def _stack(held: Held, layers: list[Row]) -> list[Box | Frame]:
    """Return the layers in order; none if the file holds only weights, or a model that is not a stack of layers."""
    listed = _list(_dict(_dict(held.config).get("config")).get("layers"))
    return [] if any("inbound_nodes" in _dict(layer) for layer in listed) else boxes(deque(layers))


def _draw(console: Console, stack: list[Box | Frame], picture: str) -> int:
    if not stack:
        _say(console, "No picture was written: the file does not say which layers follow each other.")
        return 1
    try:
        Dot("stack", stack, "TB", 96, "ortho", False).write(picture)
    except LaminaError as error:
        _say(console, f"No picture was written: {error}")
        return 1
    _say(console, f"The stack is drawn in {picture}")
    return 0


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(Text(plain(line), style=style), soft_wrap=True)


def _held(path: str) -> Held:
    if os.path.isdir(path):
        return _of_states(path) if checkpoint.states_in(path) else _of_archive(path, "a whole model, as a folder")
    data = guard.file_bytes(path)
    facts = {"Bytes": f"{len(data):,}", "SHA-256": hashlib.sha256(data).hexdigest()}
    if data.startswith(b"PK\3\4"):
        held = _of_archive(path, "a whole model, as an archive")
    elif data.startswith(b"\x89HDF"):
        held = _of_hdf5(data, path)
    elif path.endswith(".weights.json"):
        held = _of_parts(path)
    elif data[8:9] == b"{":
        held = _of_safetensors(data, path)
    else:
        raise guard.wrong_kind(data, path, "a file of a model or of weights")
    return held._replace(facts=facts | held.facts)


def _of_archive(path: str, what: str) -> Held:
    read = archive.read(path)
    members = archive.members(path, also=("metadata.json",))
    said = guard.parsed_json(members.get("metadata.json", b"{}"), f"{path}, metadata.json")
    config = dict(read.config)
    return Held(what, _facts(said), members, *_stored(read.weights), config, config.pop("compile_config", None))


def _dict(value: object) -> dict[str, Any]:
    """Return `value` if it is a dict, otherwise an empty dict."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _facts(said: object) -> dict[str, Any]:
    names = {"keras_version": "Keras", "backend": "Backend", "date_saved": "Saved", "lamina": "Lamina", "jax": "JAX"}
    return {names[name]: _dict(said)[name] for name in names if name in _dict(said)}


def _of_hdf5(data: bytes, path: str) -> Held:
    stored = hdf5.read(data, path)
    root = stored.attributes.get("", {})
    arrays, names = _stored(stored)
    if "model_config" not in root:
        return Held("weights", _facts(root), {}, arrays, names)
    config, compiled = (
        guard.parsed_json(str(root.get(name, "null")).encode(), f"{path}, {name}")
        for name in ("model_config", "training_config")
    )
    return Held("a whole model, as Keras 2 saved it", _facts(root), {}, arrays, names, config, compiled)


def _of_parts(path: str) -> Held:
    index, parts = shards.members(path)
    return Held("weights in several files", {}, {path: index, **parts}, *_stored(shards.read(path)))


def _stored(stored: hdf5.Stored) -> tuple[Arrays, dict[str, str]]:
    arrays = {path: (each.shape, each.dtype.name, each.nbytes) for path, each in stored.arrays.items()}
    named = {path: said["name"] for path, said in stored.attributes.items() if "name" in said}
    return arrays, {path.removesuffix("vars").rstrip("/"): str(name) for path, name in named.items()}


def _of_safetensors(data: bytes, path: str) -> Held:
    if checkpoint.is_state(data):
        return _of_state(data, path)
    said = safetensors.header(data, path)
    arrays = {span.name: (span.shape, span.dtype.name, span.end - span.begin) for span in said.spans}
    return Held("weights in the format of safetensors", said.metadata, {}, arrays, {})


def _of_state(data: bytes, path: str) -> Held:
    saved = checkpoint.opened(data, path)
    facts = _dict(saved.facts)
    place = _dict(facts.get("place"))
    told = {
        "Epochs done": place.get("epoch"),
        "Steps done of the next epoch": place.get("done"),
        "Ended": place.get("ended"),
        "Logs": place.get("logs"),
        "Callbacks": ", ".join(str(_dict(each).get("class")) for each in _list(facts.get("callbacks"))),
    }
    arrays = {name: (array.shape, array.dtype.name, array.nbytes) for name, array in saved.arrays.items()}
    return Held("the state of a run", _facts(facts) | told | _dict(facts.get("run")), {}, arrays, {}, most="Others")


def _of_states(folder: str) -> Held:
    """Return the content of the newest state of a run."""
    names = checkpoint.states_in(folder)
    names = [checkpoint.BEST] * os.path.exists(os.path.join(folder, checkpoint.BEST)) + names
    held = {name: guard.file_bytes(os.path.join(folder, name)) for name in names}
    newest = _of_state(held[names[-1]], os.path.join(folder, names[-1]))
    return newest._replace(what=f"the states of a run, of which {names[-1]} holds:", members=held)


def _of(held: Held, optimizer: bool) -> list[Kind]:
    return [each for path, each in held.arrays.items() if path.startswith("optimizer") == optimizer]


def _rows(held: Held) -> tuple[list[Row], list[Row]]:
    """Return a row for each layer of the configuration, and for each other owner of arrays."""
    left, others = dict(held.arrays), []
    layers = list(_layers(held.config, "", 0, left, held.names))
    groups: dict[str, Arrays] = {}
    for path, each in left.items():
        group, _, name = path.rpartition("/" if "/" in path else ".")
        groups.setdefault(group.removesuffix("vars").rstrip("/"), {})[name] = each
    for group, arrays in groups.items():
        name = held.names.get(group, "")
        others.append(Row(0, group or "its own", "" if name in group else name, "", arrays))
    return layers, others


def _layers(config: object, place: str, depth: int, left: Arrays, names: dict[str, str]) -> Iterator[Row]:
    """Iterate over the layers of a model; each takes the arrays of its group from `left`."""
    taken: Counter[str] = Counter()
    for layer in map(_dict, _list(_dict(_dict(config).get("config")).get("layers"))):
        kind, said = str(layer.get("class_name")), _dict(layer.get("config"))
        if kind == "InputLayer":
            continue
        name, number = to_snake_case(kind), taken[to_snake_case(kind)]
        taken[name] += 1
        group = f"{place}layers/{name}_{number}/" if number else f"{place}layers/{name}/"
        old = f"model_weights/{said.get('name')}/"
        shape = _dict(layer.get("build_config")).get("input_shape", "")
        inner = list(_layers(layer, group, depth + 1, left, names)) if "layers" in said else []
        found = [path for path in left if path.startswith((group, old))]
        own = {path.removeprefix(group).removeprefix(old).replace("vars/", ""): left.pop(path) for path in found}
        yield Row(depth, str(said.get("name")), kind, shape, own)
        yield from inner


def _member_table(members: Mapping[str, bytes | memoryview]) -> Table:
    table = Table("Member", box=box.SIMPLE_HEAD)
    table.add_column("Bytes", justify="right")
    table.add_column("SHA-256", overflow="fold")
    for name, data in sorted(members.items()):
        table.add_row(Text(plain(name)), f"{len(data):,}", hashlib.sha256(data).hexdigest())
    return table


def _layer_table(rows: list[Row]) -> Table:
    table = Table("Layer (class)", "Input shape", box=box.SIMPLE_HEAD)
    table.add_column("Arrays", overflow="fold")
    for heading in ("Params", "Bytes"):
        table.add_column(heading, justify="right")
    for depth, name, kind, shape, arrays in rows:
        title = Text("  " * depth + plain(short(name))).append(f" ({plain(short(kind))})" if kind else "", "blue")
        ordered = sorted(
            arrays.items(), key=lambda item: (len(item[0]), item[0]) if item[0].isdigit() else (0, item[0])
        )
        lines = [f"{short(name)} {shape} {dtype}" for name, (shape, dtype, _) in ordered[:SHOWN]]
        lines += [f"and {len(arrays) - SHOWN} more"] * (len(arrays) > SHOWN)
        table.add_row(
            title, plain(short(tuple(shape) if isinstance(shape, list) else shape)), Text(plain("\n".join(lines))),
            f"{sum(math.prod(each) for each, _, _ in arrays.values()):,}",
            f"{sum(size for _, _, size in arrays.values()):,}",
        )  # fmt: skip
    return table


def _compiled(compiled: object) -> Iterator[str]:
    """Describe in short how the model is compiled."""
    if not isinstance(compiled, dict) or not compiled:
        yield "Not compiled."
        return
    for name in ("optimizer", "loss", "metrics", "weighted_metrics"):
        value = compiled.get(name, compiled.get(f"{name}_config"))
        if value:
            yield f"Compiled with {name}={short(_in_short(value))}"


def _in_short(value: object) -> str:
    """Write an object's configuration as a call, without arguments that are off."""
    if isinstance(value, list):
        return f"[{', '.join(map(_in_short, value))}]"
    if not isinstance(value, dict):
        return repr(value)
    if "class_name" not in value:
        return f"{{{', '.join(f'{name!r}: {_in_short(each)}' for name, each in value.items())}}}"
    config = value.get("config")
    if not isinstance(config, dict):
        return str(config if value["class_name"] == "function" else value["class_name"])
    said = {
        name: each for name, each in config.items() if each not in (None, False, "") and name not in ("name", "dtype")
    }
    return f"{value['class_name']}({', '.join(f'{name}={_in_short(each)}' for name, each in said.items())})"


def _own(*configs: object) -> list[str]:
    """The names of the user's own classes and functions in configurations."""
    found: set[str] = set()
    todo = list(configs)
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
            if value.get("registered_name") and str(value.get("module")).partition(".")[0] != "keras":
                found.add(str(value["registered_name"]))
        elif isinstance(value, list):
            todo += value
    return sorted(found)


def _refusal(path: str, held: Held, own: list[str]) -> LaminaError | None:
    """Return the error with which `load_model` would refuse the configuration. Layers are made, but no weights."""
    token = values_follow.set(True)
    try:
        if held.members:
            described = _dict(assets.in_config(held.config, archive.read(path), path))
        else:
            described = _dict(legacy.read_file(path).config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in (described | {"compile_config": {}}, held.compiled if held.members else None):
                config.deserialized(each, where=path, skip=own, left_out=[])
    except LaminaError as error:
        return error
    finally:
        values_follow.reset(token)
    return None
