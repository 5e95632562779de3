"""A seed that was given: draws are a function of it, of the step and of the number of the draw in the step alone."""

import copy
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina.saving import load_model

os.environ["KERAS_BACKEND"] = "jax"
import keras

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(32, 6)).astype("float32")
SERIES = RNG.normal(size=(32, 5, 4)).astype("float32")
IMAGES = RNG.uniform(0, 255, size=(8, 6, 6, 3)).astype("float32")


def own_layer(library, seed=1, draws=1):
    class Own(library.layers.Layer):
        def __init__(self, **told):
            super().__init__(**told)
            self.seeds = library.random.SeedGenerator(seed)

        def call(self, x, training=False):
            for _ in range(draws if training else 0):
                x = library.random.dropout(x, 0.5, seed=self.seeds)
            return x

    return Own()


def attention(library, seed):
    class Block(library.layers.Layer):
        def __init__(self):
            super().__init__()
            self.attention = library.layers.MultiHeadAttention(2, 3, dropout=0.5, seed=seed)

        def build(self, shape):
            self.attention.build(shape, shape)
            self.built = True

        def call(self, x, training=False):
            return self.attention(x, x, training=training)

    return Block()


LAYERS = {
    "Dropout": (lambda k, seed: k.layers.Dropout(0.5, seed=seed), ROWS),
    "GaussianNoise": (lambda k, seed: k.layers.GaussianNoise(1.0, seed=seed), ROWS),
    "GaussianDropout": (lambda k, seed: k.layers.GaussianDropout(0.5, seed=seed), ROWS),
    "AlphaDropout": (lambda k, seed: k.layers.AlphaDropout(0.5, seed=seed), ROWS),
    "SpatialDropout1D": (lambda k, seed: k.layers.SpatialDropout1D(0.5, seed=seed), SERIES),
    "SpatialDropout2D": (lambda k, seed: k.layers.SpatialDropout2D(0.5, seed=seed), IMAGES),
    "LSTM": (lambda k, seed: k.layers.LSTM(3, dropout=0.5, recurrent_dropout=0.4, seed=seed), SERIES),
    "GRU": (lambda k, seed: k.layers.GRU(3, dropout=0.5, seed=seed), SERIES),
    "SimpleRNN": (lambda k, seed: k.layers.SimpleRNN(3, recurrent_dropout=0.5, seed=seed), SERIES),
    "Bidirectional": (lambda k, seed: k.layers.Bidirectional(k.layers.GRU(3, dropout=0.5, seed=seed)), SERIES),
    "RNN of a cell": (lambda k, seed: k.layers.RNN(k.layers.LSTMCell(3, dropout=0.5, seed=seed)), SERIES),
    "TimeDistributed": (lambda k, seed: k.layers.TimeDistributed(k.layers.Dropout(0.5, seed=seed)), SERIES),
    "RandomBrightness": (lambda k, seed: k.layers.RandomBrightness(0.5, seed=seed), IMAGES),
    "RandomTranslation": (lambda k, seed: k.layers.RandomTranslation(0.4, 0.4, seed=seed), IMAGES),
    "RandomFlip": (lambda k, seed: k.layers.RandomFlip(seed=seed), IMAGES),
    "RandomCrop": (lambda k, seed: k.layers.RandomCrop(3, 3, seed=seed), IMAGES),
    "MultiHeadAttention": (attention, SERIES),
    "a SeedGenerator": (own_layer, ROWS),
    "a model in a model": (lambda k, seed: k.Sequential([k.layers.Dropout(0.5, seed=seed)]), ROWS),
}  # fmt: skip
SLOW = (
    *("GRU", "SimpleRNN", "Bidirectional", "RNN of a cell", "TimeDistributed", "RandomTranslation", "RandomCrop"),
    *("GaussianDropout", "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "RandomBrightness"),
)
kinds = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.nightly) if kind in SLOW else kind for kind in LAYERS]
)


def model_of(library, kind, seed=1):
    make, x = LAYERS[kind]
    line = [library.Input(x.shape[1:]), make(library, seed), library.layers.Flatten()]
    model = library.Sequential([*line, library.layers.Dense(1)])
    shapes = [weight.shape for weight in model.weights]
    model.set_weights([np.random.default_rng(7).normal(0, 0.3, shape) for shape in shapes])
    model.compile(library.optimizers.SGD(0.0), "mse")
    return model, x


def losses(library, kind, seed=1, epochs=3):
    model, x = model_of(library, kind, seed)
    y = np.zeros((len(x), 1), "float32")
    return model.fit(x, y, batch_size=len(x), epochs=epochs, shuffle=False, verbose=0).history["loss"]


