"""The error that answers a request which cannot be served."""

from __future__ import annotations


class Refused(Exception):
    """A request is answered with an HTTP status and one sentence; `wait` is after how many seconds it may succeed."""

    def __init__(self, status: int, message: str, wait: int | None = None) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait
