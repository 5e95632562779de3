"""Low-rank adaptation (LoRA): a large matrix is frozen, and the product of two thin matrices, which learn, is added.

See `Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021) <https://arxiv.org/abs/2106.09685>`_.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import jax.numpy as jnp

from lamina import initializers
from lamina._arrays.arrays import Array
from lamina._layer.layer import Layer
from lamina._layer.structure import restored_on_error
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Named
from lamina._settings.converters import checked, number, optional, positive
from lamina._settings.settings import setting
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, NotBuiltError


class LowRank(Layer):
    """A layer with one large weight W, (..., n), that can learn by two thin weights instead.

    After `enable_lora(rank)` the layer computes with `W + lora_alpha / rank * a @ b`, where a is (..., rank) and b is
    (rank, n). Training changes a and b, but not W. A file stores this sum as one weight, so that a layer without a and
    b can load it. A layer with a and b loads it as W, and sets b to 0.

    Args:
        lora_rank: the rank of a and b, which are made together with W; None for a layer that trains W.
        lora_alpha: the factor of `a @ b / rank`. The default is the rank.
    """

    lora_rank: int | None = setting(optional(positive), default=None, kw_only=True)
    lora_alpha: float | None = setting(optional(number), default=None, kw_only=True)

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"lora_rank", "lora_alpha"})
    _lamina_large: ClassVar[str] = "kernel"
    """The attribute of W, which is called `_kernel` after a and b were made."""

    @property
    def lora_enabled(self) -> bool:
        """Whether the layer learns by two thin weights."""
        return f"_{self._lamina_large}" in vars(self)

    @user_facing
    def enable_lora(
        self, rank: int, lora_alpha: float | None = None, a_initializer: Named = "he_uniform",
        b_initializer: Named = "zeros",
    ) -> None:  # fmt: skip
        """Make the layer learn by two thin weights from now on. This can be done once.

        >>> from lamina import layers
        >>> dense = layers.Dense(16)
        >>> dense.build((None, 8))
        >>> dense.enable_lora(rank=2)
        >>> [weight.name for weight in dense.trainable_weights]
        ['bias', 'lora_kernel_a', 'lora_kernel_b']

        Args:
            rank: the number of columns of a and of rows of b.
            lora_alpha: `lora_alpha / rank` is the factor of their product. The default is the rank, for a factor of 1.
            a_initializer, b_initializer: the initial values of a and of b. With zeros in b nothing changes at first.
        """
        if getattr(self, f"{self._lamina_large}_constraint") is not None:
            raise ArgumentError(
                f"{self.name}.enable_lora: {self._lamina_large}_constraint would hold for the {self._lamina_large} "
                f"alone, and not for the sum that the layer computes with. Leave {self._lamina_large}_constraint out."
            )
        if not self.built:
            raise NotBuiltError(
                f"{self.name}.enable_lora: the layer has no weights yet. Build it first, with build(input_shape) or by "
                f"a call on data, or write {type(self).__name__}(..., lora_rank={rank!r})."
            )
        if self.lora_enabled:
            raise ArgumentError(f"{self.name}.enable_lora: it has rank {self.lora_rank} already, and that stays.")
        adapt(self, rank, lora_alpha, a_initializer, b_initializer)

    if not TYPE_CHECKING:  # else every attribute would be known to a type checker

        @user_facing
        def __getattr__(self, name: str) -> Any:
            large = type(self)._lamina_large
            if name == f"_{large}" and large in vars(self):
                return vars(self)[large]
            if name == large and f"_{large}" in vars(self):
                return _sum(self).astype(self.compute_dtype)
            return super().__getattr__(name)

    def _lamina_in_file(self, own: list[Weight]) -> list[Weight]:
        if not self.lora_enabled:
            return own
        large, *thin = _three(self)
        return [cast(Weight, _Sum(self)) if weight is large else weight for weight in own if weight not in set(thin)]


def adapt(
    layer: LowRank, rank: int, alpha: float | None = None, a_initializer: Named = "he_uniform",
    b_initializer: Named = "zeros",
) -> None:  # fmt: skip
    """Make the two thin weights of a layer that has its large weight, and freeze the large weight."""
    name, large = layer._lamina_large, vars(layer)[layer._lamina_large]
    if getattr(layer, f"{name}_constraint") is not None:
        raise ArgumentError(f"{type(layer).__name__} takes lora_rank or {name}_constraint, not both.")
    rank = checked(f"{layer.name}.enable_lora", "rank", positive, rank)
    alpha = checked(f"{layer.name}.enable_lora", "lora_alpha", optional(number), alpha)
    start = initializers.get(a_initializer), initializers.get(b_initializer)
    shapes = (*large.shape[:-1], rank), (rank, large.shape[-1])
    with restored_on_error(layer):
        for letter, shape, fill in zip("ab", shapes, start, strict=True):
            weight = layer.add_weight(
                shape, fill, "float32", regularizer=getattr(layer, f"{name}_regularizer"), name=f"lora_{name}_{letter}"
            )
            weight.path = f"{large.path.rpartition('/')[0] or layer.name}/{weight.name}"
            setattr(layer, weight.name, weight)
    delattr(layer, name)
    setattr(layer, f"_{name}", large)
    large.name, large.trainable = name, False
    layer.lora_rank, layer.lora_alpha = rank, rank if alpha is None else alpha


def _three(layer: LowRank) -> tuple[Any, Any, Any]:
    name, here = layer._lamina_large, vars(layer)
    return here[f"_{name}"], here[f"lora_{name}_a"], here[f"lora_{name}_b"]


def _sum(layer: LowRank) -> Array:
    """W + lora_alpha / lora_rank * a @ b, in the dtype of W, with the arrays of the present pass, if any."""
    return _added(layer, *map(jnp.asarray, _three(layer)))


def _added(layer: LowRank, large: Array, a: Array, b: Array) -> Array:
    assert layer.lora_rank is not None
    assert layer.lora_alpha is not None
    return large + (layer.lora_alpha / layer.lora_rank * (a @ b)).astype(large.dtype)


class _Sum(Weight):
    """The weight that a file stores in place of W: it is read as the sum, and assigned to W."""

    def __init__(self, layer: LowRank) -> None:
        large, *_ = _three(layer)
        vars(self).update(layer=layer, name=large.name, path=large.path, trainable=False)

    @property
    def array(self) -> Any:
        return _added(self.layer, *(weight.array for weight in _three(self.layer)))

    @array.setter
    def array(self, value: Any) -> None:
        large, _, b = _three(self.layer)
        large.assign(value)
        b.assign(jnp.zeros_like(b.array))

    @property
    def shape(self) -> tuple[int, ...]:
        return cast("tuple[int, ...]", _three(self.layer)[0].shape)

    @property
    def dtype(self) -> str:
        return cast(str, _three(self.layer)[0].dtype)

    @property
    def home(self) -> Any:
        return _three(self.layer)[1].home

    @home.setter
    def home(self, home: Any) -> None:
        for weight in _three(self.layer):
            weight.home = home

    @property
    def _lamina_place(self) -> Any:
        return "sum", id(_three(self.layer)[0])
