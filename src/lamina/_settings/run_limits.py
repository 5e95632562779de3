"""Limits on the length of a run, to try out a program in seconds without changing it."""

from __future__ import annotations

import os
from typing import TypedDict

from lamina._messages.tracebacks import warn
from lamina._settings.converters import checked, count, optional
from lamina.errors import ArgumentError


class Limits(TypedDict):
    epochs: int | None
    steps: int | None


def _from_environment(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        raise ArgumentError(f"the environment variable {name} is {text!r}: expected a whole number, or none at all.")
    return int(text) if text else None


limits: Limits = {
    "epochs": _from_environment("KERAS_MAX_EPOCHS"),
    "steps": _from_environment("KERAS_MAX_STEPS_PER_EPOCH"),
}


def set_limit(of: str, value: object) -> None:
    """Set the limit of "epochs" or "steps"; None and 0 set none."""
    name = "max_epochs" if of == "epochs" else "max_steps_per_epoch"
    limits[of] = checked(f"set_{name}", name, optional(count), value)  # type: ignore[literal-required]


def limited_epochs(epochs: int) -> int:
    """The number of epochs, limited by `config.max_epochs()`."""
    most = limits["epochs"] or epochs
    if most < epochs:
        warn(f"fit ends after epoch {most} of {epochs}: config.max_epochs() is {most}.")
    return min(most, epochs)


def say_out_of_data(name: str, came: int, asked: int | None, last: bool = False) -> None:
    """Warn that the data ended before the `asked` number of steps; None asks for all of the data."""
    many, after = f"{came} of {asked}" if came else "none", " It can be read once, so the training ends here." * last
    warn(
        f"{name} ran out of batches: {many} in this epoch.{after}\n"
        "Ask for fewer steps, or let the data start again at their end: dataset.repeat(), or a generator with a "
        "while True."
    )


def limited_steps(steps: int | None, known: int | None) -> int | None:
    """The steps of an epoch, limited by `config.max_steps_per_epoch()`.

    Args:
        steps: the number that the user asks for; None asks for all of the data.
        known: the number of steps in all of the data, if it is known.
    """
    most, wanted = limits["steps"], known if steps is None else steps
    if not most or (wanted is not None and wanted <= most):
        return steps
    warn(f"{most} steps are made of {wanted or 'all'}: config.max_steps_per_epoch() is {most}.")
    return most
