"""Boxes and masks beside the images are changed with them: by hand, and in `map`. Real Keras and painted boxes tell."""

import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._kernels.boxes import FORMATS, from_corners, to_corners
from lamina.compat.tensorflow.data import Dataset
from lamina.errors import ArgumentError, StackError

BOXES = np.array([[[2, 1, 4, 3], [6, 4, 8, 6]], [[1, 1, 5, 5], [0, 0, 8, 10]]], "float32")


def data(boxes=BOXES, size=(10, 8)):
    images = np.random.default_rng(0).random((2, *size, 3), "float32")
    return {"images": images, "bounding_boxes": {"boxes": boxes, "labels": np.array([[1, 2], [3, 4]], "float32")}}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Resizing", (5, 4)),
        ("Resizing", (6, 6)),
        ("CenterCrop", (6, 4)),
        ("CenterCrop", (12, 4)),
        ("RandomTranslation", ((0.2, 0.2), (0.1, 0.1))),
        ("RandomZoom", ((0.2, 0.2), (0.2, 0.2))),
        ("RandomZoom", ((-0.2, -0.2), (-0.1, -0.1))),
        ("RandomRotation", ((0.25, 0.25),)),
        ("RandomPerspective", (0.0,)),
        ("RandomBrightness", (0.1,)),
        ("Equalization", ()),
        ("RandomErasing", ()),
    ],
    ids=str,
)
def test_boxes_move_as_in_keras(name, told):
    found = []
    for library in (keras, lamina):
        layer = getattr(library.layers, name)(*told, bounding_box_format="xyxy")
        found.append(layer(data(), training=True)["bounding_boxes"])
    np.testing.assert_allclose(found[1]["boxes"], found[0]["boxes"], atol=1e-5)
    np.testing.assert_array_equal(found[1]["labels"], found[0]["labels"])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "make",
    [
        lambda **told: layers.RandomFlip("horizontal_and_vertical", **told),
        lambda **told: layers.RandomCrop(20, 16, **told),
        lambda **told: layers.RandomTranslation((-0.25, 0.25), (-0.25, 0.25), fill_mode="constant", **told),
        lambda seed, **told: layers.Resizing(16, 48, interpolation="nearest", **told),
        lambda **told: layers.RandomShear((0.2, 0.2), (0.0, 0.0), fill_mode="constant", **told),
    ],
    ids=["flip", "crop", "translation", "resizing", "shear"],
)
def test_a_box_is_where_what_was_painted_in_it_is_now(make, data_format, training):
    """Each image is 0 but in its box; so the box around the rest is afterwards the one that comes back, to a pixel."""
    boxes = np.array([[[4, 8, 12, 16]], [[10, 2, 20, 12]], [[16, 14, 22, 30]]], "float32")
    images = np.zeros((3, 32, 24, 1), "float32")
    for image, ((left, top, right, bottom),) in zip(images, boxes.astype(int), strict=True):
        image[top:bottom, left:right] = 1
    masks = images[..., 0].astype("int32")
    first = data_format == "channels_first"
    given = {
        "images": np.moveaxis(images, 3, 1) if first else images,
        "bounding_boxes": {"boxes": boxes, "labels": np.zeros((3, 1), "int32")},
        **({} if first else {"segmentation_masks": masks}),
    }
    layer = make(bounding_box_format="xyxy", data_format=data_format, seed=3)
    after = layer(given, training=training)
    pictures = np.moveaxis(np.asarray(after["images"]), 1, 3) if first else np.asarray(after["images"])
    for picture, (box,), (label,) in zip(
        pictures, *(after["bounding_boxes"][k] for k in ("boxes", "labels")), strict=True
    ):
        rows, columns = np.nonzero(picture[..., 0].max(1) > 0.4)[0], np.nonzero(picture[..., 0].max(0) > 0.4)[0]
        if label == -1:
            assert rows.size == 0
        else:
            seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(box, seen, atol=1.2)
    if not first:
        wrong = np.asarray(after["segmentation_masks"]) != (pictures[..., 0] > 0.5)
        assert wrong.mean() < 0.05  # a pixel of the edge, which lies half in the box, may be either
        assert after["segmentation_masks"].dtype == masks.dtype


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_says_the_same_boxes(name):
    corners = keras.utils.bounding_boxes.convert_format(BOXES, "xyxy", "xyxy")
    ours = from_corners(corners, name, 10, 8)
    if name != "rel_center_yxhw":  # which Keras does not know
        theirs = keras.utils.bounding_boxes.convert_format(BOXES, "xyxy", name, height=10, width=8)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(to_corners(ours, name, 10, 8), BOXES, atol=1e-5)
    layer = layers.Resizing(5, 4, bounding_box_format=name.upper())
    moved = to_corners(layer(data(np.asarray(ours)))["bounding_boxes"]["boxes"], name, 5, 4)
    np.testing.assert_allclose(moved, BOXES / 2, atol=1e-5)


