"""The libraries side by side: an environment and a worker process each, of which one computes at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A library, and how its users run it."""

    name: str
    title: str
    package: str
    shown: tuple[str, ...]
    """The packages whose versions the report names."""
    backend: str = ""

    @property
    def environment(self) -> Path:
        return HERE / f".env-{self.name}"

    @property
    def python(self) -> str:
        return str(self.environment / "bin" / "python")

    @property
    def variables(self) -> dict[str, str]:
        # Lamina stands here as sources: without this its import alone would compile to bytecode each time.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return kept | ({"KERAS_BACKEND": self.backend} if self.backend else {})

    def install(self) -> None:
        """Make the environment, unless it stands as its requirements ask."""
        wanted = sys.version + self._requirements.read_text()
        if self is LAMINA:
            wanted += (HERE.parent / "pyproject.toml").read_text()
        stamp = self.environment / "stamp"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"installing {self.title} into {self.environment.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(self.environment)], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--requirement", str(self._requirements)]
        subprocess.run(pip, check=True, cwd=HERE.parent)
        stamp.write_text(wanted)

    def versions(self) -> str:
        code = "import sys, importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
        return subprocess.check_output([self.python, "-c", code, *self.shown], text=True).strip()

    @property
    def _requirements(self) -> Path:
        return HERE / f"requirements-{self.name}.txt"


LAMINA = Peer("lamina", "Lamina", "lamina", ("lamina", "jax"))
PEERS = {
    peer.name: peer
    for peer in (
        Peer("keras-jax", "Keras on JAX", "keras", ("keras", "jax"), "jax"),
        Peer("keras-tf", "Keras on TensorFlow", "keras", ("keras", "tensorflow-cpu"), "tensorflow"),
        Peer("torch", "eager torch", "torch", ("torch",)),
    )
}


@dataclass(frozen=True)
class Worker:
    """A peer's process. It stands still, threads and all, whenever it has no order."""

    peer: Peer
    process: subprocess.Popen[str]
    log: IO[str]

    def ask(self, order: str) -> dict[str, Any]:
        """Give an order of worker.py's list and wait for its answer."""
        orders, answers = self.process.stdin, self.process.stdout
        assert orders and answers
        self.process.send_signal(signal.SIGCONT)
        print(order, file=orders, flush=True)
        line = answers.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the worker ended"}
        if "error" in answer:
            self.log.seek(0)
            raise SystemExit(f"{self.peer.title}, {order}: {answer['error']}\n{self.log.read()[-4000:]}")
        self.process.send_signal(signal.SIGSTOP)
        return answer


@contextmanager
def at_work(peer: Peer) -> Iterator[Worker]:
    command = [peer.python, str(HERE / "worker.py"), peer.package]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=peer.variables) as process,
    ):
        try:
            yield Worker(peer, process, log)
        finally:
            process.send_signal(signal.SIGCONT)
            assert process.stdin
            process.stdin.close()  # its orders end, and so does it
