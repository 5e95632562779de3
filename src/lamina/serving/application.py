"""The service of one model as an ASGI application: its paths and their responses."""

from __future__ import annotations

import asyncio
import functools
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lamina._messages.tracebacks import user_facing
from lamina._process.version import __version__
from lamina.errors import LaminaError, MissingPackageError
from lamina.serving import calls, inputs, protocol, served
from lamina.serving.calls import Rows
from lamina.serving.fields import description
from lamina.serving.refused import Refused

try:
    from prometheus_client import generate_latest
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    from lamina.serving.guard import Figures, Guard, body_of, response_of
except ImportError as error:
    raise MissingPackageError('serving needs more packages: pip install "lamina[serve]"') from error


LOOPBACK = "localhost", "127.0.0.1", "[::1]", "testserver"
PAGE = Path(__file__).parent / "page"
SMALL = 2**16
"""Bodies of at most this many bytes are parsed at once, larger ones in a thread, so that other requests continue."""


@user_facing
def app(
    path: str | Path, *, name: str | None = None, shapes: Sequence[served.Sizes] = (), token: str | None = None,
    hosts: Collection[str] | None = LOOPBACK, max_rows: int = 1024, max_bytes: int = 2**23, queue: int = 128,
    timeout: float = 30.0,
) -> Starlette:  # fmt: skip
    """An ASGI application that answers requests for predictions, for `uvicorn`, Ray Serve and other servers.

    The model is loaded and its programs are compiled when the server starts the application. It answers
    `POST /predict` with JSON rows or an image, the Open Inference Protocol under `/v2`, metrics at `/metrics`, and
    a form at `/`.

    Args:
        path: the model's file, which `model.save` wrote.
        name: the name of the model in `/v2/models/NAME`; by default the name of the file.
        shapes: the sizes of the free axes of a row, such as `[(224, 224)]`, if the stack has free axes and no mask.
        token: the token that clients must send in `Authorization: Bearer TOKEN`.
        hosts: the accepted names in the Host header; None accepts all.
        max_rows: the most rows in a request.
        max_bytes: the most bytes in the body of a request.
        queue: the most requests that may wait.
        timeout: the most seconds for receiving a body, and for its answer.

    Raises:
        MissingPackageError: starlette or prometheus-client is not installed.
    """
    service = Service(lambda: served.ServedModel(path, name, shapes), max_rows, max_bytes, timeout)
    return service.application(token, hosts, queue)


