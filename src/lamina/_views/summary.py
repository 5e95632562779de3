"""Prints the table of a model's layers."""

from __future__ import annotations

import io
import math
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lamina import _display as display
from lamina._arrays.shapes import Shape
from lamina._display.encoding import output
from lamina._messages.spelling import did_you_mean
from lamina._messages.tracebacks import user_facing
from lamina._training.model import Model
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer

HEADINGS = "Layer (type)", "Output Shape", "Param #"
NOT_BUILT = "Not built yet: call the model on data, or give its first layer an input_shape."


@user_facing
def summary(
    model: Model,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], object] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print each layer's name, output shape and number of parameters, and their totals.

    Args:
        line_length: the width in characters; by default 88, or less if the terminal is narrower.
        positions: where each column ends, as a share of the width or in characters.
        print_fn: a function that is called once with the whole text; by default the text is printed.
        expand_nested: also list the layers of the models inside the model.
        show_trainable: add a column: Y, N, or - for a layer without weights.
        layer_range: the names of the first and of the last layer to list, or regular expressions for them.
    """
    headings = [*HEADINGS] + ["Trainable"] * show_trainable
    if line_length is None:
        line_length = min(100 if show_trainable else 88, shutil.get_terminal_size().columns - 4)
    if positions is None:
        positions = (0.38, 0.66, 0.84, 1.0) if show_trainable else (0.45, 0.8, 1.0)
    widths = _widths(line_length, positions, len(headings))

    stream = io.StringIO() if print_fn else None
    console = Console(file=stream or output(), width=line_length, highlight=False)
    branch = "|_ " if console.options.ascii_only else "└ "
    table = Table(width=line_length, show_lines=True)
    for heading, width, justify in zip(headings, widths, ("left", "left", "right", "center"), strict=False):
        table.add_column(heading, width=width, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for depth, layer in _listed(_between(list(model.layers), layer_range), expand_nested, 0):
        name = Text("   " * depth + branch if depth else "").append(layer.name)
        row = [name.append(" (").append(type(layer).__name__, "color(33)").append(")"), _shape(layer), _count(layer)]
        if show_trainable:
            row.append(_trainable(layer))
        table.add_row(*row)

    console.print(Text(f'Model: "{model.name}"', style="bold"), soft_wrap=True)
    console.print(table)
    for title, number, size in _totals(model):
        console.print(Text(f" {title}: ", style="bold").append(number, "not bold color(34)").append(size, "not bold"))
    if not model.built:
        console.print(f" {NOT_BUILT}", soft_wrap=True)
    if print_fn and stream:
        print_fn(stream.getvalue())


def html(model: Model) -> str:
    """The same table as HTML for a notebook. It also lists the layers of inner models, and which layers are trained."""
    rows = [
        (f"{'    ' * depth}{layer.name} ({type(layer).__name__})", _shape(layer), _count(layer), _trainable(layer))
        for depth, layer in _listed(model.layers, True, 0)
    ]
    notes = [f"{title}: {number}{size}" for title, number, size in _totals(model)] + [NOT_BUILT] * (not model.built)
    return display.html.table(f'{type(model).__name__} "{model.name}"', [*HEADINGS, "Trainable"], rows, notes, texts=2)


def _widths(line_length: int, positions: Sequence[float], columns: int) -> list[int]:
    """The width of each column between its borders and blanks."""
    if len(positions) != columns or sorted(positions) != list(positions):
        raise ArgumentError(f"positions={positions!r}: expected {columns} growing numbers, the ends of the columns.")
    scale = line_length if positions[-1] <= 1 else 1
    ends = [int(position * scale) for position in positions]
    widths = [end - start - 3 for start, end in zip([1, *ends[:-1]], ends, strict=True)]
    if min(widths) < 1:
        raise ArgumentError(
            f"line_length={line_length} leaves no room for {columns} columns. Give a larger line_length, or positions."
        )
    return widths


def _between(layers: list[Layer], layer_range: Sequence[str] | None) -> list[Layer]:
    if layer_range is None:
        return layers
    if isinstance(layer_range, str) or len(layer_range) != 2 or not all(isinstance(n, str) for n in layer_range):
        raise ArgumentError(f"layer_range={layer_range!r}: expected the names of the first and of the last layer.")
    first, last = (_matching(layers, name) for name in layer_range)
    return layers[min(first[0], last[0]) : max(first[-1], last[-1]) + 1]


def _matching(layers: list[Layer], name: str) -> list[int]:
    """The index of the layer with this name, or else of all layers whose names the regular expression matches."""
    names = [layer.name for layer in layers]
    if name in names:
        return [names.index(name)]
    try:
        found = [index for index, each in enumerate(names) if re.match(name, each)]
    except re.error as error:
        raise ArgumentError(f"layer_range: {name!r} is neither a layer nor a regular expression: {error}.") from None
    if not found:
        raise ArgumentError(f"layer_range: no layer is called {name!r}. {did_you_mean(name, names)}")
    return found


def _listed(layers: Iterable[Layer], expand_nested: bool, depth: int) -> Iterable[tuple[int, Layer]]:
    for layer in layers:
        yield depth, layer
        if expand_nested:
            yield from _listed(getattr(layer, "layers", ()), expand_nested, depth + 1)


def _shape(layer: Layer) -> Text:
    if layer._lamina.shapes is None:  # not built
        return Text("?")
    shape = layer._lamina.shapes[1]
    if isinstance(shape, list):  # the last layer has several outputs
        return Text("[").append_text(Text(", ").join(map(_sizes, shape))).append("]")
    return _sizes(shape)


def _sizes(shape: Shape) -> Text:
    sizes = Text(", ").join(Text(str(size), "color(45)" if size is None else "color(34)") for size in shape)
    return Text("(").append_text(sizes).append(")")


def _count(layer: Layer) -> Text:
    return Text(f"{layer.count_params():,}", "color(34)") if layer.built else Text("0 (unbuilt)")


def _trainable(layer: Layer) -> Text:
    if not layer.built or not layer.weights:
        return Text("-", "bold")
    return Text("Y", "bold color(34)") if layer.trainable else Text("N", "bold color(9)")


def _totals(model: Model) -> Iterator[tuple[str, str, str]]:
    """The title of each total, its number, and its bytes in parentheses."""
    for title, weights in _counted(model):
        size = readable_size(sum(_bytes(weight) for weight in weights))
        yield title, f"{sum(math.prod(weight.shape) for weight in weights):,}", f" ({size})"


def _counted(model: Model) -> Iterator[tuple[str, list[Weight]]]:
    """The weights that each total counts, each weight once. As in Keras, "Total params" includes the optimizer's."""
    built = [model] if model.built else [layer for layer in model.layers if layer.built]
    trainable = _unique(weight for each in built for weight in each.trainable_weights)
    fixed = _unique(weight for each in built for weight in each.non_trainable_weights)
    kept = _unique(getattr(model.optimizer, "variables", ()))
    yield "Total params", trainable + fixed + kept
    yield "Trainable params", trainable
    yield "Non-trainable params", fixed
    if kept:
        yield "Optimizer params", kept


def _unique(weights: Iterable[Weight]) -> list[Weight]:
    return list({id(weight): weight for weight in weights}.values())


def _bytes(weight: Weight) -> int:
    return int(math.prod(weight.shape) * jnp.dtype(weight.dtype).itemsize)


def readable_size(size: float) -> str:
    """
    >>> readable_size(1536)
    '1.50 KB'
    """
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"
