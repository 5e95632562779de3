"""What a column of a table is: a `Feature`, or the name of one of the kinds; and `Cross`, a combination of columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """How a column is read, and the layer that makes numbers of it.

    Args:
        dtype: as what the column is read: "float32", "int32", "string" or "datetime".
        preprocessor: the layer.
        output_mode: "one_hot" for a layer that returns codes, "float" for one that returns numbers.
    """

    dtype: str = setting(one_of("float32", "int32", "int64", "string", "datetime"))
    preprocessor: Layer = setting(held)
    output_mode: Literal["int", "one_hot", "float"] = setting(one_of("int", "one_hot", "float"))

    _lamina_module: ClassVar[str | None] = "keras.src.layers.preprocessing.feature_space"


def float_plain(name: str) -> Feature:
    return Feature("float32", Identity(name=name), "float")


def float_rescaled(name: str, scale: float = 1.0, offset: float = 0.0) -> Feature:
    return Feature("float32", Rescaling(scale, offset, name=name), "float")


def float_normalized(name: str) -> Feature:
    return Feature("float32", Normalization(axis=-1, name=name), "float")


def float_discretized(
    name: str, num_bins: int, bin_boundaries: Sequence[float] | None = None, output_mode: Any = "one_hot"
) -> Feature:
    bins = None if bin_boundaries is not None else num_bins
    return Feature("float32", Discretization(bin_boundaries, bins, name=name), output_mode)


def integer_categorical(
    name: str, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: Any = "one_hot"
) -> Feature:
    layer = IntegerLookup(max_tokens=max_tokens, num_oov_indices=num_oov_indices, name=name)
    return Feature("int32", layer, output_mode)


def string_categorical(
    name: str, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: Any = "one_hot"
) -> Feature:
    layer = StringLookup(max_tokens=max_tokens, num_oov_indices=num_oov_indices, name=name)
    return Feature("string", layer, output_mode)


def integer_hashed(name: str, num_bins: int, output_mode: Any = "one_hot") -> Feature:
    return Feature("int32", Hashing(num_bins, name=name), output_mode)


def string_hashed(name: str, num_bins: int, output_mode: Any = "one_hot") -> Feature:
    return Feature("string", Hashing(num_bins, name=name), output_mode)


def date(name: str) -> Feature:
    return Feature("datetime", DateParts(name=name), "float")


def text(name: str, max_tokens: int = 1000) -> Feature:
    return Feature("string", TextVectorization(max_tokens=max_tokens, output_mode="multi_hot", name=name), "float")


def float_piecewise(name: str, num_bins: int = 32) -> Feature:
    return Feature("float32", PiecewiseLinear(num_bins, name=name), "float")


def float_periodic(name: str, frequencies: int = 16, units: int = 8, sigma: float = 0.1) -> Feature:
    return Feature("float32", PeriodicWaves(frequencies, units, sigma, name=name), "float")


KINDS: dict[str, tuple[Callable[..., Feature], str]] = {
    "float": (float_plain, ""),
    "float_normalized": (float_normalized, ""),
    "float_rescaled": (float_rescaled, ""),
    "float_discretized": (float_discretized, "num_discretization_bins"),
    "integer_categorical": (integer_categorical, ""),
    "string_categorical": (string_categorical, ""),
    "integer_hashed": (integer_hashed, "hashing_dim"),
    "string_hashed": (string_hashed, "hashing_dim"),
    "date": (date, ""),
    "text": (text, ""),
    "float_piecewise": (float_piecewise, "num_discretization_bins"),
    "float_periodic": (float_periodic, ""),
}
"""The function that makes a feature of each kind, and which setting of the space is its number of bins."""


def made(kind: str, name: str | None, *settings: Any, **named: Any) -> Feature:
    """A feature of a kind; its layer is called by the column, or by the kind where that is not known."""
    return KINDS[kind][0](f"{name or kind}_preprocessor", *settings, **named)


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
    if isinstance(value, str) and value in KINDS:
        default = KINDS[value][1]
        return made(value, name, *([bins[default]] if default else ()))
    hint = nearest(str(value), list(KINDS)) if isinstance(value, str) else []
    meant = f" Did you mean {hint[0]!r}?" if hint else ""
    raise ArgumentError(f"features[{name!r}]={value!r} is no kind of column.{meant} The kinds: {', '.join(KINDS)}.")
