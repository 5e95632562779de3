"""The order of arguments is one: what a type checker takes, what Python takes, and what Keras takes by position."""

import inspect
import re
import subprocess
import sys
from functools import cache

import keras
import pytest

import lamina

FAMILIES = (
    "layers losses metrics optimizers optimizers.schedules callbacks initializers regularizers constraints".split()
)
LEFT_OUT = {"lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size", "kwargs", "args"}
"""Arguments of Keras for low-rank adaptation and quantization, which stacks here do not have."""


def module_of(root, family):
    for part in family.split("."):
        root = getattr(root, part)
    return root


def classes():
    found = {}
    for family in FAMILIES:
        module = module_of(lamina, family)
        for name in module.__all__:
            kind = getattr(module, name)
            if isinstance(kind, type) and hasattr(module_of(keras, family), name):
                found[f"{family}.{name}"] = kind
    return found


CLASSES = classes()


@cache
def static_signatures():
    """What mypy reads off each class: its arguments by position, and all of them."""
    program = "import lamina\n" + "".join(f"reveal_type(lamina.{path})\n" for path in CLASSES)
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--no-error-summary", "-c", program],
        capture_output=True,
        text=True,
    )
    lines = re.findall(r'note: Revealed type is "(.*)"', told.stdout)
    assert len(lines) == len(CLASSES), told.stdout[-2000:] + told.stderr
    return dict(zip(CLASSES, map(arguments_in, lines), strict=True))


def arguments_in(revealed):
    """The names in `def (a: int, *, b: str =) -> X`, those by position and those by name alone."""
    inside, depth, start, parts = revealed[revealed.index("(") + 1 :], 0, 0, []
    for place, letter in enumerate(inside):
        depth += letter in "([{"
        if letter == ")" and depth == 0:
            parts.append(inside[start:place])
            break
        depth -= letter in ")]}"
        if letter == "," and depth == 0:
            parts.append(inside[start:place])
            start = place + 1
    names = [re.match(r"\s*(\*{0,2}\w*)", part).group(1) for part in parts]
    names = [name for name in names if name and not name.startswith("**")]
    by_name = names.index("*") if "*" in names else len(names)
    return names[:by_name], [name for name in names if not name.startswith("*")]


FUNCTIONS = "ops ops.image ops.linalg ops.nn ops.numpy backend tree random dtype_policies".split()
REFUSED = {"DTypePolicyMap", "FloatDTypePolicy"} | {
    f"{name}DTypePolicy" for name in ("AWQ", "GPTQ", "Int4", "Quantized", "QuantizedFloat8")
}
"""Classes of policies for quantized weights, and the older name of one that there is."""


def arguments(function):
    """The name of each parameter, its kind and its default."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters if p.kind is not p.VAR_KEYWORD]


@pytest.mark.parametrize("module", FUNCTIONS)
def test_functions_take_what_keras_takes(module):
    theirs, ours = module_of(keras, module), module_of(lamina, module)
    names = {name for name in dir(theirs) if name[0] != "_" and not inspect.ismodule(getattr(theirs, name))} - REFUSED
    assert len(names) > 3 and names <= set(dir(ours))
    pairs = {name: (arguments(getattr(ours, name)), arguments(getattr(theirs, name))) for name in names}
    assert {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} == {}


def by_position(kind):
    parameters = list(inspect.signature(kind).parameters.values())
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in LEFT_OUT]


@pytest.mark.parametrize("path", CLASSES)
def test_the_order_of_arguments_is_keras_own(path):
    family, name = path.rsplit(".", 1)
    theirs = by_position(getattr(module_of(keras, family), name))
    assert by_position(CLASSES[path])[: len(theirs)] == theirs


@pytest.mark.parametrize("path", CLASSES)
def test_a_type_checker_takes_what_python_takes(path):
    positional, names = static_signatures()[path]
    parameters = inspect.signature(CLASSES[path]).parameters.values()
    assert positional == [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert set(names) == {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}


@pytest.mark.parametrize("path", CLASSES)
def test_every_argument_has_its_type_and_its_line(path):
    kind = CLASSES[path]
    documented = "\n".join(inspect.getdoc(cls) or "" for cls in kind.__mro__ if cls.__module__.startswith("lamina."))
    shared = {"name", "dtype", "trainable", "autocast", "input_shape", "input_dim", "batch_input_shape", "input_length"}
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in shared:
            assert parameter.annotation is not parameter.empty, parameter.name
            assert re.search(rf"^\s+(?:\w+, )*{parameter.name}(?:, \w+)*: ", documented, re.MULTILINE), parameter.name
