"""Runs a program in a process group of its own, and ends all that the program leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile

running: set[subprocess.Popen[str]] = set()


def output(command: list[str], text: str, seconds: float) -> tuple[int, str, str]:
    """The status of a command, and what it wrote to the standard output and to the standard error.

    Both go to files: a pipe would stay open as long as a process that the command has started and not ended.
    """
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complaints:
        started = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=complaints, text=True, start_new_session=True
        )
        running.add(started)
        try:
            started.communicate(text, timeout=seconds)
        finally:
            kill(started)
            started.wait()
            running.discard(started)
        return started.returncode, *(file.seek(0) or file.read() for file in (said, complaints))


def kill(started: subprocess.Popen[str]) -> None:
    """End a process and all processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)


def kill_all() -> None:
    """End all commands that run."""
    for started in list(running):
        kill(started)
