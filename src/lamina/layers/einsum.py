"""A dense layer whose product is an einsum."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import positive
from lamina._base.frames import user_facing
from lamina._base.settings import setting, value_of
from lamina._base.shapes import InputSpec, Shape
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array
FORMS = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


def _equation(value: Any) -> str:
    form = FORMS.fullmatch(value) if isinstance(value, str) else None
    if form is None or form[1] != form[5] or form[3] != form[7] or (form[1] and form[3]):
        raise ArgumentError(f"expected 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...', got {value!r}.")
    return str(value)


def _letters_or_none(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isalpha()):
        raise ArgumentError(f"expected letters of the output, as 'c', got {value!r}.")
    return value


def _sizes(value: Any) -> tuple[int | None, ...]:
    sizes = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(None if size is None else positive(size) for size in sizes)


class EinsumDense(Layer):
    """`activation(einsum(equation, x, kernel) + bias)`: the kernel's shape follows from the letters.

    >>> EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)

    Args:
        output_shape: the sizes of the output that the equation names, without the first, the batch axis, unless it
            begins with `...`; None where the input's size stays.
        bias_axes: the letters of the output along which the bias differs; None for no bias.
    """

    equation: str = setting(_equation)
    _lamina_partial_output_shape: Any = setting(_sizes, alias="output_shape")
    activation: Any = setting(activations.get, default=None)
    bias_axes: str | None = setting(_letters_or_none, default=None)
    kernel_initializer: Any = setting(initializers.get, default="glorot_uniform")
    bias_initializer: Any = setting(initializers.get, default="zeros")
    kernel_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    kernel_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)

    _lamina_constants: ClassVar[dict[str, Any]] = {"quantization_config": None, "lora_rank": None, "lora_alpha": None}

    def build(self, input_shape: Shape) -> None:
        kernel, bias = self._shapes_for(input_shape)
        start = self.kernel_initializer
        if getattr(start, "input_axes", 0) is None:  # the fans of a VarianceScaling, told by the letters
            axes = {"input_axes": [], "output_axes": []}  # type: dict[str, list[int]]
            for axis, letter in enumerate(self._letters()[1]):
                axes["output_axes" if letter in self._letters()[2] else "input_axes"].append(axis)
            start = type(start).from_config(start.get_config() | axes)
        self.kernel = self.add_weight(
            kernel, start, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint
        )
        self.bias = None
        if bias is not None:
            self.bias = self.add_weight(
                bias, self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint
            )
        before, within, _ = self._letters()
        skipped = len(input_shape) - len(before) if self.equation.startswith("...") else 0
        fixed = {i: input_shape[i] for i, letter in enumerate(before, skipped) if letter in within}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=fixed)

    def _letters(self) -> tuple[str, str, str]:
        form = FORMS.fullmatch(self.equation)
        assert form is not None
        return form[2], form[4], form[6]

    def _shapes_for(self, input_shape: Shape) -> tuple[Any, Any]:
        """The kernel's and the bias's shape."""
        before, within, after = self._letters()
        left = self.equation.startswith("...")
        elided = len(input_shape) - len(before)
        if elided < 0 or (elided and "..." not in self.equation):
            raise ShapeError(f"wants {len(before)} dimensions for {self.equation!r}, got {len(input_shape)}")
        known = dict(zip(before, input_shape[elided if left else 0 :], strict=False))
        named = value_of(self, "output_shape") if left and elided else (input_shape[0], *value_of(self, "output_shape"))
        if len(named) != len(after):
            raise ShapeError(
                f"has {self.equation!r} and output_shape={value_of(self, 'output_shape')}: sizes and letters differ"
            )
        out = dict(zip(after, named, strict=True))
        for letter in after:
            if letter in known and out[letter] is not None and known[letter] != out[letter]:
                raise ShapeError(f"wants size {out[letter]} where {self.equation!r} has {letter}, got {known[letter]}")
            if letter not in before + within:
                raise ShapeError(f"has {self.equation!r}, whose {letter!r} is neither in the input nor in the kernel")
        sizes = out | {letter: size for letter, size in known.items() if out.get(letter) is None}
        if any(letter not in sizes for letter in within):
            raise ShapeError(f"has {self.equation!r}, whose kernel has a letter that neither input nor output has")
        bias = None
        if self.bias_axes is not None:
            if not set(self.bias_axes) <= set(after):
                raise ShapeError(f"has bias_axes={self.bias_axes!r}, which {self.equation!r} does not put out")
            first = min(map(after.index, self.bias_axes))
            bias = tuple(sizes[letter] if letter in self.bias_axes else 1 for letter in after[first:])
            bias += (1,) * (0 if left else elided)
        return tuple(sizes[letter] for letter in within), bias

    def call(self, x: Array) -> Array:
        y = jnp.einsum(self.equation, x, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)  # type: ignore[no-any-return]

    def _lamina_arguments(self) -> dict[str, Any]:
        told = super()._lamina_arguments()
        return told | {"activity_regularizer": self.activity_regularizer}

    @property
    @user_facing
    def output_shape(self) -> Any:
        """The shape of the output; before the layer is in a stack, the sizes as they were given."""
        return self._lamina.shapes[1] if self._lamina.shapes else value_of(self, "output_shape")
