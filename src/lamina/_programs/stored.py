"""Stores programs on disk by a key of what they depend on. So the second run of a script neither traces nor compiles.

JAX's cache finds a program by its operations, so it must be traced first, which takes two thirds of the time until a
small stack trains. The key here is the fingerprint of the stack and everything else that tracing and XLA read: the
source of this package, versions, the processor, settings. A program with user code has no fingerprint: only JAX's cache
stores it.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import os
import pickle
import platform
import re
import sys
import types
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np
from jax._src.config import trace_context
from jax._src.core import AxisEnv
from jax.experimental import serialize_executable
from jax.tree_util import PyTreeDef

from lamina._kernels.native import onednn
from lamina._programs.cache import entries
from lamina._settings.origin import of_library

PACKAGE = str(Path(__file__).parent.parent)
PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, slice, range)


class Unnamed(Exception):
    """Raised for a part of a key that has no name which is valid in another process."""


def name_of(key: Hashable, options: dict[str, Any]) -> str | None:
    """The file name for the program of a key and these compiler options; None if it cannot be stored."""
    if entries() is None or jax.default_backend() != "cpu":
        return None
    flags = [(flag, value) for flag, value in sorted(jax.config.values.items()) if isinstance(value, PLAIN)]
    context = [value for value in trace_context() if not isinstance(value, AxisEnv)]  # there is but one outside of vmap
    try:
        text = _text((key, sorted(options.items()), flags, context, _surroundings()))
    except (Unnamed, RecursionError, ValueError):  # a function that holds itself, or what is not yet there
        return None
    return f"lamina-{hashlib.sha256(text.encode()).hexdigest()}"


def load(name: str | None) -> jax.stages.Compiled | None:
    """Read the program of this name; None if there is none."""
    kept = entries()
    if name is None or kept is None or (found := kept.get(name)) is None:
        return None
    onednn()  # lets XLA know what a program calls there
    try:
        serialized, taken, given = pickle.loads(found)
        program: jax.stages.Compiled = serialize_executable.deserialize_and_load(
            serialized, taken, given, execution_devices=jax.local_devices()[:1]
        )
    except Exception:  # of whatever kind: then it is made anew
        return None
    return program


def keep(name: str, program: jax.stages.Compiled, traced: jax.stages.Traced) -> None:
    """Write a program that was just compiled, unless it calls Python functions of this process."""
    kept = entries()
    if kept is not None and "callback" not in traced.lower().as_text():
        with contextlib.suppress(ValueError, NotImplementedError):  # a program with large constants has no such form
            kept.put(name, pickle.dumps(serialize_executable.serialize(program)))


def _text(value: Any) -> str:
    """The text for a part of a key, which is the same in each process."""
    if isinstance(value, (tuple, list)):
        return f"({','.join(map(_text, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_text, value)))}}}"
    if isinstance(value, PLAIN):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, re.Pattern):
        return _text((value.pattern, value.flags))
    if isinstance(value, (PyTreeDef, enum.Enum, jax.sharding.AbstractMesh)):
        return str(value)
    if isinstance(value, types.CodeType):
        place = value.co_filename, value.co_firstlineno, value.co_qualname
        return _text((*place, value.co_code, value.co_names, value.co_consts))
    if isinstance(value, types.FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        more = value.__defaults__, sorted((value.__kwdefaults__ or {}).items())
        return _text((value.__module__, value.__qualname__, value.__code__, *more, held))
    if isinstance(value, type) and not of_library(value):  # or a method of it was replaced
        raise Unnamed
    module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (callable(value) and isinstance(module, str) and isinstance(qualified, str) and "<" not in qualified):
        raise Unnamed
    return f"{module}.{qualified}"


@functools.cache
def _surroundings() -> tuple[Any, ...]:
    """The facts of this process on which every program depends."""
    native = onednn()
    files = [*Path(PACKAGE).rglob("*.py"), *(Path(str(native.__file__)).parent.glob("*.so") if native else ())]
    states = sorted((str(path), (state := path.stat()).st_mtime_ns, state.st_size) for path in files)
    versions = sys.version, jax.__version__, jaxlib.version.__version__
    said = [os.environ.get(name, "") for name in ("XLA_FLAGS", "LAMINA_KERNELS")]
    return versions, said, _processor(), states


def _processor() -> tuple[Any, ...]:
    """The instructions of the processor, and the number of processors."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    kinds = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return platform.machine(), platform.processor(), usable, kinds
