"""The order of the folders, which pyproject.toml declares: `make check` holds imports to it, and this file the names
of modules in strings, such as those that are loaded later."""

import ast
import re
import tomllib
from pathlib import Path

import lamina

SOURCE = Path(lamina.__file__).parent
PROJECT = SOURCE.parent.parent / "pyproject.toml"


def floors():
    """How low each folder stands; 0 is the top."""
    (contract,) = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    return {name: floor for floor, names in enumerate(contract["layers"]) for name in names.split(" | ")}


def modules_in_strings(path):
    """The modules of this package whose names are whole strings in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"lamina(\.\w+)+", text):
            yield text


def test_no_string_names_a_module_above():
    found, folders = 0, floors()
    for path in SOURCE.rglob("*.py"):
        here = path.relative_to(SOURCE).with_suffix("").parts[0]
        if here == "__init__":  # the root knows all
            continue
        for text in modules_in_strings(path):
            there = text.split(".")[1]
            if there in folders:  # and not "lamina.json", the name of a file
                assert there == here or folders[here] < folders[there], f"{path}: {text}"
                found += 1
    assert found > 3
