"""Layers that users write: in the short form, and as they are written for Keras, whose classes run here unchanged."""

from collections import deque

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._layer.structure import parts
from lamina.errors import ArgumentError, CallError, FixedError, ShapeError, StackError, UnknownAttributeError

X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(24, 2)).astype("float32")

# Classes in the text of which `keras` and `layers` are either package's. Each is called Custom.
TEXTS = {
    "weights in build": """
class Custom(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 5), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(5,), initializer="zeros", trainable=True, name="bias")
        super().build(input_shape)
    def call(self, inputs):
        return jnp.tanh(inputs @ self.kernel + self.bias)
""",
    "an __init__ of its own": """
class Custom(keras.Layer):
    def __init__(self, units=5, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="he_normal", name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="ones", name="b")
    def call(self, inputs):
        return self.activation(inputs @ self.w + self.b)
    def get_config(self):
        return {**super().get_config(), "units": self.units, "activation": keras.activations.serialize(self.activation)}
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)
""",
    "weights in __init__": """
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.add_weight(shape=(6,), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(6,), initializer="zeros", name="shift")
    def call(self, x):
        return x * self.scale + self.shift
""",
    "sublayers, built in build": """
class Custom(layers.Layer):
    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(units, activation="relu")
        self.second = layers.Dense(units)
    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build((*input_shape[:-1], 6))
    def call(self, x):
        return x + self.second(self.first(x))
""",
    "sublayers, built by being called": """
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(momentum=0.5)
        self.dense = layers.Dense(6, activation="tanh")
        self.drop = layers.Dropout(0.0)
    def call(self, x, training=None):
        return self.drop(self.dense(self.norm(x, training=training)), training=training) + x
""",
    "layers in lists and dicts, two deep": """
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(4, activation="tanh"), layers.Dense(6)]
        self.blocks.append(layers.Dense(6, activation="sigmoid"))
        self.named = {"left": [layers.Dense(6)], "right": {"inner": layers.Dense(6, use_bias=False)}}
    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.named["left"][0](x) * self.named["right"]["inner"](x)
""",
    "custom layers in custom layers": """
class Innermost(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6)
    def build(self, input_shape):
        self.gain = self.add_weight(shape=(6,), initializer="ones", name="gain")
    def call(self, x):
        return self.dense(x) * self.gain
class Inner(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [Innermost(), Innermost()]
    def call(self, x):
        return self.parts[1](jnp.tanh(self.parts[0](x)))
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Inner()
    def call(self, x):
        return x + self.inner(x)
""",
    "a Sequential in it": """
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.net = keras.Sequential([layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(6)])
    def call(self, x, training=None):
        return x + self.net(x, training=training)
""",
    "one layer used twice": """
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6, activation="tanh")
        self.also = self.dense
    def call(self, x):
        return self.dense(self.also(x))
""",
    "state: assign": """
class Custom(layers.Layer):
    def build(self, input_shape):
        self.mean = self.add_weight(shape=(input_shape[-1],), initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
    def call(self, x, training=None):
        if training:
            self.mean.assign(self.mean * 0.9 + jnp.mean(x, axis=0) * 0.1)
        return (x - self.mean) * self.scale
""",
    "state: assign_add, in a sublayer": """
class Count(layers.Layer):
    def build(self, input_shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")
        self.steps = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="steps")
    def call(self, x, training=None):
        if training:
            self.seen.assign_add(jnp.sum(jnp.abs(x)))
            self.steps.assign_add(1)
        return x / (1.0 + self.seen * 0.001)
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.counts = [Count(), Count()]
    def call(self, x):
        return self.counts[1](self.counts[0](x) * 2)
""",
    "add_loss": """
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6, activity_regularizer="l2")
    def call(self, x):
        y = self.dense(x)
        self.add_loss(0.01 * jnp.sum(jnp.square(y)))
        return y
""",
    "regularizers and constraints": """
class Custom(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=(6, 6), initializer="glorot_normal", regularizer="l2", name="w")
        self.v = self.add_weight(shape=(6,), initializer="ones", regularizer=keras.regularizers.L1(0.1),
                                 constraint="non_neg", name="v")
    def call(self, x):
        return jnp.tanh(x @ self.w) * self.v
""",
    "two tensors between its parts": """
class Gate(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(6, activation="sigmoid")
    def call(self, x, other, training=None, factor=1.0):
        return self.dense(x) * other * factor
class Custom(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gate = Gate()
        self.dense = layers.Dense(6)
    def call(self, x):
        return self.gate(x, self.dense(x), factor=2.0)
""",
}


