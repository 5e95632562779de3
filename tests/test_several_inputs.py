"""Layers of one's own whose inputs are lists, dicts or several arguments: each program gives what it gives in Keras."""

import json

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax.test_util import check_grads

import lamina
from lamina._programs import programs
from lamina.errors import CallError, ShapeError, StackError

A = np.arange(6, dtype="float32").reshape(2, 3) / 7
B = np.full((2, 3), 2, "float32")
T = np.arange(24, dtype="float32").reshape(2, 3, 4) / 10
WORDS = np.array([[1, 2, 0], [3, 0, 0]])


def plain(value):
    """Arrays as their dtype, shape and numbers; shapes without the batch axis, which Keras knows in a call by hand."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if hasattr(value, "shape"):
        return str(value.dtype), tuple(value.shape), np.round(np.asarray(value, "float64"), 4).tolist()
    return round(value, 4) if isinstance(value, float) else value


def two(k):
    """A layer of two arguments, whose build takes both shapes."""

    class Two(k.layers.Layer):
        def build(self, a_shape, b_shape):
            self.w = self.add_weight((a_shape[-1], b_shape[-1]), "ones")

        def call(self, a, b, scale=1.0):
            return k.ops.matmul(a, self.w) * scale + b

    return Two


def listed(k):
    """A layer of a list, whose build takes a list of shapes."""

    class Listed(k.layers.Layer):
        def build(self, input_shape):
            self.seen = type(input_shape), [shape[1:] for shape in input_shape]
            self.w = self.add_weight((input_shape[0][-1],), "ones")

        def call(self, inputs):
            a, b = inputs
            return a * self.w - b

    return Listed


def by_position_and_by_name(k):
    layer = two(k)()
    return layer(A, T[:, 0]), layer(A, b=T[:, 0]), layer(b=T[:, 0], a=A), layer(A, T[:, 0], scale=2.0)


def a_list_and_a_tuple(k):
    first, second = listed(k)(), listed(k)()
    return first([A, B]), first.seen[1], second((A, B)), second.seen[1]


def a_dict(k):
    class Dict(k.layers.Layer):
        def build(self, input_shape):
            self.seen = {name: shape[1:] for name, shape in input_shape.items()}

        def call(self, x):
            return x["z"] - x["a"] + len(next(iter(x)))

    layer = Dict()
    return layer({"z": A, "a": B}), layer.seen, [*layer.seen]


def nested(k):
    class Nested(k.layers.Layer):
        def build(self, input_shape):
            self.seen = input_shape["p"][1]["q"][1:]

        def call(self, x):
            return x["p"][0] + x["p"][1]["q"]

    layer = Nested()
    return layer({"p": [A, {"q": B}]}), layer.seen


def an_argument_that_is_left_out(k):
    class Attends(k.layers.Layer):
        def build(self, query_shape, value_shape, key_shape=None):
            self.seen = query_shape[1:], value_shape[1:], key_shape and key_shape[1:]

        def call(self, query, value, key=None):
            return query + value + (0 if key is None else key)

    layers = Attends(), Attends(), Attends()
    return layers[0](A, B), layers[1](A, B, A), layers[2](A, key=B, value=A), [layer.seen for layer in layers]


def star_arguments(k):
    class Star(k.layers.Layer):
        def build(self, shapes):
            self.seen = [shape[1:] for shape in shapes]

        def call(self, *tensors):
            return tensors[0] + tensors[1]

    layer = Star()
    return layer(A, B), layer.seen


def arguments_by_name_alone(k):
    class ByName(k.layers.Layer):
        def call(self, x, *, scale=2.0, other=None, **more):
            return x * scale + (0 if other is None else other) + more.get("third", 0)

    layer = ByName()
    return layer(A, scale=3.0), layer(A, other=B), layer(A, third=B)


def what_one_layer_returns_goes_into_another(k):
    class Split(k.layers.Layer):
        def call(self, x):
            return x[:, :1], x[:, 1:]

    class Outer(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.split = Split()
            self.join = k.layers.Lambda(lambda pair: k.ops.concatenate([pair[1], pair[0]], -1))

        def call(self, x):
            return self.join(self.split(x))

    return Outer()(A)


def lambdas(k):
    Lambda = k.layers.Lambda
    return Lambda(lambda pair: pair[0] * pair[1])([A, B]), Lambda(lambda x: x["a"] - x["b"])({"a": A, "b": B})


def sublayers_are_built_by_the_call(k):
    class Outer(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.one, self.other = (k.layers.Dense(2, kernel_initializer="ones") for _ in "ab")
            self.two = two(k)()

        def call(self, a, b):
            return self.two(self.one(a), b=self.other(b))

    layer = Outer()
    return layer(A, T[:, 0]), [tuple(weight.shape) for weight in layer.weights]


def one_sublayer_of_two_tensors(k):
    class Twice(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(2, kernel_initializer="ones")

        def call(self, pair):
            return self.dense(pair[0]) - self.dense(pair[1])

    layer = Twice()
    return layer([A, B]), len(layer.weights)


def masks_by_argument(k):
    seen = []

    class Masked(k.layers.Layer):
        def call(self, a, b, a_mask=None, b_mask=None):
            seen.append([mask is not None for mask in (a_mask, b_mask)])
            return a + b

    embed = k.layers.Embedding(5, 4, mask_zero=True)
    Masked()(embed(WORDS), T), Masked()(T, embed(WORDS)), Masked()(embed(WORDS), b=embed(WORDS))
    return seen


def masks_in_the_structure_of_the_inputs(k):
    seen = []

    class Masked(k.layers.Layer):
        def call(self, x, mask=None):
            items = mask.items() if isinstance(mask, dict) else enumerate(mask)
            seen.append([(key, each is not None) for key, each in items])
            return T

    embed = k.layers.Embedding(5, 4, mask_zero=True)
    Masked()([embed(WORDS), T]), Masked()([T, T]), Masked()({"a": T, "b": embed(WORDS)})
    return seen


def no_mask_where_two_tensors_could_be_meant(k):
    seen = []

    class Masked(k.layers.Layer):
        def call(self, a, b, mask=None):
            seen.append(mask is not None)
            return a + b

    embed = k.layers.Embedding(5, 4, mask_zero=True)
    Masked()(embed(WORDS), T), Masked()(embed(WORDS), T, mask=WORDS > 0)
    return seen


def what_becomes_of_masks(k):
    seen = []

    class Probe(k.layers.Layer):
        def call(self, x, mask=None):
            seen.append(None if mask is None else np.asarray(mask).astype(int).tolist())
            return x

    class Kept(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, x):
            return x[0] + x[1]

    class Chosen(Kept):
        def compute_mask(self, x, mask=None):
            return mask[1]

    class Both(Kept):
        def call(self, x):
            return x[0] * 1, x[1] * 1

        def compute_mask(self, x, mask=None):
            return mask

    class OfFirst(Kept):
        def call(self, a, b):
            return a + b

    embed, probe = k.layers.Embedding(5, 4, mask_zero=True), Probe()
    words = embed(WORDS)
    for layer in (Kept(), Chosen()):
        probe(layer([words, T])), probe(layer([T, words]))
    first, second = Both()([T, words])
    probe(first), probe(second), probe(OfFirst()(words, T)), probe(OfFirst()(T, words))
    return seen


def the_mask_goes_on_when_floats_are_cast(k):
    seen = []

    class Probe(k.layers.Layer):
        def call(self, x, mask=None):
            seen.append(mask is not None)
            return x

    class Outer(k.layers.Layer):
        def __init__(self):
            super().__init__(dtype="mixed_bfloat16")
            self.probe = Probe(dtype="mixed_bfloat16")

        def call(self, x):
            return self.probe(x)

    Outer()(k.layers.Embedding(5, 4, mask_zero=True)(WORDS))
    return seen[-1]


def every_float_is_cast(k):
    seen = []

    class Seen(k.layers.Layer):
        def call(self, a, b, c=None):
            seen.append([str(x.dtype) for x in (a, *b)] + [None if c is None else str(c.dtype)])
            return a

    for policy in ("float32", "bfloat16", "mixed_float16"):
        Seen(dtype=policy)(A.astype("float16"), [B, WORDS.astype("int32")], c=np.float32([1]))
    Seen(dtype="bfloat16", autocast=False)(A, [B.astype("float16")])
    return seen


def an_input_spec_for_each(k):
    class Specs(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.input_spec = [k.layers.InputSpec(ndim=2), k.layers.InputSpec(ndim=3)]

        def call(self, x):
            return x[0]

    said = []
    for given in ([A, T], [A, B], [A], A):
        try:
            said.append(plain(Specs()(given)))
        except ValueError:
            said.append("refused")
    return said


def trained_in_a_stack(k):
    class Outer(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.two, self.listed = two(k)(), listed(k)()
            self.dense = k.layers.Dense(3, kernel_initializer="ones")

        def call(self, x):
            return self.listed([self.two(x, self.dense(x)), x])

    model = k.Sequential([k.layers.Input((3,)), Outer(), k.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    history = model.fit(A, B[:, :1], epochs=3, shuffle=False, verbose=0).history["loss"]
    return history, model.count_params(), model.predict(A, verbose=0)


def what_files_keep_of_build(k):
    pair, other = two(k)(), listed(k)()
    pair(A, T[:, 0]), other([A, B])
    config = pair.get_build_config()
    return [*config], {name: shape[1:] for name, shape in config["shapes_dict"].items()}, [*other.get_build_config()]


def the_activity_of_several_outputs(k):
    class Pair(k.layers.Layer):
        def call(self, a, b):
            return a + b, a

    layer = Pair(activity_regularizer="l2")
    layer(A, B)
    return [float(loss) for loss in layer.losses]


def training_beside_two_tensors(k):
    class Tells(k.layers.Layer):
        def call(self, a, b, training=False):
            return a + b if training else a - b

    class Outer(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.tells = Tells()

        def call(self, x):
            return self.tells(x, x)

    return Tells()(A, B, training=True), Tells()(A, B), Outer()(A, training=True), Outer()(A)


def without_state(k):
    layer = two(k)()
    layer(A, B)
    y, kept = layer.stateless_call([weight.value * 2 for weight in layer.trainable_variables], [], A, b=B)
    return y, len(kept)


def a_weight_as_an_input(k):
    class Scale(k.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((2, 3), "ones")
            self.product = k.layers.Lambda(lambda pair: pair[0] * pair[1])

        def call(self, x):
            return self.product([x, self.w])

    return Scale()(A)


def states_of_recurrent_layers(k):
    told = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}

    class Coder(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.encoder = k.layers.LSTM(4, return_state=True, **told)
            self.decoder = k.layers.LSTM(4, return_sequences=True, **told)

        def call(self, x):
            y, h, c = self.encoder(x)
            return self.decoder(x, initial_state=[h, c]), y

    return Coder()(T)


def cells_by_hand(k):
    told = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}

    class Steps(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.alone = k.layers.SimpleRNNCell(3, **told)
            self.stacked = k.layers.StackedRNNCells([k.layers.LSTMCell(3, **told), k.layers.GRUCell(2, **told)])

        def call(self, x):
            states, state = self.stacked.get_initial_state(x.shape[0]), [k.ops.zeros((x.shape[0], 3))]
            for t in range(x.shape[1]):
                y, states = self.stacked(x[:, t], states)
                z, state = self.alone(x[:, t], state)
            return y, z

    return Steps()(T)


PROGRAMS = [
    by_position_and_by_name, a_list_and_a_tuple, a_dict, nested, an_argument_that_is_left_out, star_arguments,
    arguments_by_name_alone, what_one_layer_returns_goes_into_another, lambdas, sublayers_are_built_by_the_call,
    one_sublayer_of_two_tensors, masks_by_argument, masks_in_the_structure_of_the_inputs,
    no_mask_where_two_tensors_could_be_meant, what_becomes_of_masks, the_mask_goes_on_when_floats_are_cast,
    every_float_is_cast, an_input_spec_for_each, trained_in_a_stack, what_files_keep_of_build,
    the_activity_of_several_outputs, training_beside_two_tensors, without_state, a_weight_as_an_input,
    states_of_recurrent_layers, cells_by_hand,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_it_gives_what_keras_gives(program):
    keras.utils.set_random_seed(0), lamina.utils.set_random_seed(0)
    ours, theirs = plain(program(lamina)), plain(program(keras))
    assert repr(ours) == repr(theirs) or np.all(np.isclose(_numbers(ours), _numbers(theirs), atol=2e-4)), (ours, theirs)


def _numbers(value):
    """Every number, after all that is no number was found equal by its text."""
    flat = jax.tree.leaves(value, is_leaf=lambda leaf: leaf is None)
    return np.array([leaf if isinstance(leaf, (int, float)) else abs(hash(repr(leaf))) for leaf in flat], "float64")


def outer(k):
    """A layer that hands two tensors on, by position and in a list, without a build of its own."""

    class Outer(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.two, self.listed, self.dense = two(k)(), listed(k)(), k.layers.Dense(3)

        def call(self, x):
            return self.listed([self.two(x, self.dense(x)), x])

    return Outer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["keras", "weights.h5"])
@pytest.mark.parametrize(("writes", "reads"), [(lamina, keras), (keras, lamina)])
def test_files_go_both_ways(tmp_path, writes, reads, ending):
    first = writes.Sequential([writes.layers.Input((3,)), outer(writes)(name="outer"), writes.layers.Dense(2)])
    path = tmp_path / f"model.{ending}"
    if ending == "keras":
        first.save(path)
        second = reads.saving.load_model(path, custom_objects={"Outer": outer(reads)})
    else:
        first.save_weights(path)
        second = reads.Sequential([reads.layers.Input((3,)), outer(reads)(name="outer"), reads.layers.Dense(2)])
        second.load_weights(path)
    np.testing.assert_allclose(np.asarray(first(A)), np.asarray(second(A)), atol=1e-6)


@pytest.mark.parametrize(("kind", "given"), [(two, (A, T[:, 0])), (listed, ([A, B],)), (listed, ((A, B),))])
def test_what_a_file_keeps_builds_the_layer_anew(kind, given):
    layer = kind(lamina)()
    layer(*given)
    theirs = kind(keras)()
    theirs(*given)
    for config in (layer.get_build_config(), theirs.get_build_config()):
        fresh = kind(lamina)()
        fresh.build_from_config(json.loads(json.dumps(config)))
        assert fresh.built and [weight.shape for weight in fresh.weights] == [weight.shape for weight in layer.weights]


@pytest.mark.parametrize(
    "shapes", ["x", 3, {"a_shape": "x"}, {"a_shape": [2, -1]}, {"c_shape": [2, 3]}, {"a_shape": [2, 3]}]
)
def test_shapes_of_a_file_that_fit_no_build_are_refused(shapes):
    layer = two(lamina)()
    with pytest.raises(ValueError, match=r"shape"):
        layer.build_from_config({"shapes_dict": shapes})
    assert not layer.built and not layer.weights


def test_the_shape_of_the_output_from_those_of_the_inputs():
    layer = two(lamina)()
    assert layer.compute_output_shape((None, 3), (None, 4)) == (None, 4)
    assert two(lamina)().compute_output_shape(b_shape=(None, None, 4), a_shape=(None, None, 3)) == (None, None, 4)
    assert listed(lamina)().compute_output_shape([(None, 5), (1, 5)]) == (None, 5)
    assert lamina.layers.Dense(4).compute_output_shape(input_shape=(2, 3)) == (2, 4)


def test_gradients_reach_every_input_and_every_weight():
    layer = outer(lamina)()
    layer(A)

    def loss(weights, x):
        return jnp.sum(layer.stateless_call(weights, [], x)[0] ** 2)

    weights = [weight.value for weight in layer.trainable_variables]
    with jax.enable_x64(True):
        weights, x = jax.tree.map(lambda value: jnp.asarray(value, "float64"), (weights, A))
        check_grads(loss, (weights, x), 1, ["rev"], atol=1e-2, rtol=1e-2)


def test_a_call_that_does_not_fit_says_how_the_layer_is_called():
    layer = two(lamina)(name="pair")
    with pytest.raises(CallError, match=r"^pair \(Two\) needs b as well: pair\(a, b\)\.$"):
        layer(A)
    with pytest.raises(CallError, match=r"^pair \(Two\) needs a and b: pair\(a, b\)\.$"):
        layer()
    with pytest.raises(CallError, match=r"unexpected keyword argument 'c'. It is called as pair\(a, b, scale=1.0\)"):
        layer(A, B, c=1)
    assert not layer.built and not layer.weights


def test_shapes_in_errors_are_those_of_all_inputs():
    class Checks(lamina.layers.Layer):
        def call(self, a, b):
            raise ShapeError("expects equal shapes")

    with pytest.raises(ShapeError, match=r"^checks \(Checks\), given a \(2, 3\), b \[\(2, 3, 4\), \(2, 3\)\]: expects"):
        Checks()(A, [T, B])


def test_build_whose_arguments_are_none_of_call_is_refused():
    class Wrong(lamina.layers.Layer):
        def build(self, left_shape, right_shape):
            pass

        def call(self, a, b):
            return a

    with pytest.raises(CallError, match=r"build needs right_shape, and the call gives a_shape, b_shape"):
        Wrong()(A, B)


def test_a_layer_of_several_arguments_is_no_layer_of_a_stack():
    with pytest.raises(StackError, match=r"Two\.call also needs b, but a stack passes one tensor to each layer"):
        lamina.Sequential([lamina.layers.Input((3,)), two(lamina)()])


def test_a_list_of_numbers_is_one_array():
    double = lamina.layers.Lambda(lambda x: x * 2)
    assert double([[1.0, 2.0]]).tolist() == [[2.0, 4.0]]
    assert lamina.layers.Dense(2)([[1.0, 2.0, 3.0]]).shape == (1, 2)


def test_the_one_tensor_of_a_layer_may_be_given_by_its_name_in_keras():
    dense, lstm = lamina.layers.Dense(2), lamina.layers.LSTM(3)
    np.testing.assert_array_equal(dense(inputs=A), dense(A))
    np.testing.assert_array_equal(lstm(sequences=T, mask=WORDS > 0), lstm(T, mask=WORDS > 0))
    with pytest.raises(CallError, match="unexpected keyword argument 'inputs'"):
        dense(A, inputs=A)


def test_equal_stacks_with_such_layers_share_their_program():
    Outer = outer(lamina)

    class Other(Outer):
        def call(self, x):
            return self.listed([x, self.two(x, self.dense(x))])

    def fitted(kind):
        lamina.utils.set_random_seed(1)
        model = lamina.Sequential([lamina.layers.Input((3,)), kind(), lamina.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model.fit(A, B[:, :1], epochs=2, verbose=0).history["loss"], len(programs._compiled)

    programs.clear()  # no more than so many are kept, and here it counts how many
    (first, count), again, (_, more) = fitted(Outer), fitted(Outer), fitted(Other)
    assert again == (first, count) and more > count
