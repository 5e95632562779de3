"""Programs that compile quickly: nearly all the time of this suite is XLA's compiler's.

One program compiles much faster than its operations one by one. Where the speed of the program and the last bit of
its numbers are nothing to a test, it need not be a good program either. The formulas stay the same: only the
translation to machine code is a plainer one.
"""

import contextlib
import functools
from collections import OrderedDict, defaultdict
from unittest import mock

import jax

from lamina._programs import programs

OPTIONS = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
SIMPLER = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""What `quick_compiler` sets for Lamina's programs, which have options of their own: they compile in half the time."""
USUAL_FUSIONS = {"xla_cpu_use_fusion_emitters": True}
"""What conftest.py switches off, where a number that lies halfway is rounded to a whole one, or each bit counts."""
_compiled: dict = defaultdict(OrderedDict)
"""By what it is told, the programs that are kept: a usual one must not come back in place of a plain one."""
quickly = functools.partial(jax.jit, compiler_options=OPTIONS)


@contextlib.contextmanager
def quick_compiler(**options):
    """The same for programs that are compiled elsewhere; every test is within it."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        told = SIMPLER | options
        with (
            mock.patch.dict(programs.CPU_OPTIONS, told),
            mock.patch.object(programs, "_compiled", _compiled[frozenset(told.items())]),
        ):
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
