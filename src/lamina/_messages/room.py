"""The error for an array that does not fit into memory, which NumPy and JAX say each in their way."""

from __future__ import annotations

import re

from lamina.errors import LaminaError, NoMemoryError


def of_memory(error: Exception, function: str) -> NoMemoryError | None:
    """The error in place of NumPy's or JAX's for an array that does not fit; None if it is about something else."""
    if isinstance(error, LaminaError) or not (isinstance(error, MemoryError) or "Out of memory" in str(error)):
        return None
    said = re.search(r"[Aa]llocat\w+ (\d+ bytes|[\d.]+ \w+)(?: for an array with shape (\(.*\)))?", str(error))
    wants = f"needs {said[1]}{f' for an array of shape {said[2]}' if said[2] else ''}" if said else "needs more memory"
    name = function.removesuffix(".__call__").removesuffix(".__init__")
    return NoMemoryError(f"{name} {wants}, and less memory is free.\nMake it smaller, or take it in parts.")
