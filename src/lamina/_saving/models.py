"""Save and load whole models: `save_model` and `load_model`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp

from lamina._files import files
from lamina._layer.host import takes_frames
from lamina._layer.structure import weights_by_path
from lamina._messages.tracebacks import user_facing, warn
from lamina._process.memory import free_memory, require
from lamina._saving import archive, assets, config, extras, legacy, weights
from lamina._saving.archive import Archive
from lamina._saving.paths import FilePath, ending, may_write, named
from lamina._settings.converters import checked, flag, optional, short
from lamina._settings.custom_objects import known
from lamina._training.model import Model
from lamina._weights.weight import Unset, values_follow
from lamina.errors import ArgumentError, FileError, LaminaError
from lamina.layers.feature_space.feature_space import FeatureSpace

EXAMPLE = "model.keras"
LEGACY = (".h5", ".hdf5")
KINDS = (".keras", *LEGACY)


@user_facing
def save_model(
    model: Model, filepath: FilePath, overwrite: bool = True, zipped: bool | None = None, *,
    include_optimizer: bool = True, save_format: str | None = None,
) -> None:  # fmt: skip
    """Write a model to a file: its layers, its weights, and how it is compiled, with the state of the optimizer.

    Args:
        model: the model.
        filepath: a name that ends in ".keras"; in ".h5" or ".hdf5" for the format of Keras 2; with `zipped=False` the
            name of a folder.
        overwrite: whether to replace an existing file. With False, a terminal asks the user; without one it is an
            error.
        zipped: False writes a folder instead of an archive.
        include_optimizer: whether the file includes how the model is compiled.
        save_format: an argument of Keras 2; the ending of the file name decides the format.

    Raises:
        FileError: the file cannot be written.
    """
    name = named(filepath, EXAMPLE)
    folder = checked("save_model", "zipped", optional(flag), zipped) is False
    if folder and name.endswith(KINDS):
        raise ArgumentError(f"zipped=False writes a folder, whose name may not end like that of a file; got {name!r}.")
    kind = "" if folder else _kind(name)
    if save_format and save_format.lower() not in (("h5", "hdf5") if kind in LEGACY else ("keras",)):
        raise ArgumentError(
            f"save_format={save_format!r} does not fit {name!r}: the ending of the name decides the format."
        )
    if not may_write(name, checked("save_model", "overwrite", flag, overwrite)):
        return
    if not model.built:
        warn(f"{model.name!r} has no weights yet, so {name!r} will hold none: put Input(shape) first, or call build.")
    described, trained = config.serialized(model), checked("save_model", "include_optimizer", flag, include_optimizer)
    if not trained:
        described["compile_config"] = {}
    if lambdas := [key for key, each in _by_place(described) if "'<lambda>'" in str(each)]:
        warn(
            f"{name!r} does not include the code of the lambda of {', '.join(lambdas)}. To open it, pass the function: "
            f"load_model({name!r}, custom_objects={{{lambdas[0]!r}: function}})."
        )
    if kind in LEGACY:
        with weights.at_one_moment(model):
            data = legacy.write(model, described, extras.of(model))
        files.write(name, data)
        return
    held = weights.stored(model, () if trained else [model.optimizer])
    archive.write(name, Archive(described, held, {}, extras.of(model)), zipped=not folder)
    if takes_frames(model) and "keras" not in model._lamina.said:
        model._lamina.said.add("keras")
        print(
            f"{name!r} opens in Lamina alone: in Keras no stack begins with a FeatureSpace. The layers after it, which "
            "take its output, are saved for Keras by:\n    keras.Sequential([keras.Input(model.layers[0].output_shape"
            f"[1:]), *model.layers[1:]]).save({'for_keras_' + os.path.basename(name)!r})"
        )


def save_space(space: FeatureSpace, filepath: FilePath) -> None:
    """Write a FeatureSpace by itself to a file that `load_model` opens."""
    ending(name := named(filepath, "space.keras"), KINDS[:1], "a FeatureSpace")
    archive.write(name, Archive(config.serialized(space), weights.stored(space), {}, {}))


def load(
    filepath: FilePath, custom_objects: dict[str, Any] | None, compile: bool, safe_mode: bool, skip: Collection[str]
) -> Model | FeatureSpace:
    """Load a model or a FeatureSpace, as `models.load_model` describes."""
    name = named(filepath, EXAMPLE)
    checked("load_model", "compile", flag, compile)
    config.warn_of_safe_mode(safe_mode)
    config.load_families()
    now = _Opening(name, custom_objects, compile, skip, [], free_memory())
    model: Model | FeatureSpace
    if not os.path.isdir(name) and _kind(name) in LEGACY:
        model = _from_legacy(legacy.read_file(name), now)
    else:
        model = _from_archive(archive.read(name), now)
    if now.left_out:
        lines = "\n".join(f"  {each}" for each in now.left_out)
        warn(f"{name!r} was loaded without {len(now.left_out)} of its parts:\n{lines}")
    return model


def _by_place(described: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Iterate over the layers in a stack's config by name, and over the arguments of `compile`."""
    yield from ((each["config"].get("name", ""), each) for each in described["config"].get("layers", ()))
    yield from (described.get("compile_config") or {}).items()


