"""Datasets of the images, texts or sounds in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, overload

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.dataset import Dataset
from lamina._data.scaling import INTERPOLATIONS, fitted, padded, resampled, scaled
from lamina._data.sounds import read_sound
from lamina._messages.tracebacks import user_facing
from lamina._settings import arguments
from lamina._settings.converters import checked, flag, one_of, optional, positive, short, word
from lamina.config import data_format as format_of
from lamina.errors import ArgumentError, DataError
from lamina.utils.directories import Choice, Folder, Format, LabelMode, Labels, Subset, datasets
from lamina.utils.images import MODES, load_img, pillow

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
Names: TypeAlias = Sequence[str] | None
OnePart: TypeAlias = Literal["training", "validation"] | None
Interpolation = Literal[
    "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"
]  # fmt: skip


@overload
def image_dataset_from_directory(
    directory: Folder, labels: Labels = ..., label_mode: LabelMode = ..., class_names: Names = ...,
    color_mode: Literal["rgb", "rgba", "grayscale"] = ..., batch_size: int | None = ...,
    image_size: int | tuple[int, int] = ...,
    shuffle: bool = ..., seed: int | None = ..., validation_split: float | None = ..., *,
    subset: Literal["both"], interpolation: Interpolation = ..., follow_links: bool = ...,
    crop_to_aspect_ratio: bool = ..., pad_to_aspect_ratio: bool = ..., data_format: arguments.Format = ...,
    format: Format = ..., verbose: bool = ...,
) -> list[Dataset]: ...  # fmt: skip


@overload
def image_dataset_from_directory(
    directory: Folder, labels: Labels = ..., label_mode: LabelMode = ..., class_names: Names = ...,
    color_mode: Literal["rgb", "rgba", "grayscale"] = ..., batch_size: int | None = ...,
    image_size: int | tuple[int, int] = ...,
    shuffle: bool = ..., seed: int | None = ..., validation_split: float | None = ...,
    subset: OnePart = ..., interpolation: Interpolation = ..., follow_links: bool = ...,
    crop_to_aspect_ratio: bool = ..., pad_to_aspect_ratio: bool = ..., data_format: arguments.Format = ...,
    format: Format = ..., verbose: bool = ...,
) -> Dataset: ...  # fmt: skip


@user_facing
def image_dataset_from_directory(
    directory: Folder,
    labels: Labels = "inferred",
    label_mode: LabelMode = "int",
    class_names: Sequence[str] | None = None,
    color_mode: Literal["rgb", "rgba", "grayscale"] = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: Subset = None,
    interpolation: Interpolation = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: arguments.Format = None,
    format: Format = "tf",
    verbose: bool = True,
) -> Dataset | list[Dataset]:
    """The images in a folder, as batches (batch, height, width, channels) of float32 from 0 to 255, and their labels.

    The folder has one subfolder for each class. The files are .jpeg, .jpg, .png, .bmp and .gif; of an animated image,
    the first frame is used.

        train, validation = keras.utils.image_dataset_from_directory(
            "flowers", image_size=(180, 180), validation_split=0.2, subset="both", seed=1
        )
        model.fit(train, validation_data=validation, epochs=10)

    The dataset has `class_names` and `file_paths`, and methods such as `map`, `take` and `cache`. Several threads read
    the files again in each epoch, in advance; with `shuffle` the order is new in each epoch.

    Args:
        directory: the folder.
        labels: "inferred" makes one class of each subfolder. None gives images without labels. A list has one integer
            for each file of the folder and its subfolders, in the order of their paths.
        label_mode: "int" (int32), "categorical" (one-hot rows) or "binary" (0.0 and 1.0, for two classes). None gives
            images without labels.
        class_names: the subfolders of the classes, in the order of their labels; None means alphabetical order.
        color_mode: "rgb", "rgba" or "grayscale": 3, 4 or 1 channels.
        batch_size: the number of images in a batch; None gives single images.
        image_size: the (height, width) to which images are scaled.
        shuffle: whether the images are in random order instead of the order of their paths.
        seed: the seed of the order and of the split.
        validation_split: the fraction of the files that is used for validation.
        subset: "training", "validation", or "both" for a list of the two.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian" or "mitchellcubic".
        follow_links: whether links to folders are followed.
        crop_to_aspect_ratio: whether to take the largest window in the middle with the aspect ratio of `image_size`.
        pad_to_aspect_ratio: whether to pad an image with zeros to that aspect ratio.
        data_format: "channels_last" or "channels_first"; None means `config.image_data_format()`.
        format: has no effect: "tf" and "grain" give the same dataset.
        verbose: whether to print the number of files.

    Raises:
        MissingFileError: there is no such folder.
        DataError: the folder has no images, or lacks the classes.
        FileError: an image is damaged; raised when the dataset is read.
        MissingPackageError: Pillow is not installed.
    """
    name = "image_dataset_from_directory"
    checked(name, "color_mode", one_of(*MODES), color_mode)
    checked(name, "format", one_of("tf", "grain"), format)
    size = checked(name, "image_size", _pair, image_size)
    method = checked(name, "interpolation", word(*INTERPOLATIONS), interpolation)
    first = checked(name, "data_format", format_of, data_format) == "channels_first"
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError(f"{name}: crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be True.")
    pillow()
    height, width = size
    shape = fitted if crop_to_aspect_ratio else padded if pad_to_aspect_ratio else _as_it_is

    def read(path: str) -> HostArray:
        image = np.asarray(load_img(path, color_mode))
        shaped = shape(image if image.ndim == 3 else image[..., None], height, width)
        pixels = scaled(shaped, height, width, method)
        return pixels.transpose(2, 0, 1) if first else pixels

    choice = Choice(
        name, directory, IMAGES, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, verbose,
    )  # fmt: skip
    return _one_or_both(datasets(choice, read))


@overload
def text_dataset_from_directory(
    directory: Folder, labels: Labels = ..., label_mode: LabelMode = ..., class_names: Names = ...,
    batch_size: int | None = ..., max_length: int | None = ...,
    shuffle: bool = ..., seed: int | None = ..., validation_split: float | None = ..., *,
    subset: Literal["both"], follow_links: bool = ..., format: Format = ..., verbose: bool = ...,
) -> list[Dataset]: ...  # fmt: skip


@overload
def text_dataset_from_directory(
    directory: Folder, labels: Labels = ..., label_mode: LabelMode = ..., class_names: Names = ...,
    batch_size: int | None = ..., max_length: int | None = ...,
    shuffle: bool = ..., seed: int | None = ..., validation_split: float | None = ...,
    subset: OnePart = ..., follow_links: bool = ..., format: Format = ..., verbose: bool = ...,
) -> Dataset: ...  # fmt: skip


@user_facing
def text_dataset_from_directory(
    directory: Folder,
    labels: Labels = "inferred",
    label_mode: LabelMode = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: Subset = None,
    follow_links: bool = False,
    format: Format = "tf",
    verbose: bool = True,
) -> Dataset | list[Dataset]:
    """The .txt files in a folder, as batches (batch,) of text, and their labels.

    A model whose first layer is `TextVectorization` accepts such a dataset.

    Args:
        directory: the folder, which has one subfolder for each class.
        labels: as in `image_dataset_from_directory`, like all arguments that are not listed here.
        label_mode: "int", "categorical", "binary" or None.
        class_names: the subfolders of the classes, in the order of their labels.
        batch_size: the number of texts in a batch; None gives single texts.
        max_length: the number of characters after which a text is cut off; None keeps all.
        shuffle: whether the texts are in random order.
        seed: the seed of the order and of the split.
        validation_split: the fraction of the files that is used for validation.
        subset: "training", "validation", or "both" for a list of the two.
        follow_links: whether links to folders are followed.
        format: has no effect.
        verbose: whether to print the number of files.

    Raises:
        MissingFileError: there is no such folder.
        DataError: the folder has no texts, or lacks the classes; or, when the dataset is read, a file is not UTF-8.
    """
    name = "text_dataset_from_directory"
    checked(name, "format", one_of("tf", "grain"), format)
    most = checked(name, "max_length", optional(positive), max_length)

    def read(path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(-1 if most is None else most)
        except UnicodeDecodeError as error:
            raise DataError(f"{path!r} is not UTF-8, the encoding of text that is expected: {error.reason}.") from None

    choice = Choice(
        name, directory, (".txt",), labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, verbose,
    )  # fmt: skip
    return _one_or_both(datasets(choice, read))


@overload
def audio_dataset_from_directory(
    directory: Folder, labels: Labels = ..., label_mode: LabelMode = ..., class_names: Names = ...,
    batch_size: int | None = ..., sampling_rate: int | None = ..., output_sequence_length: int | None = ...,
    ragged: bool = ...,
    shuffle: bool = ..., seed: int | None = ..., validation_split: float | None = ..., *,
    subset: Literal["both"], follow_links: bool = ..., verbose: bool = ...,
) -> tuple[Dataset, Dataset]: ...  # fmt: skip


@overload
def audio_dataset_from_directory(
    directory: Folder, labels: Labels = ..., label_mode: LabelMode = ..., class_names: Names = ...,
    batch_size: int | None = ..., sampling_rate: int | None = ..., output_sequence_length: int | None = ...,
    ragged: bool = ...,
    shuffle: bool = ..., seed: int | None = ..., validation_split: float | None = ...,
    subset: OnePart = ..., follow_links: bool = ..., verbose: bool = ...,
) -> Dataset: ...  # fmt: skip


@user_facing
def audio_dataset_from_directory(
    directory: Folder,
    labels: Labels = "inferred",
    label_mode: LabelMode = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: Subset = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Dataset | tuple[Dataset, Dataset]:
    """The .wav files in a folder, as batches (batch, samples, channels) from -1 to 1, and their labels.

    If the sounds of a batch differ in length, the shorter ones are padded with zeros at the end. The files are PCM with
    8, 16, 24 or 32 bits, or floats.

    Args:
        directory: the folder, which has one subfolder for each class.
        labels: as in `image_dataset_from_directory`, like all arguments that are not listed here.
        label_mode: "int", "categorical", "binary" or None.
        class_names: the subfolders of the classes, in the order of their labels.
        batch_size: the number of sounds in a batch; None gives single sounds.
        sampling_rate: the number of samples per second to which all sounds are converted; None keeps their rates.
        output_sequence_length: the number of samples of each sound: longer ones are cut, shorter ones padded.
        ragged: must be False, since the sounds of a batch have equal lengths.
        shuffle: whether the sounds are in random order.
        seed: the seed of the order and of the split.
        validation_split: the fraction of the files that is used for validation.
        subset: "training", "validation", or "both" for a tuple of the two.
        follow_links: whether links to folders are followed.
        verbose: whether to print the number of files.

    Raises:
        MissingFileError: there is no such folder.
        DataError: the folder has no sounds, or lacks the classes; or, when the dataset is read, a file is not a sound.
    """
    name = "audio_dataset_from_directory"
    rate = checked(name, "sampling_rate", optional(positive), sampling_rate)
    length = checked(name, "output_sequence_length", optional(positive), output_sequence_length)
    if checked(name, "ragged", flag, ragged):
        raise ArgumentError(
            f"{name}(ragged=True): the arrays of a batch have one shape here. Leave it out, and zeros stand behind the "
            "shorter sounds; or give output_sequence_length."
        )
    choice = Choice(
        name, directory, (".wav",), labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, verbose, pad=True,
    )  # fmt: skip
    made = datasets(choice, lambda path: _sound(path, rate, length))
    return (made[0], made[1]) if len(made) > 1 else made[0]


def _sound(path: str, rate: int | None, length: int | None) -> HostArray:
    """A sound as numbers from -1 to 1.  -> (samples, channels) float32"""
    sound, found = read_sound(path)
    if rate is not None:
        sound = resampled(sound, -(-len(sound) * rate // found))
    if length is None:
        return sound
    return np.pad(sound[:length], ((0, max(length - len(sound), 0)), (0, 0)))


def _as_it_is(image: HostArray, height: int, width: int) -> HostArray:
    return image


def _one_or_both(made: list[Dataset]) -> Dataset | list[Dataset]:
    return made if len(made) > 1 else made[0]


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ArgumentError(f"expected (height, width), got {short(value)}.")
        return positive(value[0]), positive(value[1])
    return positive(value), positive(value)
