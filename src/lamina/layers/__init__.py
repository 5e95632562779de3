"""Every layer of a stack, by its Keras name."""

from __future__ import annotations

from typing import Any

from lamina.activations import registry as functions
from lamina.errors import missing_attribute, user_facing
from lamina.layer import Layer
from lamina.layers.activations import LeakyReLU, ReLU, Softmax
from lamina.layers.convolution import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    Convolution1D,
    Convolution1DTranspose,
    Convolution2D,
    Convolution2DTranspose,
    Convolution3D,
    Convolution3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
)
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
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
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
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
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
