"""TensorFlow's names for the activations."""

from __future__ import annotations

from lamina import activations
from lamina._base.weight import Array
from lamina.activations import elu, gelu, log_softmax, relu, relu6, selu, sigmoid, softmax, softplus, softsign, tanh

# fmt: off
__all__ = [
    "elu", "gelu", "leaky_relu", "log_softmax", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus",
    "softsign", "swish", "tanh",
]
# fmt: on

silu = swish = activations.silu


def leaky_relu(features: activations.Arrays, alpha: float = 0.2, name: str | None = None) -> Array:
    """`x` where it is positive, `alpha * x` elsewhere."""
    return activations.leaky_relu(features, alpha)
