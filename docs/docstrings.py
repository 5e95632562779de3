"""What mkdocstrings reads from the source, completed by what only the imported package knows.

A class's annotated fields are its arguments (`lamina._settings.settings`), which the text of the source does not
show. So the arguments come from `inspect.signature` here, and a new class needs no entry anywhere.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import griffe
from public_names import entries, is_written, public_base, public_modules, public_names

from lamina._settings.settings import Configured

EXAMPLE = re.compile(r"^([ \t]*)>>> .*\n?(?:^[ \t]*\S.*\n?)*", re.MULTILINE)
SEVERAL = re.compile(r"^(\s+)(\w+(?:, \w+)+): (.*)$", re.MULTILINE)
MANY = 4
"""So many arguments that all classes of a family share are shown; more of them are `**kwargs`, as in Keras's docs."""


def as_markdown(text: str) -> str:
    """A docstring with its examples fenced (Markdown takes `>>>` for a quotation), and one line for each argument."""
    text = SEVERAL.sub(lambda m: "\n".join(f"{m[1].lstrip(chr(10))}{name}: {m[3]}" for name in m[2].split(", ")), text)
    return EXAMPLE.sub(lambda m: f"{m[1]}```pycon\n{m[0].rstrip()}\n{m[1]}```\n", text)


class Runtime(griffe.Extension):
    """Adds the arguments of classes made of fields, the other names of a class, and functions made at run time."""

    def on_module_members(self, *, mod: griffe.Module, **kwargs: Any) -> None:
        """Called when a module is read: of its `__all__`, keep what is written out, so that the rest is no warning."""
        if mod.exports is not None:
            mod.exports = [name for name in mod.exports if isinstance(name, str)]

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called when the package is read, before its imports are resolved."""
        if pkg.name != "lamina":
            return
        self.package = pkg
        for module in public_modules():
            self._add_functions(module)
        seen = []
        for found in walk(pkg):
            seen.append(found)
            if isinstance(found, griffe.Class):
                self._add_arguments(found)
        for found in seen:
            if isinstance(found, griffe.Class):
                _drop_fields(found)
            if isinstance(found, griffe.Function):
                for parameter in found.parameters:
                    parameter.annotation = _telling(parameter.annotation)
                    parameter.default = _double_quoted(parameter.default)
            if found.docstring is not None:
                found.docstring.value = as_markdown(found.docstring.value)
        for module in public_modules():
            for value, names in entries(module):
                if len(names) > 1 and value.__module__.startswith("lamina."):
                    self._add_other_names(value, names[1:])

    def _add_functions(self, module: ModuleType) -> None:
        """`get = registry.get` is an attribute in the source, and a function to its user."""
        for name in public_names(module):
            value, found = getattr(module, name), self._at(module.__name__).members.get(name)
            unread = found is None or isinstance(found, griffe.Attribute)
            if unread and inspect.isroutine(value) and is_written(value):
                parameters = [_parameter(each) for each in inspect.signature(value).parameters.values()]
                function = griffe.Function(name, parameters=griffe.Parameters(*parameters))
                function.docstring = griffe.Docstring(inspect.getdoc(value) or "", parent=function)
                self._at(module.__name__).set_member(name, function)

    def _add_arguments(self, found: griffe.Class) -> None:
        cls = _imported(found)
        if cls is None or cls.__init__ is not Configured.__init__:
            return
        base, signature = public_base(cls), inspect.signature(cls).parameters.values()
        text = found.docstring.value if found.docstring else ""
        explained = set(re.findall(r"^\s+(\w+):", text, re.MULTILINE))
        of_base = inspect.signature(base).parameters if base else {}
        shared = [p for p in signature if p.kind is p.KEYWORD_ONLY and p.name in of_base and p.name not in explained]
        hidden = shared if len(shared) > MANY else []
        parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
        parameters += [_parameter(p) for p in signature if p not in hidden]
        if hidden:
            parameters.append(griffe.Parameter("kwargs", kind=griffe.ParameterKind.var_keyword))
        init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters), lineno=found.lineno)
        found.set_member("__init__", init)

    def _add_other_names(self, value: Any, others: list[str]) -> None:
        docstring = self._at(f"{value.__module__}.{value.__qualname__}").docstring
        if docstring is not None:
            first, _, rest = docstring.value.partition("\n\n")
            also = " and ".join(f"`{name}`" for name in others)
            docstring.value = f"{first}\n\nAlso called {also}.\n\n{rest}"

    def _at(self, path: str) -> Any:
        found: Any = self.package
        for name in path.split(".")[1:]:
            found = found.members[name]
        return found


def _imported(found: griffe.Class) -> Any:
    """The class itself, if its fields are its arguments."""
    cls = getattr(importlib.import_module(found.module.path), found.name, None)
    return cls if inspect.isclass(cls) and issubclass(cls, Configured) else None


def _drop_fields(found: griffe.Class) -> None:
    """A field is no attribute of the class, and must not hide a property of its base."""
    cls = _imported(found)
    for name, member in list(found.members.items()):
        if cls is not None and member.is_attribute and name not in vars(cls):
            del found.members[name]


def walk(found: Any) -> Iterator[Any]:
    """All that a module or class defines itself."""
    yield found
    for member in list(found.members.values()):
        if not member.is_alias:
            yield from walk(member)


def _telling(annotation: Any) -> Any:
    """The annotation, unless it says nothing to a reader."""
    return None if str(annotation) == "Any" else annotation


def _double_quoted(default: Any) -> Any:
    """A default with the quotes that the source has; short signatures are not formatted."""
    text = str(default)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else default


def _parameter(given: inspect.Parameter) -> griffe.Parameter:
    kind = griffe.ParameterKind[given.kind.name.lower()]
    default = None if given.default is given.empty else getattr(given.default, "__name__", repr(given.default))
    return griffe.Parameter(given.name, annotation=_telling(_type(given)), kind=kind, default=default)


def _type(given: inspect.Parameter) -> str | None:
    """The types that an argument may have, in short."""
    if given.annotation is given.empty:
        return None
    text = inspect.formatannotation(given.annotation).strip("'")
    for long, short in (("collections.abc.", ""), ("typing.", ""), ("[..., Any]", ""), ("[str, Any]", "")):
        text = text.replace(long, short)
    return text
