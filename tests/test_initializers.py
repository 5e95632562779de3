"""Every initializer against real Keras, to the bit; what keys and seeds do; configs, names and errors."""

import functools
import inspect
import json
import traceback

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import lamina
from lamina import errors, initializers, layers
from lamina._weights.weight import Weight
from lamina.initializers.scaling import fans
from lamina.random import key_of, set_random_seed

SHAPES = [(), (7,), (5, 3), (2, 3, 4, 6)]
SPREAD = "VarianceScaling GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform".split()
RANDOM = [
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.5, "stddev": 0.3}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -3, "maxval": 2.5}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": -1.0, "stddev": 2.0}),
    *((name, {}) for name in SPREAD),
    *(
        ("VarianceScaling", {"scale": 0.7, "mode": mode, "distribution": distribution})
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("uniform", "Truncated_Normal", "untruncated_normal", "normal")
    ),
]
CONSTANT = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {}),
    ("Constant", {"value": 0.1}),
    ("Identity", {}),
    ("Identity", {"gain": 0.7}),
]
STFTS = [
    {},
    {"side": "imag", "window": "hamming", "scaling": "spectrum"},
    {"window": None},
    {"window": "blackman", "scaling": None, "periodic": True},
    {"window": [0.5, 1.0, 2.0, 1.0, 0.5, 0.25], "side": "imag"},
]
EVERY = [
    *RANDOM,
    *CONSTANT,
    *(("STFT", arguments) for arguments in STFTS),
    ("Orthogonal", {}),
    ("Orthogonal", {"gain": 2, "seed": 3}),
    ("HeNormal", {"seed": 5, "input_axes": [0, 1], "output_axes": [2]}),
    ("Constant", {"value": [1, 2]}),
    ("Constant", {"value": np.arange(3, dtype="float32")}),
]


def pair(name, arguments):
    return getattr(initializers, name)(**arguments), getattr(keras.initializers, name)(**arguments)


@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_random_bits_are_those_of_keras(name, arguments):
    for seed, shape, dtype in [(0, (5, 3), None), (1337, (2, 3, 4, 6), "float32"), (2**32 - 1, (5, 3), "bfloat16")]:
        ours, theirs = pair(name, {**arguments, "seed": seed})
        assert_array_equal(ours(shape, dtype), theirs(shape, dtype), strict=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_are_those_of_keras(shape):
    theirs = keras.src.initializers.random_initializers.compute_fans
    assert fans(shape, None, None) == theirs(shape)
    if len(shape) > 2:
        assert fans(shape, (0, -1), (1,)) == theirs(shape, [0, -1], [1]) != theirs(shape)


@pytest.mark.parametrize(("name", "arguments"), [("HeUniform", {}), ("TruncatedNormal", {}), ("RandomNormal", {})])
def test_float64_bits_are_those_of_keras(name, arguments):
    with jax.enable_x64(True):
        ours, theirs = pair(name, {"seed": 3})
        assert_array_equal(ours((4, 5), "float64"), theirs((4, 5), "float64"), strict=True)
        assert ours((4, 5)).dtype == "float32"


@pytest.mark.parametrize("name", SPREAD)
def test_fans_of_other_axes(name):
    ours, theirs = pair(name, {"seed": 1, "input_axes": [0, -1], "output_axes": [1]})
    assert_array_equal(ours((3, 8, 5)), theirs((3, 8, 5)), strict=True)
    assert not np.array_equal(ours((3, 8, 5)), pair(name, {"seed": 1})[0]((3, 8, 5)))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 3, 4), (2, 2, 30)])
def test_orthogonal(shape):
    ours, theirs = pair("Orthogonal", {"seed": 3, "gain": 1.5})
    assert_allclose(ours(shape), theirs(shape), rtol=1e-6, atol=1e-7)
    w = np.asarray(ours(shape, "float32")).reshape(-1, shape[-1]) / 1.5
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    assert_allclose(product, np.eye(len(product)), atol=1e-6)
    assert_allclose(ours(shape, "bfloat16").astype("float32"), ours(shape), rtol=1e-2)


@pytest.mark.parametrize(("name", "arguments"), CONSTANT)
def test_constants(name, arguments):
    ours, theirs = pair(name, arguments)
    for shape in [(3, 4), (4, 3)] if name == "Identity" else SHAPES:
        for dtype in ("float32", "bfloat16"):
            assert_array_equal(ours(shape, dtype), theirs(shape, dtype), strict=True)
    assert ours((2, 2), "int32").dtype == "int32"


def test_constant_repeats_an_array():
    for value in ([1, 2, 3], np.array([[1.0], [2.0]]), jnp.array(4.0)):
        ours, theirs = pair("Constant", {"value": value})
        assert_array_equal(ours((2, 3)), theirs((2, 3)), strict=True)


