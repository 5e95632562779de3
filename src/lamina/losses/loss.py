"""The base of all losses: matching targets to predictions, weighting the values, and reducing them to one number."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import jax.numpy as jnp
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array, as_array
from lamina._layer.masks import mask_of
from lamina._messages.spelling import name_of, to_snake_case
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.arguments import Function, Name, overridable
from lamina._settings.converters import one_of
from lamina._settings.registry import Registry
from lamina._settings.settings import Configured, Setting, State, names_of, setting
from lamina.errors import ArgumentError, LabelError

registry = Registry("loss")

DType: TypeAlias = DTypeLike | dtypes.DTypePolicy | None
Reduction: TypeAlias = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"] | None
reduction_word = one_of(*get_args(get_args(Reduction)[0]), None)


def precision(dtype: DType) -> str | None:
    """The compute dtype of a name, a dtype or a policy; None gives None."""
    return None if dtype is None else dtypes.get(dtype).compute_dtype


@dataclass(eq=False, repr=False)
class LossState(State):
    """The state of a loss while it is used, apart from its settings."""

    dtype: str | None = None
    """The dtype that the user chose."""
    floatx: str = field(default_factory=dtypes.floatx)
    """The default float when the loss was made."""

    def compiled_in(self) -> list[tuple[str, object]]:
        return [("dtype", self.dtype), ("floatx", self.floatx)]


class Loss(Configured):
    """The base class. A subclass defines `call(y_true, y_pred)`, which returns one value per sample, (batch, ...).

    >>> class Quartic(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return jnp.mean((y_true - y_pred) ** 4, axis=-1)
    >>> Quartic()([[1.0, 2.0]], [[0.0, 0.0]])
    Array(8.5, dtype=float32)

    `call` receives both as float32 (as float64 if the predictions are), whatever dtype the model computes in.

    Args:
        name: the name of the loss. The default is the name of the class in snake_case.
        reduction: "sum_over_batch_size" or "mean" is sum(values * weights) / number of values; "sum" does not
            divide; "mean_with_sample_weight" divides by sum(weights); "none" or None returns all values.
        dtype: the dtype of the computation, instead of float32.
    """

    name: Name = setting(default=None)
    reduction: Reduction = setting(reduction_word, default="sum_over_batch_size")
    _lamina_dtype: DType = setting(precision, default=None, alias="dtype")

    _lamina: LossState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = LossState
    _lamina_module: ClassVar[str | None] = "keras.losses"
    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"dtype"})

    def __post_init__(self) -> None:
        self.name = self.name or to_snake_case(type(self).__name__)

    @property
    def dtype(self) -> str:
        """The dtype in which the loss is computed."""
        return self._lamina.dtype or self._lamina.floatx

    @overridable
    def call(self, y_true: Array, y_pred: Array) -> Array:
        """One value per sample."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, y_true, y_pred).")

    def _lamina_counted(self, y_true: Array, values: Array) -> Array | None:
        """Which of the values count, as booleans of the same shape; None if all count."""
        return None

    @user_facing
    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Array:
        """Returns the reduced loss.

        Args:
            sample_weight: one weight per sample, (batch,), or per value. If the weights lack an axis, they are the
                same along it.
            mask: booleans, one per value. False values do not count, and the mean is taken over the others. The
                default is the mask that a layer gave its output `y_pred`.
        """
        mask = mask_of(y_pred) if mask is None else mask
        y_pred = as_array(y_pred)
        wide = self._lamina.dtype is None and y_pred.dtype == jnp.float64
        y_pred = y_pred.astype("float64" if wide else self.dtype)
        y_true = jnp.asarray(y_true, y_pred.dtype)
        values = self.call(y_true, y_pred)
        if values is None:
            raise ArgumentError(f"{self.name} gave None instead of one value per sample. Does it lack a return?")
        values = jnp.asarray(values, y_pred.dtype)
        counted = self._lamina_counted(y_true, values)
        if counted is not None:
            mask = counted if mask is None else jnp.logical_and(*aligned(counted, jnp.asarray(mask, bool), "mask"))
        return reduced(values, sample_weight, mask, self.reduction)


class BuiltIn(Loss):
    """The base of losses that declare the order of their arguments: in Keras, `reduction` comes before `name`."""

    name: Name = setting(init=False)
    reduction: Reduction = setting(init=False)
    _lamina_dtype: DType = setting(init=False, alias="dtype")


class OfFunction:
    """Mixin for a loss or metric whose values a function computes; its settings are passed as the arguments."""

    _lamina_fields: ClassVar[dict[str, Setting]]
    _lamina_function: ClassVar[Function]
    _lamina_takes: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, of: Function | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if of is not None:
            cls._lamina_function = staticmethod(of)
            cls._lamina_takes = tuple(each for each in inspect.signature(of).parameters if each in cls._lamina_fields)

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        settings = {name: getattr(self, name) for name in self._lamina_takes}
        values: Array = self._lamina_function(y_true, y_pred, **settings)
        return values


