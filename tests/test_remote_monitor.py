"""RemoteMonitor sends what Keras's sends: both talk to a server of the test's own."""

import http.server
import threading

import keras
import numpy as np
import pytest

from lamina.callbacks import RemoteMonitor
from lamina.errors import ArgumentError, LaminaWarning


@pytest.fixture
def server():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.got.append((self.path, self.headers["Content-Type"], self.headers["X-Run"], body))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.got = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "arguments", [{}, {"path": "/here", "field": "numbers", "headers": {"X-Run": "7"}}, {"send_as_json": True}], ids=str
)
def test_the_server_gets_what_keras_sends(server, arguments):
    root = f"http://127.0.0.1:{server.server_port}"
    for callback in (RemoteMonitor(root, **arguments), keras.callbacks.RemoteMonitor(root, **arguments)):
        callback.on_epoch_end(3, {"loss": 0.25, "val_loss": np.float32(0.5)})
    ours, theirs = server.got
    assert ours == theirs and '"epoch": 3' in ours[-1].replace("%22", '"').replace("%3A", ":").replace("+", " ")


def test_arrays_are_lists_and_a_server_that_fails_is_a_warning(server):
    root = f"http://127.0.0.1:{server.server_port}"
    RemoteMonitor(root, send_as_json=True).on_epoch_end(0, {"f1": np.array([0.5, 1.0])})
    assert server.got[0][-1] == '{"epoch": 0, "f1": [0.5, 1.0]}'
    with pytest.warns(LaminaWarning, match="numbers of epoch 1 to .*: HTTP Error 500"):
        RemoteMonitor(root, "/broken").on_epoch_end(0, {})
    with pytest.warns(LaminaWarning, match="could not send the numbers of epoch 2"):
        RemoteMonitor("http://127.0.0.1:1").on_epoch_end(1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"root": "localhost:9000"}, "http://localhost:9000"),
        ({"path": None}, "expected a string"),
        ({"headers": ["a"]}, "dict of strings"),
        ({"headers": {"a": 1}}, "expected a string"),
        ({"send_as_json": 1}, "True or False"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ArgumentError) as caught:
        RemoteMonitor(**arguments)
    assert words in str(caught.value)
