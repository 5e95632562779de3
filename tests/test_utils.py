"""The small tools of `lamina.utils`, against those of real Keras."""

from __future__ import annotations

import random
import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina import config, utils
from lamina._programs import programs
from lamina.errors import ArgumentError, DataError, LabelError
from lamina.random import next_seed

DIGITS = np.array([3, 0, 2, 2])


def same(ours, theirs):
    theirs = np.asarray(theirs)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "labels",
    [DIGITS, DIGITS[:, None], DIGITS.reshape(2, 2), DIGITS.reshape(2, 2, 1), [1, 0], [1.0, 0.0], [True, False], 2],
)
@pytest.mark.parametrize("num_classes", [None, 4, 7])
def test_to_categorical_is_that_of_keras(labels, num_classes):
    same(utils.to_categorical(labels, num_classes), keras.utils.to_categorical(labels, num_classes))


def test_to_categorical_of_a_jax_array_stays_on_the_device():
    rows = utils.to_categorical(jnp.asarray(DIGITS, jnp.int32), 4)
    assert isinstance(rows, jax.Array)
    same(rows, keras.utils.to_categorical(jnp.asarray(DIGITS, jnp.int32), 4))


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, -1, 2], None, r"from 0 to 2, got -1\. The labels go from -1 to 2"),
        ([0, 3], 3, r"from 0 to 2, got 3"),
        ([1, 2, 3], 3, r"got 3\. The labels go from 1 to 3"),
        ([0.5, 1.0], None, r"whole numbers, got 0\.5"),
        ([0.0, np.nan], None, r"whole numbers, got nan"),
        ([0.0, np.inf], None, r"whole numbers, got inf"),
        (["cat", "dog"], None, r"got text: 'cat'.*\n.*np\.unique"),
        (np.array(["cat"], object), None, r"got text: 'cat'"),
        ([], None, r"no labels; pass num_classes"),
    ],
)
def test_to_categorical_refuses_labels_that_are_no_classes(labels, num_classes, message):
    with pytest.raises(LabelError, match=message):
        utils.to_categorical(labels, num_classes)


@pytest.mark.parametrize("num_classes", [0, -2, 2.5, "3", True])
def test_to_categorical_refuses_a_number_of_classes_that_is_none(num_classes):
    with pytest.raises(ArgumentError, match="whole number"):
        utils.to_categorical([0, 1], num_classes)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_normalize_is_that_of_keras(order, dtype):
    x = np.array([[3, 4, 0], [0, 0, 0], [-1, 2, -2]], dtype)
    same(utils.normalize(x, order=order), keras.utils.normalize(x, order=order))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_normalize_works_along_every_axis(axis):
    """Keras divides by the wrong norms for axis 0, so a formula is the oracle."""
    x = np.random.default_rng(0).normal(size=(3, 3, 3)).astype("float32")
    scaled = utils.normalize(x, axis)
    np.testing.assert_allclose(np.sqrt((scaled**2).sum(axis)), 1.0, rtol=1e-6)
    np.testing.assert_allclose(scaled / x * np.sqrt((x**2).sum(axis, keepdims=True)), 1.0, rtol=1e-6)


def test_normalize_of_a_jax_array_can_be_compiled():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0]], jnp.float32)
    np.testing.assert_allclose(jax.jit(utils.normalize)(x), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


def test_normalize_refuses_an_axis_that_is_not_there():
    with pytest.raises(ArgumentError, match=r"axis=2\): x has shape \(2, 3\), so axis goes from -2 to 1"):
        utils.normalize(np.ones((2, 3)), axis=2)


RAGGED = [[1, 2, 3, 4], [], [5], [6, 7]]
VECTORS = [np.ones((2, 3)), np.zeros((0, 3)), np.full((4, 3), 2.5)]


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 6])
@pytest.mark.parametrize(
    ("sequences", "dtype", "value"),
    [
        (RAGGED, "int32", 0.0),
        (RAGGED, np.float64, -1.5),
        (tuple(map(np.array, RAGGED)), "int64", 9),
        (VECTORS, "float32", 0.0),
        ([["a"], ["bcd", "e"]], object, "<pad>"),
    ],
)
def test_pad_sequences_is_that_of_keras(sequences, dtype, value, maxlen, truncating, padding):
    arguments = {"maxlen": maxlen, "dtype": dtype, "padding": padding, "truncating": truncating, "value": value}
    same(utils.pad_sequences(sequences, **arguments), keras.utils.pad_sequences(sequences, **arguments))


