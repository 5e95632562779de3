"""Augmentation layers that apply several changes to an image in sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import above_zero, flag, seed_value, up_to
from lamina._settings.settings import setting, value_of
from lamina.config import data_format
from lamina.layers.image.base import ImageLayer, RandomImageLayer
from lamina.layers.image.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomHue,
    RandomPosterization,
    RandomSaturation,
    Solarization,
)
from lamina.layers.image.histograms import AutoContrast, Equalization
from lamina.layers.image.settings import BYTE, Interpolation, Range, ValueRange, interpolations, ordered, share
from lamina.layers.image.sharpness import RandomSharpness
from lamina.layers.image.warping import RandomRotation, RandomShear, RandomTranslation

Factor: TypeAlias = float | Sequence[float] | None


class ChangesLayer(RandomImageLayer):
    """Base of the layers that hold other image layers and apply them in sequence."""

    @property
    def _lamina_changes(self) -> list[ImageLayer]:
        """The inner layers."""
        return self._lamina.inner["changes"]

    def build(self, input_shape: Shape) -> None:
        for change in self._lamina_changes:
            change._lamina_build(input_shape)


class RandomColorJitter(ChangesLayer):
    """In training mode, applies RandomBrightness, RandomContrast, RandomSaturation and RandomHue in this order.

    >>> RandomColorJitter(brightness_factor=0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        brightness_factor: the `factor` of RandomBrightness; None leaves this change out.
        contrast_factor: the `factor` of RandomContrast; None leaves this change out.
        saturation_factor: the `factor` of RandomSaturation; None leaves this change out.
        hue_factor: the `factor` of RandomHue; None leaves this change out.
    """

    value_range: ValueRange = setting(ordered, default=BYTE)
    brightness_factor: Factor = None
    contrast_factor: Factor = None
    saturation_factor: Factor = None
    hue_factor: Factor = None
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        told: dict[str, Any] = {
            "value_range": self.value_range, "dtype": self.dtype_policy, "data_format": self.data_format
        }  # fmt: skip
        kinds = (
            (RandomBrightness, self.brightness_factor), (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor), (RandomHue, self.hue_factor),
        )  # fmt: skip
        self._lamina.inner["changes"] = [kind(factor, **told) for kind, factor in kinds if factor is not None]

    def _lamina_change(self, key: Array, x: Array) -> Array:
        for index, change in enumerate(self._lamina_changes):
            x = change._lamina_change(jax.random.fold_in(key, index), x)
        return x


class ManyChanges(ChangesLayer):
    """Base of the layers that apply some of many changes, chosen at random for each image.

    Args:
        factor: the strength of the changes, a range within 0 to 1. One number a means (0, a).
        interpolation: how shears, shifts and rotations read values between pixels, "bilinear" or "nearest".
    """

    _lamina_channels: ClassVar[tuple[int, ...]] = (1, 3)
    _lamina_alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        factor, all_ops = value_of(self, "factor"), vars(self).get("all_ops", True)
        told: dict[str, Any] = {"dtype": self.dtype_policy, "data_format": value_of(self, "data_format")}
        warp = {"interpolation": value_of(self, "interpolation"), **told}
        seen = {"value_range": value_of(self, "value_range"), **told}
        colors = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness) if all_ops else ()
        self._lamina.inner["changes"] = [
            RandomShear(x_factor=factor, y_factor=factor, **warp),
            RandomTranslation(height_factor=factor, width_factor=factor, **warp),
            RandomRotation(factor=factor, **warp),
            RandomPosterization(factor=max(1, int(8 * factor[1])), **seen),
            Solarization(addition_factor=factor, threshold_factor=factor, **seen),
            AutoContrast(**seen),
            Equalization(**seen),
            *(kind(factor, **seen) for kind in colors),
        ]

    def _lamina_change_one(self, key: Array, image: Array) -> Array:
        """Returns one changed image (1, height, width, channels)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _lamina_change_one(self, key, image).")

    def _lamina_change(self, key: Array, x: Array) -> Array:
        keys = jax.random.split(key, x.shape[0])
        changed: Array = lax.map(lambda at: self._lamina_change_one(at[0], at[1][None])[0], (keys, x))
        return changed


def after_changes(layer: ManyChanges, key: Array, image: Array, length: int, spare: int = 0) -> Array:
    """Applies `length` random changes to an image (1, height, width, channels).

    The changes to choose from include `spare` changes that leave the image unchanged.
    """
    changes = [change._lamina_change for change in layer._lamina_changes] + [lambda key, image: image] * spare
    branches = [lambda key, image, f=f: f(key, image).astype(image.dtype) for f in changes]

    def step(image: Array, key: Array) -> tuple[Array, None]:
        first, second = jax.random.split(key)
        which = jax.random.randint(first, (), 0, len(branches), jnp.int32)
        return lax.switch(which, branches, second, image), None

    return lax.scan(step, image, jax.random.split(key, length))[0]


class RandAugment(ManyChanges):
    """In training mode, makes `num_ops` random changes to each image.

    The changes are shear, shift, rotation, posterization, solarization, auto contrast, equalization, brightness,
    gray, contrast and sharpness.

    >>> RandAugment()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        num_ops: the number of changes to each image; 0 makes none.

    Source: Cubuk et al., 2019, https://arxiv.org/abs/1909.13719
    """

    value_range: ValueRange = setting(ordered, default=BYTE)
    num_ops: int = setting(up_to(1000, at_least=0), default=2)
    factor: Range = setting(share, default=0.5)
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    def _lamina_change_one(self, key: Array, image: Array) -> Array:
        return after_changes(self, key, image, self.num_ops)


class AugMix(ManyChanges):
    """In training mode, blends each image with `num_chains` copies of it, each after `chain_depth` random changes.

    The output is `w x + (1 - w) * sum(v * copies)`, clipped to the `value_range`. w is drawn from Beta(alpha, alpha),
    and the weights v of the copies from Dirichlet(alpha).

    >>> AugMix()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        num_chains: the number of copies.
        chain_depth: the number of changes to each copy.
        alpha: the parameter of the Beta and of the Dirichlet distribution, above 0.
        all_ops: whether the changes include brightness, gray, contrast and sharpness.

    Source: Hendrycks et al., 2019, https://arxiv.org/abs/1912.02781
    """

    value_range: ValueRange = setting(ordered, default=BYTE)
    num_chains: int = setting(up_to(1000), default=3)
    chain_depth: int = setting(up_to(1000), default=3)
    factor: Range = setting(share, default=0.3)
    alpha: float = setting(above_zero, default=1.0)
    all_ops: bool = setting(flag, default=True)
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    def _lamina_change_one(self, key: Array, image: Array) -> Array:
        first, second, third = jax.random.split(key, 3)
        alphas = jnp.full(self.num_chains, self.alpha, jnp.float32)
        shares = jax.random.dirichlet(first, alphas, dtype=jnp.float32).astype(image.dtype)
        kept = jax.random.beta(second, self.alpha, self.alpha, (), jnp.float32).astype(image.dtype)

        def add(total: Array, at: tuple[Array, Array]) -> tuple[Array, None]:
            return total + at[1] * after_changes(self, at[0], image, self.chain_depth, spare=1), None

        keys = jax.random.split(third, self.num_chains)
        mixed = lax.scan(add, jnp.zeros_like(image), (keys, shares))[0]
        return jnp.clip(kept * image + (1 - kept) * mixed, *self.value_range)