def made(package, text, **told):
    names = {"keras": package, "layers": package.layers, "jnp": jnp, "np": np}
    exec(compile(text, "custom.py", "exec"), names)
    lay = package.layers
    return package.Sequential([lay.Input((6,)), names["Custom"](**told), lay.Dense(2)])


@pytest.mark.parametrize("name", TEXTS)
def test_a_class_written_for_keras_computes_and_trains_as_there(name):
    ours, other = made(lamina, TEXTS[name]), made(keras, TEXTS[name])
    assert [(w.name, w.shape, w.trainable) for w in ours.weights] == [
        (v.name, tuple(v.shape), v.trainable) for v in other.weights
    ]
    assert ours.output_shape == other.output_shape
    assert ours.layers[0].output_shape[1:] == other.layers[0](X).shape[1:]
    other.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(X), other(X), rtol=1e-5, atol=1e-6)
    for package, model in ((lamina, ours), (keras, other)):
        model.compile(package.optimizers.SGD(0.05, momentum=0.5), "mse")
    mine, its = (m.fit(X, Y, epochs=3, batch_size=8, verbose=0, shuffle=False).history["loss"] for m in (ours, other))
    np.testing.assert_allclose(mine, its, rtol=1e-5)
    for a, b in zip(ours.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.predict(X), other.predict(X, verbose=0), rtol=1e-4, atol=1e-5)


def test_state_only_moves_while_training_and_by_every_step():
    model = made(lamina, TEXTS["state: assign_add, in a sublayer"])
    first, second = model.layers[0].counts
    model.predict(X)
    model(X)
    assert int(first.steps) == 0
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    model.evaluate(X, Y, verbose=0)
    assert int(first.steps) == int(second.steps) == 6 and first.steps.dtype == "int32"
    np.testing.assert_allclose(first.seen, 2 * np.abs(X).sum(), rtol=1e-5)
    model(X, training=True)
    assert int(first.steps) == 7


# The short form.


class Power(layers.Layer):
    exponent: float = 2.0
    times: int = 1

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones")

    def call(self, x):
        return (jnp.abs(x) ** self.exponent) * self.scale * self.times


def test_the_short_form_is_an_ordinary_layer():
    model = lamina.Sequential([layers.Input((6,)), Power(1.5, times=2), layers.Dense(2)])
    np.testing.assert_allclose(model.layers[0](X), 2 * np.abs(X) ** 1.5, rtol=1e-5)
    assert repr(model.layers[0]) == "Power(exponent=1.5, times=2)"
    model.compile("sgd", "mse")
    assert len(model.fit(X, Y, epochs=2, verbose=0).history["loss"]) == 2
    again = lamina.Sequential.from_config(model.get_config(), custom_objects={"Power": Power})
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(CallError, match=r"Power has no argument 'exponnt'. Did you mean 'exponent'\?"):
        Power(exponnt=3.0)
    assert model.layers[0].weights[0].name == "scale"  # from the attribute


