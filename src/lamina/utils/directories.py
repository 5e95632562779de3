"""Lists the files of a folder with their labels, and splits them, as Keras does."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.dataset import AUTOTUNE, Dataset, slices
from lamina._settings.converters import checked, fixed_seed, one_of, optional, positive, short
from lamina.errors import ArgumentError, DataError, MissingFileError

LabelMode: TypeAlias = Literal["int", "categorical", "binary"] | None
Labels: TypeAlias = Literal["inferred"] | Sequence[int] | None
Subset: TypeAlias = Literal["training", "validation", "both"] | None
Format: TypeAlias = Literal["tf", "grain"]
Folder: TypeAlias = str | os.PathLike[str]


class Choice(NamedTuple):
    """The arguments that all functions for datasets from a folder share."""

    function: str
    directory: Folder
    endings: tuple[str, ...]
    labels: Labels
    label_mode: LabelMode
    class_names: Sequence[str] | None
    batch_size: int | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: Subset
    follow_links: bool
    verbose: bool
    pad: bool = False


class Files(NamedTuple):
    """Files, and their labels if there are any."""

    paths: list[str]
    labels: HostArray | None


def datasets(choice: Choice, read: Callable[[str], object]) -> list[Dataset]:
    """One dataset, or the two of `subset="both"`; `read` reads each file, which comes with its label."""
    choice = _checked(choice)
    seed = int(np.random.randint(10**6)) if choice.seed is None else choice.seed
    files, class_names = _listed(choice, seed)
    if choice.label_mode == "binary" and len(class_names or ()) != 2:
        raise DataError(f"{choice.function}: label_mode='binary' takes 2 classes, and there are {short(class_names)}.")
    made = []
    for part in ("training", "validation") if choice.subset == "both" else (choice.subset,):
        held = _part(choice, files, part)
        shuffle = choice.shuffle and not (choice.subset == "both" and part == "validation")
        made.append(_dataset(choice, held, read, seed if shuffle else None, class_names))
    return made


def _dataset(
    choice: Choice, files: Files, read: Callable[[str], object], seed: int | None, class_names: list[str] | None
) -> Dataset:
    """The files are ordered, then read in several threads, and batches are prepared in advance."""
    if files.labels is None:
        rows = slices(files.paths)
    else:
        rows = slices((files.paths, _encoded(files.labels, choice.label_mode, len(class_names or ()))))
    if seed is not None:
        rows = rows.shuffle(len(files.paths), seed)
    if files.labels is None:
        rows = rows.map(read, AUTOTUNE)
    else:
        rows = rows.map(lambda path, label: (read(path), label), AUTOTUNE)
    if choice.batch_size is not None:
        rows = rows.padded_batch(choice.batch_size) if choice.pad else rows.batch(choice.batch_size)
    made = rows.prefetch(AUTOTUNE)
    if class_names is not None:
        made.class_names = class_names
    made.file_paths = files.paths
    return made


def _checked(choice: Choice) -> Choice:
    """The arguments, converted. If `labels` or `label_mode` is None, there are no labels."""
    name, labels = choice.function, choice.labels
    if not (labels is None or isinstance(labels, (list, tuple)) or (isinstance(labels, str) and labels == "inferred")):
        raise ArgumentError(f"{name}(labels={short(labels)}): expected 'inferred', None, or a list of whole numbers.")
    mode: LabelMode = checked(name, "label_mode", one_of("int", "categorical", "binary", None), choice.label_mode)
    split, subset = choice.validation_split, choice.subset
    checked(name, "subset", one_of("training", "validation", "both", None), subset)
    if split and (isinstance(split, bool) or not isinstance(split, (int, float)) or not 0 < split < 1):
        raise ArgumentError(f"{name}(validation_split={short(split)}): expected a share between 0 and 1.")
    if bool(split) != bool(subset):
        raise ArgumentError(
            f"{name}(validation_split={short(split)}, subset={subset!r}): each needs the other. Give both: "
            "validation_split=0.2, subset='training', and once more with subset='validation'; or subset='both'."
        )
    if split and choice.shuffle and choice.seed is None:
        raise ArgumentError(
            f"{name}: give a seed, the same in both calls, so that no file is in both parts; or shuffle=False."
        )
    mode = None if labels is None else mode
    if choice.class_names is not None and not (mode and isinstance(labels, str)):
        raise ArgumentError(
            f"{name}(class_names=...) is for labels='inferred', got labels={short(labels)} and label_mode={mode!r}."
        )
    return choice._replace(
        labels=None if mode is None else labels,
        label_mode=mode,
        batch_size=checked(name, "batch_size", optional(positive), choice.batch_size),
        seed=checked(name, "seed", optional(fixed_seed), choice.seed),
    )


def _listed(choice: Choice, seed: int) -> tuple[Files, list[str] | None]:
    """All files in Keras's order, and the names of the classes."""
    root = os.fspath(choice.directory)
    if not os.path.isdir(root):
        raise MissingFileError(f"{choice.function}: there is no folder {root!r}, looked for from {os.getcwd()!r}.")
    names, labels = None, None
    if choice.labels == "inferred":
        folders = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
        names = list(choice.class_names) if choice.class_names is not None else folders
        if not names or not set(names) <= set(folders):
            got = f"class_names={short(names)}" if names else "none"
            raise DataError(
                f"{choice.function}: expected a folder in {root!r} for each class, got {got}. There are: "
                f"{', '.join(folders) or 'no folders'}. Without labels: labels=None."
            )
        found = [_files_in(os.path.join(root, name), choice) for name in names]
        paths = [path for each in found for path in each]
        labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(each) for each in found])
    else:
        paths = _files_in(root, choice)
        if choice.labels is not None:
            if len(choice.labels) != len(paths):
                count = len(choice.labels)
                raise DataError(f"{choice.function}: labels has {count} entries, and {root!r} has {len(paths)} files.")
            labels, names = np.asarray(choice.labels, np.int32), [str(label) for label in sorted(set(choice.labels))]
    if choice.verbose:
        belonging = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(paths)} files{belonging}.", flush=True)
    if choice.shuffle:
        order = np.random.RandomState(seed).permutation(len(paths))
        paths, labels = [paths[place] for place in order], None if labels is None else labels[order]
    return Files(paths, labels), names


