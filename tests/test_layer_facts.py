"""What a layer says of itself before it sees data: the shape for one image, and whether it supports masks."""

import keras
import pytest

from lamina import layers


@pytest.mark.parametrize("name", ["RandomFlip", "RandomRotation", "RandomContrast"])
def test_the_shape_of_one_image_gives_the_shape_of_one_image(name):
    told = {} if name == "RandomFlip" else {"factor": 0.2}
    assert getattr(layers, name)(**told).compute_output_shape((2, 3, 4)) == (2, 3, 4)
    assert getattr(layers, name)(**told).compute_output_shape((None, 2, 3, 4)) == (None, 2, 3, 4)
    assert layers.RandomCrop(2, 2).compute_output_shape((5, 4, 3)) == (2, 2, 3)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Attention", {}), ("AdditiveAttention", {}), ("Embedding", {"input_dim": 3, "output_dim": 2}),
        ("Embedding", {"input_dim": 3, "output_dim": 2, "mask_zero": True}),
    ],
)  # fmt: skip
def test_layers_say_whether_they_support_masks_as_in_keras(name, told):
    expected = getattr(keras.layers, name)(**told).supports_masking
    assert getattr(layers, name)(**told).supports_masking == expected
