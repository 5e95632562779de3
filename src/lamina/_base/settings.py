"""Objects that hold settings: a class's annotated fields are its arguments, its config and its repr.

    class MaxNorm(Constraint):
        max_value: float = 2
        axis: int = setting(integer, default=0)

Layers, initializers, regularizers, constraints, optimizers, losses and metrics are all written so. A class
with an `__init__` of its own, as in Keras, works too: then its arguments are what it was called with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np

from lamina._base.converters import checked, short
from lamina._base.frames import user_facing
from lamina._base.spelling import nearest, unknown_argument
from lamina.errors import CallError

MISSING = inspect.Parameter.empty


class Setting:
    """One field: its default, the function that checks and converts it, and whether it is keyword-only."""

    def __init__(self, convert: Callable[[Any], Any] | None, default: Any, kw_only: bool) -> None:
        self.convert, self.default, self.kw_only = convert, default, kw_only


def setting(convert: Callable[[Any], Any] | None = None, *, default: Any = MISSING, kw_only: bool = False) -> Any:
    """A field whose value is passed through `convert`, which raises an `ArgumentError` for a bad one."""
    return Setting(convert, default, kw_only)


@dataclass_transform(eq_default=False, field_specifiers=(setting,))
class Configured:
    """Base of every object that holds settings."""

    settings: ClassVar[dict[str, Setting]] = {}
    keras_module: ClassVar[str | None] = None
    """The module under which Keras's files name the built-in classes; None for the user's own."""
    instead: ClassVar[dict[str, str]] = {}
    """Arguments of older Keras, and for each a sentence that says what to type now."""
    unshared: ClassVar[frozenset[str]] = frozenset({"_arguments"})
    """The attributes that do not matter to a compiled program."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]
            return
        own = {}
        for name, annotation in inspect.get_annotations(cls).items():
            if "ClassVar" in str(annotation) or name.startswith("_"):
                continue
            declared = vars(cls).get(name, MISSING)
            own[name] = declared if isinstance(declared, Setting) else Setting(None, declared, False)
            if isinstance(declared, Setting):
                delattr(cls, name)
        others = {name: field for name, field in cls.settings.items() if name not in own}
        anew = len(others) < len(cls.settings)  # then this class says the order: its own fields come first
        cls.settings = {**own, **others} if anew else {**others, **own}
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY if field.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=field.default,
            )
            for name, field in sorted(cls.settings.items(), key=lambda item: item[1].kw_only)
        ]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    @user_facing
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kind = type(self)
        signature = kind.__signature__ if kind.settings else inspect.Signature()  # type: ignore[attr-defined]
        unknown = [name for name in kwargs if name not in kind.settings]
        if unknown:
            names = [*getattr(kind.__init__, "takes", ()), *signature.parameters]
            raise unknown_argument(kind.__name__, unknown[0], names, kind.instead.get(unknown[0], ""))
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise CallError(
                f"{kind.__name__}: {error}. Its arguments are: {', '.join(signature.parameters)}."
            ) from None
        for name, field in kind.settings.items():
            value = given.get(name, field.default)
            setattr(self, name, value if field.convert is None else checked(kind.__name__, name, field.convert, value))
        self.validate()

    def validate(self) -> None:
        """Check what no single argument shows; called when all of them are set."""

    def given(self) -> dict[str, Any]:
        """The arguments that make an equal object."""
        own = vars(self).get("_arguments")
        return own if own is not None else {name: getattr(self, name) for name in self.settings}

    def get_config(self) -> dict[str, Any]:
        """`given` as plain data that JSON can hold."""
        return {name: serialize(value) for name, value in self.given().items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An object with the settings that `get_config` returned."""
        return cls(**config)

    def __repr__(self) -> str:
        shown = []
        for name, value in self.given().items():
            field, plain = self.settings.get(name), serialize(value)
            if field is not None and field.default is MISSING and not field.kw_only:
                shown.append(short(value if isinstance(value, tuple) else plain))
            elif field is None or plain != _default_config(field):
                shown.append(f"{name}={short(value if isinstance(value, tuple) else plain)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """A user's own `__init__` that notes its arguments, from which `get_config` answers."""
    signature = inspect.signature(init)
    takes = [p.name for p in list(signature.parameters.values())[1:] if p.kind is not p.VAR_KEYWORD]

    @user_facing
    def recorded(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_arguments" not in vars(self):
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError as error:
                unknown = [name for name in kwargs if name not in takes]
                if unknown and nearest(unknown[0], takes):
                    raise unknown_argument(type(self).__name__, unknown[0], takes) from None
                raise CallError(f"{type(self).__name__}: {error}. Its arguments are: {', '.join(takes)}.") from None
            arguments: dict[str, Any] = {}
            for name, value in list(bound.arguments.items())[1:]:
                variadic = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
                arguments.update(value if variadic else {name: value})
            self._arguments = arguments
        init(self, *args, **kwargs)

    recorded.takes = takes  # type: ignore[attr-defined]
    recorded.__signature__ = signature  # type: ignore[attr-defined]
    recorded.__doc__ = init.__doc__
    return recorded


def _default_config(field: Setting) -> Any:
    return serialize(field.convert(field.default) if field.convert else field.default)


def serialize(value: Any) -> Any:
    """A setting as plain data, in the form that Keras's configs have."""
    value = getattr(value, "__wrapped__", value)  # the user's own function, where it was adapted
    if isinstance(value, Configured):
        kind = type(value)
        return {
            "module": kind.keras_module if kind.__module__.startswith("lamina.") else kind.__module__,
            "class_name": kind.__name__,
            "config": value.get_config(),
            "registered_name": None if kind.__module__.startswith("lamina.") else kind.__name__,
        }
    if isinstance(value, dict):
        return {key: serialize(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [serialize(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) or hasattr(value, "__jax_array__"):
        array = np.asarray(value)
        return {"class_name": "__numpy__", "config": {"value": array.tolist(), "dtype": array.dtype.name}}
    if callable(value) and hasattr(value, "__name__"):
        if value.__module__.startswith("lamina."):
            return value.__name__
        return {
            "module": value.__module__,
            "class_name": "function",
            "config": value.__name__,
            "registered_name": value.__name__,
        }
    return value
