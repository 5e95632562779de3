"""Helpers around a model: labels and sequences as arrays, seeds, learning curves."""

from __future__ import annotations

from lamina._base.public import public
from lamina._display.plots import learning_curve
from lamina.random import set_random_seed
from lamina.utils.arrays import normalize, pad_sequences, to_categorical
from lamina.utils.session import clear_session

__all__ = ["clear_session", "learning_curve", "normalize", "pad_sequences", "set_random_seed", "to_categorical"]


public(__name__, __all__)
