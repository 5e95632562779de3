"""Every layer of a stack, by its Keras name."""

from __future__ import annotations

from typing import Any

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import held
from lamina._layer.layers_by_name import registry as registry
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import user_facing
from lamina._settings.custom_objects import known
from lamina.activations import _registry as functions
from lamina.layers.core import Activation, Dense, Input, InputLayer, Lambda

if FOR_TYPES:
    from lamina.layers.activations import ELU, LeakyReLU, PReLU, ReLU, Softmax
    from lamina.layers.attention.many_heads import GroupQueryAttention, MultiHeadAttention
    from lamina.layers.attention.one_head import AdditiveAttention, Attention
    from lamina.layers.convolution.depthwise import DepthwiseConv1D, DepthwiseConv2D
    from lamina.layers.convolution.plain import Conv1D, Conv2D, Conv3D, Convolution1D, Convolution2D, Convolution3D
    from lamina.layers.convolution.separable import (
        SeparableConv1D,
        SeparableConv2D,
        SeparableConvolution1D,
        SeparableConvolution2D,
    )
    from lamina.layers.convolution.transposed import (
        Conv1DTranspose,
        Conv2DTranspose,
        Conv3DTranspose,
        Convolution1DTranspose,
        Convolution2DTranspose,
        Convolution3DTranspose,
    )
    from lamina.layers.einsum import EinsumDense
    from lamina.layers.embeddings import Embedding, ReversibleEmbedding
    from lamina.layers.features.categories import CategoryEncoding, Discretization
    from lamina.layers.features.crossing import HashedCrossing
    from lamina.layers.features.hashing import Hashing
    from lamina.layers.features.lookup import IntegerLookup, StringLookup
    from lamina.layers.features.numbers import Normalization, Rescaling
    from lamina.layers.features.pipeline import Pipeline
    from lamina.layers.features.spectrograms import MelSpectrogram, STFTSpectrogram
    from lamina.layers.features.text import TextVectorization
    from lamina.layers.image.chains import AugMix, RandAugment, RandomColorJitter
    from lamina.layers.image.color import (
        RandomBrightness,
        RandomColorDegeneration,
        RandomContrast,
        RandomGrayscale,
        RandomHue,
        RandomInvert,
        RandomPosterization,
        RandomSaturation,
        Solarization,
    )
    from lamina.layers.image.histograms import AutoContrast, ContrastLimitedAdaptiveHistogramEqualization, Equalization
    from lamina.layers.image.mixing import CutMix, MaxNumBoundingBoxes, MixUp, RandomErasing
    from lamina.layers.image.resizing import CenterCrop, RandomCrop, Resizing
    from lamina.layers.image.sharpness import RandomGaussianBlur, RandomSharpness
    from lamina.layers.image.warping import (
        RandomElasticTransform,
        RandomFlip,
        RandomPerspective,
        RandomRotation,
        RandomShear,
        RandomTranslation,
        RandomZoom,
    )
    from lamina.layers.masks import Identity, Masking
    from lamina.layers.merging import (
        Add,
        Average,
        Concatenate,
        Dot,
        Maximum,
        Minimum,
        Multiply,
        Subtract,
        add,
        average,
        concatenate,
        dot,
        maximum,
        minimum,
        multiply,
        subtract,
    )
    from lamina.layers.normalizations.batch import BatchNormalization
    from lamina.layers.normalizations.norms import RMSNormalization, UnitNormalization
    from lamina.layers.normalizations.samples import GroupNormalization, LayerNormalization
    from lamina.layers.normalizations.spectral import SpectralNormalization
    from lamina.layers.pooling.adaptive import (
        AdaptiveAveragePooling1D,
        AdaptiveAveragePooling2D,
        AdaptiveAveragePooling3D,
        AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D,
        AdaptiveMaxPooling3D,
    )
    from lamina.layers.pooling.global_pooling import (
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAveragePooling3D,
        GlobalAvgPool1D,
        GlobalAvgPool2D,
        GlobalAvgPool3D,
        GlobalMaxPool1D,
        GlobalMaxPool2D,
        GlobalMaxPool3D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GlobalMaxPooling3D,
    )
    from lamina.layers.pooling.windows import (
        AveragePooling1D,
        AveragePooling2D,
        AveragePooling3D,
        AvgPool1D,
        AvgPool2D,
        AvgPool3D,
        MaxPool1D,
        MaxPool2D,
        MaxPool3D,
        MaxPooling1D,
        MaxPooling2D,
        MaxPooling3D,
    )
    from lamina.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
    from lamina.layers.recurrent.convolutional import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
    from lamina.layers.recurrent.layers import GRU, LSTM, RNN, SimpleRNN
    from lamina.layers.recurrent.stacked_cells import StackedRNNCells
    from lamina.layers.regularization import (
        ActivityRegularization,
        AlphaDropout,
        Dropout,
        GaussianDropout,
        GaussianNoise,
        SpatialDropout1D,
        SpatialDropout2D,
        SpatialDropout3D,
    )
    from lamina.layers.reshaping import (
        Cropping1D,
        Cropping2D,
        Cropping3D,
        Flatten,
        Permute,
        RepeatVector,
        Reshape,
        UpSampling1D,
        UpSampling2D,
        UpSampling3D,
        ZeroPadding1D,
        ZeroPadding2D,
        ZeroPadding3D,
    )
    from lamina.layers.wrappers import Bidirectional, TimeDistributed, Wrapper

