"""The numbers of a training, and the weights, in files for TensorBoard."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import HostArray
from lamina._files import files
from lamina._messages.spelling import did_you_mean
from lamina._messages.tracebacks import warn
from lamina._settings.converters import count, flag, integer, positive, short
from lamina._settings.settings import Configured, Converted, setting
from lamina.callbacks.callback import Callback, Logs
from lamina.callbacks.checkpoint import folder_name
from lamina.errors import ArgumentError, LaminaError, MissingPackageError
from lamina.layers import Embedding

if TYPE_CHECKING:
    from lamina.callbacks.event_files import EventFile

Metadata: TypeAlias = str | dict[str, str] | None


def _frequency(value: object) -> int | str:
    if isinstance(value, str) and value in ("epoch", "batch"):
        return 1 if value == "batch" else value
    try:
        return positive(value)
    except ArgumentError:
        raise ArgumentError(f'expected "epoch", "batch" or a number of batches, got {short(value)}.') from None


def _batches(value: object) -> tuple[int, int]:
    """The first and the last batch, counted from 1; (0, 0) for none."""
    ends = value.split(",") if isinstance(value, str) else value if isinstance(value, (tuple, list)) else (value,)
    try:
        first, *rest = (int(end) if isinstance(end, str) else integer(end) for end in ends)
        last = rest[0] if rest else first
        if len(rest) < 2 and (0 < first <= last or first == last == 0):
            return first, last
    except ValueError:
        pass
    raise ArgumentError(f"expected the number of a batch, or the first and the last one, got {short(value)}.")


def _metadata(value: object) -> Metadata:
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        return str(os.fspath(value))
    if not isinstance(value, dict) or not all(isinstance(each, str) for item in value.items() for each in item):
        raise ArgumentError(f"expected the name of a file, or a dict of such names by layers, got {short(value)}.")
    return dict(value)


@dataclass
class _Speed:
    """Counts steps since a moment. It is not saved in states of a run, because another process has another clock."""

    steps: int = 0
    begun: float = field(default_factory=time.perf_counter)


class TensorBoard(Callback, Configured):
    """Writes the numbers of `fit` and `evaluate` into files that TensorBoard shows: `tensorboard --logdir logs`.

    The folder `train` has `epoch_loss`, `epoch_learning_rate` and the other numbers of each epoch, `validation` those
    of the validations, without their `val_`, and also `evaluation_loss_vs_iterations` and so on, for each validation
    and `evaluate`, by the number of steps trained so far. A metric that is an array has a curve for each of its
    numbers. All of it can be read as soon as an epoch ends.

    It needs the package tensorboard, `pip install tensorboard`, and no TensorFlow.

    Args:
        log_dir: the folder. Each run should have one of its own.
        histogram_freq: the number of epochs between two histograms of each weight; 0 writes none.
        write_graph: whether the stack is written, for the page "Graphs".
        write_images: whether the weights are also written as images, together with histograms. A vector is one column
            of pixels. For a kernel, the first three output channels are images. 0 is black, 1 is white.
        write_steps_per_second: whether the steps per second are written, for epochs and, with `update_freq`, batches.
        update_freq: "epoch", or the number of batches after which `batch_loss` and so on are written, the means over
            the epoch so far. "batch" is the same as 1. The steps between two such batches are trained in one call.
        profile_batch: the number of a batch, counted from 1 over all epochs, or the first and the last one of several,
            that JAX's profiler records, for the page "Profile" of the package tensorboard-plugin-profile; 0 for none.
        embeddings_freq: the number of epochs after which the weights are saved in `train`, and those of each Embedding
            in a file for the page "Projector"; 0 saves none.
        embeddings_metadata: the file with a label for each row of an Embedding, or a dict of such files by the names
            of the layers; their names are relative to `log_dir`.

    Raises:
        MissingPackageError: the package tensorboard is not installed.
        ArgumentError: `embeddings_metadata` has a name that no Embedding of the model has.
    """

    log_dir: str = setting(folder_name, default="logs")
    histogram_freq: int = setting(count, default=0)
    write_graph: bool = setting(flag, default=True)
    write_images: bool = setting(flag, default=False)
    write_steps_per_second: bool = setting(flag, default=False)
    update_freq: int | str = setting(_frequency, default="epoch")
    profile_batch: Converted[int | str | tuple[int, int], tuple[int, int]] = setting(_batches, default=0)
    embeddings_freq: int = setting(count, default=0)
    embeddings_metadata: Metadata = setting(_metadata, default=None)

    def __post_init__(self) -> None:
        library()
        self._lamina_files: dict[str, EventFile] = {}
        self._lamina_steps, self._lamina_batch, self._lamina_traces = 0, -1, False
        """The number of trained batches, the latest batch of this epoch, and whether the profiler runs."""
        self._lamina_speeds = {"epoch": _Speed(), "batch": _Speed()}
        # Unless a subclass does more with each batch, many steps are trained in one call.
        self.every_batch = type(self).on_train_batch_end is not TensorBoard.on_train_batch_end

    @property
    def _lamina_left(self) -> int | None:  # type: ignore[override]
        first, last = self.profile_batch
        ends = [end - self._lamina_steps for end in (first - 1, last) if end > self._lamina_steps]
        if isinstance(self.update_freq, int):
            ends.append(self.update_freq - self._lamina_steps % self.update_freq)
        return min(ends, default=None)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._lamina_close()
        if self.write_graph:
            self._lamina_file("train").stack(model.to_json())
        if self.embeddings_freq:
            self._lamina_describe_embeddings()

    def on_train_begin(self, logs: Logs = None) -> None:
        self._lamina_steps = 0
        self._lamina_profile()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._lamina_batch = -1
        self._lamina_speeds = {"epoch": _Speed(), "batch": _Speed()}

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        super().on_train_batch_end(batch, logs)
        steps, self._lamina_batch = batch - self._lamina_batch, batch
        self._lamina_steps += steps
        for speed in self._lamina_speeds.values():
            speed.steps += steps
        if isinstance(self.update_freq, int) and self._lamina_steps % self.update_freq == 0:
            numbers = {**self._lamina_speed("batch"), **(logs or {})}
            self._lamina_write("train", "batch_{}", numbers, self._lamina_steps)
        self._lamina_profile()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        own = {name: value for name, value in logs.items() if not name.startswith("val_")}
        own["learning_rate"] = float(self.model.optimizer.learning_rate)
        self._lamina_write("train", "epoch_{}", {**own, **self._lamina_speed("epoch")}, epoch)
        measured = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        self._lamina_write("validation", "epoch_{}", measured, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._lamina_write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._lamina_keep_embeddings(epoch)
        for file in self._lamina_files.values():
            file.flush()

    def on_test_end(self, logs: Logs = None) -> None:
        if self.model.optimizer is not None:
            self._lamina_write(
                "validation", "evaluation_{}_vs_iterations", logs or {}, int(self.model.optimizer.iterations)
            )
            self._lamina_file("validation").flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._lamina_profile(ends=True)
        self._lamina_close()

    def _lamina_file(self, folder: str) -> EventFile:
        """The file in this folder, which is created at the first write."""
        if folder not in self._lamina_files:
            place = os.path.join(self.log_dir, folder)
            files.make_folder(place)
            with files.explained(place):
                self._lamina_files[folder] = library().EventFile(place)
        return self._lamina_files[folder]

    def _lamina_close(self) -> None:
        while self._lamina_files:
            self._lamina_files.popitem()[1].close()

    def _lamina_write(self, folder: str, tag: str, numbers: Mapping[str, ArrayLike], step: int) -> None:
        for name, value in numbers.items():
            self._lamina_file(folder).scalar(tag.format(name), value, step)

    def _lamina_speed(self, of: str) -> dict[str, float]:
        """The steps per second since the last call, if they are written."""
        before, self._lamina_speeds[of] = self._lamina_speeds[of], _Speed()
        seconds = time.perf_counter() - before.begun
        return {"steps_per_second": before.steps / max(seconds, 1e-9)} if self.write_steps_per_second else {}

    def _lamina_profile(self, ends: bool = False) -> None:
        """Start or stop JAX's profiler before or after a batch."""
        first, last = self.profile_batch
        try:
            if self._lamina_traces and (ends or self._lamina_steps >= last):
                self._lamina_traces = False
                jax.profiler.stop_trace()
            elif first and self._lamina_steps == first - 1 and not ends:
                jax.profiler.start_trace(os.path.join(self.log_dir, "train"))
                self._lamina_traces = True
        except (OSError, RuntimeError) as error:  # another one runs
            warn(f"TensorBoard(profile_batch={self.profile_batch}) records nothing: {error}")

    def _lamina_write_weights(self, epoch: int) -> None:
        file = self._lamina_file("train")
        for layer in self.model.layers:
            for weight in layer.weights:
                file.histogram(f"{weight.path}/histogram", weight.numpy(), epoch)
                images = _images(weight.numpy()) if self.write_images else None
                if images is not None:
                    file.image(f"{weight.path}/image", images[:IMAGES], epoch)

    def _lamina_embeddings(self) -> list[tuple[Embedding, str]]:
        """Each Embedding, and the file with its numbers, relative to `log_dir`."""
        found = [layer for layer in self.model.layers if isinstance(layer, Embedding)]
        return [(layer, os.path.join("train", f"{layer.name}.tsv")) for layer in found]

    def _lamina_describe_embeddings(self) -> None:
        embeddings, labels = self._lamina_embeddings(), self.embeddings_metadata
        names = [layer.name for layer, _ in embeddings]
        if isinstance(labels, dict):
            for name in labels.keys() - set(names):
                raise ArgumentError(
                    f"TensorBoard(embeddings_metadata=...): the model has no Embedding {name!r}. "
                    f"{did_you_mean(name, names)}"
                )
        else:
            labels = dict.fromkeys(names, labels) if labels else {}
        files.make_folder(os.path.join(self.log_dir, "train"))
        with files.in_place(os.path.join(self.log_dir, "projector_config.pbtxt"), "w") as file:
            file.write(
                library().projector_config([(layer.name, path, labels.get(layer.name)) for layer, path in embeddings])
            )

    def _lamina_keep_embeddings(self, epoch: int) -> None:
        self.model.save_weights(os.path.join(self.log_dir, "train", f"keras_embedding.ckpt-{epoch}.weights.h5"))
        for layer, path in self._lamina_embeddings():
            with files.in_place(os.path.join(self.log_dir, path), "w") as file:
                np.savetxt(file, np.asarray(layer.embeddings, "float32"), "%.8g", "\t")


IMAGES = 3
"""The number of images of one weight."""


def _images(weight: ArrayLike) -> HostArray | None:
    """Convert a weight to images of one channel; None if it has too many axes.  -> (n, height, width, channels)"""
    image = np.squeeze(weight)
    if image.ndim == 1:
        return image[None, :, None, None]  # (1, height, 1, 1)
    if image.ndim == 2:
        return (image.T if image.shape[0] > image.shape[1] else image)[None, ..., None]  # (1, height, width, 1)
    if image.ndim == 3:
        return np.moveaxis(image, -1, 0)[..., None]  # (n, height, width, 1)
    return image if image.ndim == 4 and image.shape[-1] in (1, 3, 4) else None


def library() -> ModuleType:
    try:
        return import_module("lamina.callbacks.event_files")
    except LaminaError:
        raise
    except ImportError as error:
        raise MissingPackageError("TensorBoard needs the package tensorboard: pip install tensorboard") from error
