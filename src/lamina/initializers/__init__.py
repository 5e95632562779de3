"""Initializers: they give the initial values of a layer's weights. Call one as `initializer(shape, dtype, key)`.

The layer passes the key, uint32 of shape (2,). An initializer with an integer seed ignores the key and returns the
same values at each call. These values are bit for bit those of Keras on JAX for that seed.
"""

from __future__ import annotations

from lamina._imports.public import public
from lamina.initializers.adapters import deserialize, get, serialize
from lamina.initializers.base import Initializer
from lamina.initializers.constants import Constant, Identity, Ones, Zeros
from lamina.initializers.distributions import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from lamina.initializers.fourier import STFT
from lamina.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "STFT", "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "deserialize",
    "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform",
    "ones", "orthogonal", "random_normal", "random_uniform", "serialize", "stft", "truncated_normal",
    "variance_scaling", "zeros",
]  # fmt: skip

constant, zeros, ones, identity, orthogonal = Constant, Zeros, Ones, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
stft = STFTInitializer = STFT

public(__name__, __all__)
