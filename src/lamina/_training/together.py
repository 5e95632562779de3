"""A verb that all processes of a job run together."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lamina._arrays import devices
from lamina._process.job import launched
from lamina.errors import ProcessError


def together(verb: str) -> AbstractContextManager[None]:
    """Run a verb with the other processes of a job, if this is one of several.

    Raises:
        ProcessError: a launcher has started several processes, and each would compute alone; or the processes do not
            call the same verb, or one of them has failed.
    """
    if devices.current() is None and not devices.alone() and (variable := launched()) is not None:
        raise ProcessError(
            f"{verb}: {variable} says that this is one of several processes, and each would compute alone.\n"
            "To compute together, begin the script with keras.distribution.initialize() and\n"
            "keras.distribution.set_distribution(keras.distribution.DataParallel()).\n"
            "For independent runs type keras.distribution.initialize(num_processes=1)."
        )
    return devices.job().verb(verb)
