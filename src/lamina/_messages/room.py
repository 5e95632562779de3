"""The error for an array that does not fit into memory, in place of NumPy's and JAX's."""

from __future__ import annotations

import re

from lamina.errors import LaminaError, NoMemoryError


def of_memory(error: Exception, function: str, place: str = "") -> NoMemoryError | None:
    """The error for an array that does not fit, from NumPy's or JAX's error; None if that has another reason.

    Args:
        function: the function or layer that makes the array.
        place: the line of the user's code that makes it; "" if it is not the user's code.
    """
    if isinstance(error, LaminaError) or not (isinstance(error, MemoryError) or "Out of memory" in str(error)):
        return None
    said = re.search(r"[Aa]llocat\w+ (\d+ bytes|[\d.]+ \w+)(?: for an array with shape (\(.*\)))?", str(error))
    size = said[1].replace(". ", " ") if said else ""  # NumPy writes "728. TiB"
    wants = f"needs {size}{f' for an array of shape {said[2]}' if said[2] else ''}" if said else "needs more memory"
    name = function.removesuffix(".__call__").removesuffix(".__init__")
    where = f" at {place}" if place else ""
    return NoMemoryError(f"{name} {wants}{where}, and less memory is free.\nMake it smaller, or take it in parts.")
