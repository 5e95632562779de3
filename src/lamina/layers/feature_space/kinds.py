"""The kinds of columns of a FeatureSpace: `Feature`, functions that make it, and `Cross`, a combination of columns."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import held
from lamina._messages.spelling import nearest
from lamina._settings.converters import one_of, up_to
from lamina._settings.settings import Configured, setting
from lamina.errors import ArgumentError
from lamina.layers.feature_space.columns import DateParts, PeriodicWaves, PiecewiseLinear
from lamina.layers.features.categories import Discretization
from lamina.layers.features.hashing import Hashing
from lamina.layers.features.lookup import IntegerLookup, StringLookup
from lamina.layers.features.numbers import Normalization, Rescaling
from lamina.layers.features.text import TextVectorization
from lamina.layers.masks import Identity

MOST_CODES = 2**24
"""Codes travel to the device as 32-bit floats, which hold whole numbers up to this one."""


def names(value: object) -> tuple[str, ...]:
    """The names of two or more columns."""
    if not isinstance(value, (list, tuple)) or len(value) < 2 or not all(isinstance(each, str) for each in value):
        raise ArgumentError(f"expected the names of two or more columns, as ('city', 'job'), got {value!r}.")
    return tuple(value)


class Cross(Configured):
    """A combination of columns: the codes of their values together are mapped to one of `crossing_dim` bins.

    Args:
        feature_names: the names of the columns.
        crossing_dim: the number of bins.
        output_mode: "one_hot", or "int", which a stack cannot take.
    """

    feature_names: tuple[str, ...] = setting(names)
    crossing_dim: int = setting(up_to(MOST_CODES))
    output_mode: Literal["int", "one_hot"] = setting(one_of("int", "one_hot"), default="one_hot")

    _lamina_module: ClassVar[str | None] = "keras.src.layers.preprocessing.feature_space"

    @property
    def name(self) -> str:
        """The names of the columns, joined by `_X_`."""
        return "_X_".join(self.feature_names)


class Feature(Configured):
    """The dtype of a column, and the layer that encodes it.

    Args:
        dtype: the dtype to which the column is converted: "float32", "int32", "string" or "datetime".
        preprocessor: the layer.
        output_mode: "one_hot" for a layer that returns codes, "float" for one that returns numbers.
    """

    dtype: str = setting(one_of("float32", "int32", "int64", "string", "datetime"))
    preprocessor: Layer = setting(held)
    output_mode: Literal["int", "one_hot", "float"] = setting(one_of("int", "one_hot", "float"))

    _lamina_module: ClassVar[str | None] = "keras.src.layers.preprocessing.feature_space"


class Kinds:
    """The kinds of columns. Each method makes the feature of the kind with its name."""

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers that are not changed."""
        return Feature("float32", Identity(name=_called(name, "float")), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
        """Numbers times `scale`, plus `offset`."""
        return Feature("float32", Rescaling(scale, offset, name=_called(name, "float_rescaled")), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers with mean 0 and variance 1."""
        return Feature("float32", Normalization(axis=-1, name=_called(name, "float_normalized")), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int, bin_boundaries: Any = None, output_mode: Any = "one_hot", name: str | None = None
    ) -> Feature:
        """Numbers sorted into bins, whose edges are given or are quantiles of the data."""
        bins = None if bin_boundaries is not None else num_bins
        layer = Discretization(bin_boundaries, bins, name=_called(name, "float_discretized"))
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: Any = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Whole numbers that stand for categories."""
        return Feature(
            "int32", IntegerLookup(max_tokens, num_oov_indices, name=_called(name, "integer_categorical")), output_mode
        )

    @classmethod
    def string_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: Any = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Words that stand for categories."""
        return Feature(
            "string", StringLookup(max_tokens, num_oov_indices, name=_called(name, "string_categorical")), output_mode
        )

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: Any = "one_hot", name: str | None = None) -> Feature:
        """Words that are mapped to bins by a hash."""
        return Feature("string", Hashing(num_bins, name=_called(name, "string_hashed")), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: Any = "one_hot", name: str | None = None) -> Feature:
        """Whole numbers that are mapped to bins by a hash."""
        return Feature("int32", Hashing(num_bins, name=_called(name, "integer_hashed")), output_mode)

    @classmethod
    def date(cls, name: str | None = None) -> Feature:
        """Dates: the year as a number; month, weekday and hour as sine and cosine."""
        return Feature("datetime", DateParts(name=_called(name, "date")), "float")

    @classmethod
    def text(cls, max_tokens: int = 1000, name: str | None = None) -> Feature:
        """Texts: one number for each frequent word, 1 if the text has it."""
        layer = TextVectorization(max_tokens, output_mode="multi_hot", name=_called(name, "text"))
        return Feature("string", layer, "float")

    @classmethod
    def float_piecewise(cls, num_bins: int = 32, units: int | None = None, name: str | None = None) -> Feature:
        """Numbers that `PiecewiseLinear` maps to one number for each bin, or to `units` trained outputs."""
        return Feature("float32", PiecewiseLinear(num_bins, units, name=_called(name, "float_piecewise")), "float")

    @classmethod
    def float_periodic(
        cls, frequencies: int = 16, units: int = 8, sigma: Any = 0.1, name: str | None = None
    ) -> Feature:
        """Numbers that `PeriodicWaves` maps to sines and cosines with trained frequencies."""
        layer = PeriodicWaves(frequencies, units, sigma, name=_called(name, "float_periodic"))
        return Feature("float32", layer, "float")


KINDS = [name for name in vars(Kinds) if not name.startswith("_")]
BINS = {
    "float_discretized": "num_discretization_bins", "float_piecewise": "num_discretization_bins",
    "integer_hashed": "hashing_dim", "string_hashed": "hashing_dim",
}  # fmt: skip
"""For kinds given by name: the setting of the space that is their number of bins."""


def _called(name: str | None, kind: str) -> str:
    """The name of a layer: the name of its column, or of the kind if the column is not known."""
    return f"{name or kind}_preprocessor"


def feature_of(name: str, value: object, bins: dict[str, int]) -> Feature:
    """The feature that a user or a config describes for a column.

    Args:
        bins: the settings of the space that are numbers of bins, by their names.
    """
    if isinstance(value, Feature):
        return value
    if isinstance(value, dict):
        config = value.get("config", value)
        if not isinstance(config, dict):
            raise ArgumentError(f"features[{name!r}]: expected the config of a Feature, got {value!r}.")
        return Feature.from_config(config)
    if not isinstance(value, str) or value not in KINDS:
        hint = nearest(str(value), KINDS)
        meant = f" Did you mean {hint[0]!r}?" if hint else ""
        raise ArgumentError(
            f"features[{name!r}]={value!r} is not a kind of column.{meant} The kinds: {', '.join(KINDS)}."
        )
    given = {"num_bins": bins[BINS[value]]} if value in BINS else {}
    feature: Feature = getattr(Kinds, value)(name=name, **given)
    return feature
