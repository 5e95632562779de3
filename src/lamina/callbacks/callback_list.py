"""All callbacks of one `fit`, `evaluate` or `predict`, called as if they were one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from lamina._messages.tracebacks import user_facing
from lamina.callbacks.callback import HOOKS, Callback, Logs
from lamina.callbacks.history import History
from lamina.callbacks.hooks import logs_by_name, tell
from lamina.callbacks.progress_bar import ProgbarLogger
from lamina.errors import ArgumentError

# Keras's older names: the newer method calls the older one, so that a class may override either.
ALIASES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
_POSITIONS = {hook: len(inspect.signature(getattr(Callback, hook)).parameters) - 1 for hook in HOOKS}
"""How many arguments each hook takes, its logs included."""


def _told_to_each(hook: str) -> Callable[..., None]:
    """Make the method of the list that calls `hook` of the callbacks that override it.

    If there are any, the values in the caller's dict of logs become Python floats, and callbacks may add to this dict.
    """

    def tell_each(self: CallbackList, *place: Any, logs: Logs = None) -> None:
        known = self._lamina_listeners.get(hook)
        listeners = _listeners(self, hook) if known is None else known
        if not listeners:
            return
        *where, logs = place if len(place) == _POSITIONS[hook] else (*place, logs)
        logs = {} if logs is None else logs
        plain = _plain(logs)
        self._lamina_telling = True
        for each in listeners:
            tell(each, hook, *where, logs=plain)
        self._lamina_telling = False
        logs.clear()
        logs.update(plain)

    tell_each.__doc__ = getattr(Callback, hook).__doc__
    return tell_each


class CallbackList(Callback):
    """A list of callbacks that is a callback itself.

    >>> callbacks = CallbackList([], add_history=True, epochs=1)
    >>> callbacks.on_epoch_end(0, {"loss": np.float32(0.5)})
    >>> callbacks.history.history
    {'loss': [0.5]}

    Args:
        callbacks: a callback, or a list of callbacks, which may be nested.
        add_history: add a `History` if the list has none.
        add_progbar: add a `ProgbarLogger` if the list has none.
        model: given to each callback as its `model`.
        params: given to each callback as its `params`: `verbose`, `epochs`, `steps`.
    """

    @user_facing
    def __init__(
        self,
        callbacks: object = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: object,
    ) -> None:
        self.callbacks = list(_flat(callbacks))
        if add_history and self.history is None:
            self.callbacks.append(History())
        if add_progbar and self.progbar is None:
            self.callbacks.append(ProgbarLogger())
        self._lamina_listeners: dict[str, list[Callback]] = {}
        """For each hook that is called often, the callbacks that override it."""
        self._lamina_telling = False
        """Whether a hook is being called, or has raised an error."""
        self.set_model(model)
        self.set_params(params)

    @property
    def history(self) -> History | None:
        """The `History` in the list."""
        return next((each for each in reversed(self.callbacks) if isinstance(each, History)), None)

    @property
    def progbar(self) -> ProgbarLogger | None:
        """The `ProgbarLogger` in the list."""
        return next((each for each in reversed(self.callbacks) if isinstance(each, ProgbarLogger)), None)

    @user_facing
    def append(self, callback: object) -> None:
        """Add one callback, or a list of them, and give them the model and the params of the list."""
        added = list(_flat(callback))
        self.callbacks += added
        self._lamina_listeners.clear()
        for each in added:
            if self.params:
                each.set_params(self.params)
            if self.model is not None:
                each.set_model(self.model)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    def __len__(self) -> int:
        return len(self.callbacks)

    def set_params(self, params: dict[str, Any] | None) -> None:
        super().set_params(params)
        if params:
            for each in self.callbacks:
                each.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if model is not None:
            for each in self.callbacks:
                each.set_model(model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Restore the terminal, also after an error or Ctrl-C."""
        for each in self.callbacks:
            if isinstance(each, ProgbarLogger):
                each._lamina_close()

    on_train_begin = _told_to_each("on_train_begin")
    on_train_end = _told_to_each("on_train_end")
    on_epoch_begin = _told_to_each("on_epoch_begin")
    on_epoch_end = _told_to_each("on_epoch_end")
    on_train_batch_begin = _told_to_each("on_train_batch_begin")
    on_train_batch_end = _told_to_each("on_train_batch_end")
    on_batch_begin = _told_to_each("on_batch_begin")
    on_batch_end = _told_to_each("on_batch_end")
    on_test_begin = _told_to_each("on_test_begin")
    on_test_end = _told_to_each("on_test_end")
    on_test_batch_begin = _told_to_each("on_test_batch_begin")
    on_test_batch_end = _told_to_each("on_test_batch_end")
    on_predict_begin = _told_to_each("on_predict_begin")
    on_predict_end = _told_to_each("on_predict_end")
    on_predict_batch_begin = _told_to_each("on_predict_batch_begin")
    on_predict_batch_end = _told_to_each("on_predict_batch_end")


