"""`tf.train`: TensorFlow 1's optimizers, and `latest_checkpoint`."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from typing import Any

from lamina import optimizers
from lamina.compat.told import say

NAMES = {
    "AdadeltaOptimizer": "Adadelta", "AdagradOptimizer": "Adagrad", "AdamOptimizer": "Adam",
    "FtrlOptimizer": "Ftrl", "GradientDescentOptimizer": "SGD", "MomentumOptimizer": "SGD",
    "RMSPropOptimizer": "RMSprop",
}  # fmt: skip
__all__ = [*NAMES, "latest_checkpoint"]


def _optimizer(old: str, new: str) -> Callable[..., optimizers.Optimizer]:
    def make(*args: Any, use_locking: bool = False, beta1: Any = None, beta2: Any = None, **kwargs: Any) -> Any:
        say(f"tf.train.{old} is now keras.optimizers.{new}.")
        kwargs |= {name: value for name, value in (("beta_1", beta1), ("beta_2", beta2)) if value is not None}
        return getattr(optimizers, new)(*args, **kwargs)

    make.__name__ = old
    return make


globals().update({old: _optimizer(old, new) for old, new in NAMES.items()})


def latest_checkpoint(checkpoint_dir: str, latest_filename: None = None) -> str | None:
    """The newest file of weights in a folder, for `load_weights`; None if there is none."""
    found = glob.glob(os.path.join(glob.escape(checkpoint_dir), "*.weights.h5"))
    return max(found, key=os.path.getmtime, default=None)
