"""The states of a run on disk: a folder of safetensors files, which a thread writes during the training."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import jax
import numpy as np

from lamina._files import files
from lamina._layer.layer import Layer
from lamina._layer.structure import weights_by_path
from lamina._messages.tracebacks import warn
from lamina._process.version import __version__
from lamina._saving import guard, safetensors
from lamina._training.resume import Saved
from lamina.callbacks.checkpoint import KeepingCallback
from lamina.errors import FileError

SUFFIX = ".safetensors"
BEST = "best" + SUFFIX
STEP = re.compile(r"step-\d{10,}(-epoch-\d{6,}(-end)?)?\.safetensors")
NO_HASH = "0" * 64
"""A placeholder for the hash in a file's header, while the hash is computed."""
_SAID = re.compile(rb'"sha256": "([0-9a-f]{64})"')

REST = 20
"""The ratio of the thread's pauses to its work: it uses at most a twentieth of one processor."""

_ended: dict[str, int] = {}
"""The number of runs that ended in a folder since the process started; the next `fit` uses the next number."""


def packed(saved: Saved) -> list[bytes | memoryview]:
    """Return the bytes of a state's file, as parts that follow each other."""
    facts = saved.facts | {"lamina": __version__, "jax": jax.__version__}
    held = {name: np.asarray(array) for name, array in saved.arrays.items()}
    parts = safetensors.written(held, {"checkpoint": json.dumps(facts, allow_nan=False), "sha256": NO_HASH})
    parts[1] = bytes(parts[1]).replace(NO_HASH.encode(), _hash(parts).encode(), 1)
    return parts


def _hash(parts: Sequence[bytes | memoryview]) -> str:
    said = hashlib.sha256()
    for part in parts:
        said.update(part)
    return said.hexdigest()


def opened(data: bytes, where: str) -> Saved:
    """Check the hash of a file, and return the state that it holds.

    Raises:
        FileError: the file is not a state, was cut short, or was changed after it was written.
    """
    size = 8 + int.from_bytes(data[:8], "little")
    said = is_state(data) and _SAID.search(data, 8, size)
    if not said:
        raise FileError(f"{where}: this is not a checkpoint, or only a part of one.")
    text = data[8:size].replace(said[1], NO_HASH.encode(), 1)
    if _hash([data[:8], text, memoryview(data)[size:]]) != said[1].decode():
        raise FileError(f"{where}: the file has changed since it was written: its hash differs.")
    header = safetensors.header(data, where)
    facts = guard.parsed_json(header.metadata["checkpoint"].encode(), where)
    return Saved(facts, safetensors.held(data, header))


def read(path: str) -> Saved:
    """Read the state in a file."""
    return opened(guard.file_bytes(path), path)


def is_state(data: bytes) -> bool:
    """Whether a file in the format of safetensors is the state of a run."""
    return b'"__metadata__": {"checkpoint": "' in data[8 : 8 + int.from_bytes(data[:8], "little")]


def load_weights(model: Layer, data: bytes, where: str) -> None:
    """Load the weights of a state, such as the best one, into a model."""
    saved = opened(data, where)
    weights = {path: weight for path, (weight, _) in weights_by_path(model).items()}
    arrays = {name.partition("/")[2]: a for name, a in saved.arrays.items() if name.startswith(("params/", "state/"))}
    if other := sorted(
        path for path in {**weights, **arrays}
        if path not in weights or path not in arrays or weights[path].shape != arrays[path].shape
    ):  # fmt: skip
        raise FileError(f"{where}: the state is of another stack; these weights differ: {', '.join(other[:4])}.")
    for path, weight in weights.items():
        weight.assign(arrays[path])


def states_in(folder: str) -> list[str]:
    """Return the names of the states in a folder, the oldest first."""
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = [name for name in os.listdir(folder) if STEP.fullmatch(name)]
    return sorted(names, key=lambda name: name.removesuffix(SUFFIX))


