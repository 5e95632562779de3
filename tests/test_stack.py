"""The stack itself: how it is put together, built, called, looked at, taken apart and put together again."""

import copy
import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from programs import program_1, program_2

import lamina
from lamina import layers
from lamina.errors import ArgumentError, CallError, FixedError, LaminaWarning, NotBuiltError, ShapeError, StackError

warnings_off = pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")

X = np.random.default_rng(0).normal(size=(12, 8)).astype("float32")
Y = np.random.default_rng(1).normal(size=(12, 2)).astype("float32")


def small(package=lamina, **told):
    lay = package.layers
    return package.Sequential([lay.Input((8,)), lay.Dense(4, activation="tanh"), lay.Dense(2)], **told)


def compiled(model):
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    return model


def train(model, epochs=2):
    return compiled(model).fit(X, Y, epochs=epochs, batch_size=4, shuffle=False, verbose=0)


def assert_same(a, b, **close):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, **(close or {"rtol": 0, "atol": 0}))


# Putting together.


def test_add_pop_and_a_list_make_equal_stacks():
    lamina.utils.set_random_seed(1)
    listed = small()
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential()
    assert model.layers == [] and not model.built
    assert model.add(layers.Input((8,))) is None
    model.add(layers.Dense(4, activation="tanh"))
    assert model.output_shape == (None, 4)  # known on the line that adds the layer
    model.add(layers.Dense(2))
    assert model.get_config() | {"name": ""} == listed.get_config() | {"name": ""}
    assert_same(model.get_weights(), listed.get_weights())
    top = model.layers[-1]
    assert model.pop() is top and model.output_shape == (None, 4) and len(model.layers) == 1
    assert model.predict(X).shape == (12, 4)
    assert model.pop().name == "dense" and not model.built
    with pytest.raises(StackError, match=r"no layer that pop\(\) could remove"):
        model.pop()
    model.add(layers.Dense(3))
    assert model.output_shape == (None, 3) and model.predict(X).shape == (12, 3)


def test_layers_is_a_copy_and_cannot_be_set():
    model = small()
    model.layers.clear()
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    with pytest.raises(FixedError, match=r"add\(layer\) and pop\(\)") as caught:
        model.layers = []
    assert isinstance(caught.value, AttributeError)  # what Keras raises
    assert len(model.layers) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: [layers.Input((8,)), layers.Dense(3)],
        lambda: [layers.Input(shape=[8]), layers.Dense(3)],
        lambda: [layers.Input(batch_shape=(None, 8)), layers.Dense(3)],
        lambda: [layers.InputLayer(shape=(8,)), layers.Dense(3)],
        lambda: [layers.InputLayer(input_shape=(8,)), layers.Dense(3)],
        lambda: [layers.Dense(3, input_shape=(8,))],
        lambda: [layers.Dense(3, input_shape=[8])],
        lambda: [layers.Dense(3, input_dim=8)],
        lambda: [layers.Dense(3, batch_input_shape=(None, 8))],
    ],
)
def test_every_way_to_say_the_inputs_shape(make):
    model = lamina.Sequential(make())
    assert model.built and model.input_shape == (None, 8) and model.output_shape == (None, 3)
    assert [w.shape for w in model.weights] == [(8, 3), (3,)]
    assert len(model.layers) == 1  # the Input is not among them
    assert model.predict(X).shape == (12, 3)


