"""`transform_bounding_boxes`: boxes go where the images go that the same transformation changes."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from lamina import layers
from lamina.errors import ArgumentError

SHAPE = (3, 32, 24, 1)
CORNERS = np.array([[[4, 8, 12, 16]], [[10, 2, 20, 12]], [[16, 14, 22, 30]]], "float32")
BOXES = {"boxes": CORNERS, "labels": np.array([[1], [2], [3]])}
CHANGES = {
    "RandomFlip": {}, "RandomTranslation": {"height_factor": 0.4, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.5, "width_factor": 0.3},
    "RandomPerspective": {"factor": (1.0, 1.0), "scale": 0.5},
}  # fmt: skip


def painted():
    images = np.zeros(SHAPE, "float32")
    for image, ((left, top, right, bottom),) in zip(images, CORNERS.astype(int), strict=True):
        image[top:bottom, left:right] = 1
    return images


@pytest.mark.nightly
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", CHANGES)
def test_numbers_that_keras_has_drawn_move_boxes_as_in_keras(name, data_format):
    told = {**CHANGES[name], "bounding_box_format": "xyxy", "data_format": data_format}
    ours, theirs = (getattr(library, name)(**told) for library in (layers, keras.layers))
    images = np.moveaxis(painted(), 3, 1) if data_format == "channels_first" else painted()
    drawn = theirs.get_random_transformation(jnp.asarray(images), seed=keras.random.SeedGenerator(4))
    want = theirs.transform_bounding_boxes({name: jnp.asarray(value) for name, value in BOXES.items()}, drawn)
    found = ours.transform_bounding_boxes(BOXES, drawn)
    np.testing.assert_allclose(found["boxes"], want["boxes"], atol=1e-4)
    assert not np.allclose(found["boxes"], CORNERS)


@pytest.mark.parametrize(
    "layer",
    [layers.RandomFlip(bounding_box_format="xyxy"), layers.RandomCrop(20, 16, bounding_box_format="xyxy")],
    ids=["flip", "crop"],
)
def test_a_box_is_where_what_was_painted_in_it_is_now(layer):
    drawn = layer.get_random_transformation({"images": painted()}, seed=5)
    pictures = np.asarray(layer.transform_images(painted(), drawn))[..., 0]
    after = layer.transform_bounding_boxes(BOXES, drawn)
    for picture, (box,), (label,) in zip(pictures, after["boxes"], after["labels"], strict=True):
        rows, columns = np.nonzero(picture.max(1) > 0.4)[0], np.nonzero(picture.max(0) > 0.4)[0]
        assert (label == -1) == (rows.size == 0)
        if rows.size:
            np.testing.assert_allclose(box, [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=1.2)


@pytest.mark.parametrize("name", ["Resizing", "CenterCrop"])
def test_layers_that_draw_nothing_move_boxes_too(name):
    layer = getattr(layers, name)(16, 16, bounding_box_format="xyxy")
    drawn = layer.get_random_transformation(painted())
    want = layer({"images": painted(), "bounding_boxes": BOXES})["bounding_boxes"]["boxes"]
    np.testing.assert_allclose(layer.transform_bounding_boxes(BOXES, drawn)["boxes"], want)


def test_of_one_image_and_without_a_change():
    flip = layers.RandomFlip("horizontal", bounding_box_format="xyxy")
    one, drawn = {"boxes": [[2, 1, 4, 3]]}, {"flips": [[True]], "input_shape": (10, 8, 3)}
    assert flip.transform_bounding_boxes(one, drawn)["boxes"].tolist() == [[4, 1, 6, 3]]
    assert flip.transform_bounding_boxes(one, drawn, training=False) is one
    assert flip.transform_bounding_boxes(one, flip.get_random_transformation(painted(), training=False)) is one


@pytest.mark.parametrize(
    ("layer", "boxes", "drawn", "says"),
    [
        (layers.MixUp(bounding_box_format="xyxy"), BOXES, {}, "takes images alone"),
        (layers.RandomFlip(), BOXES, {}, "bounding_box_format='xyxy'"),
        (layers.RandomFlip(bounding_box_format="xyxy"), BOXES, {"flip": 1}, r"Keras's \['flips'\]"),
        (layers.RandomFlip(bounding_box_format="xyxy"), BOXES, {"flips": True}, "'input_shape'"),
        (layers.RandomFlip(bounding_box_format="xyxy"), BOXES, {"flips": [1, 0], "input_shape": SHAPE}, "not fit"),
        (layers.RandomBrightness(0.1, bounding_box_format="xyxy"), BOXES, {"flips": True}, "returned\\.$"),
        (layers.Resizing(4, 4, bounding_box_format="xyxy"), {"boxes": CORNERS[:2]}, None, r"got \(2, 1, 4\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(layer, boxes, drawn, says):
    drawn = layer.get_random_transformation(painted()) if drawn is None else drawn
    with pytest.raises(ArgumentError, match=says):
        layer.transform_bounding_boxes(boxes, drawn)
