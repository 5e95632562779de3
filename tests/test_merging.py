"""Merging layers by themselves and in layers of one's own: values, masks, gradients, configs and files as in Keras."""

import itertools
import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax.test_util import check_grads

import lamina
from lamina import layers, ops
from lamina._layer.masks import mask_of
from lamina.errors import ArgumentError, LaminaError, ShapeError, StackError

WORDS = np.array([[1, 2, 0], [3, 0, 0]]), np.array([[0, 2, 0], [3, 1, 0]])
ELEMENTS = ["Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"]
NAMES = [*ELEMENTS, "Concatenate", "Dot"]


def some(*shapes, dtype="float32"):
    return [np.random.default_rng(i).normal(size=shape).astype(dtype) for i, shape in enumerate(shapes)]


CASES = [
    *((name, {}, [(2, 3), (2, 3)]) for name in ELEMENTS),
    *((name, {}, [(2, 3, 4), (2, 4)]) for name in ELEMENTS),
    *((name, {}, [(2, 1, 4), (2, 3, 1)]) for name in ELEMENTS),
    *((name, {}, [(2, 3), (2, 3), (2, 1)]) for name in ELEMENTS if name != "Subtract"),
    *((name, {}, [(2, 4), (2, 5, 1, 4), (2, 5, 3, 4)]) for name in ELEMENTS if name != "Subtract"),
    ("Add", {}, [(2, 3)]),
    ("Multiply", {"name": "gated", "dtype": "mixed_float16"}, [(2, 3), (2, 3)]),
    ("Concatenate", {}, [(2, 3), (2, 5)]),
    ("Concatenate", {"axis": 1}, [(2, 3, 4), (2, 1, 4), (2, 2, 4)]),
    ("Concatenate", {"axis": -2}, [(2, 3, 4), (2, 1, 4)]),
    ("Concatenate", {"axis": 0}, [(2, 3), (1, 3)]),
    ("Dot", {"axes": 1}, [(2, 3), (2, 3)]),
    ("Dot", {"axes": -1, "normalize": True}, [(2, 3), (2, 3)]),
    ("Dot", {"axes": -1}, [(2, 3, 4), (2, 5, 4)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3, 5), (2, 4, 3)]),
    ("Dot", {"axes": [2, 1], "normalize": True}, [(2, 3, 5), (2, 5, 4)]),
    ("Dot", {"axes": (1, 2)}, [(2, 4), (2, 3, 4)]),
    ("Dot", {"axes": (2, 1)}, [(2, 3, 4), (2, 4)]),
    ("Dot", {"axes": (3, 1)}, [(2, 3, 2, 5), (2, 5, 2, 3)]),
    ("Dot", {"axes": 2, "dtype": "bfloat16"}, [(2, 3, 4), (2, 5, 4)]),
]


def named(case):
    return "-".join(map(str, case)) if isinstance(case, tuple) else None


@pytest.mark.parametrize("case", CASES, ids=named)
def test_values_shapes_and_configs_are_those_of_keras(case):
    name, settings, shapes = case
    ours, theirs, xs = getattr(layers, name)(**settings), getattr(keras.layers, name)(**settings), some(*shapes)
    y, wanted = ours(xs), theirs(xs)
    assert str(y.dtype) == str(wanted.dtype) and y.shape == tuple(wanted.shape)
    loose = 2e-2 if "dtype" in settings else 1e-6
    np.testing.assert_allclose(np.asarray(y, "float32"), np.asarray(wanted, "float32"), atol=loose, rtol=loose)
    mine, config = ours.get_config(), theirs.get_config()
    for each in (mine, config):
        del each["dtype"], each["name"]
    assert mine == config and type(ours).from_config(ours.get_config()).get_config() == ours.get_config()
    if settings.get("axis") != 0:
        unknown = [(None, *shape[1:]) for shape in shapes]
        assert getattr(layers, name)(**settings).compute_output_shape(unknown) == (None, *y.shape[1:])


