"""Muon and ScheduleFreeAdamW: 50 steps with each of their options against real Keras, in files and in `fit`."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest
from test_optimizers import BASE, SCHEDULE, assert_near, ours_and_theirs, run, run_keras
from test_training import counting

import lamina
from lamina import optimizers
from lamina.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SHAPES = {
    "wide/kernel": (3, 5), "tall/kernel": (6, 2), "output/kernel": (2, 3), "embedding/embeddings": (4, 3),
    "wide/bias": (5,),
}  # fmt: skip
OPTIONS = {
    "Muon": [
        {"adam_beta_1": 0.7, "adam_beta_2": 0.9, "epsilon": 1e-3, "adam_weight_decay": 0.2, "adam_lr_ratio": 0.3},
        {"adam_weight_decay": None, "weight_decay": None, "exclude_embeddings": False, "rms_rate": None, "ns_steps": 1},
        {"exclude_layers": ["output", "^t.ll/"], "momentum": 0.6, "nesterov": False, "ns_steps": 1},
        {"muon_a": 2.0, "muon_b": -1.5, "muon_c": 0.5, "ns_steps": 2, "weight_decay": 0.3, "rms_rate": 0.5},
    ],
    "ScheduleFreeAdamW": [{"beta_1": 0.6, "beta_2": 0.9, "epsilon": 1e-3}, {"warmup_steps": 20}, {"beta_1": 1.0}],
}
MIXED = {"learning_rate": SCHEDULE, "gradient_accumulation_steps": 2, "weight_decay": 0.1, "clipnorm": 0.5}
CASES = [(name, {"learning_rate": 0.02} | each) for name, options in OPTIONS.items() for each in options]
CASES += [("Muon", MIXED | {"ns_steps": 1}), ("ScheduleFreeAdamW", MIXED)]
REST = [(name, {"learning_rate": 0.02} | each) for name in OPTIONS for each in BASE if each != MIXED]


def arrays(seed):
    rng = np.random.default_rng(seed)
    return {path: rng.normal(size=shape).astype("float32") for path, shape in SHAPES.items()}


def each_of(cases):
    quick = [pytest.param(*case, id=f"{case[0]}-{case[1]}") for case in cases]
    return quick + [pytest.param(*case, marks=pytest.mark.nightly, id=f"{case[0]}-{case[1]}") for case in REST]


@pytest.mark.parametrize(("name", "arguments"), each_of(CASES))
def test_fifty_steps_are_those_of_keras(name, arguments):
    ours, theirs = ours_and_theirs(name, arguments)
    params = {path: jnp.asarray(array) for path, array in arrays(0).items()}
    mine = run(ours, params, 50, lambda step: arrays(100 + step))
    expected = run_keras(theirs, params, 50, lambda step: arrays(100 + step))
    assert_near(mine, expected, rtol=2e-5)
    assert [each.path for each in ours.variables] == [each.path for each in theirs.variables]
    for variable, kept in zip(ours.variables, theirs.variables, strict=True):
        assert_near({"": variable.numpy()}, {"": kept.value}, rtol=2e-5)
    assert ours.get_config() == theirs.get_config()


X, Y = (np.random.default_rng(seed).normal(size=(16, 4)).astype("float32") for seed in (1, 2))


def model_of(library, optimizer, names=("hidden", "output")):
    made = library.Sequential([library.layers.Input((4,)), *(library.layers.Dense(4, name=name) for name in names)])
    made.compile(optimizer, "mse")
    return made


@pytest.mark.parametrize(("name", "arguments"), [("Muon", {"exclude_layers": ["output"]}), ("ScheduleFreeAdamW", {})])
def test_fit_and_files_go_both_ways(tmp_path, name, arguments):
    libraries = lamina, keras
    ours, theirs = (model_of(library, getattr(library.optimizers, name)(0.02, **arguments)) for library in libraries)
    theirs.set_weights(ours.get_weights())
    for epochs, saved, read in ((2, ours, keras), (3, theirs, lamina)):
        losses = [m.fit(X, Y, 8, epochs, shuffle=False, verbose=0).history["loss"] for m in (ours, theirs)]
        np.testing.assert_allclose(*losses, rtol=1e-4)
        saved.save(tmp_path / "model.keras")
        loaded = read.saving.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer).__name__ == name and len(loaded.optimizer.variables) == len(
            saved.optimizer.variables
        )
        for mine, other in zip(loaded.optimizer.variables, saved.optimizer.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(mine.numpy()), np.asarray(other.numpy()))
        after = [m.fit(X, Y, 8, 1, shuffle=False, verbose=0).history["loss"] for m in (loaded, saved)]
        np.testing.assert_allclose(*after, rtol=1e-4)
        (theirs if saved is ours else ours).fit(X, Y, 8, 1, shuffle=False, verbose=0)


def test_a_program_belongs_to_the_layers_that_are_excluded():
    """The same stack with the other layer excluded has arrays of the same shapes, and another program."""
    start, runs = model_of(lamina, "sgd").get_weights(), []
    for library in (lamina, keras):
        made = []
        for excluded in ("hidden", "output"):
            model = model_of(library, library.optimizers.Muon(0.05, exclude_layers=[excluded], ns_steps=2))
            model.set_weights(start)
            model.fit(X, Y, 8, 2, shuffle=False, verbose=0)
            made.append(model.get_weights())
        runs.append(made)
    for ours, theirs in zip(*runs, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_learning_rate_changes_without_a_compile(name):
    model = model_of(lamina, getattr(optimizers, name)(0.0))
    start = model.get_weights()[0]
    model.optimizer.weight_decay = None
    model.fit(X, Y, 8, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], start, atol=1e-6)
    model.optimizer.learning_rate = 0.1
    compiled = []
    with counting(compiled):
        model.fit(X, Y, 8, verbose=0)
    assert compiled == []
    assert not np.allclose(model.get_weights()[0], start, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("Muon", {"exclude_layers": "output"}, "list of names of layers"),
        ("Muon", {"exclude_layers": ["("]}, "'(' is not a pattern"),
        ("Muon", {"exclude_layers": ["(a+)+$"]}, "repeats too much"),
        ("Muon", {"ns_steps": -1}, "at least 0"),
        ("Muon", {"momentum": 2}, "from 0 to 1"),
        ("Muon", {"beta_1": 0.9}, "Did you mean"),
        ("ScheduleFreeAdamW", {"beta_1": 0}, "above 0 and at most 1"),
        ("ScheduleFreeAdamW", {"warmup_steps": 1.5}, "whole number"),
    ],
)
def test_wrong_arguments_are_refused(name, arguments, words):
    with pytest.raises(ArgumentError) as caught:
        getattr(optimizers, name)(**arguments)
    assert words in str(caught.value)
