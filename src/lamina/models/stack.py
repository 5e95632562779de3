"""A straight stack of layers: how it is put together, built, looked at, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import jax.numpy as jnp

from lamina._base.frames import place_of, user_facing, warn
from lamina._base.registry import known
from lamina._base.settings import State, serialize, setting
from lamina._base.shapes import Shape
from lamina._base.spelling import did_you_mean, free_name, to_snake_case
from lamina._checks.stack import cannot_take
from lamina._layer.forward import seed_of
from lamina._layer.host import LayerChain, raw
from lamina._layer.layer import Layer, LayerState, uses_mask
from lamina._layer.structure import parts, restored_on_error
from lamina.errors import ArgumentError, FixedError, LaminaError, ShapeError, StackError
from lamina.layers import registry
from lamina.layers.core import InputLayer


@dataclass
class StackState(LayerState):
    """What a stack knows while it is used."""

    entry: InputLayer | None = None
    """The Input: what the first layer is given."""
    shapes_between: list[Any] = field(default_factory=list)
    """The shapes before the first layer, between the layers and after the last, as far as they are built."""
    mask: Any = None
    """In a pass: which steps of the output count."""
    compiled: Any = None
    """What `compile` was given; None before."""
    history: Any = None
    stop_training: bool = False
    steps_trained: int = 0
    """How many steps the model has been trained in its life."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What was made from the layers and holds as long as they stay as they are."""

    def without_arrays(self) -> Self:
        twin = super().without_arrays()
        twin.compiled, twin.history, twin.kept = None, None, {}
        return twin


