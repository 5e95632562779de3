"""The error for a layer that cannot take its input: it shows the neighbouring layers and says what to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lamina._arrays.shapes import Shape
from lamina.errors import ShapeError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer

AROUND = 3  # layers shown before the one that fails


def cannot_take(stack: Sequence[Layer], index: int, flow: Sequence[Shape], reason: str) -> ShapeError:
    """The error for layer `index` of `stack`, whose input has the shape `flow[index]`.

    Args:
        flow: the input shape of each layer up to this one.
        reason: what the layer expects.
    """
    layer, shape = stack[index], flow[index]
    lines = [
        f"layer {index + 1} ({layer.name}: {type(layer).__name__}) cannot take {_text(shape)}"
        + (f"          added at {layer._lamina.added_at}" if layer._lamina.added_at else "")
    ]
    shown = list(range(max(0, index - AROUND), index + 1))
    if shown[0] > 0:
        lines.append(f"     … {shown[0]} above")
    width = max(len(stack[i].name) for i in shown)
    for i in shown:
        arrow = "->" if i == index else "  "
        told = reason if i == index else f"{_text(flow[i])} -> {_text(flow[i + 1])}"
        lines.append(f"{arrow} {i + 1:3}  {stack[i].name:{width}}  {_call(stack[i])}  {told}")
    hint = _no_length(stack[:index]) if None in shape[-1:] else ""
    hint = hint or _batch_size(layer, flow) or _last_step(layer, stack[:index], shape, flow) or _hint(layer, shape)
    error = ShapeError("\n".join([*lines, hint] if hint else lines))
    error.named = True
    return error


def _text(shape: Shape) -> str:
    return str(tuple(shape))


def _call(layer: Layer) -> str:
    text = repr(layer)
    return text if len(text) <= 40 else text[:39] + "…"


def _no_length(before: Sequence[Layer]) -> str:
    """The advice if the unknown size is the number of words of a text."""
    if before and getattr(before[-1], "output_sequence_length", 0) is None:
        return "Set the number of words in a text: output_sequence_length=n; or use output_mode='multi_hot'."
    return ""


def _batch_size(layer: Layer, flow: Sequence[Shape]) -> str:
    """The advice for a stateful recurrent layer if the number of rows is unknown."""
    stateful = getattr(getattr(layer, "layer", layer), "stateful", False)  # .layer is the layer in a Bidirectional
    if not stateful or flow[0][0] is not None:
        return ""
    return f"Begin the model with Input(batch_shape={(32, *flow[0][1:])}), for batches of 32 rows."


def _last_step(layer: Layer, before: Sequence[Layer], shape: Shape, flow: Sequence[Shape]) -> str:
    """The advice if a recurrent layer before this one returns only its last step, and this one needs all steps."""
    if layer.input_spec is None or layer.input_spec.ndim != len(shape) + 1:
        return ""
    for i, each in reversed(list(enumerate(before))):
        inner = getattr(each, "layer", each)  # .layer is the layer in a Bidirectional
        if getattr(inner, "return_sequences", None) is False:
            return f"Let {each.name} return all its steps: {type(inner).__name__}(..., return_sequences=True)."
        if flow[i] != flow[i + 1]:
            break
    return ""


def _hint(layer: Layer, shape: Shape) -> str:
    """The advice that follows from the rank or the size that the layer expects."""
    spec = layer.input_spec
    sizes = shape[1:]
    if spec is None:
        return ""
    wanted = spec.ndim if spec.shape is None else len(spec.shape)
    if None in sizes[-1:] and spec.min_ndim == 2:
        others = "".join(f"{size}, " for size in sizes[:-1])
        return f"Set the size of the last axis, n: Input(({others}n{'' if others else ','}))."
    if wanted is None or wanted == len(shape):
        if len(shape) == 1:
            return "If each sample is one number, use x[:, None], of shape (rows, 1). If x is one sample, use x[None]."
        size = (spec.axes or {}).get(-1)
        if size is not None and sizes and size != sizes[-1]:
            return f"{layer.name} was built for {size} features before; use a new layer, or give it {size} features."
        return ""
    if wanted == len(shape) + 1:
        known_or_rest = tuple(size or -1 for size in sizes)
        of_time = wanted > 3 and hasattr(layer, "cell")  # otherwise the features or the channels are missing
        return f"Add the missing axis before it: Reshape({(1, *known_or_rest) if of_time else (*known_or_rest, 1)})."
    if wanted < len(shape):
        known = all(size is not None for size in sizes)
        keep = f"Reshape((-1, {sizes[-1]})) or Flatten()" if wanted == 3 and known else "Flatten()"
        return f"Put {keep} before it."
    return f"It takes {wanted} dimensions including the batch axis: put a Reshape before it, or remove Flatten."
