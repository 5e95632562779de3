"""`utils.bounding_boxes`: each function beside Keras's, by hand and in `jit`, and what it refuses."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina._kernels.boxes import FORMATS
from lamina.errors import ArgumentError
from lamina.utils import bounding_boxes

OF_KERAS = [name for name in FORMATS if name != "rel_center_yxhw"]
THEIRS = keras.utils.bounding_boxes
rng = np.random.default_rng(0)
corner = rng.uniform(0, 40, (2, 5, 2))
BOXES = np.concatenate([corner, corner + rng.uniform(1, 30, (2, 5, 2))], -1).astype("float32")
OTHERS = BOXES[:, ::-1] + rng.normal(0, 3, (2, 5, 4)).astype("float32")
SIZE = {"height": 60, "width": 50}


def both(name, *args, **named):
    """Keras's answer and ours, which `jit` can trace; Keras changes the dicts that it is given."""
    copied = lambda: jax.tree.map(lambda x: x, args)  # noqa: E731
    ours = getattr(bounding_boxes, name)
    found, theirs = ours(*copied(), **named), getattr(THEIRS, name)(*copied(), **named)
    arrays = [i for i, arg in enumerate(args) if not isinstance(arg, (str, tuple, int))]
    traced = lambda given: ours(*[given.get(i, arg) for i, arg in enumerate(args)], **named)  # noqa: E731
    shapes = jax.eval_shape(traced, {i: args[i] for i in arrays})
    assert jax.tree.structure(found) == jax.tree.structure(theirs) == jax.tree.structure(shapes)
    for one, other, shape in zip(*map(jax.tree.leaves, (found, theirs, shapes)), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape) == (shape.dtype, shape.shape)
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    return found


def test_names_and_arguments_are_those_of_keras():
    names = {name for name in dir(THEIRS) if not name.startswith("_")}
    assert set(dir(bounding_boxes)) == names and "bounding_boxes" in dir(lamina.utils)
    for name in names:
        ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (bounding_boxes, THEIRS))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()], name


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_each_format_from_each(dtype):
    for source, target in itertools.product(OF_KERAS, OF_KERAS):
        given = bounding_boxes.convert_format(BOXES, "xyxy", source, **SIZE, dtype="float32")
        if dtype == "float32" or not source.startswith("rel"):
            theirs = THEIRS.convert_format(given, source.upper(), target, **SIZE, dtype=dtype)
            found = bounding_boxes.convert_format(given, source.upper(), target, **SIZE, dtype=dtype)
            np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-5, err_msg=f"{source} {target}")
    both("convert_format", BOXES[0], "xyxy", "rel_xywh", **SIZE)
    each = {"height": np.full((2, 1, 1), 60.0), "width": np.array([[[50.0]], [[20.0]]])}
    both("convert_format", BOXES, "xyxy", "rel_yxyx", **each)


def test_a_dict_keeps_what_else_it_has_and_stays_as_it_was():
    given = {"boxes": BOXES, "labels": np.ones((2, 5), "float32")}
    found = both("convert_format", given, "xyxy", "xywh")
    assert given["boxes"] is BOXES and found is not given


def test_clipped_to_the_image():
    boxes = np.array([[[-5, 5, 20, 70], [55, 2, 60, 9], [1, 2, 3, 4]]], "float32")
    given = {"boxes": boxes, "labels": np.array([[0, 1, 2]], "int32")}
    assert both("clip_to_image_size", given, **SIZE)["labels"].tolist() == [[0, -1, 2]]
    both("clip_to_image_size", {"boxes": boxes}, **SIZE)
    both("clip_to_image_size", given | {"boxes": boxes / 50}, bounding_box_format="rel_xyxy")


def test_rotated_shifted_scaled_and_sheared():
    drawn = [rng.uniform(low, high, 2).astype("float32") for low, high in
             [(-180, 180), (-0.5, 0.5), (-0.5, 0.5), (0.5, 2), (-40, 40), (-40, 40)]]  # fmt: skip
    moved = both("affine_transform", BOXES, *drawn, 60, 50)
    both("affine_transform", BOXES, *drawn, 60, 50, center_x=0.2, center_y=0.7)
    one = bounding_boxes.affine_transform(BOXES[0], *(float(each[0]) for each in drawn), 60, 50)
    np.testing.assert_allclose(one, moved[0], rtol=1e-4, atol=1e-4)


