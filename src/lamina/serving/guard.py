"""Checks each request before its body is read: the host, the origin, the token, and the number of open requests."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from lamina.serving.refused import Refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = "/", "/form.js", "/form.css", "/v2/health/live", "/v2/health/ready"
"""The paths that need no token: the page, in which the user types it, and the health checks."""
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Figures:
    """The metrics of one application, for `/metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("lamina_requests", "Answered requests.", ["status"], registry=self.registry)
        self.seconds = Histogram("lamina_request_seconds", "Time from a request to its answer.", registry=self.registry)
        sizes = [1, 2, 4, 8, 16, 32, 64]
        self.rows = Histogram(
            "lamina_rows_per_call", "Rows in one call of the model.", buckets=sizes, registry=self.registry
        )
        self.open = Gauge(
            "lamina_open_requests", "Requests for predictions that are not yet answered.", registry=self.registry
        )


class Guard:
    """Checks and counts each request, and adds security headers to each response.

    Args:
        token: the token that `Authorization: Bearer ...` must contain; None requires none.
        hosts: the accepted names in the Host header; None accepts all.
        most: the most requests for predictions at the same time.
    """

    def __init__(
        self, app: ASGIApp, figures: Figures, token: str | None, hosts: Collection[str] | None, most: int
    ) -> None:
        self.app, self.figures, self.token, self.hosts, self.most = app, figures, token, hosts, most
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, counted = time.perf_counter(), scope["method"] == "POST"

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                self.figures.requests.labels(str(message["status"])).inc()
                if counted:
                    self.figures.seconds.observe(time.perf_counter() - begin)
            await send(message)

        try:
            self._check(scope)
            if counted and self.open >= self.most:
                raise Refused(429, f"{self.most} requests are waiting already.", wait=1)
        except Refused as refused:
            await response_of(refused)(scope, receive, answer)
            return
        self.open += counted
        self.figures.open.set(self.open)
        try:
            await self.app(scope, receive, answer)
        finally:
            self.open -= counted
            self.figures.open.set(self.open)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self.hosts is not None and name not in self.hosts:
            raise Refused(400, f"the host {host!r} is not served here.")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refused(403, f"pages of {origin!r} may not use this service.")
        if self.token is None or scope["path"] in OPEN:
            return
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise Refused(401, "expected the header Authorization: Bearer TOKEN, with the token of this service.")


def response_of(error: HTTPException) -> JSONResponse:
    """The response to a request that ends with an error."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def body_of(request: Request, most: int, seconds: float) -> bytes:
    """Read the body of a request. It must have at most `most` bytes and arrive within `seconds`."""
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise Refused(413, f"the body has {length} bytes; at most {most:,} are taken.")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused(415, "compressed bodies are not taken.")
    parts: list[bytes] = []
    total = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                total += len(part)
                if total > most:
                    raise Refused(413, f"the body has more than {most:,} bytes.")
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"the body did not come within {seconds:g} s.") from None
    except ClientDisconnect:
        raise Refused(400, "the client has left.") from None
    return b"".join(parts)
