"""One row a layer: its Keras name, its settings, and the shape of one input without the batch axis.

Every property in test_layers.py holds for every row. A new layer is one more row, or several where its settings
change the formula.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest


class Case(NamedTuple):
    name: str
    settings: dict[str, Any]
    shape: tuple[int, ...]
    random: bool = False
    """Whether training draws random numbers, so that only inference can be compared with Keras."""
    rows_apart: bool = True
    """Whether each row's output depends on that row alone while training."""
    steep: bool = False
    """Whether the layer stretches its input so far that the rounding of 16 bits shows."""
    divides: bool = False
    """Whether training divides by a norm whose vectors have no gradient, which finite differences would see."""

    def make(self, module: Any, dtype: Any = None, **more: Any) -> Any:
        """The layer, of one of the two packages; a setting that is a case itself is a layer within."""
        settings = self.settings.items()
        told = {key: value.make(module, dtype) if isinstance(value, Case) else value for key, value in settings}
        return getattr(module, self.name)(**told, dtype=dtype, **more)

    def __str__(self) -> str:
        told = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{self.name}({told})"


CASES = [
    Case("Dense", {"units": 3}, (5,)),
    Case("Dense", {"units": 3, "activation": "relu", "use_bias": False}, (5,)),
    Case("Dense", {"units": 4, "activation": "softmax"}, (3, 5)),
    Case("Dense", {"units": 2, "activation": "gelu", "kernel_regularizer": "l2", "bias_regularizer": "l1"}, (5,)),
    Case("Dense", {"units": 2, "activity_regularizer": "l2", "kernel_constraint": "non_neg"}, (5,)),
    Case("Activation", {"activation": "tanh"}, (5,)),
    Case("Flatten", {}, (3, 4)),
    Case("Flatten", {}, (3, 4, 2)),
    Case("Flatten", {"data_format": "channels_first"}, (3, 4, 2)),
    Case("Reshape", {"target_shape": (6, 2)}, (3, 4)),
    Case("Reshape", {"target_shape": (-1, 3)}, (3, 4)),
    Case("Dropout", {"rate": 0.3}, (5,), random=True),
    Case("Dropout", {"rate": 0.0}, (5,)),
    Case("Dropout", {"rate": 0.5, "noise_shape": (None, 1, 4), "seed": 3}, (3, 4), random=True),
    Case("BatchNormalization", {}, (5,), rows_apart=False),
    Case("BatchNormalization", {"momentum": 0.5, "epsilon": 0.1}, (4, 3), rows_apart=False),
    Case("BatchNormalization", {"axis": 1, "center": False}, (4, 3), rows_apart=False),
    Case("BatchNormalization", {"scale": False, "beta_regularizer": "l2"}, (2, 3, 4), rows_apart=False),
    Case("ReLU", {}, (5,)),
    Case("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (5,)),
    Case("LeakyReLU", {}, (5,)),
    Case("LeakyReLU", {"negative_slope": 0.1}, (3, 5)),
    Case("Softmax", {}, (5,)),
    Case("Softmax", {"axis": (1, 2)}, (3, 5)),
    # Convolution
    Case("Conv1D", {"filters": 3, "kernel_size": 2}, (6, 4)),
    Case("Conv1D", {"filters": 6, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "groups": 2}, (7, 8)),
    Case("Conv1D", {"filters": 3, "kernel_size": 4, "strides": 2, "padding": "same", "activation": "relu"}, (7, 6)),
    Case("Conv1D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "causal"}, (7, 2)),
    Case("Conv2D", {"filters": 3, "kernel_size": 3}, (5, 6, 1)),
    Case("Conv2D", {"filters": 4, "kernel_size": (3, 2), "padding": "same", "use_bias": False}, (5, 4, 6)),
    Case(
        "Conv2D",
        {"filters": 4, "kernel_size": 1, "kernel_regularizer": "l2", "bias_constraint": "unit_norm"},
        (3, 4, 6),
    ),
    Case("Conv2D", {"filters": 4, "kernel_size": 3, "strides": (2, 1), "activity_regularizer": "l2"}, (6, 5, 5)),
    Case("Conv2D", {"filters": 6, "kernel_size": 2, "dilation_rate": (2, 1), "groups": 3}, (5, 4, 6)),
    Case("Conv2D", {"filters": 6, "kernel_size": 2, "groups": 3, "padding": "same"}, (3, 4, 3)),
    Case("Conv2D", {"filters": 3, "kernel_size": 2, "data_format": "channels_first", "activation": "elu"}, (5, 4, 6)),
    Case("Conv3D", {"filters": 2, "kernel_size": 2}, (3, 4, 3, 5)),
    Case("Conv3D", {"filters": 2, "kernel_size": (1, 2, 3), "strides": 2, "padding": "same"}, (3, 4, 5, 2)),
    Case("Conv1DTranspose", {"filters": 3, "kernel_size": 2}, (4, 5)),
    Case("Conv1DTranspose", {"filters": 3, "kernel_size": 2, "strides": 3, "padding": "same"}, (4, 6)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (3, 4, 6)),
    Case("Conv2DTranspose", {"filters": 6, "kernel_size": (3, 2), "strides": 2, "output_padding": (1, 0)}, (3, 4, 2)),
    Case(
        "Conv2DTranspose",
        {"filters": 2, "kernel_size": 3, "strides": 3, "output_padding": 1, "padding": "same", "activation": "tanh"},
        (3, 2, 5),
    ),
    Case(
        "Conv2DTranspose",
        {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "data_format": "channels_first"},
        (5, 3, 4),
    ),
    Case("Conv3DTranspose", {"filters": 2, "kernel_size": 2, "strides": 2}, (2, 3, 2, 5)),
    Case("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, (6, 3)),
    Case("DepthwiseConv2D", {"kernel_size": 3, "padding": "same", "depthwise_regularizer": "l2"}, (4, 5, 6)),
    Case("DepthwiseConv2D", {"kernel_size": (2, 3), "strides": 2, "depth_multiplier": 3}, (6, 5, 2)),
    Case("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2, "data_format": "channels_first"}, (3, 5, 4)),
    Case("SeparableConv1D", {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}, (6, 5)),
    Case("SeparableConv2D", {"filters": 3, "kernel_size": 2, "strides": 2, "depth_multiplier": 2}, (4, 5, 2)),
    Case(
        "SeparableConv2D",
        {"filters": 4, "kernel_size": 2, "padding": "same", "dilation_rate": 2, "data_format": "channels_first"},
        (3, 5, 4),
    ),
    # pooling and small layers
    Case("MaxPooling1D", {}, (7, 3)),
    Case("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, (8, 3)),
    Case("MaxPooling1D", {"pool_size": 20, "strides": 3}, (25, 2)),
    Case("MaxPooling2D", {}, (5, 6, 3)),
    Case("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (6, 7, 2)),
    Case("MaxPooling2D", {"pool_size": (2, 3), "strides": 1, "data_format": "channels_first"}, (2, 4, 5)),
    Case("MaxPooling3D", {"padding": "same"}, (3, 4, 5, 2)),
    Case("AveragePooling1D", {"pool_size": 3, "strides": 1, "padding": "same"}, (6, 2)),
    Case("AveragePooling2D", {"pool_size": 2}, (5, 6, 3)),
    Case("AveragePooling2D", {"pool_size": 2, "padding": "same"}, (5, 5, 3)),
    Case("AveragePooling2D", {"pool_size": (3, 2), "strides": (1, 2), "data_format": "channels_first"}, (2, 5, 5)),
    Case("AveragePooling2D", {"pool_size": 9, "strides": 1}, (10, 11, 2)),
    Case("AveragePooling3D", {"pool_size": (1, 2, 2)}, (2, 4, 4, 2)),
    Case("GlobalMaxPooling1D", {"keepdims": True}, (5, 3)),
    Case("GlobalMaxPooling2D", {"data_format": "channels_first"}, (3, 4, 5)),
    Case("GlobalMaxPooling3D", {}, (2, 3, 4, 2)),
    Case("GlobalAveragePooling1D", {}, (5, 3)),
    Case("GlobalAveragePooling2D", {"keepdims": True}, (4, 5, 3)),
    Case("GlobalAveragePooling3D", {"data_format": "channels_first"}, (2, 3, 4, 2)),
    Case("AdaptiveMaxPooling1D", {"output_size": 3}, (8, 2)),
    Case("AdaptiveMaxPooling2D", {"output_size": (2, 3)}, (4, 7, 2)),
    Case("AdaptiveMaxPooling3D", {"output_size": 2, "data_format": "channels_first"}, (2, 3, 4, 5)),
    Case("AdaptiveAveragePooling1D", {"output_size": 3}, (8, 2)),
    Case("AdaptiveAveragePooling2D", {"output_size": (2, 3)}, (4, 7, 2)),
    Case("AdaptiveAveragePooling3D", {"output_size": 2, "data_format": "channels_first"}, (2, 3, 4, 5)),
    Case("Permute", {"dims": (2, 3, 1)}, (3, 4, 5)),
    Case("RepeatVector", {"n": 3}, (4,)),
    Case("Cropping1D", {}, (5, 2)),
    Case("Cropping1D", {"cropping": (2, 0)}, (5, 2)),
    Case("Cropping2D", {"cropping": ((1, 2), (0, 1)), "data_format": "channels_first"}, (2, 5, 4)),
    Case("Cropping3D", {"cropping": (1, 0, 1)}, (4, 2, 5, 2)),
    Case("ZeroPadding1D", {"padding": (1, 2), "data_format": "channels_first"}, (2, 3)),
    Case("ZeroPadding2D", {"padding": (1, 2)}, (3, 4, 2)),
    Case("ZeroPadding3D", {"padding": ((1, 0), (0, 2), (1, 1))}, (2, 3, 2, 2)),
    Case("UpSampling1D", {"size": 3}, (4, 2)),
    Case("UpSampling2D", {"size": (2, 3), "data_format": "channels_first"}, (2, 3, 4)),
    Case("UpSampling2D", {"interpolation": "bilinear"}, (3, 4, 2)),
    Case("UpSampling2D", {"size": 3, "interpolation": "bicubic", "data_format": "channels_first"}, (2, 3, 4)),
    Case("UpSampling2D", {"interpolation": "lanczos3"}, (5, 4, 2)),
    Case("UpSampling3D", {"size": (1, 2, 3)}, (2, 3, 2, 2)),
    Case("Identity", {}, (5,)),
    Case("Masking", {"mask_value": 0.5}, (4, 3)),
    Case("ELU", {"alpha": 0.5}, (5,)),
    Case("PReLU", {"alpha_regularizer": "l2"}, (4, 3)),
    Case("PReLU", {"shared_axes": [1, 2]}, (4, 3, 2)),
    Case("SpatialDropout1D", {"rate": 0.3}, (4, 3), random=True),
    Case("SpatialDropout2D", {"rate": 0.3, "seed": 1}, (4, 3, 2), random=True),
    Case("SpatialDropout3D", {"rate": 0.3, "data_format": "channels_first"}, (2, 4, 3, 2), random=True),
    Case("AlphaDropout", {"rate": 0.3, "noise_shape": (None, 1)}, (5,), random=True),
    Case("GaussianDropout", {"rate": 0.3}, (5,), random=True),
    Case("GaussianNoise", {"stddev": 0.3, "seed": 4}, (5,), random=True),
    Case("ActivityRegularization", {"l1": 0.5, "l2": 0.25}, (5,)),
    Case("BatchNormalization", {"renorm": True, "momentum": 0.8}, (4, 3), rows_apart=False),
    Case(
        "BatchNormalization",
        {"renorm": True, "renorm_clipping": {"rmin": 0.9, "rmax": 1.1, "dmax": 0.2}, "axis": 1, "scale": False},
        (3, 4),
        rows_apart=False,
    ),
    Case("LayerNormalization", {}, (4, 5)),
    Case("LayerNormalization", {"axis": [1, 2], "center": False}, (4, 5)),
    Case("LayerNormalization", {"axis": 1, "epsilon": 0.1, "gamma_regularizer": "l2"}, (4, 5)),
    Case("GroupNormalization", {"groups": 2}, (3, 4)),
    Case("GroupNormalization", {"groups": -1, "axis": 1, "scale": False}, (4, 3, 2)),
    Case("RMSNormalization", {}, (4, 5)),
    Case("UnitNormalization", {"axis": [1, 2]}, (4, 5)),
    Case("UnitNormalization", {}, (5,)),
    # end of pooling and small layers
    # Images and sound.
    Case("Resizing", {"height": 3, "width": 7}, (5, 6, 2)),
    Case("Resizing", {"height": 8, "width": 3, "interpolation": "bicubic", "antialias": True}, (5, 6, 2)),
    Case(
        "Resizing", {"height": 4, "width": 8, "interpolation": "lanczos3", "data_format": "channels_first"}, (2, 5, 6)
    ),
    Case("Resizing", {"height": 4, "width": 7, "crop_to_aspect_ratio": True, "interpolation": "lanczos5"}, (5, 6, 2)),
    Case("Resizing", {"height": 9, "width": 4, "pad_to_aspect_ratio": True, "fill_value": 2.0}, (5, 6, 3)),
    Case("Resizing", {"height": 4, "width": 9, "pad_to_aspect_ratio": True, "interpolation": "nearest"}, (5, 6, 3)),
    Case("CenterCrop", {"height": 2, "width": 3}, (5, 6, 2)),
    Case("CenterCrop", {"height": 7, "width": 3, "data_format": "channels_first"}, (2, 5, 6)),
    Case("RandomCrop", {"height": 5, "width": 6, "seed": 3}, (5, 6, 2), random=True),
    Case("RandomFlip", {}, (4, 5, 3), random=True),
    Case("RandomFlip", {"mode": "vertical", "data_format": "channels_first"}, (3, 4, 5), random=True),
    Case("RandomRotation", {"factor": 0.2}, (4, 5, 3), random=True),
    Case("RandomTranslation", {"height_factor": 0.2, "width_factor": (-0.1, 0.3), "seed": 1}, (4, 5, 3), random=True),
    Case("RandomZoom", {"height_factor": (-0.3, 0.2), "fill_mode": "constant"}, (4, 5, 3), random=True),
    Case("RandomZoom", {"height_factor": 0.2, "width_factor": 0.1, "interpolation": "nearest"}, (4, 5, 3), random=True),
    Case("RandomShear", {"x_factor": 0.3, "y_factor": (0.1, 0.2), "fill_mode": "wrap"}, (4, 5, 3), random=True),
    Case("RandomPerspective", {"factor": 0.8, "scale": 0.4}, (4, 5, 3), random=True),
    Case("RandomElasticTransform", {"scale": (0.2, 0.6), "fill_mode": "mirror"}, (8, 9, 2), random=True),
    Case("RandomBrightness", {"factor": 0.3, "value_range": (-4.0, 4.0)}, (4, 5, 3), random=True),
    Case("RandomContrast", {"factor": (0.1, 0.3), "value_range": (-4, 4)}, (4, 5, 3), random=True),
    Case("RandomHue", {"factor": 0.3, "value_range": (-9, 9)}, (4, 5, 3), random=True),
    Case("RandomSaturation", {"factor": (0.3, 0.7), "data_format": "channels_first"}, (3, 4, 5), random=True),
    Case("RandomColorDegeneration", {"factor": 0.5, "value_range": (-9, 9)}, (4, 5, 1), random=True),
    Case("RandomInvert", {"factor": (0.2, 0.7)}, (4, 5, 3), random=True),
    Case("RandomPosterization", {"factor": 4, "value_range": (-9, 9)}, (4, 5, 3), random=True),
    Case("RandomSharpness", {"factor": 0.5}, (4, 5, 3), random=True),
    Case("RandomGaussianBlur", {"kernel_size": (3, 5), "sigma": (0.2, 0.9)}, (6, 7, 3), random=True),
    Case("Solarization", {"addition_factor": 0.1, "threshold_factor": (0.1, 0.5)}, (4, 5, 3), random=True),
    Case("RandomErasing", {"factor": 0.9, "scale": (0.1, 0.5), "fill_value": (1, 2, 3)}, (4, 5, 3), random=True),
    Case("CutMix", {"factor": 0.7, "seed": 5}, (4, 5, 3), random=True, rows_apart=False),
    Case("RandomColorJitter", {"brightness_factor": 0.2, "hue_factor": (0.1, 0.3)}, (4, 5, 3), random=True),
    Case("RandAugment", {"num_ops": 1, "factor": (0.1, 0.4), "value_range": (-9, 9)}, (4, 5, 3), random=True),
    Case("AugMix", {"num_chains": 2, "chain_depth": 1, "all_ops": False}, (4, 5, 3), random=True),
    Case("AutoContrast", {"value_range": (-9, 9)}, (4, 5, 3), steep=True),
    Case("Equalization", {"value_range": (-9, 9), "bins": 32}, (4, 5, 3), rows_apart=False),
    Case(
        "ContrastLimitedAdaptiveHistogramEqualization",
        {"value_range": (-9, 9), "tile_grid_size": (2, 3), "clip_limit": 2.0},
        (7, 8, 2),
        steep=True,
    ),
    Case("STFTSpectrogram", {"frame_length": 3, "fft_length": 4}, (6, 2)),
    Case(
        "STFTSpectrogram",
        {"mode": "psd", "frame_length": 4, "padding": "same", "expand_dims": True, "trainable": False},
        (4, 1),
    ),
    Case("STFTSpectrogram", {"mode": "stft", "frame_length": 5, "frame_step": 3, "window": None}, (20, 2)),
    Case("STFTSpectrogram", {"mode": "angle", "frame_length": 8, "data_format": "channels_first"}, (2, 20)),
    Case("STFTSpectrogram", {"mode": "real", "frame_length": 8, "scaling": "spectrum", "periodic": True}, (20, 1)),
    Case("STFTSpectrogram", {"mode": "magnitude", "frame_length": 8, "frame_step": 8, "scaling": None}, (20, 1)),
    Case("MelSpectrogram", {"fft_length": 16, "sequence_stride": 4, "num_mel_bins": 4}, (40,)),
    Case(
        "MelSpectrogram",
        {
            "fft_length": 16,
            "sequence_length": 10,
            "sequence_stride": 7,
            "num_mel_bins": 3,
            "window": "hamming",
            "mag_exp": 1.0,
            "power_to_db": False,
            "max_freq": 7000.0,
            "min_freq": 100.0,
        },
        (2, 40),
    ),
]

# Preprocessing: what learns, counts whole numbers or takes text is in test_preprocessing.py.
CASES += [
    Case("Rescaling", {"scale": 0.5, "offset": -1.0}, (5,)),
    Case("Rescaling", {"scale": [0.5, 1.0, 2.0], "offset": [0.0, 1.0, 2.0]}, (4, 3)),
    Case("Normalization", {"mean": 2.0, "variance": 4.0}, (5,)),
    Case("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [1.0, 4.0, 0.5], "invert": True}, (4, 3)),
    Case("Normalization", {"axis": (1, 2), "mean": [1.0, 2.0], "variance": [1.0, 4.0]}, (3, 2)),
    Case("Discretization", {"bin_boundaries": [-1.0, 0.25, 3.0], "output_mode": "one_hot"}, (5,)),
    Case("Discretization", {"bin_boundaries": [-1.0, 0.25, 3.0], "output_mode": "multi_hot"}, (5,)),
    Case("Discretization", {"bin_boundaries": [-1.0, 0.25, 3.0], "output_mode": "count"}, (5,)),
    # recurrent
    Case("SimpleRNN", {"units": 4}, (5, 3)),
    Case("SimpleRNN", {"units": 2, "activation": "relu", "return_sequences": True, "go_backwards": True}, (4, 3)),
    Case("LSTM", {"units": 4}, (5, 3)),
    Case("LSTM", {"units": 3, "return_sequences": True, "go_backwards": True, "use_bias": False}, (5, 3)),
    Case("LSTM", {"units": 3, "unroll": True, "unit_forget_bias": False, "kernel_regularizer": "l2"}, (4, 3)),
    Case("LSTM", {"units": 3, "activation": "softsign", "recurrent_activation": "hard_sigmoid"}, (4, 3)),
    Case("LSTM", {"units": 3, "dropout": 0.3, "recurrent_dropout": 0.2, "seed": 3}, (4, 3), random=True),
    Case("GRU", {"units": 4}, (5, 3)),
    Case("GRU", {"units": 3, "return_sequences": True, "go_backwards": True, "use_bias": False}, (5, 3)),
    Case("GRU", {"units": 3, "reset_after": False, "bias_constraint": "non_neg"}, (4, 3)),
    Case("GRU", {"units": 3, "unroll": True, "activation": "relu", "activity_regularizer": "l2"}, (4, 3)),
    Case("GRU", {"units": 3, "reset_after": False, "dropout": 0.2, "recurrent_dropout": 0.3}, (4, 3), random=True),
    Case("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (3, 5, 2)),
    Case(
        "ConvLSTM1D",
        {
            "filters": 2,
            "kernel_size": 3,
            "padding": "SAME",
            "strides": 2,
            "go_backwards": True,
            "return_sequences": True,
        },
        (3, 6, 2),
    ),
    Case("ConvLSTM2D", {"filters": 2, "kernel_size": (3, 2), "unit_forget_bias": False}, (3, 5, 4, 1)),
    Case(
        "ConvLSTM2D",
        {"filters": 2, "kernel_size": 2, "dilation_rate": (2, 1), "activation": "softsign", "use_bias": False},
        (3, 4, 4, 2),
    ),
    Case(
        "ConvLSTM2D",
        {"filters": 2, "kernel_size": 3, "strides": (1, 2), "data_format": "channels_first", "return_sequences": True},
        (2, 2, 5, 6),
    ),
    Case(
        "ConvLSTM2D",
        {"filters": 2, "kernel_size": 2, "padding": "same", "kernel_regularizer": "l2", "bias_constraint": "non_neg"},
        (3, 3, 4, 5),
    ),
    Case(
        "ConvLSTM2D",
        {"filters": 2, "kernel_size": 2, "dropout": 0.3, "recurrent_dropout": 0.2, "seed": 3},
        (3, 3, 4, 1),
        random=True,
    ),
    Case("ConvLSTM3D", {"filters": 2, "kernel_size": 2, "unroll": True, "activity_regularizer": "l2"}, (2, 3, 2, 3, 1)),
]

# Layers around another one.
CASES += [
    Case("TimeDistributed", {"layer": Case("Dense", {"units": 3, "activation": "tanh", "name": "inner"}, ())}, (4, 3)),
    Case(
        "TimeDistributed",
        {"layer": Case("BatchNormalization", {"name": "inner"}, ())},
        (3, 2),
        rows_apart=False,
    ),
    Case(
        "Bidirectional",
        {"layer": Case("GRU", {"units": 2, "return_sequences": True, "name": "inner"}, ()), "merge_mode": "mul"},
        (4, 3),
    ),
    Case("RNN", {"cell": Case("LSTMCell", {"units": 3, "name": "inner"}, ()), "go_backwards": True}, (4, 3)),
    Case(
        "SpectralNormalization",
        {"layer": Case("Dense", {"units": 3, "name": "inner"}, ()), "power_iterations": 2},
        (5,),
        divides=True,
    ),
    Case(
        "SpectralNormalization",
        {"layer": Case("Conv2D", {"filters": 3, "kernel_size": 2, "name": "inner"}, ())},
        (4, 3, 2),
        divides=True,
    ),
]


def one_of_each(cases: Sequence[Case] = tuple(CASES)) -> list[Any]:
    """The cases, of which the short tests take the first of each class, and the nightly ones the rest too."""
    first = {case.name: case for case in reversed(cases)}
    rest = [() if case is first[case.name] else pytest.mark.nightly for case in cases]
    return [pytest.param(case, marks=marks, id=str(case)) for case, marks in zip(cases, rest, strict=True)]
