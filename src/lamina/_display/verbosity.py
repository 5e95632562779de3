"""The `verbose` of a call. This is not in progress.py, because that takes long to import."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import ArgumentError

VERBOSE = {"auto": 1, "rich": 1, 0: 0, 1: 1, 2: 2, 3: 3}
"""The output for each value: 0 nothing, 1 a bar on a terminal or in a notebook, 2 a line for each epoch, 3 only its
number. "rich" is 1 with rows per second, the memory, and the time left."""


shown = {"interactive": True}
"""Whether "auto" may show a bar. If not, it means 2."""


def level(verbose: int | str) -> int:
    """Convert a `verbose` to 0, 1, 2 or 3, by the present meaning of "auto"."""
    return 2 if verbose == "auto" and not shown["interactive"] else VERBOSE[verbosity(verbose)]


def verbosity(verbose: object) -> Any:
    """Check the `verbose` of a call."""
    if not isinstance(verbose, (int, np.integer, str)) or verbose not in VERBOSE:
        raise ArgumentError(
            f"verbose={verbose!r}: expected 0 (silent), 1 (a bar), 2 (one line an epoch), 3 (its number alone), "
            '"auto" (a bar on a terminal and in a notebook) or "rich" (with rows a second, memory and the time left).'
        )
    return verbose
