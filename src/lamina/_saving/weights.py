"""Stores the weights of a model under their names in Keras's files, and loads the arrays of a file into a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.nested import leaves
from lamina._layer.layer import Layer
from lamina._layer.structure import Module, is_layer, restored_on_error, weights_by_path
from lamina._layer.tracking import WithWeights, own_weights
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import warn
from lamina._saving.hdf5 import Stored
from lamina._settings.origin import of_library
from lamina._training.model import ModelState
from lamina._weights.turns import whole
from lamina._weights.weight import Weight, assign_all, fits, read
from lamina.errors import FileError, LaminaError, ShapeError
from lamina.layers.features.text import TextVectorization
from lamina.optimizers.state import Stateful
from lamina.optimizers.variables import renamed

SHOWN = 8
"""The most layers with wrong weights that a message lists."""
TWICE = (
    "was built twice: by load_model, and by the build of the layer that holds it.\n"
    "Write there, for each attribute that is given a layer: if not self.inner.built: self.inner.build(shape)"
)
OLD_LAYERS = "_layer_checkpoint_dependencies"
"""The name of the group `layers` in files of Keras 2.13."""


T = TypeVar("T")
Groups: TypeAlias = dict[str, dict[str, HostArray]]
"""Arrays by the path of their group, and by their name in the group."""


class Owner(Protocol):
    """An object with a group of its own in a file: the model, a layer or an optimizer."""

    @property
    def name(self) -> str | None: ...

    def save_own_variables(self, store: dict[str, Any]) -> None: ...

    def load_own_variables(self, store: dict[str, Any]) -> None: ...


def owners(model: object, without: Collection[object] = ()) -> dict[str, Owner]:
    """Return all objects of a model with a group in a file, by the path of the group; "" is the model itself.

    The path consists of the names of attributes, in alphabetical order; each object appears once. In a list or dict an
    object is named by its class.

    Args:
        without: objects to leave out, with all objects in them.
    """
    found: dict[str, Owner] = {}
    seen = {id(each) for each in without}

    def visit(thing: object, path: str) -> None:
        if isinstance(thing, (list, tuple, dict)):
            items = thing.values() if isinstance(thing, dict) else thing
            kinds = ((_kind(item), item) for item in items)
            for name, item in named_by_class((kind, item) for kind, item in kinds if kind):
                visit(item, f"{path}/{name}")
        elif isinstance(thing, (Module, Stateful)) and id(thing) not in seen:
            seen.add(id(thing))
            if hasattr(thing, "save_own_variables"):  # metrics have none
                found[path.lstrip("/")] = cast(Owner, thing)
            if isinstance(thing, TextVectorization):  # in Keras it holds a StringLookup
                found[f"{path}/_lookup_layer".lstrip("/")] = thing
            for name, value in _attributes(thing):
                visit(value, f"{path}/{name}")

    visit(model, "")
    return found


def named_weights(model: object) -> dict[str, list[Weight]]:
    """Return the weights by the path of their group, such as "layers/dense"; the optimizer's group is "optimizer".

    Each list has the order of Keras's files.
    """
    found = {path: variables(owner) for path, owner in owners(model).items()}
    return {path: weights for path, weights in found.items() if weights}


def at_one_moment(model: object) -> AbstractContextManager[None]:
    """Make a block in which all weights and optimizer variables are read as at its beginning, even if a `fit` runs."""
    return whole([weight for weights in named_weights(model).values() for weight in weights])


def variables(owner: Owner) -> list[Weight]:
    """Return the weights in the owner's group; None if its class overrides `save_own_variables`."""
    return owner.variables if isinstance(owner, Stateful) else own_weights(owner)  # type: ignore[arg-type]


def stored(model: object, without: Collection[object] = ()) -> Stored:
    """Return the content of a file with the model's weights."""
    arrays: dict[str, HostArray] = {}
    attributes: dict[str, dict[str, Any]] = {}
    with at_one_moment(model):
        for path, owner in owners(model, without).items():
            group, store = f"{path}/vars".lstrip("/"), dict[str, Any]()
            owner.save_own_variables(store)
            attributes[group] = {"name": owner.name}
            for name, value in store.items():
                arrays[f"{group}/{name}"] = np.asarray(read(value) if isinstance(value, Weight) else value)
    return Stored(arrays, attributes)


