"""What Keras's own tests found here: each beside Keras."""

import warnings

import jax
import keras
import numpy as np
import pytest

import lamina
from lamina import Input, Layer, Sequential, layers, ops
from lamina.errors import LaminaError

BOTH = keras, lamina


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("GroupNormalization", {"groups": 2}), ("LayerNormalization", {}), ("BatchNormalization", {}),
        ("RMSNormalization", {}), ("UnitNormalization", {}),
    ],
)  # fmt: skip
def test_a_normalization_in_16_bits_of_numbers_that_float16_lacks_is_keras(kind, told, policy):
    x = np.array([[[70000, 60000, 1, 2], [5, 6, 7, 70001]]], "float32")
    made = [getattr(each.layers, kind)(dtype=policy, **told) for each in BOTH]
    theirs, ours = (layer(x) for layer in made)
    assert str(theirs.dtype) == str(ours.dtype)
    np.testing.assert_allclose(*(np.asarray(y, "float32") for y in (theirs, ours)), atol=2e-2, rtol=1e-2)
    assert [layer.autocast for layer in made] == [made[0].autocast] * 2
    assert "autocast" not in made[1].get_config()


def test_integers_are_normalized_as_floats():
    x = np.array([[1, 2, 3, 7]])  # Keras's GroupNormalization makes 0 of them
    for kind, told in (("GroupNormalization", {"groups": 2}), ("LayerNormalization", {})):
        theirs = getattr(keras.layers, kind)(**told)(x.astype("float32"))
        ours = getattr(layers, kind)(**told)(x)
        assert ours.dtype == "float32"
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 2, 1), (2, 1, 3), (1, 2, 3), (2, 2, 3)])
def test_a_mask_of_size_1_on_an_axis_counts_for_all_of_it(shape):
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype("float32")
    mask = np.ones(shape, "float32")
    mask.flat[0] = 0
    made = [each.layers.BatchNormalization(momentum=0.5) for each in BOTH]
    theirs, ours = (layer(x, training=True, mask=mask) for layer in made)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    for before, after in zip(made[0].weights, made[1].weights, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(LaminaError, match="mask that begins as its input"):
        layers.BatchNormalization()(np.ones((2, 2, 3, 4)), training=True, mask=np.ones((2, 3)))


def test_an_argument_may_be_called_cls_or_self():
    class Own(Layer):
        def __init__(this, cls=3, self=4, **kwargs):
            super().__init__(**kwargs)
            this.told = cls, self

    class Stack(Sequential):
        def __init__(self, cls=3):
            super().__init__()
            self.told = cls

    class Penalty(lamina.regularizers.Regularizer):
        def __init__(this, self=1, cls=2):
            this.told = self, cls

    for own in (Own(cls=5, self=6), Own.from_config(Own(cls=5, self=6).get_config()), Penalty(self=5, cls=6)):
        assert own.told == (5, 6)
    assert Stack(cls=5).told == 5


MERGING = "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"


@pytest.mark.parametrize("kind", MERGING)
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


def test_a_layer_without_masks_within_time_distributed_loses_none():
    class Double(Layer):
        def call(self, x):
            return x * 2

    x = np.ones((2, 5, 4), "float32")
    x[:, 3:] = 0
    model = Sequential([Input((5, 4)), layers.Masking(), layers.TimeDistributed(Double()), layers.LSTM(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = model(x)
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((2, 2)), verbose=0)
    lstm = layers.LSTM(2)
    lstm.build((None, 5, 4))
    short = Sequential([Input((3, 4)), lstm])
    weights = Sequential([Input((5, 4)), layers.LSTM(2)]).get_weights()
    lstm.set_weights(weights)
    model.set_weights(weights)
    np.testing.assert_allclose(model(x), short(2 * x[:, :3]), atol=1e-6)
    assert y.shape == (2, 2)


@pytest.mark.parametrize("asks", [False, True])
def test_a_given_layer_that_is_built_twice_is_named(asks, tmp_path):
    """Keras refuses it too, but does not say what is built twice; it was built from the file before."""

    class Around(Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def build(self, shape):
            if not (asks and self.inner.built):
                self.inner.build(shape)

        def call(self, x):
            return self.inner(x)

        def get_config(self):
            return super().get_config() | {"inner": layers.serialize(self.inner)}

        @classmethod
        def from_config(cls, config):
            return cls(**config | {"inner": layers.deserialize(config["inner"])})

    model, path = Sequential([Input((4,)), Around(layers.Dense(8))]), tmp_path / "model.keras"
    model.save(path)

    def load():
        return lamina.models.load_model(path, custom_objects={"Around": Around})

    if asks:
        np.testing.assert_array_equal(load()(np.ones((1, 4))), model(np.ones((1, 4))))
        return
    with pytest.raises(LaminaError, match="'dense' was built twice") as caught:
        load()
    assert "if not self.inner.built" in str(caught.value)


class Told:
    """What the tests of `overwrite_with_gradient` do in both libraries: a weight whose gradient says its new value."""

    @staticmethod
    def optimizer(library, kind="SGD", scaled=False, **settings):
        made = getattr(library.optimizers, kind)(**settings)
        return library.optimizers.LossScaleOptimizer(made, initial_scale=4.0) if scaled else made

    @staticmethod
    def weights(library, number=2):
        made = [library.Variable(np.array([1.0, 2.0], "float32"), name=f"w{each}") for each in range(number)]
        made[0].overwrite_with_gradient = True
        return made


SETTINGS = [
    {"learning_rate": 0.5}, {"learning_rate": 0.5, "loss_scale_factor": 8.0}, {"learning_rate": 0.5, "clipnorm": 0.1},
    {"learning_rate": 0.5, "global_clipnorm": 0.1}, {"learning_rate": 0.5, "weight_decay": 0.1},
    {"learning_rate": 0.5, "gradient_accumulation_steps": 2}, {"kind": "Adam", "learning_rate": 0.5},
    {"learning_rate": 0.5, "scaled": True},
]  # fmt: skip


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_weight_that_is_overwritten_gets_its_gradient(settings, stateless):
    grads = [np.array(each, "float32") for each in ([[3, 4], [1, 1]], [[2, 9], [2, 2]], [[-5, 1], [1, 1]])]
    after = []
    for library in BOTH:
        optimizer, weights = Told.optimizer(library, **settings), Told.weights(library)
        optimizer.build(weights)
        values, state = [w.value for w in weights], [v.value for v in optimizer.variables]
        seen = []
        for pair in grads:
            given = list(map(library.ops.convert_to_tensor, pair))
            if stateless or library is keras:  # LossScaleOptimizer.apply of Keras fails on JAX
                values, state = optimizer.stateless_apply(state, given, values)
            else:
                optimizer.apply(given, weights)
                values = [w.value for w in weights]
            seen.append(np.array(values))
        after.append(np.array(seen))
    np.testing.assert_allclose(*after, rtol=1e-5, atol=1e-6)


def test_a_weight_may_be_overwritten_from_the_next_step_on():
    (weight, other), optimizer = Told.weights(lamina), lamina.optimizers.SGD(0.5)
    weight.overwrite_with_gradient = False
    for flagged, expected in ((False, [0.5, 1.5]), (True, [1.0, 1.0]), (False, [0.5, 0.5])):
        weight.overwrite_with_gradient = flagged
        optimizer.apply([np.ones(2), np.ones(2)], [weight, other])
        np.testing.assert_allclose(weight.numpy(), expected)


def test_one_that_is_overwritten_alone_is_no_problem_for_clipping():
    (weight,), optimizer = Told.weights(lamina, 1), lamina.optimizers.SGD(0.5, global_clipnorm=0.1)
    optimizer.apply([np.array([7.0, 8.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [7, 8])


def test_with_averages_it_keeps_its_own_value():
    weights, optimizer = Told.weights(lamina), lamina.optimizers.SGD(0.5, use_ema=True, ema_overwrite_frequency=2)
    for value in (7.0, 8.0):
        optimizer.apply([np.full(2, value)] * 2, weights)
    optimizer.finalize_variable_values(weights)
    np.testing.assert_allclose(weights[0].numpy(), [8, 8])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_fit_overwrites_a_layers_weight_with_its_gradient(settings, tmp_path):
    """The layer holds the largest number of its latest input, as one that computes in 8 bits does."""

    @jax.custom_vjp
    def noted(x, largest):
        return x

    noted.defvjp(lambda x, largest: (x, x), lambda x, dy: (dy, jax.numpy.max(jax.numpy.abs(x)).reshape(1)))
    x = np.array([[1.0, -3], [2, 0.5], [0.25, 0.5], [7, 1]], "float32")
    seen = []
    for library in BOTH:

        class Noted(library.layers.Layer):
            def build(self, shape):
                self.largest = self.add_weight((1,), "ones", overwrite_with_gradient=True, name="largest")

            def call(self, inputs):
                return noted(inputs, jax.numpy.asarray(self.largest))

        dense = library.layers.Dense(1, kernel_initializer="ones")
        model = library.Sequential([library.Input((2,)), Noted(), dense])
        model.compile(Told.optimizer(library, **settings | {"learning_rate": 0.01}), "mse")
        model.fit(x, np.zeros((4, 1), "float32"), batch_size=1, epochs=1, shuffle=False, verbose=0)
        seen.append(model.get_weights())
    for theirs, ours in zip(*seen, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    assert seen[1][0] == 7
