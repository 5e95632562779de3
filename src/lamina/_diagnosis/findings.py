"""The findings of checks, and the warnings of `fit` about them: few, and each once per process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, overload

from lamina import _display as display
from lamina._messages.tracebacks import warn
from lamina._settings.strictness import strictness
from lamina.errors import CheckWarning

ROWS = 200
"""Fewer rows than this say too little about columns and classes."""
MOST = 3
"""The most findings that one `fit` warns about."""


class Finding(NamedTuple):
    """A probable mistake."""

    check: str
    """The name of the check, as "scale"."""
    where: str
    """The part of the data or the model that it is about, as "x['age']"."""
    found: str
    """A sentence with the numbers."""
    advice: str
    """What to type instead."""

    def __str__(self) -> str:
        return f"{self.found}\n{self.advice}"


class Findings(Sequence[Finding]):
    """The findings of `model.check`. `print` and notebooks show them as a table."""

    def __init__(self, found: Iterable[Finding], checked: str) -> None:
        self._lamina_found, self._lamina_checked = list(found), checked

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        return self._lamina_found[index]

    def __len__(self) -> int:
        return len(self._lamina_found)

    @property
    def _lamina_title(self) -> str:
        count = len(self) or "no"
        return f"{self._lamina_checked}: {count} probable mistake{'s' * (len(self) != 1)}"

    def __repr__(self) -> str:
        return display.tables.text(self._lamina_title, Finding._fields, self) if self else self._lamina_title

    def _repr_html_(self) -> str:
        return display.html.table(self._lamina_title, Finding._fields, self._lamina_found, texts=4)


said: set[tuple[str, str]] = set()
"""The warnings that this process has given: the check, and what it was about."""
silenced: ContextVar[bool] = ContextVar("silenced", default=False)


@contextmanager
def silence() -> Iterator[None]:
    """Silence the warnings of `fit` in this thread, because it is one of many on the same data."""
    token = silenced.set(True)
    try:
        yield
    finally:
        silenced.reset(token)


def wanted() -> bool:
    """Whether `fit` runs the checks."""
    return strictness["checks"] == "on" and not silenced.get()


def say(findings: Iterable[Finding]) -> None:
    """Warn about the first findings that are new in this process."""
    for finding in [each for each in findings if each[:2] not in said][:MOST]:
        said.add(finding[:2])
        warn(str(finding), CheckWarning)
