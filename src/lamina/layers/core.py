"""The layers that most stacks are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import activations, constraints, dtypes, initializers, regularizers
from lamina._base.converters import flag, optional, positive
from lamina._base.frames import user_facing
from lamina._base.settings import setting, value_of
from lamina._base.shapes import InputSpec, Shape, full_shape
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array


def _entering(dtype: Any) -> str:
    """The dtype of data: text is "string", which layers on the host take."""
    text = dtype is str or getattr(dtype, "name", dtype) == "string"
    return "string" if text else str(jnp.dtype(dtype))


class InputLayer(Layer):
    """The shape and dtype of what enters the stack; it computes nothing and is not counted among `layers`."""

    shape: Any = None
    batch_size: int | None = setting(optional(positive), default=None)
    _lamina_input_dtype: str | None = setting(optional(_entering), default=None, alias="dtype")
    sparse: bool | None = None
    ragged: bool | None = None
    batch_shape: Any = None
    input_tensor: Any = None
    optional: bool = False
    name: Any = setting(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_tensor is not None:
            raise ArgumentError(
                "Input: a stack has no symbolic tensors, it begins with the shape of one sample: Input(shape=(784,))."
            )
        if self.sparse or self.ragged or self.optional:
            raise ArgumentError("Input: a stack takes one dense tensor, so sparse, ragged and optional stay unset.")
        self.shape = self._lamina.wanted_shape if self.shape is None else self.shape
        if self.batch_shape is None and self.shape is None:
            raise ArgumentError("Input needs the shape of one sample: Input(shape=(784,)).")
        if self.batch_shape is not None:
            self.batch_size, *rest = tuple(self.batch_shape)
            self.shape = full_shape(rest, "batch_shape")
        self.shape = full_shape(self.shape)
        self.batch_shape = (self.batch_size, *self.shape)
        self.built = True

    def call(self, x: Array) -> Array:
        return x

    @property
    def dtype(self) -> str:
        """The dtype of the data."""
        return value_of(self, "dtype") or dtypes.floatx()

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        self._lamina.input_dtype = _entering(dtype)  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        return {"batch_shape": list(self.batch_shape), "dtype": self.dtype, "name": self.name}


@user_facing
def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> InputLayer:
    """The first entry of a stack: the shape of one sample, without the batch axis.

    >>> Input((28, 28, 1)).batch_shape
    (None, 28, 28, 1)
    """
    return InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )


class Dense(Layer):
    """Maps (..., n) to (..., units): `activation(x @ kernel + bias)`.

    >>> Dense(3, activation="relu")(jnp.ones((2, 4))).shape
    (2, 3)
    """

    units: int = setting(positive)
    activation: Any = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: Any = setting(initializers.get, default="glorot_uniform")
    bias_initializer: Any = setting(initializers.get, default="zeros")
    kernel_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    kernel_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)

    _lamina_constants: ClassVar[dict[str, Any]] = {"quantization_config": None}
    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        n = input_shape[-1]
        self.kernel = self.add_weight(
            (n, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})

    def call(self, x: Array) -> Array:  # (..., n)
        y = jnp.matmul(x, self.kernel)  # (..., units)
        return self.activation(y + self.bias if self.use_bias else y)  # type: ignore[no-any-return]


class Activation(Layer):
    """Applies a function to every element, or along the last axis: the shape stays.

    >>> Activation("relu")(jnp.array([[-1.0, 2.0]]))
    Array([[0., 2.]], dtype=float32)
    """

    activation: Any = setting(activations.get)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        return self.activation(x)  # type: ignore[no-any-return]


class Lambda(Layer):
    """Wraps a function of one tensor, with fixed further `arguments`.

    The output's shape is found by tracing; `output_shape`, if given, is checked against it.

    The function may also take `training` or `mask`. It is not stored in any file: write a `Layer` class if the
    model is to be saved.

    >>> Lambda(lambda x, factor: x * factor, arguments={"factor": 3.0})(jnp.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)
    """

    function: Callable[..., Any]
    _lamina_promised_shape: Any = setting(default=None, alias="output_shape")
    mask: Any = None
    arguments: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise ArgumentError(f"Lambda wraps a function, got {self.function!r}.")
        self.arguments = dict(self.arguments or {})
        try:
            self._takes = set(inspect.signature(self.function).parameters) & {"training", "mask"}
        except ValueError:  # a function written in C
            self._takes = set()

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
        told = {"training": training, "mask": mask}
        y = self.function(x, **self.arguments, **{name: told[name] for name in self._takes})
        promised = value_of(self, "output_shape")
        promised = promised(x.shape) if callable(promised) else promised
        if promised is not None and tuple(promised) not in (tuple(y.shape), tuple(y.shape[1:])):
            raise ShapeError(f"has output_shape={tuple(promised)}, but its function returns {tuple(y.shape)}")
        return y

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return self.mask(x, mask) if callable(self.mask) else self.mask
