"""Layers one after another, as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import jax

from lamina._base.settings import serialize, setting
from lamina._layer.host import LayerChain
from lamina._layer.layer import Layer
from lamina._layer.registry import held
from lamina.errors import ArgumentError

Array = jax.Array


def several(value: Any) -> list[Layer]:
    """A list of layers."""
    if not isinstance(value, (tuple, list)):
        raise ArgumentError(f"expected a list of layers, as [{value!r}].")
    return [held(each) for each in value]


class Pipeline(LayerChain):
    """Applies layers one after another, as one layer.

    >>> from lamina.layers import Rescaling
    >>> Pipeline([Rescaling(2.0), Rescaling(1.0, offset=1.0)])(jax.numpy.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)
    """

    layers: Sequence[Any] = setting(several)
    name: Any = None

    _lamina_trains_by_default: ClassVar[bool] = True
    supports_masking: ClassVar[bool] = True
    _lamina_takes_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        late = [layer.name for layer in self._lamina_body[1:] if layer._lamina_on_host]
        if late:
            raise ArgumentError(
                f"Pipeline: {late[0]!r} works on the host, so it stands before {self._lamina_body[0].name!r}."
            )

    @property
    def _lamina_chain(self) -> list[Any]:
        return list(self.layers)

    def call(self, x: Array, training: bool = False, mask: Any = None) -> Array:
        for layer in self._lamina_body:
            inputs, x = x, layer(x, training=training, mask=mask)
            mask = layer.compute_mask(inputs, mask)
        self.mask = mask
        return x

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask that the last layer passes on, once `call` has run."""
        return self.mask

    def get_config(self) -> dict[str, Any]:
        return {"layers": serialize(self.layers), "name": self.name}