class Formula(OfFunction, BuiltIn):
    """A loss whose values a function computes; the loss has the function's name."""

    def __init_subclass__(cls, of: Function | None = None, called: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(of=of, **kwargs)
        if of is not None:
            with_default(cls, "name", called or of.__name__)

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return self._lamina_values(y_true, y_pred)


def with_default(kind: type[Configured], argument: str, default: object) -> None:
    """Give an argument of a class another default, which its signature shows."""
    field = kind._lamina_fields[argument]._replace(default=default)
    kind._lamina_declared = vars(kind).get("_lamina_declared", {}) | {names_of(kind)[argument]: field}
    kind._lamina_fields = kind._lamina_fields | {argument: field}


def reads_logits(loss: object) -> bool:
    """Whether a loss takes logits, predictions before a sigmoid or softmax."""
    kept = getattr(loss, "__dict__", {}).get("_fn_kwargs", {})
    return bool(getattr(loss, "from_logits", False) or kept.get("from_logits"))


def function(value: object) -> Function:
    """A function of targets and predictions."""
    if not callable(value):
        raise ArgumentError(f"expected a function of (y_true, y_pred), got {value!r}.")
    try:
        inspect.signature(value).bind_partial(None, None)
    except TypeError:
        name = getattr(value, "__name__", type(value).__name__)
        raise ArgumentError(f"expected a function of (y_true, y_pred), and {name} takes other arguments.") from None
    except ValueError:  # a function in C, whose signature is unknown
        pass
    return value


class LossFunction(Loss):
    """The loss of a function of `(y_true, y_pred, **kwargs)` that returns one value per sample, (batch, ...).

    >>> LossFunction(lambda y_true, y_pred: jnp.max(jnp.abs(y_true - y_pred), axis=-1))([[1.0, 2.0]], [[0.0, 0.0]])
    Array(2., dtype=float32)

    Args:
        fn: the function.
        kwargs: arguments that are passed to each call of the function, such as `from_logits=True`.
    """

    def __init__(
        self,
        fn: Function,
        reduction: Reduction = "sum_over_batch_size",
        name: str | None = None,
        dtype: DType = None,
        **kwargs: object,
    ) -> None:
        super().__init__(reduction=reduction, name=name or name_of(fn), dtype=dtype)
        self.fn, self._fn_kwargs = function(fn), kwargs

    def call(self, y_true: Array, y_pred: Array) -> Array:
        values: Array = self.fn(*same_rank(y_true, y_pred), **self._fn_kwargs)
        return values


def same_rank(a: Array, b: Array) -> tuple[Array, Array]:
    """Two arrays of equal rank: (n,) becomes (n, 1) beside (n, 1); in longer shapes a last axis of 1 is dropped."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, None]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, None], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def matched(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    """Targets and predictions of one shape; other shapes are an error, where Keras broadcasts (n, 1) to (n, 3)."""
    y, p = same_rank(as_array(y_true), as_array(y_pred))
    if y.shape == p.shape or 0 in (y.ndim, p.ndim):
        return y, p
    wanted, given = (x.shape[-1] if x.ndim > 1 else 1 for x in (y, p))
    if wanted == given:
        raise unfit(y, p)
    raise unfit(
        y,
        p,
        f"The targets have {wanted} column{'s' * (wanted != 1)}, the model gives {given}: "
        f"end the stack with Dense({wanted})"
        + (", or, for class numbers, take the loss 'sparse_categorical_crossentropy'." if wanted == 1 else "."),
    )


def unfit(y_true: Array, y_pred: Array, advice: str = "") -> LabelError:
    """The error for two shapes that do not fit."""
    text = f"targets of shape {y_true.shape} do not fit predictions of shape {y_pred.shape}.\n{advice}"
    return LabelError(text.rstrip())


def floating(x: ArrayLike) -> Array:
    """An array of floats: integers become float32, floats keep their dtype."""
    array = as_array(x)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype("float32")


def floats(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[Array, Array]:
    """Both as floats of the predictions' dtype."""
    p = floating(y_pred)
    return jnp.asarray(y_true, p.dtype), p


def aligned(values: Array, weights: Array, what: str) -> tuple[Array, Array]:
    """Values and weights of equal rank; the axes of the weights are the first axes of the values."""
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


def spread(values: Array, sample_weight: ArrayLike | None, dtype: str) -> Array:
    """One weight for each value; None means 1 for all."""
    weight, fitted = jnp.asarray(1 if sample_weight is None else sample_weight, dtype), values
    if weight.ndim:
        fitted, weight = aligned(values, weight, "sample_weight")
    return jnp.broadcast_to(weight, fitted.shape).reshape(values.shape)


def ratio(a: Array | float, b: Array) -> Array:
    """`a / b`, or 0 where b is 0."""
    return jnp.where(b == 0, jnp.zeros_like(b), a / jnp.where(b == 0, jnp.ones_like(b), b))


def reduced(
    values: Array,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """The values times their weights, without the masked values, reduced, in the dtype of the values."""
    weights = None
    if mask is not None:
        weights = jnp.asarray(mask, values.dtype)
        if reduction in ("sum_over_batch_size", "mean"):  # the mean is over the values that are not masked
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
