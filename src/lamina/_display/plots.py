"""Learning curves, drawn with matplotlib."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lamina._files import files
from lamina._messages.tracebacks import user_facing
from lamina.errors import ArgumentError, MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION, INK, FAINT = "#9a6b1f", "#1f5f8b", "#2b2b2b", "#8c8c8c"
Curve = tuple[Sequence[int], Sequence[float]]


@user_facing
def learning_curve(history: object, to_file: str | os.PathLike[str] = "learning_curve.png") -> str:
    """Save a picture of the loss and the metrics over the epochs of `fit`, and return its path.

    Each quantity has its panel, with a line for training and one for validation. The epoch with the lowest loss (of
    the validation, if there was one) is marked in each panel. It needs matplotlib: `pip install matplotlib`.

        history = model.fit(x, y, epochs=20, validation_split=0.1)
        keras.utils.learning_curve(history, "curve.png")

    Args:
        history: the History object that `fit` returned, or its `history` dict.
        to_file: the path of the picture; its ending decides the format: .png (also without one), .svg, .pdf.

    Raises:
        FileError: the picture cannot be written there.
    """
    make_figure = figure_class()
    found = curves(history)
    if not found:
        raise ArgumentError("the history is empty: no epoch has ended yet.")
    names = sorted({name.removeprefix("val_") for name in found}, key=order)
    best = _best_epoch(found)

    columns = min(len(names), 3 if len(names) in (3, 5, 6) or len(names) > 6 else 2)
    rows = math.ceil(len(names) / columns)
    figure = make_figure(figsize=(5.4 * columns, 3.7 * rows + 0.7), dpi=150, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.12)
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        _panel(axes, name, found.get(name), found.get(f"val_{name}"), best)
    title = "Learning curve"
    if best is not None:
        title += f", best at epoch {best} (lowest {'validation' if 'val_loss' in found else 'training'} loss)"
    figure.suptitle(title, x=0.012, ha="left", color=INK, fontsize=13)
    return save(figure, to_file)


def save(figure: Figure, to_file: str | os.PathLike[str]) -> str:
    """Save a picture, and return its path. Its ending decides the format: .png (also without one), .svg, .pdf."""
    path = files.name_of(to_file)
    path = path if os.path.splitext(path)[1] else f"{path}.png"
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=os.path.splitext(path)[1][1:])
    except ValueError as error:  # a format that matplotlib does not know
        raise ArgumentError(f"to_file={path!r}: {error}") from None
    files.write(path, picture.getvalue())
    return path


def figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("pictures need matplotlib: pip install matplotlib") from error
    return Figure  # not through pyplot, whose global state is the user's


def curves(history: object) -> dict[str, Curve]:
    """For each quantity that is one number per epoch, its epochs, counted from 1, and its values."""
    values = getattr(history, "history", history)
    if not isinstance(values, dict):
        raise ArgumentError(f"expected what fit returned, or its .history dict, got {type(history).__name__}.")
    longest = max((len(each) for each in values.values()), default=0)
    found: dict[str, Curve] = {}
    for name, each in values.items():
        if len(each) and all(np.ndim(value) == 0 for value in each):
            # A plain dict does not say in which epochs validation ran: assume equal distances.
            distance = longest // len(each)
            epochs = getattr(history, "epochs_of", {}).get(name) or range(distance - 1, longest, distance)
            found[name] = [epoch + 1 for epoch in epochs][: len(each)], [float(value) for value in each]
    return found


def order(name: str) -> tuple[int, str]:
    return {"loss": 0, "learning_rate": 2}.get(name, 1), name


def _best_epoch(curves: dict[str, Curve]) -> int | None:
    """The epoch with the lowest finite loss; None if fewer than two are finite."""
    epochs, losses = curves.get("val_loss") or curves.get("loss") or ((), ())
    finite = [(loss, epoch) for epoch, loss in zip(epochs, losses, strict=True) if math.isfinite(loss)]
    return min(finite)[1] if len(finite) > 1 else None


def _panel(axes: Axes, name: str, training: Curve | None, validation: Curve | None, best: int | None) -> None:
    shown = {"training": (training, TRAINING), "validation": (validation, VALIDATION)}
    epochs = [epoch for curve, _ in shown.values() if curve for epoch in curve[0]]
    marker = "o" if max(epochs) <= 12 else ""
    for label, (curve, color) in shown.items():
        if curve is not None:
            axes.plot(*curve, color=color, linewidth=2, marker=marker, markersize=4, label=label)
            if best is not None and best in curve[0] and (label == "validation" or validation is None):
                _mark(axes, best, curve, color)
    axes.set_xlim(min(epochs) - 0.6, max(epochs) + 0.6)  # epochs whose value is NaN are in the range too
    axes.set_title(name.replace("_", " "), loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.set_xlabel("epoch", color=INK)
    axes.locator_params(axis="x", integer=True)
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9.5)
    if training and validation:
        axes.legend(frameon=False, fontsize=10, labelcolor="linecolor")


def _mark(axes: Axes, best: int, curve: Curve, color: str) -> None:
    """Draw a dot and a dotted line at the best epoch, and write its value above the panel."""
    value = curve[1][list(curve[0]).index(best)]
    axes.axvline(best, color=FAINT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=0)
    axes.plot([best], [value], "o", color=color, markersize=8, markeredgecolor="white", markeredgewidth=1.5, zorder=5)
    axes.set_title(f"{number(value)} at epoch {best}", loc="right", color=color, fontsize=10)


def number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
