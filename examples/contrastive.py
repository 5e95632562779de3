"""Contrastive learning by an overridden `train_step` and `compute_loss`: two views of a row are to get like codes.

    python examples/contrastive.py [rows] [epochs]

No label is used while training. Then each row gets the label of the row with the nearest code; the program prints how
often that is right, next to what the nearest row itself would have said (Chen et al. 2020, "A simple framework for
contrastive learning of visual representations").
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lamina as keras
from lamina import layers

SIGNAL, NOISE = 4, 28
"""How many columns tell the class, and how many are as large and mean nothing."""


class Contrastive(keras.Sequential):
    """Learns from rows alone: in a view of a row the noise is that of another row."""

    def __init__(self, columns: int, units: int) -> None:
        super().__init__([keras.Input((columns,)), layers.Dense(64, activation="relu"), layers.Dense(units)])

    def train_step(self, data: jax.Array) -> Any:  # (batch, columns)
        views = [jnp.concatenate([data[:, :SIGNAL], keras.random.shuffle(data[:, SIGNAL:])], 1) for _ in range(2)]
        return super().train_step(jnp.concatenate(views))  # (2 * batch, columns)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> jax.Array:
        codes = y_pred / jnp.linalg.norm(y_pred, axis=1, keepdims=True)  # (2 * batch, units)
        rows = len(codes)
        likeness = codes @ codes.T / 0.2 - 1e9 * jnp.eye(rows, dtype=codes.dtype)  # a row is not compared with itself
        partner = jnp.roll(jnp.arange(rows), rows // 2)
        loss: jax.Array = jnp.mean(keras.losses.sparse_categorical_crossentropy(partner, likeness, from_logits=True))
        return loss


def classes(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 5 classes, which a few columns tell apart, (rows, columns), and their classes, (rows,)."""
    rng = np.random.default_rng(seed)
    middles = 1.2 * np.random.default_rng(9).normal(size=(5, SIGNAL))
    label = rng.integers(0, 5, rows)
    signal, noise = middles[label] + rng.normal(0, 0.3, (rows, SIGNAL)), rng.normal(0, 1.2, (rows, NOISE))
    return np.hstack([signal, noise]).astype("float32"), label


def right(codes: np.ndarray, label: np.ndarray) -> float:
    """How often a row has the class of its neighbour."""
    distance = np.sum((codes[:, None] - codes[None]) ** 2, -1) + 1e9 * np.eye(len(codes))
    return float(np.mean(label[distance.argmin(1)] == label))


def main(rows: int = 2000, epochs: int = 15) -> None:
    keras.utils.set_random_seed(0)
    model = Contrastive(SIGNAL + NOISE, units=8)
    model.compile(keras.optimizers.Adam(0.003))
    model.fit(classes(rows, 0)[0], batch_size=128, epochs=epochs, verbose=0)
    x, label = classes(500, 1)
    codes = model.predict(x, verbose=0)
    codes = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    print(
        f"The nearest row is of the same class in {right(x, label):.0%}, the nearest code in {right(codes, label):.1%}."
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
