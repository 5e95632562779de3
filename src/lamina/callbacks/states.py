"""The state of callbacks during a run: their attributes, saved and restored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.nested import leaves
from lamina._arrays.packing import NotPlainError, Packed, pack, unpack
from lamina._messages.tracebacks import warn
from lamina._settings.settings import Configured
from lamina.callbacks.callback import HOOKS, Callback
from lamina.callbacks.progress_bar import ProgbarLogger

CODE = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
OURS = {*HOOKS, "params", "_model", "_lamina"}
REMEMBERED = 2**20
"""Of arrays with more bytes, only a digest is stored."""


class Start(NamedTuple):
    """The value that an attribute has after `on_train_begin` each time that the program is started."""

    plain: Any
    digests: list[bytes]
    arrays: list[HostArray] | None
    """None for large arrays. Such an attribute is data, which no callback sets in `on_epoch_begin`."""


class CallbackStates:
    """Saves and restores the attributes of callbacks that a run has changed since `on_train_begin`.

    Other attributes are not saved. So a setting that the user changes before a resume takes effect, and data in an
    attribute is not written with each state.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.callbacks = [each for each in callbacks if not isinstance(each, ProgbarLogger)]
        self.starts: list[dict[str, Start]] = [{} for _ in self.callbacks]
        self.had: list[set[str]] = []
        """The names of each callback's attributes after the first epoch had begun."""

    def begin(self) -> None:
        """Called after `on_train_begin`. Records the attributes, and warns about those that cannot be saved."""
        unkept: dict[str, None] = {}
        self.starts = [
            {name: _start(now) for name, now in _attributes(each, unkept)} for each in self.callbacks
        ]  # fmt: skip
        if unkept:
            warn(
                f"a checkpoint cannot hold {', '.join(unkept)}: only numbers, strings, arrays, and lists and dicts of "
                "them. After a resume, on_train_begin has to set the others."
            )

    def begin_epoch(self) -> None:
        """Called after `on_epoch_begin`. A resumed run restores only attributes that exist in its first epoch."""
        self.had = self.had or self._names()

    def taken(self) -> list[dict[str, Any]]:
        """The class of each callback, and the attributes that have changed."""
        late = [
            f"{type(each).__name__}.{name}" for each, had in zip(self.callbacks, self.had, strict=False)
            for name, _ in _attributes(each) if name not in had and not name.startswith("_lamina_")
        ]  # fmt: skip
        if late:
            self.had = self._names()
            warn(f"a run that goes on has no {', '.join(late)}, set after it had begun: set it in __init__ as well.")
        return [
            {"class": type(each).__name__, "attributes": {
                name: getattr(each, name) for name, now in _attributes(each)
                if name not in starts or not _is_like(starts[name], now)
            }}
            for each, starts in zip(self.callbacks, self.starts, strict=True)
        ]  # fmt: skip

    def put_back(self, taken: list[dict[str, Any]]) -> None:
        """Restore the attributes of each callback by its class, and by its order among callbacks of one class.

        A file cannot set attributes that the callback does not have, or names of files to write to.
        """
        left = list(taken)
        for each, starts, had in zip(self.callbacks, self.starts, self._names(), strict=True):
            found = next((entry for entry in left if entry["class"] == type(each).__name__), None)
            if found is None:
                continue
            left.remove(found)
            begun = {name: unpack(at.plain, at.arrays) for name, at in starts.items() if at.arrays is not None}
            for name, value in {**begun, **found["attributes"]}.items():
                if name in had and not _is_setting(each, name) and _paths(value) <= _paths(getattr(each, name)):
                    setattr(each, name, value)
            for name in found["attributes"]:  # what the run has changed once is kept in all later states
                starts.pop(name, None)

    def _names(self) -> list[set[str]]:
        return [{name for name, _ in _attributes(each)} for each in self.callbacks]


def _paths(value: object) -> set[str]:
    """The texts in a value that could be names of files in a folder."""
    return {text for _, text in leaves(value) if isinstance(text, str) and {"/", "\\"} & set(text)}


def _attributes(callback: Callback, unkept: dict[str, None] | None = None) -> Iterator[tuple[str, Packed]]:
    """The attributes of a callback without its settings. Names of attributes that cannot be saved go to `unkept`."""
    for name, value in list(getattr(callback, "__dict__", {}).items()):
        if isinstance(value, CODE) or _is_setting(callback, name):
            continue
        try:
            yield name, pack(value)
        except NotPlainError as error:
            if unkept is not None and not name.startswith("_lamina_"):
                unkept[f"{type(callback).__name__}.{name} ({error})"] = None


def _is_setting(callback: Callback, name: str) -> bool:
    return name in OURS or (isinstance(callback, Configured) and name in callback._lamina_fields)


def _start(now: Packed) -> Start:
    small = sum(array.nbytes for array in now.arrays) <= REMEMBERED
    return Start(now.plain, [*map(_digest, now.arrays)], [np.array(a) for a in now.arrays] if small else None)


def _is_like(start: Start, now: Packed) -> bool:
    return bool(start.plain == now.plain) and start.digests == [*map(_digest, now.arrays)]


def _digest(array: HostArray) -> bytes:
    said = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    said.update(np.ascontiguousarray(array).view(np.uint8).data if array.ndim else array.tobytes())
    return said.digest()
