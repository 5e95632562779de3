"""Draws a stack as a line of boxes: as SVG without another package, as PNG by matplotlib, or as text for Graphviz."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from html import escape
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from lamina._files import files
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, flag, one_of, positive
from lamina._training.model import Model
from lamina._views.drawing import Box, Drawing, Frame
from lamina.errors import ArgumentError, NotBuiltError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer

DIRECTIONS = "TB", "BT", "LR", "RL"
SPLINES = "ortho", "curved", "polyline", "spline", "line", "true", "false", "none", "", True, False


class Shown(NamedTuple):
    """The facts that are written into the box of each layer."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool


class Dot:
    """A stack as text in Graphviz's language, which this class can also draw without Graphviz.

    The class has the methods of `pydot.Dot` that programs for Keras call.
    """

    def __init__(
        self, name: str, items: list[Box | Frame], rankdir: str, dpi: int, splines: object, subgraph: bool
    ) -> None:  # fmt: skip
        self.name, self.items, self.rankdir, self.dpi, self.subgraph = name, items, rankdir, dpi, subgraph
        self.splines = str(splines).lower()

    @property
    def source(self) -> str:
        """The text in Graphviz's language."""
        nodes = {id(box): _quoted(f"{self.name}_{number}") for number, box in enumerate(_boxes(self.items))}
        if self.subgraph:
            return "\n".join(_cluster(Frame(self.name, self.items), nodes)) + "\n"
        settings = f"rankdir={self.rankdir}; concentrate=True; dpi={self.dpi}; splines={_quoted(self.splines)};"
        edges = (f"{first} -> {second} [penwidth=2];" for first, second in pairwise(nodes.values()))
        return "\n".join(
            ["digraph G {", settings, "node [shape=record];", *_statements(self.items, nodes), *edges, "}", ""]
        )

    def to_string(self) -> str:
        """The text in Graphviz's language, as in `source`."""
        return self.source

    __str__ = to_string

    @user_facing
    def create(self, prog: str | None = None, format: str = "svg", encoding: str | None = None) -> bytes:
        """The picture in the format "svg", "dot", "png" or another format of matplotlib."""
        if format in ("dot", "gv", "raw"):
            return self.source.encode()
        drawing = Drawing(self.items, self.rankdir)
        return drawing.svg(self.dpi).encode() if format == "svg" else drawing.picture(format, self.dpi)

    @user_facing
    def write(
        self, path: str | os.PathLike[str], prog: str | None = None, format: str | None = None,
        encoding: str | None = None,
    ) -> bool:  # fmt: skip
        """Write the picture to a file. Without `format`, the end of the file's name decides the format."""
        name = files.name_of(path)
        files.write(name, self.create(format=format or os.path.splitext(name)[1][1:].lower() or "dot"))
        return True

    def create_svg(self) -> bytes:
        """The picture as SVG."""
        return self.create(format="svg")

    def create_png(self) -> bytes:
        """The picture as PNG."""
        return self.create(format="png")

    def write_svg(self, path: str | os.PathLike[str]) -> bool:
        """Write the picture as SVG."""
        return self.write(path, format="svg")

    def write_png(self, path: str | os.PathLike[str]) -> bool:
        """Write the picture as PNG."""
        return self.write(path, format="png")

    def _repr_svg_(self) -> str:
        return self.create().decode()


@user_facing
def model_to_dot(
    model: Model, show_shapes: bool = False, show_dtype: bool = False, show_layer_names: bool = True,
    rankdir: str = "TB", expand_nested: bool = False, dpi: int = 200, subgraph: bool = False,
    show_layer_activations: bool = False, show_trainable: bool = False, splines: str = "ortho", **kwargs: object,
) -> Dot:  # fmt: skip
    """Returns the stack in Graphviz's language; `to_string()` gives the text, and a notebook shows a picture.

    Neither Graphviz nor pydot is needed. `create(format="svg")` and `write("stack.png")` draw the picture.

    Args:
        model: a model that is built.
        show_shapes: write the shapes of each layer's input and output.
        show_dtype: write the dtype in which each layer computes.
        show_layer_names: write the names of the layers in front of their classes.
        rankdir: the direction of the line: "TB" down, "BT" up, "LR" to the right, "RL" to the left.
        expand_nested: draw the layers of inner models, each model in a dashed frame.
        dpi: the number of dots per inch.
        subgraph: return the text of a cluster, to be put into another graph.
        show_layer_activations: write the activation of each layer that has one.
        show_trainable: write for each layer with weights whether it is trained.
        splines: how Graphviz draws the lines. Pictures made without Graphviz have straight lines.

    Raises:
        NotBuiltError: the model is not built.
        ArgumentError: an argument has a value that is not allowed.
    """
    if kwargs:
        name = next(iter(kwargs))
        raise ArgumentError(f"model_to_dot has no argument {name!r}. It draws all layers.")
    if not getattr(model, "layers", None) or not model.built:
        raise NotBuiltError(
            "the model is not built, or has no layers: put Input(shape) first, or call the model on data."
        )
    flags = {
        "show_shapes": show_shapes, "show_dtype": show_dtype, "show_layer_names": show_layer_names,
        "show_layer_activations": show_layer_activations, "show_trainable": show_trainable,
    }  # fmt: skip
    shown = Shown(*(checked("model_to_dot", name, flag, value) for name, value in flags.items()))
    checked("model_to_dot", "rankdir", one_of(*DIRECTIONS), rankdir)
    checked("model_to_dot", "dpi", positive, dpi)
    checked("model_to_dot", "splines", one_of(*SPLINES), splines)
    items = _items(model, shown, checked("model_to_dot", "expand_nested", flag, expand_nested))
    return Dot(model.name, items, rankdir, dpi, splines, checked("model_to_dot", "subgraph", flag, subgraph))