@pytest.mark.parametrize("name", NAMES)
def test_the_function_computes_what_the_layer_does(name):
    ours, theirs = (getattr(module.layers, name.lower()) for module in (lamina, keras))
    xs = some((2, 3), (2, 3))
    np.testing.assert_allclose(ours(xs), theirs(xs), rtol=1e-6)
    assert ours(xs, name="mine", dtype="float16").dtype == "float16"


def test_functions_take_the_arguments_of_their_layers():
    xs = some((2, 3, 4), (2, 3, 4))
    np.testing.assert_array_equal(layers.concatenate(xs, 1), np.concatenate(xs, 1))
    cosine = keras.layers.dot(xs, 2, normalize=True)
    np.testing.assert_allclose(layers.dot(xs, 2, normalize=True), cosine, rtol=1e-5, atol=1e-6)


def probed(k, seen):
    """A layer that notes the mask it is given in `seen`."""

    class Probe(k.layers.Layer):
        def call(self, x, mask=None):
            seen.append(None if mask is None else np.asarray(mask).tolist())
            return x

    return Probe()


MASKED = [
    *((name, {}, which) for name in ELEMENTS for which in itertools.product([True, False], repeat=2)),
    *((name, {}, (True, False, True)) for name in ("Maximum", "Multiply")),
    *((name, {}, (True, True, True)) for name in ("Minimum", "Multiply")),
    *(
        ("Concatenate", {"axis": axis}, which)
        for axis in (1, 2)
        for which in itertools.product([True, False], repeat=2)
    ),
    ("Dot", {"axes": 2}, (True, True)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", MASKED, ids=named)
def test_masks_are_those_of_keras(case):
    name, settings, masked = case
    found = []
    for k in (lamina, keras):
        embed = [k.layers.Embedding(4, 5, mask_zero=is_masked) for is_masked in masked]
        words = [WORDS[i % 2] for i in range(len(masked))]
        for layer in embed:
            layer.build((None, 3)), layer.set_weights(some((4, 5)))
        seen = []
        y = probed(k, seen)(
            getattr(k.layers, name)(**settings)([layer(x) for layer, x in zip(embed, words, strict=True)])
        )
        found.append((np.asarray(y), seen[-1]))
    (ours, mask), (theirs, wanted) = found
    assert mask == wanted
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", [*ELEMENTS, "Concatenate"])
def test_masks_come_in_a_list_with_one_for_each_tensor(name):
    layer, (x, y) = getattr(layers, name)(), some((2, 3), (2, 3))
    for given, mask, said in (
        ([x, y], x > 0, "`mask` should be a list"),
        (x, [None, None], "`inputs` should be a list"),
        ([x, y], [None], "2 inputs got 1 masks"),
    ):
        with pytest.raises(ArgumentError, match=said):
            layer.compute_mask(given, mask)
    with pytest.raises(ArgumentError, match="same length"):
        layer([x, y], mask=[None])


def test_a_mask_of_fewer_axes_goes_over_the_others():
    images = some((2, 3, 4, 5), (2, 3, 4, 5))
    masks = [jnp.asarray(words > 0) for words in WORDS]  # one for each of 3 frames
    y = layers.Maximum()(images, mask=masks)
    for row, frame in itertools.product(range(2), range(3)):
        known = [x[row, frame] for x, words in zip(images, WORDS, strict=True) if words[row, frame]]
        if len(known) == 1:
            np.testing.assert_array_equal(y[row, frame], known[0])
        if len(known) == 2:
            np.testing.assert_array_equal(y[row, frame], np.maximum(*known))
    assert mask_of(y).tolist() == ((WORDS[0] > 0) | (WORDS[1] > 0)).tolist()


ONE_OF_EACH = {name: (name, settings, shapes) for name, settings, shapes in CASES if "dtype" not in settings}


@pytest.mark.parametrize("case", ONE_OF_EACH.values(), ids=named)
def test_gradients(case):
    name, settings, shapes = case
    with jax.enable_x64(True):
        layer, xs = getattr(layers, name)(**settings, dtype="float64"), some(*shapes, dtype="float64")
        check_grads(lambda *xs: layer([*xs]), map(jnp.asarray, xs), 1, ["rev"], atol=1e-5, rtol=1e-5)


def test_the_gradient_of_a_cosine_is_finite_where_a_vector_is_zero():
    slope = jax.grad(lambda x: layers.Dot(1, normalize=True)([x, jnp.ones((1, 3))]).sum())(jnp.zeros((1, 3)))
    assert np.isfinite(slope).all()


def residual(k):
    class Residual(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner, self.gate = k.layers.Dense(4, activation="tanh"), k.layers.Dense(4, activation="sigmoid")
            self.add, self.multiply, self.join = k.layers.Add(), k.layers.Multiply(), k.layers.Concatenate(name="join")

        def build(self, input_shape):
            self.inner.build(input_shape), self.gate.build(input_shape)
            self.built = True

        def call(self, x):
            gated = self.multiply([self.inner(x), self.gate(x)])
            return self.join([self.add([x, gated]), k.layers.average([x, gated]), k.layers.maximum([x, gated])])

    return Residual


def stack(k, **told):
    return k.Sequential([k.layers.Input((4,)), residual(k)(name="block", **told), k.layers.Dense(1, name="end")])


@pytest.mark.filterwarnings("ignore")
def test_a_residual_block_trains_as_in_keras():
    x, y = some((32, 4), (32, 1))
    ours, theirs = stack(lamina), stack(keras)
    theirs.set_weights(ours.get_weights())
    found = []
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        found.append(model.fit(x, y, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-5)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
@pytest.mark.parametrize(("writes", "reads"), [(lamina, keras), (keras, lamina)])
def test_files_go_both_ways(tmp_path, writes, reads, ending):
    first, path = stack(writes), tmp_path / f"model.{ending}"
    if ending == "keras":
        first.save(path)
        second = reads.saving.load_model(path, custom_objects={"Residual": residual(reads)})
    else:
        first.save_weights(path)
        second = stack(reads)
        second.load_weights(path)
    (x,) = some((3, 4))
    np.testing.assert_allclose(np.asarray(first(x)), np.asarray(second(x)), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_goes_through_its_config(name):
    told = {"axes": 2} if name == "Dot" else {}
    for k, other in ((lamina, keras), (keras, lamina)):
        described = k.layers.serialize(getattr(k.layers, name)(name="mine", **told))
        made = other.layers.deserialize(described)
        assert type(made).__name__ == name and made.get_config()["name"] == "mine"


@pytest.mark.parametrize(
    ("name", "settings", "shapes", "said"),
    [
        (
            "Add",
            {},
            [(2, 3), (2, 4)],
            r"add \(Add\), given \[\(2, 3\), \(2, 4\)\]: expects tensors of equal size.* got",
        ),
        (
            "Add",
            {},
            [(2, 3), (1, 3)],
            r"of equal sizes, or of size 1 on an axis behind the first, got \(2, 3\) and \(1, 3\)",
        ),
        ("Maximum", {}, [(2, 5, 3), (2, 4)], "expects tensors of equal sizes"),
        ("Subtract", {}, [(2, 3)], "takes a list of 2 tensors, and got 1 of them"),
        ("Subtract", {}, [(2, 3)] * 3, "takes a list of 2 tensors, and got 3 of them"),
        ("Concatenate", {"axis": 3}, [(2, 3), (2, 3)], r"has no axis 3 to concatenate along in \(2, 3\) and \(2, 3\)"),
        ("Concatenate", {}, [(2, 3), (3, 3)], "equal sizes on all axes but axis -1"),
        ("Concatenate", {"axis": 1}, [(2, 3, 4), (2, 3)], "equal sizes on all axes but axis 1"),
        ("Dot", {"axes": 1}, [(2, 3), (2, 4)], r"equal sizes on axes=1, got \(2, 3\) and \(2, 4\)"),
        ("Dot", {"axes": 2}, [(2, 3), (2, 4)], "equal sizes on axes=2"),
        ("Dot", {"axes": 1}, [(2, 3), (4, 3)], "as many rows"),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(name, settings, shapes, said):
    layer = getattr(layers, name)(**settings)
    with pytest.raises(ShapeError) as caught:
        layer(some(*shapes))
    assert re.search(said, " ".join(str(caught.value).split()))
    with pytest.raises(ShapeError, match=r"^\w+ \(\w+\), given "):
        getattr(layers, name)(**settings)(some(*shapes)[0])


@pytest.mark.parametrize("axes", [0, "x", (1, 2, 3), (0, 1), 1.5, None, True])
def test_axes_of_dot_are_one_or_two_whole_numbers(axes):
    with pytest.raises(ArgumentError, match="expected an axis, or one for each of two tensors"):
        layers.Dot(axes)


@pytest.mark.parametrize("name", NAMES)
def test_none_of_them_has_a_place_in_a_stack(name):
    kind = getattr(layers, name)
    layer, before = kind(1) if name == "Dot" else kind(), layers.Input((3,))
    for unfit in (kind, layer):
        with pytest.raises(StackError) as caught:
            lamina.Sequential([before, unfit])
        said = " ".join(str(caught.value).split())
        assert said.startswith(
            f"{name} joins several tensors, and a stack has one tensor between two layers: write your own"
        )
        assert f"for example `return self.{name.lower()}([x, self.inner(x)])`" in said
    with pytest.raises(StackError, match="joins several tensors"):
        layer([before, before])


def test_the_refusal_tells_what_works():
    class Residual(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner, self.add = layers.Dense(3), layers.Add()

        def call(self, x):
            return self.add([x, self.inner(x)])

    model = lamina.Sequential([layers.Input((None, 3)), Residual(), layers.LSTM(2)])
    assert model(np.ones((2, 5, 3), "float32")).shape == (2, 2)


def test_numbers_of_other_kinds():
    whole = [np.array([[1, 2]], "int32"), np.array([[4, 6]], "int32")]
    for name in (*ELEMENTS, "Concatenate"):
        ours, theirs = getattr(layers, name)()(whole), getattr(keras.layers, name)()(whole)
        assert str(ours.dtype) == str(theirs.dtype) and ours.tolist() == np.asarray(theirs).tolist(), name
    assert layers.Add(dtype="bfloat16")([np.ones((1, 2)), np.ones((1, 2), "int32")]).dtype == "bfloat16"


@pytest.mark.parametrize("kind", [*ELEMENTS, "Concatenate"])
def test_a_merging_layer_says_which_masks_it_takes(kind):
    layer, x, mask = getattr(layers, kind)(), np.ones((2, 4, 5)), np.ones((2, 4), bool)
    wrong = {
        "should be a list": mask, "have the same length": [mask], "of arrays, or of None": [mask, "x"],
        "begin as the tensor's": [mask, mask[:, :3]],
    }  # fmt: skip
    for told, masks in wrong.items():
        for call in (lambda: layer.compute_mask([x, x], masks), lambda: layer([x, x], mask=masks)):  # noqa: B023
            with pytest.raises(LaminaError, match=told.split()[0]) as caught:
                call()
            assert told in " ".join(str(caught.value).split())
    with pytest.raises(LaminaError, match="`inputs` should be a list"):
        layer.compute_mask(x, [mask, mask])
    assert layer.compute_mask([x, x], [mask, mask]).shape == (2, 4)
    assert ops.shape(layer([x, x], mask=[mask, np.ones((2, 1), bool)]))[:2] == (2, 4)
