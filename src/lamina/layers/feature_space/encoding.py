"""Encodes the columns of a table in one array of float32: codes of categories, numbers without gaps, flags of gaps.

The compiled program makes one-hot vectors from the codes. So a column of 10,000 categories is one number in each row
of this array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.raw_table import Column, RawTable
from lamina._layer.layer import Layer
from lamina._layer.structure import require_adapted
from lamina._messages.spelling import listed
from lamina._messages.tracebacks import warn
from lamina._settings.converters import flag, number, optional, rate
from lamina._settings.settings import Configured, setting
from lamina.errors import DataError
from lamina.layers.feature_space.kinds import MOST_CODES, Feature
from lamina.layers.feature_space.reading import read, require_values
from lamina.layers.features.adapting import Adapting
from lamina.layers.features.categories import Discretization
from lamina.layers.features.crossing import bins_of
from lamina.layers.features.hashing import Hashing
from lamina.layers.features.numbers import Normalization
from lamina.layers.features.text import TextVectorization
from lamina.layers.features.vocabularies import Lookup, indices_of

if TYPE_CHECKING:
    from lamina.layers.feature_space.feature_space import FeatureSpace

BITS, MOST_NUMBERS = 24, 2**22
"""The number of flags of words that one float32 holds, and the most flags in memory before they are packed."""
ENOUGH = 1000
"""The number of rows over which unknown categories are counted before a warning gives their share."""


class Learned(Configured):
    """Facts about a column that `adapt` learned, besides those that its layer learned.

    Args:
        median: the number that fills a gap; None for categories.
        gaps: whether there were gaps. A column of numbers then has a flag, a column of categories one more category.
        rare: the share of rows whose category had no code of its own. They train the slot of unknown categories.
    """

    median: float | None = setting(optional(number), default=None)
    gaps: bool = setting(flag, default=False)
    rare: float = setting(rate, default=1.0)


@dataclass
class Unknown:
    """Counts the unknown categories of one column in this process."""

    rows: int = 0
    count: int = 0
    shown: dict[Any, None] = field(default_factory=dict)
    said: bool = False


unknowns: dict[str, Unknown] = {}
"""The counts by the names of columns."""
filled: set[str] = set()
"""The columns for which a warning was given that they had no gaps in training."""


class Part(NamedTuple):
    """The place of a column in the array, and how the compiled program encodes it."""

    name: str
    columns: slice
    """Its columns in the array, without the flag."""
    depth: int = 0
    """The length of the one-hot vectors; 0 for numbers."""
    flag: bool = False
    """Whether a column with the flags of gaps follows."""
    words: int = 0
    """The number of words; each column of the array holds the flags of 24 words as bits. 0 for other kinds."""

    @property
    def end(self) -> int:
        """The index of the first column after this part."""
        return int(self.columns.stop) + self.flag


def has_codes(feature: Feature) -> bool:
    """Whether the feature's layer returns codes, which become one-hot vectors."""
    return feature.output_mode != "float"


def codes_below(layer: Any) -> int:
    """The number of codes of a layer."""
    if isinstance(layer, Lookup):
        require_adapted(layer)
        return layer.vocabulary_size()
    if isinstance(layer, Discretization) and layer.bin_boundaries is not None and layer.num_bins is None:
        return len(layer.bin_boundaries) + 1
    return int(layer.num_bins)


def learned_of(space: FeatureSpace, name: str) -> Learned:
    """The facts that were learned about a column; a default if its kind needs none."""
    return (space._lamina.learned or {}).get(name) or Learned()


