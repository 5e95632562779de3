"""Keras's layers of several inputs: a stack cannot hold them, and the error of each says what to write instead.

Between two layers of a stack there is one tensor, so a layer of several inputs has no place in it. A custom layer may
branch inside its `call`:

    class Residual(layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner
        def call(self, x):
            return x + self.inner(x)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NoReturn, Self

from lamina._base.frames import user_facing
from lamina._layer.layer import Layer
from lamina.errors import StackError

INSTEAD = {
    "Add": "x + self.inner(x)",
    "Subtract": "self.left(x) - self.right(x)",
    "Multiply": "x * self.gate(x)",
    "Average": "(self.left(x) + self.right(x)) / 2",
    "Maximum": "jnp.maximum(self.left(x), self.right(x))",
    "Minimum": "jnp.minimum(self.left(x), self.right(x))",
    "Concatenate": "jnp.concatenate([self.left(x), self.right(x)], -1)",
    "Dot": "jnp.sum(self.left(x) * self.right(x), -1, keepdims=True)",
}
"""For each name, what a custom layer's `call` would return to compute the same."""


class SeveralInputs(Layer):
    """A layer of several inputs: making one raises an error that says what to write instead."""

    _lamina_refusal: ClassVar[str]

    @user_facing
    def __new__(cls, *args: object, **kwargs: object) -> Self:
        raise StackError(cls._lamina_refusal)


def _refusal(name: str) -> str:
    return (
        f"{name} joins several tensors, and a stack is one line of layers with one tensor between them: write a Layer "
        f"of your own whose call has the branch inside, such as `return {INSTEAD[name]}`."
    )


def _class(name: str) -> type[SeveralInputs]:
    refusal = _refusal(name)
    return type(name, (SeveralInputs,), {"_lamina_refusal": refusal, "__doc__": refusal, "__module__": __name__})


def _function(name: str) -> Callable[..., NoReturn]:
    @user_facing
    def join(*args: object, **kwargs: object) -> NoReturn:
        raise StackError(_refusal(name))

    join.__name__ = join.__qualname__ = name.lower()
    join.__doc__ = _refusal(name)
    return join


CLASSES = {name: _class(name) for name in INSTEAD}
FUNCTIONS = {
    name.lower(): _function(name) for name in "Add Subtract Multiply Average Maximum Minimum Concatenate Dot".split()
}
