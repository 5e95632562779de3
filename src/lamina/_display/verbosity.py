"""The `verbose` of a call, apart from progress.py, which takes long to import."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import ArgumentError

VERBOSE = {"auto": 1, "rich": 1, 0: 0, 1: 1, 2: 2, 3: 3}
"""What is shown for each value: 0 nothing, 1 a bar where there is a terminal or a notebook, 2 a line an epoch, 3 its
number alone. "rich" is 1 with the speed in rows, the memory, and the time that is left."""


shown = {"interactive": True}
"""Whether "auto" may show a bar; else it is 2."""


def level(verbose: int | str) -> int:
    """0, 1, 2 or 3, by what "auto" is now."""
    return 2 if verbose == "auto" and not shown["interactive"] else VERBOSE[verbosity(verbose)]


def verbosity(verbose: object) -> Any:
    """The `verbose` of a call, checked."""
    if not isinstance(verbose, (int, np.integer, str)) or verbose not in VERBOSE:
        raise ArgumentError(
            f"verbose={verbose!r}: expected 0 (silent), 1 (a bar), 2 (one line an epoch), 3 (its number alone), "
            '"auto" (a bar on a terminal and in a notebook) or "rich" (with rows a second, memory and the time left).'
        )
    return verbose
