"""Keras's functional API, for models that are one line of layers."""

from __future__ import annotations

import functools
import inspect
from abc import ABCMeta
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from lamina import Sequential
from lamina._arrays.nested import leaves
from lamina._arrays.shapes import Shape
from lamina._layer.inputs import who
from lamina._layer.layer import Layer
from lamina._messages.tracebacks import user_facing
from lamina._training.own_steps import STEPS
from lamina.errors import StackError
from lamina.layers.core import InputLayer
from lamina.models.features import Features, line_of

BRANCH = (
    "A stack is one line, in which each layer takes the output of the one before; write the part with branches as a "
    "Layer of your own."
)


class Tensor:
    """A symbolic tensor, which a layer returns for an `Input`: the layers that made it, and the shape.

    Each call of a layer adds it to a stack. So the call of a layer that does not fit raises the error.
    """

    def __init__(self, stack: Sequential, line: tuple[Layer, ...]) -> None:
        self.stack, self.line = stack, line
        self.shape: Shape = stack.output_shape if len(line) > 1 else stack._lamina.entry.batch_shape
        self.name = line[-1].name
        self.dtype = line[0].dtype if len(line) == 1 else line[-1].compute_dtype

    def get_shape(self) -> Shape:
        return self.shape

    def __repr__(self) -> str:
        return f"<Tensor of {' -> '.join(layer.name for layer in self.line)}, shape={self.shape}>"

    def _lamina_refuse(self, *others: object, **named: object) -> NoReturn:
        also = "".join(f" and {other.name!r}" for other in others if isinstance(other, Tensor))
        raise StackError(
            f"the output of {self.name!r}{also} goes into an operation outside of a layer. {BRANCH} For one tensor, "
            "put it into a Lambda."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _lamina_refuse
    __neg__ = __matmul__ = __pow__ = __getitem__ = __array__ = __jax_array__ = _lamina_refuse


def tensor_of(x: object) -> Any:
    """Convert an `Input` to a symbolic tensor; any other value is returned unchanged."""
    return Tensor(Sequential([x]), (x,)) if isinstance(x, InputLayer) else x


def _names(tensors: Iterable[object]) -> str:
    return " and ".join(repr(each.name) for each in tensors if isinstance(each, (Tensor, InputLayer)))


def layer_called(call: Callable[..., Any]) -> Callable[..., Any]:
    """Make the `__call__` of layers accept an `Input` or a symbolic tensor."""

    @user_facing
    def __call__(self: Layer, *args: Any, **named: Any) -> Any:
        several = [leaf for _, leaf in leaves((args, named)) if isinstance(leaf, (Tensor, InputLayer))]
        return _added(self, several, args, named) if several else call(self, *args, **named)

    return __call__


@user_facing
def _added(layer: Layer, several: list[Any], args: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    if len(several) > 1 or layer._lamina_joins:
        raise StackError(f"{who(layer)} takes the outputs of {_names(several)}. {BRANCH}")
    before = tensor_of(several[0])
    more = {**dict(zip(layer._lamina_call_arguments, args[1:], strict=False)), **named}
    told = [name for name, value in more.items() if (name, value) not in (("training", False), (name, several[0]))]
    if told := [name for name in told if more[name] is not None]:
        raise StackError(
            f"{who(layer)} is called with {told[0]}={more[told[0]]!r}, and a stack calls each layer with one tensor "
            "only. Write a layer of your own that passes this argument."
        )
    stack = before.stack if len(before.stack.layers) == len(before.line) - 1 else line_of(before.line, Sequential)
    first = layer._lamina.siblings
    stack.add(layer)
    layer._lamina.siblings = first or layer._lamina.siblings
    return Tensor(stack, (*before.line, layer))


class Subclass(type):
    """The metaclass of subclasses of Model. A subclass is a layer; its call makes a model with this one layer."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__call__(*args, **kwargs)
        return OfSubclass(layers=[layer], trainable=True, name=layer.name)


class OfSubclass(Sequential):
    """A model of one layer. It has the attributes of the layer."""

    @user_facing
    def __getattr__(self, name: str) -> Any:
        layer = vars(self)["_lamina"].inner["stack"][0] if not name.startswith("_") and self.layers else None
        return getattr(layer, name) if hasattr(layer, name) else super().__getattr__(name)  # type: ignore[misc]


OfSubclass.__name__ = "Sequential"  # its name in files


class ModelType(ABCMeta):
    """Turns a subclass of Model into a Layer, unless it has custom steps."""

    def __new__(mcs, name: str, bases: tuple[type, ...], names: dict[str, Any], **kwargs: Any) -> Any:
        if not any(isinstance(base, ModelType) for base in bases):
            return super().__new__(mcs, name, bases, names, **kwargs)
        if steps := OWN_STEPS & names.keys():
            raise StackError(
                f"{name} is a subclass of Model with a {min(steps)} of its own: derive it from keras.Sequential, whose "
                "layers are one line, and keep the part with branches in a Layer."
            )
        names = {"from_config": classmethod(_layer_from_config), **names}
        return Subclass(name, tuple(Layer if isinstance(base, ModelType) else base for base in bases), names, **kwargs)

    def __setattr__(cls, name: str, value: object) -> None:
        """Replace a method of the models too, which are objects of Sequential: libraries wrap `keras.Model.fit`."""
        super().__setattr__(name, value)
        if not name.startswith("_") and hasattr(Sequential, name):
            setattr(Sequential, name, _around(value) if name in OUTSIDE and callable(value) else value)


OUTSIDE = {"compile", "evaluate", "fit", "load_weights", "predict", "save", "save_weights"}
"""Methods of models that no program and no file holds."""


def _around(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function of this package that calls a library's: a class with it still counts as Lamina's, in files too."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **kwargs)

    return call


def _layer_from_config(cls: Any, config: dict[str, Any]) -> Any:
    """Make the layer from a config. A file stores the layer inside its model."""
    return Layer.from_config.__func__(cls, config).layers[0]  # type: ignore[attr-defined]


OWN_STEPS = {name for names in STEPS.values() for name in names}


class Model(metaclass=ModelType):
    """`Model(inputs, outputs)`: makes a `Sequential` of a functional model that is one line of layers.

    A subclass with a `call` of one tensor becomes a layer, and an object of it is a model of this layer.
    """

    @user_facing
    def __new__(cls, inputs: object = None, outputs: object = None, name: str | None = None, **kwargs: Any) -> Any:
        inputs, outputs = kwargs.pop("input", inputs), kwargs.pop("output", outputs)
        ends = [tensor_of(leaf) for _, leaf in leaves(outputs)]
        several = len(ends) > 1 and _are_on_one_line(ends)
        end = max(ends, key=lambda each: len(each.line)) if several else tensor_of(_only(outputs, "output"))
        start = tensor_of(_only(inputs, "input"))
        if not isinstance(start, Tensor) or not isinstance(end, Tensor):
            raise StackError("Model takes the Input and the output of the last layer: Model(inputs=i, outputs=o).")
        first = len(start.line)
        if start.line != end.line[:first] or min(len(each.line) for each in (end, *ends * several)) == first:
            raise StackError(
                f"the model's output, of {end.name!r}, does not come from its input {start.name!r}: its line begins "
                f"with {end.line[0].name!r}."
            )
        entry = start.line[0] if first == 1 else InputLayer(batch_shape=start.shape)
        if several:
            return Features([entry, *end.line[first:]], [len(each.line) - first for each in ends], outputs)
        return line_of([entry, *end.line[first:]], Sequential, name=name, **kwargs)


Model.register(Sequential)
Model.register(Features)


def show_members() -> None:
    """Let Model have the members that its models have now."""
    for name in dir(Sequential):
        if not name.startswith("_"):
            type.__setattr__(Model, name, inspect.getattr_static(Sequential, name))


def _are_on_one_line(tensors: Sequence[object]) -> bool:
    """Whether the line of layers to the last output passes through all the other outputs."""
    lines = [each.line for each in tensors if isinstance(each, Tensor)]
    longest = max(lines, key=len, default=())
    return len(lines) == len(tensors) and all(line == longest[: len(line)] for line in lines)


def _only(given: object, what: str) -> Any:
    """The only input or output of a model; several are an error."""
    several = [leaf for _, leaf in leaves(given)]
    if len(several) != 1:
        raise StackError(f"the model has {len(several)} {what}s, {_names(several)}. {BRANCH}")
    return several[0]


class Merge:
    """Keras 1's layer that joins several models. It raises an error, because a stack is one line."""

    @user_facing
    def __init__(self, layers: Sequence[object] = (), mode: object = "sum", **kwargs: object) -> None:
        raise StackError(f"Merge takes the outputs of {_names(layers) or 'several layers'}. {BRANCH}")


_entries: WeakKeyDictionary[Layer, InputLayer] = WeakKeyDictionary()
"""For the first layer of each stack, the symbolic Input of the stack."""


def _line_to(layer: Layer) -> tuple[Layer, ...]:
    """The Input and the layers up to a layer, in the stack to which it belongs."""
    line = list(layer._lamina.siblings)
    if layer not in line:
        raise StackError(f"{who(layer)} is in no model yet, so it has no input and no output.")
    return (_entry(line[0]), *line[: line.index(layer) + 1])


def _entry(first: Layer) -> InputLayer:
    return _entries.setdefault(first, InputLayer(batch_shape=first.input_shape))


@user_facing
def symbolic_output(self: Layer) -> Tensor:
    """The symbolic output of a model, or of a layer in its model, for `Model(model.input, layer.output)`."""
    line = _line_to(self.layers[-1] if isinstance(self, Sequential) else self)
    return Tensor(line_of(line, Sequential), line)


@user_facing
def symbolic_input(self: Layer) -> Tensor:
    """The symbolic input of a model, or of a layer in its model."""
    line = (_entry(self.layers[0]),) if isinstance(self, Sequential) else _line_to(self)[:-1]
    return Tensor(line_of(line, Sequential), line)
