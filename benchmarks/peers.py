"""The libraries: each has an environment and a worker process. Only one of them computes at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent
NATIVE = HERE.parent / "native"
"""The optional package lamina-onednn, which is installed in Lamina's environment."""
SUFFIXES = (".cc", ".h", ".py", ".toml", ".txt")


@dataclass(frozen=True)
class Peer:
    """A library, and how its users run it."""

    name: str
    title: str
    package: str
    shown: tuple[str, ...]
    """The packages whose versions the report names."""
    requirements: str
    sets: dict[str, str] = field(default_factory=dict)
    """Environment variables."""

    @property
    def environment(self) -> Path:
        return HERE / f".env-{self.requirements}"

    @property
    def python(self) -> str:
        return os.environ.get("BENCH_PYTHON") or str(self.environment / "bin" / "python")

    @property
    def variables(self) -> dict[str, str]:
        # Lamina is installed from its sources here, and without a cache each import would compile them to bytecode.
        dropped = ("PYTHONDONTWRITEBYTECODE", "LAMINA_KERNELS")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return kept | self.sets

    def install(self) -> None:
        """Make the environment if it does not meet its requirements and BENCH_PYTHON names no other one."""
        if "BENCH_PYTHON" in os.environ:
            return
        requirements, packages = HERE / f"requirements-{self.requirements}.txt", []
        wanted = sys.version + requirements.read_text()
        if self in LAMINAS:
            wanted += (HERE.parent / "pyproject.toml").read_text()
            files = [path for path in sorted(NATIVE.rglob("*.*")) if path.suffix in SUFFIXES]
            sources = [path for path in files if "build" not in path.parts]
            wanted += "".join(path.read_text() for path in sources)
            packages = [str(NATIVE)] if sources else []
        stamp = self.environment / "stamp"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        print(f"installing {self.title} into {self.environment.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(self.environment)], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--requirement", str(requirements), *packages]
        subprocess.run(pip, check=True, cwd=HERE.parent)
        stamp.write_text(wanted)

    def versions(self) -> str:
        code = "import importlib.metadata as m; print(*(f'{d.name}={d.version}' for d in m.distributions()))"
        printed = subprocess.check_output([self.python, "-c", code], text=True)
        found = dict(each.split("=") for each in printed.replace("_", "-").split())
        return ", ".join(f"{package} {found[package]}" for package in self.shown if package in found)


ONEDNN = Peer("lamina-onednn", "Lamina + oneDNN", "lamina", ("lamina-onednn",), "lamina")
LAMINA = Peer("lamina", "Lamina", "lamina", ("lamina", "jax"), "lamina", {"LAMINA_KERNELS": "xla"})
LAMINAS = (ONEDNN, LAMINA)
PEERS = {
    peer.name: peer
    for peer in (
        Peer("keras-jax", "Keras on JAX", "keras", ("keras", "jax"), "keras-jax", {"KERAS_BACKEND": "jax"}),
        Peer(
            "keras-tf",
            "Keras on TensorFlow",
            "keras",
            ("keras", "tensorflow-cpu"),
            "keras-tf",
            {"KERAS_BACKEND": "tensorflow"},
        ),
        Peer("torch", "eager torch", "torch", ("torch",), "torch"),
    )
}


@dataclass(frozen=True)
class Worker:
    """A peer's process. It is stopped with all its threads while it has no order."""

    peer: Peer
    process: subprocess.Popen[str]
    log: IO[str]

    def ask(self, order: str) -> dict[str, Any]:
        """Send one of the orders of worker.py, and wait for the answer."""
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
            process.stdin.close()  # the process ends with its input
