"""The stand-ins for TensorFlow: a missing member is answered with a sentence, and no hint names what is unrelated."""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pytest

from lamina import compat
from lamina._messages.spelling import nearest
from lamina._weights.weight import Weight
from lamina.compat.importer import VERSIONS
from lamina.errors import CallError, UnknownAttributeError


@pytest.fixture
def tf(monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] in VERSIONS:
            monkeypatch.delitem(sys.modules, name)
    compat.install()
    yield importlib.import_module("tensorflow")
    compat.uninstall()


PLACES = (
    "tf", "tf.data", "tf.data.Dataset", "tf.data.Dataset.range(3)", "tf.data.experimental", "tf.io", "tf.io.gfile",
    "tf.config", "tf.config.threading", "tf.config.experimental", "tf.Variable", "tf.GradientTape", "tf.GradientTape()",
    "tf.Session", "tf.Graph()", "tf.TensorShape([1])", "tf.version", "tf.summary", "tf.summary.experimental",
    "tf.image.ResizeMethod", "tf.compat.v1", "tf.math", "tf.nn", "tf.random", "tf.strings", "tf.train", "tf.test",
    "tf.keras.layers", "tf.constant(1)", "tf.Variable(1.0)",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_member_that_is_missing_anywhere_is_answered_with_a_sentence(tf, place):
    thing = eval(place)
    with pytest.raises(UnknownAttributeError, match="no attribute 'no_such_thing'"):
        thing.no_such_thing  # noqa: B018
    assert not hasattr(thing, "no_such_thing") and getattr(thing, "_no_such", 7) == 7


def said(tf, place):
    with pytest.raises(UnknownAttributeError) as caught:
        eval(place)
    return " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("tf.data.Dataset.rejection_resample", "tf.data.Dataset.from_generator"),
        ("tf.linalg.pinv", "jax.numpy.linalg.pinv"),
        ("tf.math.erfc", "jax.lax.erfc"),
        ("tf.scan", "jax.lax.scan"),
        ("tf.math.segment_sum", "jax.ops.segment_sum"),
        ("tf.reduce_meen", "Did you mean 'reduce_mean'"),
        ("tf.queue", "NumPy or jax.numpy"),
        ("tf.sysconfig", "NumPy or jax.numpy"),
        ("tf.sets", "NumPy or jax.numpy"),
    ],
)
def test_a_hint_names_what_does_the_same(tf, place, advice):
    assert advice in said(tf, place)


UNRELATED = [
    ("version", "Session"), ("errors", "zeros"), ("queue", "squeeze"), ("group", "round"), ("timestamp", "test"),
    ("fingerprint", "print"), ("sequence_mask", "reduce_max"), ("scan", "is_nan"), ("Noise", "Dense"),
    ("Transformer", "RandomShear"), ("FocalLoss", "Loss"), ("freeze_layers", "get_layer"), ("Dense", "Ensemble"),
    ("load_model", "models"), ("signal", "sign"), ("kernel", "kernel_initializer"),
]  # fmt: skip
RELATED = [
    ("BatchNorm", "BatchNormalization"), ("TextVectorizer", "TextVectorization"), ("Embeding", "Embedding"),
    ("Conv2d", "Conv2D"), ("dnese", "dense"), ("losses", "loss"), ("pad", "padding"), ("set_seed", "set_random_seed"),
    ("return_seq", "return_sequences"), ("mes", "mse"), ("l22", "l2"), ("NonNegative", "NonNeg"), ("lrate", "rate"),
    ("predict_class", "predict"), ("activaton", "activation"), ("beta_1", "adam_beta_1"), ("Denses", "Dense"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "other"), UNRELATED)
def test_an_unrelated_name_is_no_hint(name, other):
    assert nearest(name, [other]) == []


@pytest.mark.parametrize(("name", "other"), RELATED)
def test_a_misspelt_name_is_found(name, other):
    assert nearest(name, [other]) == [other]


def test_the_version_is_told(tf):
    assert tf.__version__ == tf.version.VERSION and isinstance(tf.version.GIT_VERSION, str)