def test_cropped_and_padded():
    for boxes in (BOXES, BOXES[0], BOXES.astype("int32")):
        both("crop", boxes, 10, 5, 30, 20)
        both("pad", boxes, 3, 4)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "middle", "variance"),
    [("xyxy", "center_yxhw", None), ("rel_yxyx", "center_xywh", [0.1, 0.1, 0.2, 0.2])],
)
def test_deltas_and_back(name, middle, variance):
    boxes = bounding_boxes.convert_format(BOXES, "xyxy", name, **SIZE)
    told = {"variance": variance, "image_shape": (60, 50, 3)}
    deltas = both("encode_box_to_deltas", OTHERS[0], boxes, "xyxy", name, middle, **told)
    back = both("decode_deltas_to_boxes", BOXES[1], deltas, "xyxy", name, middle, **told)
    assert back.shape == (2, 5, 4)
    anchors = BOXES[1]
    again = bounding_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", name, middle, **told)
    np.testing.assert_allclose(
        bounding_boxes.decode_deltas_to_boxes(anchors, again, "xyxy", name, middle, **told), boxes, rtol=1e-4, atol=1e-4
    )
    levels = {"p3": BOXES[0], "p4": BOXES[1]}
    both("decode_deltas_to_boxes", levels, {"p3": deltas, "p4": deltas}, "xyxy", name, middle, **told)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["xyxy", "rel_center_xywh"])
def test_overlaps(name):
    first, second = (bounding_boxes.convert_format(each, "xyxy", name, **SIZE) for each in (BOXES, OTHERS))
    for one, other in ((first[0], second), (first, second[0, :3])):
        iou = both("compute_iou", one, other, name, image_shape=(60, 50, 3))
        assert float(iou.max()) > 0.3
    if not name.startswith("rel"):
        both("compute_ciou", first, second, name)
        both("compute_ciou", first[0], second, name)
    ciou = bounding_boxes.compute_ciou(first, second, name, image_shape=(60, 50, 3))
    np.testing.assert_allclose(ciou, THEIRS.compute_ciou(BOXES, OTHERS, "xyxy"), rtol=1e-3, atol=1e-4)


def test_boxes_that_stand_for_nothing_are_masked():
    boxes = np.concatenate([BOXES, np.full((2, 1, 4), -1, "float32")], 1)
    both("compute_iou", boxes, boxes, "xyxy", use_masking=True, mask_val=-7)
    assert both("compute_iou", boxes[0], boxes[1], "xyxy", use_masking=True)[5].tolist() == [-1] * 6
    assert bounding_boxes.compute_iou(boxes[0], boxes, "xyxy", True).shape == (2, 6, 6)


@pytest.mark.nightly
def test_gradients_are_finite_where_boxes_are_equal():
    gradient = jax.grad(lambda x: bounding_boxes.compute_ciou(x, BOXES, "xyxy").sum())(jnp.asarray(BOXES))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda of: of.convert_format(BOXES, "xyxy", "corners"), "expected one of 'xyxy'"),
        (lambda of: of.convert_format(BOXES, "xyhw", "xyxy"), "Did you mean 'xywh'"),
        (lambda of: of.convert_format(BOXES, "xyxy", "rel_xyxy", height=3), "give height=..., width"),
        (lambda of: of.convert_format(BOXES[..., :3], "xyxy", "xywh"), "four numbers"),
        (lambda of: of.convert_format([[[1, 2, 3, 4]], []], "xyxy", "xywh"), "MaxNumBoundingBoxes"),
        (lambda of: of.convert_format({"box": BOXES}, "xyxy", "xywh"), 'has "boxes"'),
        (lambda of: of.clip_to_image_size({"boxes": BOXES}), "give height="),
        (lambda of: of.clip_to_image_size(BOXES, 3, 3), "takes a dict"),
        (lambda of: of.crop(BOXES, 1, 1, 2, 2, bounding_box_format="rel_xyxy"), "expected one of"),
        (lambda of: of.encode_box_to_deltas(BOXES, BOXES, "xyxy", "xyxy", "xyxy"), "'center_xywh', 'center_yxhw'"),
        (lambda of: of.encode_box_to_deltas(BOXES, BOXES, "xyxy", "xyxy", variance=[1, 2]), "variance are four"),
        (lambda of: of.decode_deltas_to_boxes({1: BOXES}, {2: BOXES}, "xyxy", "xyxy"), r"anchors has \[1\]"),
        (lambda of: of.compute_iou(BOXES, BOXES, "rel_xyxy"), "image_shape="),
        (lambda of: of.compute_iou(BOXES[0, 0], BOXES, "xyxy"), r"\(batch, n, 4\)"),
        (lambda of: of.compute_iou(BOXES, BOXES, "xyxy", image_shape=(3, 3)), "channels"),
        (lambda of: of.compute_ciou(BOXES, BOXES, "rel_xyxy"), "image_shape="),
    ],
)
def test_what_cannot_be_is_said(call, says):
    with pytest.raises(ArgumentError, match=says):
        call(bounding_boxes)
    with pytest.raises(Exception):  # noqa: B017, PT011  Keras raises errors of many kinds
        call(THEIRS)
