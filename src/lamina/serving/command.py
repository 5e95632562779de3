"""The command `python -m lamina serve FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lamina._launch import positive
from lamina.errors import LaminaError, MissingPackageError


def add_to(commands: Any) -> None:
    """Add the command and its arguments to those of `python -m lamina`."""
    command = commands.add_parser(
        "serve",
        help="answer requests for predictions over HTTP, and show a form",
        description="Answers POST /predict with rows of JSON or an image, the Open Inference Protocol under /v2,\n"
        "figures at /metrics, and shows a form at /. Needs pip install 'lamina[serve]'.",
        epilog="examples:\n  python -m lamina serve census.keras\n"
        "  python -m lamina serve convnet.keras --host 0.0.0.0 --token-file token.txt\n"
        "  python -m lamina serve pictures.keras --shapes 224x224 384x384",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", help="the model's file, as model.save wrote it")
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine alone)")
    command.add_argument("--port", type=int, default=8000, help="the port (default: 8000; 0 for any free one)")
    command.add_argument("--name", help="the model's name in /v2/models/NAME (default: that of the file)")
    shapes = "the sizes of the free axes of a row that are served, if the stack has free axes and no mask"
    command.add_argument("--shapes", nargs="+", type=_shape, default=[], metavar="224x224", help=shapes)
    command.add_argument("--max-rows", type=positive, default=1024, help="the most rows of one request (default: 1024)")
    command.add_argument("--max-bytes", type=positive, default=2**23, help="the most bytes of a body (default: 8 MiB)")
    command.add_argument("--queue", type=positive, default=128, help="the most requests that wait (default: 128)")
    seconds = "the most seconds for a body, and for its answer (default: 30)"
    command.add_argument("--timeout", type=float, default=30.0, help=seconds)
    command.add_argument("--token-file", type=_token, help="a file with the token that clients must send")


def serve(options: argparse.Namespace) -> int:
    """Serve a model until SIGTERM or Ctrl-C. Returns the exit status."""
    try:
        import uvicorn

        from lamina.serving import application, served
    except ImportError:
        print(MissingPackageError('serve needs more packages: pip install "lamina[serve]"'), file=sys.stderr)
        return 1
    own = options.host in ("127.0.0.1", "localhost", "::1")
    if not own and options.token_file is None:
        print(f"Anyone who reaches {options.host} can use this service: --token-file sets a token.", file=sys.stderr)
    try:
        model = served.ServedModel(options.file, options.name, options.shapes)
    except LaminaError as error:
        print(error, file=sys.stderr)
        return 1
    service = application.Service(lambda: model, options.max_rows, options.max_bytes, options.timeout)
    made = service.application(options.token_file, application.LOOPBACK if own else None, options.queue)
    server = uvicorn.Server(uvicorn.Config(
        made, host=options.host, port=options.port, access_log=False, server_header=False, ws="none",
        timeout_graceful_shutdown=int(options.timeout) + 1, proxy_headers=False, limit_concurrency=4 * options.queue,
    ))  # fmt: skip
    server.run()
    return 0 if server.started else 1


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(positive(size) for size in text.split("x"))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected sizes as 224x224, got {text!r}") from None


def _token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{error.strerror}: {path}") from None
    if not token:
        raise argparse.ArgumentTypeError(f"{path} is empty.")
    return token
