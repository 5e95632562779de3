"""Times Lamina and its peers: `python benchmarks/run.py`. README.md describes the measurements."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import report
from calls import CALLS, Call
from peers import HERE, LAMINA, LAMINAS, PEERS, Peer, Worker, at_work
from programs import FIGURES, FRESH, PREDICTED, PRODUCTS, PROGRAMS

SCRIPT = "census-512"
"""The program for the figures besides steps."""
Seconds = dict[str, list[float]]
"""For each peer, and for the limit of a figure, the seconds in each round."""


@contextmanager
def workers(peers: Iterable[Peer]) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        yield [stack.enter_context(at_work(peer)) for peer in peers]


def rotations(things: list[Any], rounds: int) -> Iterator[Any]:
    """Yield each thing once in each round. The first one changes from round to round."""
    for i in range(rounds):
        yield from things[i % len(things) :] + things[: i % len(things)]


def time_steps(name: str, team: list[Worker], rounds: int, quick: bool) -> dict[str, Any]:
    """The seconds of a step in each round's fit. The peers run in turns, and the speed of a matrix product is measured
    between them."""
    program = PROGRAMS[name]
    epochs = 1 if quick else program.epochs
    for worker in team:
        worker.ask(f"prepare {name}")
        worker.ask(f"fit {epochs}")
    seconds, peak = defaultdict(list), []
    for worker in rotations(team, rounds):
        fit = worker.ask(f"fit {epochs}")
        seconds[worker.peer.name].append(fit["seconds"] / fit["steps"])
        if worker.peer is LAMINA:
            peak.append(worker.ask("peak")["gflops"])
    flops = 6 * program.multiply_adds * fit["samples"] / fit["steps"]  # forward pass and both gradients
    return {"seconds": seconds, "flops": flops, "gflops": peak}


def time_imports(peers: list[Peer], rounds: int) -> Seconds:
    """The seconds of the import statement in new processes."""
    limit = FIGURES["import"].limit
    statements = [(peer.name, peer, f"import {peer.package}") for peer in peers] + [(limit, LAMINA, limit)]
    seconds = defaultdict(list)
    for name, peer, statement in rotations(statements, rounds + 1):
        code = f"from time import perf_counter as t; s = t(); {statement}; print(t() - s)"
        command = [peer.python, "-c", code]
        printed = subprocess.run(command, env=peer.variables, check=True, capture_output=True, text=True).stdout
        seconds[name].append(float(printed))
    return {name: times[1:] for name, times in seconds.items()}  # the first round filled the disk's cache


def time_first_epochs(peers: list[Peer], rounds: int) -> dict[str, Seconds]:
    """The seconds of a script's first `fit(epochs=1)`, and of the whole script. Lamina's own cache is warm."""
    seconds: dict[str, Seconds] = {"first-epoch": defaultdict(list), "script": defaultdict(list)}
    for i, peer in enumerate(rotations(peers, rounds + 1)):
        start = perf_counter()
        with workers([peer]) as (worker,):
            worker.ask(f"prepare {SCRIPT}")
            fit = worker.ask("fit 1")
            if i >= len(peers):  # the first round filled the caches
                seconds["first-epoch"][peer.name].append(fit["seconds"])
                seconds["script"][peer.name].append(perf_counter() - start)
    return seconds


def measure_first_step(name: str, peers: list[Peer], rounds: int) -> tuple[Seconds, dict[str, list[int]]]:
    """Measure in a new process without compiled programs: making the model with a fit of one step, and the memory
    after an epoch."""
    seconds, memory = defaultdict(list), defaultdict(list)
    for peer in rotations([replace(peer, sets=peer.sets | {"LAMINA_CACHE": "off"}) for peer in peers], rounds):
        with workers([peer]) as (worker,):
            build = worker.ask(f"prepare {name}")["build"]
            seconds[peer.name].append(build + worker.ask(f"fit 1 {PROGRAMS[name].batch}")["seconds"])
            worker.ask("fit 1")
            memory[peer.name].append(worker.ask("memory")["bytes"])
    return seconds, memory


def time_predicts(team: list[Worker], rounds: int) -> Seconds:
    """The seconds of `predict` for one row, and of a bare jitted call in Lamina's process."""
    for worker in team:
        worker.ask(f"prepare {SCRIPT}")
        worker.ask("fit 1")
        worker.ask("predict")
    seconds = defaultdict(list)
    for worker in rotations(team, rounds):
        answer = worker.ask("predict")
        seconds[worker.peer.name].append(answer["seconds"])
        if worker.peer is LAMINA:
            seconds[FIGURES["predict"].limit].append(answer["limit"])
    return seconds


def time_products(name: str, team: list[Worker], rounds: int) -> Seconds:
    """The seconds of a step of Lamina's fit, and of its matrix products alone, with oneDNN if it is installed."""
    team = [worker for worker in team if worker.peer in LAMINAS]
    for worker in team:
        worker.ask(f"prepare {name}")
    seconds = defaultdict(list)
    for worker in rotations(team, rounds):
        answer = worker.ask("products")
        seconds[worker.peer.name].append(answer["seconds"])
        if worker.peer is LAMINA:
            seconds[FIGURES[f"products-{name}"].limit].append(answer["limit"])
    return seconds