__all__ = [
    "ELU", "GRU", "LSTM", "RNN", "Activation", "ActivityRegularization", "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D", "Add", "AdditiveAttention", "AlphaDropout", "Attention", "AugMix", "AutoContrast",
    "Average", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "BatchNormalization", "Bidirectional", "CategoryEncoding", "CenterCrop", "Concatenate",
    "ContrastLimitedAdaptiveHistogramEqualization", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D",
    "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Convolution1D", "Convolution1DTranspose",
    "Convolution2D", "Convolution2DTranspose", "Convolution3D", "Convolution3DTranspose", "Cropping1D", "Cropping2D",
    "Cropping3D", "CutMix", "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Discretization", "Dot", "Dropout",
    "EinsumDense", "Embedding", "Equalization", "Flatten", "GRUCell", "GaussianDropout", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D", "GlobalAvgPool2D",
    "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GroupNormalization", "GroupQueryAttention", "HashedCrossing",
    "Hashing", "Identity", "Input", "InputLayer", "InputSpec", "IntegerLookup", "LSTMCell", "Lambda", "Layer",
    "LayerNormalization", "LeakyReLU", "Masking", "MaxNumBoundingBoxes", "MaxPool1D", "MaxPool2D", "MaxPool3D",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum", "MelSpectrogram", "Minimum", "MixUp",
    "MultiHeadAttention", "Multiply", "Normalization", "PReLU", "Permute", "Pipeline", "RMSNormalization",
    "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
    "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
    "RandomShear", "RandomTranslation", "RandomZoom", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Resizing",
    "ReversibleEmbedding", "STFTSpectrogram", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D",
    "SeparableConvolution2D", "SimpleRNN", "SimpleRNNCell", "Softmax", "Solarization", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D", "SpectralNormalization", "StackedRNNCells", "StringLookup", "Subtract",
    "TextVectorization", "TimeDistributed", "UnitNormalization", "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "Wrapper", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "add", "average", "concatenate", "deserialize", "dot",
    "maximum", "minimum", "multiply", "serialize", "subtract",
]  # fmt: skip

serialize = registry.serialize


@user_facing
def deserialize(config: object, custom_objects: dict[str, Any] | None = None) -> Layer:
    """Returns the layer that `serialize` described; `custom_objects` maps the names of custom classes to the classes.

    >>> deserialize(serialize(Dense(3)))
    Dense(name='dense', 3)
    """
    with known(custom_objects):
        return held(config)


def _known(name: str, layer: object) -> None:
    """Register a layer after its file was loaded, so that configs find it by its name."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        registry.add(name)(layer)


for _name in set(__all__) & set(globals()):
    _known(_name, globals()[_name])
functions.also.append(registry)  # a layer is accepted where a function of one tensor is

public(__name__, __all__, _known)
