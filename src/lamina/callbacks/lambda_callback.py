"""Callbacks made from functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina._messages.spelling import did_you_mean
from lamina._messages.tracebacks import user_facing
from lamina.callbacks.callback import HOOKS, Callback
from lamina.errors import ArgumentError

Function = Callable[..., Any] | None
METHODS = *HOOKS, "set_model", "set_params"


class LambdaCallback(Callback):
    """A callback whose methods are the given functions.

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)).on_epoch_end(0, {"loss": 0.5})
    0 {'loss': 0.5}

    Args:
        on_epoch_begin, on_epoch_end: functions of (epoch, logs).
        on_train_begin, on_train_end: functions of (logs).
        on_train_batch_begin, on_train_batch_end: functions of (batch, logs).
        kwargs: a function for any other method of `Callback`, by its name: the other hooks, `set_model` of (model) and
            `set_params` of (params).
    """

    @user_facing
    def __init__(
        self,
        on_epoch_begin: Function = None,
        on_epoch_end: Function = None,
        on_train_begin: Function = None,
        on_train_end: Function = None,
        on_train_batch_begin: Function = None,
        on_train_batch_end: Function = None,
        **kwargs: Function,
    ) -> None:
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in functions.items():
            if name not in METHODS:
                raise ArgumentError(f"LambdaCallback has no argument {name!r}. {did_you_mean(name, METHODS)}")
            if function is not None and not callable(function):
                raise ArgumentError(f"LambdaCallback({name}=...): expected a function, got {function!r}.")
            if function is not None:
                setattr(self, name, function)
