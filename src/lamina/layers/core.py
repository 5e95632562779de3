"""The most common layers, such as Dense, Activation and Lambda."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from lamina import activations, constraints, dtypes, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape, full_shape
from lamina._kernels.matmul import matmul
from lamina._layer.inputs import shapes_of
from lamina._layer.layer import Layer, weight_from_settings
from lamina._layer.specs import InputSpec
from lamina._messages.spelling import did_you_mean
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import (
    ActivationSetting,
    Config,
    ConstraintSetting,
    Function,
    InitializerSetting,
    InputShape,
    Name,
    RegularizerSetting,
)
from lamina._settings.converters import flag, optional, positive, short
from lamina._settings.custom_objects import known
from lamina._settings.plain import plain
from lamina._settings.registry import Registry
from lamina._settings.settings import Converted, setting, value_of
from lamina.dtypes import FLOATS, OTHERS, Dtype
from lamina.errors import ArgumentError, ShapeError, UnknownNameError
from lamina.layers.low_rank import LowRank, adapt


def _data_dtype(dtype: Any) -> str:
    """The name of the data's dtype; the dtype of text is "string"."""
    text = dtype is str or getattr(dtype, "name", dtype) == "string"
    try:
        return "string" if text else str(jnp.dtype(dtype))
    except TypeError:
        names = [*FLOATS, *OTHERS, "string"]
        raise ArgumentError(f"expected a dtype, got {short(dtype)}. {did_you_mean(str(dtype), names)}") from None


class InputLayer(Layer):
    """States the shape and the dtype of the data that enter the stack. It computes nothing and is not in `layers`.

    >>> InputLayer((28, 28), batch_size=32).batch_shape
    (32, 28, 28)

    Args:
        shape: the shape of one sample, without the batch axis; None where a size varies.
        batch_size: the number of rows of every batch, which stateful layers need.
        dtype: the dtype of the data, "string" for text; None for `config.floatx()`.
        sparse, ragged: leave them unset. They are for sparse or ragged tensors, which a stack does not take.
        batch_shape: the shape with the batch axis, in place of `shape` and `batch_size`.
        input_tensor: leave it unset. It is for symbolic tensors of Keras, which a stack does not have.
        optional: leave it unset. It says whether the input may be missing, which a stack does not allow.
    """

    name: Name = setting(init=False)
    _lamina_dtype: Dtype = setting(init=False, alias="dtype")
    shape: Converted[InputShape, Shape] = setting(default=None)
    batch_size: int | None = setting(optional(positive), default=None)
    _lamina_input_dtype: Converted[Dtype, str | None] = setting(
        optional(_data_dtype), default=None, alias="dtype", state="input_dtype"
    )
    sparse: bool | None = None
    ragged: bool | None = None
    batch_shape: Converted[InputShape, Shape] = setting(default=None)
    input_tensor: object = None
    optional: bool = False
    _lamina_name: Name = setting(default=None, alias="name")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_tensor is not None:
            raise ArgumentError(
                "Input: a stack has no symbolic tensors, it begins with the shape of one sample: Input(shape=(784,))."
            )
        if self.sparse or self.ragged or self.optional:
            raise ArgumentError("Input: a stack takes one dense tensor, so sparse, ragged and optional stay unset.")
        shape, whole = value_of(self, "shape"), value_of(self, "batch_shape")
        if whole is not None and (shape, self.batch_size) != (None, None):
            raise ArgumentError(f"Input takes shape and batch_size, or batch_shape={whole}, not both.")
        whole = self._lamina.wanted_shape if shape is None and whole is None else whole
        if whole is not None:
            if not isinstance(whole, (tuple, list)) or not whole:
                raise ArgumentError(f"batch_shape is a tuple with the batch axis, as in (None, 784); got {whole!r}.")
            batch_size, *shape = full_shape(whole, "batch_shape")
            self.batch_size = batch_size or self.batch_size
        if shape is None:
            raise ArgumentError("Input needs the shape of one sample: Input(shape=(784,)).")
        self.shape = self.batch_shape = (self.batch_size, *full_shape(shape))  # like the tensor that Keras returns
        self.built = True

    def call(self, x: Array) -> Array:
        return x

    @property
    def dtype(self) -> str:
        """The dtype of the data."""
        return value_of(self, "dtype") or dtypes.floatx()

    @dtype.setter
    def dtype(self, dtype: Dtype) -> None:
        self._lamina.input_dtype = _data_dtype(dtype)  # type: ignore[attr-defined]

    @property
    def _lamina_whole_dtype(self) -> Any:
        """The dtype of integer or boolean data, in which the data must reach the layers; None for other data."""
        asked = self.dtype
        return jnp.dtype(jax.dtypes.canonicalize_dtype(asked)) if asked.startswith(("int", "uint", "bool")) else None

    def _lamina_arguments(self) -> Config:
        return {k: v for k, v in super()._lamina_arguments().items() if k not in ("shape", "batch_size")}

    def get_config(self) -> Config:
        dense = {"sparse": False, "ragged": False, "optional": False}
        return {"batch_shape": self.batch_shape, "dtype": self.dtype, "name": self.name} | dense


