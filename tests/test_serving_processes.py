"""`python -m lamina serve` as a process: signals, slow and broken clients, Triton's client, and its form in Chromium.

The clients come into an environment of their own, `out/browser`.
"""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from environments import BROWSER, CHROMIUM, python_with

import lamina as keras
from lamina import layers

HERE = Path(__file__).parent

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    columns = {
        "age": [30.0, 40.0, None, 35.5] * 5,
        "city": ["Rome", "Öslo", "<img src=x onerror=alert(1)>", "Rome"] * 5,
    }
    space = keras.utils.FeatureSpace({"age": "float_normalized", "city": "string_categorical"})
    model = keras.Sequential([space, layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(columns, ["no", "yes", "no", "yes"] * 5, verbose=0)
    model.save(path := tmp_path_factory.mktemp("people") / "people.keras")
    return path


@contextmanager
def serving(path, *options, **started):
    """A service in a process, and its port."""
    command = [sys.executable, "-m", "lamina", "serve", str(path), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **started) as process:
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"http://127.0.0.1:(\d+)", line):
                    break
            else:
                raise AssertionError("".join(lines))
            yield process, int(found[1])
        finally:
            process.kill()


def predict(port, rows, timeout=60):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", json.dumps(rows).encode())
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def head(length):
    return (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


ROW = {"age": 30, "city": "Rome"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_ends_at_a_signal_and_answers_what_it_has_taken(people, number):
    with serving(people) as (process, port):
        body = json.dumps([ROW]).encode()
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(head(len(body)) + body[:5])
            time.sleep(0.5)
            process.send_signal(number)
            time.sleep(0.5)
            half.sendall(body[5:])  # the request was begun before the signal
            assert b"200 OK" in half.recv(4096)
        assert process.wait(20) in (0, -number, 130)
        with pytest.raises(OSError, match="refused"):
            predict(port, [ROW])


def test_a_slow_body_is_given_up_and_does_not_hold_others(people):
    with serving(people, "--timeout", "1") as (_, port), ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(20)]
        for one in slow:
            one.sendall(head(99) + b"[")
        assert predict(port, [ROW])["classes"]
        assert all(b"408" in one.recv(4096).splitlines()[0] for one in slow)


def test_clients_that_leave_and_bytes_that_are_no_http_leave_the_service_well(people):
    with serving(people) as (process, port):
        body = json.dumps([ROW] * 50).encode()
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall(head(len(body)) + body)
        for rubbish in (
            b"\x00" * 500,
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /predict HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.sendall(rubbish)
        assert predict(port, [ROW])["classes"] and process.poll() is None


def test_memory_stays_bounded_under_large_and_deep_bodies(people):
    with serving(people, "--max-bytes", "4000000", "--queue", "8") as (process, port):
        status = Path(f"/proc/{process.pid}/status")

        def resident():
            return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024

        def refused(body):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body)
            request.add_header("content-type", "application/json")
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=60)
            with caught.value as answer:
                return answer.code

        before = resident()
        for _ in range(10):
            assert refused(b"[" * 3_900_000) == 400
            assert refused(b"[" + b"0," * 1_900_000 + b"0]") == 400
        assert predict(port, [ROW]) and resident() - before < 600


def test_a_model_that_cannot_be_served_ends_the_command_with_its_reason(tmp_path, people):
    def run(*arguments):
        command = [sys.executable, "-m", "lamina", "serve", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    (tmp_path / "broken.keras").write_bytes(b"no model")
    for path in (tmp_path / "missing.keras", tmp_path / "broken.keras"):
        done = run(path)
        assert done.returncode and path.name in done.stderr and "Traceback" not in done.stderr, done.stderr
    done = run(people, "--token-file", tmp_path / "missing.txt")
    assert done.returncode == 2 and "missing.txt" in done.stderr


def test_triton_and_chromium_use_the_service(people, tmp_path):
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    pictures = keras.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2, "softmax")])
    pictures(np.zeros((1, 6, 5, 1), "float32"))
    pictures.save(tmp_path / "pictures.keras")
    with serving(people) as (_, first), serving(tmp_path / "pictures.keras") as (_, second):
        command = [python_with(*BROWSER), HERE / "serving_clients.py", tmp_path, CHROMIUM, first, second]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
        assert done.stdout.endswith("all of it\n"), done.stdout + done.stderr


def test_the_figures_count_rows_and_answers(people):
    with serving(people) as (_, port):
        for _ in range(3):
            predict(port, [ROW])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert 'lamina_requests_total{status="200"} 3.0' in text and "lamina_rows_per_call_sum 3.0" in text
