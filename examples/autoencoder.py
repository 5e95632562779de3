"""An autoencoder by an overridden `compute_loss`: the loss compares the output with the input, so there are no targets.

    python examples/autoencoder.py [curves] [epochs]

Squeezes curves of 32 points into 3 numbers and back, and prints how much of curves it has not seen comes back.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lamina as keras
from lamina import layers


class Autoencoder(keras.Sequential):
    """A stack whose output is to be its input, with a code of a few numbers in the middle."""

    def __init__(self, points: int, code: int) -> None:
        super().__init__(
            [
                keras.Input((points,)),
                layers.Dense(64, activation="relu"),
                layers.Dense(code, name="code", activity_regularizer=keras.regularizers.L2(1e-5)),
                layers.Dense(64, activation="relu"),
                layers.Dense(points),
            ]
        )

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> jax.Array:
        reconstruction: jax.Array = jnp.mean((x - y_pred) ** 2)
        return reconstruction + sum(self.losses, jnp.float32(0))  # the regularizers


def curves(rows: int, seed: int) -> np.ndarray:
    """Waves of any height, length and place.  -> (rows, 32)"""
    rng = np.random.default_rng(seed)
    height, length, place = rng.uniform((0.5, 2, 0), (1.5, 4, 3), (rows, 3)).T[..., None]
    noise = rng.normal(0, 0.02, (rows, 32))
    waves: np.ndarray = height * np.sin(length * np.linspace(0, 1, 32) + place) + noise
    return waves.astype("float32")


def main(rows: int = 2000, epochs: int = 60) -> None:
    keras.utils.set_random_seed(0)
    model = Autoencoder(32, code=3)
    model.compile(keras.optimizers.Adam(0.003))
    model.fit(curves(rows, 0), batch_size=64, epochs=epochs, verbose=0)
    x = curves(500, 1)
    lost = np.mean((x - model.predict(x, verbose=0)) ** 2) / x.var()
    print(f"3 numbers hold {1 - lost:.1%} of a curve.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
