"""Batches of images that an `ImageDataGenerator` changes, from an array, folders, or a frame with names of files."""

from __future__ import annotations

import os
from collections.abc import Iterator as Iterating
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike

from lamina import utils
from lamina._arrays.arrays import HostArray
from lamina._messages.tracebacks import user_facing, warn
from lamina.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from lamina.compat.preprocessing.image import ImageDataGenerator

__all__ = ["DataFrameIterator", "DirectoryIterator", "Iterator", "NumpyArrayIterator"]

FORMATS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}


class Iterator(utils.PyDataset):
    """Yields batches without end, in a new order in each pass. `len` is the number of batches in a pass.

    Args:
        n: the number of rows.
        batch_size: the number of rows in a batch.
        shuffle: whether the order is random.
        seed: NumPy's seed is set to it plus the number of the batch, for the order and for the changes.
        kwargs: arguments of `PyDataset`.
    """

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n, self.batch_size, self.shuffle, self.seed = n, batch_size, shuffle, seed
        self.batch_index = self.total_batches_seen = 0
        self.index_array: Any = None

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._count()
        if self.batch_index == 0:
            self.on_epoch_end()
        batch, self.batch_index = self.batch_index, (self.batch_index + 1) % max(1, len(self))
        return self._get_batches_of_transformed_samples(self._rows(batch))

    next = __next__

    @user_facing
    def __getitem__(self, idx: int) -> Any:
        if not 0 <= idx < len(self):
            raise DataError(f"there are {len(self)} batches, none of the number {idx}.")
        self._count()
        if self.index_array is None:
            self.on_epoch_end()
        return self._get_batches_of_transformed_samples(self._rows(idx))

    def on_epoch_end(self) -> None:
        """Draw the order of the rows in the next pass."""
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def reset(self) -> None:
        """Start the pass again."""
        self.batch_index = 0

    def _count(self) -> None:
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)
        self.total_batches_seen += 1

    def _rows(self, batch: int) -> Any:
        return self.index_array[self.batch_size * batch : self.batch_size * (batch + 1)]

    def _get_batches_of_transformed_samples(self, index_array: HostArray) -> Any:
        """The batch of these rows."""
        raise NotImplementedError


def _saved(images: HostArray, rows: HostArray, of: Any) -> None:
    """Write the changed images to the folder `save_to_dir`, if it is given."""
    for image, row in zip(images, rows, strict=True):
        name = f"{of.save_prefix}_{row}_{np.random.randint(10**7)}.{of.save_format}"
        utils.save_img(os.path.join(of.save_to_dir, name), image, of.data_format)