def parts_of(space: FeatureSpace) -> tuple[Part, ...]:
    """The parts of the array: the columns in the order of their names, then the crosses."""
    parts, at = [], 0
    for name in sorted(space.features):
        feature, layer, gaps = space.features[name], space.preprocessors[name], learned_of(space, name).gaps
        columns, depth, flag, words = 1, 0, False, 0
        if has_codes(feature):
            depth = codes_below(layer) + gaps
        elif not on_host(layer):
            flag = gaps
        else:
            columns = layer.compute_output_shape((None, 1))[-1]
            if isinstance(layer, TextVectorization) and layer.output_mode == "multi_hot":
                columns, words = -(-columns // BITS), columns
        parts.append(Part(name, slice(at, at + columns), depth, flag, words))
        at = parts[-1].end
    for name in sorted(space.crossers):
        parts.append(Part(name, slice(at, at + 1), space.crossers[name].num_bins))
        at += 1
    return tuple(parts)


def on_host(layer: Layer) -> bool:
    """Whether the layer runs on the host, before the compiled program."""
    return layer._lamina_on_host


def columns_of(space: FeatureSpace, table: RawTable) -> Iterator[tuple[str, Column]]:
    """The columns that the space needs, in the order of their names, each converted to the dtype of its feature."""
    if missing := [name for name in space.features if name not in table.columns]:
        raise DataError(
            f"{space.name!r} needs the columns {listed(missing)}, and the table has {listed(table.columns)}."
        )
    for name in sorted(space.features):
        yield name, read(table.column(name), space.features[name].dtype)


def encode(space: FeatureSpace, table: RawTable, alone: bool = False) -> HostArray:
    """Encode a table as an array.  -> (rows, columns)

    Args:
        alone: whether an unknown category always has a code, as in Keras. In a stack, it has a code only if rows of
            the training data had it: otherwise the weights of that code were never trained.
    """
    parts = {part.name: part for part in space._lamina.parts}
    array = np.empty((len(table), max(part.end for part in parts.values())), np.float32)
    crossed = {name: np.empty(0) for cross in space.crosses for name in cross.feature_names}
    for name, column in columns_of(space, table):
        part = parts[name]
        if part.depth:
            codes, hidden = _codes(space, part, column, alone)
            array[:, part.columns.start] = codes if hidden is None else np.where(hidden, -1, codes)
            if name in crossed:
                crossed[name] = codes
        else:
            _fill_in(space, part, column, array)
    for cross in space.crosses:
        bins = bins_of(space.crossers[cross.name], [crossed[name] for name in cross.feature_names])
        array[:, parts[cross.name].columns.start] = bins
    return array


def _codes(space: FeatureSpace, part: Part, column: Column, alone: bool) -> tuple[HostArray, HostArray | None]:
    """The code of each row, and the rows whose code must not count.  -> (rows,), (rows,) or None"""
    layer, learned = space.preprocessors[part.name], learned_of(space, part.name)
    values, gaps = column.values, column.gaps
    there = slice(None) if gaps is None else ~gaps
    codes = np.full(len(values), part.depth - 1 if learned.gaps else 0)
    codes[there] = codes_of(layer, values[there])
    if alone:
        return codes, None
    hidden = None if learned.gaps else gaps
    if isinstance(layer, Lookup):
        known = layer._lamina_vocabulary
        unknown = (codes >= known.oov_start) & (codes < known.start)
        unknown = unknown if gaps is None else unknown & ~gaps
        _count(part.name, values, unknown, learned.rare)
        if not learned.rare:
            hidden = unknown if hidden is None else unknown | hidden
    return codes, hidden


def _fill_in(space: FeatureSpace, part: Part, column: Column, array: HostArray) -> None:
    """Write the numbers and the flags of gaps of one part into the array."""
    layer, learned = space.preprocessors[part.name], learned_of(space, part.name)
    values = column.values if space.features[part.name].dtype == "string" else _filled(part.name, column, learned)
    into = array[:, part.columns]
    if part.flag:
        array[:, part.end - 1] = 0 if column.gaps is None else column.gaps
    if not on_host(layer):
        into[:, 0] = values
        return
    step = MOST_NUMBERS // max(part.words, into.shape[1]) + 1
    for start in range(0, len(values), step):  # words of texts need some room on the way
        y = layer._lamina_host(values[start : start + step, None])
        into[start : start + step] = packed(y) if part.words else y


def packed(flags: HostArray) -> HostArray:
    """Pack zeros and ones as bits of whole numbers, which float32 holds exactly.  (rows, n) -> (rows, n / 24)"""
    rows, width = flags.shape
    filled = np.pad(flags, ((0, 0), (0, -width % BITS))).reshape(rows, -1, BITS)
    return filled.astype(np.float32) @ (2.0 ** np.arange(BITS)).astype(np.float32)  # (rows, n / 24)


def codes_of(layer: Any, values: HostArray) -> HostArray:
    """The code of each value.  (rows,) -> (rows,)"""
    if isinstance(layer, Discretization):
        bounds = np.asarray(layer.bin_boundaries, np.float32)
        return np.searchsorted(bounds, values.astype(np.float32), side="right")
    if isinstance(layer, Lookup):
        return indices_of(layer, values.tolist(), values.shape)
    codes: HostArray = layer._lamina_host(values)
    return codes


def _count(name: str, values: HostArray, unknown: HostArray, rare: float) -> None:
    """Count unknown categories. Warn once for a column that has more of them than in training."""
    seen = unknowns.setdefault(name, Unknown())
    if seen.said:
        return
    seen.rows += len(values)
    if unknown.any():
        seen.count += int(unknown.sum())
        seen.shown |= dict.fromkeys(values[unknown][:100].tolist())
    if seen.rows < ENOUGH:
        return
    if seen.count > seen.rows * (2 * rare + 0.01 * (rare > 0)):
        seen.said = True
        warn(
            f"column {name!r}: {seen.count:,} of {seen.rows:,} rows have a category that training had not, such as "
            f"{listed(seen.shown, 3)}. "
            + (f"In training {rare:.1%} of the rows shared its slot." if rare else "It adds nothing to the output.")
        )
    seen.rows, seen.count, seen.shown = 0, 0, {}


def _filled(name: str, column: Column, learned: Learned) -> HostArray:
    """Fill the gaps of a column with the median of the training data."""
    values, gaps = column.values, column.gaps
    if gaps is None:
        return values
    if learned.median is None:
        raise DataError(
            f"column {name!r} has {int(gaps.sum())} gaps, and the median that fills them is not known: "
            "call adapt(table) first."
        )
    if not learned.gaps and name not in filled:
        filled.add(name)
        median = f", {learned.median:g}" if values.dtype.kind == "f" else ""
        warn(f"column {name!r} has gaps, and had none in training: they are filled with the median{median}.")
    return np.where(gaps, np.asarray(learned.median).astype(values.dtype), values)


def learn(space: FeatureSpace, table: RawTable, every: RawTable | None = None) -> None:
    """Adapt the layers of all columns to a table, and store the medians and which columns have gaps.

    Args:
        every: all rows, of which the table is a part. Vocabularies and gaps are those of all rows, so that the output
            has the same width for each part.
    """
    if not len(table):
        raise DataError("the table has no rows.")
    whole = dict(columns_of(space, every)) if every is not None else {}
    columns = columns_of(space, table)
    space._lamina.learned = {name: _learned(space, column, whole.get(name, column)) for name, column in columns}


def _learned(space: FeatureSpace, column: Column, every: Column) -> Learned:
    require_values(column)
    feature, layer = space.features[column.name], space.preprocessors[column.name]
    trains = column.there
    median, rare = None, 0.0
    if feature.dtype in ("float32", "datetime"):  # a date counts as seconds
        median = float(np.median(trains.astype(np.float64)))
    if learns(layer):
        layer.reset_state()
        layer._lamina_learn((every.there if isinstance(layer, (Lookup, TextVectorization)) else trains)[:, None], False)
        layer.finalize_state()
    if isinstance(layer, Lookup):
        known = layer._lamina_vocabulary
        unknowns[column.name] = Unknown(said=unknowns.get(column.name, Unknown()).said)  # counted for this vocabulary
        found = known.counts if learns(layer) and every is column else Counter(trains.tolist())
        rare = sum(count for term, count in found.items() if term not in known.index) / len(trains)
        layer.reset_state()
    return Learned(median, every.gaps is not None, rare)


def learns(layer: Layer) -> bool:
    """Whether the layer must be adapted, because its arguments do not give what it needs."""
    if isinstance(layer, Lookup):
        return not layer._lamina_vocabulary.given
    if isinstance(layer, Normalization):
        return layer.input_mean is None
    return isinstance(layer, Adapting) and not (isinstance(layer, Discretization) and layer.num_bins is None)


def check_codes(name: str, layer: Layer) -> None:
    """Refuse a layer that has no codes, or too many for 32-bit floats."""
    if not isinstance(layer, (Lookup, Discretization, Hashing)) or getattr(layer, "output_mode", "int") != "int":
        raise DataError(
            f"features[{name!r}] has output_mode='one_hot', which needs a layer that returns codes: StringLookup, "
            f"IntegerLookup, Hashing or Discretization with output_mode='int'. {type(layer).__name__} takes 'float'."
        )
    if isinstance(layer, Hashing) and layer.num_bins > MOST_CODES:
        raise DataError(f"features[{name!r}]: at most {MOST_CODES:,} bins, got {layer.num_bins:,}.")
