"""One row a layer: its Keras name, its settings, and the shape of one input without the batch axis.

Every property in test_layers.py holds for every row. A new layer is one more row, or several where its settings
change the formula.
"""

from typing import Any, NamedTuple


class Case(NamedTuple):
    name: str
    settings: dict[str, Any]
    shape: tuple[int, ...]
    random: bool = False
    """Whether training draws random numbers, so that only inference can be compared with Keras."""
    rows_apart: bool = True
    """Whether each row's output depends on that row alone while training."""

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
]