@pytest.mark.parametrize("arguments", STFTS)
def test_stft_equals_keras(arguments):
    ours, theirs = pair("STFT", arguments)
    assert_allclose(ours((6, 1, 5)), theirs((6, 1, 5)), rtol=1e-6, atol=1e-6)
    assert ours((6, 1, 5), "bfloat16").dtype == "bfloat16"


def test_stft_is_the_transform_of_numpy():
    signal = np.random.default_rng(0).normal(size=200)
    real, imag = (
        initializers.STFT(side, window=np.hanning(200), scaling=None)((200, 1, 129)) for side in ("real", "imag")
    )
    wanted = np.fft.rfft(signal * np.hanning(200), 256)
    assert_allclose(signal @ real[:, 0], wanted.real, atol=1e-4)
    assert_allclose(signal @ imag[:, 0], wanted.imag, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "mean", "stddev", "limit"),
    [
        ("RandomNormal", {"mean": 1.0, "stddev": 0.5}, 1.0, 0.5, 6.0),
        ("RandomUniform", {"minval": 1.0, "maxval": 2.0}, 1.5, 12**-0.5, 2.0),
        ("TruncatedNormal", {"stddev": 0.5}, 0.0, 0.5 * 0.8796, 1.0),
        ("GlorotUniform", {}, 0.0, (2 / 500) ** 0.5, (6 / 500) ** 0.5),
        ("GlorotNormal", {}, 0.0, (2 / 500) ** 0.5, 2 / 0.8796 * (2 / 500) ** 0.5),
        ("HeUniform", {}, 0.0, (2 / 200) ** 0.5, (6 / 200) ** 0.5),
        ("HeNormal", {}, 0.0, (2 / 200) ** 0.5, 2 / 0.8796 * (2 / 200) ** 0.5),
        ("LecunUniform", {}, 0.0, (1 / 200) ** 0.5, (3 / 200) ** 0.5),
        ("LecunNormal", {}, 0.0, (1 / 200) ** 0.5, 2 / 0.8796 * (1 / 200) ** 0.5),
        ("VarianceScaling", {"mode": "fan_out", "distribution": "untruncated_normal"}, 0.0, (1 / 300) ** 0.5, 1.0),
        ("Orthogonal", {}, 0.0, (1 / 300) ** 0.5, 1.0),
    ],
)
def test_statistics_with_a_key(name, arguments, mean, stddev, limit):
    values = np.asarray(getattr(initializers, name)(**arguments)((200, 300), "float32", key_of(5)), np.float64)
    assert abs(values.mean() - mean) < 4 * stddev / 60000**0.5
    assert abs(values.std() / stddev - 1) < 0.015
    assert abs(values).max() <= limit * 1.0001
    assert abs(values).max() > limit * 0.99 or limit in (1.0, 6.0)
    rows = values[:-1].ravel() - mean, values[1:].ravel() - mean
    assert abs((rows[0] * rows[1]).mean()) / stddev**2 < 0.02


def test_which_key_is_taken():
    ours = initializers.GlorotUniform()
    one, two = ours((3, 4), key=key_of(1)), ours((3, 4), key=key_of(2))
    assert not np.array_equal(one, two)
    assert_array_equal(one, ours((3, 4), key=key_of(1)))
    assert_array_equal(one, initializers.GlorotUniform(seed=1)((3, 4), key=key_of(2)))
    assert not np.array_equal(ours((3, 4)), ours((3, 4)))
    set_random_seed(3)
    first = ours((3, 4))
    set_random_seed(3)
    assert_array_equal(ours((3, 4)), first)


def test_inside_a_compiled_function():
    made = jax.jit(lambda key: [initializers.get(name)((4, 3), "float32", key) for name in ("he_normal", "orthogonal")])
    for values, name in zip(made(key_of(3)), ("he_normal", "orthogonal"), strict=True):
        assert_allclose(values, initializers.get(name)((4, 3), "float32", key_of(3)), rtol=1e-5, atol=1e-6)


def as_json(config):
    return json.loads(json.dumps(config))


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_configs(name, arguments):
    ours, theirs = pair(name, arguments)
    config = as_json(initializers.serialize(ours))
    wanted = as_json(keras.initializers.serialize(theirs))
    if name == "Identity":  # Keras forgets the gain, though it takes it back
        assert wanted["config"] == {}
        wanted["config"] = arguments if arguments.get("gain", 1.0) != 1.0 else {}
        assert keras.initializers.get(config).gain == arguments.get("gain", 1.0)
    else:
        assert as_json(keras.initializers.serialize(keras.initializers.get(config))) == config
    assert config == wanted
    assert as_json(ours.get_config()) == config["config"]
    shape = {"STFT": (6, 1, 5), "Constant": np.shape(arguments.get("value", 0))}.get(name, (2, 3))
    shape = (2, 3, 4) if "input_axes" in arguments else shape
    values = ours(shape, "float32", key_of(1))
    for again in (initializers.get(config), initializers.deserialize(config), ours.clone()):
        assert type(again) is type(ours)
        assert again is not ours
        assert as_json(initializers.serialize(again)) == config
        assert_array_equal(again(shape, "float32", key_of(1)), values)


