"""Numbers that a compiled program takes as arguments instead of constants.

While a program is traced, a `Number` replaces a float of a layer, a regularizer or an optimizer. Arithmetic with
Python's numbers is recorded as a formula, such as `1.0 - rate`, which the host computes in float64. When a formula
is combined with an array, its value becomes an argument. Other uses (`if not rate`, `float(rate)`) get the current
value, which is recorded. The program is valid for all numbers for which these recorded values are the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array, HostArray
from lamina._weights.weight import Weight

Formula = tuple[Any, ...]
"""("number", its index), ("constant", a value), or a function and the formulas of its arguments."""


class Readings:
    """The values that a program reads from the numbers with which it is traced."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values
        self.arguments: dict[tuple[Formula, str], Weight] = {}
        """The arguments of the program, by formula and dtype."""
        self.answers: dict[Formula, Any] = {}
        """The recorded values on which the program depends."""

    def numbers(self) -> list[Number]:
        return [Number(self, ("number", place)) for place in range(len(self.values))]

    def hold_for(self, values: Sequence[float]) -> bool:
        """Whether tracing with these numbers would give the same program."""
        return all(_value(formula, values) == answer for formula, answer in self.answers.items())

    def weights_for(self, values: Sequence[float]) -> dict[Weight, Weight]:
        """The value of each argument for these numbers."""
        return {weight: _weight(*key, values) for key, weight in self.arguments.items()}


def _value(formula: Formula, values: Sequence[float]) -> Any:
    kind, *parts = formula
    if kind == "number":
        return values[parts[0]]
    return parts[0] if kind == "constant" else kind(*(_value(part, values) for part in parts))


def _weight(formula: Formula, dtype: str, values: Sequence[float]) -> Weight:
    with jax.ensure_compile_time_eval():
        return Weight(np.asarray(_value(formula, values)).astype(jnp.dtype(dtype)), path="number", trainable=False)


def _number(name: str, function: Callable[..., Any], backwards: bool = False) -> Callable[[Number, object], Any]:
    """The method that computes with a Python number or an array."""

    def method(self: Number, other: object) -> Any:
        if isinstance(other, jax.Array):
            mine = self.argument(other.dtype if jnp.issubdtype(other.dtype, jnp.inexact) else jnp.result_type(float))
            return function(other, mine) if backwards else function(mine, other)
        if not isinstance(other, (int, float, Number)):
            return NotImplemented
        that = other.formula if isinstance(other, Number) else ("constant", other)
        formula = (function, that, self.formula) if backwards else (function, self.formula, that)
        return self.answer(formula) if name in COMPARISONS else Number(self.readings, formula)

    return method


COMPARISONS = "lt", "le", "gt", "ge", "eq", "ne"
ARITHMETIC = "add", "sub", "mul", "truediv", "pow", "mod", "floordiv"


class Number:
    """A number that stands for an argument of the program while the program is traced."""

    __array_ufunc__ = None  # makes NumPy use the methods of this class for arithmetic with its numbers

    def __init__(self, readings: Readings, formula: Formula) -> None:
        self.readings, self.formula = readings, formula

    def argument(self, dtype: DTypeLike) -> Array:
        """The value of the number, as an argument of the program.  -> ()"""
        key = self.formula, str(jnp.dtype(dtype))
        if key not in self.readings.arguments:
            self.readings.arguments[key] = _weight(*key, self.readings.values)
        return self.readings.arguments[key].value

    def answer(self, formula: Formula) -> Any:
        """The value of a formula; the program then depends on it."""
        value = self.readings.answers[formula] = _value(formula, self.readings.values)
        return value

    def __bool__(self) -> bool:
        return bool(self.answer((bool, self.formula)))

    def __float__(self) -> float:
        return float(self.answer(self.formula))

    def __int__(self) -> int:
        return int(self.answer(self.formula))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> HostArray:
        return np.array(self.answer(self.formula), dtype)

    def __hash__(self) -> int:
        return hash(self.answer(self.formula))

    def __repr__(self) -> str:
        return repr(self.answer(self.formula))

    def __format__(self, how: str) -> str:
        return format(self.answer(self.formula), how)

    def __round__(self, digits: int | None = None) -> Number:
        return Number(self.readings, (round, self.formula, ("constant", digits)))

    def __neg__(self) -> Number:
        return Number(self.readings, (operator.neg, self.formula))

    def __abs__(self) -> Number:
        return Number(self.readings, (abs, self.formula))

    for _name in (*COMPARISONS, *ARITHMETIC):
        locals()[f"__{_name}__"] = _number(_name, getattr(operator, _name))
    for _name in ARITHMETIC:
        locals()[f"__r{_name}__"] = _number(_name, getattr(operator, _name), backwards=True)


def constant(value: object, dtype: DTypeLike) -> Array:
    """A number as an array: a constant of the program, or an argument if it is a `Number`.  -> ()"""
    return value.argument(dtype) if isinstance(value, Number) else jnp.asarray(value, dtype)
