"""The functions of Keras's `ops.image`, for one image (height, width, channels) or a batch of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.scipy import ndimage

from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._kernels.images import FILL_MODES, blur, from_hsv, gray, grid, homography, project, sample, to_hsv
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import one_of, per_axis
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.convolution.depthwise import convolve_channels
from lamina.layers.image.resizing import fitted, padded, resized
from lamina.ops.core import saturate_cast
from lamina.ops.tensors import Tensor, floats, tensor
from lamina.ops.windows import Sizes, channels_last, patches
from lamina.random import Seed, normal

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d",
    "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "resize",
    "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim",
]  # fmt: skip

interpolations = one_of("bilinear", "nearest")
fill_modes = one_of(*FILL_MODES, "mirror")


def _batched(function: Callable[[Array], Array], images: Array, data_format: str | None, rank: int = 4) -> Array:
    """Applies a function of images (batch, height, width, channels) to images without a batch or channels first."""
    if images.ndim not in (rank - 1, rank):
        raise ShapeError(f"expected {rank - 1} axes, or {rank} with a batch, got shape {images.shape}.")
    y = channels_last(function, images if images.ndim == rank else images[None], data_format)
    return y if images.ndim == rank else y[0]


def _computed(function: Callable[[Array], Array], images: Tensor, data_format: str | None) -> Array:
    """The same, computed in floats; the result has the dtype of the images, and integers are rounded."""
    x = tensor(images)
    y = _batched(function, floats(x), data_format)
    return y.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else saturate_cast(jnp.round(y), x.dtype)


@user_facing
def affine_transform(
    images: Tensor, transform: Tensor, interpolation: str = "bilinear", fill_mode: str = "constant",
    fill_value: float = 0, data_format: str | None = None,
) -> Array:  # fmt: skip
    """Each pixel (x, y) is read at `((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)` with `k = c0 x + c1 y + 1`.

    Args:
        transform: a0, a1, a2, b0, b1, b2, c0, c1, for all images or for each image: (8,) or (batch, 8).
        interpolation: "bilinear" or "nearest".
        fill_mode: the values beyond the edges: "constant" for `fill_value`, "nearest", "wrap", "mirror", "reflect".
    """
    values = floats(transform)
    if values.ndim not in (1, 2) or values.shape[-1] != 8:
        raise ShapeError(f"affine_transform takes transforms (8,) or (batch, 8), got {values.shape}.")
    matrix = jnp.pad(jnp.atleast_2d(values), ((0, 0), (0, 1)), constant_values=1).reshape((-1, 3, 3))
    return _projected(images, matrix, interpolation, fill_mode, fill_value, data_format)


def _projected(
    images: Tensor, matrix: Array, interpolation: str, fill_mode: str, fill_value: float, data_format: str | None
) -> Array:
    fill = fill_value if jnp.issubdtype(tensor(images).dtype, jnp.floating) else int(fill_value)
    how = interpolations(interpolation), fill_modes(fill_mode), fill
    return _computed(lambda x: project(x, jnp.broadcast_to(matrix, (len(x), 3, 3)), *how), images, data_format)


@user_facing
def perspective_transform(
    images: Tensor, start_points: Tensor, end_points: Tensor, interpolation: str = "bilinear", fill_value: float = 0,
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """Moves the pixels at four points (x, y) of `start_points` to those of `end_points`, by a change of perspective.

    Args:
        start_points, end_points: (4, 2) for all images, or (batch, 4, 2).
    """
    start, end = tensor(start_points, "float32"), tensor(end_points, "float32")
    if start.shape[-2:] != (4, 2) or start.shape != end.shape or start.ndim > 3:
        raise ShapeError(f"perspective_transform takes points (4, 2) or (batch, 4, 2), got {start.shape}, {end.shape}.")
    matrix = homography(start.reshape((-1, 4, 2)), end.reshape((-1, 4, 2)))
    return _projected(images, matrix, interpolation, "constant", fill_value, data_format)


@user_facing
def elastic_transform(
    images: Tensor, alpha: float = 20.0, sigma: float = 5.0, interpolation: str = "bilinear",
    fill_mode: str = "reflect", fill_value: float = 0.0, seed: Seed = None, data_format: str | None = None,
) -> Array:  # fmt: skip
    """Moves each pixel by `alpha` times a smooth random field; as in Keras, both directions use the same field.

    Args:
        sigma: the smoothness and the strength of the field.
        seed: equal integers give equal fields.
    """
    size = int(6 * sigma) | 1
    how = interpolations(interpolation), fill_modes(fill_mode), fill_value

    def moved(x: Array) -> Array:
        noise = normal(x.shape[:3], dtype=x.dtype, seed=seed) * sigma
        field = blur(noise[..., None], (size, size), jnp.full((1, 2), sigma, x.dtype))[..., 0]
        rows, columns = grid(x)
        return sample(x, rows + alpha * field, columns + alpha * field, *how)

    return _computed(moved, images, data_format)


@user_facing
def map_coordinates(
    inputs: Tensor, coordinates: Tensor, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Array:
    """The values of an array of n axes at `coordinates`, (n, ...).  -> (...)

    Args:
        order: 1 to interpolate between elements, 0 to use the nearest element.
    """
    x, places = tensor(inputs), tensor(coordinates)
    if places.ndim < 2 or len(places) != x.ndim:
        raise ShapeError(f"map_coordinates takes coordinates ({x.ndim}, ...) for shape {x.shape}, got {places.shape}.")
    if order not in (0, 1):
        raise ArgumentError(f"map_coordinates(order={order!r}): order is 0 or 1.")
    found: Array = ndimage.map_coordinates(x, places, order, fill_modes(fill_mode), fill_value)  # type: ignore[arg-type]
    return found


@user_facing
def resize(
    images: Tensor, size: Sequence[int], interpolation: str = "bilinear", antialias: bool = False,
    crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False, fill_mode: str = "constant",
    fill_value: float = 0.0, data_format: str | None = None,
) -> Array:  # fmt: skip
    """Scales images to `size`, (height, width); integer images are rounded to integers.

    Args:
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        antialias: whether to smooth an image before it gets smaller.
        crop_to_aspect_ratio: whether to crop the image first to the largest window with the aspect ratio of `size`.
        pad_to_aspect_ratio: whether to pad the image first with `fill_value` to the aspect ratio of `size`.
        fill_mode: "constant", the only supported padding.
    """
    height, width = per_axis(2)(tuple(size))
    method = one_of("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")(interpolation)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("resize: crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be True.")
    if pad_to_aspect_ratio:
        one_of("constant")(fill_mode)

    def scaled(x: Array) -> Array:
        x = fitted(x, height, width) if crop_to_aspect_ratio else x
        x = padded(x, height, width, fill_value) if pad_to_aspect_ratio else x
        return resized(x, height, width, method, antialias)

    return _computed(scaled, images, data_format)


@user_facing
def scale_and_translate(
    images: Tensor, output_shape: Sequence[int], scale: Tensor, translation: Tensor, spatial_dims: Sequence[int],
    method: str, antialias: bool = True,
) -> Array:  # fmt: skip
    """Scales and shifts images along `spatial_dims`; the result has the shape `output_shape`.

    Args:
        scale, translation: one number for each of `spatial_dims`.
        method: "linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3" or "lanczos5".
    """
    moves = floats(scale), floats(translation)
    moved: Array = jax.image.scale_and_translate(tensor(images), output_shape, spatial_dims, *moves, method, antialias)
    return moved


@user_facing
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Array:
    """The brightness of red, green and blue together: 3 channels -> 1. One channel stays unchanged."""
    x = tensor(images)

    def weighed(x: Array) -> Array:
        if x.shape[-1] not in (1, 3):
            raise ShapeError(f"rgb_to_grayscale takes 3 channels or 1, got {x.shape[-1]}.")
        return gray(x)

    return _batched(weighed, floats(x), data_format).astype(x.dtype)


def _colours(function: Callable[[Array], Array], images: Tensor, data_format: str | None) -> Array:
    x = tensor(images)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ArgumentError(f"images are floats from 0 to 1 here, got {x.dtype}.")
    return _batched(function, x, data_format)


@user_facing
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Array:
    """Converts red, green and blue, from 0 to 1, to hue, saturation and value, from 0 to 1."""
    return _colours(lambda x: jnp.stack(to_hsv(x), -1), images, data_format)


@user_facing
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Array:
    """Converts hue, saturation and value, from 0 to 1, to red, green and blue."""
    return _colours(lambda x: from_hsv(x[..., 0], x[..., 1], x[..., 2]), images, data_format)


@user_facing
def gaussian_blur(
    images: Tensor, kernel_size: Sizes = (3, 3), sigma: float | Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """Blurs images: each pixel is the mean of those around it, weighted by a Gaussian, with zeros around the image.

    Args:
        kernel_size: the size of the window of the mean, in x and y direction.
        sigma: the standard deviation of the Gaussian in pixels, in x and y direction.
    """
    width, height = per_axis(2)(kernel_size)
    spreads = jnp.broadcast_to(floats(sigma), (1, 2))
    return _computed(lambda x: blur(x, (width, height), spreads.astype(x.dtype)), images, data_format)


SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


@user_facing
def sobel_edges(images: Tensor, data_format: str | None = None) -> Array:
    """The difference of neighbouring pixels along rows and along columns, in a new last axis of size 2."""
    x = tensor(images)
    across = jnp.asarray(SOBEL, x.dtype)
    told = (1, 1), "same", (1, 1)

    def edges(weights: Array) -> Array:
        return _batched(lambda x: convolve_channels(x, _kernel(weights, x), *told), x, data_format)

    return jnp.stack([edges(across.T), edges(across)], -1)


def _kernel(weights: Array, images: Array) -> Array:
    """One filter, repeated for every channel.  -> (rows, columns, channels, 1)"""
    return jnp.broadcast_to(weights[..., None, None], (*weights.shape, images.shape[-1], 1))


@user_facing
def ssim(
    image1: Tensor, image2: Tensor, max_val: float = 1.0, filter_size: int = 11, filter_sigma: float = 1.5,
    k1: float = 0.01, k2: float = 0.03, data_format: str | None = None,
) -> Array:  # fmt: skip
    """The structural similarity of two images, 1 if they are equal: -> (batch,), or () for one image.

    Args:
        max_val: the difference between the largest and the smallest possible pixel value.
        filter_size, filter_sigma: the size and standard deviation of the Gaussian window for local means.
        k1, k2: small constants that keep divisions by small means and variances finite.

    Source: Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861
    """
    a, b = tensor(image1), tensor(image2)
    dtype = jnp.promote_types(a.dtype, "float32")
    offset = jnp.arange(filter_size, dtype=dtype) - (filter_size - 1) / 2
    curve = jnp.exp(-jnp.square(offset) / (2.0 * filter_sigma**2))
    weights = jnp.outer(curve, curve) / jnp.square(jnp.sum(curve))
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2

    def likeness(pair: Array) -> Array:  # (batch, height, width, 2 * channels)
        x, y = jnp.split(pair, 2, -1)

        def local(z: Array) -> Array:
            return convolve_channels(z, _kernel(weights, z), (1, 1), "valid", (1, 1))

        mx, my = local(x), local(y)
        vx, vy, both = local(x * x) - mx * mx, local(y * y) - my * my, local(x * y) - mx * my
        found = (2 * mx * my + c1) * (2 * both + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
        return jnp.mean(found, (1, 2, 3), keepdims=True)

    pair = jnp.concatenate([a.astype(dtype), b.astype(dtype)], -1 if data_format != "channels_first" else -3)
    found = _batched(likeness, pair, data_format)
    return found.reshape(found.shape[: a.ndim - 3]).astype(a.dtype)


@user_facing
def extract_patches(
    images: Tensor, size: Sizes, strides: Sizes | None = None, dilation_rate: Sizes = 1, padding: str = "valid",
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """Windows of images as rows: (batch, height, width, channels) -> (batch, rows, columns, elements of a window).

    Args:
        size: the size of a window: one number, a pair, or three numbers for volumes.
        strides: the distance between windows; None means `size`.
    """
    rank = len(size) if isinstance(size, (tuple, list)) else 2
    if rank not in (2, 3):
        raise ArgumentError(f"extract_patches(size={size!r}): size is a number, or 2 or 3 of them.")
    found = lambda x: patches(x, size, strides, dilation_rate, padding)  # noqa: E731
    return _batched(found, tensor(images), data_format, rank + 2)


@user_facing
def extract_patches_3d(
    volumes: Tensor, size: Sizes, strides: Sizes | None = None, dilation_rate: Sizes = 1, padding: str = "valid",
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """`extract_patches` for volumes (batch, depth, height, width, channels)."""
    return extract_patches(volumes, per_axis(3)(size), strides, dilation_rate, padding, data_format)


def _margins(before: int | None, after: int | None, room: int | None, names: str) -> tuple[int, int]:
    """Two margins. One of them may be computed from the other and from the total."""
    if [before, after, room].count(None) != 1:
        raise ArgumentError(f"expected exactly two of {names}.")
    first = room - after if before is None else before  # type: ignore[operator]
    last = room - first if after is None else after  # type: ignore[operator]
    if min(first, last) < 0:
        raise ArgumentError(f"none of {names} may be below 0 or leave the others below 0, got {first} and {last}.")
    return first, last


@user_facing
def pad_images(
    images: Tensor, top_padding: int | None = None, left_padding: int | None = None,
    bottom_padding: int | None = None, right_padding: int | None = None, target_height: int | None = None,
    target_width: int | None = None, data_format: str | None = None,
) -> Array:  # fmt: skip
    """Images with zeros around them. Give two of top, bottom and height, and two of left, right and width."""

    def padded(x: Array) -> Array:
        height, width = (t and t - n for t, n in zip((target_height, target_width), x.shape[1:3], strict=True))
        rows = _margins(top_padding, bottom_padding, height, "top_padding, bottom_padding and target_height")
        columns = _margins(left_padding, right_padding, width, "left_padding, right_padding and target_width")
        return jnp.pad(x, ((0, 0), rows, columns, (0, 0)))

    return _batched(padded, tensor(images), data_format)


@user_facing
def crop_images(
    images: Tensor, top_cropping: int | None = None, left_cropping: int | None = None,
    bottom_cropping: int | None = None, right_cropping: int | None = None, target_height: int | None = None,
    target_width: int | None = None, data_format: str | None = None,
) -> Array:  # fmt: skip
    """Images without their margins. Give two of top, bottom and height, and two of left, right and width."""

    def cropped(x: Array) -> Array:
        height, width = (t and n - t for t, n in zip((target_height, target_width), x.shape[1:3], strict=True))
        top, bottom = _margins(top_cropping, bottom_cropping, height, "top_cropping, bottom_cropping and target_height")
        left, right = _margins(left_cropping, right_cropping, width, "left_cropping, right_cropping and target_width")
        return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]

    return _batched(cropped, tensor(images), data_format)


public(__name__, __all__)