def _files_in(folder: str, choice: Choice) -> list[str]:
    """The files with one of the endings in a folder and its subfolders, in alphabetical order."""
    walked = sorted(os.walk(folder, followlinks=choice.follow_links), key=lambda step: step[0])
    found = [
        os.path.join(at, n) for at, _, names in walked for n in sorted(names) if n.lower().endswith(choice.endings)
    ]
    if other := next((path for path in found if not os.path.isfile(path)), None):  # a pipe would never end
        raise DataError(f"{other!r} is a pipe, a device or a broken link; a file was expected.")
    return found


def _part(choice: Choice, files: Files, subset: str | None) -> Files:
    """The files for training, which are the first ones, or those for validation."""
    paths, labels = files
    if choice.validation_split:
        at = len(paths) - int(choice.validation_split * len(paths))
        rows = slice(at) if subset == "training" else slice(at, None)
        paths, labels = paths[rows], None if labels is None else labels[rows]
        if choice.verbose:
            print(f"Using {len(paths)} files for {subset}.", flush=True)
    if not paths:
        what = f" for {subset}" if subset else ""
        raise DataError(
            f"{choice.function}: no files{what} in {os.fspath(choice.directory)!r}; expected names that end with "
            f"{', '.join(choice.endings)}, of which there are {len(files.paths)}."
        )
    return Files(paths, labels)


def _encoded(labels: HostArray, mode: LabelMode, classes: int) -> HostArray:
    """The labels, (files,) of int32, for "binary" (files, 1) and for "categorical" (files, classes) of float32."""
    if mode == "int":
        return labels
    if mode == "binary":
        return labels.astype(np.float32)[:, None]
    return np.equal(labels[:, None], np.arange(classes)).astype(np.float32)
