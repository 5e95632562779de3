"""The contents of a layer or metric, to any depth: its weights, sublayers and metrics."""

from __future__ import annotations

import functools
import operator
from collections import deque
from collections.abc import Callable, Collection, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast

from lamina._arrays import devices
from lamina._arrays.nested import leaves, tree_map
from lamina._messages.spelling import free_name
from lamina._settings.converters import checked, short
from lamina._settings.settings import Configured, State, setting
from lamina._weights.weight import Weight
from lamina.errors import FixedError, StackError


@dataclass(eq=False, repr=False)
class ModuleState(State):
    """The state of a module while it is used."""

    weights: tuple[Weight, ...] = ()
    """The weights that the module made, in the order in which they were made."""
    inner: dict[str, list[Any]] = field(default_factory=dict)
    """Parts of the module that are not in attributes: the layers of a stack."""

    def compiled_in(self) -> list[tuple[str, object]]:
        return list(self.inner.items())


class Module(Configured):
    """An object that holds weights and other modules: a layer or a metric."""

    if TYPE_CHECKING:  # not a field here: each layer or metric class declares it in Keras's order
        name = cast(Any, None)

    _lamina: ModuleState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = ModuleState


M = TypeVar("M", bound=Module)


def held(module: Module) -> Iterator[tuple[str, object]]:
    """Everything that a module holds in its attributes, lists, tuples and dicts, with the place of each.

    Of a stack, these are the layers added to it. A layer in an attribute of the stack is no part of it; see `beside`.
    """
    line = is_stack(module)
    for place, leaf in _in_attributes(module):
        if not (line and is_layer(leaf)):
            yield place, leaf
    for name, value in module._lamina.inner.items():
        yield from leaves(value, name)


def beside(stack: Module) -> Iterator[tuple[str, Any]]:
    """The layers and models in the attributes of a stack, such as a teacher, which need not be added to the stack."""
    return ((place, leaf) for place, leaf in _in_attributes(stack) if is_layer(leaf))


def _in_attributes(module: Module) -> Iterator[tuple[str, object]]:
    for attribute, value in vars(module).items():
        if isinstance(value, (dict, list, tuple)):
            yield from leaves(value, attribute)
        elif attribute != "_lamina":
            yield attribute, value


def is_layer(thing: object) -> bool:
    """Whether the object is a layer or a model; a metric is neither."""
    return isinstance(thing, Module) and hasattr(thing._lamina, "trainable")


def is_stack(module: Module) -> bool:
    """Whether the object is a Sequential."""
    return "stack" in module._lamina.inner


def refill(twin: Module, module: Module, change: Callable[..., Any]) -> None:
    """In `twin`, a copy of `module`, put `change(leaf, place)` wherever `module` holds a leaf.

    For a layer in an attribute of a stack, `known=True` changes it only if it has also been added to the stack.
    """
    line = is_stack(module)
    twin._lamina.inner = {name: tree_map(change, value, name) for name, value in module._lamina.inner.items()}
    for attribute, value in vars(module).items():
        if attribute != "_lamina":
            vars(twin)[attribute] = tree_map(functools.partial(change, known=line), value, attribute)
    twin._lamina.weights = tuple(change(weight, "") for weight in module._lamina.weights)


def inner_modules(module: Module, kind: type[M]) -> dict[str, M]:
    """The modules of one kind that this module holds directly, by place."""
    return {place: leaf for place, leaf in held(module) if isinstance(leaf, kind)}


def adopt(module: Module) -> None:
    """Add the variables that a module's author made directly, and keeps in its attributes, to its weights."""
    known = set(module._lamina.weights)
    found = {
        leaf: place for place, leaf in held(module) if isinstance(leaf, Weight) and leaf.alone and leaf not in known
    }
    if not found:
        return
    taken = {weight.name for weight in known}
    for weight, place in found.items():
        weight.name = free_name(weight.name if weight.named else place.replace(".", "_"), taken)
        weight.path = f"{module.name}/{weight.name}"
        taken.add(weight.name)
    module._lamina.weights = tuple(sorted((*module._lamina.weights, *found), key=lambda each: not each.trainable))


class Part(NamedTuple):
    """A layer inside a layer."""

    layer: Any
    path: str
    """The attributes that lead to the layer, such as `stack.0.inner`; it does not depend on the layers' names."""
    names: str
    """The names of the layers that lead to it, such as `sequential/dense`; numbers distinguish equal names."""
    trained: bool
    """Whether the layer and the outermost layer are trainable; setting `trainable` sets all sublayers too."""


def parts(layer: Any) -> Iterator[Part]:
    """This layer and all layers inside it, each once."""
    seen: set[int] = set()

    def visit(part: Part) -> Iterator[Part]:
        if id(part.layer) not in seen:
            seen.add(id(part.layer))
            yield part
            taken: set[str] = set()
            held_there: dict[str, Any] = inner_modules(part.layer, Module)
            for place, inner in held_there.items():
                if is_layer(inner):
                    path = f"{part.path}.{place}" if part.path else place
                    taken.add(name := free_name(inner.name, taken))
                    trained = layer._lamina.trainable and inner._lamina.trainable
                    yield from visit(Part(inner, path, f"{part.names}/{name}", trained))

    return visit(Part(layer, "", layer.name, layer._lamina.trainable))