def test_one_image_alone_and_in_map():
    """As a batch of one; `map` calls the layer on each element."""
    whole = layers.Resizing(5, 4, bounding_box_format="xyxy")(data())
    one = {"images": data()["images"][0], "bounding_boxes": {k: v[0] for k, v in data()["bounding_boxes"].items()}}
    alone = layers.Resizing(5, 4, bounding_box_format="xyxy")(one)
    assert alone["images"].shape == (5, 4, 3)
    np.testing.assert_allclose(alone["bounding_boxes"]["boxes"], whole["bounding_boxes"]["boxes"][0], atol=1e-6)
    mapped = next(iter(Dataset.from_tensor_slices(data()).map(layers.Resizing(5, 4, bounding_box_format="xyxy"))))
    np.testing.assert_allclose(mapped["bounding_boxes"]["boxes"], alone["bounding_boxes"]["boxes"], atol=1e-6)


def test_the_number_of_boxes_of_each_image():
    for number in (1, 2, 5):
        found = [
            library.layers.MaxNumBoundingBoxes(number, bounding_box_format="xyxy")(data())["bounding_boxes"]
            for library in (keras, lamina)
        ]
        for part in ("boxes", "labels"):
            np.testing.assert_array_equal(found[1][part], found[0][part])


def test_a_layer_in_a_layer_of_ones_own_moves_them_too():
    class Both(lamina.Layer):
        def __init__(self):
            super().__init__()
            self.flip = layers.RandomFlip("horizontal", bounding_box_format="xyxy")

        def call(self, x):
            return self.flip({"images": x, "bounding_boxes": {"boxes": BOXES}}, training=False)["images"]

    np.testing.assert_array_equal(Both()(data()["images"]), data()["images"])


def test_what_cannot_be_is_said():
    with pytest.raises(StackError, match="takes images alone"):
        lamina.Sequential([layers.RandomFlip(bounding_box_format="xyxy")])
    with pytest.raises(StackError, match="takes images alone"):
        lamina.Sequential([layers.MaxNumBoundingBoxes(3)])
    with pytest.raises(ArgumentError, match="bounding_box_format='xyxy'"):
        layers.RandomFlip()(data())
    with pytest.raises(ArgumentError, match=r"\(2, n, 4\)"):
        layers.RandomFlip(bounding_box_format="xyxy")(data(BOXES[:1]))
    with pytest.raises(ArgumentError, match="images alone"):
        layers.CutMix(bounding_box_format="xyxy")(data())
    with pytest.raises(ArgumentError, match="'xyxy'"):
        layers.Resizing(2, 2, bounding_box_format="corners")
    config = layers.Resizing(2, 2, bounding_box_format="rel_xywh").get_config()
    assert layers.Resizing.from_config(config).bounding_box_format == "rel_xywh"
    assert "bounding_box_format" not in layers.Resizing(2, 2).get_config()


def test_a_seed_repeats_what_boxes_and_images_do_and_each_call_draws_anew():
    def three():
        flip = layers.RandomFlip("horizontal", bounding_box_format="xyxy", seed=5)
        return [np.asarray(flip(data())["bounding_boxes"]["boxes"]) for _ in range(6)]

    first, second = three(), three()
    np.testing.assert_array_equal(first, second)
    assert any((box != first[0]).any() for box in first)
