"""The compiled programs of a process, by a key of what they depend on. Equal stacks share them."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, NamedTuple

import jax
from jax._src.config import trace_context

from lamina import dtypes
from lamina._arrays.devices import Shardings
from lamina._process.forks import require_jax
from lamina._programs import heap, one_thread, stored
from lamina._programs.cache import left_out
from lamina._programs.outside import within
from lamina._weights.turns import latest, making
from lamina._weights.weight import Weight

KEPT = 128
"""The most programs that are kept. `MOST` limits their size too."""
MOST = 2**29
"""The most bytes of the programs that are kept. The latest `FEWEST`, enough for one model, are always kept."""
FEWEST = 8
PER_PLAN = 400
"""The bytes of a program in memory for each byte of XLA's plan of its buffers.

Measured: 160 to 460 for programs of 2 to 30 MB that were compiled here, and 570 for one that was read from disk.
"""

# Measured on two cores (benchmarks/README.md): without the first a kernel that is read in the backward pass is copied
# in every step of the loop (13 % of a step of program 1 at batch 32); the second takes 3 % more off all of them. The
# third leaves YNNPACK its matrix products and sums, but not convolutions: Eigen's are 2 to 4 times as fast. The last
# two are XLA's defaults; without them, as in the tests' other programs, compiling takes less time, and a step more.
CPU_OPTIONS: dict[str, Any] = {
    "xla_cpu_copy_insertion_use_region_analysis": True,
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
    "xla_cpu_use_fusion_emitters": True,
    "xla_backend_optimization_level": 3,
}

LARGE = 2**27
LESS_MEMORY: dict[str, Any] = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
"""Options for a program with more than `LARGE` bytes of arguments: its operations run in the order that needs the least
memory, instead of the order with the most parallel operations. This is as fast, and halves the memory of the gradients.
"""

_unknown: set[str] = set()
"""Options that this XLA does not know. The name of a program on disk has them too: it is made before XLA is asked."""

_compiled: OrderedDict[Hashable, Future[Program]] = OrderedDict()
_gone = 0
"""The number of programs that were dropped."""
_background = ThreadPoolExecutor(1, thread_name_prefix="lamina-compile")

instead: ContextVar[Callable[..., Future[Program]] | None] = ContextVar("instead", default=None)
"""The function to call instead of `compiled` while models that differ in numbers share programs."""
alone: ContextVar[bool] = ContextVar("alone", default=False)
"""Whether programs are compiled for one thread, because each core runs one."""


class Program(NamedTuple):
    """A compiled function, the weights of other models that it reads, and its approximate size in bytes."""

    run: Callable[..., Any]
    outside: tuple[Weight, ...] = ()
    size: int = 0

    def ready(self) -> Callable[..., Any]:
        """The function, with the present arrays of the weights of other models."""
        require_jax()
        return functools.partial(self.run, latest(self.outside))

    def __call__(self, *arguments: object) -> Any:
        return self.ready()(*arguments)


def compiled(
    key: Hashable, function: Callable[..., Any], arguments: tuple[object, ...], *, donate: tuple[int, ...] = (),
    ahead: bool = False, eager: bool = False, shardings: Shardings | None = None,
) -> Future[Program]:  # fmt: skip
    """Compile `function` for arguments of these shapes, or return the program that was compiled before.

    Args:
        key: a key of everything that `function` depends on except its arguments; None for user code, which may depend
            on anything. Such a function is traced again, and programs with the same operations are shared.
        ahead: whether to compile in a background thread.
        eager: whether to run each operation by itself instead of compiling.
        shardings: how the arrays are divided among several devices.
    """
    if eager:
        return _now(Program, _step_by_step(within([], function)))
    if (shared := instead.get()) is not None:
        return shared(key, function, arguments, donate=donate, ahead=ahead)
    begin = _in_background if ahead else _now
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments)
    if key is None:
        return begin(_traced, function, abstract, donate, shardings)
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
    full = key, tree, shapes, dtypes.floatx(), dtypes.epsilon(), shardings and shardings.key
    known = full, trace_context(), alone.get()
    return _kept(known, lambda: begin(_built, full, function, abstract, donate, shardings))


def _kept(key: Hashable, make: Callable[[], Future[Program]]) -> Future[Program]:
    """Return the program of a key, and make it if there is none. Only one of several threads makes it."""
    with making:
        if key in _compiled:
            _compiled.move_to_end(key)
            return _compiled[key]
        future = _compiled[key] = make()
        while _too_many():
            _compiled.popitem(last=False)
            _forget_traces()
        return future


def _too_many() -> bool:
    """Whether the oldest program must be dropped. A program that is still being compiled has no size yet."""
    made = (each.result() for each in _compiled.values() if each.done() and not each.exception())
    return len(_compiled) > KEPT or (len(_compiled) > FEWEST and sum(program.size for program in made) > MOST)


def _forget_traces() -> None:
    """Clear JAX's caches of traces, 0.7 MB for a stack, each time that `KEPT` programs were dropped.

    The user's own compiled functions are then compiled again, which happens rarely.
    """
    global _gone
    _gone += 1
    if _gone % KEPT == 0:
        jax.clear_caches()


def _built(
    key: Hashable, function: Callable[..., Any], abstract: tuple[object, ...], donate: tuple[int, ...],
    shardings: Shardings | None,
) -> Program:  # fmt: skip
    name = None if alone.get() or shardings else stored.name_of(key, CPU_OPTIONS)
    if (program := stored.load(name)) is not None:
        return _program(program)
    traced, found = _operations(function, abstract, donate, shardings)
    if name is None or found:
        return _program(_for_this_device(traced), found, shardings)
    with left_out():
        program = _for_this_device(traced)
    stored.keep(name, program, traced)
    return _program(program)


def _traced(
    function: Callable[..., Any], abstract: tuple[object, ...], donate: tuple[int, ...], shardings: Shardings | None
) -> Program:
    """Trace a function, and compile it unless a program with the same operations exists."""
    traced, found = _operations(function, abstract, donate, shardings)
    text = traced.lower().as_text()
    if "callback" in text:  # it calls a Python function, of which the text says nothing
        return _program(_for_this_device(traced), found, shardings)
    sharded = shardings and shardings.key
    key = (hashlib.sha256(text.encode()).digest(), traced.in_tree, traced.out_tree, alone.get(), sharded)
    made = _kept(key, lambda: _now(lambda: _program(_for_this_device(traced), (), shardings)))
    return made.result()._replace(outside=found)


def _operations(
    function: Callable[..., Any], abstract: tuple[object, ...], donate: tuple[int, ...], shardings: Shardings | None
) -> tuple[jax.stages.Traced, tuple[Weight, ...]]:
    """Trace a function. If it reads weights of other models, it is traced again with these as arguments."""
    found: list[Weight] = []
    lie = {"in_shardings": shardings.of_arguments, "out_shardings": shardings.outside} if shardings else {}
    while True:
        known = len(found)
        arrays = [jax.ShapeDtypeStruct(weight.array.shape, weight.array.dtype) for weight in found]
        program = jax.jit(within(found, function), donate_argnums=[place + 1 for place in donate], **lie)
        traced = program.trace(arrays, *abstract)
        if len(found) == known:
            return traced, tuple(found)


def _for_this_device(traced: jax.stages.Traced) -> jax.stages.Compiled:
    large = sum(aval.size * aval.dtype.itemsize for aval in jax.tree.leaves(traced.in_avals)) > LARGE
    while True:
        wanted = CPU_OPTIONS | (LESS_MEMORY if large else {}) if jax.default_backend() == "cpu" else {}
        options = {name: value for name, value in wanted.items() if name not in _unknown}
        try:
            program = one_thread.compiled(traced, options) if alone.get() else traced.lower().compile(options)
            heap.give_back()
            return program
        except jax.errors.JaxRuntimeError as error:
            refused = next((name for name in options if name in str(error)), None)
            if refused is None:
                raise
            _unknown.add(refused)  # another version of XLA has none of that name


def _program(
    compiled: jax.stages.Compiled, outside: tuple[Weight, ...] = (), shardings: Shardings | None = None
) -> Program:
    """Make a `Program`, and make the heap keep memory for it."""
    run = shardings.of_call(compiled) if shardings else compiled
    if (memory := compiled.memory_analysis()) is None:
        return Program(run, outside)
    heap.keep(memory.temp_size_in_bytes)
    return Program(run, outside, PER_PLAN * len(memory.serialized_buffer_assignment_proto))


def _now(make: Callable[..., Program], *arguments: object) -> Future[Program]:
    """Make a program in this thread. The result has the form of `_in_background`'s."""
    future: Future[Program] = Future()
    future.set_result(make(*arguments))
    return future


def _in_background(make: Callable[..., Program], *arguments: object) -> Future[Program]:
    """Make a program in the compiling thread, with the settings of this thread."""
    context = copy_context()
    return _background.submit(lambda: context.run(make, *arguments))


def _step_by_step(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        with jax.disable_jit():
            return function(*arguments)

    return run


def clear() -> None:
    """Forget all compiled programs of this process."""
    _compiled.clear()