def test_plain_assignment_of_a_weight_in_call_is_kept():
    class Count(layers.Layer):
        def build(self, input_shape):
            self.count = self.add_weight((), "zeros", trainable=False)
            self.both = [self.add_weight((2,), "zeros", trainable=False)]

        def call(self, x, training=False):
            if training:
                self.count = self.count + 1
                self.both[0] = self.both[0] + jnp.array([1.0, 2.0])
            return x + 0 * self.count

    layer = Count()
    model = lamina.Sequential([layers.Input((6,)), layer, layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    assert float(layer.count) == 6 and isinstance(layer.count, lamina._weights.weight.Weight)
    np.testing.assert_array_equal(layer.both[0], [6, 12])
    layer(X, training=True)
    assert float(layer.count) == 7


# Outside any model.


def test_a_layer_called_by_itself():
    layer = made(lamina, TEXTS["sublayers, built by being called"]).layers[0]
    want = np.array(layer.norm.moving_mean)
    layer(X)
    np.testing.assert_array_equal(layer.norm.moving_mean, want)
    layer(X, training=True)
    np.testing.assert_allclose(layer.norm.moving_mean, 0.5 * X.mean(0), rtol=1e-4, atol=1e-6)
    y = jax.jit(lambda x: layer(x, training=True))(X)  # traced: the state stays as it is
    assert y.shape == (24, 6)
    np.testing.assert_allclose(layer.norm.moving_mean, 0.5 * X.mean(0), rtol=1e-4, atol=1e-6)
    assert layer([[1.0] * 6]).shape == (1, 6)
    with pytest.raises(ArgumentError, match=r"dense \(Dense\) takes numbers, and got text \('words'\)"):
        layers.Dense(2)("words")
    with pytest.raises(ShapeError, match="size 6"):
        layer(X[:, :5])


def test_building_by_hand():
    layer = layers.Dense(3)
    layer.build((None, 6))
    assert layer.built and [w.path for w in layer.weights] == ["dense/kernel", "dense/bias"]
    with pytest.raises(ShapeError, match=r"(?s)layer 1 \(dense: Dense\) cannot take \(None, 8\).*built for 6 features"):
        lamina.Sequential([layers.Input((8,)), layer])
    model = lamina.Sequential([layers.Input((6,)), layer])
    assert model.weights == layer.weights


def test_a_build_that_fails_leaves_no_trace():
    class Picky(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1],), "ones")
            if input_shape[-1] != 6:
                raise ValueError("six, please")

        def call(self, x):
            return x * self.w

    layer = Picky()
    with pytest.raises(ValueError, match="six, please"):
        layer(np.ones((2, 5)))
    assert not layer.built and layer.weights == [] and not hasattr(layer, "w")
    assert layer(X).shape == X.shape and len(layer.weights) == 1


def test_shapes_of_layers_whose_python_needs_real_sizes():
    class Rows(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(3)

        def call(self, x):
            weights = jnp.asarray(np.linspace(0, 1, int(x.shape[1])), x.dtype)
            return self.dense(x * weights[:, None]) + np.zeros((x.shape[0], 1, 1), "float32")

    model = lamina.Sequential([layers.Input((None, 6)), Rows()])
    assert model.output_shape == (None, None, 3)
    assert model.predict(np.ones((4, 5, 6))).shape == (4, 5, 3)

    class Wrong(layers.Layer):
        def call(self, x):
            return x.reshape(int(x.shape[0]), 5)

    with pytest.raises(ShapeError, match=r"fails at test_layer.py:\d+: cannot reshape array of shape \(12, 6\)"):
        lamina.Sequential([layers.Input((6,)), Wrong()])


def test_training_is_told_by_place_by_name_or_not_at_all():
    class Tells(layers.Layer):
        def call(self, x, training=False):
            seen.append(training)
            return x

    class Custom(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.tells, self.net = Tells(), lamina.Sequential([Tells()])

        def call(self, x, training=None):
            self.tells(x), self.tells(x, training), self.tells(x, training=training), self.tells(x, False)
            self.net(x), self.net(x, training=training), self.net(x, False)
            return x

    seen = []
    layer = Custom()
    for training in (True, False):
        layer(X[:1], training=training)
        assert seen[-7:] == [training, training, training, False, training, training, False]
    with pytest.raises(TypeError, match="too many positional arguments"):
        layers.Dense(3)(X, X)
    with pytest.raises(TypeError, match="unexpected keyword argument 'trainin'"):
        layer(X, trainin=True)


# What cannot work is said.


def test_layers_made_in_call_are_refused():
    class Fresh(layers.Layer):
        def call(self, x):
            return layers.Dense(3)(layers.ReLU()(x))

    with pytest.raises(
        StackError, match=r"(?s)dense, made at test_layer.py:\d+, is held by no layer: its weights .*__init__ or build"
    ):
        lamina.Sequential([layers.Input((6,)), Fresh()])

    class Stateless(layers.Layer):
        def call(self, x):
            return layers.ReLU()(x)

    assert lamina.Sequential([layers.Input((6,)), Stateless()]).predict(X).min() == 0
    assert jax.jit(layers.Dense(3))(X).shape == (24, 3)  # built while tracing, but kept


def test_assigning_to_a_trainable_weight_in_call_is_refused():
    class Assigns(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((6,), "ones")

        def call(self, x):
            self.w.assign(self.w * 2)
            return x * self.w

    with pytest.raises(UnknownAttributeError, match=r"without \.assign: test_layer.py:\d+\.\n.*trainable=False"):
        Assigns()(X)
    layer = layers.Dense(2)
    with pytest.raises(AttributeError, match="kernl"):
        _ = layer.kernl  # other attributes fail as ever


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Custom(layers.Layer):\n    pass", "Custom needs a method call"),
        ("class Custom(layers.Layer):\n    def call(self): return 1", "positional argument"),
        (
            "class Custom(layers.Layer):\n    def call(self, x): return x @ np.ones((5, 5))",
            r"fails at custom.py:2: dot_gen",
        ),
        (
            "class Custom(layers.Layer):\n    def build(self, s):\n        self.w = self.add_weight((None, 3))\n"
            "    def call(self, x): return x",
            r"needs to know every size of a weight, got shape \(None, 3\)",
        ),
        (
            "class Custom(layers.Layer):\n    def build(self, s):\n        self.w = self.add_weight((3,), 'zeroes')\n"
            "    def call(self, x): return x",
            "no initializer is called 'zeroes'. Did you mean 'zeros'",
        ),
    ],
)
def test_mistakes_in_a_custom_layer_name_their_place(text, said):
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=said):
        made(lamina, text)


