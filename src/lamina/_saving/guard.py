"""The limits on the content of files of every kind, and the errors for files that exceed them.

No file is trusted. All its bytes are read into memory before any part is parsed. Nothing in it is run, imported, opened
or downloaded. Its content cannot take more memory than a small multiple of its size.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from lamina._messages.spelling import nearest
from lamina._process.memory import free_memory, require
from lamina.errors import FileError, ForbiddenFileError, MissingFileError

MOST_OBJECTS = 200_000
"""The most groups and datasets in an HDF5 file; a stack of 10,000 layers with Adam has 80,000."""
MOST_VALUES = 1_000_000
"""The most values in the attributes of an HDF5 file."""
MOST_LAYERS = 10_000
"""The most layers in a configuration. Each takes some milliseconds, because the shape of its output is traced."""
MOST_MEMBERS = 10_000
"""The most files in an archive; Keras writes three, and one more for each vocabulary."""
MOST_GROWTH = 20
"""The most bytes into which one compressed byte may grow; weights that are all zero reach ten."""
FREE_GROWTH = 2**20
"""The size in bytes to which every file may grow: configurations of 100 equal layers grow by a factor of 60."""
_DEEPEST = 100
_MOST_JSON_BYTES = 256 * 2**20
_MOST_JSON_VALUES = 5_000_000
"""The most values in JSON: a vocabulary in a configuration can have millions of tokens, of about ten bytes each."""
_MOST_JSON_CONTAINERS = 500_000
"""The most lists and objects in JSON: one takes up to 232 bytes of memory, two of the file. A layer has about ten."""
_MOST_DIGITS = 20

_TEXT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]++")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_ZIP, _HDF5, _SUPERBLOCK = b"PK\3\4", b"\x89HDF\r\n\x1a\n", 96
_KINDS: Sequence[tuple[bytes, str, str]] = [
    (_HDF5, "an HDF5 file", "Give it a name that ends in .h5, or in .weights.h5 if it holds only weights."),
    (_ZIP, "a zip archive", "If it is a model that Keras saved, give it a name that ends in .keras."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"\x93NUMPY", "a NumPy array", "Read it with numpy.load, and pass the arrays to model.set_weights."),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS instead of the file",
        "`git lfs pull` fetches the file itself.",
    ),
    (b"<", "a web page or other markup", "Download the file itself: the server sent a page instead."),
    (b"{", "JSON", ""),
]
_PICKLE = "A pickle can run any code, and is never opened here. Ask for a .keras, a .weights.h5 or a .safetensors file."
_TORCH = "Read it with torch.load(path, weights_only=True), and pass the result to model.load_torch_state_dict."


def refused(where: str, what: str, hint: str = "", kind: type[FileError] = FileError) -> FileError:
    """Make the error for a refused file: its place, what was found there, and what to do."""
    return kind(f"{where}: {what}" + (f"\n{hint}" if hint else ""))


def check_layers(config: object, where: str) -> None:
    """Raise an error if a configuration has too many layers."""
    count, todo = 0, [config]
    while todo:
        value = todo.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        todo += [each for each in inner if isinstance(each, (dict, list, tuple))]
        layers = value.get("layers") if isinstance(value, dict) else None
        count += len(layers) if isinstance(layers, (list, tuple)) else 0
    if count > MOST_LAYERS:
        raise refused(where, f"it has {count:,} layers; {MOST_LAYERS:,} is the limit.")


def is_plain_name(name: str, without: str = "/\\:") -> bool:
    """Whether `name` is a single part of a path, which cannot lead to another folder."""
    return (
        0 < len(name) <= 255
        and name not in (".", "..")
        and not any(each in without or unicodedata.category(each) in ("Cc", "Cs") for each in name)
    )


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that is repeated."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def is_of_torch(head: bytes) -> bool:
    """Whether torch.save wrote a zip archive: then its first member is a pickle."""
    return head.startswith(_ZIP) and b"/data.pkl" in head[:300]


def wrong_kind(data: bytes | memoryview, where: str, expected: str) -> FileError:
    """Make the error for a file of another kind than `expected`: it says what the file is and what to do with it."""
    head = bytes(data[:4096])
    what, hint = next(
        (found[1:] for found in _KINDS if head.lstrip().startswith(found[0])), ("none" if head else "empty", "")
    )
    if is_of_torch(head):
        what, hint = "a file of PyTorch's", _TORCH
    elif head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5":
        what, hint = "a pickle", _PICKLE
    elif head[8:9] == b"{" and int.from_bytes(head[:8], "little") < len(data):
        what, hint = (
            "a file of safetensors'",
            "Build the model, then call model.load_weights with a name that ends in .safetensors.",
        )
    return refused(where, f"{expected} was expected, and this is {what}.", hint)


# Bytes


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read all bytes of a regular file. If the user's path is a link, it is followed.

    Raises:
        FileError: the file is missing, empty, not a regular file, or larger than the free memory.
    """
    return opened_bytes(os.fspath(path), os.fspath(path))


