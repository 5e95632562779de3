"""Dtypes: the policy that says which dtypes a layer uses, and the default dtypes.

A policy of float64, or `set_floatx("float64")`, switches JAX's 64-bit mode (`jax_enable_x64`) on for the whole process.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias, TypedDict

import jax
import numpy as np
from numpy.typing import DTypeLike

from lamina._imports.public import public
from lamina._messages.spelling import did_you_mean
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import above_zero, short
from lamina._settings.settings import Configured, Converted, setting
from lamina.errors import ArgumentError, UnknownNameError

__all__ = [
    "DTypePolicy", "dtype_policy", "epsilon", "floatx", "get", "set_dtype_policy", "set_epsilon", "set_floatx",
    "standardize_dtype",
]  # fmt: skip

FLOATS = ("float32", "float16", "bfloat16", "float64")
MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
INT = {"int": "int32"}
"""Keras's name of the default dtype of whole numbers."""
POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")
"""The names of the class in configs, of Keras 3 and of older versions."""
OTHERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NAMES = (*FLOATS, *MIXED, *OTHERS, *INT)

NameSetting: TypeAlias = Converted[str | None, str]


class _Defaults(TypedDict):
    floatx: str
    epsilon: float
    policy: DTypePolicy | None


_default: _Defaults = {"floatx": "float32", "epsilon": 1e-7, "policy": None}


def _known(name: object, names: tuple[str, ...]) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"expected the name of a dtype, got {name!r} ({type(name).__name__}).")
    if name not in names:
        raise UnknownNameError(f"no dtype or policy is called {short(name)}. {did_you_mean(name, names)}")
    if name == "float64":
        jax.config.update("jax_enable_x64", True)
    return name


def _policy_name(name: object) -> str:
    return dtype_policy().name if name is None else _known(name, NAMES)


class DTypePolicy(Configured):
    """The dtype in which a layer computes, and the dtype of its weights.

    Both are `name`, except that `mixed_float16` and `mixed_bfloat16` compute in 16 bits with weights of float32
    (Micikevicius et al. 2018, "Mixed precision training").

    >>> policy = DTypePolicy("mixed_bfloat16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('bfloat16', 'float32')

    Args:
        name: a dtype, "mixed_float16" or "mixed_bfloat16"; None for the policy that `set_dtype_policy` set.
    """

    name: NameSetting = setting(_policy_name, default=None)

    _lamina_module: ClassVar[str | None] = "keras"

    @property
    def compute_dtype(self) -> str:
        """The dtype in which a layer computes, and to which its input is cast."""
        return (MIXED | INT).get(self.name, self.name)

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return "float32" if self.name in MIXED else INT.get(self.name, self.name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        _known(self.name, NAMES)  # also in a process that unpickles it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


Dtype: TypeAlias = str | type[Any] | np.dtype[Any] | DTypePolicy | dict[str, Any] | None
"""The types that a layer's `dtype` argument accepts."""


@user_facing
def get(identifier: Any = None) -> DTypePolicy:
    """The policy for a name, a dtype, a config or a policy; None means the one that `set_dtype_policy` set.

    >>> get("bfloat16")
    <DTypePolicy "bfloat16">
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict) and identifier.get("class_name") in POLICIES:
        return DTypePolicy.from_config(identifier.get("config") or {})
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    try:
        return DTypePolicy(floatx() if identifier is float else np.dtype(identifier).name)
    except (TypeError, ValueError):
        raise ArgumentError(f"expected a dtype or a policy such as 'mixed_float16', got {short(identifier)}.") from None


def dtype_policy() -> DTypePolicy:
    """The policy of layers without a given dtype: that of `set_dtype_policy`, or one named `floatx()`."""
    return _default["policy"] or DTypePolicy(floatx())


@user_facing
def set_dtype_policy(policy: Dtype) -> None:
    """Set the policy of all layers that are made later without a given dtype."""
    if policy is None:
        raise ArgumentError("expected a dtype or a policy such as 'mixed_float16', got None.")
    _default["policy"] = get(policy)


def floatx() -> str:
    """The default float dtype: 'float32', unless `set_floatx` set another."""
    return _default["floatx"]


@user_facing
def set_floatx(value: str) -> None:
    """Set the default float dtype: 'float16', 'bfloat16', 'float32' or 'float64'."""
    _default["floatx"] = _known(value, FLOATS)


PYTHON: dict[Any, str] = {bool: "bool", int: "int32", float: "float32", str: "string", complex: "complex64", **INT}
"""The dtypes of Python's own types."""
KNOWN = (*FLOATS, *OTHERS, "string", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128")


@user_facing
def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype of NumPy, JAX, torch or Python; None means `floatx()`.

    >>> standardize_dtype(int), standardize_dtype(np.float16), standardize_dtype(None)
    ('int32', 'float16', 'float32')

    Args:
        dtype: the dtype, or its name.

    Raises:
        ArgumentError: the value is not a dtype that a model could have.
    """
    if dtype is None:
        return floatx()
    try:
        name = PYTHON.get(dtype, dtype)
    except TypeError:  # a value that cannot be hashed is no dtype
        name = dtype
    name = getattr(name, "name", None) or getattr(name, "__name__", None) or name
    name = str(name).rpartition(".")[2] if str(name).startswith(("torch.", "jax.numpy.")) else name
    if not isinstance(name, str) or name not in KNOWN:
        raise ArgumentError(
            f"standardize_dtype: {short(dtype)} is not a dtype. {did_you_mean(str(name), KNOWN)}".rstrip()
        )
    return name


def wide(dtype: DTypeLike | None = None) -> np.dtype[Any]:
    """A float dtype, at least float32, for results that need more than 16 bits, such as sums. The default: `floatx()`.

    >>> wide("bfloat16"), wide("float32")
    (dtype('float32'), dtype('float32'))
    """
    kind = np.dtype(dtype or floatx())
    return kind if kind.itemsize >= 4 else np.dtype("float32")


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite: 1e-7, unless `set_epsilon` set another."""
    return _default["epsilon"]


@user_facing
def set_epsilon(value: float) -> None:
    """Set the value that `epsilon()` returns."""
    _default["epsilon"] = above_zero(value)


public(__name__, __all__)