def test_a_stack_of_built_layers_has_their_weights_before_it_is_built():
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(3), layers.Dense(2)])
    features = lamina.Sequential(model.layers[:-1])
    assert not features.built and [w.shape for w in features.weights] == [(8, 3), (3,)]
    np.testing.assert_array_equal(features.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("first_use", ["call", "predict", "fit", "evaluate", "build", "train_on_batch"])
def test_deferred_building(first_use):
    model = compiled(lamina.Sequential([layers.Dense(3), layers.Dense(2)]))
    assert not model.built
    for read in ("weights", "variables", "trainable_weights", "non_trainable_variables"):
        assert getattr(model, read) == []
    assert model.get_weights() == []
    for read in ("input_shape", "output_shape"):
        with pytest.raises(NotBuiltError, match="Input"):
            getattr(model, read)
        assert not hasattr(model, read)
    with pytest.raises(NotBuiltError, match="has no weights yet"):
        model.count_params()
    use = {
        "call": lambda: model(X),
        "predict": lambda: model.predict(X),
        "fit": lambda: model.fit(X, Y, verbose=0),
        "evaluate": lambda: model.evaluate(X, Y, verbose=0),
        "build": lambda: model.build((None, 8)),
        "train_on_batch": lambda: model.train_on_batch(X, Y),
    }[first_use]
    use()
    assert model.built and (model.input_shape, model.output_shape) == ((None, 8), (None, 2))
    assert model.count_params() == 8 * 3 + 3 + 3 * 2 + 2


def test_build():
    model = lamina.Sequential([layers.Dense(3)])
    with pytest.raises(ArgumentError, match=re.escape("build((None, 16))")):
        model.build(8)
    model.build([None, 8])
    model.build((None, 8))  # again is no mistake
    model.build()
    with pytest.raises(ShapeError, match=r"built for \(None, 8\).*got \(None, 9\)"):
        model.build((None, 9))
    with pytest.raises(StackError, match="has no layers"):
        lamina.Sequential().build((None, 8))
    assert model.predict(X).shape == (12, 3)


def test_a_deferred_stack_that_does_not_fit_its_first_data_waits_for_better():
    class Pairs(layers.Layer):
        def call(self, x):
            return x @ jnp.ones((8, 2))

    model = lamina.Sequential([layers.BatchNormalization(), Pairs()])
    with pytest.raises(ShapeError, match=r"layer 2 \(pairs: Pairs\)"):
        model(X[:, :7])
    assert not model.built and not any(layer.built for layer in model.layers)
    assert model(X).shape == (12, 2)


def test_a_layer_that_fails_is_not_added():
    model = lamina.Sequential()
    for _ in range(2):
        with pytest.raises(ShapeError, match=r"Input\(\(n,\)\)"):
            model.add(layers.Dense(3, input_shape=(None,)))
        assert model.layers == []
    model.add(layers.Dense(3, input_shape=(8,)))
    layer = layers.Reshape((7,))
    with pytest.raises(ShapeError, match="3 elements"):
        model.add(layer)
    assert model.output_shape == (None, 3) and len(model.layers) == 1 and layer.get_build_config() is None


# Names.


def test_names_count_within_a_model():
    for _ in range(2):
        model = lamina.Sequential([layers.Dense(2), layers.ReLU(), layers.Dense(2), layers.Dense(2)])
        assert [layer.name for layer in model.layers] == ["dense", "re_lu", "dense_1", "dense_2"]
        assert model.name == "sequential"
    assert small(name="mine").name == "mine"
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(2, name="dense_1"), layers.Dense(2), layers.Dense(2)])
    assert [layer.name for layer in model.layers] == ["dense_1", "dense", "dense_2"]


def test_weights_are_named_by_the_layers_around_them():
    inner = lamina.Sequential([layers.Input((4,)), layers.Dense(2)], name="inner")
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(4), inner], name="outer")
    paths = ["outer/dense/kernel", "outer/dense/bias", "outer/inner/dense/kernel", "outer/inner/dense/bias"]
    assert [w.path for w in model.weights] == paths
    assert [w.name for w in model.weights] == ["kernel", "bias"] * 2


