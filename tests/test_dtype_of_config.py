"""What the `__init__` of a layer of one's own is given as `dtype` when the layer is made from a config."""

import keras
import pytest

import lamina


def made_from_config(library, dtype):
    seen = []

    class Own(library.layers.Layer):
        def __init__(self, units, dtype=None, **kwargs):
            seen.append(dtype)
            super().__init__(dtype=dtype, **kwargs)
            self.units = units

        def get_config(self):
            return {**super().get_config(), "units": self.units}

        def call(self, x):
            return x

    layer = Own(3, dtype=dtype)
    again = Own.from_config(layer.get_config())
    return seen[1], again.dtype_policy.name, again.compute_dtype


@pytest.mark.parametrize("dtype", [None, "float16", "mixed_bfloat16"])
def test_the_init_is_given_the_name_of_the_policy_as_in_keras(dtype):
    assert made_from_config(lamina, dtype) == made_from_config(keras, dtype)
