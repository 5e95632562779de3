"""Loads models from files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from lamina._messages.tracebacks import user_facing
from lamina._saving import models
from lamina._saving.paths import FilePath
from lamina.models.sequential import Sequential


@user_facing
def load_model(
    filepath: FilePath, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True,
    *, skip: Collection[str] = (),
) -> Sequential:  # fmt: skip
    """Load a model with its weights from a file, and compile it as it was. A file of a FeatureSpace gives that layer.

    No code from the file is run. Your own classes and functions are found by the names given in `custom_objects`, or
    by the names under which they are registered.

    Args:
        filepath: a ".keras" file or folder, or a ".h5" or ".hdf5" file of Keras 2 or 3.
        custom_objects: your own classes and functions by name.
        compile: whether to compile the model as it was when it was saved.
        safe_mode: has no effect.
        skip: the names of classes, functions and layers that may be missing; they are left out, and a warning says so.

    Raises:
        FileError: the file cannot be read, or is refused.
    """
    # The type is that of nearly all files, so that a type checker knows the model's methods.
    return cast(Sequential, models.load(filepath, custom_objects, compile, safe_mode, skip))
