"""What can go wrong, said in the user's words, on the user's line.

Every error of this package is a `LaminaError` and also the built-in exception that Keras raises for the
same mistake, so `except ValueError` goes on working. Set `LAMINA_TRACEBACK=full` to see the frames of
this package and of JAX as well.
"""

from __future__ import annotations

import dis
import functools
import inspect
import os
import re
import sys
import textwrap
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import jax

PACKAGE = os.path.dirname(os.path.abspath(__file__))
INTERNAL = (
    PACKAGE + os.sep,
    os.sep + os.path.join("site-packages", "jax"),
    os.sep + os.path.join("concurrent", "futures"),
    "<frozen ",
)

F = TypeVar("F", bound=Callable[..., Any])


WIDTH = 120
"""How many characters a line of a message holds at most, unless a single word is longer."""


class LaminaError(Exception):
    """The root of all errors that this package raises on purpose."""

    def __str__(self) -> str:
        return "\n".join(part for line in super().__str__().splitlines() for part in _parts(line))


def _parts(line: str) -> Iterator[str]:
    """A line that is too long as several: whole sentences as far as they fit, else words."""
    part = ""
    for sentence in re.split(r"(?<=[.?!]) (?=[A-Z])", line):
        if part and len(part) + len(sentence) >= WIDTH:
            yield part
            part = sentence
        else:
            part = f"{part} {sentence}" if part else sentence
        *full, part = textwrap.wrap(
            part, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ) or [""]
        yield from full
    yield part


class ArgumentError(LaminaError, ValueError):
    """An argument that the function or class does not take, or a value that it cannot have."""


class CallError(ArgumentError, TypeError):
    """An argument too many, one too few, or one of another name."""


class UnknownNameError(LaminaError, ValueError):
    """A name of a layer, loss, metric, optimizer, activation, ... that does not exist."""


class StackError(LaminaError, ValueError):
    """Something in the list of layers that a straight stack cannot hold."""


class ShapeError(LaminaError, ValueError):
    """A layer that cannot take the shape that it is given."""

    named: bool = False
    """Whether the message says which layer it is."""


class DataError(LaminaError, ValueError):
    """Data that the model cannot be fed with."""


class LabelError(DataError):
    """Targets or weights that do not fit the model's output and its loss."""


class NotBuiltError(LaminaError, ValueError, AttributeError):
    """The model has no weights yet, because it does not know its input shape."""


class NotAdaptedError(LaminaError, ValueError, RuntimeError):
    """A preprocessing layer that was shown no data yet, and needs what it would learn."""


class NotCompiledError(LaminaError, ValueError):
    """`compile` was not called before training or evaluating."""


class FixedError(LaminaError, TypeError, AttributeError):
    """An attribute that cannot be set on an object that exists already."""


class NonFiniteError(LaminaError, RuntimeError):
    """A NaN or an infinity in the loss."""


class LaminaWarning(UserWarning):
    """Something that runs, but is probably not what was meant."""


class UnknownAttributeError(LaminaError, AttributeError):
    """A public name that the module does not have."""


class UnknownImportError(LaminaError, ImportError):
    """A public name that was imported from a module that does not have it."""


class MissingPackageError(LaminaError, ImportError):
    """A package that only a part of this one needs, and that is not installed."""


def show_all_frames_if_asked() -> None:
    """Let JAX keep its frames too where `LAMINA_TRACEBACK=full` is set when the process starts."""
    if os.environ.get("LAMINA_TRACEBACK") == "full":
        jax.config.update("jax_traceback_filtering", "off")


def is_internal(filename: str) -> bool:
    return filename.startswith(INTERNAL[0]) or any(part in filename for part in INTERNAL[1:])


def user_frame() -> types.FrameType | None:
    """The innermost frame that is neither ours nor JAX's."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def caller() -> str:
    """Where the user's code stands now, as `train.py:14`."""
    frame = user_frame()
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else ""


