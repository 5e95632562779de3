"""A generative adversarial network by an overridden `train_step`, with an optimizer for each of its two stacks.

    python examples/gan.py [points] [epochs]

The generator turns noise into points, and the critic says how likely a point is a true one. The true points lie on a
circle of radius 1; the program prints how far the generated ones are from it (Goodfellow et al. 2014, "Generative
adversarial nets").
"""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lamina as keras
from lamina import layers


class GAN(keras.Sequential):
    """The stack is the generator, (batch, 2) -> (batch, 2); the critic, (batch, 2) -> (batch, 1), stands beside it."""

    def __init__(self, generator: keras.Sequential, critic: keras.Sequential) -> None:
        super().__init__([keras.Input((2,)), generator])
        self.generator, self.critic = generator, critic
        self.critic_optimizer = keras.optimizers.Adam(0.002, beta_1=0.5)
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, data: jax.Array) -> dict[str, jax.Array]:  # (batch, 2)
        noise = keras.random.normal(data.shape)
        of_critic, of_generator = self.critic.trainable_variables, self.generator.trainable_variables
        both = jnp.concatenate([data, self.generator(noise)])  # (2 * batch, 2)
        true = jnp.repeat(jnp.array([[1.0], [0.0]]), len(data), 0)  # (2 * batch, 1)

        def critic_loss(params: list[Any]) -> jax.Array:
            said, _ = self.critic.stateless_call(params, [], both)
            loss: jax.Array = self.loss_of(true, said)
            return loss

        lost, grads = jax.value_and_grad(critic_loss)([weight.value for weight in of_critic])
        self.critic_optimizer.apply(grads, of_critic)
        judge = [weight.value for weight in of_critic]  # after its step

        def generator_loss(params: list[Any]) -> jax.Array:
            made, _ = self.generator.stateless_call(params, [], noise)
            said, _ = self.critic.stateless_call(judge, [], made)
            loss: jax.Array = self.loss_of(jnp.ones_like(said), said)
            return loss

        fooled, grads = jax.value_and_grad(generator_loss)([weight.value for weight in of_generator])
        self.optimizer.apply(grads, of_generator)
        return {"critic_loss": lost, "generator_loss": fooled}


def circle(rows: int, seed: int) -> np.ndarray:
    """Points near a circle of radius 1.  -> (rows, 2)"""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, rows), rng.normal(1, 0.03, rows)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype("float32")


def stack(outputs: int) -> keras.Sequential:
    hidden = [layers.Dense(64, activation="leaky_relu"), layers.Dense(64, activation="leaky_relu")]
    return keras.Sequential([keras.Input((2,)), *hidden, layers.Dense(outputs)])


def main(rows: int = 6400, epochs: int = 60) -> None:
    keras.utils.set_random_seed(0)
    model = GAN(stack(2), stack(1))
    model.compile(keras.optimizers.Adam(0.001, beta_1=0.5))
    model.fit(circle(rows, 0), batch_size=128, epochs=epochs, verbose=0)
    points = model.predict(np.random.default_rng(1).normal(size=(1000, 2)).astype("float32"), verbose=0)
    off = np.abs(np.linalg.norm(points, axis=1) - 1).mean()
    quarters = len(np.unique(np.sign(points), axis=0))
    print(f"The points are off by {off:.3f} on average, and lie in {quarters} quarters of the circle.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