def time_predicted_rows(name: str, count: int, team: list[Worker], rounds: int) -> Seconds:
    """The seconds of `predict` with default arguments: the fastest call of each round, the peers in turns."""
    for worker in team:
        worker.ask(f"prepare {name}")
        worker.ask(f"rows {count}")
    seconds = defaultdict(list)
    for worker in rotations(team, rounds):
        seconds[worker.peer.name].append(worker.ask(f"rows {count}")["seconds"])
    return seconds


def time_calls(name: str, team: list[Worker], rounds: int) -> Seconds:
    """The seconds of the fastest call of each round, the peers in turns."""
    for worker in team:
        worker.ask(f"make {name}")
        worker.ask("call")
    seconds = defaultdict(list)
    for worker in rotations(team, rounds):
        seconds[worker.peer.name].append(worker.ask("call")["seconds"])
    return seconds


def measure_fresh_calls(name: str, call: Call, peers: list[Peer], rounds: int) -> dict[str, Any]:
    """Measure one call in a new process without compiled programs: its time, or the memory that it adds."""
    kept = defaultdict(list)
    for peer in rotations([replace(peer, sets=peer.sets | {"LAMINA_CACHE": "off"}) for peer in peers], rounds):
        with workers([peer]) as (worker,):
            worker.ask(f"make {name}")
            measured = worker.ask("added" if call.memory else "once")
            kept[peer.name].append(measured[call.memory or "seconds"])
    return {"bytes" if call.memory else "seconds": kept}


def time_rows(names: list[str], peers: list[Peer], rounds: int, quick: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    with workers(peers) as team:
        for name in names:
            if name in PROGRAMS:
                yield name, time_steps(name, team, rounds, quick)
        for name in PRODUCTS:
            if f"products-{name}" in names:
                yield f"products-{name}", {"seconds": time_products(name, team, rounds)}
        if "predict" in names:
            yield "predict", {"seconds": time_predicts(team, rounds)}
        for figure, (name, count) in PREDICTED.items():
            if figure in names:
                yield figure, {"seconds": time_predicted_rows(name, count, team, rounds)}
        likes = [worker for worker in team if worker.peer.package != "torch"]
        for name, call in CALLS.items():
            if name in names and not (call.fresh or call.memory):
                yield name, {"seconds": time_calls(name, likes, rounds)}
    for name, call in CALLS.items():
        if name in names and (call.fresh or call.memory):
            likes = [peer for peer in peers if peer.package != "torch"]
            yield name, measure_fresh_calls(name, call, likes, rounds)
    if "import" in names:
        yield "import", {"seconds": time_imports(peers, rounds if quick else max(11, rounds))}
    if "first-epoch" in names:
        for name, seconds in time_first_epochs(peers, rounds).items():
            yield name, {"seconds": seconds}
    for name in FRESH:
        if f"first-step-{name}" in names:
            seconds, memory = measure_first_step(name, peers, rounds)
            yield f"first-step-{name}", {"seconds": seconds}
            yield f"memory-{name}", {"bytes": memory}


def machine() -> dict[str, Any]:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    return {"processor": found[1] if found else platform.machine(), "cores": cores, "python": platform.python_version()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    first_steps, products = [f"first-step-{name}" for name in FRESH], [f"products-{name}" for name in PRODUCTS]
    option, everything = (
        parser.add_argument,
        [*PROGRAMS, *products, "import", "first-epoch", "predict", *PREDICTED, *first_steps, *CALLS],
    )
    option("--rows", nargs="+", choices=everything, default=everything, metavar="ROW", help=", ".join(everything))
    option("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="beside lamina, which always runs")
    option("--rounds", type=int, default=7, help="timed fits of each row and peer (default 7)")
    option("--quick", action="store_true", help="2 rounds of one epoch, not kept: does it run, not how fast is it")
    option("--write-readme", action="store_true", help="write the table into README.md too")
    return parser.parse_args()


def main() -> None:
    told = arguments()
    rounds = 2 if told.quick else told.rounds
    peers = [*LAMINAS, *(PEERS[name] for name in told.peers)]
    for peer in peers:
        peer.install()
    result: dict[str, Any] = {"machine": machine(), "rounds": rounds, "quick": told.quick}
    result["peers"] = {peer.name: peer.versions() for peer in peers}
    result["rows"] = rows = {}
    for name, row in time_rows(told.rows, peers, rounds, told.quick):
        rows[name] = row
        if not told.quick:
            (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")
        print(f"timed {name}", flush=True)
    text = report.markdown(result)
    print("\n" + text)
    if told.write_readme:
        report.insert(text, HERE / "README.md")


if __name__ == "__main__":
    main()