class Stack(LayerChain):
    """Layers in one line: one tensor in, one tensor out, nothing shared, no branches."""

    supports_masking: ClassVar[bool] = True

    _lamina: StackState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = StackState
    _lamina_takes_integers: ClassVar[bool] = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        stack = super().__new__(cls)
        stack._lamina.inner["layers"] = []
        return stack

    @user_facing
    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put `layer` on top."""
        self._add(layer)

    @user_facing
    def pop(self, rebuild: bool = True) -> Layer:
        """Take the top layer off, and return it."""
        if not self._lamina_chain:
            raise StackError(f"{self.name!r} has no layer to pop.")
        layer = self._lamina_chain.pop()
        self._keep(self._lamina.shapes_between[: len(self._lamina_chain) + 1])
        return layer

    def _add(self, layer: Any) -> None:
        if isinstance(layer, InputLayer):
            self._enter(layer)
            return
        self._refuse_odd(layer)
        if layer._lamina_on_host and self._lamina_body:
            raise StackError(
                f"{layer.name!r} ({type(layer).__name__}) makes numbers of raw data before the compiled program, so it "
                f"comes first; here {self._lamina_body[0].name!r} stands before it."
            )
        self._lamina_chain.append(layer)
        before = self._lamina.entry
        try:
            with restored_on_error(layer):
                self._name_apart(layer)
                if (
                    len(self._lamina_chain) == 1
                    and self._lamina.entry is None
                    and (shape := _wanted_shape(layer)) is not None
                ):
                    self._lamina.entry = InputLayer(shape)
                if self._lamina.entry is not None:
                    self._build_from(len(self._lamina_chain) - 1)
        except BaseException:
            self._lamina_chain.pop()
            self._lamina.entry = before
            raise

    def _name_apart(self, layer: Layer) -> None:
        """Give the new layer a name that no other has, here or in the stack that it was in before."""
        others = [other for other in self._lamina_chain if other is not layer]
        if layer.name in (other.name for other in others):
            if layer._lamina.named:
                other = next(other for other in others if other.name == layer.name)
                raise StackError(
                    f"two layers are called {layer.name!r}, made at {layer._lamina.added_at} and "
                    f"{other._lamina.added_at}; give one another name=."
                )
            taken = {other.name for other in (*others, *layer._lamina.siblings)}
            layer.name = free_name(to_snake_case(type(layer).__name__), taken)
        layer._lamina.siblings = self._lamina_chain

    def _enter(self, layer: InputLayer) -> None:
        if self._lamina_chain:
            raise StackError("Input comes first in the list; here layers stand before it.")
        if self._lamina.entry is not None:
            raise StackError(
                f"the stack has an Input already, of shape {self._lamina.entry.batch_shape}: it takes one tensor."
            )
        self._lamina.entry = layer

    def _refuse_odd(self, layer: Any) -> None:
        if isinstance(layer, type) and issubclass(layer, Layer):
            wanted = f"{layer.__name__} is a class; put a layer in the list: {layer.__name__}(...)."
            raise StackError(getattr(layer, "_lamina_refusal", wanted))
        if isinstance(layer, (list, tuple)):
            raise StackError(
                "a list stands inside the list of layers; write *layers, or use a Sequential for that part."
            )
        if isinstance(layer, str):
            classes = [name for name in registry.named if not name.islower()]
            raise StackError(f"layers are objects, not names: got {layer!r}. {did_you_mean(layer, classes)}")
        if not isinstance(layer, Layer):
            kind, name = type(layer), getattr(layer, "__name__", str(layer)[:60])
            package = kind.__module__.partition(".")[0]
            advice = f" Wrap a function: Lambda({name})." if callable(layer) else ""
            if package in ("keras", "tf_keras", "tensorflow"):
                advice = f" It is a layer of {package}: take lamina.layers.{kind.__name__}."
            raise StackError(f"only layers can be in the stack, got {name} ({kind.__name__}).{advice}")
        if more := layer._lamina_call_required:
            raise StackError(
                f"{type(layer).__name__}.call wants {', '.join(more)} too; a stack is one line, which hands each layer "
                "one tensor. Give what is more a default, or use the layer within a custom layer."
            )
        if layer is self:
            raise StackError("a stack cannot hold itself.")
        for index, other in enumerate(self._lamina_chain):
            if other is layer:
                raise StackError(
                    f"{layer.name!r} is layer {index + 1} of this stack already. A stack is one line, with nothing "
                    f"shared: make a second {type(layer).__name__}(...), or a custom layer whose call uses it twice."
                )

    def _build_from(self, start: int) -> None:
        """Build the layers from `start` on, whose input's shape is known."""
        assert self._lamina.entry is not None
        flow: list[Any] = self._lamina.shapes_between[: start + 1] if start else [self._lamina.entry.batch_shape]
        for index in range(start, len(self._lamina_chain)):
            layer, shape = self._lamina_chain[index], flow[-1]
            if isinstance(shape, list):
                before = self._lamina_chain[index - 1]
                raise StackError(
                    f"{before.name!r} returns {len(shape)} tensors, so it can only be the last layer: a "
                    f"stack hands on one, and {layer.name!r} comes after. Leave out return_state=True, or give it a "
                    "merge_mode; or use the two within a custom layer."
                )
            try:
                layer._lamina_build(shape)
                flow.append(_handed_on(layer.compute_output_shape(shape)))
            except ShapeError as error:
                if str(error).startswith("layer "):
                    raise
                raise cannot_take(self._lamina_chain, index, flow, str(error)) from None
            except LaminaError:
                raise
            except (TypeError, ValueError) as error:
                reason = f"fails at {place_of(error)}: {str(error).splitlines()[0][:160]}"
                raise cannot_take(self._lamina_chain, index, flow, reason) from None
            layer._lamina.shapes = (shape, flow[-1])
            for part in parts(layer):
                for weight in part.layer._lamina.weights:
                    path = f"/{part.names}/{weight.name}"
                    if not weight.path.endswith(path):  # else it has been in a stack before
                        weight.path = f"{self.name}{path}"
        self._keep(flow)

    def _keep(self, flow: list[Shape]) -> None:
        self._lamina.shapes_between = flow
        self.built = len(flow) > 1
        seed_of(self)
        self._lamina.shapes = (flow[0], flow[-1]) if self.built else None

    @user_facing
    def build(self, input_shape: Any = None) -> None:
        """Make the weights for an input of `input_shape`, batch axis included: `build((None, 16))`."""
        if input_shape is None and self.built:
            return
        if not isinstance(input_shape, (tuple, list)) or not len(input_shape):
            raise ArgumentError(
                f"build takes a shape with the batch axis, as in build((None, 16)); got {input_shape!r}."
            )
        if self._lamina.entry is not None:
            if tuple(input_shape)[1:] != self._lamina.entry.shape:
                raise ShapeError(
                    f"{self.name!r} is built for {self._lamina.entry.batch_shape}, and cannot be for {input_shape}."
                )
            return
        self._build_for_data(tuple(input_shape))

    def _build_for_data(self, shape: Shape) -> None:
        self._lamina_require_layers()
        with restored_on_error(self):
            self._lamina.entry = InputLayer(shape[1:])
            self._build_from(0)

    def _lamina_build(self, shape: Shape) -> None:
        if not self.built:
            self._build_for_data(shape)
        assert self._lamina.entry is not None
        wanted = self._lamina.entry.batch_shape
        if self._lamina_on_host and (_fits(shape, self._lamina_body_shape) or _fits(_bare(shape), _bare(wanted))):
            return
        if not _fits(shape, wanted):
            if len(wanted) == len(shape) + 1 and wanted[-1] == 1:
                hint = f"The last axis is missing: x[..., None] makes {(*shape, 1)}."
            elif len(wanted) == len(shape) + 1:
                hint = "For one sample alone put a batch axis before it: x[None]."
            elif len(shape) > 1 and wanted[1:] == shape[:0:-1]:
                hint = "The axes stand the other way round: transpose the data."
            else:
                hint = "Change the Input (or input_shape) of the model, or the columns of the data."
            raise ShapeError(f"{self.name!r} takes {wanted}, the data has the shape {shape}. {hint}")

    @property
    def _lamina_chain(self) -> list[Layer]:
        return self._lamina.inner["layers"]  # type: ignore[no-any-return]

    @property
    def _lamina_body_shape(self) -> Shape:
        """The shape of what the compiled program is given."""
        body = self._lamina_body
        if body and isinstance(body[0], Stack) and body[0]._lamina_on_host:
            return body[0]._lamina_body_shape
        shape: Shape = self._lamina.shapes_between[len(self._lamina_chain) - len(body)]
        return shape

    def _lamina_host(self, x: Any) -> Any:
        x = raw(x, encoding=getattr(self._lamina_chain[0], "encoding", "utf-8"))
        if not self.built:
            self._build_for_data((None, *x.shape[1:]))
        assert self._lamina.entry is not None
        wanted = self._lamina.entry.batch_shape
        if not _fits(_bare(x.shape), _bare(wanted)):
            raise ShapeError(f"{self.name!r} takes {wanted}, the data has the shape {x.shape}.")
        return super()._lamina_host(x if x.ndim == len(wanted) else x[..., None] if x.ndim < len(wanted) else x[..., 0])

    def _lamina_require_layers(self) -> None:
        """Refuse to use a stack that has nothing in it."""
        if not self._lamina_chain:
            raise StackError(f"{self.name!r} has no layers: add one with model.add(layer).")

    @property
    def layers(self) -> list[Layer]:
        """The layers, first to last; the Input is not among them."""
        return list(self._lamina_chain)

    @layers.setter
    def layers(self, layers: Any) -> None:
        raise FixedError("layers cannot be set: change them with add(layer) and pop(), or make a new Sequential.")

    @user_facing
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes a name or an index: get_layer('dense'), get_layer(index=0).")
        if index is not None:
            if not -len(self._lamina_chain) <= index < len(self._lamina_chain):
                raise ArgumentError(f"{self.name!r} has {len(self._lamina_chain)} layers, none at index {index}.")
            return self._lamina_chain[index]
        for layer in self._lamina_chain:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self._lamina_chain]
        raise ArgumentError(f"no layer is called {name!r}. {did_you_mean(str(name), names)} The layers: {names}.")

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
        self._lamina_require_layers()
        body = self._lamina_body
        if body and not jnp.issubdtype(x.dtype, jnp.inexact) and not body[0]._lamina_takes_integers:
            x = x.astype(self.variable_dtype)
        for layer in body:
            inputs, x = x, layer(x, training=training, mask=mask)
            before, mask = mask, layer.compute_mask(inputs, mask)
            if before is not None and mask is None and not uses_mask(layer):
                warn(f"{layer.name!r} ({type(layer).__name__}) knows no masks: from here on padding counts as data.")
        self._lamina.mask = mask
        return x

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask that the top layer passes on, once `call` has run."""
        return self._lamina.mask

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self._lamina_chain))}])"

    def get_config(self) -> dict[str, Any]:
        layers = [
            serialize(layer) for layer in ([self._lamina.entry] if self._lamina.entry else []) + self._lamina_chain
        ]
        for layer, config in zip(self._lamina_chain, layers[-len(self._lamina_chain) :], strict=False):
            if layer.built:
                config["build_config"] = {"input_shape": list(layer.input_shape)}
        head = {"name": self.name, "trainable": self.trainable, "dtype": serialize(self.dtype_policy), "layers": layers}
        return head | ({"build_input_shape": list(self._lamina.entry.batch_shape)} if self._lamina.entry else {})

    @classmethod
    @user_facing
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """A stack of equal layers with fresh weights.

        Args:
            custom_objects: the classes of your own layers, by name.
        """
        model = cls.__new__(cls)  # a subclass's own __init__ may add layers, and they are in the config
        Layer.__init__(model, name=config.get("name"), trainable=config.get("trainable", True))
        with known(custom_objects):
            for entry in config["layers"]:
                model._add(registry.get(entry))
        return model


def _fits(shape: Shape, wanted: Shape) -> bool:
    """Whether data of `shape` is of the wanted shape, whatever its batch size."""
    return len(wanted) == len(shape) and all(w in (s, None) for w, s in zip(wanted[1:], shape[1:], strict=True))


def _bare(shape: Shape) -> Shape:
    """The shape without a last axis of 1, which raw data may have or not."""
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _wanted_shape(layer: Layer) -> Shape | None:
    """The shape that a stack's first layer, or the first within it, asks for: `input_shape=`, or its own Input."""
    while isinstance(layer, Stack) and layer._lamina.entry is None and layer._lamina_chain:
        layer = layer._lamina_chain[0]
    entry = layer._lamina.entry if isinstance(layer, Stack) else None
    return entry.shape if entry else layer._lamina.wanted_shape


def _handed_on(output: Any) -> Shape | list[Shape]:
    """The shape of a layer's output, or a list of them where it has several: such a layer can only be the last."""
    if output is None:
        raise ShapeError("returns None: its call has no return")
    if isinstance(output, (tuple, list)) and output and all(isinstance(each, tuple) for each in output):
        return list(output)
    if not isinstance(output, (tuple, list)) or not all(n is None or hasattr(n, "__index__") for n in output):
        raise ShapeError(f"returns a {type(output).__name__} of {len(output)}, where a stack hands on one tensor")
    return tuple(output)
