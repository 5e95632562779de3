"""Objects that hold settings: a class's annotated fields are its arguments, its config and its repr.

    class MaxNorm(Constraint):
        max_value: float = 2
        axis: int = setting(integer, default=0)

Layers, initializers, regularizers, constraints, optimizers, losses and metrics are all written in this way. A class
with an `__init__` of its own, as in Keras, works too: its config holds the arguments of that `__init__`.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Self, TypeVar, dataclass_transform

import numpy as np

from lamina._messages.missing_names import missing_member
from lamina._messages.spelling import nearest, unknown_argument
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import T, checked, short
from lamina._settings.custom_objects import get_registered_name
from lamina._settings.older import arguments_of_today, instead_of, of_today
from lamina._settings.origin import of_library
from lamina._settings.pickling import ByName
from lamina.errors import ArgumentError, CallError

MISSING = inspect.Parameter.empty


class Setting(NamedTuple):
    """One field of a class."""

    convert: Callable[[Any], Any] | None = None
    """A function that checks a value and converts it."""
    default: Any = MISSING
    kw_only: bool = False
    alias: str | None = None
    """The argument's name if it differs from the field's name."""
    state: str | None = None
    """The name of the value in the object's state; "" if the value is stored in an attribute of the object."""
    init: bool = True
    """Whether it is an argument. If not, it is an attribute with the default as initial value."""
    in_config: bool = True
    """Whether `get_config` returns it."""
    annotation: Any = MISSING
    module: str = ""
    """The module whose names the annotation uses."""


def setting(
    convert: Callable[[Any], Any] | None = None, *, default: Any = MISSING, kw_only: bool = False,
    alias: str | None = None, state: str | None = None, in_config: bool = True, init: bool = True,
) -> Any:  # fmt: skip
    """Declare a field whose values are converted by `convert`, which raises an `ArgumentError` for a bad value.

    A field keeps its place among the arguments if a subclass declares it again, as for type checkers. A class that has
    the argument at another place sets the inherited field to `init=False`, and declares a new one with an `alias`.

    Args:
        alias: the name of the argument if the field is called `_lamina_...`.
        state: the name of the value of such a field in the object's state. By default the value is stored in the place
            of the inherited argument with this alias; if there is none, under the name `...`.
        in_config: whether `get_config` returns it.
        init: False for an attribute that is not an argument, with `default` as initial value.
    """
    return Setting(convert, default, kw_only, alias, state, init, in_config)


Given = TypeVar("Given")
Kept = TypeVar("Kept")


class Converted(Generic[Given, Kept]):
    """The annotation of a setting that is given as one type and kept as another, as `"relu"` is kept as a function."""

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: object) -> Kept: ...

        def __set__(self, instance: object, value: Given) -> None: ...


@dataclass(eq=False, repr=False)
class State(ByName):
    """The run-time state of an object. It is in the one attribute `_lamina`, so that users may use all other names."""

    arguments: dict[str, Any] | None = None
    """The arguments of a user's own `__init__`."""

    def compiled_in(self) -> list[tuple[str, object]]:
        """The values on which a compiled program depends, besides the attributes."""
        return []


