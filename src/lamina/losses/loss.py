"""What all losses share: fitting targets to predictions, weighing the values, reducing them to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp

from lamina import dtypes
from lamina._base.converters import one_of
from lamina._base.frames import user_facing, warn
from lamina._base.registry import Registry
from lamina._base.settings import Configured, setting
from lamina._base.spelling import to_snake_case
from lamina._base.weight import Array
from lamina.errors import ArgumentError, LabelError

registry = Registry("loss")


def precision(dtype: Any) -> str | None:
    """The dtype that a name, a dtype or a policy computes in; None stays None."""
    return None if dtype is None else dtypes.get(dtype).compute_dtype


class Loss(Configured):
    """A loss of any shapes that its `call(y_true, y_pred)` takes; `call` gives one value per sample, (batch, ...).

    >>> class Quartic(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return jnp.mean((y_true - y_pred) ** 4, axis=-1)
    >>> Quartic()([[1.0, 2.0]], [[0.0, 0.0]])
    Array(8.5, dtype=float32)

    `call` gets both as float32 (float64 if the predictions are), whatever the model computes in.

    Args:
        reduction: "sum_over_batch_size" or "mean" is sum(values * weights) / number of values; "sum" does not
            divide, "mean_with_sample_weight" divides by sum(weights), "none" or None keeps the values apart.
        dtype: what to compute in instead.
    """

    reduction: str | None = setting(
        one_of("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None),
        default="sum_over_batch_size",
        kw_only=True,
    )
    name: str | None = setting(default=None, kw_only=True)
    dtype: str | None = setting(precision, default=None, kw_only=True)

    _lamina_module: ClassVar[str | None] = "keras.losses"
    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"dtype"})
    """Settings that Keras's configs lack, and that ours hold only where they are not the default."""
    from_logits = False

    def __post_init__(self) -> None:
        self.name = self.name or to_snake_case(type(self).__name__)
        self.compute_dtype = self.dtype or dtypes.floatx()

    @property
    def _lamina_expects(self) -> str | None:
        """What the model's output should be: "probabilities", "logits", or None where any number will do."""
        if self.from_logits:
            return "logits"
        return "probabilities" if "from_logits" in self._lamina_fields else None

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per sample."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, y_true, y_pred).")

    def _lamina_counted(self, y_true: Array, values: Array) -> Array | None:
        """Which of the values count, as booleans of their shape; None for all."""
        return None

    @user_facing
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Array:
        """The loss, reduced.

        Args:
            sample_weight: one weight per sample, (batch,), or per value; an axis that it lacks shares its weights.
            mask: booleans, one per value; the False ones do not count, and a mean is taken over the others.
        """
        y_pred = jnp.asarray(y_pred)
        wide = self.dtype is None and y_pred.dtype == jnp.float64
        y_pred = y_pred.astype("float64" if wide else self.compute_dtype)
        y_true = jnp.asarray(y_true, y_pred.dtype)
        values = self.call(y_true, y_pred)
        if values is None:
            raise ArgumentError(f"{self.name} gave None instead of one value per sample. Does it lack a return?")
        values = jnp.asarray(values, y_pred.dtype)
        counted = self._lamina_counted(y_true, values)
        if counted is not None:
            mask = counted if mask is None else jnp.logical_and(*aligned(counted, jnp.asarray(mask, bool), "mask"))
        return reduced(values, sample_weight, mask, self.reduction)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {
            n: v for n, v in config.items() if n not in self._lamina_implicit or v != self._lamina_fields[n].default
        }


def function(value: Any) -> Callable[..., Any]:
    """A function of targets and predictions."""
    if not callable(value):
        raise ArgumentError(f"expected a function of (y_true, y_pred), got {value!r}.")
    return value  # type: ignore[no-any-return]


