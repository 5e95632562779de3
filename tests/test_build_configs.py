"""The shapes in a file for which a layer is built may be anything: none of them ends in an error of Python's own."""

import contextlib
import copy
import json

import pytest
from cases import CASES

from lamina import layers
from lamina._saving import config
from lamina.errors import LaminaError

SHAPES = [
    [None, [None, None]], [[None, 3], [None, 3]], [None, 3, [3]], [], [[]], {}, {"a": [None, 3]}, [None, 0],
    [None, "3"], "x", 5, [None] * 9, [0, 0, 0], [None, 2**62, 2**62], [[None, 3], None], [None, 3.0], [True, True],
]  # fmt: skip
OFTEN = "BatchNormalization Bidirectional Dense GroupNormalization LSTM Normalization SpectralNormalization".split()
NAMED = [lambda shape: shape, lambda shape: {"input_shape": shape}, lambda shape: {"query_shape": shape, "b": shape}]


@pytest.fixture(scope="module", autouse=True)
def families():
    config.load_families()


@pytest.mark.filterwarnings("ignore::lamina.errors.LaminaWarning")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.nightly] * (name not in OFTEN)) for name in sorted({c.name for c in CASES})],
)
def test_any_shape_builds_the_layer_or_is_refused(name):
    case = next(case for case in CASES if case.name == name)
    described = json.loads(json.dumps(config.serialized(case.make(layers))))
    for shape in SHAPES:
        for told in ({"input_shape": shape}, *({"shapes_dict": named(shape)} for named in NAMED)):
            with contextlib.suppress(LaminaError):
                config.deserialized(copy.deepcopy(described | {"build_config": told}), where="m.keras")


@pytest.mark.parametrize("shapes", [[(None, 3), (None, 3)], {"a": (None, 3)}, (None, (None, 3))])
def test_a_layer_of_one_tensor_takes_one_shape(shapes):
    for verb in ("compute_output_shape", "build_from_config"):
        layer = layers.Dense(2)
        with pytest.raises(LaminaError, match=r"takes one tensor, got|expects 1 tensor, got 2"):
            getattr(layer, verb)({"input_shape": shapes} if verb == "build_from_config" else shapes)
        assert not layer.built and not layer.weights
