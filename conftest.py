"""Real Keras on JAX is the oracle of this suite."""

import contextlib
import gc
import importlib.metadata
import os
import zlib

os.environ.setdefault("KERAS_BACKEND", "jax")
# JAX's cache on disk has one lock for all processes, and Keras compiles every operation into it.
os.environ.setdefault("LAMINA_CACHE", "off")
# Nearly all the time of this suite is XLA's compiler's. Its older way to write a fusion takes two fifths less, and two
# fifths less again where it does not optimize: for Keras's operations and for single ones, since Lamina's own programs
# say which way they take. And a small program compiles about a tenth faster in one part than in many parts.
# From JAX 0.11 on there is no older way, and XLA ends the process at a flag that it does not know.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    # Devices beside the first one are used by those tests alone that name them.
    " --xla_force_host_platform_device_count=4"
    f"{' --xla_cpu_use_fusion_emitters=false' * (importlib.metadata.version('jaxlib') < '0.11')}"
).strip()

# Else each of the many processes that the tests start would compile all of Lamina's source anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import jax
import pytest
from cases import CASES
from quick import quick_compiler

from lamina import dtypes
from lamina._diagnosis import findings
from lamina._settings.strictness import strictness
from lamina.random import set_random_seed


@pytest.fixture(autouse=True)
def _defaults_come_back():
    """What a test sets for the whole process (64 bits, a default policy, what is refused) is gone for the next one."""
    before = dict(dtypes._default), dict(strictness)
    strictness["checks"] = "off"  # many a test draws data that a check would rightly warn of, and a warning is an error
    yield
    dtypes._default.update(before[0])
    strictness.update(before[1])
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def checks_are_on():
    """`fit` checks data and runs, and warns as in a new process."""
    findings.said.clear()
    strictness["checks"] = "on"
    yield
    findings.said.clear()


@pytest.fixture(autouse=True)
def _programs_compile_quickly(request):
    """A test that trains little trains a plain program, unless it is marked `usual_programs`."""
    with contextlib.nullcontext() if request.node.get_closest_marker("usual_programs") else quick_compiler():
        yield


@pytest.fixture(autouse=True)
def _chance_repeats(request):
    """Each test draws the same numbers in every run, Keras's too: its seeds come from Python's `random`."""
    set_random_seed(zlib.crc32(request.node.nodeid.encode()))


def pytest_collection_modifyitems(items):
    """In test_layers.py the tests of one case follow each other: they share what JAX has compiled for it."""
    places = [i for i, item in enumerate(items) if item.path.name == "test_layers.py" and "case" in _params(item)]
    by_case = sorted((items[i] for i in places), key=lambda item: CASES.index(_params(item)["case"]))
    for place, item in zip(places, by_case, strict=True):
        items[place] = item


def pytest_collection_finish():
    """What Keras, JAX and the test files hold stays for good: the garbage collector need not look at it each time."""
    gc.collect()
    gc.freeze()


def _params(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


# Old programs for Keras; programs for type checkers, half of them wrong; programs for environments of their own.
NO_TESTS = """job_program.py onnx_browser.py quick_child.py real_streams.py serving_clients.py site_pages.py spellings
    typed"""
collect_ignore = [f"tests/{name}" for name in NO_TESTS.split()]
