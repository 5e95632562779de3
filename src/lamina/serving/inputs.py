"""Converts the rows of a request to the array for the program, for each kind of stack."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._layer.host import raw, table_layer
from lamina.errors import MissingPackageError
from lamina.serving.calls import Rows
from lamina.serving.refused import Refused
from lamina.serving.served import ServedModel

CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's modes by the number of channels."""
FORMATS = "PNG", "JPEG", "WEBP", "GIF", "BMP"
MOST_PIXELS = 50_000_000
Json = Any


class Tensor(NamedTuple):
    """One input or output in the Open Inference Protocol."""

    name: str
    datatype: str
    shape: list[int]


class Prepared(NamedTuple):
    """The rows of one request as an array for the program, and their length before padding."""

    x: HostArray
    length: int | None


class Arrays:
    """Rows of numbers by position, or by the names of columns if the model was trained on a frame."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self.columns = served.model._lamina.columns
        whole = np.issubdtype(served.dtype, np.integer)
        shape = [-1, *(-1 if size is None else size for size in served.shape)]
        self.tensors = [Tensor("x", "INT32" if whole else "FP32", shape)]

    def of_json(self, rows: Sequence[Json]) -> Rows:
        if self.columns and all(isinstance(row, Mapping) for row in rows):
            for number, row in enumerate(rows):
                _require_columns(row, self.columns, number)
            rows = [[row[name] for name in self.columns] for row in rows]
        return self.of_tensors({"x": numbers(rows, "the rows")})

    def of_tensors(self, given: Mapping[str, HostArray]) -> Rows:
        x = given["x"]
        if x.dtype.kind not in "biuf":
            raise Refused(400, f"the model takes numbers, got {x.dtype}.")
        if not np.isfinite(x).all():
            raise Refused(400, "the rows hold NaN or infinity.")
        with np.errstate(all="ignore"):
            cast = x.astype(self.served.dtype)
            kept = np.isfinite(cast).all() and (cast.dtype.kind == "f" or (cast == x).all())
        if not kept:
            raise Refused(400, f"the rows hold a number that {self.served.dtype} cannot hold.")
        fitted, length = self.served.fitted(cast)
        return Rows(fitted.shape[1:], len(fitted), Prepared(fitted, length))

    def of_image(self, body: bytes) -> Rows:
        """Make one row, with values from 0 to 255, from an image file."""
        return self.of_tensors({"x": picture(body, self.served.row_shapes)[None]})

    def joined(self, several: Sequence[Rows]) -> HostArray:
        return np.concatenate([rows.data.x for rows in several])


class Raw(Arrays):
    """Texts or other raw values that the first layers convert on the host, for each request separately."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__(served)
        whole = getattr(served.model._lamina_chain[0], "vocabulary_dtype", "string") != "string"
        self.tensors = [Tensor("x", "INT64" if whole else "BYTES", [-1])]

    def of_json(self, rows: Sequence[Json]) -> Rows:
        if any(isinstance(row, (Mapping, type(None))) for row in rows):
            raise Refused(400, 'expected a list of texts or of raw values, as ["a text", "another one"].')
        return self.of_tensors({"x": raw(list(rows))})

    def of_tensors(self, given: Mapping[str, HostArray]) -> Rows:
        y = self.served.model._lamina_host(given["x"])
        fitted, length = self.served.fitted(np.asarray(y, self.served.dtype))
        return Rows(fitted.shape[1:], len(fitted), Prepared(fitted, length))


class Table:
    """Rows by the names of columns, for a FeatureSpace. The rows of all requests in one call are encoded together."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self.features = table_layer(served.model).features
        kinds = {"float32": "FP64", "int32": "INT64", "int64": "INT64"}
        self.tensors = [Tensor(name, kinds.get(each.dtype, "BYTES"), [-1, 1]) for name, each in self.features.items()]

    def of_json(self, rows: Sequence[Json]) -> Rows:
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise Refused(
                    400, f"row {number} is not an object with a value for each column: {', '.join(self.features)}."
                )
            _require_columns(row, self.features, number)
            for name in self.features:
                if isinstance(row[name], (list, dict)):
                    raise Refused(400, f"row {number}: the column {name!r} takes one value, got {str(row[name])[:40]}.")
        return Rows("table", len(rows), {name: [row[name] for row in rows] for name in self.features})

    def of_tensors(self, given: Mapping[str, HostArray]) -> Rows:
        columns = {name: array.reshape(-1).tolist() for name, array in given.items()}
        counts = {len(column) for column in columns.values()}
        if len(counts) != 1:
            raise Refused(400, "the columns have different numbers of rows.")
        return Rows("table", counts.pop(), columns)

    def joined(self, several: Sequence[Rows]) -> HostArray:
        columns = {name: [value for rows in several for value in rows.data[name]] for name in self.features}
        return np.asarray(self.served.model._lamina_host(columns), self.served.dtype)


def input_for(served: ServedModel) -> Arrays | Table:
    """Make the converter for the rows of a model."""
    if table_layer(served.model) is not None:
        return Table(served)
    return Raw(served) if served.model._lamina_on_host else Arrays(served)


def is_image(served: ServedModel) -> bool:
    """Whether one row is an image: height, width and 1, 3 or 4 channels."""
    return len(served.shape) == 3 and served.shape[-1] in CHANNELS and not served.model._lamina_on_host


def numbers(values: object, name: str) -> HostArray:
    """Convert nested lists of numbers to an array. Texts, null and rows of different lengths are errors."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise Refused(400, f"{name} have different lengths.") from None
    if array.dtype.kind not in "biuf":
        raise Refused(400, f"{name} hold something that is not a number.")
    return array


def picture(body: bytes, shapes: Sequence[Sequence[int | None]]) -> HostArray:
    """Decode an image file, and scale it to a shape of the model.  -> (height, width, channels)"""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingPackageError('images need the package pillow: pip install "lamina[serve]"') from error
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise Refused(413, f"the image has {width} x {height} pixels; at most {MOST_PIXELS:,} are taken.")
            shape = next((each for each in shapes if tuple(each[:2]) == (height, width)), shapes[0])
            image = opened.convert(CHANNELS[int(shape[2] or 1)])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Refused(
            400, f"the body is not an image that can be read; expected one of {', '.join(FORMATS)}."
        ) from None
    if image.size != (shape[1], shape[0]):
        image = image.resize((int(shape[1] or 1), int(shape[0] or 1)), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(tuple(int(size or 1) for size in shape))


def _require_columns(row: Mapping[str, Any], columns: Any, number: int) -> None:
    if missing := [name for name in columns if name not in row]:
        raise Refused(400, f"row {number} lacks the column {missing[0]!r}; a value that is not known is null.")
