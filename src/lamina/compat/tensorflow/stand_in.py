"""The metaclass of the stand-ins for TensorFlow's classes. The error for a missing member says what to use instead."""

from __future__ import annotations

from typing import Any

from lamina._messages.tracebacks import user_facing
from lamina.compat.instead import instead_of
from lamina.errors import UnknownAttributeError

INNER = ("arithmetic", "session", "stand_in", "tape", "texts", "variables")
"""Files here that are not modules of TensorFlow: their classes belong to `tensorflow` itself."""


class StandIn(type):
    """Makes a class and its objects raise an error with advice for each missing member."""

    def __new__(mcs, name: str, bases: tuple[type, ...], names: dict[str, Any], **kwargs: Any) -> Any:
        return super().__new__(mcs, name, bases, {"__getattr__": _of_object, **names}, **kwargs)

    @user_facing
    def __getattr__(cls, name: str) -> Any:
        raise _missing(cls, name)


@user_facing
def _of_object(self: object, name: str) -> Any:
    raise _missing(type(self), name)


def _missing(kind: type, name: str) -> AttributeError:
    said = f"{kind.__name__} has no attribute {name!r}."
    if name.startswith("_"):
        return AttributeError(said)
    parts = kind.__module__.removeprefix("lamina.compat.").split(".")
    path = ".".join([*(part for part in parts if part not in INNER), kind.__name__, name])
    return UnknownAttributeError(
        f"{said} {instead_of(path, [each for each in dir(kind) if each[0] != '_'])}", name=name
    )


def namespace(name: str, module: str, **members: Any) -> Any:
    """Make an object with these members that stands for a submodule of TensorFlow."""
    return StandIn(name, (), {"__module__": module, **{each: _plain(value) for each, value in members.items()}})


def _plain(value: Any) -> Any:
    return staticmethod(value) if callable(value) else value
