"""The columns of a table as one array of 32-bit floats: codes of categories, filled numbers, and flags of gaps.

The compiled program makes vectors of it. So a column of 10,000 categories is one number for each row until then.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.raw_table import Column, RawTable
from lamina._layer.layer import Layer
from lamina._layer.structure import require_adapted
from lamina._messages.tracebacks import warn
from lamina.errors import DataError
from lamina.layers.feature_space.kinds import MOST_CODES, Feature
from lamina.layers.feature_space.reading import read
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
"""How many flags of words a number holds, and how many flags there are at once before they are packed."""
ENOUGH = 1000
"""Over how many rows unknown categories are counted before a warning tells their share."""


@dataclass
class Learned:
    """What the rows of `adapt` said about a column, apart from what its layer learned."""

    median: float | None = None
    """What fills a gap; None for categories."""
    gaps: bool = False
    """Whether there were gaps. They have a flag, or among categories one of their own."""
    rare: bool = True
    """Whether some category had no code of its own, so that training sees the slot of unknown ones."""


@dataclass
class Unknown:
    """The categories never seen in one column, in this process."""

    rows: int = 0
    count: int = 0
    shown: dict[Any, None] = field(default_factory=dict)
    said: bool = False


unknowns: dict[str, Unknown] = {}
"""By the names of columns."""
filled: set[str] = set()
"""The columns of which a warning said that their first gaps came after training."""


class Part(NamedTuple):
    """The place of a column in the array, and what the compiled program makes of it."""

    name: str
    columns: int
    """How many columns of the array it has, without the flag."""
    depth: int
    """The length of the one-hot vectors; 0 for numbers."""
    flag: bool
    """Whether a column follows that says where gaps were."""
    words: int = 0
    """The number of words, of which each column holds 24 as the bits of a whole number; 0 for other kinds."""


def has_codes(feature: Feature) -> bool:
    """Whether the feature's layer gives codes, of which one-hot vectors are made."""
    return feature.output_mode != "float"


def codes_below(layer: Any) -> int:
    """The number of codes of a layer."""
    if isinstance(layer, Lookup):
        require_adapted(layer)
        return layer.vocabulary_size()
    if isinstance(layer, Discretization) and layer.bin_boundaries is not None and layer.num_bins is None:
        return len(layer.bin_boundaries) + 1
    return int(layer.num_bins)


