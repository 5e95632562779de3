"""Reports old spellings of a program: each once, on one line of stderr."""

from __future__ import annotations

import importlib
import sys
from types import FrameType

from lamina._messages.tracebacks import is_internal, line_of

said: set[str] = set()
"""The lines that were printed since `install`."""


def program() -> FrameType:
    """The innermost frame of the program itself, even during an import."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        is_internal(frame.f_code.co_filename) or frame.f_code.co_filename == importlib.__file__
    ):
        frame = frame.f_back
    return frame


def say(words: str) -> None:
    """Print a line that begins with the place in the program, as `train.py:14: ...`, if it was not printed before."""
    if words in said:
        return
    said.add(words)
    frame = program()
    print(f"{line_of(frame.f_code.co_filename, frame.f_lineno)}: {words}", file=sys.stderr)
