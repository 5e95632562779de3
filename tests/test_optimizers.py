"""Optimizers against real Keras's, array by array."""

import copy
import json
import pickle

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras.src.optimizers.lamb import Lamb as KerasLamb

from lamina import dtypes, optimizers
from lamina.errors import ArgumentError, FixedError, LaminaWarning, ShapeError, UnknownNameError
from lamina.settings import serialize
from lamina.weight import Weight

# numpy() of a Keras variable
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SHAPES = {"dense/kernel": (3, 4), "dense/bias": (4,), "conv/kernel": (2, 3, 2), "scale/gamma": ()}
STEPS = 20
SCHEDULE = ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5})

OWN = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.8, "nesterov": True}),
    ("Adam", {"learning_rate": 0.05}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "amsgrad": True}),
    ("AdamW", {"learning_rate": 0.05}),
    ("AdamW", {"weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.7, "momentum": 0.9, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.05, "centered": True, "epsilon": 1e-2}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "epsilon": 1e-2}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "epsilon": 1e-2}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.5, "epsilon": 1e-3}),
    ("Adamax", {"learning_rate": 0.05}),
    ("Nadam", {"learning_rate": 0.05}),
    ("Nadam", {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Lion", {"learning_rate": 0.01}),
    ("Lamb", {"learning_rate": 0.05}),
    ("Adafactor", {"learning_rate": 0.5}),
    ("Adafactor", {"beta_2_decay": -0.5, "epsilon_1": 1e-3, "epsilon_2": 0.1, "clip_threshold": 0.5}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.3,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.1,
            "beta": 0.1,
        },
    ),
]
BASE = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 1.5},
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 3},
    {"learning_rate": SCHEDULE},
    {"learning_rate": SCHEDULE, "gradient_accumulation_steps": 2, "weight_decay": 0.1, "clipnorm": 0.5},
    {
        "use_ema": True,
        "ema_momentum": 0.7,
        "ema_overwrite_frequency": 2,
        "gradient_accumulation_steps": 3,
        "global_clipnorm": 1.0,
        "loss_scale_factor": 4.0,
    },
]
MAIN = [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {}), ("RMSprop", {})]
CASES = OWN + [(name, own | base) for name, own in MAIN for base in BASE] + [("Nadam", BASE[-1]), ("Lamb", BASE[0])]


def ours_and_theirs(name, arguments):
    def made(module, cls):
        settings = dict(arguments)
        if isinstance(settings.get("learning_rate"), tuple):
            schedule, its = settings["learning_rate"]
            settings["learning_rate"] = getattr(module.schedules, schedule)(**its)
        return cls(**settings, name="opt")

    theirs = KerasLamb if name == "Lamb" else getattr(keras.optimizers, name)
    return made(optimizers, getattr(optimizers, name)), made(keras.optimizers, theirs)


def start(dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return {path: jnp.asarray(rng.normal(size=shape), dtype) for path, shape in SHAPES.items()}


def gradients(step, dtype="float32"):
    return start(dtype, seed=100 + step)


def keras_variables(params):
    made = []
    for path, value in params.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made.append(keras.Variable(value, name=name, dtype=str(value.dtype)))
    assert [v.path for v in made] == list(params)
    return made


def run(optimizer, params, steps=STEPS, grads=gradients):
    """`steps` steps with `update`, compiled once; the optimizer then holds the state."""
    update = jax.jit(optimizer.update)
    optimizer.state = optimizer.init(params)
    for step in range(steps):
        scale = optimizer.scale(jnp.float32(1), optimizer.state)
        scaled = {path: g * scale.astype(g.dtype) for path, g in grads(step).items()}
        params, optimizer.state = update(scaled, params, optimizer.state)
    assert update._cache_size() == 1
    return params


def run_keras(optimizer, params, steps=STEPS, grads=gradients):
    variables = keras_variables(params)
    optimizer.build(variables)
    apply = jax.jit(optimizer.stateless_apply)
    values = [v.value for v in variables]
    for step in range(steps):
        scale = optimizer.scale_loss(jnp.float32(1))
        scaled = [g * jnp.asarray(scale, g.dtype) for g in grads(step).values()]
        values, kept = apply([v.value for v in optimizer.variables], scaled, values)
        for variable, value in zip(optimizer.variables, kept, strict=True):
            variable.assign(value)
    return dict(zip(params, values, strict=True))


def assert_near(ours, theirs, rtol=1e-6):
    for path, expected in theirs.items():
        expected = np.asarray(expected, "float64")
        size = np.abs(expected).max(initial=0)
        np.testing.assert_allclose(np.asarray(ours[path], "float64"), expected, rtol, rtol * size, err_msg=path)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_twenty_steps_are_those_of_keras(name, arguments):
    ours, theirs = ours_and_theirs(name, arguments)
    mine, expected = run(ours, start()), run_keras(theirs, start())
    assert_near(mine, expected)

    assert len(ours.variables) == len(theirs.variables)
    for variable, kept in zip(ours.variables, theirs.variables, strict=True):
        assert variable.shape == tuple(kept.shape)
        if name != "Adafactor":  # what Keras calls its rows and columns is the weight's name
            assert variable.dtype == kept.dtype
            assert variable.path == kept.path or kept.path == "variable"  # Keras gives Nadam's product no name
        assert_near({"": variable.numpy()}, {"": kept.value}, rtol=3e-6)
    assert int(ours.iterations) == int(jnp.asarray(theirs.iterations))
    assert_near({"": jnp.asarray(ours.learning_rate)}, {"": jnp.asarray(theirs.learning_rate)})
    config = theirs.get_config()
    assert ours.get_config() == config
    assert type(ours).from_config(json.loads(json.dumps(config))).get_config() == config
