"""The examples in the docstrings of functions that `user_facing` wraps.

`pytest --doctest-modules` passes them over, since a wrapper's globals are those of errors.py.
"""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import lamina
from lamina._messages.tracebacks import PACKAGE

MODULES = sorted(name for _, name, _ in pkgutil.walk_packages([PACKAGE], "lamina.") if not name.endswith("__main__"))


def wrapped(module):
    """The functions and methods of a module that have another one within, by name."""
    owners = [module, *(item for item in vars(module).values() if inspect.isclass(item))]
    for owner in owners:
        if inspect.isclass(owner) and owner.__module__ != module.__name__:
            continue
        for name, item in vars(owner).items():
            function = getattr(item, "fget", None) or getattr(item, "__func__", item)
            if getattr(function, "__module__", None) == module.__name__ and hasattr(function, "__wrapped__"):
                inside = f"{module.__name__}." if inspect.isclass(owner) else ""
                yield f"{inside}{owner.__name__}.{name}", inspect.unwrap(function)


def examples():
    find = doctest.DocTestFinder(recurse=False).find
    for name in ["lamina", *MODULES]:
        module = importlib.import_module(name)
        for place, function in wrapped(module):
            for test in find(function, place, module=module, globs=dict(vars(module))):
                if test.examples:
                    yield pytest.param(test, id=test.name)


EXAMPLES = list(examples())


@pytest.mark.parametrize("test", EXAMPLES)
def test_example(test):
    said = []
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)
    assert results.attempted and not results.failed, "".join(said)


def test_there_are_many():
    assert len(EXAMPLES) >= 45


def test_each_activation_and_each_small_tool_has_one():
    functions = {function.__name__ for function in lamina.activations._registry.named.values()}
    expected = {f"lamina.activations.{name}" for name in functions if hasattr(lamina.activations, name)}
    expected |= {f"lamina.utils.arrays.{name}" for name in ("normalize", "pad_sequences", "to_categorical")}
    assert len(expected) > 25
    assert expected <= {param.id for param in EXAMPLES}