def _kind(name: str) -> str:
    if name.endswith((".weights.h5", ".weights.json", ".safetensors")):
        raise FileError(f"{name!r} is the name of a file of weights: use model.save_weights or model.load_weights.")
    return ending(name, KINDS, "a whole model")


class _Opening(NamedTuple):
    """One call of `load_model`."""

    where: str
    custom_objects: dict[str, Any] | None
    compile: bool
    skip: Collection[str]
    left_out: list[str]
    free: int
    """The bytes of memory that were free before the call, since no other file is opened while a file is read."""

    def made(self, described: dict[str, Any]) -> Any:
        """Make the model or the FeatureSpace of a config, not compiled; a later call replaces the list of missing
        parts."""
        left_out: list[str] = []
        model = config.deserialized(described, self.custom_objects, where=self.where, skip=self.skip, left_out=left_out)
        self.left_out[:] = left_out
        if not isinstance(model, (Model, FeatureSpace)):
            raise FileError(f"{self.where}: it does not hold a model, but {short(model)} ({type(model).__name__}).")
        return model


def _from_archive(held: Archive, now: _Opening) -> Model | FeatureSpace:
    described, compiled = assets.in_config(held.config, held, now.where), held.config.get("compile_config")
    described = described | {"compile_config": {}}
    model: Model | FeatureSpace = _with_weights(
        described, now, lambda made: weights.load(made, held.weights, now.where, whole=True, spare=bool(now.left_out))
    )
    if isinstance(model, FeatureSpace):
        return model
    if now.compile and compiled and _compile(model, compiled, now):
        extras.build_optimizer(model, held.extra)
        weights.load_optimizers(model, weights.groups(held.weights), now.where)
    extras.restore(model, held.extra)
    return model


def _from_legacy(held: legacy.Legacy, now: _Opening) -> Model:
    if held.config is None:
        raise FileError(f"{now.where!r} holds only weights: make the model, and call model.load_weights.")
    model: Model = _with_weights(held.config, now, lambda made: legacy.load_weights(made, held, now.where, whole=True))
    if now.compile and held.training and _compile(model, legacy.compile_config(held.training), now):
        extras.build_optimizer(model, held.extra)
        legacy.load_optimizer(model, held, now.where)
    extras.restore(model, held.extra)
    return model


def _with_weights(described: dict[str, Any], now: _Opening, load: Callable[[Any], None]) -> Any:
    """Make the model of a config, and call `load` to set its weights.

    The model is first made without memory for its weights, so a small file cannot ask for much memory. If a custom
    class leaves weights at their initial values, the model is made a second time.
    """
    token = values_follow.set(True)
    try:
        model = now.made(described)
        load(model)
    finally:
        values_follow.reset(token)
    unset = [weight for weight, _ in weights_by_path(model).values() if isinstance(weight.array, Unset)]
    needed, count = (sum(getattr(weight.array, part) for weight in unset) for part in ("nbytes", "size"))
    require(needed, f"{now.where}: {count:,} parameters have no values in the file, and need", FileError, now.free)
    for weight in unset:
        if weight.carried:
            weight.value = jnp.zeros(weight.shape, weight.dtype)
    if not all(weight.carried for weight in unset):
        model = now.made(described)
        load(model)
    return model


def _compile(model: Model, compiled: dict[str, Any], now: _Opening) -> bool:
    """Compile the model as before; return False if `skip` leaves out the optimizer."""
    with known(now.custom_objects, now.skip, now.left_out):
        try:
            model.compile_from_config(compiled)
            return model.optimizer is not None
        except LaminaError as error:
            raise FileError(
                f"{now.where}: {error}\nTo load the model without this: load_model(path, compile=False)."
            ) from None
