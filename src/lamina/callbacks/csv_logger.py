"""The numbers of each epoch in a text file."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

import numpy as np

from lamina._files import files
from lamina._messages.tracebacks import warn
from lamina._settings.converters import flag, short
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Callback, Logs
from lamina.errors import ArgumentError


def _path(value: Any) -> str:
    return files.name_of(value, 'the name of a file, such as "log.csv"')


def _character(value: object) -> str:
    if not isinstance(value, str) or len(value) != 1 or value in '"\r\n':
        raise ArgumentError(f'expected one character, such as "," or ";", got {value!r}.')
    return value


class CSVLogger(Callback, Configured):
    """Writes `epoch` and the numbers of each epoch as one row of a CSV file, at once.

    A number that an epoch lacks is written as NA.

    Args:
        filename: the file's name.
        separator: the character between two numbers of a row.
        append: add rows to an existing file, under its header, instead of overwriting the file.
    """

    filename: str = setting(_path)
    separator: str = setting(_character, default=",")
    append: bool = setting(flag, default=False)

    def __post_init__(self) -> None:
        self._lamina_columns: list[str] = []
        self._lamina_left_out: set[str] = set()
        self._lamina_size = 0
        """The length of the file up to the latest row of this run. Later rows of a killed run are cut off."""

    def on_train_begin(self, logs: Logs = None) -> None:
        with files.in_place(self.filename, "ab"):
            pass
        self._lamina_size = os.path.getsize(self.filename) if self.append else 0
        self._lamina_columns = []
        if self._lamina_size:
            with open(self.filename, newline="", encoding="utf-8", errors="replace") as lines:
                header = lines.readline(2**16).strip()
            self._lamina_columns = next(csv.reader([header], delimiter=self.separator), [])
            if self._lamina_columns and "epoch" not in self._lamina_columns:
                raise ArgumentError(
                    f"CSVLogger(append=True, separator={self.separator!r}): no column of {self.filename} is 'epoch', "
                    f"it begins with {short(header)}. Give the separator= of that file, or another filename."
                )

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        header = not self._lamina_columns
        if header:
            # This epoch may be one without validation: leave room for it.
            unvalidated = not any(name.startswith("val_") for name in logs)
            names = sorted(logs)
            self._lamina_columns = ["epoch", *names, *(f"val_{name}" for name in names if unvalidated)]
        for name in set(logs) - set(self._lamina_columns) - self._lamina_left_out:
            self._lamina_left_out.add(name)
            warn(f"CSVLogger leaves {name!r} out: {self.filename} has the columns {', '.join(self._lamina_columns)}.")
        row = {"epoch": epoch, **logs}
        lines = io.StringIO()
        writer = csv.writer(lines, delimiter=self.separator)
        if header:
            writer.writerow(self._lamina_columns)
        writer.writerow([_text(row.get(name, "NA")) for name in self._lamina_columns])
        # Opened for each row, so that a killed training leaves a whole file.
        with files.in_place(self.filename, "ab") as file:
            if file.tell() > self._lamina_size:
                file.truncate(self._lamina_size)
            file.write(lines.getvalue().encode())
            self._lamina_size = file.tell()


def _text(value: Any) -> Any:
    return f"[{', '.join(map(str, np.ravel(value)))}]" if np.ndim(value) else value