def test_names_stay_apart_where_models_share_layers():
    base = lamina.Sequential([layers.Input((8,)), layers.Dense(8), layers.Dense(8), layers.Dense(8)])
    for shared in (base.layers, base.layers[:1], base.layers[1:2]):
        model = lamina.Sequential([layers.Input((8,)), layers.Dense(8), *shared])
        for each in (base, model):
            names = [layer.name for layer in each.layers]
            assert len(set(names)) == len(names)
            again = lamina.Sequential.from_config(each.get_config())
            assert [layer.name for layer in again.layers] == names
        assert all(layer in base.layers for layer in model.layers[1:])


def test_get_layer():
    model = small()
    first, second = model.layers
    assert model.get_layer("dense_1") is second and model.get_layer(index=0) is first
    assert model.get_layer(index=-1) is second and model.get_layer(name="dense") is first
    with pytest.raises(ArgumentError, match=r"'dens_1'.*Did you mean 'dense_1'\?.*: dense, dense_1"):
        model.get_layer("dens_1")
    with pytest.raises(ArgumentError, match="2 layers; got the index 2"):
        model.get_layer(index=2)
    for told in ({}, {"name": "dense", "index": 0}):
        with pytest.raises(ArgumentError, match="a name or an index"):
            model.get_layer(**told)


# Calling.


def test_calling_it_in_every_way_equals_keras():
    model, other = small(), small(keras)
    other.set_weights(model.get_weights())
    want = np.asarray(other(X))
    for x in (X, X.tolist(), jnp.asarray(X), X.astype("float64")):
        y = model(x)
        assert isinstance(y, jax.Array) and y.dtype == jnp.float32
        np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(model)(X), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(lambda row: model(row[None])[0])(X), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(model(X, training=True), want, rtol=1e-6, atol=1e-6)
    mine = jax.grad(lambda x: model(x).sum())(jnp.asarray(X))
    its = jax.grad(lambda x: other(x).sum())(jnp.asarray(X))
    np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


def test_integers_come_as_numbers():
    model = small()
    whole = np.arange(16).reshape(2, 8)
    np.testing.assert_allclose(model(whole), model(whole.astype("float32")), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(model)(whole), model(whole), rtol=1e-5)


