"""Save the model while it is trained."""

from __future__ import annotations

import os
import re
import string
from typing import Any

import numpy as np

from lamina._files import files
from lamina._messages.spelling import did_you_mean
from lamina._messages.tracebacks import warn
from lamina._settings.converters import count, flag, number, one_of, optional, positive
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Logs
from lamina.callbacks.monitor import Mode, MonitorCallback, log_name
from lamina.errors import ArgumentError


def _frequency(value: object) -> str | int:
    if value == "epoch":
        return "epoch"
    try:
        return positive(value)
    except ArgumentError:
        raise ArgumentError(f'expected "epoch" or a number of batches, such as 100, got {value!r}.') from None


class ModelCheckpoint(MonitorCallback, Configured):
    """Saves the model, or its weights, after each epoch or after every `save_freq` batches.

    >>> best = ModelCheckpoint("best.keras", save_best_only=True)
    >>> all_of_them = ModelCheckpoint("run/{epoch:02d}-{val_loss:.2f}.weights.h5", save_weights_only=True)

    A file is replaced only when the new one is complete: if the process is killed, the old file remains. A missing
    folder is created.

    Args:
        filepath: the file's name, which ends in ".keras" or ".h5", or in ".weights.h5" with `save_weights_only=True`.
            "{epoch}", "{batch}" and the names of the logs, such as "{val_loss:.2f}", are replaced by their values.
        monitor: the name of the number in the logs that says which model is the best.
        verbose: 1 prints a line for each file.
        save_best_only: save only if `monitor` is better than all values before. While the logs have no such number,
            the model is saved with a warning; an epoch without validation never replaces the best model.
        save_weights_only: save the weights, not the whole model.
        mode: "min" or "max" is better; "auto" goes by the metric.
        save_freq: "epoch", or the number of batches between two files.
        initial_value_threshold: the initial best value.

    Raises:
        ArgumentError: the file's name has another ending, or contains a name that the logs do not have.
        FileError: the file cannot be written.
    """

    min_delta = 0

    filepath: str = setting(files.name_of)
    monitor: str = setting(log_name, default="val_loss")
    verbose: int = setting(count, default=0)
    save_best_only: bool = setting(flag, default=False)
    save_weights_only: bool = setting(flag, default=False)
    mode: Mode = setting(one_of("auto", "min", "max"), default="auto")
    save_freq: str | int = setting(_frequency, default="epoch")
    initial_value_threshold: float | None = setting(optional(number), default=None)

    def __post_init__(self) -> None:
        self.best = self.initial_value_threshold
        self._lamina_epoch, self._lamina_batch, self._lamina_unsaved = 0, -1, 0
        """The present epoch, its latest batch, and the number of batches since the last file."""
        self._lamina_warned = False
        ends, what = ((".weights.h5",), "weights are") if self.save_weights_only else ((".keras", ".h5"), "a model is")
        if not self.filepath.endswith(ends):
            stem = re.sub(r"(\.weights)?(\.(keras|h5|hdf5|ckpt|tf|pb))?$", "", self.filepath)
            raise ArgumentError(
                f"ModelCheckpoint(filepath={self.filepath!r}): {what} saved in a file that ends in "
                f"{' or '.join(ends)}. Write filepath={stem + ends[0]!r}."
            )
        self._lamina_filled(_Noted())
        # Unless a subclass does more with each batch, many steps are trained in one call.
        self.every_batch = type(self).on_train_batch_end is not ModelCheckpoint.on_train_batch_end

    @property
    def _lamina_left(self) -> int | None:  # type: ignore[override]
        return self.save_freq - self._lamina_unsaved if isinstance(self.save_freq, int) else None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._lamina_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        super().on_train_batch_end(batch, logs)
        if self._lamina_is_turn(batch):
            self._lamina_save({"batch": batch + 1, **(logs or {})})

    def _lamina_is_turn(self, batch: int) -> bool:
        """Whether `save_freq` batches have come with this one since the last file."""
        if not isinstance(self.save_freq, int):
            return False
        self._lamina_unsaved += batch - self._lamina_batch if batch > self._lamina_batch else batch + 1
        self._lamina_batch = batch
        due = self._lamina_unsaved >= self.save_freq
        self._lamina_unsaved *= not due
        return due

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._lamina_epoch = epoch
            self._lamina_save(logs or {})

    def _lamina_save(self, logs: dict[str, Any]) -> None:
        path = self._lamina_filled({**logs, "epoch": self._lamina_epoch + 1})
        if not self._lamina_is_due(logs, path):
            return
        if os.path.dirname(path):
            files.make_folder(os.path.dirname(path))
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        self._lamina_say(f"finished saving model to {path}")

    def _lamina_is_due(self, logs: dict[str, Any], path: str) -> bool:
        """Whether the model is to be saved now."""
        if not self.save_best_only:
            self._lamina_say(f"saving model to {path}")
            return True
        value, best = logs.get(self.monitor), "None" if self.best is None else f"{self.best:.5f}"
        if value is None or np.ndim(value):
            if not self._lamina_warned:
                self._lamina_warned = True
                reason = f"{self.monitor!r} is not one number." if self.monitor in logs else self._lamina_missing(logs)
                warn(f"ModelCheckpoint cannot tell which model is the best, and saves each one until it can: {reason}")
            return self.best is None
        if not self._lamina_improves(value, self.best):
            self._lamina_say(f"{self.monitor} did not improve from {best}")
            return False
        self._lamina_say(f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _lamina_missing(self, logs: dict[str, Any]) -> str:
        if self.monitor.removeprefix("val_") in logs:
            return f"{self.monitor!r} is known only at the end of an epoch with validation."
        return str(self._lamina_unknown([*logs]))

    def _lamina_say(self, words: str) -> None:
        if self.verbose:
            print(f"Epoch {self._lamina_epoch + 1}: {words}")

    def _lamina_filled(self, values: dict[str, Any]) -> str:
        """The file's name with the values in the places of their names."""
        try:
            for _, name, form, _ in string.Formatter().parse(self.filepath):
                if re.search(r"[.\[]", name or "") or re.search(r"[{}]|[1-9]\d\d|\d{4}", form or ""):
                    raise ValueError(f"{{{name}:{form}}} is more than a name and a form of at most 99 characters")
            return self.filepath.format_map(values)
        except KeyError as error:
            names = sorted(values)
            raise ArgumentError(
                f"ModelCheckpoint(filepath={self.filepath!r}): there is no number {error} now. "
                f"{did_you_mean(error.args[0], names)}"
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ArgumentError(
                f"ModelCheckpoint(filepath={self.filepath!r}): {error}. Write for example {{epoch:02d}} or "
                "{val_loss:.2f}."
            ) from None

    def _lamina_require(self, names: list[str], validates: bool) -> None:
        super()._lamina_require(names, validates)
        noted, known = _Noted(), {"epoch", "learning_rate", *names}
        self._lamina_filled(noted)
        known |= {f"val_{name}" for name in names} if validates and self.save_freq == "epoch" else set()
        known |= {"batch"} if self.save_freq != "epoch" else set()
        if noted.keys() - known:
            self._lamina_filled({name: _example(name) for name in known})


class _Noted(dict[str, Any]):
    """A dict with a value for each name. It records the names."""

    def __missing__(self, name: str) -> float:
        self[name] = _example(name)
        return _example(name)


def _example(name: str) -> float:
    """An example value for a name in a file's name."""
    return 1 if name in ("epoch", "batch") else 0.5