class _FieldSignature:
    """The `__signature__` of a class for `inspect.signature` and `help`: that of its `__init__`, else its fields.

    Objects have no such attribute, so their signature is that of `__call__`.
    """

    def __get__(self, instance: object, owner: type[Configured]) -> inspect.Signature:
        if instance is not None:
            raise AttributeError
        if owner.__init__ is Configured.__init__:
            return signature_of(owner)
        signature = inspect.signature(owner.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


@dataclass_transform(eq_default=False, field_specifiers=(setting,))
class _Fields(ByName):
    """The base that makes type checkers read the fields of `Configured` and its subclasses as arguments."""


class Configured(_Fields):
    """The base class of objects with settings."""

    _lamina: State = setting(init=False)
    _lamina_state: ClassVar[type[State]] = State
    """The class of `_lamina`."""
    _lamina_fields: ClassVar[dict[str, Setting]] = {}
    """The settings, by the names of the arguments, in their order."""
    _lamina_declared: ClassVar[dict[str, Setting]] = {}
    """The fields that the class itself declares, by their own names."""
    _lamina_module: ClassVar[str | None] = None
    """The module under which Keras's files name the built-in classes; None for the user's own."""
    _lamina_implicit: ClassVar[frozenset[str]] = frozenset()
    """Settings that Keras's configs do not have. Our configs have them only if they differ from the default."""
    _lamina_constants: ClassVar[dict[str, Any]] = {}
    """Keys of Keras's configs without an argument here, each with the only value that is accepted."""

    if not TYPE_CHECKING:
        __signature__ = _FieldSignature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]
            return
        states = {field.alias or name: field.state for name, field in _declared(cls)}
        cls._lamina_declared = {}
        for name, annotation in inspect.get_annotations(cls).items():
            declared = vars(cls).get(name, MISSING)
            field = declared if isinstance(declared, Setting) else Setting(default=declared)
            if "ClassVar" in str(annotation) or (name.startswith("_") and field.alias is None):
                continue
            if field is declared:
                delattr(cls, name)
            if not field.init and field.default is not MISSING:
                setattr(cls, name, field.default)
            own = states.get(field.alias, name.removeprefix("_lamina_")) if field.alias else ""
            state = own if field.state is None else field.state
            cls._lamina_declared[name] = field._replace(annotation=annotation, module=cls.__module__, state=state)
        last, declared = {name: argument for argument, name in names_of(cls).items()}, dict(_declared(cls))
        fields = {last[name]: field for name, field in declared.items() if name in last and field.init}
        if not cls.__module__.startswith("lamina.") and cls._lamina_fields.keys() & cls._lamina_declared:
            # A user's class that declares one of them again says the order.
            fields = {name: fields[name] for name in cls._lamina_declared if name in fields} | fields
        cls._lamina_fields = fields

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        vars(made)["_lamina"] = cls._lamina_state()
        return made

    @user_facing
    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        kind = type(self)
        fields, signature = kind._lamina_fields, signature_of(kind)
        constants, kwargs = kind._lamina_constants, arguments_of_today(kind, kwargs)
        kwargs = {name: v for name, v in kwargs.items() if name not in constants or v is not constants[name]}
        if unknown := [name for name in kwargs if name not in fields]:
            names = [*getattr(kind.__init__, "takes", ()), *signature.parameters]
            raise unknown_argument(kind.__name__, unknown[0], names, instead_of(kind, unknown[0]))
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise CallError(
                f"{kind.__name__}: {error}. Its arguments are: {', '.join(signature.parameters)}."
            ) from None
        for name, field in fields.items():
            value = given.get(name, field.default)
            if field.convert is not None:
                value = _converted(kind, name, field.convert, value)
            setattr(self._lamina if field.state else self, field.state or name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the arguments together. Called after all of them are set."""

    if not TYPE_CHECKING:  # else every attribute would be known to a type checker

        @user_facing
        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):  # a property that raised says itself why
                return object.__getattribute__(self, name)
            raise missing_member(self, name)

    def _lamina_twin(self) -> Self:
        """A shallow copy with its own state."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), _lamina=copy.copy(self._lamina))
        return twin

    def __copy__(self) -> Self:
        """A copy, as in Keras: assignments to the copy do not change this object."""
        return copy.deepcopy(self)

    def _lamina_arguments(self) -> dict[str, Any]:
        """The arguments that make an equal object."""
        if self._lamina.arguments is not None:
            return self._lamina.arguments
        return {name: value_of(self, name) for name, field in self._lamina_fields.items() if field.in_config}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal object, as plain data that JSON can hold."""
        config = {name: serialize(value) for name, value in self._lamina_arguments().items()} | self._lamina_constants
        implicit = self._lamina_implicit & config.keys() & self._lamina_fields.keys()
        usual = {name for name in implicit if config[name] == self._lamina_fields[name].default}
        return {name: value for name, value in config.items() if name not in usual}

    @classmethod
    @user_facing
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object with the settings that `get_config` returned, here or in any version of Keras."""
        return cls(**of_today(cls, config, arguments_of(cls)))

    def __repr__(self) -> str:
        shown = []
        for name, value in self._lamina_arguments().items():
            field, plain = self._lamina_fields.get(name), serialize(value)
            if field is not None and field.default is MISSING and not field.kw_only:
                shown.append(short(value if isinstance(value, tuple) else plain))
            elif field is None or not _is_default(field, plain):
                shown.append(f"{name}={short(value if isinstance(value, tuple) else plain)}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _converted(kind: type, name: str, convert: Callable[[object], T], value: object) -> T:
    try:
        return checked(kind.__name__, name, convert, value)
    except ArgumentError as error:
        if len(getattr(value, "shape", ())) < 2:
            raise
        raise ArgumentError(f"{error}\nData are given to the object: {kind.__name__}(...)(data).") from None


def value_of(thing: Configured, name: str) -> Any:
    """The value of a setting, by the argument's name."""
    state = thing._lamina_fields[name].state
    return getattr(thing._lamina, state) if state else getattr(thing, name)


def _declared(kind: type[Configured]) -> Iterator[tuple[str, Setting]]:
    """The fields that a class and its bases declare, by their own names, from the last base to the class itself.

    In a dict of these, a field that is declared again keeps its place, as for type checkers.
    """
    return (item for each in reversed(kind.__mro__) for item in vars(each).get("_lamina_declared", {}).items())


def names_of(kind: type[Configured]) -> dict[str, str]:
    """For each argument, the field that was declared last."""
    return {field.alias or name: name for name, field in _declared(kind)}


def arguments_of(kind: type[Configured]) -> Collection[str]:
    """The names of the arguments that a class takes."""
    return inspect.signature(kind.__init__).parameters.keys() | kind._lamina_fields.keys()


def signature_of(kind: type[Configured]) -> inspect.Signature:
    """The signature of a class from its fields, with their types. It is made at the first use."""
    known = vars(kind).get("_lamina_signature")
    if known is None:
        by_position, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, by_name if f.kw_only else by_position, default=f.default, annotation=_type_of(f))
            for name, f in sorted(kind._lamina_fields.items(), key=lambda item: item[1].kw_only)
        ]
        known = inspect.Signature(parameters)
        type.__setattr__(kind, "_lamina_signature", known)
    return known


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Make a user's own `__init__` store its arguments for `get_config`."""
    signature = inspect.signature(init)
    takes = [p.name for p in list(signature.parameters.values())[1:] if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL), "")

    @user_facing
    def recorded(self: Configured, /, *args: Any, **kwargs: Any) -> None:
        if self._lamina.arguments is None and (takes or not rest):
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
            if rest not in arguments:  # of *args the class that they go to has the names
                self._lamina.arguments = arguments
        init(self, *args, **kwargs)

    recorded.takes = takes  # type: ignore[attr-defined]
    recorded.__signature__ = signature  # type: ignore[attr-defined]
    recorded.__doc__ = init.__doc__
    return recorded


