"""Compiles programs for one thread each, so that each core can run one.

XLA divides even operations of 2 µs among threads. If each core runs a program of its own, this costs a sixth of a
small step. The number of threads is fixed when a program is compiled, by the client that compiles it. So a client with
one thread compiles these programs, and the ordinary client runs them. They are not stored on disk, because JAX cannot
serialize a program that was read from there.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, cast

import jax
from jax._src import config
from jax.experimental.serialize_executable import deserialize_and_load, serialize

THREADS = "PJRT_NPROC"
"""The environment variable with the number of threads of a new client."""


def compiled(traced: jax.stages.Traced, options: dict[str, Any]) -> jax.stages.Compiled:
    """Compile a traced function for one thread; for all threads if JAX cannot move it from one client to another."""
    # This option has no effect itself, but gives these programs other keys in JAX's cache than ordinary ones.
    apart, load = options | {"xla_cpu_multi_thread_eigen": False}, cast(Any, deserialize_and_load)
    try:
        with jax.default_device(_client().local_devices()[0]), config.persistent_cache_min_compile_time_secs(1e9):
            lowered = traced.lower()
            if "callback" not in lowered.as_text():  # a Python function stays with its client
                written = serialize(lowered.compile(apart))
                return cast(jax.stages.Compiled, load(*written, execution_devices=jax.local_devices()[:1]))
    except Exception:  # such as constants that JAX does not write, or another version of it
        pass
    return cast(jax.stages.Compiled, traced.lower().compile(options))


@cache
def _client() -> Any:
    from jaxlib import xla_client

    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        return xla_client.make_cpu_client()
    finally:
        del os.environ[THREADS]
        if before is not None:
            os.environ[THREADS] = before
