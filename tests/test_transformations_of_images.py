"""`get_random_transformation` and `transform_images`: one random change for several images, and for their masks."""

import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
RANDOM = [("RandomFlip", ()), ("RandomBrightness", (0.2,)), ("RandomCrop", (4, 5))]
FIXED = [("CenterCrop", (4, 5)), ("Resizing", (4, 5)), ("AutoContrast", ())]


@pytest.mark.parametrize(("name", "arguments"), RANDOM + FIXED)
def test_one_random_change_is_made_of_several_images(name, arguments):
    layer = getattr(layers, name)(*arguments)
    change = layer.get_random_transformation(IMAGES, training=True, seed=7)
    first, again = layer.transform_images(IMAGES, change), layer.transform_images(IMAGES, change)
    np.testing.assert_array_equal(first, again)
    theirs = getattr(keras.layers, name)(*arguments)
    assert first.shape == tuple(theirs.transform_images(IMAGES, theirs.get_random_transformation(IMAGES)).shape)
    if (name, arguments) in RANDOM:
        other = layer.transform_images(IMAGES, layer.get_random_transformation(IMAGES, seed=8))
        assert first.shape == other.shape and not np.array_equal(first, other)
        assert layer.get_random_transformation(IMAGES, training=False) is None
        np.testing.assert_array_equal(layer.transform_images(IMAGES, None), IMAGES)
    else:
        np.testing.assert_allclose(first, layer(IMAGES), atol=1e-4)
        np.testing.assert_allclose(first, theirs(IMAGES), atol=1e-3)


def test_a_transformation_fits_images_and_masks_alike():
    flip, generator = layers.RandomFlip("horizontal"), lamina.random.SeedGenerator(3)
    masks = np.broadcast_to(IMAGES[..., :1], (*IMAGES.shape[:3], 1))
    changes = [flip.get_random_transformation(IMAGES, seed=generator) for _ in range(8)]
    for change in changes:
        np.testing.assert_array_equal(
            flip.transform_images(IMAGES, change)[..., :1], flip.transform_images(masks, change)
        )
    assert len({np.asarray(flip.transform_images(IMAGES, change)).tobytes() for change in changes}) > 1
    one = flip.transform_images(IMAGES[0], flip.get_random_transformation(IMAGES[0]))
    assert one.shape == IMAGES[0].shape
    with pytest.raises(ArgumentError, match="what get_random_transformation returned"):
        flip.transform_images(IMAGES, {"flipped": True})
    with pytest.raises(ArgumentError, match="the value does not fit"):
        flip.transform_images(IMAGES, {"flips": [True, False]})
    with pytest.raises(ArgumentError, match="whole number"):
        flip.get_random_transformation(IMAGES, seed=0.5)