@kinds
def test_equal_models_draw_the_same_in_fit(kind):
    first = losses(lamina, kind)
    assert losses(lamina, kind) == first
    assert len(set(first)) == 3  # another draw in each step
    assert losses(lamina, kind, seed=2) != first
    free = [losses(lamina, kind, seed=None)[0] for _ in range(2)]
    assert kind == "a SeedGenerator" or free[0] != free[1]


@pytest.mark.parametrize("kind", ["Dropout", "RandomBrightness", "a SeedGenerator"])
def test_keras_does_the_same(kind):
    first = losses(keras, kind)
    assert losses(keras, kind) == first
    assert len(set(first)) == 3
    assert losses(keras, kind, seed=2) != first


@kinds
def test_calls_by_hand_count_for_themselves(kind):
    make, x = LAYERS[kind]
    layers = [make(lamina, 1) for _ in range(2)]
    layers[0](x)
    layers[1](x)
    layers[1].set_weights(layers[0].get_weights()) if layers[0].weights else None
    first, second = ([np.asarray(layer(x, training=True)) for _ in range(3)] for layer in layers)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first[0] != first[1]).any() and (first[1] != first[2]).any()


def test_a_model_by_hand_and_on_a_batch():
    models = [model_of(lamina, "Dropout")[0] for _ in range(2)]
    found = [
        [np.asarray(model(ROWS, training=True)) for _ in range(2)] + [model.train_on_batch(ROWS, ROWS[:, :1])] * 2
        for model in models
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["Dropout", "LSTM", "a SeedGenerator", "GaussianNoise"])
def test_stateless_call_draws_what_fit_draws(kind):
    model, x = model_of(lamina, kind)
    twin, _ = model_of(lamina, kind)
    kept = [weight.value for weight in twin.non_trainable_variables]
    trained = [weight.value for weight in twin.trainable_variables]

    @jax.jit
    def loss(kept):
        y, after = twin.stateless_call(trained, kept, x, training=True)
        return jnp.mean(y**2), after

    found = []
    for _ in range(3):
        value, kept = loss(kept)
        found.append(float(value))
    y = np.zeros((len(x), 1), "float32")
    expected = model.fit(x, y, batch_size=len(x), epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_state_that_is_handed_in_is_the_one_that_counts():
    layer = lamina.layers.Dropout(0.5, seed=1)
    layer(ROWS)
    (state,) = layer.non_trainable_variables

    def draw(seed, step):
        return np.asarray(layer.stateless_call([], [np.array([seed, step], "uint32")], ROWS, training=True)[0])

    assert np.asarray(state).tolist() == [1, 0]
    np.testing.assert_array_equal(draw(1, 0), draw(1, 0))
    assert (draw(1, 0) != draw(1, 1)).any() and (draw(1, 0) != draw(2, 0)).any()


@pytest.mark.parametrize("library", [keras, lamina], ids=["keras", "lamina"])
def test_two_layers_of_one_seed_draw_the_same(library):
    ones = np.ones((4, 50), "float32")
    both = library.Sequential([library.Input((50,)), *(library.layers.Dropout(0.5, seed=3) for _ in range(2))])
    apart = library.Sequential([library.Input((50,)), *(library.layers.Dropout(0.5, seed=n) for n in (3, 4))])
    assert set(np.unique(np.asarray(both(ones, training=True)))) == {0, 4}
    assert np.mean(np.asarray(both(ones, training=True)) > 0) > 0.4
    assert np.mean(np.asarray(apart(ones, training=True)) > 0) < 0.4


@pytest.mark.parametrize("library", [keras, lamina], ids=["keras", "lamina"])
def test_each_draw_of_a_step_is_another_one(library):
    ones = np.ones((4, 100), "float32")
    found = np.asarray(own_layer(library, draws=2)(ones, training=True))
    assert 0.15 < np.mean(found > 0) < 0.35


def test_a_layer_that_is_called_twice_in_a_step():
    class Twice(lamina.layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = lamina.layers.Dropout(0.5, seed=1)

        def call(self, x, training=False):
            return self.drop(self.drop(x, training=training), training=training)

    assert 0.15 < np.mean(np.asarray(Twice()(np.ones((4, 100)), training=True)) > 0) < 0.35


class TwoViews(lamina.Sequential):
    """Calls itself twice in a step."""

    def train_step(self, data):
        one, two = (self(data, training=True) for _ in range(2))
        return {"loss": jnp.mean((one - two) ** 2), "one": jnp.mean(one), "two": jnp.mean(two)}


def test_a_step_of_ones_own():
    def run():
        model = TwoViews([lamina.Input((6,)), lamina.layers.Dropout(0.5, seed=1)])
        model.compile("sgd")
        return model.fit(ROWS, epochs=2, batch_size=32, shuffle=False, verbose=0).history

    history = run()
    assert run() == history
    assert min(history["loss"]) > 0.1 and len({*history["one"], *history["two"]}) == 4


@pytest.mark.parametrize("kind", ["Dropout", "LSTM", "a SeedGenerator"])
def test_after_a_copy_or_a_load_training_goes_on_with_the_same_draws(kind, tmp_path):
    model, x = model_of(lamina, kind)
    y = np.zeros((len(x), 1), "float32")
    arguments = {"batch_size": len(x), "shuffle": False, "verbose": 0}
    whole = model.fit(x, y, epochs=4, **arguments).history["loss"]
    begun, _ = model_of(lamina, kind)
    begun.fit(x, y, epochs=2, **arguments)
    goes_on = [copy.deepcopy(begun)]
    if kind != "a SeedGenerator":
        begun.save(tmp_path / "a.keras")
        goes_on.append(load_model(tmp_path / "a.keras"))
    for each in goes_on:
        assert each.fit(x, y, epochs=2, **arguments).history["loss"] == whole[2:]


class Die(lamina.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise ZeroDivisionError


def test_a_run_that_was_killed_goes_on_to_the_bit(tmp_path):
    def run(folder, *callbacks):
        line = [lamina.Input((6,)), lamina.layers.Dropout(0.5, seed=1), own_layer(lamina, 2), lamina.layers.Dense(1)]
        model = lamina.Sequential(line)
        model.layers[-1].kernel.assign(np.ones((6, 1)))
        model.compile("adam", "mse")
        told = {"epochs": 4, "batch_size": 8, "shuffle": False, "verbose": 0, "checkpoint": folder}
        return model.fit(ROWS, ROWS[:, :1], callbacks=[*callbacks], **told).history["loss"], model.get_weights()

    whole = run(None)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Die())
    again = run(tmp_path)
    assert again[0] == whole[0]
    np.testing.assert_array_equal(again[1][0], whole[1][0])


def test_models_that_share_programs_draw_by_their_seeds():
    def build(seed):
        model = lamina.Sequential([lamina.Input((6,)), lamina.layers.Dropout(0.5, seed=seed), lamina.layers.Dense(1)])
        model.layers[-1].kernel.assign(np.ones((6, 1)))
        model.compile(lamina.optimizers.SGD(0.0), "mse")
        return model

    told = {"epochs": 2, "batch_size": 32, "shuffle": False, "verbose": 0}
    alone = [build(seed).fit(ROWS, ROWS[:, :1], **told).history["loss"] for seed in (1, 2, 1)]
    assert alone[0] == alone[2] != alone[1]


def test_a_sweep_over_seeds_shares_a_program_and_draws_by_each():
    def build(seed):
        dense = lamina.layers.Dense(1, kernel_initializer="ones")
        model = lamina.Sequential([lamina.Input((6,)), lamina.layers.Dropout(0.5, seed=seed), dense])
        model.compile(lamina.optimizers.SGD(0.0), "mse")
        return model

    told = {"batch_size": 32, "shuffle": False, "verbose": 0}
    seeds = [1, 2, 3, 1]
    alone = [build(seed).fit(ROWS, ROWS[:, :1], **told).history["loss"] for seed in seeds]
    swept = lamina.sweep(build, {"seed": seeds}, ROWS, ROWS[:, :1], monitor="loss", **told)
    assert [[row["loss"]] for row in sorted(swept.rows, key=lambda row: row["seed"])] == [
        alone[n] for n in (0, 3, 1, 2)
    ]
    assert len({row["loss"] for row in swept.rows}) == 3


def test_the_members_of_an_ensemble_draw_the_same_from_a_given_seed_and_differ_else():
    def members(seed, initializer):
        kind = lamina.layers
        dense = kind.Dense(1, kernel_initializer=initializer)
        model = lamina.Sequential([lamina.Input((6,)), kind.Dropout(0.5, seed=seed), dense])
        model.compile(lamina.optimizers.SGD(0.0), "mse")
        histories = lamina.Ensemble(model, 3).fit(ROWS, ROWS[:, :1], batch_size=32, shuffle=False, verbose=0)
        return {history.history["loss"][0] for history in histories}

    assert len(members(1, "ones")) == 1
    assert len(members(None, "ones")) == len(members(1, "glorot_uniform")) == 3


def test_in_inference_as_well():
    class Always(lamina.layers.Layer):
        def __init__(self, seed):
            super().__init__()
            self.seeds = lamina.random.SeedGenerator(seed)

        def call(self, x):
            return lamina.random.dropout(x, 0.5, seed=self.seeds)

    def found(seed):
        model = lamina.Sequential([lamina.Input((6,)), Always(seed)])
        model.compile("sgd", "mse")
        predicted = [model.predict(ROWS, verbose=0) for _ in range(2)]
        return [*predicted, np.array(model.evaluate(ROWS, ROWS, batch_size=8, verbose=0))]

    first = found(1)
    for one, other in zip(found(1), first, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first[0] != first[1]).any() and (found(2)[0] != first[0]).any()
