"""Layers that hold another layer."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina._base.converters import one_of, optional
from lamina._base.frames import user_facing
from lamina._base.registry import Holder
from lamina._base.settings import setting, value_of
from lamina._base.shapes import InputSpec, Shape
from lamina._layer.layer import Layer
from lamina._layer.registry import held
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array


class Wrapper(Holder, Layer):
    """Base of layers that hold one other layer, as `self.layer`."""

    layer: Any = setting(held)

    def build(self, input_shape: Shape) -> None:
        self.layer._lamina_build(input_shape)


class TimeDistributed(Wrapper):
    """Applies a layer to every step of (batch, time, ...) by itself.

    A layer that keeps statistics of its batches, such as BatchNormalization, is called once for each step, in order.
    All others see the steps as further rows, in one call.

    >>> from lamina.layers import Dense
    >>> TimeDistributed(Dense(4))(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._in_order = False
        """Whether the layer has weights that a call changes."""
        self.input_spec = InputSpec(min_ndim=3)

    def build(self, input_shape: Shape) -> None:
        super().build((input_shape[0], *input_shape[2:]))
        self._in_order = any(not weight.trainable for weight in self.layer.weights)

    def call(self, x: Array, training: bool = False, mask: Any = None) -> Array:
        if mask is not None and mask.shape[:2] != x.shape[:2]:
            raise ShapeError(f"wants a mask that begins with {x.shape[:2]}, got {mask.shape}")
        if self._in_order and training:
            steps = [self._apply(x[:, t], training, None if mask is None else mask[:, t]) for t in range(x.shape[1])]
            return jnp.stack(steps, 1)
        rows = x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))  # (batch * time, ...)
        y = self._apply(rows, training, None if mask is None else mask.reshape((rows.shape[0], *mask.shape[2:])))
        return y.reshape((*x.shape[:2], *y.shape[1:]))

    def _apply(self, x: Array, training: bool, mask: Any) -> Array:
        return self.layer(x, training=training, mask=mask)  # type: ignore[no-any-return]


class Bidirectional(Holder, Layer):
    """Runs a recurrent layer from both ends of (batch, time, n) and merges what comes out.

    The layer given is copied, twice: the copies have fresh weights, `forward_layer` and `backward_layer`.
    Source: Schuster and Paliwal, 1997, https://doi.org/10.1109/78.650093

    >>> from lamina.layers import LSTM
    >>> Bidirectional(LSTM(4))(jnp.ones((2, 5, 3))).shape
    (2, 8)

    Args:
        merge_mode: "concat", "sum", "mul", "ave", or None for a list of both.
        weights: start values, those of the forward layer first.
        backward_layer: another layer for the way back; it has go_backwards=True.
    """

    _lamina_layer: Any = setting(held, alias="layer", in_config=False)
    merge_mode: str | None = setting(one_of("concat", "sum", "mul", "ave", None), default="concat")
    _lamina_start_weights: Any = setting(default=None, alias="weights", in_config=False)
    backward_layer: Any = setting(optional(held), default=None)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=3)
        layer, back = value_of(self, "layer"), vars(self).pop("backward_layer")
        for each in (layer, back or layer):
            if not hasattr(each, "go_backwards"):
                raise ArgumentError(f"Bidirectional wraps a recurrent layer, as LSTM(4) is, got {each!r}.")
        self.forward_layer = _copied(layer, "forward_")
        self.backward_layer = back or _copied(layer, "backward_", go_backwards=not layer.go_backwards)
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(layer, name) != getattr(self.backward_layer, name):
                raise ArgumentError(f"Bidirectional: {name} differs between the layer and backward_layer.")
        if self.backward_layer.go_backwards == layer.go_backwards:
            raise ArgumentError("Bidirectional: one of the layer and backward_layer has go_backwards=True, not both.")
        for each in (self.forward_layer, self.backward_layer):
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

    def call(self, x: Array, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        halves: Any = (None, None)
        if initial_state is not None:
            half = len(initial_state) // 2
            halves = initial_state[:half], initial_state[half:]
        told = {"mask": mask, "training": training}
        there = self.forward_layer(x, initial_state=halves[0], **told)
        back = self.backward_layer(x, initial_state=halves[1], **told)
        states = []
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

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return mask if self.return_sequences else None

    @user_facing
    def reset_state(self) -> None:
        """Start from zeros again, where the layer is stateful."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    @property
    def layer(self) -> Any:
        """The layer of the way forward."""
        return self.forward_layer

    def _lamina_arguments(self) -> dict[str, Any]:
        return super()._lamina_arguments() | {"layer": self.forward_layer, "backward_layer": self.backward_layer}


def _copied(layer: Any, prefix: str, **changed: Any) -> Any:
    return _fresh(layer, name=prefix + layer.name.removeprefix(prefix), **changed)


def _fresh(value: Any, **changed: Any) -> Any:
    """A layer, or several, of the same settings with fresh weights; what else there is, as it is."""
    if isinstance(value, (list, tuple)):
        return [_fresh(item) for item in value]
    if not isinstance(value, Layer):
        return value
    kind, config = type(value), value.get_config()
    if kind.get_config is Layer.get_config:  # then objects may stand in it, which need no name to be found by
        config |= {name: _fresh(setting) for name, setting in value._lamina_arguments().items() if name in config}
    return kind.from_config(config | changed)