def opened_bytes(path: str, where: str, folder: int | None = None) -> bytes:
    """Read all bytes of a file. In an open `folder`, symbolic and hard links are refused."""
    # Without O_NONBLOCK a named pipe waits for its other end for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if os.path.isdir(path) and folder is None:
            raise wrong_folder(path, "a file")
        descriptor = os.open(path, flags | (os.O_NOFOLLOW if folder is not None else 0), dir_fd=folder)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise refused(where, "it is a pipe or a device; a file was expected.")
            if folder is not None and found.st_nlink != 1:
                raise refused(where, "it is a hard link: the file has another name too.", "Copy the folder: `cp -r`.")
            if not found.st_size:
                raise refused(where, "the file is empty.")
            size = min(found.st_size, _end(file.read(_SUPERBLOCK)))
            require(size, f"{where}: The file has", FileError, free_memory())
            file.seek(0)
            data = file.read(size)
            if len(data) != size or os.fstat(descriptor).st_size != found.st_size:
                raise refused(where, "the file was changed while it was read.", "Load it again.")
            return data
    except (OSError, ValueError) as error:
        raise error if isinstance(error, FileError) else _not_opened(path, where, error) from None


def _end(head: bytes) -> int:
    """The most bytes to read from a file that begins with `head`: the size that an HDF5 file declares."""
    is_hdf5 = head[:9] == _HDF5 + b"\0" and len(head) == _SUPERBLOCK
    return max(_SUPERBLOCK, int.from_bytes(head[40:48], "little")) if is_hdf5 else 2**64


def _not_opened(path: str, where: str, error: OSError | ValueError) -> FileError:
    reason = getattr(error, "strerror", None) or str(error)
    if getattr(error, "errno", None) == errno.ELOOP:
        return linked(where)
    if isinstance(error, PermissionError):
        return refused(where, f"the file cannot be read: {reason}.", kind=ForbiddenFileError)
    if not isinstance(error, FileNotFoundError):
        return refused(where, f"the file cannot be read: {reason}.")
    there = Path(path).absolute().parent
    if not there.is_dir():
        return refused(where, f"there is no folder {str(there)!r}.", kind=MissingFileError)
    if os.path.islink(path):
        led = os.readlink(path)
        return refused(where, f"it is a link to {led!r}, which does not exist.", kind=MissingFileError)
    close = nearest(Path(path).name, sorted(os.listdir(there)))
    hint = f"Did you mean {str(Path(path).with_name(close[0]))!r}?" if close else ""
    return refused(where, "there is no such file.", hint, kind=MissingFileError)


def linked(where: str) -> FileError:
    """Make the error for a symbolic link inside a folder."""
    return refused(where, "it is a symbolic link.", "Copy the folder so that files replace the links: `cp -rL`.")


def wrong_folder(path: str, expected: str) -> FileError:
    """Make the error for a folder where something else was expected."""
    if not os.path.exists(os.path.join(path, "saved_model.pb")):
        return refused(path, f"{expected} was expected, and this is a folder.")
    return refused(
        path,
        f"{expected} was expected, and this is a SavedModel of TensorFlow, which holds a program and no layers.",
        "Load it with TensorFlow, and save it with model.save('model.keras').",
    )


# JSON


def parsed_json(data: bytes | memoryview, where: str) -> Any:
    """Parse a JSON text. Its limits are far above those of genuine files.

    Raises:
        FileError: the text is not JSON, repeats a name in an object, or is too large or too deep.

    NaN, Infinity and -Infinity are accepted, since Keras writes them for `Masking(float("nan"))`. Each setting checks
    its numbers.
    """
    if len(data) > _MOST_JSON_BYTES:
        raise refused(where, f"it has {len(data):,} bytes; JSON may have {_MOST_JSON_BYTES:,}.")
    try:
        text = bytes(data).decode()
        _check_size(text, where)
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, where),
            parse_int=lambda digits: _integer(digits, where),
            parse_float=lambda digits: _float(digits, where),
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError:
        raise wrong_kind(data, where, "JSON in UTF-8") from None
    except UnicodeEncodeError:
        raise refused(where, "a text holds one half of a character (a lone surrogate).") from None
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith(("{", "[")):
            raise wrong_kind(data, where, "JSON") from None
        raise refused(where, f"the JSON is broken at character {error.pos} of {len(text)}: {error.msg}.") from None


def _check_size(text: str, where: str) -> None:
    """Raise an error if the parser would need too much memory or depth."""
    outside = _TEXT.sub("", text)
    containers = outside.count("[") + outside.count("{")
    if containers > _MOST_JSON_CONTAINERS:
        raise refused(where, f"it has {containers:,} lists and objects; {_MOST_JSON_CONTAINERS:,} is the limit.")
    values = containers + outside.count(",")
    if values > _MOST_JSON_VALUES:
        raise refused(where, f"it has {values:,} values; {_MOST_JSON_VALUES:,} is the limit.")
    steps = (1 if bracket in "[{" else -1 for bracket in _NO_BRACKETS.sub("", outside))
    depth = max(accumulate(steps), default=0)
    if depth > _DEEPEST:
        raise refused(where, f"its values are nested {depth:,} levels deep; {_DEEPEST} is the limit.")


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    twice = first_repeated(name for name, _ in pairs)
    if twice is not None:
        raise refused(where, f"the name {twice[:80]!r} stands twice in one object.")
    return dict(pairs)


def _integer(digits: str, where: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise refused(where, f"{digits[:_MOST_DIGITS]}... is an integer of {len(digits):,} digits.")
    return int(digits)


def _float(digits: str, where: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise refused(where, f"{digits[:40]} is not a finite number.")
    return value