def _type_of(field: Setting) -> Any:
    """The type of a field's values, if its annotation can be evaluated."""
    kind = field.annotation
    if isinstance(kind, str):
        try:
            kind = eval(kind, dict(vars(sys.modules[field.module])))
        except Exception:  # a name that only the type checker imports
            return kind
    return kind.__args__[0] if getattr(kind, "__origin__", None) is Converted else kind


def _is_default(field: Setting, plain: object) -> bool:
    """Whether a value, as plain data, is the field's default, or the default for each of several axes."""
    default = serialize(field.convert(field.default) if field.convert else field.default)
    if not isinstance(plain, (list, tuple)):
        return bool(plain == default)
    return list(plain) in (list(default) if isinstance(default, (list, tuple)) else [default] * len(plain), default)


def serialize(value: Any) -> Any:
    """Convert a setting to plain data, in the form of Keras's configs."""
    if hasattr(value, "__wrapped__") and (built_in(value) or of_library(value, "lamina")):
        value = value.__wrapped__  # the user's own function, where it was adapted
    if hasattr(value, "get_config") and not isinstance(value, type):
        return _described(value)
    if isinstance(value, dict):
        return {key: serialize(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [serialize(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, bytes):
        return {"class_name": "__bytes__", "config": {"value": value.decode("utf-8", "replace")}}
    if isinstance(value, slice):
        parts = {part: serialize(getattr(value, part)) for part in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": parts}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        kind, array = "__numpy__" if isinstance(value, np.ndarray) else "__tensor__", np.asarray(value)
        return {"class_name": kind, "config": {"value": array.tolist(), "dtype": array.dtype.name}}
    if callable(value) and hasattr(value, "__name__"):
        if of_library(value, "lamina"):
            return value.__name__
        name = get_registered_name(value)
        return {"module": _module_in_files(value), "class_name": "function", "config": name, "registered_name": name}
    return value


def built_in(thing: object) -> bool:
    """Whether the class of an object belongs to this package, and not to the user."""
    return of_library(type(thing), "lamina")


def _module_in_files(users: Any) -> str:
    """The module of the user's own function or class in files. Its `__module__` may claim to be ours."""
    name = str(users.__module__)
    return "__main__" if name.partition(".")[0] in ("builtins", "keras", "lamina") else name


def _described(thing: Any) -> dict[str, Any]:
    """The config of an object: its class and settings, the shapes of a built layer, and how a model is compiled."""
    kind, ours = type(thing), built_in(thing)
    described = {
        "module": kind._lamina_module if ours else _module_in_files(kind),
        "class_name": kind.__name__,
        "config": thing.get_config(),
        "registered_name": None if ours else get_registered_name(kind),
    }
    for part in ("build_config", "compile_config"):
        read = getattr(kind, f"get_{part}", None)
        config = None if read is None else read(thing)
        if config is not None:
            described[part] = serialize(config)
    return described