class LossFunction(Loss):
    """The loss that a function of `(y_true, y_pred, **kwargs)` makes: one value per sample, (batch, ...).

    >>> LossFunction(lambda y_true, y_pred: jnp.max(jnp.abs(y_true - y_pred), axis=-1))([[1.0, 2.0]], [[0.0, 0.0]])
    Array(2., dtype=float32)
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        name = name or getattr(fn, "name", None) or getattr(fn, "__name__", None)
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self.fn, self.kwargs = function(fn), kwargs
        self.from_logits = bool(kwargs.get("from_logits", False))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(*same_rank(y_true, y_pred), **self.kwargs)


def same_rank(a: Array, b: Array) -> tuple[Array, Array]:
    """Let (n,) and (n, 1) both be (n, 1); of longer shapes, drop a last axis of 1 that the other one lacks."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, None]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, None], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def matched(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Targets and predictions of one shape; Keras would spread (n, 1) over (n, 3) without a word."""
    y_true, y_pred = same_rank(jnp.asarray(y_true), jnp.asarray(y_pred))
    if y_true.shape == y_pred.shape or 0 in (y_true.ndim, y_pred.ndim):
        return y_true, y_pred
    wanted, given = (x.shape[-1] if x.ndim > 1 else 1 for x in (y_true, y_pred))
    if wanted == given:
        raise unfit(y_true, y_pred)
    raise unfit(
        y_true,
        y_pred,
        f"The targets have {wanted} column{'s' * (wanted != 1)}, the model gives {given}: "
        f"end the stack with Dense({wanted})"
        + (", or, for class numbers, take the loss 'sparse_categorical_crossentropy'." if wanted == 1 else "."),
    )


def unfit(y_true: Array, y_pred: Array, advice: str = "") -> LabelError:
    """The error for two shapes that do not go together."""
    text = f"targets of shape {y_true.shape} do not fit predictions of shape {y_pred.shape}.\n{advice}"
    return LabelError(text.rstrip())


def floating(x: Any) -> Array:
    """An array of floats: whole numbers become float32, the others stay what they are."""
    array = jnp.asarray(x)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype("float32")


def floats(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Both as floats of the predictions' dtype."""
    y_pred = floating(y_pred)
    return jnp.asarray(y_true, y_pred.dtype), y_pred


def aligned(values: Array, weights: Array, what: str) -> tuple[Array, Array]:
    """Values and weights of one rank, where the weights' axes are the first ones of the values."""
    values, weights = same_rank(values, weights)
    if weights.ndim < values.ndim:
        weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    fits = weights.ndim == values.ndim and all(w in (1, v) for w, v in zip(weights.shape, values.shape, strict=True))
    if values.ndim and not fits:
        raise LabelError(
            f"{what} of shape {weights.shape} does not fit values of shape {values.shape}.\n"
            f"Give one number per sample, ({values.shape[0]},), or one per value."
        )
    return values, weights


def ratio(a: Any, b: Array) -> Array:
    """`a / b`, and 0 where b is 0."""
    return jnp.where(b == 0, jnp.zeros_like(b), a / jnp.where(b == 0, jnp.ones_like(b), b))


def reduced(values: Array, sample_weight: Any = None, mask: Any = None, reduction: str | None = "mean") -> Array:
    """The values weighed, masked and reduced, in their dtype."""
    weights = None
    if mask is not None:
        weights = jnp.asarray(mask, values.dtype)
        if reduction in ("sum_over_batch_size", "mean"):  # the mean is taken over what is not masked
            weights = weights * ratio(1.0, jnp.mean(weights))
    if sample_weight is not None:
        sample_weight = jnp.asarray(sample_weight, values.dtype)
        if values.ndim == 0 and sample_weight.ndim:
            warn("this loss is one number for the whole batch, so sample weights only scale it by their mean.")
        weights = sample_weight if weights is None else jnp.multiply(*aligned(weights, sample_weight, "sample_weight"))
    if weights is not None:
        values, weights = aligned(values, weights, "mask" if sample_weight is None else "sample_weight")
        values = values * weights
    if reduction in (None, "none") or values.ndim == 0:
        return values
    if reduction == "sum":
        return jnp.sum(values)
    if reduction == "mean_with_sample_weight" and weights is not None:
        return ratio(jnp.sum(values), jnp.sum(weights))
    return jnp.mean(values)