def test_variable_is_the_class_of_weights(tf):
    v = tf.Variable([[1.0, 2.0]], name="v", trainable=False)
    assert isinstance(v, tf.Variable) and issubclass(type(v), tf.Variable) and not isinstance(1.0, tf.Variable)
    assert v.name == "v" and not v.trainable and v.dtype == "float32" and v.shape == (1, 2)
    assert v.assign(v * 2).numpy().tolist() == [[2, 4]] and v.assign_sub([[1.0, 1.0]]).numpy().tolist() == [[1, 3]]
    assert (v + 1).tolist() == [[2, 4]] and (2 / v).tolist() == [[2, 2 / np.float32(3)]] and (-v)[0, 1] == -3
    assert float(tf.reduce_sum(v)) == 4 and tf.matmul(v, v, transpose_b=True).tolist() == [[10]]
    layer = tf.keras.layers.Dense(2)
    layer.build((None, 1))
    assert all(isinstance(weight, tf.Variable) for weight in layer.weights)
    assert isinstance(tf.Variable(lambda: tf.zeros(3), dtype="int32"), Weight)
    w = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        loss = w * w
    assert tape.gradient(loss, w) == 6


def test_summaries_are_written_as_tensorboard_reads_them(tf, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert tf.summary.scalar("loss", 1.0, step=0) is False and not tf.summary.should_record_summaries()
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        for step in range(3):
            assert tf.summary.scalar("loss", tf.constant(0.5) * step, step=step) is True
        tf.summary.image("digits", np.full((5, 4, 4, 1), 255, "uint8"), step=tf.Variable(2), max_outputs=2)
        tf.summary.histogram("weights", np.arange(10.0), step=1)
        tf.summary.text("note", "**bold**", step=0)
        with pytest.raises(CallError, match=r"tf\.summary\.scalar\('loss'\) needs .*step"):
            tf.summary.scalar("loss", 1.0)
    with writer.as_default(step=7):
        tf.summary.scalar("late", 1.0)
    writer.close()
    read = accumulator.EventAccumulator(str(tmp_path), {"tensors": 0})
    read.Reload()
    assert set(read.Tags()["tensors"]) == {"loss", "digits", "weights", "note", "late"}
    assert [event.step for event in read.Tensors("loss")] == [0, 1, 2] and read.Tensors("late")[0].step == 7
    assert str(read.Tensors("loss")[1].tensor_proto).count("0.5") == 1
    assert len(read.Tensors("digits")[0].tensor_proto.string_val) == 4 and os.listdir(tmp_path)


def test_data_sets_are_mixed_with_shares_and_by_numbers(tf):
    few, many = tf.data.Dataset.range(50), tf.data.Dataset.range(100, 1100)
    mixed = tf.data.Dataset.sample_from_datasets([few, many], weights=[0.9, 0.1], seed=1)
    first = [int(x) for x in mixed.take(50)]
    assert sum(x < 100 for x in first) >= 38 and [int(x) for x in mixed.take(50)] == first
    assert sorted(int(x) for x in mixed) == [*range(50), *range(100, 1100)]
    ends = tf.data.Dataset.sample_from_datasets([few, many], [1.0, 0.0], stop_on_empty_dataset=True)
    assert [int(x) for x in ends] == list(range(50))
    numbers = tf.data.Dataset.range(2).repeat(2)
    assert [int(x) for x in tf.data.Dataset.choose_from_datasets([few, many], numbers)] == [0, 100, 1, 101]
    assert [int(x) for x in tf.data.experimental.sample_from_datasets([few])] == list(range(50))


def test_a_tensor_tells_its_mask_and_its_shape_as_tensorflow_s_does(tf):
    rows = tf.keras.layers.Embedding(5, 2, mask_zero=True)(np.array([[1, 0]]))
    assert rows._keras_mask.numpy().tolist() == [[True, False]] and tf.constant(1)._keras_mask is None
    assert rows.get_shape().as_list() == [1, 2, 2] and rows.set_shape((None, 2, 2)) is None
