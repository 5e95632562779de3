"""What is the user's own is told by what the modules hold, never by a name: no program is used again by mistake."""

import functools
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina as keras
from lamina import layers
from lamina._settings.origin import of_library
from lamina._training.fingerprint import fingerprint
from lamina.saving import load_model

X, Y = np.full((4, 1), 2.0, "float32"), np.zeros((4, 1), "float32")
TEXT = "def {name}(x{more}):\n    return x * SCALE / 2\ndef loss(y_true, y_pred):\n    return SCALE + 0 * y_pred[:, 0]"


def run(names, function="act", more="", module=None):
    """What `exec` makes of a function that reads SCALE, in the globals `names`."""
    if module is not None:
        names["__name__"] = module
    exec(TEXT.format(name=function, more=more), names)
    return names[function]


def loss_by(names, wrapped=None, module=None):
    loss = run(names, "loss", module=module)
    return functools.wraps(wrapped)(loss) if wrapped else loss


class Times:
    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)

    def method(self, x):
        return self.function(x)


def claiming(thing, module, name):
    thing.__module__, thing.__name__, thing.__qualname__ = module, name, name
    return thing


def in_module_of_ours(names):
    """`exec` in the very dict of a module of ours."""
    inside = vars(keras.activations)
    inside["SCALES"] = names
    exec("def act(x):\n    return x * SCALES['SCALE'] / 2", inside)
    return inside.pop("act")


def layer_by_type(names):
    exec("def call(self, x):\n    return x * SCALE / 2", names)
    return type("Activation", (layers.Layer,), {"call": names["call"], "__module__": "lamina.layers.core"})()


ACTIVATIONS = {
    "exec without a name": lambda names: run(names),
    "exec as lamina.losses": lambda names: run(names, module="lamina.losses"),
    "exec as jax.numpy": lambda names: run(names, "tanh", module="jax.numpy"),
    "exec in a module of ours": in_module_of_ours,
    "wraps of ops.tanh": lambda names: functools.wraps(keras.ops.tanh)(run(names, module="__main__")),
    "wraps of jnp.tanh": lambda names: functools.wraps(jnp.tanh)(run(names, module="__main__")),
    "wraps of activations.relu": lambda names: functools.wraps(keras.activations.relu)(run(names, module="__main__")),
    "a name of JAX": lambda names: claiming(run(names, module="__main__"), "jax.nn", "relu"),
    "a name of Python": lambda names: claiming(run(names, module="__main__"), "builtins", "abs"),
    "partial": lambda names: functools.partial(run(names, more=", a=1"), a=2),
    "Partial of JAX": lambda names: jax.tree_util.Partial(run(names)),
    "partial of partial": lambda names: functools.partial(functools.partial(run(names))),
    "jnp.vectorize": lambda names: jnp.vectorize(run(names)),
    "jax.jit": lambda names: claiming(jax.jit(run(names)), "jax.numpy", "tanh"),
    "jax.checkpoint": lambda names: claiming(jax.checkpoint(run(names)), "jax.nn", "relu"),
    "jax.vmap": lambda names: jax.vmap(run(names)),
    "remat": lambda names: keras.remat(run(names)),
    "a bound method": lambda names: Times(run(names)).method,
    "a method of a number": lambda names: types.MethodType(run(names, more=", y=0"), 1.0).__func__,
    "a callable object": lambda names: Times(run(names)),
    "a callable object by name": lambda names: claiming(
        type("relu", (Times,), {}), "lamina.activations", "relu"
    )(run(names)),
    "a method of a dict": lambda names: {"f": run(names)}.get("f"),
    "a lambda in a lambda": lambda names: (lambda f: lambda x: f(x))(run(names)),
    "a default": lambda names: (lambda f: lambda x, g=f: g(x))(run(names)),
}  # fmt: skip


def trained(model, loss="mae"):
    """The loss of a step that changes nothing."""
    model.compile(keras.optimizers.SGD(0.0), loss)
    return float(model.fit(X, Y, verbose=0).history["loss"][0])


def with_activation(function):
    dense = layers.Dense(1, kernel_initializer="ones", activation=function)
    return trained(keras.Sequential([layers.Input((1,)), dense]))


def with_loss(loss):
    return trained(keras.Sequential([layers.Input((1,)), layers.Dense(1)]), loss)