class Pair(NamedTuple):
    """An owner of weights, and the arrays that a file holds for it."""

    owner: Owner
    weights: Sequence[Weight] | None
    """The weights in the order of the file; None if the owner's class overrides `load_own_variables`."""
    given: Mapping[str, HostArray]
    """The arrays, named "0", "1", ... if there are `weights`."""

    @property
    def fits(self) -> bool:
        return self.weights is None or fits(self.weights, self.given)

    @property
    def is_twice(self) -> bool:
        """Whether the file has each array twice, as after a second `build`."""
        shapes = [np.shape(array) for array in self.given.values()]
        return bool(shapes) and sorted(shapes * 2) == sorted(weight.shape for weight in self.weights or ())

    @property
    def wanted(self) -> str:
        return ", ".join(f"{weight.name} {weight.shape}" for weight in self.weights or ()) or "no weights"

    @property
    def held(self) -> str:
        return ", ".join(str(array.shape) for array in self.given.values()) or "nothing"


def numbered(arrays: Sequence[HostArray]) -> dict[str, HostArray]:
    """Name arrays "0", "1", ... as in a group of a file."""
    return {str(number): array for number, array in enumerate(arrays)}


def load(
    model: Owner, held: Stored, where: str, *,
    skip_mismatch: bool = False, without: Collection[object] = (), whole: bool = False, spare: bool = False,
) -> None:  # fmt: skip
    """Assign the arrays of a file to the model's weights: either all of them or none.

    Args:
        where: the name of the file in messages.
        skip_mismatch: whether to skip layers whose arrays do not fit; a warning names them.
        without: objects that keep their weights.
        whole: whether the model is made from the same file.
        spare: whether the file may hold weights of more layers.

    Raises:
        ShapeError: arrays do not fit or are missing. It is a FileError if the model is from the same file.
    """
    given, found = groups(held), owners(model, without)
    layers = [_pair(owner, given.get(path, {})) for path, owner in found.items() if not isinstance(owner, Stateful)]
    assign(model, layers, where, skip_mismatch, whole)
    load_optimizers(model, given, where, without)
    known = owners(model) if without else found
    unused = [path for path in given if path not in known and not {"optimizer", "metrics"} & {*path.split("/")}]
    if unused and not spare:
        warn(f"{model.name!r} has no layers for {', '.join(unused)} of {where}: these weights are not used.")


def load_optimizers(model: object, given: Groups, where: str, without: Collection[object] = ()) -> None:
    """Assign the state of a model's optimizer, if the file holds one of the same size."""
    for path, owner in owners(model, without).items():
        if isinstance(owner, Stateful):
            load_optimizer(owner, given.get(path, {}), where)


def load_optimizer(optimizer: Stateful, given: Mapping[str, HostArray], where: str) -> None:
    """Assign an optimizer's variables, or warn that they do not fit."""
    pair = _pair(optimizer, given)
    start = [variable for variable in optimizer.variables if variable.name in ("iteration", "learning_rate")]
    if not pair.fits and fits(start, given):  # the optimizer was saved before its first step
        pair = pair._replace(weights=start)
    if pair.fits:
        assign(optimizer, [pair], where)
    elif given or optimizer.built:
        build = " It has made no step yet; to load its state, call model.optimizer.build(model.trainable_variables)."
        warn(
            f"{where}: the state of the optimizer {optimizer.name!r} is not loaded: the file has {len(given)} "
            f"variables for it, and it has {len(pair.weights or ())}.{build * (not optimizer.built)}"
        )


def _pair(owner: Owner, given: Mapping[str, HostArray]) -> Pair:
    plain = type(owner).load_own_variables in (WithWeights.load_own_variables, Stateful.load_own_variables)
    return Pair(owner, variables(owner) if plain else None, given)


def assign(model: Owner, pairs: Collection[Pair], where: str, skip_mismatch: bool = False, whole: bool = False) -> None:
    """Assign the arrays of a file to the weights of each owner: either all of them or none.

    Custom `load_own_variables` methods run first, because they may fail.
    """
    misfits = [pair for pair in pairs if not pair.fits]
    if misfits and not skip_mismatch:
        raise (FileError if whole else ShapeError)(_told(model, misfits, where, whole))
    if misfits:
        left = ", ".join(f"{pair.owner.name} (has {pair.wanted}; the file {pair.held})" for pair in misfits)
        warn(f"{where} does not fit all of {model.name!r}. Left as they were: {left}.")
    own = [pair for pair in pairs if pair.weights is None]
    with ExitStack() as kept:
        for pair in own:
            kept.enter_context(_restored_on_error(model, pair.owner))
        for pair in own:
            _load_by_itself(pair, where)
    for pair in pairs:
        if pair.weights is not None and pair.fits:
            assign_all(pair.weights, pair.given, str(pair.owner.name))


