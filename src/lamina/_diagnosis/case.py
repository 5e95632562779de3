"""The data and the stack for the checks, with statistics that several checks need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lamina import losses
from lamina._arrays.arrays import HostArray
from lamina._diagnosis.findings import ROWS
from lamina._layer.layer import Layer
from lamina.layers.embeddings import Embedding
from lamina.losses import Loss
from lamina.losses.of_classes import OF_CLASSES, ONE_HOT

NUMBERS = 2**18
"""The most numbers of x in a sample."""


@dataclass(frozen=True, eq=False)
class Case:
    """Rows of data, and the stack that is trained on them."""

    x: HostArray
    y: HostArray | None
    layers: Sequence[Layer]
    loss: Loss | None
    columns: Sequence[str | None] | None = None
    """The names of the columns if x is a table; None for a column that encodes a part of a column of the user."""
    held_out: HostArray | None = None
    """The x of the validation data."""
    metrics: Sequence[str] = ()
    weighted: bool = False
    """Whether rows or classes have weights."""
    drop: str = "x = numpy.delete(x, {}, axis=1)"
    """The code that leaves columns out."""

    @cached_property
    def sample(self) -> Case:
        """Rows at equal distances; x then has at most `NUMBERS` numbers."""
        step = -(-self.x.size // NUMBERS)
        return self if step <= 1 else self.every(step)

    def every(self, step: int) -> Case:
        """Every `step`-th row, without the validation data."""
        y = None if self.y is None else self.y[::step]
        return replace(self, x=self.x[::step], y=y, held_out=None)

    @cached_property
    def is_table(self) -> bool:
        """Whether x has columns, and enough rows to compare them."""
        numbers = self.x.dtype.kind in "iuf" and not any(isinstance(layer, Embedding) for layer in self.layers)
        return self.x.ndim == 2 and self.x.shape[1] > 1 and len(self.x) >= ROWS and numbers

    def name(self, column: int) -> str:
        """The expression for a column in the user's code."""
        return f"x[{self.columns[column]!r}]" if self.columns else f"x[:, {column}]"

    def left_out(self, *columns: int) -> str:
        """The code that leaves columns out, for messages."""
        return self.drop.format([self.columns[column] if self.columns else int(column) for column in columns])

    @cached_property
    def whole(self) -> HostArray:
        """Whether each column is a whole column of the user, not a part of one.  (columns,)"""
        return np.array([name is not None for name in self.columns or np.zeros(self.x.shape[1])])

    @cached_property
    def classes(self) -> HostArray | None:
        """The class number of each row, if the loss is for classes and y has one class for each row.  (rows,)"""
        if self.y is None or not isinstance(self.loss, OF_CLASSES):
            return None
        if self.y.ndim == 2 and self.y.shape[1] > 1:
            one_hot = isinstance(self.loss, ONE_HOT)
            return self.y.argmax(1) if one_hot or isinstance(self.loss, losses.Crossentropy) else None
        flat = self.y.reshape(-1)
        return np.unique(flat, return_inverse=True)[1] if len(flat) == len(self.y) else None

    @cached_property
    def target(self) -> HostArray | None:
        """The number in each row of y, or the number of its class.  (rows,)"""
        if self.classes is not None:
            return self.classes.astype(np.float64)
        alone = self.y is not None and self.y.size == len(self.y) and self.y.dtype.kind in "iuf"
        return self.y.reshape(-1).astype(np.float64) if alone and self.y is not None else None

    @cached_property
    def centred(self) -> HostArray:
        """x minus the mean of each column.  (rows, columns)"""
        centred: HostArray = self.x - self.x.mean(0, dtype=np.float64).astype(np.float32)
        return centred

    @cached_property
    def deviations(self) -> HostArray:
        """The standard deviation of each column.  (columns,)"""
        squares: HostArray = np.einsum("rc,rc->c", self.centred, self.centred, dtype=np.float64)
        return np.sqrt(squares / len(self.x))

    @cached_property
    def correlations(self) -> HostArray:
        """The correlation of each column with the target; 0 for a constant column.  (columns,)"""
        if self.target is None:
            return np.zeros(self.x.shape[1])
        target = self.target - self.target.mean()
        scale = self.deviations * target.std() * len(self.x)
        products = target.astype(np.float32) @ self.centred
        correlations: HostArray = np.divide(products, scale, out=np.zeros(len(scale)), where=(scale > 0) & self.whole)
        return correlations
