"""Augmentation that puts images together: parts of others, patches of noise, several changes at once."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina.config import data_format
from lamina.errors import ArgumentError, StackError
from lamina.kernels.images import grid
from lamina.layer import Layer
from lamina.layers.augmentation import (
    BYTE,
    AutoContrast,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomHue,
    RandomPosterization,
    RandomSaturation,
    RandomSharpness,
    Solarization,
)
from lamina.layers.images import RandomImageLayer, happens, interval, ordered, uniform
from lamina.layers.warping import RandomRotation, RandomShear, RandomTranslation, interpolations
from lamina.settings import above_zero, flag, integer, number, optional, positive, seed_value, setting
from lamina.shapes import Shape

Array = jax.Array
share = interval(0, 1)


def boxes(key: Array, x_shape: tuple[int, ...], shares: Array) -> Array:
    """True in a box in each image, of these shares (batch, 2) of its width and height.  -> (batch, height, width, 1)"""
    y, x = grid(jnp.zeros((1, *x_shape[1:3], 1), jnp.float32))
    covered = []
    for which, (where, length) in enumerate(((x, x_shape[2]), (y, x_shape[1]))):
        size = (shares[:, which] * length)[:, None, None]
        start = uniform(jax.random.fold_in(key, which), (x_shape[0], 1, 1)) * (length - size)
        covered.append((where >= start) & (where < start + size))
    return (covered[0] & covered[1])[..., None]


class MixUp(RandomImageLayer):
    """While training, blends each image with another of the batch: `w x + (1 - w) x'`, w from Beta(alpha, alpha).

    The targets are not blended: a stack's layers see images alone.
    Source: Zhang et al., 2018, https://arxiv.org/abs/1710.09412

    >>> MixUp()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    alpha: float = setting(above_zero, default=0.2)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second = jax.random.split(key)
        weight = jax.random.beta(first, self.alpha, self.alpha, (shape[0], 1, 1, 1), jnp.float32)
        return {"weight": weight, "other": jax.random.permutation(second, shape[0])}

    def transform(self, x: Array, weight: Array, other: Array) -> Array:  # type: ignore[override]
        weight = weight.astype(x.dtype)
        return weight * x + (1 - weight) * x[other]


class CutMix(RandomImageLayer):
    """While training, pastes a box of another image of the batch into each: a share 1 - w of it.

    w is from Beta(a, a), with a drawn from `factor` for the batch; one number f stands for (0, f). The targets are not
    blended: a stack's layers see images alone.
    Source: Yun et al., 2019, https://arxiv.org/abs/1905.04899

    >>> CutMix()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share, default=1.0)
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second, third, fourth = jax.random.split(key, 4)
        alpha = uniform(first, (), self.factor) + jnp.float32(1e-6)
        weight = jax.random.beta(second, alpha, alpha, (shape[0], 1), jnp.float32)
        box = boxes(third, shape, jnp.sqrt(1 - weight) * jnp.ones(2, jnp.float32))
        return {"box": box, "other": jax.random.permutation(fourth, shape[0])}

    def transform(self, x: Array, box: Array, other: Array) -> Array:  # type: ignore[override]
        return jnp.where(box, x[other], x)


def fill(value: Any) -> Any:
    """None for noise, a number, or one for each of three channels."""
    if isinstance(value, (tuple, list)):
        if len(value) != 3:
            raise ArgumentError(f"expected a number, three numbers or None, got {value!r}.")
        return tuple(map(number, value))
    return optional(number)(value)


class RandomErasing(RandomImageLayer):
    """While training, covers a box of some images with noise, or with `fill_value`.

    Its height and width are the roots of numbers drawn from `scale`, as shares of the image's. The chance is drawn
    from `factor` for each image; one number f stands for (0, f), in `scale` as well.
    Source: Zhong et al., 2017, https://arxiv.org/abs/1708.04896

    >>> RandomErasing()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share, default=1.0)
    scale: Any = setting(share, default=(0.02, 0.33))
    fill_value: Any = setting(fill, default=None)
    value_range: Any = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second, third, fourth = jax.random.split(key, 4)
        if self.fill_value is None:
            patch = jax.random.normal(first, shape, jnp.float32) * self.value_range[1]
        else:
            patch = jnp.asarray(self.fill_value, jnp.float32)
        box = boxes(third, shape, jnp.sqrt(uniform(second, (shape[0], 2), self.scale)))
        return {"patch": patch, "box": box, "apply": happens(fourth, shape[0], self.factor)}

    def transform(self, x: Array, patch: Array, box: Array, apply: Array) -> Array:  # type: ignore[override]
        return jnp.where(apply & box, jnp.clip(patch, *self.value_range).astype(x.dtype), x)


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

    def validate(self) -> None:
        super().validate()
        given = {name: getattr(self, name) for name in self.kinds if getattr(self, name) is not None}
        told = {"value_range": self.value_range, "dtype": self.dtype_policy, "data_format": self.data_format}
        self.steps = [self.kinds[name](factor, **told) for name, factor in given.items()]

    def build(self, input_shape: Shape) -> None:
        for step in self.steps:
            step.build_for(input_shape)

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
            change.build_for(input_shape)

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

    def validate(self) -> None:
        super().validate()
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

    def validate(self) -> None:
        super().validate()
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


class MaxNumBoundingBoxes(Layer):
    """Not for a stack: it changes boxes that come beside the images, and a stack takes one tensor."""

    max_number: int = setting(integer)
    fill_value: int = setting(integer, default=-1)

    def validate(self) -> None:
        raise StackError(
            "MaxNumBoundingBoxes changes boxes that come beside the images, and a stack takes one tensor: cut and "
            "fill the boxes where the data is prepared."
        )
