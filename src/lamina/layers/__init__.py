"""Every layer of a stack, by its Keras name."""

from __future__ import annotations

from typing import Any

from lamina.activations import registry as functions
from lamina.errors import missing_attribute, user_facing
from lamina.layer import Layer
from lamina.layers.activations import LeakyReLU, ReLU, Softmax
from lamina.layers.core import Activation, Dense, Input, InputLayer, Lambda
from lamina.layers.hashing import Hashing
from lamina.layers.lookup import IntegerLookup, StringLookup
from lamina.layers.names import registry as registry
from lamina.layers.normalization import BatchNormalization
from lamina.layers.preprocessing import CategoryEncoding, Discretization, Normalization, Pipeline, Rescaling
from lamina.layers.regularization import Dropout
from lamina.layers.reshaping import Flatten, Reshape
from lamina.layers.text import TextVectorization
from lamina.shapes import InputSpec

__all__ = [
    "Activation",
    "BatchNormalization",
    "CategoryEncoding",
    "Dense",
    "Discretization",
    "Dropout",
    "Flatten",
    "Hashing",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "Lambda",
    "Layer",
    "LeakyReLU",
    "Normalization",
    "Pipeline",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "StringLookup",
    "TextVectorization",
]

for _name in __all__:
    if isinstance(globals()[_name], type) and issubclass(globals()[_name], Layer):
        registry.add()(globals()[_name])
functions.also.append(registry)  # a layer may stand where a function of one tensor does


@user_facing
def __getattr__(name: str) -> Any:
    raise missing_attribute(__name__, name, __all__)
