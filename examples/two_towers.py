"""Two towers as one custom layer: each half of the columns has a branch of its own, and their dot product is the score.

    python examples/two_towers.py [ratings] [epochs]

Learns from made-up ratings which of 5 tastes a user and a film share, and prints the error on pairs it has not seen.
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lamina as keras
from lamina import layers

TASTES, USERS, FILMS = 5, 4, 6


class TwoTowers(layers.Layer):
    """Maps (batch, columns) to (batch, 1): the first `split` columns describe a user, the others a film."""

    def __init__(self, split: int, units: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.split = split
        self.user = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(units)])
        self.film = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(units)])

    def call(self, x: jax.Array) -> jax.Array:  # (batch, columns)
        user: jax.Array = self.user(x[:, : self.split])  # (batch, units)
        film: jax.Array = self.film(x[:, self.split :])  # (batch, units)
        return jnp.sum(user * film, -1, keepdims=True)  # (batch, 1)


def ratings(rows: int, rng: np.random.Generator, world: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What is known of a user and a film side by side, (rows, columns), and the rating, (rows, 1)."""
    of_user, of_film = world.normal(size=(USERS, TASTES)), world.normal(size=(FILMS, TASTES))
    user, film = rng.normal(size=(rows, USERS)), rng.normal(size=(rows, FILMS))
    taste = np.tanh(user @ of_user) * np.tanh(film @ of_film)
    return np.hstack([user, film]).astype("float32"), taste.sum(1, keepdims=True).astype("float32")


def main(rows: int = 4000, epochs: int = 20) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((USERS + FILMS,)), TwoTowers(USERS)])
    model.compile(keras.optimizers.Adam(0.003), "mse")
    model.fit(
        *ratings(rows, np.random.default_rng(1), np.random.default_rng(0)), batch_size=64, epochs=epochs, verbose=0
    )
    x, y = ratings(500, np.random.default_rng(2), np.random.default_rng(0))
    explained = 1 - model.evaluate(x, y, verbose=0) / float(y.var())
    print(f"The two towers explain {explained:.1%} of the ratings' variance.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