@contextmanager
def _restored_on_error(model: Owner, owner: Owner) -> Iterator[None]:
    """Restore an owner and all weights of the model if the block fails."""
    before = [(w, w.array) for w, _ in weights_by_path(model).values()] if isinstance(model, Module) else []
    before += [(variable, variable.array) for variable in owner.variables] if isinstance(owner, Stateful) else []
    state: Any = renamed(owner._lamina.variables, {}) if isinstance(owner, Stateful) else None
    try:
        with nullcontext() if isinstance(owner, Stateful) else restored_on_error(owner):
            yield
    except BaseException:
        for weight, array in before:
            weight.array = array
        if isinstance(owner, Stateful):
            owner._lamina.variables = state
        raise


def _load_by_itself(pair: Pair, where: str) -> None:
    try:
        pair.owner.load_own_variables(dict(pair.given))
    except LaminaError:
        raise
    except Exception as error:
        raise FileError(
            f"{where}: {type(pair.owner).__name__}.load_own_variables of {pair.owner.name!r} fails with "
            f"{type(error).__name__}: {error}. The file has {', '.join(pair.given) or 'nothing'} for it."
        ) from error


def _told(model: Owner, misfits: list[Pair], where: str, whole: bool) -> str:
    rows = [("layer", "has the weights", "the file has")]
    rows += [(f"{each.owner.name} ({type(each.owner).__name__})", each.wanted, each.held) for each in misfits[:SHOWN]]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    table = "\n".join(f"   {name:{widths[0]}}  {wanted:{widths[1]}}  {held}".rstrip() for name, wanted, held in rows)
    more = f"\n   and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
    if whole:
        twice = next((f"\n{pair.owner.name!r} {TWICE}" for pair in misfits if pair.is_twice), "")
        return f"{where}: its weights are not those of its layers.\n{table}{more}{twice}"
    return (
        f"{where} does not fit {model.name!r}; nothing was loaded.\n{table}{more}\n"
        "Make the stack that was saved, or load only what fits: load_weights(path, skip_mismatch=True)."
    )


def groups(held: Stored) -> Groups:
    """Group the arrays of a file by the path of their group, and by their name in the group."""
    found: Groups = {}
    for path, array in held.arrays.items():
        group, _, name = path.rpartition("/")
        group = group.removesuffix("vars").rstrip("/")
        if group.startswith(OLD_LAYERS):
            group = group.replace(OLD_LAYERS, "layers")
        found.setdefault(group, {})[name] = array
    return {group: dict(sorted(arrays.items(), key=lambda item: (len(item[0]), item[0])))
            for group, arrays in found.items()}  # fmt: skip


def named_by_class(items: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Name the objects of a list after their classes: `dense`, `dense_1`, ..."""
    taken: Counter[str] = Counter()
    for kind, item in items:
        name = to_snake_case(kind)
        yield f"{name}_{taken[name]}" if taken[name] else name, item
        taken[name] += 1


def _kind(item: object) -> str:
    """Return the class of an object in a list, if it has weights or may contain objects with weights."""
    if isinstance(item, (list, tuple, dict)):
        return "container"
    return type(item).__name__ if isinstance(item, (Module, Stateful)) else ""


def _attributes(thing: Module | Stateful) -> Iterator[tuple[str, Any]]:
    """Return the attributes in which Keras looks for layers: the stack's first, then by name, those with _ last.

    For a custom class they include properties and class attributes, but not layers in attributes of a stack.
    """
    state = thing._lamina
    own: set[str] = set().union(
        *(vars(kind) for kind in type(thing).__mro__ if not of_library(kind, "lamina", "builtins"))
    )
    names = {name for name in own | vars(thing).keys() if not name.startswith(("_lamina", "__"))} - set(dir(Layer))
    if isinstance(state, ModelState):
        yield "layers", state.inner["stack"]
        names |= {"optimizer"} if state.compiled else set()
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        value = None
        with suppress(Exception):  # a property that cannot be read now
            value = getattr(thing, name)
        if not (isinstance(state, ModelState) and any(is_layer(leaf) for _, leaf in leaves(value))):
            yield name, value
