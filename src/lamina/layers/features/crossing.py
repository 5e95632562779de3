"""The layer that crosses features by a hash: it maps each combination of values to a bin."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import dtypes
from lamina._arrays.arrays import HostArray, as_array
from lamina._kernels.hashes import Words, cross_hash, farm_hash
from lamina._layer.host import HostLayer, raw, require_host
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import optional, up_to
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, DataError, ShapeError
from lamina.layers.features.hashing import Mode, dense, encoded, encoded_shape, mode

BEFORE = (
    "Cross the features before they go into the model: x = layer((a, b)), or dataset.map(lambda a, b: layer((a, b)))."
)


class HashedCrossing(HostLayer):
    """Maps each combination of the values of several features to a bin: `hash(a, b, ...) % num_bins`.

    Call it with a tuple or list of two or more features. Each feature is integers or text, of the shape (batch,),
    (batch, 1) or ().

    >>> HashedCrossing(num_bins=5)((["A", "B", "A"], [101, 101, 102]))
    Array([1, 4, 3], dtype=int32)

    Args:
        num_bins: the number of bins.
        output_mode: "int" for the indices of the bins, or "one_hot" for vectors of length `num_bins`.
        sparse: must be False, since the output is dense.
    """

    name: Name = setting(init=False)
    _lamina_dtype: dtypes.Dtype = setting(init=False, alias="dtype")
    num_bins: int = setting(up_to(2**31))  # the greatest number of bins for 32-bit indices
    output_mode: Mode = setting(mode("int", "one_hot"), default="int")
    sparse: bool = setting(dense, default=False)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_policy: dtypes.Dtype = setting(optional(dtypes.get), default=None, alias="dtype")

    def __post_init__(self) -> None:
        if vars(self._lamina)["dtype"] is None:
            self.dtype = "int64" if self.output_mode == "int" else None
        super().__post_init__()

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """Returns the bins, or one vector for each bin, of two or more features in a tuple or list."""
        require_host(self, x, [*map(str, others), *named], BEFORE)
        features = [raw(each, f"feature {number}") for number, each in enumerate(several(self, x))]
        shape = features[0].shape
        if len(shape) > 2 or shape[1:] not in ((), (1,)) or any(each.shape != shape for each in features):
            shapes = ", ".join(str(each.shape) for each in features)
            raise ShapeError(
                f"{self.name!r}: expected features of one shape, (batch,), (batch, 1) or (), got {shapes}."
            )
        bins = bins_of(self, features).reshape(shape if shape or self.output_mode == "int" else 1)
        return as_array(encoded(bins, self.output_mode, self.num_bins).astype(self.compute_dtype))

    @user_facing
    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, for a tuple or list with the shape of each feature."""
        nested = all(isinstance(each, (tuple, list)) for each in input_shape)
        first, *others = several(self, input_shape if nested else None)
        if any(other != first for other in others):
            raise ShapeError(f"{self.name!r}: expected features of one shape, got {input_shape}.")
        return encoded_shape(tuple(first), self.output_mode, self.num_bins)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"dtype": self.variable_dtype}
        del config["trainable"]
        return config


def bins_of(layer: HashedCrossing, features: list[HostArray]) -> HostArray:
    """The bin of each combination of values: of features of one size to (size,)."""
    numbers = cross_hash([hashable(layer, each) for each in features]) % np.uint64(layer.num_bins)
    return numbers.astype(np.int64)


def several(layer: HashedCrossing, given: object) -> list[Any] | tuple[Any, ...]:
    """The features of a call; raises an `ArgumentError` if there are fewer than two."""
    if not isinstance(given, (list, tuple)) or len(given) < 2:
        raise ArgumentError(f"{layer.name!r} (HashedCrossing) takes a tuple of two or more features. {BEFORE}")
    return given


def hashable(layer: HashedCrossing, feature: HostArray) -> Words:
    """One number for each value of a feature: the integer itself, or the fingerprint of the text."""
    values = feature.ravel()
    if values.dtype.kind in "iu":
        return values.astype(np.int64).view(np.uint64)
    if values.dtype.kind != "O":
        raise DataError(f"{layer.name!r} takes text or whole numbers, got {values.dtype.name}.")
    words, places = np.unique(values, return_inverse=True)
    return farm_hash([word.encode() for word in words.tolist()])[places]
