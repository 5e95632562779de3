"""Measures the requests per second of a service, with one row in each request, and of FastAPI with Keras's `predict`.

    python benchmarks/serving.py [--rounds 5] [--seconds 3]

Prints a table for 1, 16 and 64 clients on this machine: the requests per second, and the times from a request to its
answer. All services run at the same time, and the clients call them in turns. The environments are those of run.py,
`benchmarks/.env-*`; FastAPI is installed into them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
FOLDER = HERE.parent / "out" / "serving-benchmark"
CLIENTS = 1, 16, 64
MAKE = """
import sys, numpy as np, lamina as keras
from lamina import layers
census = keras.Sequential([
    layers.Input((63,)), layers.Dense(256, "relu"), layers.BatchNormalization(), layers.Dropout(0.3),
    layers.Dense(256, "relu"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(1, "sigmoid"),
])
convnet = keras.Sequential([
    layers.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Conv2D(32, 3, activation="relu"),
    layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
    layers.Dropout(0.5), layers.Dense(10, "softmax"),
])
for name, model in (("census", census), ("convnet", convnet)):
    model.save(f"{sys.argv[1]}/{name}.keras")
    model.export(f"{sys.argv[1]}/{name}.onnx", format="onnx")
"""
FASTAPI = """
import sys, keras, numpy as np, uvicorn
from fastapi import Body, FastAPI
model, app = keras.models.load_model(sys.argv[1]), FastAPI()

@app.post("/predict")
async def predict(rows: list = Body()):  # in threads Keras fails
    return {"predictions": model.predict(np.asarray(rows, "float32"), verbose=0).tolist()}

uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="warning")
"""
ALONE = """
import sys, uvicorn
from lamina.serving import app
from lamina.serving.calls import Calls
init = Calls.__init__
Calls.__init__ = lambda self, call, most: init(self, call, 0)  # no two requests go together
uvicorn.run(app(sys.argv[1]), port=int(sys.argv[2]), access_log=False, ws="none", log_level="warning")
"""
ONNX = """
import sys, onnxruntime, uvicorn
from lamina.serving import app
from lamina.serving.served import ServedModel
session = onnxruntime.InferenceSession(sys.argv[1].replace(".keras", ".onnx"))
(entry,) = session.get_inputs()
ServedModel.call = lambda self, x: tuple(session.run(None, {entry.name: x}))
uvicorn.run(app(sys.argv[1]), port=int(sys.argv[2]), access_log=False, ws="none", log_level="warning")
"""


class Peer(NamedTuple):
    """A service that is measured."""

    title: str
    environment: str
    code: str
    backend: str = ""


OURS = "import sys; sys.argv = ['lamina', 'serve', sys.argv[1], '--port', sys.argv[2]]; import runpy; "
OURS += "runpy.run_module('lamina', run_name='__main__')"
PEERS = [
    Peer("lamina serve", ".env-lamina", OURS),
    Peer("lamina serve, each request alone", ".env-lamina", ALONE),
    Peer("our server, onnxruntime", ".env-lamina", ONNX),
    Peer("FastAPI, Keras on JAX", ".env-keras-jax", FASTAPI, "jax"),
    Peer("FastAPI, Keras on TensorFlow", ".env-keras-tf", FASTAPI, "tensorflow"),
]


async def _client(port: int, request: bytes, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (begin := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        assert b" 200 " in head.split(b"\r\n")[0], body
        times.append(time.perf_counter() - begin)
    writer.close()


def measured(port: int, body: bytes, clients: int, seconds: float) -> list[float]:
    """The times of all requests. Each client sends its next request after the answer to its last one."""
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    times: list[float] = []

    async def all_of_them(seconds: float, times: list[float]) -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_client(port, request, until, times) for _ in range(clients)))

    asyncio.run(all_of_them(seconds / 5, []))
    asyncio.run(all_of_them(seconds, times))
    return sorted(times)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _started(peer: Peer, model: Path) -> tuple[subprocess.Popen[bytes], int]:
    port, python = _free_port(), HERE / peer.environment / "bin" / "python"
    told = os.environ | ({"KERAS_BACKEND": peer.backend} if peer.backend else {})
    process = subprocess.Popen([python, "-c", peer.code, model, str(port)], env=told, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"{peer.title} did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    packages = {".env-lamina": [f"{HERE.parent}[onnx,serve]", "onnxruntime"]}
    for environment in dict.fromkeys(peer.environment for peer in PEERS):
        python, wanted = HERE / environment / "bin" / "python", packages.get(environment, ["fastapi"])
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted, "uvicorn[standard]"], check=True)
    subprocess.run([HERE / ".env-lamina" / "bin" / "python", "-c", MAKE, FOLDER], check=True)
    rows = {"census": [[0.5] * 63], "convnet": [[[[i % 256] for i in range(28)] for _ in range(28)]]}
    print("| model, clients | " + " | ".join(peer.title for peer in PEERS) + " |\n" + "| --- " * (len(PEERS) + 1) + "|")
    for name, row in rows.items():
        started: list[tuple[subprocess.Popen[bytes], int]] = []
        try:
            for peer in PEERS:
                started.append(_started(peer, FOLDER / f"{name}.keras"))
            for clients in CLIENTS:
                runs: list[list[list[float]]] = [[] for _ in PEERS]
                for _ in range(options.rounds):
                    for place, (_, port) in enumerate(started):
                        runs[place].append(measured(port, json.dumps(row).encode(), clients, options.seconds))
                rates = [statistics.median(len(times) for times in each) / options.seconds for each in runs]
                cells = []
                for rate, each in zip(rates, runs, strict=True):
                    p50, p99 = (statistics.median(times[int(q * len(times))] for times in each) for q in (0.5, 0.99))
                    ratio = "" if rate is rates[0] else f", {rates[0] / rate:.2f}x"
                    cells.append(f"{rate:,.0f}/s{ratio} ({p50 * 1e3:.2f}, {p99 * 1e3:.2f} ms)")
                print(f"| {name}, {clients} | " + " | ".join(cells) + " |", flush=True)
        finally:
            for process, _ in started:
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
