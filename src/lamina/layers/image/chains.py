"""Augmentation that makes several changes to an image, one after another."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina._base.converters import above_zero, flag, positive, seed_value
from lamina._base.settings import setting
from lamina._base.shapes import Shape
from lamina.config import data_format
from lamina.layers.image.color import (
    BYTE,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomHue,
    RandomPosterization,
    RandomSaturation,
    Solarization,
    share,
)
from lamina.layers.image.histograms import AutoContrast, Equalization
from lamina.layers.image.resizing import RandomImageLayer, ordered
from lamina.layers.image.sharpness import RandomSharpness
from lamina.layers.image.warping import RandomRotation, RandomShear, RandomTranslation, interpolations

Array = jax.Array


class RandomColorJitter(RandomImageLayer):
    """While training, RandomBrightness, RandomContrast, RandomSaturation and RandomHue, each where its factor is given.

    >>> RandomColorJitter(brightness_factor=0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    value_range: Any = setting(ordered, default=BYTE)
    brightness_factor: Any = None
    contrast_factor: Any = None
    saturation_factor: Any = None
    hue_factor: Any = None
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    kinds: ClassVar[dict[str, Any]] = {
        "brightness_factor": RandomBrightness,
        "contrast_factor": RandomContrast,
        "saturation_factor": RandomSaturation,
        "hue_factor": RandomHue,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {name: getattr(self, name) for name in self.kinds if getattr(self, name) is not None}
        told = {"value_range": self.value_range, "dtype": self.dtype_policy, "data_format": self.data_format}
        self.steps = [self.kinds[name](factor, **told) for name, factor in given.items()]

    def build(self, input_shape: Shape) -> None:
        for step in self.steps:
            step._lamina_build(input_shape)

    def changed(self, key: Array, x: Array) -> Array:
        for index, step in enumerate(self.steps):
            x = step.changed(jax.random.fold_in(key, index), x)
        return x


class ManyChanges(RandomImageLayer):
    """Has a list of changes from which it takes some at random, others for each image."""

    value_range: Any = setting(ordered, default=BYTE)
    factor: Any = setting(share, default=0.5)
    interpolation: str = setting(interpolations, default="bilinear")

    colours: ClassVar[tuple[Any, ...]] = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness)

    def collect(self, all_ops: bool = True) -> None:
        """Make the changes, all as strong as `factor` says."""
        told: dict[str, Any] = {"dtype": self.dtype_policy, "data_format": self.data_format}
        warp = {"interpolation": self.interpolation, **told}
        seen = {"value_range": self.value_range, **told}
        self.changes: list[Any] = [
            RandomShear(x_factor=self.factor, y_factor=self.factor, **warp),
            RandomTranslation(height_factor=self.factor, width_factor=self.factor, **warp),
            RandomRotation(factor=self.factor, **warp),
            RandomPosterization(factor=max(1, int(8 * self.factor[1])), **seen),
            Solarization(addition_factor=self.factor, threshold_factor=self.factor, **seen),
            AutoContrast(**seen),
            Equalization(**seen),
            *(kind(self.factor, **seen) for kind in self.colours if all_ops),
        ]

    def build(self, input_shape: Shape) -> None:
        for change in self.changes:
            change._lamina_build(input_shape)

    def chain(self, key: Array, image: Array, length: int, spare: int = 0) -> Array:
        """One image (1, height, width, channels) after `length` changes; `spare` of those drawn from change nothing."""
        branches = [change.changed for change in self.changes] + [lambda key, image: image] * spare
        branches = [lambda key, image, f=f: f(key, image).astype(image.dtype) for f in branches]

        def step(image: Array, key: Array) -> tuple[Array, None]:
            first, second = jax.random.split(key)
            which = jax.random.randint(first, (), 0, len(branches), jnp.int32)
            return lax.switch(which, branches, second, image), None

        return lax.scan(step, image, jax.random.split(key, length))[0]

    def one(self, key: Array, image: Array) -> Array:
        """An image (1, height, width, channels), changed."""
        raise NotImplementedError(f"{type(self).__name__} needs a method one(self, key, image).")

    def changed(self, key: Array, x: Array) -> Array:
        changed: Array = lax.map(lambda at: self.one(at[0], at[1][None])[0], (jax.random.split(key, x.shape[0]), x))
        return changed


class RandAugment(ManyChanges):
    """While training, makes `num_ops` changes to each image, out of eleven: shears, shifts, turns, colours, ...

    `factor` is their strength, a range within 0 to 1; one number f stands for (0, f).
    Source: Cubuk et al., 2019, https://arxiv.org/abs/1909.13719

    >>> RandAugment()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    value_range: Any = setting(ordered, default=BYTE)
    num_ops: int = setting(positive, default=2)
    factor: Any = setting(share, default=0.5)
    interpolation: str = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    channels: ClassVar[tuple[int, ...]] = (1, 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.collect()

    def one(self, key: Array, image: Array) -> Array:
        return self.chain(key, image, self.num_ops)


class AugMix(ManyChanges):
    """While training, blends each image with `num_chains` copies of it that went through `chain_depth` changes each.

    `w x + (1 - w) * sum(v * copies)`: w is from Beta(alpha, alpha), the shares v from Dirichlet(alpha). `factor` is the
    changes' strength, a range within 0 to 1; one number f stands for (0, f).
    Source: Hendrycks et al., 2019, https://arxiv.org/abs/1912.02781

    >>> AugMix()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        all_ops: whether brightness, contrast, colour and sharpness are among the changes too.
    """

    value_range: Any = setting(ordered, default=BYTE)
    num_chains: int = setting(positive, default=3)
    chain_depth: int = setting(positive, default=3)
    factor: Any = setting(share, default=0.3)
    alpha: float = setting(above_zero, default=1.0)
    all_ops: bool = setting(flag, default=True)
    interpolation: str = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.collect(self.all_ops)

    def one(self, key: Array, image: Array) -> Array:
        first, second, third = jax.random.split(key, 3)
        alphas = jnp.full(self.num_chains, self.alpha, jnp.float32)
        shares = jax.random.dirichlet(first, alphas, dtype=jnp.float32).astype(image.dtype)
        kept = jax.random.beta(second, self.alpha, self.alpha, (), jnp.float32).astype(image.dtype)

        def add(total: Array, at: tuple[Array, Array]) -> tuple[Array, None]:
            return total + at[1] * self.chain(at[0], image, self.chain_depth, spare=1), None

        keys = jax.random.split(third, self.num_chains)
        mixed = lax.scan(add, jnp.zeros_like(image), (keys, shares))[0]
        return jnp.clip(kept * image + (1 - kept) * mixed, *self.value_range)
