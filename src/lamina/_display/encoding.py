"""Output in an encoding without some characters, such as a Windows code page for a layer's name in Korean."""

from __future__ import annotations

import sys
from typing import Any, TextIO, cast


class Writable:
    """A text file that writes characters which its encoding does not have as escapes, instead of raising an error.

    >>> import io
    >>> file = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    >>> Writable(file).write("dense_층"), file.seek(0), file.read()
    (12, 0, 'dense_\\\\uce35')
    """

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, text: str) -> int:
        encoding = getattr(self.file, "encoding", None) or "utf-8"
        return int(self.file.write(text.encode(encoding, "backslashreplace").decode(encoding)) or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def output() -> TextIO:
    """Standard output that accepts any character."""
    return cast(TextIO, Writable(sys.stdout))


def say(line: str) -> None:
    """Print a line without buffering."""
    print(line, file=output() if sys.stdout else None, flush=True)