def test_an_init_that_forgets_super_works_all_the_same():
    class Plain(layers.Layer):
        def __init__(self, factor):
            self.factor = factor

        def call(self, x):
            return x * self.factor

    assert np.array_equal(Plain(2.0)(X), 2 * X)


def test_an_init_says_which_arguments_it_takes():
    class Custom(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)

    class Closed(layers.Layer):
        def __init__(self, units):
            super().__init__()

    with pytest.raises(CallError, match=r"Custom has no argument 'unit'. Did you mean 'units'\?"):
        Custom(3, unit=4)
    with pytest.raises(
        CallError, match=r"(?s)Closed has no argument 'unit'. Did you mean 'units'\?.*arguments are: units\."
    ):
        Closed(3, unit=4)
    with pytest.raises(TypeError, match=r"Closed: missing a required argument: 'units'"):
        Closed()


# Settings, configs, dtypes.


def test_configs_of_classes_with_an_init_of_their_own():
    class Scaled(layers.Layer):
        def __init__(self, factor, initializer="ones", **kwargs):
            super().__init__(**kwargs)
            self.factor, self.initializer = factor, lamina.initializers.get(initializer)

        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1],), self.initializer)

        def call(self, x):
            return self.factor * x * self.w

    class Overridden(Scaled):
        def get_config(self):
            config = super().get_config()
            config.update({"factor": self.factor * 10})
            return config

        @classmethod
        def from_config(cls, config):
            config["factor"] /= 10
            return cls(**config)

    class Closed(layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, x):
            return self.factor * x

    initializer = lamina.initializers.Constant(0.5)
    made_of = [Scaled(3.0, initializer, name="s", trainable=False), Overridden(2.0, dtype="bfloat16"), Closed(4.0)]
    model = lamina.Sequential([layers.Input((6,)), *made_of])
    config = model.get_config()
    assert [entry["config"].get("factor") for entry in config["layers"][1:]] == [3.0, 20.0, 4.0]
    for objects in ({kind.__name__: kind for kind in (Scaled, Overridden, Closed)},):
        again = lamina.Sequential.from_config(config, custom_objects=objects)
        assert [type(layer) for layer in again.layers] == [Scaled, Overridden, Closed]
        assert [layer.name for layer in again.layers] == ["s", "overridden", "closed"]
        assert [layer.trainable for layer in again.layers] == [False, True, True]
        assert again.layers[1].compute_dtype == "bfloat16"
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="no layer is called 'Scaled'"):
        lamina.Sequential.from_config(config)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16", "float64"])