@given(
    st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6), min_size=1, max_size=5),
    st.integers(1, 8),
    st.sampled_from(["pre", "post"]),
    st.sampled_from(["pre", "post"]),
)
def test_pad_sequences_is_that_of_keras_for_any_lengths(sequences, maxlen, padding, truncating):
    arguments = {"maxlen": maxlen, "padding": padding, "truncating": truncating}
    same(utils.pad_sequences(sequences, **arguments), keras.utils.pad_sequences(sequences, **arguments))


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ArgumentError, {"sequences": iter(RAGGED)}, r"a list of sequences, got list_iterator"),
        (ArgumentError, {"sequences": [[1], 2]}, r"item 1 of it is 2"),
        (ArgumentError, {"sequences": ["abc"]}, r"item 0 of it is 'abc'"),
        (ArgumentError, {"sequences": RAGGED, "padding": "left"}, r"'pre', 'post', got 'left'"),
        (ArgumentError, {"sequences": RAGGED, "truncating": "pree"}, r"got 'pree'\. Did you mean 'pre'\?"),
        (ArgumentError, {"sequences": RAGGED, "maxlen": 0}, r"at least 1, got 0"),
        (ArgumentError, {"sequences": RAGGED, "value": "<pad>"}, r"does not fit dtype='int32'; pass dtype=object"),
        (DataError, {"sequences": []}, r"no sequences; pass maxlen"),
        (DataError, {"sequences": [[1], [0.5, 2]]}, r"sequence 1 holds 0\.5, which dtype='int32' cannot"),
        (DataError, {"sequences": [[1], [np.nan]]}, r"sequence 1 holds nan"),
        (DataError, {"sequences": [[300]], "dtype": "uint8"}, r"sequence 0 holds 300, which dtype='uint8' cannot"),
        (DataError, {"sequences": [np.ones((1, 2)), np.ones((1, 3))]}, r"shape \(3,\), those before it have \(2,\)"),
    ],
)
def test_pad_sequences_says_what_it_cannot_take(error, arguments, message):
    with pytest.raises(error, match=message):
        utils.pad_sequences(**arguments)


def test_set_random_seed_repeats_every_source_of_chance():
    def draw():
        utils.set_random_seed(7)
        return random.random(), np.random.rand(), next_seed()

    assert draw() == draw()


def test_another_xla_may_not_know_every_option(monkeypatch):
    options = {"xla_cpu_no_such_option": True, "xla_cpu_experimental_ynn_fusion_type": "NO_SUCH_TYPE"}
    monkeypatch.setattr(programs, "CPU_OPTIONS", programs.CPU_OPTIONS | options)
    monkeypatch.setattr(programs, "_unknown", set())
    x = jnp.arange(3.0)
    ahead = programs.compiled("options ahead", jnp.square, (x,), ahead=True)  # in another thread at the same time
    assert programs.compiled("options", jnp.negative, (x,)).result()(x).tolist() == [0, -1, -2]
    assert ahead.result()(x).tolist() == [0, 1, 4]
    assert programs._unknown == options.keys() <= programs.CPU_OPTIONS.keys()  # asked for no more, still in names


@pytest.mark.parametrize("free_memory", [True, False])
def test_clear_session_forgets_the_compiled_programs(free_memory):
    x = np.zeros(3, "float32")
    program = programs.compiled("a test", jnp.negative, (x,))
    assert programs.compiled("a test", jnp.negative, (x,)) is program
    utils.clear_session(free_memory)
    assert programs.compiled("a test", jnp.negative, (x,)) is not program


BATCHES = ["x", ("x",), ["x"], ("x", "y"), ["x", "y"], ("x", "y", "w"), None, ("x", None, "w")]


