"""Joins the processes of a job, which one launcher has started on one or several machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import jax
from jax._src.clusters import ClusterEnv
from jax._src.distributed import global_state
from jax._src.xla_bridge import backends_are_initialized

from lamina._messages.tracebacks import user_facing
from lamina._process.job import run_apart, started
from lamina._settings.converters import short
from lamina.errors import ArgumentError, ProcessError
from lamina.random import next_seed, set_random_seed

LAUNCHERS = {
    "KERAS_DISTRIBUTION": ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"),
    "JAX": ("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID"),
}
"""Environment variables with the address of process 0, the number of processes and the number of this one."""
RANKED = {"torchrun": ("WORLD_SIZE", "RANK"), "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")}
"""Those of launchers which tell the number of processes and of this one, and no address for JAX."""


class Place(NamedTuple):
    """This process among those of its job."""

    address: str | None
    processes: int | None
    rank: int | None


@user_facing
def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join the processes of a job; with one process it does nothing. It stands in the first lines of a script.

    What is not given comes from the environment: `KERAS_DISTRIBUTION_JOB_ADDRESSES`, `_NUM_PROCESSES` and
    `_PROCESS_ID`; `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`, as `python -m lamina launch` and
    Kubeflow set them; what JAX itself finds, as under Slurm; or the variables of torchrun and Open MPI. All
    processes get the seed of process 0, unless the script sets one. `set_distribution` then divides the work.

    >>> initialize(num_processes=1)

    Args:
        job_addresses: the address and port of process 0, as "10.0.0.1:1234"; of a list with commas the first counts.
        num_processes: the number of processes. 1 means that this one runs by itself, whatever a launcher says.
        process_id: the number of this process, from 0.

    Raises:
        ArgumentError: some of the three are known and others are not, or they do not fit together.
        ProcessError: JAX has run already.
    """
    if num_processes == 1:
        run_apart()
        return
    if global_state.client is None:  # otherwise another library, such as Ray, has joined the processes
        place = _place(os.environ, job_addresses, num_processes, process_id)
        detects = place.address is None and _jax_detects()
        if not detects and (place.processes or 1) == 1:
            return
        if backends_are_initialized():
            raise ProcessError(
                "distribution.initialize: JAX has run already in this process. Write "
                "keras.distribution.initialize() in the first lines of the script, right behind the imports."
            )
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM, after which fit saves
        if detects:
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(*place, cluster_detection_method="deactivate")
    if (job := started()) is not None:
        set_random_seed(job.agreed("seed", next_seed()))


def _place(environment: Mapping[str, str], address: str | None, count: int | None, rank: int | None) -> Place:
    """The place of this process, from arguments and the environment."""
    given = {"job_addresses": address, "num_processes": count, "process_id": rank}
    found: dict[str, object] = dict(given)
    for launcher, names in LAUNCHERS.items():
        for name, variable in zip(given, names, strict=True):
            text = environment.get(f"{launcher}_{variable}")
            found[name] = text if found[name] is None else found[name]
    if found["job_addresses"] is None and not any(found.values()):
        for processes, rank_of in RANKED.values():
            if processes in environment and rank_of in environment:
                found = {"job_addresses": _derived(environment), "num_processes": environment[processes],
                         "process_id": environment[rank_of]}  # fmt: skip
    known = [name for name, value in found.items() if value is not None]
    if 0 < len(known) < 3:
        missing = [name for name in found if name not in known]
        raise ArgumentError(
            f"initialize: {' and '.join(known)} {'is' if len(known) == 1 else 'are'} known, and "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not. Give all three, or none."
        )
    if not known:
        return Place(None, None, None)
    several, number = (_whole(name, found[name]) for name in ("num_processes", "process_id"))
    if not 0 <= number < several:
        raise ArgumentError(f"initialize: process_id is {number}, and num_processes is {several}: it counts from 0.")
    return Place(str(found["job_addresses"]).split(",")[0].strip(), several, number)


def _whole(name: str, value: object) -> int:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        raise ArgumentError(f"initialize: expected a whole number as {name}, got {short(value)}.") from None


def _derived(environment: Mapping[str, str]) -> str:
    """An address for JAX on the first machine: torchrun listens itself on the port that it names."""
    port = int(environment.get("MASTER_PORT", "29500"))
    return f"{environment.get('MASTER_ADDR', '127.0.0.1')}:{port + 1 if port < 65535 else port - 1}"


def _jax_detects() -> bool:
    """Whether JAX finds the job by itself, as under Slurm."""
    return any(not each.opt_in_only_method and each.is_env_present() for each in ClusterEnv._cluster_types)