def test_the_config_of_a_constant_jax_array():
    config = initializers.serialize(initializers.Constant(jnp.arange(3.0)))
    assert_array_equal(keras.initializers.get(config)((3,)), [0, 1, 2])
    config = keras.initializers.serialize(keras.initializers.Constant(jnp.arange(3.0)))
    assert_array_equal(initializers.get(config)((3,)), [0, 1, 2])


def test_names():
    for name, theirs in keras.src.initializers.ALL_OBJECTS_DICT.items():
        if theirs is not keras.initializers.Initializer:
            assert type(initializers.get(name)).__name__ == theirs.__name__, name
    public = [n for n in dir(keras.initializers) if not n.startswith("_")]
    for name in public:
        ours, theirs = getattr(initializers, name), getattr(keras.initializers, name)
        assert ours.__name__ == theirs.__name__
        ours, theirs = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
        assert [(n, p.default) for n, p in ours.items()] == [(n, p.default) for n, p in theirs.items()], name


class Countdown(keras.initializers.Initializer):
    """Written for Keras: not even our base class."""

    def __call__(self, shape, dtype=None):
        return jnp.arange(shape[0], 0, -1, dtype=dtype)


class Countup(initializers.Initializer):
    """Written as for Keras, on our base class: no key."""

    def __init__(self, start):
        self.start = start

    def __call__(self, shape, dtype=None):
        return np.arange(self.start, self.start + shape[0])


def three(shape, dtype=None):
    return 3 * np.ones(shape, dtype)


@pytest.mark.parametrize(
    ("identifier", "wanted"),
    [
        (three, [3, 3]),
        (lambda shape, dtype: jnp.zeros(shape, dtype), [0, 0]),
        (np.ones, [1, 1]),
        (jax.numpy.zeros, [0, 0]),
        (Countdown(), [2, 1]),
        (Countdown, [2, 1]),
        (Countup(5), [5, 6]),
        (np.array([4, 5]), [4, 5]),
        (jnp.array([4.0, 5.0]), [4, 5]),
        (np.float64(2), [2, 2]),
        (Weight(jnp.array([6.0, 7.0])), [6, 7]),
        (initializers.Ones, [1, 1]),
    ],
)
def test_get_takes_what_a_user_has(identifier, wanted):
    ours = initializers.get(identifier)
    assert_array_equal(ours((2,), "float32"), np.array(wanted, np.float32))
    assert initializers.get(ours) is ours
    weight = layers.Layer().add_weight((2,), identifier)
    assert_array_equal(weight, np.array(wanted, np.float32), strict=True)


@pytest.mark.parametrize("own", [three, np.ones, Countup(5), functools.partial(three)])
def test_an_initializer_of_ones_own_comes_back_as_it_is(own):
    assert initializers.get(own) is keras.initializers.get(own) is own
    ours, theirs = (library.layers.Dense(2, kernel_initializer=own) for library in (lamina, keras))
    assert ours.kernel_initializer is theirs.kernel_initializer is own


def test_get_takes_initializers_of_jax():
    ours = initializers.get(jax.nn.initializers.he_normal())
    assert_array_equal(ours((4, 3), "float32", key_of(2)), jax.nn.initializers.he_normal()(key_of(2), (4, 3)))
    assert not np.array_equal(ours((4, 3), "float32"), ours((4, 3), "float32"))


def test_get_leaves_none_and_objects_alone():
    assert initializers.get(None) is None
    ours = initializers.HeNormal(seed=1)
    assert initializers.get(ours) is ours


