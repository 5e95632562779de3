"""The losses whose targets are classes."""

from __future__ import annotations

from lamina.losses.crossentropies import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Crossentropy,
    SparseCategoricalCrossentropy,
)
from lamina.losses.focal import BinaryFocalCrossentropy, CategoricalFocalCrossentropy
from lamina.losses.hinges import CategoricalHinge, Hinge, SquaredHinge

OF_TWO = BinaryCrossentropy, BinaryFocalCrossentropy
HINGES = Hinge, SquaredHinge
ONE_HOT = CategoricalCrossentropy, CategoricalFocalCrossentropy, CategoricalHinge
OF_CLASSES = (*OF_TWO, *HINGES, *ONE_HOT, SparseCategoricalCrossentropy, Crossentropy)