@pytest.mark.parametrize("batch", BATCHES)
def test_batches_are_unpacked_as_in_keras(batch):
    assert utils.unpack_x_y_sample_weight(batch) == keras.utils.unpack_x_y_sample_weight(batch)


@pytest.mark.parametrize(
    "parts", [("x",), (("a", "b"),), (["a"], None), ("x", "y"), ("x", "y", "w"), ("x", None, "w"), (None, "y")]
)
def test_batches_are_packed_as_in_keras(parts):
    assert utils.pack_x_y_sample_weight(*parts) == keras.utils.pack_x_y_sample_weight(*parts)


@pytest.mark.parametrize("batch", [(), ("x", "y", "w", "more")])
def test_what_is_no_batch(batch):
    with pytest.raises(DataError, match="expected a batch x"):
        utils.unpack_x_y_sample_weight(batch)


@pytest.mark.parametrize(
    "dtype",
    [
        None, "float32", "bool", "string", "int", "int64", "float8_e5m2", int, float, bool, str, complex, np.float16,
        np.dtype("uint8"), jnp.bfloat16, jnp.float32, jnp.zeros(2).dtype, np.dtype("int16").type,
        type("dtype", (), {"__str__": lambda self: "torch.float64", "__hash__": lambda self: 1})(),
    ],
)  # fmt: skip
def test_standardize_dtype_is_that_of_keras(dtype):
    assert utils.standardize_dtype(dtype) == keras.utils.standardize_dtype(dtype)


@pytest.mark.parametrize("dtype", ["flaot32", "float", "object", 3, [], "datetime64"])
def test_what_is_no_dtype(dtype):
    with pytest.raises(ArgumentError, match=r"is not a dtype\."):
        utils.standardize_dtype(dtype)
    with pytest.raises((ValueError, TypeError)):
        keras.utils.standardize_dtype(dtype)


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"stateful_metrics": ["loss"]}, {"stateless_metrics": ["loss"]}, {"unit_name": "row"},
        {"stateless_metrics": []}, {"target": 7},
    ],
)  # fmt: skip
@pytest.mark.parametrize("last", [{}, {"finalize": True}])
def test_progbar_ends_with_the_line_of_keras(capsys, arguments, last):
    lines = []
    for module in (utils, keras.utils):
        bar = module.Progbar(**{"target": 6, "verbose": 2} | arguments)
        bar.update(1, [("accuracy", 0.25), ("loss", 4.0)])
        bar.update(3, [("accuracy", np.float32(0.5)), ("loss", 2.0)])
        bar.add(2, [("loss", 1.0)])
        bar.update(6, [("accuracy", np.array([0.5, 1.0]))], **last)
        lines.append(re.sub(r"[\d.]+[mu]?s/", "/", capsys.readouterr().out))
    assert lines[0] == lines[1]


def test_progbar_without_a_target_or_on_a_file(capsys):
    bar = utils.Progbar(None)
    for step in range(3):
        bar.add(1, [("loss", step)])
    assert capsys.readouterr().out == ""
    bar.update(4, finalize=True)
    assert re.fullmatch(r"4/4 - 0s - .*/step - loss: 1\.0000\n", capsys.readouterr().out)
    bar.update(4, [("loss", 2)], finalize=True)  # again, for another loop
    assert "loss: 2.0000" in capsys.readouterr().out
    utils.Progbar(2, verbose=0).update(2)
    assert capsys.readouterr().out == ""
    assert (bar.target, bar.width, bar.interval, bar.unit_name, bar.stateful_metrics) == (None, 20, 0.05, "step", set())


def test_progbar_takes_one_list_of_names():
    with pytest.raises(ArgumentError, match="each says what the other is"):
        utils.Progbar(3, stateful_metrics=["a"], stateless_metrics=["b"])


def test_interactive_logging_is_that_of_config():
    utils.disable_interactive_logging()
    try:
        assert not utils.is_interactive_logging_enabled() and not config.is_interactive_logging_enabled()
    finally:
        utils.enable_interactive_logging()
    assert config.is_interactive_logging_enabled()
