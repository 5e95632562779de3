"""The number formats: of all of a layer's arrays by its policy, and the defaults where none is given.

float64 works as soon as a policy (or `set_floatx`) asks for it: JAX's 64-bit mode, which is off unless one sets
`jax_enable_x64`, is then switched on for the whole process.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import numpy as np

from lamina._base.converters import above_zero
from lamina._base.frames import user_facing
from lamina._base.settings import Configured, setting
from lamina._base.spelling import did_you_mean
from lamina.errors import ArgumentError, UnknownNameError

FLOATS = ("float32", "float16", "bfloat16", "float64")
MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
OTHERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NAMES = (*FLOATS, *MIXED, *OTHERS)

_default: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "policy": None}


def _known(name: Any, names: tuple[str, ...]) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"expected the name of a dtype, got {name!r} ({type(name).__name__}).")
    if name not in names:
        raise UnknownNameError(f"no dtype or policy is called {name!r}. {did_you_mean(name, names)}")
    if name == "float64":
        jax.config.update("jax_enable_x64", True)
    return name


def _policy_name(name: Any) -> str:
    return dtype_policy().name if name is None else _known(name, NAMES)


class DTypePolicy(Configured):
    """Which dtype a layer computes in, and which its weights have.

    Both are `name`, but `mixed_float16` and `mixed_bfloat16` compute in 16 bits with weights of float32
    (Micikevicius et al. 2018, "Mixed precision training").

    >>> policy = DTypePolicy("mixed_bfloat16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('bfloat16', 'float32')
    """

    name: str = setting(_policy_name, default=None)

    _lamina_module: ClassVar[str | None] = "keras"

    @property
    def compute_dtype(self) -> str:
        return MIXED.get(self.name, self.name)

    @property
    def variable_dtype(self) -> str:
        return "float32" if self.name in MIXED else self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


@user_facing
def get(identifier: Any = None) -> DTypePolicy:
    """The policy for a name, a dtype, a config or a policy; None is the one that `set_dtype_policy` set.

    >>> get("bfloat16")
    DTypePolicy(name='bfloat16')
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict) and identifier.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
        return DTypePolicy.from_config(identifier["config"])
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    try:
        return DTypePolicy(floatx() if identifier is float else np.dtype(identifier).name)
    except (TypeError, ValueError):
        raise ArgumentError(f"expected a dtype or a policy such as 'mixed_float16', got {identifier!r}.") from None


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none: `floatx()`, unless `set_dtype_policy` set another."""
    return _default["policy"] or DTypePolicy(floatx())


@user_facing
def set_dtype_policy(policy: Any) -> None:
    """Make `policy` that of every layer that is made from now on and given none."""
    if policy is None:
        raise ArgumentError("expected a dtype or a policy such as 'mixed_float16', got None.")
    _default["policy"] = get(policy)


def floatx() -> str:
    """The float dtype where none is asked for: 'float32', unless `set_floatx` set another."""
    return str(_default["floatx"])


@user_facing
def set_floatx(value: str) -> None:
    """Make `value` ('float16', 'bfloat16', 'float32' or 'float64') the float dtype where none is asked for."""
    _default["floatx"] = _known(value, FLOATS)


def wide(dtype: Any = None) -> np.dtype[Any]:
    """A float dtype (`floatx()` unless given), but at least float32: for what 16 bits would spoil, as sums and rates.

    >>> wide("bfloat16"), wide("float32")
    (dtype('float32'), dtype('float32'))
    """
    kind = np.dtype(dtype or floatx())
    return kind if kind.itemsize >= 4 else np.dtype("float32")


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite: 1e-7, unless `set_epsilon` set another."""
    return float(_default["epsilon"])


@user_facing
def set_epsilon(value: float) -> None:
    """Make `value` what `epsilon()` returns."""
    _default["epsilon"] = above_zero(value)