@user_facing
def Input(
    shape: InputShape = None,
    batch_size: int | None = None,
    dtype: Dtype = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: InputShape = None,
    name: str | None = None,
    tensor: object = None,
    optional: bool = False,
) -> InputLayer:
    """The first entry of a stack: the shape of one sample, without the batch axis.

    >>> Input((28, 28, 1)).batch_shape
    (None, 28, 28, 1)

    Args:
        shape: the shape of one sample, without the batch axis; None where a size varies.
        batch_size: the number of rows of every batch, which stateful layers need.
        dtype: the dtype of the data, "string" for text; None for `config.floatx()`.
        sparse, ragged, optional: leave them unset. They are for inputs that a stack does not take.
        batch_shape: the shape with the batch axis, in place of `shape` and `batch_size`.
        name: the name of the InputLayer.
        tensor: leave it unset. It is for symbolic tensors of Keras, which a stack does not have.
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)


class Dense(LowRank):
    """Maps (..., n) to (..., units): `activation(x @ kernel + bias)`.

    >>> Dense(3, activation="relu")(jnp.ones((2, 4))).shape
    (2, 3)

    Args:
        units: the size of the output's last axis.
        activation: the function that is applied to the result; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: the initial values of the kernel, (n, units), and of the bias, (units,).
        kernel_regularizer, bias_regularizer: penalties on the kernel and on the bias, added to the loss.
        activity_regularizer: a penalty on the output, added to the loss.
        kernel_constraint, bias_constraint: applied to the kernel and to the bias after each step of training.
        lora_rank, lora_alpha: the rank and the weight of a low-rank adaptation, see `enable_lora`.
    """

    units: int = setting(positive)
    activation: ActivationSetting = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    activity_regularizer: RegularizerSetting = setting(init=False)
    _lamina_activity: RegularizerSetting = setting(regularizers.get, default=None, alias="activity_regularizer")
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)

    _lamina_constants: ClassVar[Config] = {"quantization_config": None}
    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        n = input_shape[-1]
        self.kernel = weight_from_settings(self, "kernel", (n, self.units))
        self.bias = weight_from_settings(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})
        if self.lora_rank:
            adapt(self, self.lora_rank, self.lora_alpha)

    def call(self, x: Array) -> Array:  # (..., n)
        return self.activation(matmul(x, self.kernel, self.bias))  # type: ignore[no-any-return]  # (..., units)


class Activation(Layer):
    """Applies a function to every element, or along the last axis; the shape stays the same.

    >>> Activation("relu")(jnp.array([[-1.0, 2.0]]))
    Array([[0., 2.]], dtype=float32)

    Args:
        activation: the function, its name or its config.
    """

    activation: ActivationSetting = setting(activations.get)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        return self.activation(x)  # type: ignore[no-any-return]


_functions = Registry("function")
_functions.also.append(activations._registry)


def _is_code(value: object) -> bool:
    """Whether a config holds a function as code, in the form of Keras 3 or of Keras 2."""
    if isinstance(value, dict):
        return value.get("class_name") == "__lambda__"
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], str)


def _function(value: object, name: str) -> Any:
    """The function that the config of a Lambda names; any other value is returned unchanged."""
    if _is_code(value):
        raise UnknownNameError(
            f"the Lambda {name!r} holds a function as code, and no code of a file is run. Write the function in your "
            f"program, and give it by the name of the layer: custom_objects={{{name!r}: function}}."
        )
    if isinstance(value, str):
        value = {"module": "builtins", "class_name": "function", "config": value, "registered_name": "function"}
    return _functions.get(value) if isinstance(value, dict) else value


class Lambda(Layer):
    """Applies a function: `function(x, **arguments)`; its result may have any shape.

    In a stack x is one tensor. In a custom layer, or in a direct call, x may be a list, tuple or dict of tensors.

    A file holds no function. To load a saved model, give `custom_objects={"name": function}`, with the name of the
    function or of the layer.

    >>> Lambda(lambda x, factor: x * factor, arguments={"factor": 3.0})(jnp.ones((1, 2)))
    Array([[3., 3.]], dtype=float32)

    Args:
        function: takes x, and `training` or `mask` too if it has arguments of these names.
        output_shape: the shape of the output, with or without the batch axis, or a function of the input's shape. The
            layer finds the shape by tracing; a given shape is checked against the traced one.
        mask: the mask that the next layer gets, or a function of x and its mask.
        arguments: further arguments of the function, by name.
    """

    function: Function
    _lamina_promised_shape: InputShape | Callable[[Shape], InputShape] = setting(default=None, alias="output_shape")
    mask: Any = None
    arguments: Converted[Config | None, Config] = setting(default=None)

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"output_shape", "mask"})
    _lamina_one_tensor: ClassVar[bool | None] = False

    def get_config(self) -> Config:
        config = super().get_config()
        if isinstance(config["function"], str):  # a built-in one
            config["function"] = {"module": "builtins", "class_name": "function", "config": config["function"]} | {
                "registered_name": "function"
            }
        return config

    @classmethod
    @user_facing
    def from_config(cls, config: Config, custom_objects: Config | None = None, safe_mode: bool | None = None) -> Self:
        """A layer with the settings that `get_config` returned.

        Args:
            custom_objects: the function, under its own name or the name of the layer.
            safe_mode: has no effect, since no code from a config is ever run.
        """
        with known(custom_objects) as now:
            name, told = str(config.get("name")), dict(config)
            given = now.given.get(name)
            told["function"] = given or _function(config.get("function"), name)
            shape = config.get("output_shape")  # found by tracing, even if the file has a function for it
            told["output_shape"] = None if isinstance(shape, (dict, str)) or _is_code(shape) else shape
            mask = config.get("mask")
            told["mask"] = None if given and _is_code(mask) else _function(mask, name)
            more = config.get("arguments") or {}
            if not isinstance(more, dict):
                raise ArgumentError(f"Lambda(arguments={short(more)}): expected a dict.")
            told["arguments"] = {key: plain(value) for key, value in more.items()}
            return super().from_config(told)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise ArgumentError(f"Lambda wraps a function, got {self.function!r}.")
        self.arguments = dict(self.arguments or {})
        try:
            self._lamina_takes = set(inspect.signature(self.function).parameters) & {"training", "mask"}
        except ValueError:  # a function written in C
            self._lamina_takes = set()

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
        told = {"training": training, "mask": mask}
        y = self.function(x, **self.arguments, **{name: told[name] for name in self._lamina_takes})
        promised = value_of(self, "output_shape")
        promised = promised(shapes_of(x)) if callable(promised) else promised
        if promised is not None and tuple(promised) not in (tuple(y.shape), tuple(y.shape[1:])):
            raise ShapeError(f"has output_shape={tuple(promised)}, but its function returns {tuple(y.shape)}")
        return y

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return self.mask(x, mask) if callable(self.mask) else self.mask
