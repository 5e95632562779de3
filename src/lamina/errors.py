"""The errors and warnings of this package.

Every error of this package is a `LaminaError` and also the built-in exception that Keras raises for the
same mistake, so `except ValueError` still works. Set `LAMINA_TRACEBACK=full` to see the frames of
this package and of JAX as well.
"""

from __future__ import annotations

import pickle
import re
import textwrap
from collections.abc import Iterator
from typing import Any

__all__ = [
    "ArgumentError", "BusyError", "CallError", "CheckWarning", "DataError", "FileError", "FixedError",
    "ForbiddenFileError", "LabelError", "LaminaError", "LaminaWarning", "MissingFileError", "MissingPackageError",
    "NoMemoryError", "NonFiniteError", "NotAdaptedError", "NotBuiltError", "NotCompiledError", "PicklingError",
    "ProcessError", "ShapeError", "StackError", "TracedArrayError", "UnknownAttributeError", "UnknownImportError",
    "UnknownNameError",
]  # fmt: skip

WIDTH = 120
"""The largest number of characters in a line of a message, unless a single word is longer."""


def __dir__() -> list[str]:
    return __all__


class LaminaError(Exception):
    """The base class of all errors that this package raises on purpose."""

    def __str__(self) -> str:
        # A message that takes time to write is a function, called when the message is read. `hasattr` never reads it.
        text = self.args[0]() if self.args and callable(self.args[0]) else super().__str__()
        return "\n".join(part for line in text.splitlines() for part in _parts(line))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the error with its message as text, so that another process can read it."""
        return type(self), (str(self),), vars(self)


def _parts(line: str) -> Iterator[str]:
    """Splits a line that is too long: between sentences if they fit into a line, otherwise between words."""
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
    """An argument that the function or class does not have, or a value that is not allowed."""


class CallError(ArgumentError, TypeError):
    """An extra argument, a missing argument, one with a wrong name, or a value of a wrong type."""


class UnknownNameError(LaminaError, ValueError):
    """A name of a layer, loss, metric, optimizer, activation, ... that does not exist."""


class StackError(LaminaError, ValueError):
    """An item in the list of layers that a straight stack cannot hold."""


class ShapeError(LaminaError, ValueError):
    """An input whose shape the layer cannot take."""

    named: bool = False
    """Whether the message says which layer it is."""


class DataError(LaminaError, ValueError):
    """Data that the model cannot use."""


class FileError(LaminaError, ValueError, OSError):
    """A file that cannot be read or written, or that is refused because of its content."""


class MissingFileError(FileError, FileNotFoundError):
    """A file or a folder that is not there."""


class ForbiddenFileError(FileError, PermissionError):
    """A file or a folder that this user may not read or write."""


class LabelError(DataError):
    """Targets or weights that do not fit the model's output and its loss."""


class NotBuiltError(LaminaError, ValueError, AttributeError):
    """A model without weights, because its input shape is not known yet."""


class NotAdaptedError(LaminaError, ValueError, RuntimeError):
    """A preprocessing layer that is used before `adapt`, although its output depends on the data."""


class NotCompiledError(LaminaError, ValueError):
    """`compile` was not called before training or evaluating."""


class FixedError(LaminaError, TypeError, AttributeError):
    """An attribute that cannot be changed after the object was made."""


class NoMemoryError(LaminaError, MemoryError, RuntimeError):
    """Something that needs more memory than is free."""


class NonFiniteError(LaminaError, RuntimeError):
    """A NaN or an infinity in the loss."""


class PicklingError(LaminaError, pickle.PicklingError, AttributeError):
    """A function that pickle cannot save, because it has no name in a module."""


class ProcessError(LaminaError, RuntimeError):
    """A process in which JAX cannot run."""


class BusyError(LaminaError, RuntimeError):
    """A model or a layer that another thread trains at this moment."""


class LaminaWarning(UserWarning):
    """Code that runs, but probably does not do what you want."""


class CheckWarning(LaminaWarning):
    """A probable mistake in the data or in a run, found by `fit`. `config.set_checks("off")` turns the checks off.

    To silence a single check, write `warnings.filterwarnings("ignore", "(?s).*val_loss was best",
    lamina.errors.CheckWarning)`.
    """


class UnknownAttributeError(LaminaError, AttributeError):
    """A public name that the module or the object does not have."""


class UnknownImportError(LaminaError, ImportError):
    """A public name that was imported from a module that does not have it."""


class TracedArrayError(LaminaError, TypeError):
    """Python or NumPy code in a layer, a loss or a metric that needs the values of an array while it is compiled."""


class MissingPackageError(LaminaError, ImportError):
    """An optional package that is needed but not installed."""
