"""Which layers a model trains: as in Keras 1 and 2 those that were trainable when it was compiled.

So the discriminator of a GAN learns in its own `train_on_batch`, though `trainable = False` keeps it as it is in the
model that was compiled afterwards. Keras 3's guides say the same, but its models read `trainable` in each step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lamina import Sequential
from lamina._layer.structure import parts
from lamina._messages.tracebacks import user_facing
from lamina.compat.told import say

_compiled: weakref.WeakKeyDictionary[Sequential, list[tuple[weakref.ref[Any], bool]]] = weakref.WeakKeyDictionary()
"""For each model, its layers when it was compiled, and whether they were trainable."""


def compiling(compile: Callable[..., Any]) -> Callable[..., Any]:
    @user_facing
    def call(self: Sequential, *args: Any, **kwargs: Any) -> Any:
        compile(self, *args, **kwargs)
        _compiled[self] = [(weakref.ref(part.layer), part.layer.trainable) for part in parts(self)]

    return call


def training(verb: Callable[..., Any]) -> Callable[..., Any]:
    @user_facing
    def call(self: Sequential, *args: Any, **kwargs: Any) -> Any:
        with _as_compiled(self):
            return verb(self, *args, **kwargs)

    return call


@contextmanager
def _as_compiled(model: Sequential) -> Iterator[None]:
    """Let the layers be trainable as they were; what is set meanwhile stays."""
    held = [(layer(), then) for layer, then in _compiled.get(model, [])]
    changed = [layer._lamina for layer, then in held if layer is not None and layer.trainable != then]
    if changed:
        say("trainable was set after compile(): it has no effect until compile() is called again, as in Keras 2.")
    for state in changed:
        state.trainable = not state.trainable
    before = [state.trainable for state in changed]
    try:
        yield
    finally:
        for state, then in zip(changed, before, strict=True):
            if state.trainable == then:
                state.trainable = not then
