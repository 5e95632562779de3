"""The settings that all built-in optimizers have after their own settings."""

from __future__ import annotations

from lamina._settings.converters import above_zero, flag, not_negative, optional, positive, rate
from lamina._settings.settings import setting
from lamina.optimizers.optimizer import Optimizer
from lamina.optimizers.state import several


class BuiltIn(Optimizer):
    """The base class of built-in optimizers. Their own arguments come before the common ones, as in Keras.

    Type checkers read the arguments of a class from its last base to the class itself. So the own arguments of `SGD`
    are in a class `_SGD`, and the class is `class SGD(BuiltIn, _SGD)`.
    """

    weight_decay: float | None = setting(init=False)
    clipnorm: float | None = setting(init=False)
    clipvalue: float | None = setting(init=False)
    global_clipnorm: float | None = setting(init=False)
    use_ema: bool = setting(init=False)
    ema_momentum: float = setting(init=False)
    ema_overwrite_frequency: int | None = setting(init=False)
    loss_scale_factor: float | None = setting(init=False)
    gradient_accumulation_steps: int | None = setting(init=False)
    name: str | None = setting(init=False)

    _lamina_decay: float | None = setting(optional(not_negative), default=None, alias="weight_decay")
    _lamina_clipnorm: float | None = setting(optional(not_negative), default=None, alias="clipnorm")
    _lamina_clipvalue: float | None = setting(optional(not_negative), default=None, alias="clipvalue")
    _lamina_global_clipnorm: float | None = setting(optional(not_negative), default=None, alias="global_clipnorm")
    _lamina_use_ema: bool = setting(flag, default=False, alias="use_ema")
    _lamina_ema_momentum: float = setting(rate, default=0.99, alias="ema_momentum")
    _lamina_ema_every: int | None = setting(optional(positive), default=None, alias="ema_overwrite_frequency")
    _lamina_scale_factor: float | None = setting(optional(above_zero), default=None, alias="loss_scale_factor")
    _lamina_steps: int | None = setting(optional(several), default=None, alias="gradient_accumulation_steps")
    _lamina_name: str | None = setting(default=None, alias="name")