def parts_of(space: FeatureSpace) -> tuple[Part, ...]:
    """The parts of the array, in the order of the columns' names, and then the crosses."""
    parts, learned = [], space._lamina.learned or {}
    for name in sorted(space.features):
        feature, layer = space.features[name], space.preprocessors[name]
        gaps = name in learned and learned[name].gaps
        if has_codes(feature):
            parts.append(Part(name, 1, codes_below(layer) + gaps, False))
        else:
            width = layer.compute_output_shape((None, 1))[-1] if on_host(layer) else 1
            words = width if isinstance(layer, TextVectorization) and layer.output_mode == "multi_hot" else 0
            width = -(-width // BITS) if words else width
            parts.append(Part(name, width, 0, gaps and not on_host(layer), words))
    return (*parts, *(Part(name, 1, space.crossers[name].num_bins, False) for name in sorted(space.crossers)))


def on_host(layer: Layer) -> bool:
    """Whether the layer makes numbers before the compiled program."""
    return layer._lamina_on_host


def encode(space: FeatureSpace, table: RawTable, alone: bool = False) -> HostArray:
    """The array of a table: (rows, columns).

    Args:
        alone: whether an unknown category always has its code, as in Keras. In a stack it has none where no row of
            training had that code, since its weights would never have learned.
    """
    if missing := [name for name in space.features if name not in table.names]:
        shown, held = ", ".join(map(repr, missing[:8])), ", ".join(map(repr, table.names[:12]))
        raise DataError(f"{space.name!r} needs the columns {shown}, and the table has {held}.")
    array = np.empty((len(table), sum(part.columns + part.flag for part in space._lamina.parts)), np.float32)
    codes: dict[str, HostArray] = {}
    crossed = {name for cross in space.crosses for name in cross.feature_names}
    at = 0
    for part in space._lamina.parts:
        if part.name in space.crossers:
            cross = next(cross for cross in space.crosses if cross.name == part.name)
            array[:, at] = bins_of(space.crossers[part.name], [codes[name] for name in cross.feature_names])
            at += 1
            continue
        feature, layer = space.features[part.name], space.preprocessors[part.name]
        column = read(table.column(part.name), part.name, feature.dtype)
        learned = (space._lamina.learned or {}).get(part.name, Learned())
        if part.depth:
            numbers = codes_of(layer, column.values)
            if isinstance(layer, Lookup):
                numbers = _known(part.name, layer, numbers, column, alone or learned.rare, part.name in crossed, codes)
            if column.gaps is not None:
                numbers[column.gaps] = part.depth - 1 if learned.gaps else 0 if alone else -1
            codes.setdefault(part.name, np.maximum(numbers, 0))
            array[:, at] = numbers
        else:
            values = _filled(part.name, column, learned) if feature.dtype != "string" else column.values
            step = MOST_NUMBERS // max(part.words, part.columns) + 1 if on_host(layer) else len(values) or 1
            for start in range(0, len(values), step):  # words of texts need some room on the way
                rows = slice(start, start + step)
                y = layer._lamina_host(values[rows, None]) if on_host(layer) else values[rows, None]
                array[rows, at : at + part.columns] = packed(y) if part.words else y
            if part.flag:
                array[:, at + part.columns] = 0 if column.gaps is None else column.gaps
        at += part.columns + part.flag
    return array


def packed(flags: HostArray) -> HostArray:
    """Zeros and ones as the bits of whole numbers, which 32-bit floats hold exactly: (rows, n) -> (rows, n / 24)."""
    rows, width = flags.shape
    filled = np.pad(flags, ((0, 0), (0, -width % BITS))).reshape(rows, -1, BITS)
    return filled.astype(np.float32) @ (2.0 ** np.arange(BITS)).astype(np.float32)  # (rows, n / 24)


def codes_of(layer: Any, values: HostArray) -> HostArray:
    """The code of each value: (rows,) -> (rows,)."""
    if isinstance(layer, Discretization):
        bounds = np.asarray(layer.bin_boundaries, np.float32)
        return np.searchsorted(bounds, values.astype(np.float32), side="right")
    if isinstance(layer, Lookup):
        return indices_of(layer, values.tolist(), values.shape)
    codes: HostArray = layer._lamina_host(values)
    return codes


def _known(
    name: str, layer: Lookup, codes: HostArray, column: Column, slot: bool, crossed: bool, kept: dict[str, HostArray]
) -> HostArray:
    """The codes, with -1 for unknown categories if they have no slot; counts the unknown ones for a warning."""
    if slot:
        return codes
    known = layer._lamina_vocabulary
    unknown = (codes >= known.oov_start) & (codes < known.start)
    if column.gaps is not None:
        unknown &= ~column.gaps
    _count(name, column.values, unknown)
    if not unknown.any():
        return codes
    if crossed:
        kept[name] = codes.copy()
    return np.where(unknown, -1, codes)


def _count(name: str, values: HostArray, unknown: HostArray) -> None:
    """Count unknown categories, and tell their share once enough rows have been seen."""
    seen = unknowns.setdefault(name, Unknown())
    if seen.said:
        return
    seen.rows += len(values)
    if unknown.any():
        seen.count += int(unknown.sum())
        for item in values[unknown][:100].tolist():
            if len(seen.shown) < 3:
                seen.shown[item] = None
    if seen.count and seen.rows >= ENOUGH:
        seen.said = True
        shown = ", ".join(map(repr, seen.shown))
        warn(
            f"column {name!r}: {seen.count:,} of {seen.rows:,} rows have a category that training had not, such as "
            f"{shown}. It adds nothing to the output."
        )


def _filled(name: str, column: Column, learned: Learned) -> HostArray:
    """The numbers with the median of training in the place of gaps."""
    if column.gaps is None:
        return column.values
    if learned.median is None:
        raise DataError(
            f"column {name!r} has {int(column.gaps.sum())} gaps, and the median that fills them is not known: "
            "call adapt(table) first."
        )
    if not learned.gaps and name not in filled:
        filled.add(name)
        warn(
            f"column {name!r} has gaps, and had none in training: they are filled with the median, {learned.median:g}."
            if column.values.dtype.kind == "f"
            else f"column {name!r} has gaps, and had none in training: they are filled with the median."
        )
    filled_in = column.values.copy()
    filled_in[column.gaps] = np.asarray(learned.median).astype(column.values.dtype)
    return filled_in


def learn(space: FeatureSpace, table: RawTable) -> None:
    """Let the layers of all columns learn from a table, and note medians and gaps."""
    if missing := [name for name in space.features if name not in table.names]:
        raise DataError(f"{space.name!r} needs the columns {', '.join(map(repr, missing[:8]))}, and they are missing.")
    if not len(table):
        raise DataError("the table has no rows.")
    columns = {name: read(table.column(name), name, each.dtype) for name, each in space.features.items()}
    for name, (values, gaps) in columns.items():
        if gaps is not None and gaps.all():
            raise DataError(f"column {name!r} is empty in all {len(values):,} rows. Leave it out.")
    space._lamina.learned = {name: _learned(space, name, column) for name, column in columns.items()}


def _learned(space: FeatureSpace, name: str, column: Column) -> Learned:
    feature, layer = space.features[name], space.preprocessors[name]
    there = column.values if column.gaps is None else column.values[~column.gaps]
    learned = Learned(gaps=column.gaps is not None)
    if feature.dtype in ("float32", "datetime"):  # a date counts as seconds
        learned.median = float(np.median(there.astype(np.float64)))
    if learns(layer):
        layer.reset_state()
        layer._lamina_learn(there[:, None], False)
        layer.finalize_state()
    if isinstance(layer, Lookup):
        known = layer._lamina_vocabulary
        found = known.counts if learns(layer) else Counter(there.tolist())
        learned.rare = any(term not in known.index for term in found)
        layer.reset_state()
    return learned


def learns(layer: Layer) -> bool:
    """Whether the layer learns from data, and was not given what it needs."""
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
