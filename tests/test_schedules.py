"""Learning rate schedules against real Keras's."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from lamina import dtypes
from lamina._settings.settings import serialize
from lamina.errors import ArgumentError, LaminaWarning, UnknownNameError
from lamina.optimizers import schedules

CASES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 20], "values": [1.0, 0.5, 0.1]}),
    ("PiecewiseConstantDecay", {"boundaries": [2.5], "values": [1.0, 0.5]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9, "end_learning_rate": 0.01, "power": 2.5}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 9, "power": 0.5, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 40}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 13, "alpha": 0.2}),
    ("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 13, "warmup_target": 0.3, "warmup_steps": 5}),
    ("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 13, "alpha": 0.1, "warmup_target": 0.3}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 6}),
    (
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 6, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1},
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.5, "m_mul": 0.7}),
]
STEPS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 18, 21, 35, 41, 42, 1000]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_values_and_config_are_those_of_keras(name, arguments):
    ours = getattr(schedules, name)(**arguments)
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)
    expected = np.array([theirs(jnp.int32(step)) for step in STEPS])
    np.testing.assert_allclose([ours(step) for step in STEPS], expected, rtol=1e-6, atol=1e-8)
    compiled = jax.jit(jax.vmap(ours))(jnp.array(STEPS, jnp.int32))
    assert compiled.dtype == "float32" and not compiled.weak_type
    np.testing.assert_allclose(compiled, expected, rtol=2e-6, atol=1e-8)
    assert serialize(ours) == keras.saving.serialize_keras_object(theirs)
    again = schedules.get(serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()


def test_every_schedule_of_keras_is_here():
    theirs = {name for name in dir(keras.optimizers.schedules) if name[0].isupper()}
    assert theirs == {name for name in dir(schedules) if getattr(schedules, name, None).__class__ is type} & theirs
    assert len(theirs) == 7


def test_16_bits_do_not_spoil_the_step():
    schedule = schedules.ExponentialDecay(0.1, 100, 0.9)
    expected = schedule(1001)
    dtypes.set_floatx("bfloat16")
    try:
        assert schedule(1001) == expected and expected.dtype == "float32"
    finally:
        dtypes.set_floatx("float32")


@pytest.mark.parametrize("length", [9, 41, 47])
def test_whole_periods_are_exact_when_compiled(length):
    """XLA makes a product with 1 / 41 of a division by 41: 41 / 41 is then below 1, and 1 - 9 / 9 below 0."""
    steps = jnp.array([length - 1, length, length + 1, 3 * length, 8 * length], jnp.int32)
    halved = schedules.ExponentialDecay(1.0, length, 0.5, staircase=True)
    np.testing.assert_allclose(jax.jit(jax.vmap(halved))(steps), [1, 0.5, 0.5, 0.125, 0.5**8], rtol=1e-6)
    restart = schedules.CosineDecayRestarts(1.0, length, t_mul=1.0, m_mul=0.5)
    np.testing.assert_allclose(jax.jit(jax.vmap(restart))(steps)[jnp.array([1, 3, 4])], [0.5, 0.125, 0.5**8], rtol=1e-6)
    longer = jax.jit(jax.vmap(schedules.CosineDecayRestarts(1.0, length)))
    np.testing.assert_allclose(longer(length * (2 ** jnp.arange(12) - 1)), np.ones(12), rtol=1e-6)
    root = jax.jit(jax.vmap(schedules.PolynomialDecay(1.0, length, 0.0, power=0.5)))(steps)
    np.testing.assert_allclose(root, [length**-0.5, 0, 0, 0, 0], rtol=1e-4, atol=3e-4)


def test_own_schedules():
    class Keraslike(schedules.LearningRateSchedule):
        def __init__(self, start):
            self.start = start

        def __call__(self, step):
            return self.start / (step + 1)

    assert float(Keraslike(0.5)(jnp.int32(4))) == pytest.approx(0.1)
    assert Keraslike(0.5).get_config() == {"start": 0.5}
    with pytest.raises(NotImplementedError, match="__call__"):
        schedules.LearningRateSchedule()(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), r"decay_steps=0\): expected a number above 0"),
        (lambda: schedules.CosineDecayRestarts(0.1, -1), r"first_decay_steps=-1\): expected a number above 0"),
        (lambda: schedules.PolynomialDecay("0.1", 5), "expected a number, got '0.1'"),
        (lambda: schedules.CosineDecay(0.1, 5, warmup_stpes=1), "Did you mean 'warmup_steps'"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "2 boundaries need 3 values, got 2"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "must increase"),
        (lambda: schedules.InverseTimeDecay(0.1, 5, 0.9, staircase="yes"), "expected True or False"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_misspelt_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'CosineDecay'"):
        schedules.get({"class_name": "CosinDecay", "config": {}})


def test_warm_up_without_target_is_said():
    with pytest.warns(LaminaWarning, match="warmup_target"):
        schedules.CosineDecay(0.1, 5, warmup_steps=3)
