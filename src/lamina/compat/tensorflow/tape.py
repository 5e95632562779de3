"""`tf.GradientTape`: the block of the `with` runs as it is, and once more under `jax.grad` for a gradient.

JAX differentiates functions, and the block is made one: it is found in the program's own source.
"""

from __future__ import annotations

import ast
import linecache
from types import CodeType, FrameType
from typing import Any, Self

import jax
import jax.numpy as jnp

from lamina._base.frames import user_facing, user_frame
from lamina._base.weight import Weight, read
from lamina._layer.forward import Pass
from lamina.errors import CallError
from lamina.random import key_of, next_seed

ADVICE = (
    "Write the block as a function of the weights, and take jax.grad of it: the docstring of Sequential.train_step "
    "shows one."
)


class GradientTape:
    """Gradients of what a block computes, with respect to weights, variables and watched arrays.

        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)

    The block runs a second time for the gradient; random layers draw anew then. What it is to be differentiated is to
    have a name in the block.

    Args:
        persistent: whether several gradients are asked for, which is always allowed here.
        watch_accessed_variables: has no effect: a gradient is asked for by its variables.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._frame: FrameType | None = None
        self._before: dict[str, Any] = {}
        self._line = 0

    def __enter__(self) -> Self:
        frame = user_frame()
        assert frame is not None, "a with statement stands in the user's code"
        self._frame, self._line = frame, frame.f_lineno
        self._before = {**frame.f_globals, **frame.f_locals}
        return self

    def __exit__(self, *error: object) -> None: ...

    def watch(self, tensor: Any) -> None:
        """Nothing: a gradient is asked for by its arrays."""

    def reset(self) -> None:
        """Nothing."""

    @user_facing
    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: Any = None
    ) -> Any:
        """The gradients of the sum of `target`, in the structure of `sources`.

        Args:
            target: an array that the block gave a name.
            sources: weights, variables or arrays from before the block, in a list, tuple or dict or alone.
            output_gradients: what the elements of `target` are multiplied by before they are summed.
            unconnected_gradients: has no effect: what `target` does not depend on has gradients of 0.

        Raises:
            CallError: where the target has no name in the block, or the block cannot be found or run by itself.
        """
        name, (block, called) = self._name_of(target), self._block()
        leaves, structure = jax.tree.flatten(sources, is_leaf=lambda each: isinstance(each, Weight))
        key = key_of(next_seed())

        def objective(values: list[Any]) -> Any:
            names = {**self._before, **dict.fromkeys(called, self)}
            weights = {leaf: value for leaf, value in zip(leaves, values, strict=True) if isinstance(leaf, Weight)}
            for leaf, value in zip(leaves, values, strict=True):
                if not isinstance(leaf, Weight):
                    names |= {each: value for each, held in self._before.items() if held is leaf}
            with Pass(weights, training=None, key=key):
                exec(block, names)
            result = jnp.asarray(names[name])
            return jnp.sum(result if output_gradients is None else result * jnp.asarray(output_gradients))

        gradients = jax.grad(objective)([read(leaf) if isinstance(leaf, Weight) else leaf for leaf in leaves])
        return jax.tree.unflatten(structure, gradients)

    def _name_of(self, target: Any) -> str:
        """The name that the block gave to an array."""
        if self._frame is None:
            raise CallError("the tape has recorded nothing yet: ask for a gradient after its with block.")
        names = {**self._frame.f_globals, **self._frame.f_locals}
        for name, value in names.items():
            if value is target and self._before.get(name) is not target:
                return name
        raise CallError(
            "tape.gradient(target, ...): the target is to be an array that the with block gave a name, as in "
            f"`loss = ...`; what is computed after the block is not on the tape. {ADVICE}"
        )

    def _block(self) -> tuple[CodeType, list[str]]:
        """The statements of the with block, as a program of their own, and what the tape is called in it."""
        assert self._frame is not None
        file = self._frame.f_code.co_filename
        try:
            program = ast.parse("".join(linecache.getlines(file, self._frame.f_globals)))
        except SyntaxError:
            program = ast.Module([], [])
        found = [
            node for node in ast.walk(program)
            if isinstance(node, ast.With) and node.lineno <= self._line <= node.items[-1].context_expr.end_lineno  # type: ignore[operator]
        ]  # fmt: skip
        if not found:
            raise CallError(f"the source of the with block is not there to be run again ({file}). {ADVICE}")
        try:
            block = compile(ast.Module(found[-1].body, []), file, "exec")
        except SyntaxError as error:
            raise CallError(f"the with block cannot run by itself: {error.msg}. {ADVICE}") from None
        return block, [item.optional_vars.id for item in found[-1].items if isinstance(item.optional_vars, ast.Name)]