def is_running(function: Callable[..., Any]) -> bool:
    """Whether a call of `function` is under way, further up."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


def place_of(error: BaseException) -> str:
    """Where in the user's own code `error` was raised, as `train.py:14`."""
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        if not is_internal(traceback.tb_frame.f_code.co_filename):
            place = f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def warn(message: str) -> None:
    """A `LaminaWarning` that names the user's own line."""
    frame, level = sys._getframe(0), 1
    while frame.f_back is not None and is_internal(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, LaminaWarning, stacklevel=level)


def without_internal_frames(traceback: types.TracebackType | None) -> types.TracebackType | None:
    kept = []
    while traceback is not None:
        if not is_internal(traceback.tb_frame.f_code.co_filename):
            kept.append(traceback)
        traceback = traceback.tb_next
    trimmed = None
    for entry in reversed(kept):
        trimmed = types.TracebackType(trimmed, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return trimmed


def user_facing(function: F) -> F:
    """Let errors leave `function` without a frame of this package in their traceback.

    A bare `raise` adds no entry for the frame that it stands in (Python 3.11 and later), so what is
    assigned to `__traceback__` here is what the user sees.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                raise _unknown_keyword(function, kwargs, error) from None
        except Exception as error:
            if os.environ.get("LAMINA_TRACEBACK") != "full":
                error.__traceback__ = without_internal_frames(error.__traceback__)
                if hasattr(error, "__notes__"):
                    error.__notes__ = [note for note in error.__notes__ if "JAX has removed its" not in note]
            raise

    return call  # type: ignore[return-value]


def _unknown_keyword(function: Callable[..., Any], given: Iterable[str], error: TypeError) -> Exception:
    """An error with a hint, if `function` was not even entered because of a keyword that it does not take."""
    if error.__traceback__ is not None and error.__traceback__.tb_next is None:
        parameters = inspect.signature(function).parameters
        names = [name for name in parameters if name != "self"]
        for name in given:
            if name not in names and all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
                return unknown_argument(function.__name__, name, names)
    return error


def unknown_argument(function: str, name: str, names: Sequence[str], instead: str = "") -> CallError:
    """The error for a keyword `name` that `function` does not take; it takes `names`."""
    hint = instead or "".join(f"Did you mean {found!r}?" for found in nearest(name, names))
    return CallError(
        f"{function} has no argument {name!r}. {hint}".rstrip() + f"\nIts arguments are: {', '.join(names)}."
    )


def nearest(name: str, names: Iterable[str], count: int = 1) -> list[str]:
    """The names most like `name`, upper and lower case taken as equal; first those with the same letters."""
    spelt: dict[str, str] = {}
    for candidate in names:
        spelt.setdefault(candidate.lower(), candidate)
    found = get_close_matches(name.lower(), spelt, max(count, 5), cutoff=0.6)
    found.sort(key=lambda candidate: sorted(candidate) != sorted(name.lower()))
    return [spelt[each] for each in found[:count]]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest one, else all of them if they are few."""
    names = list(names)
    alike = [each for each in names if each.islower() == name.islower()]  # "zeros" for "zeroes", "Zeros" for "Zeroes"
    same = [each for each in names if each.lower() == name.lower()]
    found = same or nearest(name, alike) or nearest(name, names)
    if found:
        return f"Did you mean {found[0]!r}?"
    return f"There are: {', '.join(sorted(alike or names))}." if len(names) <= 40 else ""


def missing_attribute(module: str, name: str, names: Iterable[str], hint: str = "") -> Exception:
    """The error for `module.name`, or for `from module import name`, where the name does not exist.

    Python throws the message of an AttributeError away where it stands in a from-import, and with it
    the hint; so there it has to be an ImportError.
    """
    if name in ("Model", "Functional"):
        hint = "There is Sequential: one line of layers, where one tensor goes in and one comes out."
    hint = hint or did_you_mean(name, [n for n in names if not n.startswith("_")])
    frame = user_frame()
    if frame is not None and frame.f_code.co_code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]:
        return UnknownImportError(f"cannot import name {name!r} from {module!r}. {hint}".rstrip(), name=name)
    return UnknownAttributeError(f"module {module!r} has no attribute {name!r}. {hint}".rstrip())
