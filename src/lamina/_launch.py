"""`python -m lamina launch -n 4 train.py` starts the processes of a job on this machine.

`python -m lamina` replaces itself with this file, which imports neither JAX nor the rest of Lamina: the launcher
takes no device and little memory.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from queue import Empty, SimpleQueue
from typing import IO, Any

GRACE = 30.0
"""Seconds for the processes to save their state after they were told to end."""

GPUS = "/proc/driver/nvidia/gpus"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def add_to(commands: Any) -> argparse.ArgumentParser:
    """Add the command and its arguments to those of `python -m lamina`."""
    command: argparse.ArgumentParser = commands.add_parser(
        "launch",
        help="start the processes of a job on this machine",
        description="Starts N processes of one program. keras.distribution.initialize() in the program joins them.\n"
        "Each gets its share of the cores and of the GPUs. Lines of ranks other than 0 begin with [rank].\n"
        "If a process fails, the others are ended and the exit status is its own (128 + n after signal n).",
        epilog="examples:\n  python -m lamina launch -n 2 train.py --epochs 3\n"
        "  python -m lamina launch -n 2 --devices-per-process 2 train.py\n"
        "  python -m lamina launch -n 2 -m lamina run old_keras_script.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("-n", dest="processes", type=positive, required=True, metavar="N", help="how many processes")
    command.add_argument(
        "--devices-per-process", type=positive, metavar="K", help="GPUs of each process; without GPUs, parts of its CPU"
    )
    command.add_argument("-m", dest="module", action="store_true", help="the program is a module, as for `python -m`")
    command.add_argument("script", help="the program's file, or the module's name")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="the program's own arguments, for its sys.argv")
    return command


def replace_this_process(arguments: list[str]) -> int:
    """Become the launcher. Returns, with the exit status, only where a process cannot be replaced (Windows)."""
    if os.name == "posix":
        os.execv(sys.executable, [sys.executable, "-P", __file__, *arguments])
    return main(arguments)


def main(arguments: list[str]) -> int:
    """The command line, from `launch` on. Returns the exit status."""
    command = add_to(argparse.ArgumentParser(prog="python -m lamina").add_subparsers(dest="command"))
    options = command.parse_args(arguments[1:])
    if not options.module and not os.path.isfile(options.script):
        command.error(f"{options.script!r} is not a file (looked from {os.getcwd()}).")
    program = [sys.executable, *(["-m"] if options.module else []), options.script, *options.arguments]
    try:
        environments = [_environment(rank, options) for rank in range(options.processes)]
    except ValueError as error:
        command.error(str(error))
    port = _free_port()
    for environment in environments:
        # JAX would listen on every address of this machine.
        environment["JAX_COORDINATOR_ADDRESS"] = environment["JAX_COORDINATOR_BIND_ADDRESS"] = f"127.0.0.1:{port}"
    return run(program, environments)


def run(program: list[str], environments: list[dict[str, str]]) -> int:
    """Run one process for each environment until all have ended. Returns the exit status of the first that failed."""
    events: SimpleQueue[tuple[str, int, int]] = SimpleQueue()  # ("signal", 0, number) or ("ended", rank, status)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: events.put(("signal", 0, number)))
    running = {rank: _start(program, rank, len(environments), each) for rank, each in enumerate(environments)}
    relays = [relay for rank, process in running.items() for relay in _relays(rank, process)]
    waits = [
        threading.Thread(target=lambda r=rank, p=process: events.put(("ended", r, p.wait())), daemon=True)
        for rank, process in running.items()
    ]
    for thread in (*relays, *waits):
        thread.start()
    status, patience = 0, None
    while running:
        try:
            event, rank, value = events.get(timeout=patience)
        except Empty:
            _send(running, signal.SIGKILL)
            continue
        if event == "signal":
            status = status or 128 + value
            _send(running, value)
            patience = GRACE
            continue
        _send({rank: running.pop(rank)}, signal.SIGKILL)  # what it has started and left
        if value != 0 and status == 0:
            status = value if value > 0 else 128 - value
            if running:
                print(f"Rank {rank} ended with status {status}: the other processes are ended.", file=sys.stderr)
                _send(running, signal.SIGTERM)
                patience = GRACE
    for relay in relays:
        relay.join(timeout=1.0)
    return status


def _environment(rank: int, options: argparse.Namespace) -> dict[str, str]:
    """What JAX and keras.distribution.initialize() read in one process."""
    count, each = options.processes, options.devices_per_process
    environment = {**os.environ, "JAX_NUM_PROCESSES": str(count), "JAX_PROCESS_ID": str(rank)}
    gpus = _gpus()
    if gpus:
        each = each or max(len(gpus) // count, 1)
        if each * count > len(gpus):
            raise ValueError(
                f"{count} processes with {each} GPU each need {each * count} GPUs, and {len(gpus)} are visible. "
                "Type a smaller -n, or JAX_PLATFORMS=cpu before the command."
            )
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[rank * each : (rank + 1) * each])
    elif each is not None:
        flag = f"--xla_force_host_platform_device_count={each}"
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    return environment


def _gpus() -> list[str]:
    """The ids of NVIDIA's GPUs that JAX may use."""
    if os.environ.get("JAX_PLATFORMS", "").lower() == "cpu":
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [each for each in visible.split(",") if each.strip() not in ("", "-1")]
    return [str(each) for each in range(len(os.listdir(GPUS)))] if os.path.isdir(GPUS) else []


def _start(program: list[str], rank: int, count: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, so that Ctrl-C in a terminal reaches it once, from the launcher."""
    launcher = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    share = (
        cores[rank * len(cores) // count : (rank + 1) * len(cores) // count] or cores[rank % max(len(cores), 1) :][:1]
    )

    def in_child() -> None:
        if libc is not None:
            libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            os.sched_setaffinity(0, share)
            if os.getppid() != launcher:  # the launcher died before prctl
                os._exit(1)

    # Rank 0 writes to a terminal by itself, so that progress bars work; a file gets whole lines only from one writer.
    output, errors = (None if rank == 0 and stream.isatty() else subprocess.PIPE for stream in (sys.stdout, sys.stderr))
    return subprocess.Popen(
        program, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, process_group=0,
        preexec_fn=in_child if libc is not None else None,
    )  # fmt: skip


def _relays(rank: int, process: subprocess.Popen[bytes]) -> list[threading.Thread]:
    """Threads that print a process's lines, each with its rank before it if that is not 0."""
    prefix = b"[%d] " % rank if rank else b""

    def relay(source: IO[bytes], target: IO[bytes]) -> None:
        with source:
            for line in source:
                target.write(prefix + line.removesuffix(b"\n") + b"\n")
                target.flush()

    streams = [(process.stdout, sys.stdout.buffer), (process.stderr, sys.stderr.buffer)]
    return [threading.Thread(target=relay, args=each, daemon=True) for each in streams if each[0] is not None]


def _send(processes: dict[int, subprocess.Popen[bytes]], number: int) -> None:
    """Send a signal to processes and to those that they have started."""
    for process in processes.values():
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # all of the group have ended
            continue


def _free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def positive(text: str) -> int:
    """Convert an argument of a command line to a whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