class FolderStore:
    """Stores the states of one run in a separate folder."""

    def __init__(self, callback: KeepingCallback) -> None:
        self.callback, self.plan = callback, callback._lamina_keeping
        self.given = os.path.abspath(self.plan.folder)
        number = _ended.get(self.given, 0) + 1 if self.plan.counts else 1
        self.where = self.plan.folder if number == 1 else os.path.join(self.plan.folder, f"fit-{number}")
        self.every, self.deletes = self.plan.every, self.plan.deletes
        self.goes_on = self.plan.goes_on
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="lamina-checkpoint")
        self.waiting: dict[bool, Future[None]] = {}
        """The write of the latest state that the thread has not finished, and under True that of the best one."""
        self.error: Exception | None = None
        """Why the newest state could not be written."""
        self.untold: Exception | None = None
        """The first error since the last warning."""
        self.broken: list[str] = []
        self.closing = threading.Event()

    def newest(self, ended: bool = True) -> Saved | None:
        files.make_folder(self.where)
        names = [name for name in states_in(self.where) if ended or not name.endswith("-end" + SUFFIX)]
        for name in reversed(names):
            try:
                return read(os.path.join(self.where, name))
            except FileError as error:
                if name == names[0]:
                    none = f"No state in {self.where!r} can be read. To start the run again, delete that folder."
                    raise type(error)(f"{error}\n{none}") from None
                if (path := os.path.join(self.where, name)) not in self.broken:
                    self.broken.append(path)
                    warn(f"{error} The run resumes from the state before it.")
        return None

    def write(self, saved: Saved, best: bool = False, last: bool = False) -> None:
        for kind in {False, best} & self.waiting.keys():
            self.waiting.pop(kind).cancel()  # unless it has begun
        self._tell()
        written = self.thread.submit(self._write, saved, best)
        if not last:
            self.waiting[best] = written

    def _write(self, saved: Saved, best: bool) -> None:
        """Write a state, in the thread, and then pause, so that the training has the processors."""
        begun = time.thread_time()
        try:
            parts = packed(saved)
            for file in [saved.name + SUFFIX, *[BEST] * best]:
                path = os.path.join(self.where, file)
                if os.path.islink(path):  # otherwise the target of the link would be replaced
                    os.unlink(path)
                with files.replacing(path, sum(map(len, parts))) as opened:
                    opened.writelines(parts)
            self._tidy()
            self.error = None
        except Exception as error:
            self.untold = self.untold if self.error else error
            self.error = error
        self.closing.wait(REST * (time.thread_time() - begun))

    def _tidy(self) -> None:
        """Remove the oldest states beyond the number to keep."""
        while self.broken:  # otherwise it would still be the newest
            os.replace(broken := self.broken.pop(), broken + ".broken")
        names = states_in(self.where)
        before = [each for each in names if not each.endswith("-end" + SUFFIX)]
        for each in {*names[:-1]} - {*before[-self.plan.keep :]}:
            with suppress(OSError):
                os.unlink(os.path.join(self.where, each))

    def improves(self, logs: dict[str, Any]) -> bool:
        return self.callback._lamina_is_best(logs)

    def _tell(self) -> None:
        if self.untold is not None:
            warn(f"{self.untold}\nThe training continues, and the earlier states remain.")
            self.untold = None

    def close(self, ended: bool, failed: bool) -> None:
        self.closing.set()
        self.thread.shutdown()
        self._tell()
        if self.error is not None and not failed:
            raise self.error
        if ended:
            _ended[self.given] = _ended.get(self.given, 0) + 1
        if ended and self.plan.deletes:
            for name in states_in(self.where):
                with suppress(IsADirectoryError, PermissionError, FileNotFoundError):
                    os.unlink(os.path.join(self.where, name))
            with suppress(OSError):  # the folder may hold other files
                os.rmdir(self.where)