def with_layer(layer):
    line = [layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")]
    return trained(keras.Sequential([*line, layer]))


def three_times(use, make, anew):
    """A new model each time, while the global changes, with one function, or one made `anew` from the same text."""
    names = {"SCALE": 0}
    thing, found = make(names), []
    for scale in (8, 4, 12):
        thing, names = (make(names := {"SCALE": scale}), names) if anew else (thing, names)
        names["SCALE"] = scale
        found.append(use(thing))
    return found


LOSSES = {
    "exec without a name": lambda names: loss_by(names),
    "exec as lamina.losses": lambda names: loss_by(names, module="lamina.losses.regression"),
    "wraps of a loss": lambda names: loss_by(names, keras.losses.mean_squared_error),
    "wraps of a loss, exec as lamina": lambda names: loss_by(names, keras.losses.mean_squared_error, "lamina"),
    "a name of a loss": lambda names: claiming(loss_by(names), "lamina.losses.regression", "mean_squared_error"),
    "remat of a loss": lambda names: keras.remat(loss_by(names, keras.losses.mean_squared_error)),
    "a class by exec": lambda names: claiming(
        type("MeanSquaredError", (keras.losses.Loss,), {"call": staticmethod(loss_by(names))}),
        "lamina.losses.regression", "MeanSquaredError",
    )(),
}  # fmt: skip


BY_JAX = "jax.jit", "jax.checkpoint"
"""Which keep themselves what a function read when it was first called."""


@pytest.mark.parametrize(
    ("kind", "anew"),
    [(kind, kind in BY_JAX) for kind in ACTIVATIONS]
    + [pytest.param(kind, True, marks=pytest.mark.nightly) for kind in ACTIVATIONS if kind not in BY_JAX],
)
def test_a_changed_global_of_an_activation_counts(kind, anew):
    np.testing.assert_allclose(three_times(with_activation, ACTIVATIONS[kind], anew), [8, 4, 12])


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("kind", LOSSES)
def test_a_changed_global_of_a_loss_counts(kind, anew):
    np.testing.assert_allclose(three_times(with_loss, LOSSES[kind], anew), [8, 4, 12])


def test_a_wrapped_loss_is_called_and_not_looked_up_by_name():
    @functools.wraps(keras.losses.mean_squared_error)
    def hundred(y_true, y_pred):
        return 100 + 0 * y_pred[:, 0]

    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    assert trained(model, hundred) == 100
    metric = keras.metrics.MeanMetricWrapper(hundred)
    assert float(metric(Y, Y)) == 100
    assert trained(model, keras.losses.mean_squared_error) != 100  # ours is still the loss of that name


def test_a_layer_of_a_class_that_claims_to_be_ours():
    np.testing.assert_allclose(three_times(with_layer, layer_by_type, anew=True), [8, 4, 12])


def test_a_method_of_ours_that_was_replaced(monkeypatch):
    found = []
    for scale in (4, 2, 6):
        call = functools.wraps(layers.Dense.call)(lambda self, x, scale=scale: x * scale)
        monkeypatch.setattr(layers.Dense, "call", call)
        found.append(trained(keras.Sequential([layers.Input((1,)), layers.Dense(1)])))
        monkeypatch.undo()
    np.testing.assert_allclose(found, [8, 4, 12])


@pytest.mark.parametrize("place", ["regularizer", "constraint", "initializer", "metric", "schedule"])
def test_other_functions_by_exec(place):
    def result(scale):
        names = {"SCALE": scale, "jnp": jnp}
        exec(
            "def regularizer(w): return SCALE + 0.0 * jnp.sum(w)\n"
            "def constraint(w): return 0.0 * w + SCALE\n"
            "def initializer(shape, dtype=None): return jnp.full(shape, SCALE / 2, dtype)\n"
            "def metric(y_true, y_pred): return SCALE + 0.0 * y_pred[:, 0]\n"
            "def schedule(step): return SCALE * 1.0\n",
            names,
        )
        of_layer = {f"kernel_{place}": names[place]} if place in ("regularizer", "constraint", "initializer") else {}
        if place == "regularizer":
            of_layer["kernel_initializer"] = "zeros"
        model = keras.Sequential([layers.Input((1,)), layers.Dense(1, **of_layer)])
        rate = names["schedule"] if place == "schedule" else 0.0
        model.compile(keras.optimizers.SGD(rate), "mae", metrics=[names["metric"]] if place == "metric" else None)
        before = model.layers[0].bias.numpy()
        history = model.fit(X, Y - 5, verbose=0).history
        if place == "constraint":
            return model.layers[0].kernel.numpy().item()
        if place == "schedule":
            return (before - model.layers[0].bias.numpy()).item()
        return {"metric": history.get("metric", [0])[0]}.get(place, history["loss"][0] - 5)

    np.testing.assert_allclose([result(scale) for scale in (8, 4, 12)], [8, 4, 12], rtol=1e-6)


class Text(str):
    __slots__ = ()


class Number(np.float32):
    pass


class Listed(list):
    pass


class Own(np.ndarray):
    pass


STRANGE = {
    "np.vectorize": lambda: np.vectorize(lambda x: x),
    "np.vectorize of a name": lambda: claiming(np.vectorize(lambda x: x), "numpy", "tanh"),
    "jax.custom_jvp": lambda: claiming(jax.custom_jvp(lambda x: x), "jax.nn", "relu"),
    "np.frompyfunc": lambda: np.frompyfunc(lambda x: x, 1, 1),
    "a method of a list": lambda: [1, 2].__getitem__,
    "a method of a dict": lambda: {1: 2}.get,
    "a method of a number": lambda: types.MethodType(lambda number, x: x, 3),
    "a subclass of str": lambda: Text("a"),
    "a subclass of a float": lambda: Number(1),
    "a subclass of list": lambda: Listed([1]),
    "a subclass of ndarray": lambda: np.ones(2).view(Own),
    "an array of objects": lambda: np.array([run], object),
    "a class that claims to be list": lambda: claiming(type("list", (list,), {}), "builtins", "list")([1]),
    "a subclass of partial": lambda: type("partial", (functools.partial,), {})(abs),
    "a partial": lambda: functools.partial(run, 3),
    "a jitted function": lambda: jax.jit(lambda x: x),
    "a function of functools": lambda: functools.lru_cache(run),
    "a module of one's own": lambda: in_fake_module(),
}


def in_fake_module():
    module = sys.modules["lamina.fake"] = types.ModuleType("lamina.fake")
    return run(vars(module))


@pytest.mark.parametrize("kind", STRANGE)
def test_no_program_is_shared_where_something_is_the_users(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "lamina.fake", None)
    layer = layers.Activation("relu")
    assert fingerprint(layer) is not None
    layer.of_mine = STRANGE[kind]()
    assert fingerprint(layer) is None


def test_what_the_libraries_hold_is_known():
    known = keras.activations.gelu, keras.ops.tanh, jnp.tanh, jax.nn.relu, np.tanh, abs, functools.partial(jnp.sum)
    for each in known:
        assert fingerprint(layers.Activation(each)) is not None
    for module in (keras.layers, keras.losses, keras.metrics, keras.optimizers, keras.initializers, keras.callbacks):
        kinds = [getattr(module, name) for name in module.__all__]
        kinds = [each for each in kinds if isinstance(each, type) and not hasattr(each, "_lamina_refusal")]
        assert [each for each in kinds if not of_library(each, "lamina")] == []


def test_the_name_of_a_function_in_a_file_is_its_own(tmp_path):
    """A wrapped activation was written as `tanh`, and loaded as that."""
    own = functools.wraps(keras.ops.tanh)(lambda x: 3 * x)
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1, own)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(keras.errors.LaminaError, match="custom_objects"):
        load_model(tmp_path / "a.keras")
    again = load_model(tmp_path / "a.keras", custom_objects={"tanh": own})
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0))


def all_of_them(scale):
    names = {"SCALE": scale}
    found = {f"activation: {kind}": with_activation(make({**names})) for kind, make in ACTIVATIONS.items()}
    return found | {f"loss: {kind}": with_loss(make({**names})) for kind, make in LOSSES.items()}


@pytest.mark.nightly
def test_the_next_process_has_no_old_program(tmp_path):
    here = str(Path(__file__).parent)
    environment = {**os.environ, "LAMINA_CACHE": str(tmp_path), "PYTHONPATH": here}
    for scale in (8, 4, 12):
        code = f"import json, test_programs_with_own_code as t; print(json.dumps(t.all_of_them({scale})))"
        told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout.splitlines()[-1])
        assert {kind: value for kind, value in found.items() if abs(value - scale) > 1e-5} == {}