def weights_by_path(layer: Any) -> dict[str, tuple[Weight, bool]]:
    """Every weight, and whether it is trained now, by a path that does not depend on the names of layers.

    The result also has the states of stateful recurrent layers, which `weights` omits. A weight that two layers share
    has the path in the first layer, and it is trained if both layers are.
    """
    found: dict[str, tuple[Weight, bool]] = {}
    places: dict[Weight, str] = {}
    for part in parts(layer):
        adopt(part.layer)
        for number, weight in enumerate(part.layer._lamina.weights):
            place = f"{part.path}.{weight.name}".lstrip(".")
            place = places.setdefault(weight, f"{place}.{number}" if place in found else place)
            found[place] = weight, weight.trainable and part.trained and found.get(place, (weight, True))[1]
    return found


def weights_beside(stack: Any) -> dict[str, Weight]:
    """The weights of the layers in attributes of a stack, by such paths; a custom training step may train them."""
    taken, found = {weight for weight, _ in weights_by_path(stack).values()}, {}
    for place, layer in beside(stack):
        for path, (weight, _) in weights_by_path(layer).items():
            if weight not in taken:
                taken.add(weight)
                found[f"beside.{place}.{path}"] = weight
    return found


def require_adapted(layer: Any) -> None:
    """Raise an error if the layer or a sublayer learns from data and has not seen any."""
    require_settings(layer)
    for part in parts(layer):
        part.layer._lamina_require_adapted()


def require_settings(layer: Any) -> None:
    """Refuse values assigned to attributes of the layer or of a sublayer that are not allowed there.

    A layer's `__init__` turns a name such as "relu" into a function; an assignment does not.
    """
    for each in (part.layer for part in parts(layer)):
        kind, here = type(each).__name__, vars(each)
        for name, declared in each._lamina_fields.items():
            if declared.convert is None or name not in here or not declared.module.startswith("lamina."):
                continue
            made = checked(kind, name, declared.convert, here[name])
            if here[name] is None and callable(made):  # None means a function, as in the layer's __init__
                setattr(each, name, made)
            if isinstance(made, str) < isinstance(here[name], str):
                raise FixedError(
                    f"{each.name}.{name} was set to {here[name]!r}; only {kind}(...) knows what a name stands for.\n"
                    f"Make a new layer, {kind}(..., {name}={here[name]!r}), or assign the object itself."
                )
        for name, value in here.items():
            if isinstance(value, (Set, deque)) and any(isinstance(item, Module) for item in value):
                raise StackError(
                    f"{each.name}.{name} is a {type(value).__name__}, which is not searched for layers: their weights "
                    f"would not be trained.\nKeep them in a list: self.{name} = [...]."
                )
        attributes = {id(value) for _, value in held(each)}
        for weight in each._lamina.weights:
            if weight.name in here and not isinstance(here[weight.name], Weight) and id(weight) not in attributes:
                raise FixedError(
                    f"{each.name}.{weight.name} was set to {short(here[weight.name])}, but must be a weight of shape "
                    f"{weight.shape}.\nChange a weight's values: layer.{weight.name}.assign(values)."
                )


@contextmanager
def restored_on_error(layer: Any) -> Iterator[None]:
    """Restore the attributes of this layer and of all it holds if the code in the `with` block fails."""
    before = [(part.layer, dict(vars(part.layer)), dict(vars(part.layer._lamina))) for part in parts(layer)]
    try:
        yield
    except BaseException:
        for each, attributes, state in before:
            for now, then in ((vars(each), attributes), (vars(each._lamina), state)):
                now.clear()
                now.update(then)
        raise


class Snapshot:
    """The objects of a stack when something was made from it. If one was replaced, it must be made again."""

    def __init__(self, layer: Any) -> None:
        held = [part.layer for each in (layer, *(each for _, each in beside(layer))) for part in parts(each)]
        self.placement = devices.current()
        self.seen = [(vars(each), list(vars(each).values())) for each in held]
        self.states = [(each._lamina, each._lamina.dtype, each._lamina.weights) for each in held]
        self.lists = [(items, list(items)) for each in held for items in each._lamina.inner.values()]

    def is_current(self) -> bool:
        """Whether every layer still holds the same objects, and computes on the same devices.

        Assigning a weight's values replaces none.
        """
        if self.placement is not devices.current():
            return False
        for attributes, values in self.seen:
            if not _are(attributes.values(), values):
                return False
        for state, dtype, weights in self.states:
            if state.dtype is not dtype or state.weights is not weights:
                return False
        return all(_are(items, before) for items, before in self.lists)

    def trained(self) -> tuple[bool, ...]:
        """Which of the layers are trainable now."""
        return tuple([state.trainable for state, *_ in self.states])


def _are(now: Collection[object], before: Collection[object]) -> bool:
    return len(now) == len(before) and all(map(operator.is_, now, before))
