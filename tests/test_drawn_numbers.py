"""The random numbers of a change of images have Keras's names, and boxes may be the same for all images."""

import keras
import numpy as np
import pytest

import lamina
from lamina import dtypes, layers, metrics
from lamina.errors import ArgumentError

IMAGES = np.random.default_rng(0).uniform(0, 200, (3, 6, 8, 3)).astype("float32")
BOXES = {"boxes": np.array([[1.0, 2, 2, 3]]), "labels": np.array([0])}


def test_the_number_that_contrast_drew_is_the_one_that_it_uses():
    layer = layers.RandomContrast((0.5, 0.5))
    drawn = layer.get_random_transformation(IMAGES, seed=3)
    mean = IMAGES.mean((1, 2), keepdims=True)
    want = np.clip((IMAGES - mean) * np.asarray(drawn["contrast_factor"]) + mean, 0, 255)
    np.testing.assert_allclose(layer.transform_images(IMAGES, drawn), want, rtol=1e-5)
    flat = layer.transform_images(IMAGES, drawn | {"contrast_factor": np.zeros((3, 1, 1, 1))})
    np.testing.assert_allclose(flat, np.broadcast_to(mean, IMAGES.shape), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ["CutMix", "MixUp", "RandomErasing", "RandomGaussianBlur", "RandomFlip"])
def test_a_layer_takes_its_own_numbers_and_those_of_keras(name, data_format):
    images = IMAGES if data_format == "channels_last" else np.moveaxis(IMAGES, 3, 1)
    ours, theirs = (getattr(library, name)(data_format=data_format) for library in (layers, keras.layers))
    drawn = ours.get_random_transformation(images, seed=1)
    assert ours.transform_images(images, drawn).shape == images.shape
    assert drawn.keys() >= ours._lamina_numbers
    given = theirs.get_random_transformation(images, seed=keras.random.SeedGenerator(1))
    want = theirs.transform_images(keras.ops.array(images), given)
    np.testing.assert_allclose(ours.transform_images(images, given), want, atol=1e-3)


def test_no_operation_of_rand_augment_changes_nothing():
    np.testing.assert_array_equal(layers.RandAugment(num_ops=0)(IMAGES, training=True), IMAGES)


def test_boxes_without_a_batch_axis_are_the_same_in_each_image():
    each = lambda layer: layer({"images": IMAGES, "bounding_boxes": BOXES})["bounding_boxes"]  # noqa: E731
    for name, arguments in (("RandomBrightness", (0.1,)), ("CenterCrop", (4, 4)), ("Resizing", (12, 16))):
        ours, theirs = (
            each(getattr(library, name)(*arguments, bounding_box_format="xyxy")) for library in (layers, keras.layers)
        )
        assert ours["boxes"].shape == (1, 4) and ours["labels"].shape == (1,)
        np.testing.assert_allclose(ours["boxes"], theirs["boxes"])
    flipped = each(layers.RandomFlip("horizontal", bounding_box_format="xyxy"))
    assert flipped["boxes"].shape == (3, 1, 4) and flipped["labels"].shape == (3, 1)
    assert {tuple(box) for (box,) in flipped["boxes"].tolist()} <= {(1, 2, 2, 3), (6, 2, 7, 3)}
    with pytest.raises(ArgumentError, match=r"are \(3, n, 4\), got \(2, 1, 4\)"):
        layers.RandomFlip(bounding_box_format="xyxy")(
            {"images": IMAGES, "bounding_boxes": {"boxes": np.ones((2, 1, 4))}}
        )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda library: library.layers.RepeatVector("3"),
        lambda library: library.layers.RepeatVector(3.5),
        lambda library: library.layers.UpSampling1D(True),
        lambda library: library.layers.LayerNormalization(axis={"axis": -1}),
        lambda library: library.layers.UnitNormalization(axis={"axis": -1}),
        lambda library: library.layers.Embedding.from_config({"input_dim": 3.7, "output_dim": 8}),
    ],
)
def test_a_value_of_a_wrong_type_is_keras_s_type_error_and_a_value_error(wrong):

    with pytest.raises(TypeError):
        wrong(keras)
    with pytest.raises(TypeError) as caught:
        wrong(lamina)
    assert isinstance(caught.value, ValueError)


def test_int_is_a_dtype_by_name():
    ours, theirs = dtypes.DTypePolicy("int"), keras.DTypePolicy("int")
    for part in ("name", "compute_dtype", "variable_dtype"):
        assert getattr(ours, part) == getattr(theirs, part)
    assert metrics.MeanIoU(2).add_variable((2,), "zeros", dtype="int").dtype == "int32"
