"""The outputs of several layers of one stack, in one pass: `Model(model.inputs, [layer.output for layer in ...])`."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import jax

from lamina._arrays.nested import tree_map
from lamina._layer.layer import Layer
from lamina._layer.specs import OfLayer
from lamina._messages.tracebacks import user_facing
from lamina.errors import StackError
from lamina.layers.core import InputLayer
from lamina.models.sequential import Sequential
from lamina.models.stack import Stack, through

TAKES = (
    "Model takes the inputs of a stack, and the outputs of its layers: Model(model.inputs, model.layers[0].output), or "
    "a list or dict of outputs. It only predicts: what is to be trained is a Sequential([...])."
)
S = TypeVar("S", bound=Sequential)


class Looking(Sequential):
    """A stack that returns the outputs of several of its layers."""

    _lamina_places: tuple[int, ...] = ()
    """For each output, the number of layers before it."""

    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        host = len(self._lamina_chain) - len(self._lamina_body)
        outputs = list(through(self, x, training, mask))
        return tuple(outputs[place - host] for place in self._lamina_places)


class Features:
    """Computes the outputs of several layers of a line in one pass. It can only predict."""

    def __init__(self, line: Sequence[Layer], places: Sequence[int], outputs: object) -> None:
        self._lamina_stack = line_of(line, Looking)
        chain = self._lamina_stack._lamina_chain
        if any(layer._lamina_on_host for place in places for layer in chain[place : place + 1]):
            raise StackError("a layer for raw data runs on the host: call the layer itself to get its output.")
        self._lamina_stack._lamina_places, self._lamina_outputs = tuple(places), outputs
        if isinstance(outputs, (list, tuple)) and len(outputs) == 1 and not is_tensor(outputs):
            self._lamina_outputs = outputs[0]  # as in Keras

    @property
    def layers(self) -> list[Layer]:
        """The layers, up to the last one whose output is returned."""
        return self._lamina_stack.layers

    @property
    def input_shape(self) -> Any:
        """The shape of the input, with None for the batch axis."""
        return self._lamina_stack.input_shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of the shapes; for a dict, in the order of its sorted keys."""
        places = jax.tree.leaves(self._lamina_formed(self._lamina_stack._lamina_places))
        shapes = [self._lamina_stack._lamina.shapes_between[place] for place in places]
        return shapes if len(shapes) > 1 else shapes[0]

    @user_facing
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """The outputs for every row, as NumPy arrays, in the structure that was asked for."""
        return self._lamina_formed(self._lamina_stack.predict(x, *args, **kwargs))

    @user_facing
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for all rows, computed at once, as NumPy arrays."""
        return self._lamina_formed(self._lamina_stack.predict_on_batch(x))

    @user_facing
    def __call__(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The outputs for all rows, as JAX arrays."""
        return self._lamina_formed(self._lamina_stack(x, training=training, mask=mask))

    def _lamina_formed(self, arrays: tuple[Any, ...]) -> Any:
        found = iter(arrays)
        return tree_map(lambda leaf, path: next(found), self._lamina_outputs, is_leaf=is_tensor)

    @user_facing
    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        count = len(self._lamina_stack._lamina_places)
        raise StackError(f"a model with {count} outputs only predicts here, and has no {name}. {TAKES}")


class Model(Features, metaclass=ABCMeta):
    """Returns outputs of layers of a stack, computed in one pass with the weights of the stack.

    It only predicts. To train, use a Sequential.

    >>> from lamina import layers
    >>> import numpy as np
    >>> stack = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(1)])
    >>> features = Model(stack.inputs, [layer.output for layer in stack.layers])
    >>> [y.shape for y in features.predict(np.ones((2, 4)), verbose=0)]
    [(2, 3), (2, 1)]

    Args:
        inputs: `model.inputs` of a stack, or `layer.input` or `layer.output` of a layer to start from.
        outputs: the `output` of a layer behind that, or a list, tuple or dict of outputs.
        name: has no effect.

    Raises:
        StackError: for anything but the inputs and outputs of the layers of one stack.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise StackError(
            f"{cls.__name__} is a subclass of Model, which only looks at the outputs of layers: derive it from "
            "keras.Sequential, whose layers are one line, and keep the part with branches in a Layer."
        )

    @user_facing
    def __init__(self, inputs: object, outputs: object, name: str | None = None) -> None:
        starts, ends = tensors_in(inputs), tensors_in(outputs)
        if len(starts) != 1 or not ends or not all(isinstance(each, OfLayer) for each in (*starts, *ends)):
            raise StackError(TAKES)
        owner = starts[0].layer
        line = list(owner._lamina_chain if isinstance(owner, Stack) else owner._lamina.siblings)
        first, *places = (_place(each, line) for each in (*starts, *ends))
        if min(places) <= first:
            raise StackError(f"the output of {ends[places.index(min(places))].name!r} lies before the input. {TAKES}")
        entry = owner._lamina.entry if isinstance(owner, Stack) and first == 0 else None
        begin = entry or InputLayer(batch_shape=starts[0].shape)
        super().__init__([begin, *line[first : max(places)]], [place - first for place in places], outputs)


Model.register(Sequential)


def is_tensor(value: object) -> bool:
    """Whether a value is one input or output, and not a structure of them."""
    return isinstance(value, OfLayer)


def tensors_in(structure: object) -> list[Any]:
    """The inputs or outputs in a list, tuple or dict, to any depth."""
    found: list[Any] = []
    tree_map(lambda leaf, path: found.append(leaf), structure, is_leaf=is_tensor)
    return found


def _place(tensor: OfLayer, line: list[Layer]) -> int:
    """The number of layers in a line before an input or output."""
    if tensor.layer in line:
        return line.index(tensor.layer) + tensor.after
    if isinstance(tensor.layer, Stack) and tensor.layer._lamina_chain == line:
        return len(line) * tensor.after
    raise StackError(f"{tensor.name!r} is not a layer of the stack that the input belongs to. {TAKES}")


def line_of(layers: Sequence[Layer], kind: type[S], **told: Any) -> S:
    """Make a stack of layers of another stack. `layer.output` still refers to the first stack of each layer."""
    first = [layer._lamina.siblings for layer in layers]
    stack = kind([*layers], **told)
    for layer, siblings in zip(layers, first, strict=True):
        layer._lamina.siblings = siblings or layer._lamina.siblings
    return stack
