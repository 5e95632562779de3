"""`ImageDataGenerator`, which augments images while they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from lamina import config
from lamina._messages.tracebacks import user_facing, warn
from lamina.compat.preprocessing import transforms
from lamina.compat.preprocessing.iterators import (
    DataFrameIterator,
    DirectoryIterator,
    Iterator,
    NumpyArrayIterator,
)
from lamina.compat.preprocessing.transforms import (
    Image,
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    pair,
)
from lamina.compat.preprocessing.transforms import random_brightness as random_brightness
from lamina.compat.preprocessing.transforms import random_channel_shift as random_channel_shift
from lamina.compat.preprocessing.transforms import random_rotation as random_rotation
from lamina.compat.preprocessing.transforms import random_shear as random_shear
from lamina.compat.preprocessing.transforms import random_shift as random_shift
from lamina.compat.preprocessing.transforms import random_zoom as random_zoom
from lamina.errors import ArgumentError
from lamina.preprocessing.image import array_to_img as array_to_img
from lamina.preprocessing.image import img_to_array as img_to_array
from lamina.preprocessing.image import load_img as load_img
from lamina.preprocessing.image import save_img as save_img
from lamina.preprocessing.image import smart_resize as smart_resize

__all__ = [
    *transforms.__all__, "DataFrameIterator", "DirectoryIterator", "ImageDataGenerator", "Iterator",
    "NumpyArrayIterator", "array_to_img", "img_to_array", "load_img", "save_img", "smart_resize",
]  # fmt: skip


class Axes(NamedTuple):
    """The indices of the axes of one image."""

    row_axis: int
    col_axis: int
    channel_axis: int


class ImageDataGenerator:
    """Reads batches of images, changes each image at random within the given ranges, and scales it.

    Args:
        featurewise_center, featurewise_std_normalization: whether to subtract the mean of all images, and to divide by
            their standard deviation, for each channel; `fit` learns both.
        samplewise_center, samplewise_std_normalization: the same with the mean and the deviation of each image.
        zca_whitening, zca_epsilon: whether to remove the correlations of all pixels, which `fit` learns.
        rotation_range: the largest angle of the rotation, in degrees.
        width_shift_range, height_shift_range: the largest shift as a fraction of the size, or a list of pixels.
        brightness_range: the range of the factor of the brightness.
        shear_range: the largest angle of the shear, in degrees.
        zoom_range: the range of the zoom of each axis, or the largest difference from 1.
        channel_shift_range: the largest number that is added to all channels.
        fill_mode, cval: how the area outside of a changed image is filled, and the value for "constant".
        horizontal_flip, vertical_flip: whether half of the images are flipped.
        rescale: a factor for all values.
        preprocessing_function: a function of the changed image, called before the scaling.
        data_format: "channels_last" or "channels_first".
        validation_split: the fraction of the images that `subset="validation"` reads.
        interpolation_order: the order of the interpolation, 0 to 5.
        dtype: the dtype of the images.
    """

    @user_facing
    def __init__(
        self, featurewise_center: bool = False, samplewise_center: bool = False,
        featurewise_std_normalization: bool = False, samplewise_std_normalization: bool = False,
        zca_whitening: bool = False, zca_epsilon: float = 1e-6, rotation_range: float = 0,
        width_shift_range: float | Sequence[float] = 0.0, height_shift_range: float | Sequence[float] = 0.0,
        brightness_range: Sequence[float] | None = None, shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0, channel_shift_range: float = 0.0,
        fill_mode: str = "nearest", cval: float = 0.0, horizontal_flip: bool = False,
        vertical_flip: bool = False, rescale: float | None = None,
        preprocessing_function: Callable[[Image], Image] | None = None, data_format: str | None = None,
        validation_split: float = 0.0, interpolation_order: int = 1, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.data_format = data_format or config.image_data_format()
        if self.data_format not in ("channels_last", "channels_first"):
            raise ArgumentError(f"data_format={data_format!r}: expected 'channels_last' or 'channels_first'.")
        if validation_split and not 0 < validation_split < 1:
            raise ArgumentError(f"validation_split={validation_split!r}: expected a share between 0 and 1.")
        wide = (
            [1 - zoom_range, 1 + zoom_range] if isinstance(zoom_range, (int, float)) else pair(zoom_range, "zoom_range")
        )
        self.zoom_range = list(wide)
        self.brightness_range = None if brightness_range is None else pair(brightness_range, "brightness_range")
        if zca_whitening and featurewise_std_normalization:
            warn("zca_whitening already divides by the deviation: featurewise_std_normalization has no effect.")
            featurewise_std_normalization = False
        self.featurewise_center = featurewise_center or featurewise_std_normalization or zca_whitening
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.channel_shift_range, self.fill_mode, self.cval = channel_shift_range, fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.validation_split, self.interpolation_order = validation_split, interpolation_order
        self.dtype = dtype or config.floatx()
        self._axes = Axes(0, 1, 2) if self.data_format == "channels_last" else Axes(1, 2, 0)
        self.mean: Image | None = None
        self.std: Image | None = None
        self.zca_whitening_matrix: Image | None = None

    def flow(
        self, x: Any, y: Any = None, batch_size: int = 32, shuffle: bool = True, sample_weight: Any = None,
        seed: int | None = None, save_to_dir: str | None = None, save_prefix: str = "", save_format: str = "png",
        ignore_class_split: bool = False, subset: str | None = None,
    ) -> NumpyArrayIterator:  # fmt: skip
        """Batches of an array of images.

        Args:
            x: the images, (batch, rows, columns, channels); or a tuple of them and of other arrays.
            y: the targets.
            batch_size: the number of rows in a batch.
            shuffle: whether the order is random.
            sample_weight: a weight for every row.
            seed: the seed of the order and of the changes.
            save_to_dir, save_prefix, save_format: the folder to which changed images are written, and their names.
            ignore_class_split: whether the two subsets may have different classes.
            subset: "training" or "validation", with `validation_split`.
        """
        return NumpyArrayIterator(
            x, y, self, batch_size, shuffle, sample_weight, seed, None, save_to_dir, save_prefix, save_format, subset,
            ignore_class_split,
        )  # fmt: skip

    def flow_from_directory(
        self, directory: str, target_size: Sequence[int] = (256, 256), **told: Any
    ) -> DirectoryIterator:
        """Batches of images in folders, with one folder for each class.

        Args:
            directory: the folder with a folder for each class.
            target_size: the numbers of rows and columns to which each image is resized.
            told: color_mode="rgb", classes=None, class_mode="categorical" ("binary", "sparse", "input", None),
                batch_size=32, shuffle=True, seed, save_to_dir, save_prefix, save_format, follow_links, subset,
                interpolation="nearest", keep_aspect_ratio.
        """
        return DirectoryIterator(directory, self, target_size, **told)

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | None = None,
        x_col: str = "filename",
        y_col: str | Sequence[str] = "class",
        **told: Any,
    ) -> DataFrameIterator:
        """Batches of images whose names are in a frame of pandas.

        Args:
            dataframe: the frame.
            directory: the folder of the files.
            x_col: the column with the names.
            y_col: the column with the classes, or columns of numbers for class_mode="raw".
            told: as in `flow_from_directory`; weight_col, a column of weights; validate_filenames=True.
        """
        if told.get("class_mode") == "other":
            told["class_mode"] = "raw"
        for old in ("has_ext", "sort", "drop_duplicates"):
            told.pop(old, None)
        return DataFrameIterator(dataframe, directory, self, x_col, y_col, **told)

    def standardize(self, x: Image) -> Image:
        """Scale and center an image by the settings."""
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        x = x * self.rescale if self.rescale else x
        x = x - x.mean() if self.samplewise_center else x
        x = x / (x.std() + 1e-6) if self.samplewise_std_normalization else x
        for wanted, learned in (
            (self.featurewise_center, self.mean), (self.featurewise_std_normalization, self.std),
            (self.zca_whitening, self.zca_whitening_matrix),
        ):  # fmt: skip
            if wanted and learned is None:
                warn("this ImageDataGenerator has learned no mean yet: call fit(images) first.")
        x = x - self.mean if self.featurewise_center and self.mean is not None else x
        x = x / (self.std + 1e-6) if self.featurewise_std_normalization and self.std is not None else x
        if self.zca_whitening and self.zca_whitening_matrix is not None:
            x = (x.reshape(-1, x.size if x.ndim == 3 else x[0].size) @ self.zca_whitening_matrix).reshape(x.shape)
        return x

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Draw the numbers for `apply_transform` within the ranges."""
        if seed is not None:
            np.random.seed(seed)
        draw = np.random.uniform
        theta = draw(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        tx = _shift(self.height_shift_range, img_shape[self._axes.row_axis])
        ty = _shift(self.width_shift_range, img_shape[self._axes.col_axis])
        shear = draw(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx, zy = (1, 1) if self.zoom_range == [1, 1] else draw(self.zoom_range[0], self.zoom_range[1], 2)
        horizontal = (np.random.random() < 0.5) * self.horizontal_flip
        vertical = (np.random.random() < 0.5) * self.vertical_flip
        added = draw(-self.channel_shift_range, self.channel_shift_range) if self.channel_shift_range else None
        bright = None if self.brightness_range is None else draw(*self.brightness_range)
        return {
            "theta": theta, "tx": tx, "ty": ty, "shear": shear, "zx": zx, "zy": zy, "flip_horizontal": horizontal,
            "flip_vertical": vertical, "channel_shift_intensity": added, "brightness": bright,
        }  # fmt: skip

    def apply_transform(self, x: Image, transform_parameters: dict[str, Any]) -> Image:
        """Change one image by the numbers of `get_random_transform`. Missing numbers change nothing."""
        told = dict(transform_parameters)
        horizontal, vertical = told.pop("flip_horizontal", False), told.pop("flip_vertical", False)
        added, bright = told.pop("channel_shift_intensity", None), told.pop("brightness", None)
        x = apply_affine_transform(
            x, **told, **self._axes._asdict(), fill_mode=self.fill_mode, cval=self.cval, order=self.interpolation_order
        )
        x = x if added is None else apply_channel_shift(x, added, self._axes.channel_axis)
        x = np.flip(x, self._axes.col_axis) if horizontal else x
        x = np.flip(x, self._axes.row_axis) if vertical else x
        return x if bright is None else apply_brightness_shift(x, bright, False)

    def random_transform(self, x: Image, seed: int | None = None) -> Image:
        """Change one image at random."""
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    @user_facing
    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Learn the mean, the deviation and the correlations of images.

        Args:
            x: the images, (batch, rows, columns, channels).
            augment: whether to learn from changed images.
            rounds: the number of changed copies of each image.
            seed: the seed of the changes.
        """
        images = np.array(x, self.dtype)
        if images.ndim != 4:
            raise ArgumentError(f"fit takes images, (batch, rows, columns, channels), got the shape {images.shape}.")
        if seed is not None:
            np.random.seed(seed)
        images = images * self.rescale if self.rescale else images
        if augment:
            images = np.stack([self.random_transform(image) for _ in range(rounds) for image in images])
        axes = (0, self._axes.row_axis + 1, self._axes.col_axis + 1)
        if self.featurewise_center:
            self.mean = images.mean(axes, keepdims=True)[0]
            images = images - self.mean
        if self.featurewise_std_normalization:
            self.std = images.std(axes, keepdims=True)[0]
            images = images / (self.std + 1e-6)
        if self.zca_whitening:
            u, s, _ = np.linalg.svd(images.reshape(len(images), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (u * (np.sqrt(len(images)) / (s + self.zca_epsilon))) @ u.T

    def _changed(self, x: Image) -> Image:
        return self.standardize(self.random_transform(x))


def _shift(allowed: float | Sequence[float], size: int) -> float:
    """Draw a shift in pixels: a number from a list, with either sign, or up to a fraction of the size."""
    if not np.any(allowed):
        return 0
    if isinstance(allowed, float):
        shift = np.random.uniform(-allowed, allowed)
    else:
        shift = np.random.choice(allowed) * np.random.choice([-1, 1])
    return float(shift * size if np.max(allowed) < 1 else shift)
