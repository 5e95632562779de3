"""Utilities for data and training: arrays, datasets, downloads, seeds, learning curves."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from lamina.dtypes import standardize_dtype
from lamina.random import set_random_seed
from lamina.saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)

if FOR_TYPES:
    from lamina._display.plots import learning_curve
    from lamina._programs.session import clear_session
    from lamina._views.stack_plot import model_to_dot, plot_model
    from lamina.backend import is_keras_tensor
    from lamina.layers.feature_space.feature_space import FeatureSpace
    from lamina.utils import bounding_boxes
    from lamina.utils.arrays import normalize, pad_sequences, to_categorical
    from lamina.utils.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
    from lamina.utils.downloads import get_file
    from lamina.utils.from_directory import (
        audio_dataset_from_directory,
        image_dataset_from_directory,
        text_dataset_from_directory,
    )
    from lamina.utils.images import array_to_img, img_to_array, load_img, save_img
    from lamina.utils.progbar import Progbar
    from lamina.utils.py_dataset import PyDataset, Sequence
    from lamina.utils.reports import classification_report, permutation_importance
    from lamina.utils.splitting import split_dataset
    from lamina.utils.tables import table_dataset
    from lamina.utils.windows import timeseries_dataset_from_array

__all__ = [
    "CustomObjectScope", "FeatureSpace", "Progbar", "PyDataset", "Sequence", "array_to_img",
    "audio_dataset_from_directory", "bounding_boxes", "classification_report", "clear_session",
    "custom_object_scope", "deserialize_keras_object", "disable_interactive_logging", "enable_interactive_logging",
    "get_custom_objects", "get_file", "get_registered_name", "get_registered_object",
    "image_dataset_from_directory", "img_to_array", "is_interactive_logging_enabled", "is_keras_tensor",
    "learning_curve", "load_img", "model_to_dot", "normalize", "pack_x_y_sample_weight", "pad_sequences",
    "permutation_importance", "plot_model", "register_keras_serializable", "save_img", "serialize_keras_object",
    "set_random_seed", "split_dataset", "standardize_dtype", "table_dataset", "text_dataset_from_directory",
    "timeseries_dataset_from_array", "to_categorical", "unpack_x_y_sample_weight",
]  # fmt: skip

public(__name__, __all__)