@user_facing
def plot_model(
    model: Model, to_file: str | os.PathLike[str] = "model.png", show_shapes: bool = False, show_dtype: bool = False,
    show_layer_names: bool = False, rankdir: str = "TB", expand_nested: bool = False, dpi: int = 200,
    show_layer_activations: bool = False, show_trainable: bool = False, splines: str = "ortho", **kwargs: Any,
) -> Any:  # fmt: skip
    """Write a picture of the stack to a file; in a notebook the picture is returned as well.

    Neither Graphviz nor pydot is needed. SVG needs no other package, PNG and PDF need matplotlib.

    Args:
        model: a model that is built.
        to_file: the file's name, which ends in ".svg", ".png", ".pdf" or another format of matplotlib; ".dot" writes
            the text for Graphviz.
        show_shapes: write the shapes of each layer's input and output.
        show_dtype: write the dtype in which each layer computes.
        show_layer_names: write the names of the layers in front of their classes.
        rankdir: the direction of the line: "TB" down, "BT" up, "LR" to the right, "RL" to the left.
        expand_nested: draw the layers of inner models, each model in a dashed frame.
        dpi: the number of dots per inch.
        show_layer_activations: write the activation of each layer that has one.
        show_trainable: write for each layer with weights whether it is trained.
        splines: how Graphviz draws the lines, in a ".dot" file.

    Raises:
        NotBuiltError: the model is not built.
        ArgumentError: an argument has a value that is not allowed, or the format is not known.
        MissingPackageError: matplotlib is not installed, and the file is not ".svg" or ".dot".
    """
    dot = model_to_dot(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
        show_layer_activations=show_layer_activations, show_trainable=show_trainable, splines=splines, **kwargs,
    )  # fmt: skip
    path = files.name_of(to_file)
    kind = os.path.splitext(path)[1][1:].lower() or "png"
    picture = dot.create(format=kind)
    files.write(path if "." in os.path.basename(path) else f"{path}.png", picture)
    if "IPython" not in sys.modules or kind not in ("svg", "png", "jpg", "jpeg"):
        return None
    display: Any = import_module("IPython.display")
    return display.SVG(data=picture) if kind == "svg" else display.Image(data=picture)


def _items(model: Any, shown: Shown, expands: bool) -> list[Box | Frame]:
    return [
        Frame(layer.name, _items(layer, shown, expands)) if expands and hasattr(layer, "layers") else _box(layer, shown)
        for layer in model.layers
    ]


def _box(layer: Layer, shown: Shown) -> Box:
    kind, rows, cells = type(layer).__name__, [], []
    activation = getattr(layer, "activation", None)
    if shown.activations and activation is not None:
        rows.append(("Activation", getattr(activation, "__name__", None) or type(activation).__name__))
    if shown.shapes:
        shapes = layer._lamina.shapes or ("?", "?")
        cells += [("Input shape", str(shapes[0])), ("Output shape", str(shapes[1]))]
    if shown.dtype:
        cells.append(("Output dtype", str(layer.compute_dtype)))
    mark = None if not (shown.trainable and layer.weights) else bool(layer.trainable)
    return Box((layer.name, kind) if shown.names else ("", kind), rows, cells, mark)


def _boxes(items: list[Box | Frame]) -> Iterator[Box]:
    for item in items:
        yield from [item] if isinstance(item, Box) else _boxes(item.items)


def _statements(items: list[Box | Frame], nodes: dict[int, str]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Frame):
            yield from _cluster(item, nodes)
        else:
            yield f"{nodes[id(item)]} [label=<{_table(item)}>, fontname=Helvetica, border=0, margin=0];"


def _cluster(frame: Frame, nodes: dict[int, str]) -> Iterator[str]:
    yield f"subgraph {_quoted(f'cluster_{frame.name}')} {{"
    yield f"style=dashed; label={_quoted(frame.name)}; labeljust=l;"
    yield from _statements(frame.items, nodes)
    yield "}"


def _table(box: Box) -> str:
    """The label of a box, in Graphviz's HTML."""
    name, kind = map(escape, box.title)
    title = f"<b>{name}</b> ({kind})" if name else f"<b>{kind}</b>"
    span = max(len(box.cells) + (box.trained is not None), 1)
    rows = [f'<td colspan="{span}" bgcolor="black"><font point-size="16" color="white">{title}</font></td>']
    rows += [
        f'<td bgcolor="white" colspan="{span}"><font point-size="14">{what}: <b>{escape(said)}</b></font></td>'
        for what, said in box.rows
    ]
    cells = "".join(
        f'<td bgcolor="white"><font point-size="14">{what}: <b>{escape(said)}</b></font></td>'
        for what, said in box.cells
    )
    if box.trained is not None:
        colour, word = ("forestgreen", "Trainable") if box.trained else ("firebrick", "Non-trainable")
        cells += f'<td bgcolor="{colour}"><font point-size="14" color="white"><b>{word}</b></font></td>'
    rows += [cells] * bool(cells)
    inside = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table border="0" cellborder="1" bgcolor="black" cellpadding="10">{inside}</table>'


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
