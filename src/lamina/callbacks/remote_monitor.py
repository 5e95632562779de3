"""The numbers of each epoch, sent to a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np

from lamina._messages.tracebacks import warn
from lamina._settings.converters import flag, short
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Callback, Logs
from lamina.errors import ArgumentError

SECONDS = 10
"""The most seconds for an answer of the server."""


def _address(value: object) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ArgumentError(f'expected an address such as "http://localhost:9000", got {short(value)}.')
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"expected a string, got {short(value)}.")
    return value


def _headers(value: object) -> dict[str, str] | None:
    if value is not None and not isinstance(value, Mapping):
        raise ArgumentError(f"expected a dict of strings, got {short(value)}.")
    return None if value is None else {_text(name): _text(said) for name, said in value.items()}


class RemoteMonitor(Callback, Configured):
    """Sends the epoch and its numbers to a server, as JSON by HTTP POST, after each epoch.

    If the server cannot be reached or answers with an error, there is a warning, and the training continues.

    Args:
        root: the address of the server.
        path: the path, which is appended to the address.
        field: the name of the form field with the JSON.
        headers: headers of the request, by name.
        send_as_json: send the JSON itself, as `application/json`, and no form.
    """

    root: str = setting(_address, default="http://localhost:9000")
    path: str = setting(_text, default="/publish/epoch/end/")
    field: str = setting(_text, default="data")
    headers: dict[str, str] | None = setting(_headers, default=None)
    send_as_json: bool = setting(flag, default=False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        numbers = {name: np.asarray(value).tolist() for name, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **numbers})
        body, kind = (text, "json") if self.send_as_json else (urlencode({self.field: text}), "x-www-form-urlencoded")
        headers = {"Content-Type": f"application/{kind}", **(self.headers or {})}
        try:
            with urlopen(Request(self.root + self.path, body.encode(), headers), timeout=SECONDS):
                pass
        except (OSError, HTTPException) as error:
            warn(f"RemoteMonitor could not send the numbers of epoch {epoch + 1} to {self.root}: {error}")
