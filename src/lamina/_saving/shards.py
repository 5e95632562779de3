"""Weights in several files: an index, `model.weights.json`, and the parts `model_00000.weights.h5` and so on."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import secrets
from pathlib import Path

from lamina._files import files
from lamina._saving import hdf5
from lamina._saving.guard import file_bytes, parsed_json
from lamina._saving.hdf5 import Stored
from lamina.errors import ArgumentError, FileError, MissingFileError

SAVE = "lamina_save"
"""The key of the save's random name in the index and in each part, so that parts of two saves are not mixed."""


def write(name: str, stored: Stored, max_shard_size: float) -> None:
    """Write the index and the parts; each part holds at most `max_shard_size` gigabytes.

    The parts get numbers that the current index does not contain. So the old set stays complete until the new index
    replaces the old one. After that, old parts are removed. An old part that has a higher number after it becomes an
    empty file, since parts are counted from 0 and Keras always opens number 0.
    """
    if isinstance(max_shard_size, bool) or not isinstance(max_shard_size, (int, float)) or not max_shard_size > 0:
        raise ArgumentError(
            f"max_shard_size: expected a number of gigabytes, such as 2 or 0.5, got {max_shard_size!r}."
        )
    parts, save = _split(stored, max_shard_size * 2**30), secrets.token_hex(8)
    places: dict[str, list[str]] = {}
    with files.alone(os.path.dirname(os.path.realpath(name))):
        kept = _named(name)
        free = (each for each in itertools.count() if each not in kept and _is_free(_part(name, each)))
        numbers = list(itertools.islice(free, len(parts)))
        for number, part in zip(numbers, parts, strict=True):
            files.write(_part(name, number), hdf5.write(Stored(part.arrays, {**part.attributes, "": {SAVE: save}})))
            for path in part.arrays:
                group = places.setdefault(f"/{os.path.dirname(path)}", [])
                group += [] if _part(name, number).name in group else [_part(name, number).name]
        told = {
            "metadata": {"total_size": sum(array.nbytes for array in stored.arrays.values()), SAVE: save},
            "weight_map": {group: found if len(found) > 1 else found[0] for group, found in places.items()},
        }
        files.write(name, json.dumps(told, indent=4).encode())
        with contextlib.suppress(OSError):  # the set is written, and the next save tries again
            _clear(name, kept, set(numbers))


def _named(name: str) -> set[int]:
    """Return the numbers of the parts in the current index."""
    try:
        found, _ = _index(parsed_json(file_bytes(name), name), name)
    except FileError:
        return set()
    return {int(part[-len("00000.weights.h5") :][:5]) for part in found}


def _is_free(part: Path) -> bool:
    """Whether the file does not exist, or was left by an interrupted save."""
    try:
        return SAVE in hdf5.read(file_bytes(part), str(part)).attributes.get("", {})
    except FileError:
        return not os.path.lexists(part)


def _clear(name: str, old: set[int], new: set[int]) -> None:
    """Remove the parts that the index no longer names; those with a higher number after them become empty."""
    empty, last = hdf5.write(Stored({}, {"": {SAVE: ""}})), True
    for number in reversed([*itertools.takewhile(lambda each: _part(name, each).exists(), itertools.count())]):
        part = _part(name, number)
        if number in new or not (number in old or _is_free(part)):
            last = False
        elif last and number:
            part.unlink()
        elif part.stat().st_size != len(empty):
            files.write(part, empty)


def _split(stored: Stored, most: float) -> list[Stored]:
    """Split the arrays into parts, in their order; the first part also has the groups without arrays."""
    parts, size = [Stored({}, dict(stored.attributes))], 0
    for path, array in stored.arrays.items():
        if array.nbytes > most:
            raise ArgumentError(
                f"max_shard_size={most / 2**30:g} is less than the {array.nbytes / 2**30:.3g} GB of {path}."
            )
        if size + array.nbytes > most:
            parts.append(Stored({}, {}))
            size = 0
        size += array.nbytes
        parts[-1].arrays[path] = array
        group = os.path.dirname(path)
        parts[-1].attributes[group] = stored.attributes[group]
    return parts


def read(name: str) -> Stored:
    """Read the arrays of all parts in the index. The bytes of all parts are read before the first is parsed."""
    index, data = members(name)
    wanted, save = _index(parsed_json(index, name), name)
    if missing := sorted(wanted - data.keys()):
        raise FileError(
            f"{name!r} names the part {missing[0]!r}, which is missing: the parts stand beside the index and "
            f"are called {_part(name, 0).name!r}, {_part(name, 1).name!r}, ..."
        )
    whole = Stored({}, {})
    for part_name in sorted(wanted):
        part_of = hdf5.read(data[part_name], f"{name}: {part_name}")
        if part_of.attributes.get("", {}).get(SAVE) != save:
            raise FileError(f"{part_name!r} is not of the same save as {name!r}: a save was interrupted.")
        if twice := part_of.arrays.keys() & whole.arrays.keys():
            raise FileError(f"{name!r}: {min(twice)!r} is in two parts.")
        whole.arrays.update(part_of.arrays)
        whole.attributes.update(part_of.attributes)
    return whole


def members(name: str) -> tuple[bytes, dict[str, bytes]]:
    """Read the bytes of the index and of the parts that it names."""
    index = b""
    while index != (index := file_bytes(name)):  # another process may replace the set meanwhile
        data: dict[str, bytes] = {}
        for each in sorted(_index(parsed_json(index, name), name)[0]):
            part = Path(name).with_name(each)
            if part.is_symlink():
                raise FileError(f"{str(part)!r} is a link, which may lead to any file: replace it by the file itself.")
            with contextlib.suppress(MissingFileError):
                data[each] = file_bytes(part)
    return index, data


def _index(found: object, name: str) -> tuple[set[str], object]:
    """Return the parts that an index names, and the name of its save."""
    match found:
        case {"weight_map": dict(places), "metadata": dict(metadata)}:
            parts = [part for each in places.values() for part in (each if isinstance(each, list) else [each])]
            own = _part(name, 0).name.removesuffix("00000.weights.h5")
            if odd := [
                part for part in parts if not re.fullmatch(rf"{re.escape(own)}[0-9]{{5}}\.weights\.h5", str(part))
            ]:
                raise FileError(
                    f"{name!r} names {str(odd[0])[:100]!r}: its parts are called {_part(name, 0).name!r}, "
                    f"{_part(name, 1).name!r}, ... To rename the index, rename the parts too, also in it."
                )
            return set(parts), metadata.get(SAVE)
    raise FileError(f"{name!r} is not an index of weights: it has no 'weight_map' and 'metadata'.")


def _part(name: str, number: int) -> Path:
    path = Path(name)
    return path.with_name(f"{path.stem.replace('.weights', '')}_{number:05}.weights.h5")
