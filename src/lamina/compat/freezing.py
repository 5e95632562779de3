"""Makes a model train the layers that were trainable when it was compiled, as in Keras 1 and 2.

Programs with a GAN rely on this. They compile the discriminator, then set `trainable = False` and compile the GAN. The
discriminator still learns in its own `train_on_batch`. Keras 3 reads `trainable` in each step instead.
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
"""For each model, its layers at `compile`, with whether they were trainable."""


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
    """Set `trainable` of the layers as at `compile` during the block. Values that are set in the block stay."""
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