class Service:
    """The paths of one model. The model and the thread for its calls exist while the server runs.

    Args:
        load: returns the model when the server starts.
    """

    def __init__(self, load: Callable[[], served.ServedModel], max_rows: int, max_bytes: int, timeout: float) -> None:
        self.load, self.figures = load, Figures()
        self.max_rows, self.max_bytes, self.timeout = max_rows, max_bytes, timeout
        self.served: served.ServedModel | None = None

    def application(self, token: str | None, hosts: Collection[str] | None, queue: int) -> Starlette:
        guard: Any = Guard
        return Starlette(
            routes=self.routes(),
            lifespan=self.lifespan,
            middleware=[Middleware(guard, figures=self.figures, token=token, hosts=hosts, most=queue)],
            exception_handlers={HTTPException: _ended, LaminaError: _bad, Exception: _failed},
        )

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Load the model and compile its programs. At the end, answer the requests that wait."""
        model = await asyncio.to_thread(self.load)
        self.input = inputs.input_for(model)
        self.calls = calls.Calls(self._call, model.most_rows if model.together else 0)
        self.served = model
        try:
            yield
        finally:
            await asyncio.to_thread(self.calls.stop)  # it still answers the requests that wait
            self.served = None

    def _call(self, several: Sequence[Rows]) -> list[tuple[served.Outputs, Any]]:
        """Call the model once for several requests. Returns the outputs and the classes for each of them."""
        model = self.model
        self.figures.rows.observe(sum(rows.size for rows in several))
        outputs, answers, at = model.call(self.input.joined(several)), [], 0
        for rows in several:
            own = tuple(y[at : at + rows.size] for y in outputs)
            at += rows.size
            own = model.cut(own, rows.data.length if isinstance(rows.data, inputs.Prepared) else None)
            answers.append((own, model.names(own)))
        return answers

    @property
    def model(self) -> served.ServedModel:
        if self.served is None:
            raise Refused(503, "the model is not loaded.", wait=5)
        return self.served

    def routes(self) -> list[Route]:
        pages = {"/": "index.html", "/form.js": "form.js", "/form.css": "form.css"}
        models = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
        return [
            *(Route(path, functools.partial(_page, file)) for path, file in pages.items()),
            Route("/form.json", self.form),
            Route("/metrics", self.metrics),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            *(Route(path, self.metadata) for path in models),
            *(Route(f"{path}/ready", self.ready) for path in models),
            *(Route(f"{path}/infer", self.infer, methods=["POST"]) for path in models),
        ]

    async def form(self, _: Request) -> Response:
        return JSONResponse(description(self.model, self.input))

    async def metrics(self, _: Request) -> Response:
        return PlainTextResponse(generate_latest(self.figures.registry), media_type="text/plain; version=0.0.4")

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        self._require_name(request)
        return JSONResponse({"ready": True})

    async def server(self, _: Request) -> Response:
        return JSONResponse({"name": "lamina", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def metadata(self, request: Request) -> Response:
        model = self._require_name(request)
        outputs = [
            inputs.Tensor(name, "FP32", [-1 if size is None else size for size in shape])
            for name, shape in zip(_names(len(model.output_shapes)), model.output_shapes, strict=True)
        ]
        if model.classes is not None:
            outputs.append(inputs.Tensor("classes", "BYTES", [-1]))
        return JSONResponse({
            "name": model.name, "versions": ["1"], "platform": "lamina",
            "inputs": [tensor._asdict() for tensor in self.input.tensors],
            "outputs": [tensor._asdict() for tensor in outputs],
            "parameters": {"sha256": model.sha256},
        })  # fmt: skip

    async def infer(self, request: Request) -> Response:
        model = self._require_name(request)
        body = await body_of(request, self.max_bytes, self.timeout)
        asked = protocol.Request(body, request.headers.get(protocol.LENGTH), self.input.tensors)
        outputs, classes = await self._answer(self.input.of_tensors(asked.tensors))
        named = dict(zip(_names(len(outputs)), outputs, strict=True))
        if classes is not None:
            named["classes"] = protocol.texts(classes)
        answer, length = asked.answer({"model_name": model.name, "model_version": "1"}, named)
        headers = {} if length is None else {protocol.LENGTH: str(length)}
        return Response(answer, headers=headers, media_type="application/json" if length is None else BINARY)

    async def predict(self, request: Request) -> Response:
        self.model  # noqa: B018  not ready: 503 before the body is read
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_image = kind.startswith("image/") and isinstance(self.input, inputs.Arrays) and inputs.is_image(self.model)
        if kind != "application/json" and not is_image:
            more = ", or an image" if inputs.is_image(self.model) else ""
            raise Refused(415, f"expected a body of JSON{more}, with its Content-Type, got {kind!r}.")
        body = await body_of(request, self.max_bytes, self.timeout)
        told: dict[str, Any] = {}
        if is_image:
            assert isinstance(self.input, inputs.Arrays)
            rows = await asyncio.to_thread(self.input.of_image, body)
            told["sent"] = f"{' x '.join(map(str, rows.data.x.shape[1:]))} numbers from 0 to 255"
        else:
            rows = _rows(self.input, body) if len(body) < SMALL else await asyncio.to_thread(_rows, self.input, body)
        outputs, classes = await self._answer(rows)
        several = [protocol.plain(y) for y in outputs]
        told["predictions"] = several[0] if len(several) == 1 else several
        if classes is not None:
            told["classes"] = classes
        return JSONResponse(told)

    async def _answer(self, rows: Rows) -> Any:
        most = self.max_rows if self.model.together else 1
        if rows.size > most:
            why = "" if self.model.together else ", since the rows of this model depend on each other"
            raise Refused(413, f"the request has {rows.size} rows; at most {most:,} are taken{why}.")
        if not rows.size:
            raise Refused(400, "the request has no rows.")
        try:
            async with asyncio.timeout(self.timeout):
                return await self.calls.answer(rows)
        except TimeoutError:
            raise Refused(503, f"there was no answer within {self.timeout:g} s.", wait=5) from None

    def _require_name(self, request: Request) -> served.ServedModel:
        asked = request.path_params.get("model", self.model.name)
        if asked != self.model.name or request.path_params.get("version", "1") != "1":
            raise Refused(404, f"there is no such model here; this one is {self.model.name!r}, version 1.")
        return self.model


BINARY = "application/octet-stream"


def _names(count: int) -> list[str]:
    return ["predictions", *(f"predictions_{number}" for number in range(1, count))]


async def _page(file: str, _: Request) -> Response:
    return FileResponse(PAGE / file)


def _rows(taken: inputs.Arrays | inputs.Table, body: bytes) -> Rows:
    """Read the rows from a JSON body: a list of rows, or one row as an object."""
    rows = protocol.parsed(body)
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise Refused(400, "expected a list of rows, or one row as an object with a value for each column.")
    return taken.of_json(rows)


async def _ended(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return response_of(error)


async def _bad(_: Request, error: Exception) -> Response:
    return response_of(Refused(400, str(error)))


async def _failed(_: Request, error: Exception) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    return response_of(Refused(500, "the service failed at this request; its log has the error."))
