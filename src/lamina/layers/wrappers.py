"""Layers that wrap another layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import held
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config
from lamina._settings.converters import one_of, optional
from lamina._settings.registry import Holder
from lamina._settings.settings import Converted, setting, value_of
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.core import Lambda

HeldLayer: TypeAlias = Converted[Layer | Config, Layer]


class Wrapper(Holder, Layer):
    """Base of the layers that wrap one other layer, `self.layer`.

    >>> class Twice(Wrapper):
    ...     def call(self, x):                       # (..., n)
    ...         return self.layer(self.layer(x))     # (..., n)
    >>> from lamina.layers import Dense
    >>> Twice(Dense(3))(jnp.ones((2, 3))).shape
    (2, 3)

    Args:
        layer: the inner layer, or its config.
    """

    layer: HeldLayer = setting(held)

    def build(self, input_shape: Shape) -> None:
        self.layer._lamina_build(input_shape)


class TimeDistributed(Wrapper):
    """Applies a layer to each step of (batch, time, ...) separately: y[:, t] = layer(x[:, t]).

    In training, a layer that updates weights in `call`, such as BatchNormalization, is called once for each step, in
    order. Otherwise one call gets the steps of all samples as rows, (batch * time, ...).

    >>> from lamina.layers import Dense
    >>> TimeDistributed(Dense(4))(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lamina_in_order = False
        """Whether the layer has weights that `call` updates."""
        self.input_spec = InputSpec(min_ndim=3)

    def build(self, input_shape: Shape) -> None:
        super().build((input_shape[0], *input_shape[2:]))
        self._lamina_in_order = any(not weight.trainable for weight in self.layer.weights)

    def call(self, x: Array, training: bool = False, mask: Array | None = None) -> Array:
        if mask is not None and mask.shape[:2] != x.shape[:2]:
            raise ShapeError(f"expects a mask that begins with {x.shape[:2]}, got {mask.shape}")
        if not (self.layer._lamina_uses_mask or self.layer.supports_masking):
            mask = None  # the inner layer does not use it, and the output has it in any case
        if self._lamina_in_order and training:
            masks = [None if mask is None else mask[:, t] for t in range(x.shape[1])]
            return jnp.stack([self.layer(x[:, t], training=True, mask=each) for t, each in enumerate(masks)], 1)
        rows = x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))  # (batch * time, ...)
        of_rows = None if mask is None else mask.reshape((rows.shape[0], *mask.shape[2:]))
        y: Array = self.layer(rows, training=training, mask=of_rows)
        return y.reshape((*x.shape[:2], *y.shape[1:]))


class Bidirectional(Holder, Layer):
    """Runs a recurrent layer over (batch, time, n) in both directions and merges the two outputs.

    The given layer does not change: `forward_layer` and `backward_layer` are two copies with separate weights.

    >>> from lamina.layers import LSTM
    >>> Bidirectional(LSTM(4))(jnp.ones((2, 5, 3))).shape
    (2, 8)

    Args:
        layer: the recurrent layer, or its config.
        merge_mode: how the outputs are merged: "concat", "sum", "mul" or "ave"; None for a tuple of both.
        weights: initial values of the weights, those of the forward layer first.
        backward_layer: a layer for the backward direction, with go_backwards=True, instead of the copy.

    Source: Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093
    """

    _lamina_layer: HeldLayer = setting(held, alias="layer", in_config=False)
    merge_mode: Literal["concat", "sum", "mul", "ave"] | None = setting(
        one_of("concat", "sum", "mul", "ave", None), default="concat"
    )
    _lamina_start_weights: Sequence[ArrayLike] | None = setting(default=None, alias="weights", in_config=False)
    backward_layer: Converted[Layer | Config | None, Any] = setting(optional(held), default=None)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=3)
        layer, back = value_of(self, "layer"), vars(self).pop("backward_layer")  # set again after the forward layer
        for each in (layer, back or layer):
            if not hasattr(each, "go_backwards"):
                raise ArgumentError(f"Bidirectional wraps a recurrent layer, as LSTM(4) is, got {each!r}.")
        back = back or _copied(layer, "backward_", go_backwards=not layer.go_backwards)
        self.forward_layer, self.backward_layer = _copied(layer, "forward_"), back
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(layer, name) != getattr(back, name):
                raise ArgumentError(f"Bidirectional: {name} differs between the layer and backward_layer.")
        if back.go_backwards == layer.go_backwards:
            raise ArgumentError("Bidirectional: one of the layer and backward_layer has go_backwards=True, not both.")
        for each in (self.forward_layer, back):
            if hasattr(each, "zero_output_for_mask"):
                each.zero_output_for_mask = each.return_sequences
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful

    def build(self, input_shape: Shape) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            layer._lamina_build((input_shape[0] or self._lamina.batch_size, *input_shape[1:]))
        start = vars(self._lamina).pop("start_weights", None)
        if start is not None:
            self.set_weights(start)

    def call(
        self,
        x: Array,
        initial_state: Sequence[Array] | None = None,
        mask: Array | None = None,
        training: bool = False,
    ) -> Array | tuple[Array, ...]:
        halves: tuple[Sequence[Array] | None, Sequence[Array] | None] = (None, None)
        if initial_state is not None:
            half = len(initial_state) // 2
            halves = initial_state[:half], initial_state[half:]
        told = {"mask": mask, "training": training}
        there = self.forward_layer(x, initial_state=halves[0], **told)
        back = self.backward_layer(x, initial_state=halves[1], **told)
        states: list[Array] = []
        if self.return_state:
            (there, *first), (back, *second) = there, back
            states = [*first, *second]
        if self.return_sequences:
            back = back[:, ::-1]  # (batch, time, units), in the order of x
        if self.merge_mode is None:
            return (there, back, *states)
        if self.merge_mode == "concat":
            y = jnp.concatenate([there, back], -1)
        elif self.merge_mode == "mul":
            y = there * back
        else:
            y = (there + back) / (2 if self.merge_mode == "ave" else 1)
        return (y, *states) if states else y

    def compute_mask(self, x: Array, mask: Array | None = None) -> Array | None:
        return mask if self.return_sequences else None

    @user_facing
    def reset_state(self) -> None:
        """Reset the states of a stateful layer to zeros."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    @property
    def layer(self) -> Any:
        """The layer of the forward direction."""
        return self.forward_layer

    def _lamina_arguments(self) -> Config:
        own = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        return own | super()._lamina_arguments() | own


def _copied(layer: Layer, prefix: str, **changed: Any) -> Any:
    return fresh(layer, name=prefix + layer.name.removeprefix(prefix), **changed)


def fresh(value: object, **changed: Any) -> Any:
    """A layer, or layers in a list, with the same settings and new weights; any other value is returned unchanged."""
    if isinstance(value, (list, tuple)):
        return [fresh(item) for item in value]
    if not isinstance(value, Layer):
        return value
    kind, config = type(value), value.get_config()
    if kind.get_config in (
        Layer.get_config,
        Lambda.get_config,
    ):  # then use the objects, since a config does not lead back to custom objects
        config |= {name: fresh(setting) for name, setting in value._lamina_arguments().items() if name in config}
    return kind.from_config(config | changed)
