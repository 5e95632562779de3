"""The base classes of the layers for images, and random numbers per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.keys import drawn_key
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, fixed_seed
from lamina._settings.settings import setting, value_of
from lamina.errors import ShapeError
from lamina.layers.image.boxes import batch_shape, box_format, boxes_after, changed_together, drawn_by, with_axes
from lamina.layers.image.settings import Pair
from lamina.random import SeedGenerator, key_of, next_seed

Sizes: TypeAlias = tuple[int, ...]
Drawn: TypeAlias = Array | dict[str, Array]
"""The input of a random change: a key of random numbers, or a dict of the numbers with Keras's names."""


def uniform(key: Array, shape: Sizes, span: Pair = (0.0, 1.0)) -> Array:
    """Uniform random numbers from `span[0]` to `span[1]`.  -> shape, float32"""
    return jax.random.uniform(key, shape, jnp.float32, *span)


def happens(key: Array, batch: int, factor: Pair) -> Array:
    """True for the images to change; the probability is drawn from the range `factor`.  -> (batch, 1, 1, 1)"""
    chance, threshold = uniform(key, (2, batch, 1, 1, 1))
    applies: Array = threshold < chance * (factor[1] - factor[0]) + factor[0]
    return applies


class ImageLayer(Layer):
    """Base of the layers for images (batch, height, width, channels), or (batch, channels, height, width).

    In a direct call, such a layer also takes one image without the batch axis.

    Args:
        data_format: "channels_last" or "channels_first", the place of the channels axis; None takes
            `config.image_data_format()`.
        bounding_box_format: the format of the boxes, if a direct call or `map` gives the layer a dict of "images" and
            "bounding_boxes". It is "xyxy", "yxyx", "xywh", "center_xywh" or "center_yxhw"; the prefix "rel_" means
            fractions of the image's width and height.
        value_range: the lowest and the highest value of a pixel, in the layers that need it.
    """

    _lamina_channels: ClassVar[tuple[int, ...]] = ()
    """The numbers of channels that the formula supports; empty for any number."""
    bounding_box_format: str | None = setting(box_format, default=None, kw_only=True)

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"bounding_box_format"})
    _lamina_alone: ClassVar[bool] = False
    """Whether the layer takes images alone, because boxes cannot follow its change."""
    _lamina_trains_by_default: ClassVar[bool | None] = True
    _lamina_numbers: ClassVar[frozenset[str]] = frozenset()
    """Keras's names of the numbers that `_lamina_draw` draws, for layers in which users can give these numbers."""
    _lamina_transform: ClassVar[Callable[..., Array]]
    """The formula: a function of images (batch, height, width, channels) and the result of `_lamina_draw`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        input_shape = (None, *input_shape) if self._lamina_is_sample(input_shape) else input_shape
        self._lamina_check_input(input_shape)  # an outer layer builds this one before it checks the input
        data_format, channels = value_of(self, "data_format"), self._lamina_channels
        found = input_shape[1 if data_format == "channels_first" else 3]
        if channels and found not in channels:
            raise ShapeError(f"expects {' or '.join(map(str, channels))} channels ({data_format}), got {found}")

    @property
    def _lamina_beside(self) -> bool:
        """Whether the layer also changes other data than images, which a stack cannot pass on."""
        return self.bounding_box_format is not None

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """Returns the changed images; in a dict of "images" also "bounding_boxes" and "segmentation_masks"."""
        if isinstance(x, Mapping) and "images" in x:
            return changed_together(self, x, *others, **named)
        return super().__call__(x, *others, **named)

    def _lamina_is_sample(self, shape: Shape) -> bool:
        return len(shape) == 3

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        """The random arguments of `_lamina_transform` for images of `shape`, with the channels last."""
        return {}

    def _lamina_drawn(self, key: Drawn, shape: Sizes) -> dict[str, Array]:
        return key if isinstance(key, dict) else self._lamina_draw(key, shape)

    def _lamina_change(self, key: Any, x: Array) -> Array:
        """Returns changed images (batch, height, width, channels); `key` is a key or the random numbers themselves."""
        return self._lamina_transform(x, **self._lamina_drawn(key, x.shape))

    def _lamina_matrix(self, shape: Sizes) -> Array | None:
        """The matrix that maps each place (x, y) of the output to the place that is read; None if no pixel moves."""
        return None

    def _lamina_places(self, key: Drawn | None, shape: Sizes) -> Array | None:
        """`_lamina_matrix`, where `key` is a key or the random numbers themselves."""
        return self._lamina_matrix(shape)

    def _lamina_size(self, shape: Sizes) -> tuple[int, int]:
        """The height and the width of the output."""
        return shape[1], shape[2]

    def _lamina_key(self) -> Array | None:
        """The key of a call's random numbers; None if the call draws none."""
        return None

    def _lamina_with(self, key: Array | None, x: Array) -> Array:
        """Returns the changed images; without a key, the layer works as in inference."""
        return channels_last(self, self._lamina_transform, x.astype(self.compute_dtype))

    def call(self, x: Array) -> Array:
        return self._lamina_with(None, x)

    @user_facing
    def get_random_transformation(
        self, data: Any, training: bool = True, seed: int | SeedGenerator | None = None
    ) -> dict[str, Any] | None:  # fmt: skip
        """Returns the random numbers of one change, for `transform_images` and `transform_bounding_boxes`.

        The result is a dict of the numbers with Keras's names for flips, shifts, zooms, shears, perspective, contrast,
        blur, erasing, MixUp and CutMix. For the other layers it is a key. "input_shape" is the shape of the images.

        >>> from lamina.layers import RandomContrast
        >>> RandomContrast(0.5).get_random_transformation(jnp.ones((2, 4, 4, 3)), seed=1)["contrast_factor"].shape
        (2, 1, 1, 1)

        Args:
            data: images, or a dict with them as "images".
            training: with False there is no change, and the result is None.
            seed: an integer or a `random.SeedGenerator`. By default a seed is drawn.
        """
        if not training:
            return None
        shape = np.shape(data["images"] if isinstance(data, Mapping) else data)
        if isinstance(seed, SeedGenerator):
            key = seed.next()
        else:
            key = key_of(
                next_seed() if seed is None else checked("get_random_transformation", "seed", fixed_seed, seed)
            )
        drawn = self._lamina_draw(key, batch_shape(self, shape)) if self._lamina_numbers else {"key": key}
        return {name: with_axes(self, number, back=True) for name, number in drawn.items()} | {"input_shape": shape}

    @user_facing
    def transform_images(
        self, images: ArrayLike, transformation: dict[str, Any] | None, training: bool = True
    ) -> Array:
        """Applies the change that `get_random_transformation` returned; None leaves the images unchanged.

        Args:
            images: (batch, height, width, channels), or one image.
            transformation: what `get_random_transformation` returned, or such a dict with Keras's names of your own:
                `RandomFlip().transform_images(x, {"flips": [[True], [False]]})`.
            training: with False the images stay unchanged.
        """
        x = jnp.asarray(images, self.compute_dtype)
        if not training or transformation is None:
            return x
        batch = x[None] if x.ndim == 3 else x
        change = lambda given: channels_last(self, partial(self._lamina_change, drawn_by(self, given)), batch)  # noqa: E731
        changed: Array = checked(f"{self.name}.transform_images", "transformation", change, transformation)
        return changed.astype(x.dtype)[0] if x.ndim == 3 else changed.astype(x.dtype)

    @user_facing
    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: dict[str, Any] | None, training: bool = True
    ) -> Mapping[str, Any]:
        """Moves the boxes with the change that `get_random_transformation` returned, and clips them to the image.

        >>> from lamina.layers import RandomFlip
        >>> flip, boxes = RandomFlip("horizontal", bounding_box_format="xyxy"), {"boxes": [[[2, 1, 4, 3]]]}
        >>> flip.transform_bounding_boxes(boxes, {"flips": [[True]], "input_shape": (1, 10, 8, 3)})["boxes"]
        Array([[[4., 1., 6., 3.]]], dtype=float32)

        Args:
            bounding_boxes: a dict of "boxes", (batch, n, 4), or (n, 4) for one image, and optionally "labels". A box
                that leaves the image gets the label -1.
            transformation: as for `transform_images`; its "input_shape" is the shape of the images.
            training: with False the boxes stay unchanged.
        """
        if not training or transformation is None:
            return bounding_boxes
        return boxes_after(self, bounding_boxes, transformation)