class NumpyArrayIterator(Iterator):
    """Batches of an array of images; see `ImageDataGenerator.flow`."""

    @user_facing
    def __init__(
        self, x: Any, y: Any, image_data_generator: ImageDataGenerator, batch_size: int = 32, shuffle: bool = False,
        sample_weight: Any = None, seed: int | None = None, data_format: str | None = None,
        save_to_dir: str | None = None, save_prefix: str = "", save_format: str = "png", subset: str | None = None,
        ignore_class_split: bool = False, dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        self.dtype = dtype or image_data_generator.dtype
        x, *others = x if isinstance(x, (tuple, list)) else (x,)
        others = others[0] if others and isinstance(others[0], list) else others
        parts: list[Any] = [np.asarray(x, self.dtype), *map(np.asarray, others)]
        parts += [None if part is None else np.asarray(part) for part in (y, sample_weight)]
        if any(part is not None and len(part) != len(x) for part in parts):
            shapes = ", ".join(str(part.shape) for part in parts if part is not None)
            raise DataError(f"the images and what belongs to them have one row each; got the shapes {shapes}.")
        if parts[0].ndim != 4:
            raise DataError(f"expected images, (batch, rows, columns, channels), got the shape {parts[0].shape}.")
        if subset is not None:
            kept = part_of(subset, image_data_generator, len(x))
            rest = np.setdiff1d(np.arange(len(x)), np.arange(len(x))[kept])
            if y is not None and not ignore_class_split:
                classes = [set(np.unique(np.asarray(y)[rows], axis=0).ravel().tolist()) for rows in (kept, rest)]
                if classes[0] != classes[1]:
                    raise DataError("the two subsets have different classes: shuffle the rows, which are sorted.")
            parts = [part if part is None else part[kept] for part in parts]
        self.x, *self.x_misc, self.y, self.sample_weight = parts
        self.image_data_generator, self.data_format = image_data_generator, image_data_generator.data_format
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _get_batches_of_transformed_samples(self, index_array: HostArray) -> Any:
        images = np.stack([self.image_data_generator._changed(self.x[row].astype(self.dtype)) for row in index_array])
        if self.save_to_dir:
            _saved(images, index_array, self)
        x = [images, *(part[index_array] for part in self.x_misc)] if self.x_misc else images
        if self.y is None:
            return x
        parts = (self.y,) if self.sample_weight is None else (self.y, self.sample_weight)
        return (x, *(part[index_array] for part in parts))


def part_of(subset: str, generator: ImageDataGenerator, count: int) -> slice:
    """The rows of a subset. The first rows are the validation data."""
    if subset not in ("training", "validation"):
        raise ArgumentError(f"subset={subset!r}: expected 'training' or 'validation'.")
    held = int(count * generator.validation_split)
    return slice(held) if subset == "validation" else slice(held, None)


class FileIterator(Iterator):
    """Batches of images in files, which are read when they are needed."""

    filepaths: list[str]
    classes: Any
    class_indices: dict[str, int]
    sample_weight: Any = None

    def _begin(
        self, generator: ImageDataGenerator, target_size: Sequence[int], color_mode: str, class_mode: str | None,
        **told: Any,
    ) -> None:  # fmt: skip
        """Store the settings that each batch needs."""
        if color_mode not in CHANNELS:
            raise ArgumentError(f"color_mode={color_mode!r}: expected 'grayscale', 'rgb' or 'rgba'.")
        self.image_data_generator, self.target_size = generator, tuple(target_size)
        self.color_mode, self.class_mode = color_mode, class_mode
        self.data_format, self.dtype = generator.data_format, generator.dtype
        channels = (CHANNELS[color_mode],)
        last = self.data_format == "channels_last"
        self.image_shape = (*self.target_size, *channels) if last else (*channels, *self.target_size)
        vars(self).update(told)

    def _read(self, path: str) -> Any:
        image = utils.load_img(
            path, color_mode=self.color_mode, target_size=self.target_size,  # type: ignore[arg-type]
            interpolation=self.interpolation, keep_aspect_ratio=self.keep_aspect_ratio,  # type: ignore[attr-defined]
        )  # fmt: skip
        return self.image_data_generator._changed(utils.img_to_array(image, self.data_format, self.dtype))  # type: ignore[arg-type]

    def _get_batches_of_transformed_samples(self, index_array: HostArray) -> Any:
        images = np.array([self._read(self.filepaths[row]) for row in index_array], self.dtype)
        if self.save_to_dir:  # type: ignore[attr-defined]
            _saved(images, index_array, self)
        if self.class_mode is None:
            return images
        y = self._targets(images, index_array)
        return (images, y) if self.sample_weight is None else (images, y, self.sample_weight[index_array])

    def _targets(self, images: HostArray, rows: HostArray) -> Any:
        if self.class_mode == "input":
            return images.copy()
        if self.class_mode == "raw":
            return self.labels[rows]
        if self.class_mode == "multi_output":
            return [column[rows] for column in self.labels]
        found = [self.classes[row] for row in rows]
        if self.class_mode in ("binary", "sparse"):
            return np.array(found, self.dtype)
        y = np.zeros((len(rows), len(self.class_indices)), self.dtype)
        for row, classes in zip(y, found, strict=True):
            row[classes] = 1
        return y

    @property
    def labels(self) -> Any:
        """The class, or another target, of every image."""
        return self.classes


class DirectoryIterator(FileIterator):
    """Batches of images in folders; see `ImageDataGenerator.flow_from_directory`."""

    @user_facing
    def __init__(
        self, directory: str, image_data_generator: ImageDataGenerator, target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb", classes: Sequence[str] | None = None, class_mode: str | None = "categorical",
        batch_size: int = 32, shuffle: bool = True, seed: int | None = None, data_format: str | None = None,
        save_to_dir: str | None = None, save_prefix: str = "", save_format: str = "png", follow_links: bool = False,
        subset: str | None = None, interpolation: str = "nearest", keep_aspect_ratio: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:  # fmt: skip
        if class_mode not in ("categorical", "binary", "sparse", "input", None):
            raise ArgumentError(
                f"class_mode={class_mode!r}: expected 'categorical', 'binary', 'sparse', 'input' or None."
            )
        self._begin(
            image_data_generator, target_size, color_mode, class_mode, save_to_dir=save_to_dir,
            save_prefix=save_prefix, save_format=save_format, interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
        )  # fmt: skip
        self.directory = directory
        names = list(classes or sorted(each.name for each in os.scandir(directory) if each.is_dir()))
        self.class_indices, self.num_classes = {name: number for number, name in enumerate(names)}, len(names)
        found: list[tuple[str, int]] = []
        for number, name in enumerate(names):
            files = list(_images_below(directory, name, follow_links))
            files = files if subset is None else files[part_of(subset, image_data_generator, len(files))]
            found += [(file, number) for file in files]
        self.filenames = [file for file, _ in found]
        self.filepaths = [os.path.join(directory, file) for file in self.filenames]
        self.classes = np.array([number for _, number in found], "int32")
        self.samples = len(found)
        print(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        super().__init__(self.samples, batch_size, shuffle, seed)


def _images_below(directory: str, name: str, follow_links: bool) -> Iterating[str]:
    """The images in a folder and its subfolders, by their paths relative to `directory`."""
    for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=follow_links)):
        for file in sorted(files):
            if file.lower().endswith(FORMATS):
                yield os.path.relpath(os.path.join(folder, file), directory)


class DataFrameIterator(FileIterator):
    """Batches of images whose names are in a frame; see `ImageDataGenerator.flow_from_dataframe`."""

    @user_facing
    def __init__(
        self, dataframe: Any, directory: str | None = None, image_data_generator: ImageDataGenerator | None = None,
        x_col: str = "filename", y_col: Any = "class", weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256), color_mode: str = "rgb", classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical", batch_size: int = 32, shuffle: bool = True, seed: int | None = None,
        save_to_dir: str | None = None, save_prefix: str = "", save_format: str = "png", subset: str | None = None,
        interpolation: str = "nearest", keep_aspect_ratio: bool = False, validate_filenames: bool = True,
    ) -> None:  # fmt: skip
        assert image_data_generator is not None, "flow_from_dataframe gives it"
        modes = ("binary", "categorical", "input", "multi_output", "raw", "sparse", None)
        if class_mode not in modes:
            raise ArgumentError(f"class_mode={class_mode!r}: expected one of {', '.join(map(repr, modes))}.")
        self._begin(
            image_data_generator, target_size, color_mode, class_mode, save_to_dir=save_to_dir,
            save_prefix=save_prefix, save_format=save_format, interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
        )  # fmt: skip
        self.directory = directory or ""
        frame = dataframe
        if not all(isinstance(name, str) for name in frame[x_col]):
            raise DataError(f"x_col={x_col!r}: expected the names of files.")
        if validate_filenames:
            frame = self._readable(frame, x_col)
        if class_mode in ("binary", "categorical", "sparse"):
            frame = self._number_classes(frame, y_col, classes)
        if subset is not None:
            frame = frame.iloc[part_of(subset, image_data_generator, len(frame))]
        self.filenames = [str(name) for name in frame[x_col]]
        self.filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        self.samples = len(self.filenames)
        if class_mode in ("binary", "categorical", "sparse"):
            self.classes = [_numbers(label, self.class_indices) for label in frame[y_col]]
        elif class_mode == "raw":
            self.classes = frame[y_col].to_numpy()
        elif class_mode == "multi_output":
            self.classes = [np.array(list(frame[column])) for column in y_col]
        self.sample_weight = None if weight_col is None else frame[weight_col].to_numpy()
        named = class_mode in ("binary", "categorical", "sparse")
        known = f" belonging to {len(self.class_indices)} classes" if named else ""
        print(f"Found {self.samples} {'non-' * (not validate_filenames)}validated image filenames{known}.")
        super().__init__(self.samples, batch_size, shuffle, seed)

    def _readable(self, frame: Any, x_col: str) -> Any:
        paths = [os.path.join(self.directory, name) for name in frame[x_col]]
        there = np.array([path.lower().endswith(FORMATS) and os.path.isfile(path) for path in paths], bool)
        if not there.all():
            warn(f"{(~there).sum()} of {len(there)} names in {x_col!r} are not images, and are left out.")
        return frame[there]

    def _number_classes(self, frame: Any, y_col: str, classes: Sequence[str] | None) -> Any:
        """Set `class_indices`, and leave out rows of other classes."""
        labels = [label if isinstance(label, (list, tuple)) else [label] for label in frame[y_col]]
        several = self.class_mode == "categorical"
        if not all(isinstance(each, str) for label in labels for each in label) or (
            not several and any(isinstance(label, (list, tuple)) for label in frame[y_col])
        ):
            raise DataError(f"y_col={y_col!r}: class_mode={self.class_mode!r} takes the names of classes, as text.")
        names = list(dict.fromkeys(classes)) if classes else sorted({each for label in labels for each in label})
        if self.class_mode == "binary" and len(names) != 2:
            raise DataError(f"class_mode='binary' takes 2 classes, got {len(names)}.")
        self.class_indices = {name: number for number, name in enumerate(names)}
        return frame[np.array([any(each in self.class_indices for each in label) for label in labels], bool)]


def _numbers(label: Any, indices: dict[str, int]) -> Any:
    if isinstance(label, (list, tuple)):
        return [indices[each] for each in label if each in indices]
    return indices[label]
