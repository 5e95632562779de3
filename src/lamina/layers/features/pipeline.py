"""Pipeline: a sequence of layers used as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from lamina._arrays.arrays import Array
from lamina._layer.host import LayerChain
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import held
from lamina._layer.masks import with_mask
from lamina._settings.arguments import Name
from lamina._settings.settings import serialize, setting
from lamina.errors import ArgumentError


def several(value: object) -> list[Layer]:
    """A list of layers."""
    if not isinstance(value, (tuple, list)):
        raise ArgumentError(f"expected a list of layers, as [{value!r}].")
    return [held(each) for each in value]


class Pipeline(LayerChain):
    """Applies layers one after another.

    >>> import jax.numpy as jnp
    >>> from lamina.layers import Rescaling
    >>> Pipeline([Rescaling(2.0), Rescaling(1.0, offset=1.0)])(jnp.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)

    Args:
        layers: the layers, first to last.
    """

    name: Name = setting(init=False)
    layers: Sequence[Layer] = setting(several)
    _lamina_name: Name = setting(default=None, alias="name")

    _lamina_trains_by_default: ClassVar[bool | None] = True
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
    def _lamina_chain(self) -> list[Layer]:
        return list(self.layers)

    def call(self, x: Array, training: bool | None = None, mask: Array | None = None) -> Array:
        with_mask(x, mask)
        for layer in self._lamina_body:
            x = layer(x, training=training)
        return x

    def compute_mask(self, x: Array, mask: Array | None = None) -> None:
        """None, since `call` passes on the mask of the last layer's output."""
        return None

    def get_config(self) -> dict[str, Any]:
        return {"layers": serialize(self.layers), "name": self.name}