def test_configs_of_the_users_own():
    config = initializers.serialize(initializers.get(three))
    assert (config["class_name"], config["config"], config["module"]) == ("function", "three", __name__)
    assert_array_equal(initializers.deserialize(config, {"three": three})((2,), "float32"), [3, 3])
    config = initializers.serialize(initializers.get(Countup(5)))
    assert (config["class_name"], config["config"]) == ("Countup", {"start": 5})
    assert_array_equal(initializers.deserialize(config, {"Countup": Countup})((2,), "int32"), [5, 6])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: initializers.get("golrot_uniform"),
            ValueError,
            "is called 'golrot_uniform'. Did you mean 'glorot_uniform'?",
        ),
        (
            lambda: initializers.get("glorot"),
            ValueError,
            "no initializer is called 'glorot'. Did you mean 'glorot_normal'",
        ),
        (
            lambda: initializers.get(5),
            ValueError,
            "expected the name of an initializer, an object or a function, got 5",
        ),
        (lambda: initializers.HeNorml, AttributeError, "Did you mean 'HeNormal'?"),
        (
            lambda: initializers.RandomNormal(std=1),
            ValueError,
            "RandomNormal has no argument 'std'. Did you mean 'stddev'?",
        ),
        (
            lambda: initializers.RandomNormal(stddev=-1),
            ValueError,
            "RandomNormal(stddev=-1): expected a finite number of at least 0",
        ),
        (lambda: initializers.RandomNormal(mean="0"), ValueError, "RandomNormal(mean='0'): expected a number"),
        (lambda: initializers.RandomUniform(2, 1), ValueError, "minval=2 lies above maxval=1"),
        (
            lambda: initializers.HeNormal(seed=-1),
            ValueError,
            "HeNormal(seed=-1): expected a whole number from 0 to 2**32 - 1",
        ),
        (lambda: initializers.HeNormal(seed=0.5), ValueError, "HeNormal(seed=0.5): expected a whole number"),
        (lambda: initializers.HeNormal(input_axes=[0]), ValueError, "give both or neither"),
        (lambda: initializers.HeNormal(input_axes=0, output_axes=1), ValueError, "expected a list of axes, got 0"),
        (lambda: initializers.HeNormal(1, [0], [2])((3, 4)), ValueError, "do not fit a weight of (3, 4)"),
        (
            lambda: initializers.VarianceScaling(scale=0),
            ValueError,
            "VarianceScaling(scale=0): expected a number above 0",
        ),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "Did you mean 'fan_"),
        (lambda: initializers.VarianceScaling(distribution="unifrom"), ValueError, "Did you mean 'uniform'?"),
        (lambda: initializers.VarianceScaling(distribution=3), ValueError, "expected one of 'truncated_normal'"),
        (lambda: initializers.Constant("a"), ValueError, "Constant(value='a'): expected a number or an array"),
        (
            lambda: initializers.Constant([1, 2])((3,)),
            ValueError,
            "the initial value has shape (2,), the weight has (3,)",
        ),
        (
            lambda: initializers.Identity()((3, 3, 3)),
            ValueError,
            "Identity fills weights of 2 axes, got shape (3, 3, 3)",
        ),
        (
            lambda: initializers.Orthogonal()((3,)),
            ValueError,
            "Orthogonal fills weights of 2 axes or more, got shape (3,)",
        ),
        (lambda: initializers.STFT("left"), ValueError, "expected one of 'real', 'imag', got 'left'"),
        (lambda: initializers.STFT(window="hamn"), ValueError, "scipy.signal.get_window knows"),
        (lambda: initializers.STFT(scaling="dense"), ValueError, "expected one of 'density', 'spectrum', None"),
        (lambda: initializers.STFT(periodic=1), ValueError, "expected True or False, got 1"),
        (lambda: initializers.STFT()((6, 2, 5)), ValueError, "shape (frame, 1, bins), got (6, 2, 5)"),
        (
            lambda: initializers.STFT(window=[1, 2])((6, 1, 5)),
            ValueError,
            "the window has shape (2,), but the frame has 6",
        ),
        (lambda: initializers.Zeros()((2, None)), ValueError, "expected a whole number, got None"),
        (
            lambda: layers.Layer().add_weight((2,), lambda shape, dtype: np.ones(3)),
            ValueError,
            "made shape (3,)",
        ),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert isinstance(caught.value, errors.LaminaError)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__ or kind is AttributeError


def test_a_base_class_without_a_call():
    with pytest.raises(NotImplementedError, match="Initializer needs a method __call__"):
        initializers.Initializer()((2,))


def test_an_initializer_draws_from_a_generator_what_keras_draws():
    draws = []
    for library in (lamina, keras):
        generator = library.random.SeedGenerator(7)
        first = library.initializers.GlorotUniform(seed=generator)
        second = library.initializers.RandomNormal(seed=generator)
        draws.append([np.asarray(each((3, 4))) for each in (first, first, second)])
        kernels = [library.layers.Dense(3, kernel_initializer=first) for _ in range(2)]
        library.Sequential([library.layers.Input((3,)), *kernels])
        draws[-1] += [np.asarray(layer.kernel) for layer in kernels]
    for ours, theirs in zip(*draws, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert not np.array_equal(draws[0][0], draws[0][1])
    made = lamina.initializers.HeNormal(seed=lamina.random.SeedGenerator(7))
    assert made.get_config()["seed"] == made.clone().seed == 7
