"""Dtype policies by Keras 2's names: `set_global_policy("mixed_bfloat16")`."""

from __future__ import annotations

from lamina._imports.public import public
from lamina.dtypes import DTypePolicy, dtype_policy, set_dtype_policy
from lamina.optimizers import LossScaleOptimizer

__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy", "set_dtype_policy",
    "set_global_policy",
]  # fmt: skip

Policy, global_policy, set_global_policy = DTypePolicy, dtype_policy, set_dtype_policy

public(__name__, __all__)
