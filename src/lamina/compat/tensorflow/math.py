"""`tf.math`: functions of tensors."""

from __future__ import annotations

from lamina.compat.tensorflow.arithmetic import functions

__all__ = sorted(functions)
globals().update(functions)
