"""Settings of the whole process: dtypes, `epsilon`, the image data format, and the response to a loss of NaN."""

from __future__ import annotations

from typing import Literal, cast, get_args

from lamina._display.verbosity import shown
from lamina._imports.public import public
from lamina._messages.tracebacks import all_frames_shown, frames, show_frames_of_jax, user_facing
from lamina._settings.converters import checked, one_of
from lamina._settings.run_limits import limits, set_limit
from lamina._settings.strictness import NonFinite, strictness
from lamina.dtypes import (
    dtype_policy,
    epsilon,
    floatx,
    set_dtype_policy,
    set_epsilon,
    set_floatx,
)

__all__ = [
    "backend", "checks", "disable_flash_attention", "disable_interactive_logging", "disable_traceback_filtering",
    "dtype_policy", "enable_flash_attention", "enable_interactive_logging", "enable_traceback_filtering",
    "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled", "is_interactive_logging_enabled",
    "is_traceback_filtering_enabled", "max_epochs", "max_steps_per_epoch", "non_finite", "set_checks",
    "set_dtype_policy", "set_epsilon", "set_floatx", "set_image_data_format", "set_max_epochs",
    "set_max_steps_per_epoch", "set_non_finite",
]  # fmt: skip

Checks = Literal["on", "off"]
DataFormat = Literal["channels_last", "channels_first"]
_image: dict[str, DataFormat] = {"format": "channels_last"}


def image_data_format() -> DataFormat:
    """The default `data_format` of layers: "channels_last" or "channels_first"."""
    return _image["format"]


@user_facing
def set_image_data_format(data_format: DataFormat) -> None:
    """Set the default `data_format` of layers."""
    _image["format"] = one_of(*get_args(DataFormat))(data_format)


def data_format(value: object) -> DataFormat:
    """A layer's `data_format`; None stands for `image_data_format()`."""
    return image_data_format() if value is None else cast(DataFormat, one_of(*get_args(DataFormat))(value))


def non_finite() -> NonFinite:
    """The response to a loss that is NaN or infinite: "raise", unless `set_non_finite` changed it."""
    return strictness["non_finite"]


@user_facing
def set_non_finite(does: NonFinite) -> None:
    """Set the response to a loss that is NaN or infinite, for all later calls of `fit` and `train_on_batch`.

    - "raise": `fit` raises a `NonFiniteError`, and the weights are those from before that epoch.
    - "warn": `fit` continues with a warning, as Keras does. The history has NaN from there on.
    - "stop": `fit` ends with that step and a warning, and the weights are those from before it. `train_on_batch` sets
      `model.stop_training`.

    NaN and infinity in the data are an error with "raise", and otherwise a warning.

    `TerminateOnNaN` among the callbacks means "stop" for its `fit`.

    >>> set_non_finite("warn")
    >>> non_finite()
    'warn'
    >>> set_non_finite("raise")

    Args:
        does: "raise", "warn" or "stop".
    """
    strictness["non_finite"] = cast(NonFinite, checked("set_non_finite", "does", one_of(*get_args(NonFinite)), does))


def checks() -> Checks:
    """Whether `fit` looks for probable mistakes in the data and in the run: "on", unless `set_checks` changed it."""
    return strictness["checks"]


@user_facing
def set_checks(checks: Checks) -> None:
    """Set whether `fit` looks for probable mistakes in the data and in the run, and warns of them.

    Each is a `lamina.errors.CheckWarning`, and each comes once per process. `model.check(x, y)` looks at all rows.

    >>> set_checks("off")
    >>> checks()
    'off'
    >>> set_checks("on")

    Args:
        checks: "on" or "off".
    """
    strictness["checks"] = cast(Checks, checked("set_checks", "checks", one_of(*get_args(Checks)), checks))


def max_epochs() -> int | None:
    """The last epoch of each `fit`, set by `set_max_epochs` or the environment variable KERAS_MAX_EPOCHS, or None."""
    return limits["epochs"]


@user_facing
def set_max_epochs(max_epochs: int | None) -> None:
    """End each `fit` after this epoch at the latest, with a warning, to try out a program. None sets no limit.

    >>> set_max_epochs(2)
    >>> max_epochs()
    2
    >>> set_max_epochs(None)
    """
    set_limit("epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most steps of an epoch, which `set_max_steps_per_epoch` or the environment variable
    KERAS_MAX_STEPS_PER_EPOCH sets, or None.
    """
    return limits["steps"]


@user_facing
def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of each epoch of `fit`, each validation, `evaluate` and `predict`, to try out a program.

    A run that reaches the limit gives a warning. None sets no limit.

    The next epoch of `fit` continues in the data where the last one ended, as with `steps_per_epoch`.
    """
    set_limit("steps", max_steps_per_epoch)


def backend() -> str:
    """The name of the library that computes: "jax"."""
    return "jax"


def enable_interactive_logging() -> None:
    """Make `verbose="auto"` show a bar on a terminal and in a notebook. This is the default."""
    shown["interactive"] = True


def disable_interactive_logging() -> None:
    """Make `verbose="auto"` print one line per epoch, also on a terminal."""
    shown["interactive"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether `verbose="auto"` may show a bar."""
    return shown["interactive"]


def enable_traceback_filtering() -> None:
    """Show only the frames of your own code in a traceback. This is the default."""
    frames["all"] = False
    show_frames_of_jax()


def disable_traceback_filtering() -> None:
    """Show the frames of this package in tracebacks too, as `LAMINA_TRACEBACK=full` does for a whole run."""
    frames["all"] = True
    show_frames_of_jax()


def is_traceback_filtering_enabled() -> bool:
    """Whether a traceback shows only the frames of your own code."""
    return not all_frames_shown()


_flash: dict[str, bool | None] = {"attention": None}


def enable_flash_attention() -> None:
    """Make each attention layer choose its computation by its `flash_attention`. This is the default."""
    _flash["attention"] = None


def disable_flash_attention() -> None:
    """Make attention layers without `flash_attention=` use the usual formula, as in Keras."""
    _flash["attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """False after `disable_flash_attention`, else None: each layer decides by itself.

    >>> disable_flash_attention()
    >>> is_flash_attention_enabled()
    False
    >>> enable_flash_attention()
    """
    return _flash["attention"]


public(__name__, __all__)
