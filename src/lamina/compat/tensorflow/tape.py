"""`tf.GradientTape`: the `with` block runs normally, and again under `jax.grad` for each gradient.

JAX differentiates functions. So the block is read from the source of the program and compiled as a function.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import CodeType, FrameType
from typing import Any, Self

import jax
import jax.numpy as jnp

from lamina._layer.passes import Pass
from lamina._messages.tracebacks import user_facing, user_frame
from lamina._weights.weight import Weight, read
from lamina.compat.tensorflow.stand_in import StandIn
from lamina.errors import CallError
from lamina.random import key_of, next_seed

ADVICE = (
    "Write the block as a function of the weights, and take jax.grad of it: the docstring of Sequential.train_step "
    "shows one."
)


class GradientTape(metaclass=StandIn):
    """Computes gradients of the results of a `with` block with respect to weights, variables and watched arrays.

        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)

    The block runs a second time for the gradient, and random layers draw new numbers then. The target is a name in the
    block, or an expression in the call: `tape.gradient(losses["a"], w)`.

    Args:
        persistent: has no effect: `gradient` may always be called several times.
        watch_accessed_variables: has no effect: `gradient` gets the variables.
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

    def watch(self, tensor: object) -> None:
        """Have no effect: `gradient` gets the arrays."""

    def reset(self) -> None:
        """Have no effect."""

    @user_facing
    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: object = None
    ) -> Any:
        """The gradients of the sum of `target`, in the structure of `sources`.

        Args:
            target: an array that the block computed.
            sources: weights, variables or arrays from before the block: one of them, or a list, tuple or dict.
            output_gradients: factors of the elements of `target` in their sum.
            unconnected_gradients: has no effect: sources on which `target` does not depend have gradients of 0.

        Raises:
            CallError: the target cannot be found in the block, or the block cannot run as a function.
        """
        wanted, (block, called) = self._wanted(target), self._block()
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
                result = jnp.asarray(eval(wanted, names))
            return jnp.sum(result if output_gradients is None else result * jnp.asarray(output_gradients))

        with self._attributes_kept():
            gradients = jax.grad(objective)([read(leaf) if isinstance(leaf, Weight) else leaf for leaf in leaves])
        return jax.tree.unflatten(structure, gradients)

    def _wanted(self, target: object) -> CodeType:
        """The expression for the target after the block: its name in the block, else the expression in the call."""
        if self._frame is None:
            raise CallError("the tape has recorded nothing yet: ask for a gradient after its with block.")
        names = {**self._frame.f_globals, **self._frame.f_locals}
        for name, value in names.items():
            if value is target and self._before.get(name) is not target and name.isidentifier():
                return compile(name, "<target>", "eval")
        frame = user_frame()
        call = _call_in(frame) if frame is not None and frame.f_code is self._frame.f_code else None
        said = [each.value for each in call.keywords if each.arg == "target"] or call.args[:1] if call else []
        if not said or isinstance(said[0], ast.Name):
            raise CallError(
                "tape.gradient(target, ...): the target is to be an array that the with block computes, as in "
                f"`loss = ...`, or an expression of what it computes. {ADVICE}"
            )
        return compile(ast.Expression(said[0]), "<target>", "eval")

    def _block(self) -> tuple[CodeType, list[str]]:
        """The statements of the with block, compiled as a program, and the names of the tape in it."""
        found, file = self._found()
        called = [item.optional_vars.id for item in found.items if isinstance(item.optional_vars, ast.Name)]
        try:
            return compile(ast.Module(self._to_run(found, called), []), file, "exec"), called
        except SyntaxError as error:
            raise CallError(f"the with block cannot run by itself: {error.msg}. {ADVICE}") from None

    def _found(self) -> tuple[ast.With, str]:
        """The with statement, and the name of its file."""
        assert self._frame is not None
        found = [
            node for node in ast.walk(_source(self._frame))
            if isinstance(node, ast.With) and node.lineno <= self._line <= node.items[-1].context_expr.end_lineno  # type: ignore[operator]
        ]  # fmt: skip
        file = self._frame.f_code.co_filename
        if not found:
            raise CallError(f"the source of the with block is not there to be run again ({file}). {ADVICE}")
        return found[-1], file

    def _to_run(self, block: ast.With, called: list[str]) -> list[ast.stmt]:
        """The statements of the block without calls of this tape, up to `gradient` if that is called in the block."""
        assert self._frame is not None
        now, end = self._frame.f_lineno, block.end_lineno or 0
        until = now if block.lineno < now <= end else end + 1
        asks = {f"{name}.gradient" for name in called}
        return [
            each for each in block.body
            if (each.end_lineno or 0) < until
            and not any(isinstance(node, ast.Call) and ast.unparse(node.func) in asks for node in ast.walk(each))
        ]  # fmt: skip

    @contextmanager
    def _attributes_kept(self) -> Iterator[None]:
        """Restore the attributes and items that the block assigns to the values of its first run."""
        assert self._frame is not None
        names, kept = {**self._frame.f_globals, **self._frame.f_locals}, {}
        for node in ast.walk(self._found()[0]):
            if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
                place = ast.unparse(node)
                with suppress(Exception):
                    kept[place] = eval(place, names)
        try:
            yield
        finally:
            for place, value in kept.items():
                exec(f"{place} = kept_value", names | {"kept_value": value})


def _source(frame: FrameType) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals)))
    except SyntaxError:
        return ast.Module([], [])


def _call_in(frame: FrameType) -> ast.Call | None:
    """The call `tape.gradient(...)` that a frame executes."""
    place = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return next(
        (
            node for node in ast.walk(_source(frame))
            if isinstance(node, ast.Call) and (node.lineno, node.end_lineno, node.col_offset) == place[:3]
            and isinstance(node.func, ast.Attribute) and node.func.attr == "gradient"
        ),
        None,
    )  # fmt: skip