def channels_last(layer: Layer, change: Callable[[Array], Array], x: Array) -> Array:
    """`change(x)` for a function that needs the channels last, whatever the layer's `data_format`."""
    if value_of(layer, "data_format") == "channels_last":
        return change(x)
    return jnp.moveaxis(change(jnp.moveaxis(x, 1, 3)), 3, 1)


class RandomImageLayer(ImageLayer):
    """Base of the layers that change images at random in training mode, and return them unchanged in inference.

    Every image gets its own random numbers. They depend only on the layer, its seed and the training step.
    `layer(images)` runs in training mode unless `training=False` is given.

    Args:
        seed: an integer that fixes the random numbers of this layer, whatever the model's seed is.
    """

    def _lamina_places(self, key: Drawn | None, shape: Sizes) -> Array | None:
        return None if key is None else self._lamina_matrix(shape, **self._lamina_drawn(key, shape))

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array | None:
        return None

    def _lamina_key(self) -> Array:
        return drawn_key(self)

    def _lamina_with(self, key: Array | None, x: Array) -> Array:
        x = x.astype(self.compute_dtype)
        if key is None:
            return x
        return channels_last(self, lambda images: self._lamina_change(key, images), x).astype(x.dtype)

    def call(self, x: Array, training: bool = False) -> Array:
        return self._lamina_with(self._lamina_key() if training else None, x)
