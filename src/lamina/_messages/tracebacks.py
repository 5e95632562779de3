"""Finds the frames of the user's code, to name the line of an error and to remove other frames from tracebacks."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from lamina._messages.missing_names import INSTEAD
from lamina._messages.room import of_memory
from lamina._messages.spelling import unknown_argument
from lamina._messages.traced import of_traced_array
from lamina.errors import CallError, LaminaWarning

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INTERNAL = (
    PACKAGE + os.sep,
    os.sep + os.path.join("site-packages", "jax"),
    os.sep + os.path.join("concurrent", "futures"),
    os.path.join("numpy", "random", "_"),  # a compiled module, whose frames have a relative path
    contextlib.__file__,
    copy.__file__,
    threading.__file__,
    "<frozen ",
)

LIBRARIES = tuple(f"{os.sep}site-packages{os.sep}{name}{os.sep}" for name in ("numpy", "scipy", "sklearn"))

F = TypeVar("F", bound=Callable[..., Any])


frames = {"all": False}
"""Whether a traceback shows the frames inside this package, whatever `LAMINA_TRACEBACK` says."""


def all_frames_shown() -> bool:
    return frames["all"] or os.environ.get("LAMINA_TRACEBACK") == "full"


def show_frames_of_jax() -> None:
    """Turn off JAX's own removal of frames if all frames are shown."""
    if all_frames_shown():
        jax.config.update("jax_traceback_filtering", "off")
    elif jax.config.values["jax_traceback_filtering"] == "off":
        jax.config.update("jax_traceback_filtering", "auto")


def is_internal(filename: str) -> bool:
    return filename.startswith(INTERNAL[0]) or any(part in filename for part in INTERNAL[1:])


def user_frame() -> types.FrameType | None:
    """The innermost frame of the user's code that called this package. In a thread of this package, it is the frame of
    the main thread, which waits."""
    return _calling(sys._getframe(1)) or _calling(sys._current_frames().get(threading.main_thread().ident or 0))


def _calling(frame: types.FrameType | None) -> types.FrameType | None:
    """The innermost frame of the user's code that called this package, directly or indirectly; None without one."""
    ours = False
    while frame is not None:
        inner, frame = frame, frame.f_back
        ours = ours or inner.f_code.co_filename.startswith(PACKAGE + os.sep)
        if ours and frame is not None and not is_internal(frame.f_code.co_filename):
            return frame
    return None


def caller() -> str:
    """The line of the user's code that is running now, as `train.py:14`."""
    frame = user_frame()
    return line_of(frame.f_code.co_filename, frame.f_lineno) if frame else ""


def line_of(filename: str, line: int) -> str:
    """A line of the user's code, as `train.py:14`, and in a cell of a notebook, as `In[4]:14`."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cell = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(filename)
    return f"{cell[1] if cell else os.path.basename(filename)}:{line}"


def place_of(error: BaseException) -> str:
    """The line of the user's own code that raised `error`, as `train.py:14`, or that called NumPy, which raised it."""
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not is_internal(filename) and not any(part in filename for part in LIBRARIES):
            place = line_of(filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def warn(message: str, kind: type[LaminaWarning] = LaminaWarning) -> None:
    """Issue a warning that names the line of the user's own code."""
    frame = user_frame() or sys._getframe(1)
    names, line = frame.f_globals, (frame.f_code.co_filename, frame.f_lineno)
    shown = names.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, kind, *line, names.get("__name__", "__main__"), shown)


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
    """Wraps a function: the tracebacks of its errors, and of Ctrl-C, have no frame of this package.

    A bare `raise` adds no entry for its own frame (Python 3.11 and later). So the user sees exactly the frames that are
    assigned to `__traceback__` here.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            try:
                return function(*args, **kwargs)
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                told = _misfit(function, args, kwargs, error) or of_traced_array(error, place_of)
                if told is None:
                    raise
                raise told.with_traceback(error.__traceback__) from None
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                told = None if place_of(error) else of_memory(error, function.__qualname__)
                if told is None:
                    raise
                raise told.with_traceback(error.__traceback__) from None
        except (Exception, KeyboardInterrupt) as error:
            if not all_frames_shown():
                error.__traceback__ = without_internal_frames(error.__traceback__)
                if hasattr(error, "__notes__"):
                    error.__notes__ = [note for note in error.__notes__ if "JAX has removed its" not in note]
            raise

    return call  # type: ignore[return-value]


def _misfit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> CallError | None:
    """An error that lists the arguments of `function`, if the call failed because its arguments do not fit."""
    if type(error) is not TypeError or error.__traceback__ is None or error.__traceback__.tb_next is not None:
        return None
    signature, called = inspect.signature(function), function.__name__
    names = [name for name in signature.parameters if name not in ("self", "cls")]
    try:
        signature.bind(*args, **kwargs)
    except TypeError as misfit:
        for name in kwargs:
            if name not in names:
                instead = INSTEAD.get(f"{called}({name})")
                return unknown_argument(called, name, names, f"Use instead: {instead}." if instead else "")
        return CallError(f"{called}: {misfit}. Its arguments are: {', '.join(names) or 'none'}.")
    return None
