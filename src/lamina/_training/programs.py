"""Compiled programs, kept by what they depend on, so that building the same stack again compiles nothing.

JAX's persistent cache is on by default: the second run of a script compiles nothing either. It lives in
`$XDG_CACHE_HOME/lamina` (or `~/.cache/lamina`), and when a process starts the oldest entries over 1 GiB go.
`LAMINA_CACHE=off` turns it off, `LAMINA_CACHE=/some/folder` moves it; a folder set through JAX itself stays.
"""

from __future__ import annotations

import ctypes
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

KEPT = 128
CACHE_BYTES = 2**30

# Measured on two cores (benchmarks/README.md): without the first a kernel that is read in the backward pass is copied
# in every step of the loop (13 % of a step of program 1 at batch 32); the second takes 3 % more off all of them. The
# third leaves YNNPACK its matrix products and sums, but not convolutions: Eigen's are 2 to 4 times as fast.
CPU_OPTIONS: dict[str, Any] = {
    "xla_cpu_copy_insertion_use_region_analysis": True,
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
}

try:
    _give_back: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
except (AttributeError, OSError, TypeError):  # another C library than glibc keeps less
    _give_back = lambda _: None  # noqa: E731

_compiled: OrderedDict[Any, Future[Any]] = OrderedDict()
_background = ThreadPoolExecutor(1, thread_name_prefix="lamina-compile")


def use_persistent_cache() -> None:
    """Turn JAX's cache on disk on, unless the user has chosen already."""
    place = os.environ.get("LAMINA_CACHE", "")
    if place.lower() in ("off", "0", "no", "false") or jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(place) if place else home / "lamina"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no place to write: then nothing is kept
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _background.submit(prune, folder, CACHE_BYTES)


def prune(folder: Path, limit: int) -> None:
    """Delete the oldest files of `folder` until the rest is within `limit` bytes.

    JAX's own limit looks through the whole folder, under a lock for all processes, at every read and write.
    """
    with os.scandir(folder) as entries:
        files = sorted(
            (entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries if entry.is_file()
        )
    over = sum(size for _, size, _ in files) - limit
    for _, size, path in files:
        if over <= 0:
            break
        Path(path).unlink(missing_ok=True)
        over -= size


def compiled(
    key: Any,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    donate: tuple[int, ...] = (),
    ahead: bool = False,
    eager: bool = False,
) -> Future[Any]:
    """The program of `function` for arguments of these shapes; `ahead` compiles it in the background.

    `key` stands for all that `function` depends on apart from its arguments. `eager` compiles nothing: each
    operation runs by itself.
    """
    if eager:
        return _finished(_step_by_step(function))
    leaves, tree = jax.tree.flatten(arguments)
    full = (key, tree, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves), jax.config.jax_enable_x64)  # type: ignore[attr-defined]
    if full in _compiled:
        _compiled.move_to_end(full)
        return _compiled[full]
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments)

    def compile_now() -> Any:
        program = _for_this_device(jax.jit(function, donate_argnums=donate).lower(*abstract))
        _give_back(0)  # 50 to 130 MiB that the compiler has freed, in about 15 ms
        return program

    future = _background.submit(compile_now) if ahead else _finished(compile_now())
    _compiled[full] = future
    if len(_compiled) > KEPT:
        _compiled.popitem(last=False)
    return future


def _for_this_device(lowered: Any) -> Any:
    options = CPU_OPTIONS if jax.default_backend() == "cpu" else {}
    while True:
        try:
            return lowered.compile(compiler_options=options)
        except jax.errors.JaxRuntimeError as error:  # another version of XLA may not know one
            known = {name: value for name, value in options.items() if name not in str(error)}
            if known == options:
                raise
            options = known


def _finished(program: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(program)
    return future


def _step_by_step(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        with jax.disable_jit():
            return function(*arguments)

    return run


def clear() -> None:
    """Forget all compiled programs of this process."""
    _compiled.clear()
