"""Errors for user code that reads the values of an array while its program is compiled."""

from __future__ import annotations

from collections.abc import Callable

import jax

from lamina._messages.spelling import nearest
from lamina.errors import LaminaError, TracedArrayError, UnknownAttributeError

ADVICE: dict[type[Exception], str] = {
    jax.errors.TracerBoolConversionError: """\
Python's if, while, and, or, not, max and min cannot decide by it: write jnp.where(condition, a, b), jnp.maximum(a, b),
condition & other. For blocks of code there are jax.lax.cond and jax.lax.while_loop.""",
    jax.errors.TracerArrayConversionError: """\
NumPy, SciPy and others cannot take it: write the function of jax.numpy (jnp), jax.nn or jax.scipy, as jnp.log.
What JAX lacks is computed outside of the model: from model.predict(x), or in a callback.""",
    jax.errors.TracerIntegerConversionError: """\
It cannot be an index of a list, a range or a size: look it up in an array, jnp.take(table, x, axis=0).
Sizes stand in x.shape.""",
    jax.errors.NonConcreteBooleanIndexError: """\
x[condition] has a shape that depends on them: write jnp.where(condition, x, 0).""",
    jax.errors.ConcretizationTypeError: """\
float(), int(), .item() and .tolist() cannot read it: leave them out, an array of shape () works as a number.
jax.debug.print shows the values.""",
}
"""The advice for each of JAX's errors. A class comes before its base."""

OTHER_NAMES = {"get_shape": "shape", "dim": "ndim", "permute": "transpose", "view": "reshape"}
"""Attributes of the tensors of TensorFlow and PyTorch, with the corresponding attributes of JAX's arrays."""


def of_traced_array(error: Exception, place_of: Callable[[BaseException], str]) -> LaminaError | None:
    """The error to raise instead of an error of JAX or Python; None if that has another reason."""
    if isinstance(error, AttributeError):
        return _no_attribute(error, place_of)
    kind = next((kind for kind in ADVICE if isinstance(error, kind)), None)
    if str(error).startswith("The truth value of an array") and _is_about_traced(error):
        kind = jax.errors.TracerBoolConversionError
    if kind is None:
        return None
    needs = "needs the values of an array, and a compiled program knows its shape alone."
    return TracedArrayError(f"{place_of(error)} {needs}\n{ADVICE[kind]}")


def _is_about_traced(error: Exception) -> bool:
    """Whether the function that raised the error has a traced array. NumPy's arrays raise errors with the same text."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    read = traceback.tb_frame.f_locals.values() if traceback is not None else ()
    return any(isinstance(value, jax.core.Tracer) for value in read)


def _no_attribute(error: AttributeError, place_of: Callable[[BaseException], str]) -> LaminaError | None:
    """For `.numpy()` and other attributes that tensors of TensorFlow and PyTorch have."""
    if isinstance(error, LaminaError) or not isinstance(error.obj, jax.Array):
        return None
    name = error.name or ""
    found = nearest(name, [each for each in dir(jax.Array) if not each.startswith("_")])
    advice = f"Did you mean {found[0]!r}?" if found else ""
    if name in OTHER_NAMES:
        advice = f"Did you mean {OTHER_NAMES[name]!r}?"
    elif callable(getattr(jax.numpy, name, None)):
        advice = f"Write jnp.{name}(array)."
    elif name in ("numpy", "eval", "detach", "cpu"):
        host = "" if isinstance(error.obj, jax.core.Tracer) else ", or write numpy.asarray(array)"
        advice = f"Leave .{name}() out{host}: the functions of jax.numpy take the array."
    return UnknownAttributeError(f"{place_of(error)}: a JAX array has no attribute {name!r}. {advice}".rstrip())
