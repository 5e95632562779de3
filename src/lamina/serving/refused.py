"""The error that ends a request with an HTTP status."""

from __future__ import annotations

from starlette.exceptions import HTTPException


class Refused(HTTPException):
    """Ends a request with a status and one sentence. `wait` is the number of seconds after which to try again."""

    def __init__(self, status: int, message: str, wait: int | None = None) -> None:
        headers = {} if wait is None else {"retry-after": str(wait)}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status in (408, 413):
            headers["connection"] = "close"  # the rest of the body is not read
        super().__init__(status, message, headers)
