"""Packing and unpacking the parts of a batch, for use in a custom `train_step`."""

from __future__ import annotations

from typing import Any

from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import short
from lamina.errors import DataError


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Returns the batch as `x`, `(x, y)` or `(x, y, sample_weight)`, without missing parts; a list x becomes `(x,)`.

    >>> pack_x_y_sample_weight([1, 2], [0, 1])
    ([1, 2], [0, 1])

    Args:
        x: the inputs.
        y: the targets.
        sample_weight: the weights of the rows.
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


@user_facing
def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Returns x, y and sample_weight of a batch; missing parts are None.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(f"expected a batch x, (x,), (x, y) or (x, y, sample_weight), got {short(data)}.")
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight
