"""A residual block as a custom layer: the branch stands inside `call`, and the stack stays one line.

    python examples/residual_block.py [points] [epochs]

Learns which of two interleaved spirals a point lies on, and prints the accuracy on points it has not seen.
"""

import sys
from typing import Any

import jax
import numpy as np

import lamina as keras
from lamina import layers


class Residual(layers.Layer):
    """Maps (batch, n) to (batch, n): x plus what two Dense layers make of it."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.normalize = layers.LayerNormalization()
        self.widen = layers.Dense(units, activation="relu")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        assert input_shape[-1] is not None
        self.narrow = layers.Dense(input_shape[-1])

    def call(self, x: jax.Array) -> jax.Array:  # (batch, n)
        branch: jax.Array = self.narrow(self.widen(self.normalize(x)))  # (batch, n)
        return x + branch


def spirals(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on two spirals, (rows, 2), and which one each lies on, (rows,)."""
    label = rng.integers(0, 2, rows)
    angle = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, rows))
    turned = angle + np.pi * label
    points = np.stack([np.cos(turned), np.sin(turned)], 1) * angle[:, None] / 10
    return (points + rng.normal(0, 0.02, points.shape)).astype("float32"), label.astype("float32")


def main(rows: int = 2000, epochs: int = 30) -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(32), Residual(64), Residual(64), Residual(64), layers.Dense(1)]
    )
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"])
    model.optimizer.learning_rate = 0.005
    model.fit(*spirals(rows, rng), batch_size=64, epochs=epochs, verbose=0)
    accuracy = model.evaluate(*spirals(500, rng), verbose=0, return_dict=True)["accuracy"]
    print(f"Test accuracy: {accuracy:.1%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