def test_dtype_reaches_the_weights_and_the_input(dtype):
    class Look(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((6,), "ones")

        def call(self, x):
            seen.append((x.dtype, self.w.dtype))
            return x * self.w

    seen = []
    with jax.enable_x64(dtype == "float64"):
        layer = Look(dtype=dtype)
        y = layer(X)
    compute = dtype.removeprefix("mixed_")
    assert y.dtype == compute and seen[-1] == (compute, compute)
    assert layer.w.dtype == layer.dtype == ("float32" if "mixed" in dtype else dtype)


def test_autocast_off_leaves_input_and_weights_alone():
    class Look(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((6,), "ones")

        def call(self, x):
            return x * self.w

    assert Look(dtype="mixed_bfloat16", autocast=False)(X).dtype == "float32"


def test_activity_regularizer_counts_by_the_row():
    def run(package):
        layer = package.layers.Dense(2, kernel_initializer="ones", activity_regularizer=package.regularizers.L2(0.1))
        model = package.Sequential([package.Input((6,)), layer])
        model.compile("sgd", "mse")
        return model.evaluate(X, Y, batch_size=8, verbose=0)

    np.testing.assert_allclose(run(lamina), run(keras), rtol=1e-6)


def test_masks_are_handed_on_and_asked_for():
    class Makes(layers.Layer):
        def call(self, x):
            return x

        def compute_mask(self, x, mask=None):
            return x[..., 0] > 0

    class Takes(layers.Layer):
        def call(self, x, mask=None):
            return x if mask is None else jnp.where(mask[..., None], x, 0)

    model = lamina.Sequential([layers.Input((6,)), Makes(), layers.ReLU(), Takes()])
    np.testing.assert_array_equal(model(X), np.where(X[:, :1] > 0, np.maximum(X, 0), 0))
    stopped = lamina.Sequential([layers.Input((6,)), Makes(), layers.Lambda(lambda x: x + 0), Opaque()])
    assert stopped(X).shape == X.shape


def test_a_stack_is_built_with_the_masks_that_its_data_will_have():
    class Kept(layers.Layer):
        supports_masking = True

        def call(self, x, mask):
            return x * mask[..., None].astype(x.dtype)

    class Old(layers.Layer):
        supports_masking = True

        def call(self, x):
            return x

        def compute_output_shape(self, input_shape):
            return input_shape

    x = np.array([[1, 2, 0], [3, 0, 0]])
    for inner in ([], [Old()], [lamina.Sequential([layers.Dense(4), Kept()])], [layers.LSTM(4, return_sequences=True)]):
        embedding = layers.Embedding(5, 4, mask_zero=True)
        model = lamina.Sequential([layers.Input((None,)), embedding, *inner, Kept()])
        assert (np.abs(model.predict(x, verbose=0)).sum(-1) > 0).tolist() == (x > 0).tolist()
        late = lamina.Sequential([layers.Embedding(5, 4, mask_zero=True), *inner, Kept()])
        assert late(x).shape == (2, 3, 4)
    several = lamina.Sequential([layers.Input((3, 2)), layers.Embedding(5, 4, mask_zero=True), Kept()])
    assert several.output_shape == (None, 3, 2, 4)
    with pytest.raises(ShapeError, match="NoneType"):
        lamina.Sequential([layers.Input((3,)), layers.Embedding(5, 4), Kept()])


class Opaque(layers.Layer):
    """Asserts that no mask came through the Lambda before it."""

    def call(self, x, mask=None):
        assert mask is None
        return x


# Random numbers.


class Noise(layers.Layer):
    def call(self, x, training=False):
        if not training:
            return x
        return x + jax.random.normal(self.random_key(), x.shape) + jax.random.normal(self.random_key(), x.shape)


def noises(seed, steps=4):
    """What a noise layer adds in each step, as the change of a weight that follows the batch's mean noise."""

    class Record(layers.Layer):
        def build(self, input_shape):
            self.log = self.add_weight((steps, 6), "zeros", trainable=False)
            self.at = self.add_weight((), "zeros", dtype="int32", trainable=False)

        def call(self, x, training=False):
            if training:
                self.log.assign(self.log.value.at[self.at.value].set(x[0]))
                self.at.assign_add(1)
            return x

    lamina.utils.set_random_seed(seed)
    model = lamina.Sequential([layers.Input((6,)), Noise(), Record(), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(np.zeros((8 * steps, 6)), np.zeros((8 * steps, 2)), batch_size=8, verbose=0)
    return model.layers[1].log.numpy()


def test_random_keys_repeat_with_the_seed_and_differ_by_step_and_draw():
    first, again, other = noises(1), noises(1), noises(2)
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()
    assert len(np.unique(first)) == first.size
    twice = 2 * (first / 2)  # two equal draws would make every sum an even multiple
    assert np.abs(np.corrcoef(twice)[np.triu_indices(4, 1)]).max() < 0.999


def test_a_random_layer_by_itself_and_two_in_a_stack():
    layer = Noise()
    assert np.array_equal(layer(X), X)
    assert not np.array_equal(layer(X, training=True), layer(X, training=True))  # as in Keras
    assert isinstance(jax.jit(lambda x: layer(x, training=True))(X), jax.Array)  # traced: nothing stays of it
    assert not np.array_equal(layer(X, training=True), layer(X, training=True))
    model = lamina.Sequential([layers.Input((6,)), Noise(), Noise()])
    zero = jnp.zeros((2000, 6))
    one = lamina.Sequential([layers.Input((6,)), Noise()])
    assert np.var(one(zero, training=True)) == pytest.approx(2, rel=0.1)  # two draws that differ
    assert np.var(model(zero, training=True)) == pytest.approx(4, rel=0.1)  # four


@pytest.mark.parametrize(
    ("layer", "wrong", "right"),
    [
        (lambda: layers.Dense(2), np.ones(3), np.ones((1, 5))),
        (lambda: layers.Conv2D(2, 3), np.ones((1, 2, 2, 1)), np.ones((1, 4, 4, 3))),
        (lambda: layers.TimeDistributed(layers.Conv1D(2, 3)), np.ones((1, 3, 2, 1)), np.ones((1, 3, 4, 2))),
        (lambda: lamina.Sequential([layers.Dense(2), layers.Conv1D(2, 3)]), np.ones((1, 2, 4)), np.ones((1, 4, 5))),
    ],
)
def test_a_first_call_that_is_refused_leaves_the_layer_unbuilt(layer, wrong, right):
    layer = layer()
    with pytest.raises(ShapeError):
        layer(wrong)
    assert not layer.built and not [part for part in parts(layer) if part.layer._lamina.weights]
    layer(right)
    assert layer.built


# Weights as arrays.


def test_a_weight_is_an_array_to_numpy_jax_and_python():
    layer = layers.Dense(3, bias_initializer="ones")
    layer.build((None, 6))
    w, a = layer.kernel, layer.kernel.numpy()
    for mine, want in [
        (w + 1, a + 1), (1 + w, 1 + a), (w - w, a - a), (2 - w, 2 - a), (w * 2, a * 2), (2 * w, 2 * a),
        (w / 2, a / 2), (1 / (w + 3), 1 / (a + 3)), (w**2, a**2), (2**w, 2**a), (-w, -a), (abs(w), abs(a)),
        (X @ w, X @ a), (w @ np.ones(3), a @ np.ones(3)), (w[0], a[0]), (w[:, 1], a[:, 1]), (w.T, a.T),
        (w.sum(), a.sum()),
        (w > 0, a > 0), (w <= 0, a <= 0), (w == w, a == a), (w != 0, a != 0), (w // 1, a // 1), (w % 1, a % 1),
        (np.asarray(w), a), (np.sqrt(w**2), abs(a)), (jnp.sin(w), np.sin(a)), (jnp.stack([*w]), a),
        (w.reshape(-1), a.ravel()),
    ]:  # fmt: skip
        np.testing.assert_allclose(np.asarray(mine), want, rtol=1e-5, atol=1e-6)
    assert (len(w), w.shape, w.dtype, w.ndim, w.size) == (6, (6, 3), "float32", 2, 18)
    assert float(layer.bias[0]) == 1.0 and len({w: 1, layer.bias: 2}) == 2
    np.testing.assert_allclose(jax.jit(lambda k: k * 2)(w), 2 * a)
    np.testing.assert_allclose(jax.grad(lambda k: (k**2).sum())(jnp.asarray(w)), 2 * a)
    values = str(w.numpy())
    assert repr(w) == str(w) == f"{w}" == f"<Weight dense/kernel, shape=(6, 3), dtype=float32, value={values}>"
    assert "..." in repr(layer.add_weight((10**5,)))


@pytest.mark.parametrize(
    ("attribute", "value", "kind", "said"),
    [
        ("activation", "relu", FixedError, r"^dense\.activation was set to 'relu'.*Dense\(\.\.\., activation='relu'\)"),
        ("use_bias", "no", ArgumentError, r"^Dense\(use_bias='no'\): expected True or False"),
        ("units", -1, ArgumentError, r"^Dense\(units=-1\): expected a whole number of at least 1"),
        ("kernel", 3, FixedError, r"^dense\.kernel was set to 3, .* a weight of shape \(8, 3\).*layer\.kernel\.assign"),
        ("kernel", np.ones((8, 3)), FixedError, r"^dense\.kernel was set to an array.*layer\.kernel\.assign\(values\)"),
    ],
)
def test_what_is_assigned_to_an_attribute_is_looked_at_before_its_next_use(attribute, value, kind, said):
    x = np.ones((2, 8), "float32")
    for use in (
        lambda model: model.predict(x), lambda model: model.fit(x, x[:, :3], verbose=0),
        lambda model: model(x, training=True), lambda model: model.layers[0](x),
    ):  # fmt: skip
        model = lamina.Sequential([lamina.Input((8,)), layers.Dense(3)])
        model.compile("sgd", "mse")
        model.predict(x)
        setattr(model.layers[0], attribute, value)
        with pytest.raises(kind, match=f"(?s){said}"):
            use(model)
    if attribute != "kernel":
        layer = layers.Dense(3)
        setattr(layer, attribute, value)
        with pytest.raises(kind, match=f"(?s){said}"):
            lamina.Sequential([lamina.Input((8,)), layer])


def test_attributes_that_may_be_assigned_to():
    class Own(layers.Layer):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def build(self, input_shape):
            self.w = self.add_weight((8,), name="scale")

        def call(self, x):
            return x * self.w * self.scale

    first, second = layers.Dense(8, use_bias=False), layers.Dense(8)
    model = lamina.Sequential([lamina.Input((8,)), Own(2.0), first, second, layers.Dropout(0.5)])
    x = np.ones((2, 8), "float32")
    model.predict(x)
    first.kernel, first.activation, model.layers[3].rate = second.kernel, jnp.tanh, 0.25
    want = np.tanh(np.asarray(x * model.layers[0].w * 2.0) @ second.kernel.numpy()) @ second.kernel.numpy()
    np.testing.assert_allclose(model.predict(x), want, rtol=1e-4, atol=1e-5)


def test_assigning_keeps_shape_and_dtype():
    layer = layers.Dense(3)
    layer.build((None, 6))
    layer.kernel.assign(np.full((6, 3), 2.0))
    layer.kernel.assign_add(np.ones((6, 3)))
    layer.kernel.assign_sub(0.5 * np.ones((6, 3)))
    assert layer.kernel.dtype == "float32"
    np.testing.assert_array_equal(layer.kernel, np.full((6, 3), 2.5))
    with pytest.raises(ShapeError, match=r"'dense/kernel' has shape \(6, 3\), and cannot take \(3, 6\)"):
        layer.kernel.assign(np.ones((3, 6)))
    copied = layer.kernel.numpy()
    copied[:] = 0
    assert float(layer.kernel.sum()) == 45.0


def test_two_weights_of_one_name_are_two_weights():
    class Twins(layers.Layer):
        def build(self, input_shape):
            self.a = self.add_weight((6,), "ones", name="w")
            self.b = self.add_weight((6,), "zeros", name="w")

        def call(self, x):
            return x * self.a + self.b

    model = lamina.Sequential([layers.Input((6,)), Twins(), layers.Dense(2)])
    assert model.count_params() == 6 + 6 + 14 and len(model.get_weights()) == 4
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_layer_that_is_kept_where_no_layers_are_looked_for():
    class Block:
        def __init__(self, inner):
            self.inner = inner

        def __iter__(self):
            return iter([self.inner])

    class Holds(layers.Layer):
        def __init__(self, kind, built=False):
            super().__init__()
            dense = layers.Dense(3)
            if built:
                dense.build((None, 8))
            self.block = Block(dense) if kind is Block else kind([dense])

        def call(self, x):
            for layer in self.block:
                x = layer(x)
            return x

    for kind in (set, frozenset, deque):
        for built in (False, True):
            with pytest.raises(StackError, match=rf"^holds\.block is a {kind.__name__}, which is not searched"):
                lamina.Sequential([layers.Input((8,)), Holds(kind, built)])
    said = r"made at test_layer.py:\d+, stands in the Block holds\.block, where no layers are looked for"
    with pytest.raises(StackError, match=rf"(?s)^dense, {said}.*lists, tuples\s+and dicts"):
        lamina.Sequential([layers.Input((8,)), Holds(Block)])
    assert len(lamina.Sequential([layers.Input((8,)), Holds(list)]).weights) == 2
