"""Programs for one thread each, of which as many run at a time as there are cores.

XLA shares out operations of 2 µs already. While each core has a program of its own, handing them over costs a sixth of
a small step. For how many threads a program is is settled when it is compiled, by the client that does it: a client of
one thread does it here, and the ordinary one runs what comes of it. The cache on disk has none of these programs: what
was read from there JAX does not write again.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, cast

import jax
from jax._src import config
from jax.experimental.serialize_executable import deserialize_and_load, serialize

THREADS = "PJRT_NPROC"
"""The variable that says how many threads a new client has."""


def compiled(traced: jax.stages.Traced, options: dict[str, Any]) -> jax.stages.Compiled:
    """The program of what was traced; an ordinary one where JAX cannot hand it from one client to another."""
    # Of no effect itself, it keeps the ordinary programs in JAX's cache on disk from being found for these.
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
