"""The error for an array that does not fit into memory, which NumPy and JAX say each in their way."""

from __future__ import annotations

import re

from lamina.errors import LaminaError, NoMemoryError


def of_memory(error: Exception, function: str, place: str = "") -> NoMemoryError | None:
    """The error in place of NumPy's or JAX's for an array that does not fit; None if it is about something else.

    Args:
        function: the function or layer that makes the array.
        place: the line of the user's code where that is, if it is theirs.
    """
    if isinstance(error, LaminaError) or not (isinstance(error, MemoryError) or "Out of memory" in str(error)):
        return None
    said = re.search(r"[Aa]llocat\w+ (\d+ bytes|[\d.]+ \w+)(?: for an array with shape (\(.*\)))?", str(error))
    size = said[1].replace(". ", " ") if said else ""  # NumPy writes "728. TiB"
    wants = f"needs {size}{f' for an array of shape {said[2]}' if said[2] else ''}" if said else "needs more memory"
    name = function.removesuffix(".__call__").removesuffix(".__init__")
    where = f" at {place}" if place else ""
    return NoMemoryError(f"{name} {wants}{where}, and less memory is free.\nMake it smaller, or take it in parts.")
