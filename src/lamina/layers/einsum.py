"""A dense layer whose product is an einsum."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels.matmul import matmul
from lamina._kernels.precision import einsum, in_float32
from lamina._layer.layer import weight_from_settings
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import (
    ActivationSetting,
    Config,
    ConstraintSetting,
    InitializerSetting,
    RegularizerSetting,
)
from lamina._settings.converters import positive
from lamina._settings.settings import Converted, setting, value_of
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.low_rank import LowRank, adapt

FORMS = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


def _equation(value: object) -> str:
    form = FORMS.fullmatch(value) if isinstance(value, str) else None
    if form is None or form[1] != form[5] or form[3] != form[7] or (form[1] and form[3]):
        raise ArgumentError(f"expected 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...', got {value!r}.")
    return str(value)


def _letters_or_none(value: object) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isalpha()):
        raise ArgumentError(f"expected letters of the output, as 'c', got {value!r}.")
    return value


def _sizes(value: object) -> tuple[int | None, ...]:
    sizes = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(None if size is None else positive(size) for size in sizes)


class _Letters(NamedTuple):
    """The letters of an equation, without the dots."""

    input: str
    kernel: str
    output: str


def _letters(equation: str) -> _Letters:
    form = FORMS.fullmatch(equation)
    assert form is not None
    return _Letters(form[2], form[4], form[6])


class EinsumDense(LowRank):
    """`activation(einsum(equation, x, kernel) + bias)`; the letters of the equation give the kernel's shape.

    >>> import jax.numpy as jnp
    >>> EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)

    Args:
        equation: the letters of the input, of the kernel and of the output, as in `einsum`.
        output_shape: the sizes of the output axes that the equation names, without the batch axis (with the first axis
            if the equation's output begins with `...`). None where the input's size stays.
        activation: the function that is applied to the result; None for none.
        bias_axes: the letters of the output axes along which the bias varies; None for no bias.
        kernel_initializer, bias_initializer: the initial values of the kernel and of the bias.
        kernel_regularizer, bias_regularizer: penalties on the kernel and on the bias, added to the loss.
        kernel_constraint, bias_constraint: applied to the kernel and to the bias after each step of training.
        lora_rank, lora_alpha: the rank and the weight of a low-rank adaptation, see `enable_lora`.
    """

    equation: str = setting(_equation)
    _lamina_partial_output_shape: Converted[int | Sequence[int | None] | None, Shape] = setting(
        _sizes, alias="output_shape"
    )
    activation: ActivationSetting = setting(activations.get, default=None)
    bias_axes: str | None = setting(_letters_or_none, default=None)
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)

    _lamina_constants: ClassVar[Config] = {"quantization_config": None}

    def build(self, input_shape: Shape) -> None:
        kernel, bias = _shapes_of_weights(self, input_shape)
        letters, start = _letters(self.equation), value_of(self, "kernel_initializer")
        if getattr(start, "input_axes", 0) is None:  # the fans of a VarianceScaling follow from the letters
            axes: dict[str, list[int]] = {"input_axes": [], "output_axes": []}
            for axis, letter in enumerate(letters.kernel):
                axes["output_axes" if letter in letters.output else "input_axes"].append(axis)
            start = type(start).from_config(start.get_config() | axes)
        self.kernel = self.add_weight(
            kernel, start, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint
        )
        self.bias = None if bias is None else weight_from_settings(self, "bias", bias)
        skipped = len(input_shape) - len(letters.input) if self.equation.startswith("...") else 0
        fixed = {i: input_shape[i] for i, letter in enumerate(letters.input, skipped) if letter in letters.kernel}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=fixed)
        if self.lora_rank:
            adapt(self, self.lora_rank, self.lora_alpha)

    def call(self, x: Array) -> Array:
        return self.activation(_product(self.equation, x, self.kernel, self.bias))  # type: ignore[no-any-return]

    def _lamina_arguments(self) -> Config:
        return super()._lamina_arguments() | {"activity_regularizer": self.activity_regularizer}

    @property
    @user_facing
    def output_shape(self) -> Any:
        """The shape of the output; before the layer is built, the sizes as they were given."""
        return self._lamina.shapes[1] if self._lamina.shapes else value_of(self, "output_shape")


@in_float32
def _product(equation: str, x: Array, kernel: Array, bias: Array | None, *, half: bool = False) -> Array:
    """`einsum(equation, x, kernel) + bias`, as a matrix product when new axes replace the last axes of x."""
    before, within, after = _letters(equation)
    last, made = ("".join(letter for letter in letters if letter in within) for letters in (before, after))
    free = before.removesuffix(last)
    if "..." in equation or (before, within, after) != (free + last, last + made, free + made) or not (free and last):
        return einsum(equation, x, kernel, bias)
    rows, sizes = math.prod(kernel.shape[: len(last)]), x.shape[: len(free)]
    flat = matmul(x.reshape((*sizes, rows)), kernel.reshape((rows, -1)), half=half)
    y = flat.reshape((*sizes, *kernel.shape[len(last) :]))
    return y if bias is None else y + bias


def _shapes_of_weights(layer: EinsumDense, input_shape: Shape) -> tuple[Shape, Shape | None]:
    """The shapes of the kernel and of the bias. Without a bias, its shape is None."""
    equation, partial = layer.equation, value_of(layer, "output_shape")
    before, within, after = _letters(equation)
    left = equation.startswith("...")
    elided = len(input_shape) - len(before)
    if elided < 0 or (elided and "..." not in equation):
        raise ShapeError(f"expects {len(before)} dimensions for {equation!r}, got {len(input_shape)}")
    known = dict(zip(before, input_shape[elided if left else 0 :], strict=False))
    named = partial if left and elided else (input_shape[0], *partial)
    if len(named) != len(after):
        raise ShapeError(f"has {equation!r} and output_shape={partial}: sizes and letters differ")
    out = dict(zip(after, named, strict=True))
    for letter in after:
        if letter in known and out[letter] is not None and known[letter] != out[letter]:
            raise ShapeError(f"expects size {out[letter]} where {equation!r} has {letter}, got {known[letter]}")
        if letter not in before + within:
            raise ShapeError(f"has {equation!r}, whose {letter!r} is neither in the input nor in the kernel")
    sizes = out | {letter: size for letter, size in known.items() if out.get(letter) is None}
    if any(letter not in sizes for letter in within):
        raise ShapeError(f"has {equation!r}, whose kernel has a letter that neither input nor output has")
    bias = None
    if layer.bias_axes is not None:
        if not set(layer.bias_axes) <= set(after):
            raise ShapeError(f"has bias_axes={layer.bias_axes!r}, which {equation!r} does not have in its output")
        first = min(map(after.index, layer.bias_axes))
        bias = tuple(sizes[letter] if letter in layer.bias_axes else 1 for letter in after[first:])
        bias += (1,) * (0 if left else elided)
    return tuple(sizes[letter] for letter in within), bias
