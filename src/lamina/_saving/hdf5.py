"""HDF5, in which Keras keeps weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Stored(NamedTuple):
    """What an HDF5 file holds."""

    arrays: dict[str, np.ndarray]
    """The datasets by their paths, such as "layers/dense/vars/0"."""
    attributes: dict[str, dict[str, Any]]
    """The attributes of groups and datasets by their paths, "" for the root; every group is named here."""