def wants_each_batch(callbacks: CallbackList, of: str) -> bool:
    """Whether a callback must be called for each single batch of "train", "test" or "predict"."""
    found = {hook: _listeners(callbacks, hook) for hook in (f"on_{of}_batch_begin", f"on_{of}_batch_end")}
    callbacks._lamina_listeners |= found
    return any(getattr(each, "every_batch", True) for listeners in found.values() for each in listeners)


def batches_left(callbacks: CallbackList) -> int | None:
    """The most batches between two calls of a callback with current weights in the layers."""
    return min(filter(None, (getattr(each, "_lamina_left", None) for each in callbacks)), default=None)


def handles_nan(callbacks: object) -> bool:
    """Whether a callback, or one in a list, handles a loss that is not finite, so that `fit` raises no error."""
    return any(getattr(each, "handles_nan", False) for each in _flat(callbacks))


def _listeners(callbacks: CallbackList, hook: str) -> list[Callback]:
    names = [hook, ALIASES.get(hook, hook)]
    return [each for each in callbacks if any(overrides(each, name) for name in names)]


def overrides(callback: Callback, hook: str) -> bool:
    """Whether the class of a callback overrides a hook, or the object itself, as in `LambdaCallback`."""
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def _plain(logs: dict[str, Any]) -> dict[str, Any]:
    """Convert logs to Python floats and NumPy arrays, sorted by name; dicts of metrics are flattened."""
    plain: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        if isinstance(value, dict):
            plain.update(_plain(value))
        elif hasattr(value, "__array__"):
            array = np.asarray(value)
            plain[name] = array if array.ndim else float(array)
        else:
            plain[name] = float(value) if isinstance(value, (int, float)) else value
    return plain


def _flat(callbacks: object) -> Iterator[Callback]:
    if isinstance(callbacks, CallbackList):  # it has checked them
        yield from callbacks
    elif isinstance(callbacks, (list, tuple)):
        for each in callbacks:
            yield from _flat(each)
    elif callbacks is not None:
        yield _checked(callbacks)


def _checked(callback: Any) -> Any:
    if isinstance(callback, type):
        advice = f"the class {callback.__name__}, not an object of it. Write {callback.__name__}(...)."
    elif all(callable(getattr(callback, name, None)) for name in (*HOOKS, "set_model", "set_params")):
        for hook in HOOKS:
            if overrides(callback, hook):
                _require_arguments(callback, hook)
        return callback
    elif isinstance(callback, (dict, set)):
        advice = f"a {type(callback).__name__}. Write a list."
    elif callable(callback):
        name = getattr(callback, "__name__", "function")
        advice = f"the function {name}. Write LambdaCallback(on_epoch_end={'...' if name == '<lambda>' else name})."
    elif isinstance(callback, str):
        advice = f"the name {callback!r}. Callbacks are objects: their classes are in keras.callbacks."
    else:
        advice = f"{callback!r} ({type(callback).__name__}). Derive its class from Callback."
    raise ArgumentError(f"expected callbacks, for example callbacks=[EarlyStopping(patience=3)], got {advice}")


def _require_arguments(callback: Callback, hook: str) -> None:
    """Raise an error for a hook that cannot be called with its arguments."""
    if logs_by_name(getattr(callback, hook), hook, _POSITIONS[hook] - 1) is None:
        named = inspect.signature(getattr(Callback, hook)).parameters.values()
        told = [str(parameter).split(":")[0] for parameter in named]
        own = hook in vars(callback)  # a function, not a method
        written = f"lambda {', '.join(told[1:])}: ..." if own else f"def {hook}({', '.join(told)})"
        raise ArgumentError(f"{type(callback).__name__}.{hook} does not take what it is called with. Write {written}.")
