"""Saves and loads files that hold only weights: `save_weights` and `load_weights`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lamina._files import files
from lamina._layer.tracking import require_built
from lamina._messages.tracebacks import user_facing, warn
from lamina._saving import archive, checkpoint, hdf5, legacy, shards, tensors, weights
from lamina._saving.guard import file_bytes
from lamina._saving.paths import FilePath, ending, may_write, named
from lamina._settings.converters import checked, flag, optional
from lamina._training.model import Model
from lamina.errors import ArgumentError

EXAMPLE = "model.weights.h5"
WRITTEN = (".weights.h5", ".weights.json", ".safetensors")
READ = (*WRITTEN, ".keras", ".h5", ".hdf5")


@user_facing
def save_weights(
    model: Model, filepath: FilePath, overwrite: bool = True, max_shard_size: float | None = None,
    objects_to_skip: Iterable[object] | None = None,
) -> None:  # fmt: skip
    """Write the weights of a model, and the variables of its optimizer, to a file.

    Args:
        model: a built model.
        filepath: a name that ends in ".weights.h5"; in ".weights.json" with `max_shard_size`; or in ".safetensors",
            which holds no optimizer.
        overwrite: whether to replace an existing file. With False, a terminal asks the user; without one it is an
            error.
        max_shard_size: the largest size of a file in gigabytes, to write several files.
        objects_to_skip: layers to leave out.

    Raises:
        NotBuiltError: the model has no weights yet.
        FileError: the file cannot be written.
    """
    require_built(model, "save_weights")
    name = named(filepath, EXAMPLE)
    kind = ending(name, WRITTEN, "save_weights")
    if max_shard_size is not None and kind == ".weights.h5":
        name = name.removesuffix(".h5") + ".json"
        warn(f"weights in several files have an index that ends in .json: it is written to {name!r}.")
        kind = ".weights.json"
    if (max_shard_size is None) == (kind == ".weights.json"):
        raise ArgumentError(
            "max_shard_size=... needs a name that ends in '.weights.json', and such a name needs max_shard_size."
        )
    if not may_write(name, checked("save_weights", "overwrite", flag, overwrite)):
        return
    without = list(objects_to_skip or ())
    if kind == ".safetensors":
        files.write(name, tensors.write(model, without))
    elif max_shard_size is not None:
        shards.write(name, weights.stored(model, without), max_shard_size)
    else:
        files.write(name, hdf5.write(weights.stored(model, without)))


@user_facing
def load_weights(
    model: Model, filepath: FilePath, skip_mismatch: bool = False, by_name: bool | None = None,
    objects_to_skip: Iterable[object] | None = None,
) -> None:  # fmt: skip
    """Assign the weights in a file to a built model: either all of them or none.

    Args:
        model: a built model of the same layers.
        filepath: a file of weights as `save_weights` writes it, of a whole model (".keras", ".h5", ".hdf5"), or of the
            state of a run, such as the "best.safetensors" of a `callbacks.Checkpoint`.
        skip_mismatch: whether to skip layers whose weights do not fit; a warning names them.
        by_name: for ".h5" and ".hdf5", match the layers by name instead of by order.
        objects_to_skip: layers that keep their weights.

    Raises:
        NotBuiltError: the model has no weights yet.
        ShapeError: the file is of another model.
        FileError: the file cannot be read, or is refused.
    """
    require_built(model, "load_weights")
    name = named(filepath, EXAMPLE)
    kind = ending(name, READ, "load_weights")
    skip = checked("load_weights", "skip_mismatch", flag, skip_mismatch)
    old = kind in (".h5", ".hdf5")
    if checked("load_weights", "by_name", optional(flag), by_name) is not None and not old:
        raise ArgumentError(f"by_name is only for '.h5' and '.hdf5' files; got {name!r}.")
    if objects_to_skip is not None and (old or kind in (".keras", ".safetensors")):
        raise ArgumentError(f"objects_to_skip is only for '.weights.h5' and '.weights.json' files; got {name!r}.")
    told: dict[str, Any] = {"skip_mismatch": skip, "without": list(objects_to_skip or ())}
    if old:
        legacy.load_weights(model, legacy.read_file(name), name, by_name=bool(by_name), skip_mismatch=skip)
    elif kind == ".safetensors":
        data = file_bytes(name)
        if checkpoint.is_state(data):
            checkpoint.load_weights(model, data, name)
        else:
            tensors.load(model, data, name, skip_mismatch=skip)
    elif kind == ".keras":
        weights.load(model, archive.read(name).weights, name, **told)
    elif kind == ".weights.json":
        weights.load(model, shards.read(name), name, **told)
    else:
        weights.load(model, hdf5.read(file_bytes(name), name), name, **told)