def test_stateless_call_is_call_as_a_pure_function():
    model = lamina.Sequential([layers.Input((8,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)])
    trained, kept = ([jnp.asarray(w) for w in ws] for ws in (model.trainable_weights, model.non_trainable_weights))
    before = model.get_weights()
    y, after = model.stateless_call(trained, kept, X)
    np.testing.assert_allclose(y, model(X), rtol=1e-6, atol=1e-6)
    assert_same(after, kept)
    y, after, losses = model.stateless_call(trained, kept, X, training=True, return_losses=True)
    assert losses == [] and not np.allclose(after[0], kept[0])
    assert_same(model.get_weights(), before)
    np.testing.assert_allclose(model(X, training=True), y, rtol=1e-6, atol=1e-6)
    assert_same([w.numpy() for w in model.non_trainable_weights], after, rtol=1e-6, atol=1e-7)

    grads = jax.jit(jax.grad(lambda p: model.stateless_call(p, kept, X)[0].sum()))(trained)
    assert [g.shape for g in grads] == [w.shape for w in model.trainable_weights]
    np.testing.assert_allclose(grads[-1], [12, 12], rtol=1e-6)
    with pytest.raises(ArgumentError, match="6 trainable and 2 non-trainable variables; got arrays for 5 and 2"):
        model.stateless_call(trained[1:], kept, X)


def test_program_2_says_what_it_lacks_until_it_is_called():
    model = program_2(lamina, layers)
    assert repr(model.layers) == "[Dense(1, activation='relu'), Dense(2, activation='relu'), Dense(3)]"
    shown = []
    model.summary(print_fn=shown.append)
    assert "0 (unbuilt)" in shown[0]
    assert model(np.ones((3, 3))).shape == (3, 3)
    assert [w.shape for w in model.weights] == [(3, 1), (1,), (1, 2), (2,), (2, 3), (3,)]
    model.summary(print_fn=shown.append)
    assert "unbuilt" not in shown[1]


# Looking at it.


def test_summary_counts_as_keras_does():
    def text(package):
        lay = package.layers
        model = package.Sequential(
            [lay.Input((8,)), lay.Dense(4, name="a"), lay.BatchNormalization(name="b")], name="n"
        )
        model.layers[0].trainable = False
        shown = []
        model.summary(print_fn=shown.append)
        return shown[0]

    mine, its = text(lamina), text(keras)
    for pattern in (
        r"Total params: \d+ \(.*?\)",
        r"Trainable params: \d+ \(.*?\)",
        r"Non-trainable params: \d+ \(.*?\)",
    ):
        assert re.search(pattern, mine).group() == re.search(pattern, its).group()
    for part in ('Model: "n"', "a (Dense)", "b (BatchNormalization)", "(None, 4)", "36", "16"):
        assert part in mine and part in its


def test_repr_reads_like_the_program():
    model = small()
    assert repr(model) == "Sequential([Dense(4, activation='tanh'), Dense(2)])"
    assert repr(layers.Dense(3, name="top")) == "Dense(name='top', 3)"


@warnings_off
def test_weights_of_program_1_stand_in_kerass_order():
    ours, other = program_1(lamina, layers), program_1(keras, keras.layers)
    assert ours.count_params() == other.count_params()
    for kind in ("weights", "trainable_weights", "non_trainable_weights", "trainable_variables"):
        mine, its = getattr(ours, kind), getattr(other, kind)
        assert [(w.name, w.shape, str(w.dtype), w.trainable) for w in mine] == [
            (v.name, tuple(v.shape), v.dtype, v.trainable) for v in its
        ]
    other.set_weights(ours.get_weights())
    ours.set_weights(other.get_weights())
    x = np.random.default_rng(3).normal(size=(5, 63)).astype("float32")
    np.testing.assert_allclose(ours(x), other(x), rtol=1e-5, atol=1e-6)


def test_set_weights_takes_all_or_nothing():
    model = small()
    before = model.get_weights()
    before[0][:] += 1  # get_weights gives copies
    assert not np.allclose(before[0], model.get_weights()[0])
    model.set_weights(before)
    assert_same(model.get_weights(), before)
    with pytest.raises(ShapeError, match=r"(?s)4 weights, and got 3.*sequential/dense/kernel \(8, 4\)"):
        model.set_weights(before[:3])
    wrong = [w * 0 for w in before[:3]] + [np.zeros(3)]
    with pytest.raises(ShapeError, match=r"sequential/dense_1/bias has shape \(2,\), and got \(3,\)"):
        model.set_weights(wrong)
    assert_same(model.get_weights(), before)
    model.set_weights([w.tolist() for w in before])
    assert_same(model.get_weights(), before)


# Freezing.


def split(model):
    return [w.shape for w in model.trainable_weights], [w.shape for w in model.non_trainable_weights]


def nested(package):
    lay = package.layers
    inner = package.Sequential([lay.Input((4,)), lay.Dense(4), lay.BatchNormalization()], name="inner")
    return package.Sequential([lay.Input((8,)), lay.Dense(4, name="first"), inner, lay.Dense(2, name="last")])


@pytest.mark.parametrize(
    "freeze",
    [
        lambda m: setattr(m, "trainable", False),
        lambda m: setattr(m.layers[0], "trainable", False),
        lambda m: setattr(m.layers[1], "trainable", False),
        lambda m: setattr(m.layers[1].layers[1], "trainable", False),
        lambda m: (setattr(m, "trainable", False), setattr(m, "trainable", True)),
        lambda m: (setattr(m, "trainable", False), setattr(m.layers[0], "trainable", True)),
        lambda m: (setattr(m.layers[1], "trainable", False), setattr(m.layers[1].layers[0], "trainable", True)),
    ],
)
def test_trainable_reaches_down_as_in_keras(freeze):
    ours, other = nested(lamina), nested(keras)
    for model in (ours, other):
        freeze(model)
    assert split(ours) == split(other)
    assert ours.trainable == other.trainable
    for mine, its in zip(ours.layers, other.layers, strict=True):
        assert mine.trainable == its.trainable


def test_a_stack_made_frozen_stays_so():
    model, other = small(trainable=False), small(keras, trainable=False)
    assert split(model) == split(other) == ([], [(8, 4), (4,), (4, 2), (2,)])
    before = model.get_weights()
    with pytest.warns(lamina.errors.LaminaWarning, match="no weight of 'sequential' is trainable"):
        train(model)
    assert_same(model.get_weights(), before)


def test_freezing_works_at_the_next_fit_without_a_compile():
    model = compiled(nested(lamina))
    model.fit(X, Y, verbose=0)
    inner = model.get_layer("inner")
    inner.trainable = False
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [w.path.startswith("sequential/last") for w in model.weights]
    model.trainable = True
    model.fit(X, Y, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(after, model.get_weights(), strict=True))


# Configs.


def rich(package):
    lay, k = package.layers, package
    return k.Sequential(
        [
            lay.Input((3, 4), name="entry"),
            lay.Dense(6, "relu", kernel_regularizer="l2", bias_initializer="ones", name="a"),
            lay.Flatten(name="b"),
            lay.Reshape((9, 2), name="c"),
            lay.LeakyReLU(0.25, name="d"),
            lay.ReLU(6.0, name="e"),
            lay.Activation("tanh", name="f"),
            lay.Dropout(0.5, seed=3, name="g"),
            k.Sequential([lay.Dense(3, name="h"), lay.BatchNormalization(momentum=0.5, name="i")], name="inner"),
            lay.Flatten(name="j"),
            lay.Dense(2, kernel_initializer=k.initializers.HeNormal(seed=1), kernel_constraint="max_norm", name="k"),
            lay.Softmax(name="l"),
        ],
        name="net",
    )


LEFT_OUT = "module shared_object_id build_config compile_config".split()


def plain(config):
    """A config without what says nothing: where a class lives, and settings that are off."""
    if isinstance(config, dict):
        kept = {key: plain(value) for key, value in config.items() if key not in LEFT_OUT}
        return {
            key: value for key, value in kept.items() if value not in (None, False) and not key.startswith("renorm")
        }
    if isinstance(config, float):
        return float(np.float32(config))
    return [plain(item) for item in config] if isinstance(config, (list, tuple)) else config


def without_names(config):
    """Keras counts automatic names over all models, we within each."""
    if isinstance(config, dict):
        return {key: without_names(value) for key, value in config.items() if key != "name"}
    return [without_names(item) for item in config] if isinstance(config, list) else config


@warnings_off
@pytest.mark.parametrize("make", [rich, lambda k: program_1(k, k.layers), lambda k: program_2(k, k.layers)])
def test_config_equals_keras_and_each_loads_the_others(make):
    ours, other = make(lamina), make(keras)
    config = ours.get_config()
    assert without_names(plain(config)) == without_names(plain(other.get_config()))
    mine = lamina.Sequential.from_config(other.get_config())
    its = keras.Sequential.from_config(config)
    assert plain(its.get_config()) == plain(config)
    assert plain(mine.get_config()) == plain(other.get_config())
    assert mine.built == ours.built == its.built
    if ours.built:
        x = np.random.default_rng(0).normal(size=(3, *ours.input_shape[1:])).astype("float32")
        for model in (mine, its, other):
            model.set_weights(ours.get_weights())
            np.testing.assert_allclose(model(x), ours(x), rtol=1e-5, atol=1e-6)


def test_from_config_makes_fresh_weights_and_can_be_built():
    model = lamina.Sequential([layers.Dense(3)])
    again = lamina.Sequential.from_config(model.get_config())
    assert not again.built and again(X).shape == (12, 3)
    model = small(trainable=False, name="mine")
    again = lamina.Sequential.from_config(model.get_config())
    assert (again.name, again.trainable, again.built) == ("mine", False, True)
    assert not np.array_equal(again.get_weights()[0], model.get_weights()[0])


def test_from_config_refuses_what_there_is_not():
    config = small(keras).get_config()
    config["layers"][1]["config"]["quantization_config"] = {"mode": "int8"}
    with pytest.raises(ArgumentError, match="Dense has no quantization_config"):
        lamina.Sequential.from_config(config)
    config = small(keras).get_config()
    config["layers"][1]["class_name"] = "Dens"
    with pytest.raises(ValueError, match="Did you mean 'Dense'"):
        lamina.Sequential.from_config(config)


# Stacks within stacks, and layers in several.


def flat_and(make):
    """A flat stack and one that `make` builds from the same kinds of layers, with equal weights."""
    flat = lamina.Sequential(
        [layers.Input((8,)), layers.Dense(5, "tanh"), layers.BatchNormalization(), layers.Dense(2)]
    )
    other = make(layers.Dense(5, "tanh"), layers.BatchNormalization(), layers.Dense(2))
    other.build((None, 8))
    other.set_weights(flat.get_weights())
    return flat, other


S = lamina.Sequential
ENTRY = (8,)


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b, c: S([S([layers.Input(ENTRY), a, b]), c]),
        lambda a, b, c: S([S([a, b]), c]),
        lambda a, b, c: S([layers.Input(ENTRY), S([a, b]), c]),
        lambda a, b, c: S([layers.Input(ENTRY), a, S([b, c])]),
        lambda a, b, c: S([a, S([layers.Input((5,)), b]), c]),
        lambda a, b, c: S([S([S([layers.Input(ENTRY), a]), b]), S([c])]),
    ],
    ids=["first, built", "first, deferred", "after Input", "last", "in the middle, built", "three deep"],
)
def test_a_stack_in_a_stack_trains_like_the_flat_one(make):
    flat, other = flat_and(make)
    assert other.input_shape == (None, 8) and other.output_shape == (None, 2)
    assert other.count_params() == flat.count_params()
    histories = [train(model, 3).history["loss"] for model in (flat, other)]
    np.testing.assert_allclose(*histories, rtol=1e-6)
    assert_same(flat.get_weights(), other.get_weights(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(flat.predict(X), other.predict(X), rtol=1e-5, atol=1e-6)
    again = lamina.Sequential.from_config(other.get_config())
    again.set_weights(other.get_weights())
    np.testing.assert_array_equal(again.predict(X), other.predict(X))


def test_a_built_stack_brings_its_input_shape_with_it():
    model = S([S([layers.Input((8,)), layers.Dense(3)]), layers.Dense(2)])
    assert model.built and model.input_shape == (None, 8)
    assert model.weights[0].path == "sequential/sequential/dense/kernel"
    with pytest.raises(ShapeError, match=r"(?s)layer 2.*takes \(None, 9\)"):
        S([layers.Input((8,)), layers.Dense(3), S([layers.Input((9,)), layers.Dense(2)])])
    with pytest.raises(StackError, match="a stack cannot contain itself"):
        model.add(model)


def test_a_feature_extractor_shares_its_layers_with_the_model():
    model = small()
    features = S([layers.Input((8,)), *model.layers[:-1]])
    fresh = S(model.layers[:-1])  # without an Input, the first data decides
    assert features.layers[0] is model.layers[0]
    before = features.predict(X)
    train(model)
    after = features.predict(X)
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(after, fresh.predict(X))
    np.testing.assert_allclose(after @ model.get_weights()[2] + model.get_weights()[3], model.predict(X), rtol=1e-5)
    top = layers.Dense(2)
    head = S([features, top])
    features.trainable = False
    train(head)
    np.testing.assert_array_equal(features.predict(X), after)
    assert model.trainable_weights == model.layers[1].weights  # the layer itself is frozen, in both


def test_sharing_layers_leaves_their_weights_paths_and_moments():
    model = small()
    model.compile(lamina.optimizers.Adam(), "mse")
    model.fit(X, Y, verbose=0)
    paths, moments = [w.path for w in model.weights], model.optimizer._lamina_arrays["slots"]
    assert len(set(paths)) == 4 == len(moments)
    S([layers.Input((8,)), *model.layers[:-1]], name="features").predict(X)
    S([layers.Input((8,)), *model.layers], name="copy").predict(X)
    assert [w.path for w in model.weights] == paths
    model.layers[1].trainable = False  # so that the next fit has to look at everything again
    model.fit(X, Y, epochs=2, verbose=0)
    model.layers[1].trainable = True
    model.fit(X, Y, verbose=0)
    assert model.optimizer._lamina_arrays["slots"].keys() == moments.keys()
    assert int(model.optimizer._lamina_arrays["iteration"]) == 4
    kept = [name for name in moments if "dense_1" in name]
    assert all(np.abs(model.optimizer._lamina_arrays["slots"][name]["velocity"]).max() > 0 for name in kept)


def test_a_shared_layer_does_not_carry_one_models_sizes_into_another():
    shared = layers.Dense(4)
    free = S([layers.Input((None, 8)), shared])
    S([layers.Input((5, 8)), shared])
    free.add(layers.Dense(2))
    assert free.output_shape == (None, None, 2) and free.input_shape == (None, None, 8)
    assert free.predict(np.ones((2, 7, 8))).shape == (2, 7, 2)


def test_a_variable_time_axis():
    model, other = (
        p.Sequential([p.Input((None, 8)), p.layers.Dense(3, "relu"), p.layers.Dense(2)]) for p in (lamina, keras)
    )
    other.set_weights(model.get_weights())
    assert model.input_shape == other.input_shape and model.output_shape == other.output_shape == (None, None, 2)
    for time in (1, 5, 9):
        x = np.random.default_rng(time).normal(size=(4, time, 8)).astype("float32")
        assert model.predict(x).shape == (4, time, 2)
        np.testing.assert_allclose(model(x), other(x), rtol=1e-5, atol=1e-6)
        compiled(model).fit(x, np.zeros((4, time, 2)), verbose=0)
        other.set_weights(model.get_weights())
    with pytest.raises(ShapeError, match=r"takes \(None, None, 8\).*\(4, 5, 7\)"):
        model.predict(np.ones((4, 5, 7)))


# Changing it after it was used.


def test_add_and_pop_after_training():
    model = small()
    train(model)
    kept = model.layers[0].get_weights()
    model.pop()
    np.testing.assert_allclose(model.predict(X), np.tanh(X @ kept[0] + kept[1]), rtol=1e-4, atol=1e-5)
    model.add(layers.Dense(3))
    assert model.predict(X).shape == (12, 3)
    assert_same(model.layers[0].get_weights(), kept)
    model.fit(X, np.zeros((12, 3)), verbose=0)  # no second compile
    assert not np.allclose(model.layers[0].get_weights()[0], kept[0])
    assert model.evaluate(X, np.zeros((12, 3)), verbose=0) > 0


@pytest.mark.parametrize(
    ("layer", "change", "want"),
    [
        (layers.ReLU, ("max_value", 0.5), lambda x: np.clip(x, 0, 0.5)),
        (lambda: layers.LeakyReLU(0.5), ("negative_slope", 0.25), lambda x: np.where(x > 0, x, 0.25 * x)),
        (lambda: layers.Activation("relu"), ("activation", jnp.sin), np.sin),
        (lambda: layers.Lambda(lambda x, f: f * x, arguments={"f": 2.0}), ("arguments", {"f": 3.0}), lambda x: 3 * x),
    ],
)
def test_a_changed_setting_takes_effect(layer, change, want):
    model = S([layers.Input((8,)), layer()])
    before = model.predict(X), np.asarray(model(X))
    setattr(model.layers[0], *change)
    for y in (model.predict(X), model(X)):
        np.testing.assert_allclose(y, want(X), rtol=1e-5, atol=1e-6)
    assert not np.allclose(before, want(X), atol=1e-3)


def test_a_changed_setting_within_a_nested_stack_takes_effect():
    inner = S([layers.Dense(8), layers.ReLU()])
    model = S([layers.Input((8,)), inner])
    assert model.predict(X).max() > 0.1
    inner.layers[1].max_value = 0.1
    assert model.predict(X).max() == np.float32(0.1)


SCALE = 1.0


def test_a_global_that_a_layer_reads_is_not_that_of_an_earlier_model(monkeypatch):
    """Compiled programs are shared between equal models, and these two only look equal."""

    class Scaled(layers.Layer):
        def call(self, x):
            return self.scaled(x)

        def scaled(self, x):
            return (lambda part: SCALE * part)(x)

    def models():
        return S([layers.Input((8,)), Scaled()]), S([layers.Input((8,)), layers.Lambda(lambda x: x * SCALE)])

    assert_same([model.predict(X) for model in models()], [X, X])
    monkeypatch.setattr("test_stack.SCALE", 3.0)
    assert_same([model.predict(X) for model in models()], [3 * X, 3 * X])


def test_subclasses_with_an_init_of_their_own():
    class Net(lamina.Sequential):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.add(layers.Input((8,)))
            for n in units:
                self.add(layers.Dense(n))

        def call(self, x, training=False, mask=None):
            return 2 * super().call(x, training=training, mask=mask)

    model = Net([4, 2], name="mine")
    assert model.name == "mine" and model.output_shape == (None, 2) and model.units == [4, 2]
    plain_stack = S([layers.Input((8,)), *model.layers])
    np.testing.assert_allclose(model.predict(X), 2 * plain_stack.predict(X), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(model)(X), model(X), rtol=1e-5, atol=1e-6)
    assert len(train(model).history["loss"]) == 2
    again = Net.from_config(model.get_config())
    assert isinstance(again, Net) and again.output_shape == (None, 2) and len(again.layers) == 2
    with pytest.raises(CallError, match="Did you mean 'name'"):
        Net([2], nam="x")


def test_a_copy_is_a_model_of_its_own():
    model = small()
    train(model)
    twin = copy.deepcopy(model)
    before = model.get_weights()
    assert_same(twin.get_weights(), before)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin.fit(X, Y, verbose=0)
    assert_same(model.get_weights(), before)
    assert not np.allclose(twin.get_weights()[0], before[0])


def test_an_inner_layer_whose_input_shape_is_another_one_is_warned_of():
    for wrong in ({"input_shape": (9,)}, {"input_dim": 9}, {"batch_input_shape": (2, 5, 4)}):
        said = r"'dense_1' was given input_shape=.*, but its input has shape \(4,\)\. A stack only"
        with pytest.warns(LaminaWarning, match=said):
            lamina.Sequential([layers.Input((8,)), layers.Dense(4), layers.Dense(3, **wrong)])
    lamina.Sequential([layers.Input((8,)), layers.Dense(4, input_shape=(8,)), layers.Dense(3, input_shape=(None,))])


@pytest.mark.parametrize("shape", [7, (), "ab", None, {}])
def test_a_batch_shape_is_a_tuple_with_the_batch_axis(shape):
    with pytest.raises(ArgumentError, match=r"batch_shape is a tuple with the batch axis|Input needs the shape"):
        layers.Input(batch_shape=shape)
    with pytest.raises(ArgumentError, match="every size is a whole number of at least 1"):
        layers.Input(batch_shape=("x", 3))
