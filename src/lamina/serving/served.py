"""A model that is loaded for a service: the checks at the start, the shapes of its rows, and its compiled calls."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._checks import indices
from lamina._layer.structure import parts
from lamina._saving.export import input_of
from lamina._training.predict import predictor_for
from lamina._training.targets import class_of_each
from lamina.errors import ArgumentError, NotBuiltError, ShapeError, StackError
from lamina.models.loading import load_model
from lamina.models.sequential import Sequential

ROWS = 64
"""The most rows of one call of the program. A call takes a power of two: 1, 2, 4, ..., 64 rows."""
LENGTHS = 32, 64, 128, 256, 512
"""The lengths to which sequences with a mask are padded, unless `shapes` gives others."""
MOST_SHAPES = 16
"""The most shapes of one row. Seven programs are compiled for each at the start."""
Outputs = tuple[HostArray, ...]
Sizes = tuple[int, ...]


class ServedModel:
    """A model file that is loaded for a service. The programs for 1 to 64 rows are compiled at once.

    Args:
        path: the model's file.
        name: the name of the model in the service; by default the name of the file.
        shapes: for each shape of a row that is served, the sizes of its free axes.

    Raises:
        StackError: the stack keeps a state between calls, or draws random numbers when it predicts.
    """

    together = False
    """Whether the rows of several requests may share a call. This is tested at the start."""

    def __init__(self, path: str | Path, name: str | None = None, shapes: Sequence[Sizes] = ()) -> None:
        self.path = Path(path)
        self.model = load_model(self.path)
        if not isinstance(self.model, Sequential):
            raise StackError(f"{path} holds a {type(self.model).__name__}, and a service answers for a whole model.")
        self.name = name or self.path.name.removesuffix(self.path.suffix)
        self.sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path.is_file() else ""
        self.classes = self.model.classes_
        if not self.model.built:
            raise NotBuiltError(f"{path} holds a stack without shapes: build it on data, then save it again.")
        self.predictor = predictor_for(self.model)
        if self.predictor.spec.carried:
            raise StackError(f"{self.model.name!r} keeps a state between calls, so answers would depend on each other.")
        shape, self.dtype = input_of(self.model)
        self.shape: Shape = tuple(self.model._lamina_body_shape if self.model._lamina_on_host else shape)[1:]
        given = self.model.output_shape
        self.output_shapes: list[Shape] = given if isinstance(given, list) else [given]
        self.row_shapes = self._row_shapes(shapes)
        self.pads = self._pads()
        if None in self.shape and not self.row_shapes and not self.pads:
            example = "x".join("224" if size is None else str(size) for size in self.shape)
            raise ArgumentError(
                f"one row has the shape {self.shape} with free axes: name the sizes, --shapes {example}."
            )
        if self.pads and not self.row_shapes:
            self.row_shapes = [self._whole((length,)) for length in LENGTHS]
        if not self._repeats():
            raise StackError(f"{self.model.name!r} draws random numbers when it predicts: equal requests differ.")
        self.together = self._rows_are_apart()
        for shape, power in itertools.product(self.row_shapes, range(ROWS.bit_length() if self.together else 1)):
            self.call(np.zeros((1 << power, *shape), self.dtype))

    @property
    def most_rows(self) -> int:
        return ROWS if self.together else 1

    def _row_shapes(self, shapes: Sequence[Sizes]) -> list[Sizes]:
        if None not in self.shape:
            if shapes:
                raise ArgumentError(f"one row has the shape {self.shape}, without a free axis: leave out --shapes.")
            return [self._whole(())]
        for shape in shapes:
            fits = len(shape) == len(self.shape) and all(a in (None, b) for a, b in zip(self.shape, shape, strict=True))
            if not fits and len(shape) != self.shape.count(None):
                raise ArgumentError(f"the shape {shape} does not fit one row of the model: {self.shape}.")
        if len(shapes) > MOST_SHAPES:
            raise ArgumentError(f"at most {MOST_SHAPES} shapes are served, got {len(shapes)}.")
        return sorted(self._whole(shape) for shape in shapes)

    def _whole(self, shape: Sizes) -> Sizes:
        if len(shape) == len(self.shape):
            return tuple(shape)
        sizes = iter(shape)
        return tuple(next(sizes) if size is None else size for size in self.shape)

    def _random(self, rows: int, shape: Sizes) -> HostArray:
        draw, limit = np.random.default_rng(0), getattr(self.predictor.reader, "_lamina_indices_below", 2)
        whole = np.issubdtype(self.dtype, np.integer) or self.predictor.reader is not None
        x = draw.integers(1, max(limit, 2), (rows, *shape)) if whole else draw.normal(size=(rows, *shape))
        return x.astype(self.dtype)

    def _pads(self) -> bool:
        """Whether shorter sequences may be padded with zeros, because a mask leaves these out."""
        masked = any(part.layer._lamina.mask_out for part in parts(self.model))
        if not masked or self.shape[0] is not None or None in self.shape[1:]:
            return False
        length = self.row_shapes[0][0] if self.row_shapes else LENGTHS[0]
        short = self._random(ROWS, self._whole((max(length // 2, 1),)))
        try:
            outputs, padded = (_all(self.predictor(x, fills=False)) for x in (short, self._padded(short, length)))
        except ShapeError:
            return False
        return _equal(outputs, self.cut(padded, short.shape[1]))

    def _repeats(self) -> bool:
        """Whether two calls with the same row give the same output."""
        row = self._random(1, self.row_shapes[0])
        return all(map(np.array_equal, self.call(row), self.call(row)))

    def _rows_are_apart(self) -> bool:
        """Whether two rows in one call have the same outputs as alone."""
        rows = self._random(2, self.row_shapes[0])
        return _equal(self.call(rows), _all(self.predictor(rows, fills=False)))

    def fitted(self, x: HostArray) -> tuple[HostArray, int | None]:
        """Pad rows to a shape for which there is a program. Returns them, and their length before padding.

        Raises:
            ShapeError: the shape is not served.
            DataError: a number is not an index in the table of the first layer.
        """
        if self.predictor.reader is not None:
            indices.check(x, self.predictor.reader)
        shape = x.shape[1:]
        if shape in self.row_shapes:
            return x, None
        longer = [each for each in self.row_shapes if self.pads and shape[1:] == each[1:] and shape[:1] < each[:1]]
        if not longer or not shape or len(shape) != len(self.shape):
            served = ", ".join(map(str, self.row_shapes))
            raise ShapeError(f"one row has the shape {shape}; served are rows of {served}.")
        return self._padded(x, longer[0][0]), shape[0]

    @staticmethod
    def _padded(x: HostArray, length: int) -> HostArray:
        return np.pad(x, [(0, 0), (0, length - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])

    def call(self, x: HostArray) -> Outputs:
        """The outputs for rows that `fitted` returned."""
        size = self.most_rows
        given = (self._call(x[at : at + size]) for at in range(0, len(x), size))
        return tuple(map(np.concatenate, zip(*given, strict=True)))

    def _call(self, x: HostArray) -> Outputs:
        """The outputs for at most `most_rows` rows, which are filled up to a power of two."""
        rows = len(x)
        filled = np.pad(x, [(0, (1 << (rows - 1).bit_length()) - rows), *[(0, 0)] * (x.ndim - 1)])
        return tuple(y[:rows] for y in _all(self.predictor(filled, fills=False)))

    def cut(self, outputs: Outputs, length: int | None) -> Outputs:
        """Cut the padded steps off the outputs."""
        free = [len(shape) > 1 and shape[1] is None for shape in self.output_shapes]
        return tuple(y[:, :length] if cut else y for y, cut in zip(outputs, free, strict=True))

    def names(self, outputs: Outputs) -> list[Any] | None:
        """The class of each row; None if the model has no names of classes."""
        return None if self.classes is None else class_of_each(self.model, outputs[0]).tolist()


def _all(y: Any) -> Outputs:
    return tuple(map(np.asarray, y if isinstance(y, tuple) else (y,)))


def _equal(one: Outputs, other: Outputs) -> bool:
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(b).max(initial=0))))
        for a, b in zip(one, other, strict=True)
    )
