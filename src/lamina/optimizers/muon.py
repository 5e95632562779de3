"""Muon: steps whose directions are orthogonal matrices."""

from __future__ import annotations

import re

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._settings.converters import count, flag, not_negative, number, optional, rate, short
from lamina._settings.settings import Converted, setting
from lamina.errors import ArgumentError
from lamina.optimizers.built_in import BuiltIn
from lamina.optimizers.moments import adam_step
from lamina.optimizers.optimizer import Arrays, Optimizer, registry
from lamina.optimizers.state import filled


def _patterns(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise ArgumentError(f'expected a list of names of layers, such as ["output"], got {short(value)}.')
    for each in value:
        try:
            re.compile(each)
        except re.error as error:
            raise ArgumentError(f"{each!r} is not a pattern: {error}.") from None
        if len(re.findall(r"[*+?{]", each)) > 2 or re.search(r"\)[*+{]", each):  # a pattern in a file could run forever
            raise ArgumentError(f"{each!r} repeats too much: at most two of * + ? {{ }}, and none behind a group.")
    return list(value)


class _Muon(Optimizer):
    adam_beta_1: float = setting(rate, default=0.9)
    adam_beta_2: float = setting(rate, default=0.999)
    adam_weight_decay: float | None = setting(optional(not_negative), default=0.004)
    epsilon: float = setting(not_negative, default=1e-7)
    _lamina_decay: float | None = setting(optional(not_negative), default=0.004, alias="weight_decay")


@registry.add()
class Muon(BuiltIn, _Muon):
    """For matrices `p -= lr * 0.2 * sqrt(max(n, m)) * orthogonal(g + momentum * m)`, with `m = momentum * m + g`; for
    all other weights `AdamW` (Jordan et al. 2024, "Muon: an optimizer for hidden layers"; Liu et al. 2025, "Muon is
    scalable for LLM training").

    `orthogonal` brings the singular values of a matrix near 1 in a few steps of `x = a * x + (b * xx' + c * xx'xx') x`
    (Newton and Schulz), from `x / |x|` on. This updates each weight with two axes, except those of Embeddings and of
    `exclude_layers`, which should contain the last Dense.

    >>> Muon(exclude_layers=["output"])
    Muon(exclude_layers=['output'])

    Args:
        adam_beta_1: `beta_1` of AdamW.
        adam_beta_2: `beta_2` of AdamW.
        adam_weight_decay: `weight_decay` of AdamW; None for none.
        epsilon: `epsilon` of AdamW.
        weight_decay: the share of a matrix, times the learning rate, that is subtracted from it before each step.
        exclude_layers: patterns that are searched in a weight's path, which is its layer's name and its own; AdamW
            steps those weights.
        exclude_embeddings: whether AdamW steps weights with "embedding" in their path.
        muon_a: `a` above.
        muon_b: `b` above.
        muon_c: `c` above.
        adam_lr_ratio: the learning rate of AdamW, as a multiple of `learning_rate`.
        momentum: the share of the old value in `m`.
        ns_steps: the number of steps in `orthogonal`.
        nesterov: False takes `orthogonal(m)`.
        rms_rate: the number 0.2 above; None drops this factor and the root.
    """

    _lamina_decay: float | None = setting(optional(not_negative), default=0.004, alias="weight_decay")
    exclude_layers: Converted[list[str] | None, list[str]] = setting(_patterns, default=None)
    exclude_embeddings: bool = setting(flag, default=True)
    muon_a: float = setting(number, default=3.4445)
    muon_b: float = setting(number, default=-4.7750)
    muon_c: float = setting(number, default=2.0315)
    adam_lr_ratio: float = setting(not_negative, default=1)
    momentum: float = setting(rate, default=0.95)
    ns_steps: int = setting(count, default=5)
    nesterov: bool = setting(flag, default=True)
    rms_rate: float | None = setting(optional(not_negative), default=0.2)

    _lamina_order = (("momentum", "velocity"),)

    def _lamina_slots(self, p: Array, path: str) -> Arrays:
        """A velocity is needed only for weights that AdamW updates."""
        embeds = self.exclude_embeddings and "embedding" in path.lower()
        by_adam = p.ndim != 2 or embeds or any(re.search(pattern, path) for pattern in self.exclude_layers)
        return {name: filled(p) for name in ("momentum", *["velocity"] * by_adam)}

    def _lamina_decay_of(self, slots: Arrays) -> float | None:
        return self.adam_weight_decay if "velocity" in slots else self.weight_decay

    def _lamina_step(self, g: Array, p: Array, slots: Arrays, lr: Array, t: Array) -> tuple[Array, Arrays]:
        if "velocity" in slots:
            betas = self.adam_beta_1, self.adam_beta_2
            return adam_step(g, p, slots, lr * self.adam_lr_ratio, t, *betas, self.epsilon)
        m = self.momentum * slots["momentum"] + g
        direction = lr * self._lamina_orthogonal(g + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            direction = direction * (max(p.shape) ** 0.5 * self.rms_rate)
        return p - direction, {"momentum": m}

    def _lamina_orthogonal(self, x: Array) -> Array:
        """Approximate `u @ v` of the singular value decomposition `u @ diag(s) @ v`.  (n, m) -> (n, m)"""
        if x.shape[0] > x.shape[1]:
            return self._lamina_orthogonal(x.T).T
        x = x / (jnp.sqrt(jnp.sum(x * x)) + 1e-7)
        for _ in range(self.ns_steps):
            square = x @ x.T  # (n, n)
            x = self.muon_a * x + (self.muon_b * square + self.muon_c * square @ square) @ x
        return x
