"""Optimizers against real Keras's, array by array."""

import copy
import functools
import json
import pickle

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras.src.optimizers.lamb import Lamb as KerasLamb

import lamina
from lamina import dtypes, optimizers
from lamina._settings.settings import serialize
from lamina._training.fingerprint import fingerprint
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, FixedError, LaminaWarning, ShapeError, UnknownNameError

# numpy() of a Keras variable
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SHAPES = {"dense/kernel": (3, 4), "dense/bias": (4,), "conv/kernel": (2, 3, 2)}
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
    ("Muon", {"learning_rate": 0.05}),
    ("ScheduleFreeAdamW", {}),
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
EACH = [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {}), ("RMSprop", {}), ("Nadam", {}), ("Lamb", {})]
CROSSED = [(name, own | base) for name, own in EACH for base in BASE]
CASES = OWN + [
    case for case in CROSSED if case[0] == "SGD" or (case[1].get("gradient_accumulation_steps") and len(case[1]) > 3)
]
REST = [case for case in CROSSED if case not in CASES]


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


@functools.cache
def _gradients(step, dtype):
    return start(dtype, seed=100 + step)


def gradients(step, dtype="float32"):
    return dict(_gradients(step, dtype))


def keras_variables(params):
    made = []
    for path, value in params.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made.append(keras.Variable(value, name=name, dtype=str(value.dtype)))
    assert [v.path for v in made] == list(params)
    return made


def counted(function):
    """`function`, and a list that is longer by one whenever JAX traces it: JAX's own count forgets old programs."""
    traces = []

    def traced(*args):
        traces.append(len(args))
        return function(*args)

    return traced, traces


def run(optimizer, params, steps=STEPS, grads=gradients):
    """`steps` steps with `update`, compiled once; the optimizer then holds the state."""
    traced, traces = counted(optimizer._lamina_update)
    update = jax.jit(traced)
    optimizer._lamina_arrays = optimizer._lamina_init(params)
    for step in range(steps):
        scale = optimizer._lamina_scale(jnp.float32(1), optimizer._lamina_arrays)
        scaled = {path: grads(step)[path] * scale.astype(p.dtype) for path, p in params.items()}
        params, optimizer._lamina_arrays = update(scaled, params, optimizer._lamina_arrays)
    assert len(traces) == 1
    return params


def run_keras(optimizer, params, steps=STEPS, grads=gradients):
    variables = keras_variables(params)
    optimizer.build(variables)
    apply = jax.jit(optimizer.stateless_apply)
    values = [v.value for v in variables]
    for step in range(steps):
        scale = optimizer.scale_loss(jnp.float32(1))
        scaled = [grads(step)[path] * jnp.asarray(scale, p.dtype) for path, p in params.items()]
        values, kept = apply([v.value for v in optimizer.variables], scaled, values)
        for variable, value in zip(optimizer.variables, kept, strict=True):
            variable.assign(value)
    return dict(zip(params, values, strict=True))


def assert_near(ours, theirs, rtol=1e-6):
    for path, expected in theirs.items():
        expected = np.asarray(expected, "float64")
        size = np.abs(expected).max(initial=0)
        np.testing.assert_allclose(np.asarray(ours[path], "float64"), expected, rtol, rtol * size, err_msg=path)


@pytest.mark.parametrize(
    ("name", "arguments"), [*CASES, *(pytest.param(*case, marks=pytest.mark.nightly) for case in REST)], ids=str
)
def test_twenty_steps_are_those_of_keras(name, arguments):
    ours, theirs = ours_and_theirs(name, arguments)
    params = start()
    if (name, arguments) not in OWN:  # what the base does, it does to each array
        del params["conv/kernel"]
    mine, expected = run(ours, params), run_keras(theirs, params)
    assert_near(mine, expected)

    assert len(ours.variables) == len(theirs.variables)
    for variable, kept in zip(ours.variables, theirs.variables, strict=True):
        assert variable.shape == tuple(kept.shape)
        if name != "Adafactor":  # what Keras calls its rows and columns is the weight's name
            assert variable.dtype == kept.dtype
            assert variable.path == kept.path or kept.path.startswith("variable")  # Nadam's product has no name there
        assert_near({"": variable.numpy()}, {"": kept.value}, rtol=3e-6)
    assert int(ours.iterations) == int(jnp.asarray(theirs.iterations))
    assert_near({"": jnp.asarray(ours.learning_rate)}, {"": jnp.asarray(theirs.learning_rate)})
    config = theirs.get_config()
    assert ours.get_config() == config
    assert type(ours).from_config(json.loads(json.dumps(config))).get_config() == config


def test_every_optimizer_and_argument_of_keras():
    theirs = {n for n in dir(keras.optimizers) if isinstance(getattr(keras.optimizers, n), type)}
    later = {"MultiOptimizer", "OptimizerMap"}
    assert theirs - later <= set(optimizers.__all__)
    for name in theirs - later - {"Optimizer", "LossScaleOptimizer"}:
        ours, own = getattr(optimizers, name)(), getattr(keras.optimizers, name)()
        expected = own.get_config() | {"name": ours.name}
        assert ours.get_config() == expected
        assert serialize(ours) == keras.optimizers.serialize(own) | {"config": expected}


@pytest.mark.parametrize(("name", "arguments"), [*OWN, *CROSSED[:11]], ids=str)
def test_types_are_stable_with_strict_promotion(name, arguments):
    """Nothing weakly typed or of another dtype comes back, for weights of 16 bits either; slots have 32."""
    optimizer, _ = ours_and_theirs(name, arguments)
    params = start("bfloat16")
    state = optimizer._lamina_init(params)
    assert all(a.dtype == "float32" for a in jax.tree.leaves(state["slots"]))
    with jax.numpy_dtype_promotion("strict"):
        after = jax.eval_shape(optimizer._lamina_update, params, params, state)
    assert jax.tree.structure(after) == jax.tree.structure((params, state))
    for was, now in zip(jax.tree.leaves((params, state)), jax.tree.leaves(after), strict=True):
        assert (was.shape, was.dtype, was.weak_type) == (now.shape, now.dtype, now.weak_type)


def test_what_is_not_used_leaves_nothing_in_the_program():
    params = start()

    def operations(optimizer):
        traced = jax.make_jaxpr(optimizer._lamina_update)(params, params, optimizer._lamina_init(params))
        return sorted(each.primitive.name for each in traced.eqns)

    bare = operations(optimizers.SGD())
    assert set(bare) <= {"add", "mul", "sub", "convert_element_type"} and (bare.count("mul"), bare.count("sub")) == (
        3,
        3,
    )
    plain = operations(optimizers.Adam())
    assert "cond" not in plain and "select_n" not in plain and plain.count("sqrt") == 6
    assert operations(optimizers.Adam(weight_decay=0.1, use_ema=True, clipvalue=1.0)) != plain


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 0.01), ("bfloat16", 0.08)])
@pytest.mark.parametrize(
    ("name", "arguments"), [("SGD", {"momentum": 0.9}), ("RMSprop", {}), ("Adam", {"clipnorm": 1.0, "use_ema": True})]
)
def test_weights_of_16_bits_go_where_those_of_32_go(name, arguments, dtype, digits):
    """Keras's own Adam stands still in bfloat16, in which 0.999 is 1, and in float16 divides by what fell to 0."""
    short, long = (ours_and_theirs(name, arguments | {"learning_rate": 0.05})[0] for _ in range(2))
    after, expected = run(short, start(dtype)), run(long, start())
    assert {str(p.dtype) for p in after.values()} == {dtype}
    assert_near(after, expected, rtol=digits)
    finished = short._lamina_finalize(after, short._lamina_arrays)
    assert {str(p.dtype) for p in finished.values()} == {dtype}
    assert_near(finished, long._lamina_finalize(expected, long._lamina_arrays), rtol=digits)


def test_float64():
    with jax.enable_x64(True):
        params = start("float64")
        adam = optimizers.Adam(0.5)
        after = run(adam, params, grads=lambda step: gradients(step, "float64"))
        assert {str(a.dtype) for a in jax.tree.leaves((after, adam._lamina_arrays["slots"]))} == {"float64"}
        p, m, v = np.asarray(params["dense/bias"]), 0.0, 0.0
        for t in range(1, STEPS + 1):
            g = np.asarray(gradients(t - 1, "float64")["dense/bias"])
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            p = p - 0.5 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
        np.testing.assert_allclose(after["dense/bias"], p, rtol=1e-12)


def test_state_can_be_donated_and_the_learning_rate_changed_without_compiling():
    adam = optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=2)
    traced, traces = counted(adam._lamina_update)
    update = jax.jit(traced, donate_argnums=(1, 2))
    params, adam._lamina_arrays = start(), adam._lamina_init(start())
    seen = adam.learning_rate
    for step in range(6):
        if step == 3:
            adam.learning_rate = 0.5
        given, before = adam._lamina_arrays, params
        params, adam._lamina_arrays = update(gradients(step), params, given)
        assert given["learning_rate"].is_deleted() and before["dense/bias"].is_deleted()
        assert float(adam.learning_rate) == pytest.approx(0.01 if step < 3 else 0.5)
    assert len(traces) == 1
    assert seen == adam.learning_rate

    finished = adam._lamina_finalize(params, adam._lamina_arrays)
    update(gradients(0), finished, adam._lamina_arrays)  # the averages are not donated twice


def test_a_program_sees_the_learning_rate():
    by_two, by_one = ({"w": jnp.ones(2)} for _ in range(2))
    sgd = optimizers.SGD(1.0)
    slow, _ = sgd._lamina_update({"w": jnp.ones(2)}, by_one, sgd._lamina_init(by_one))
    sgd.learning_rate *= 2
    fast, _ = sgd._lamina_update({"w": jnp.ones(2)}, by_two, sgd._lamina_init(by_two))
    np.testing.assert_array_equal((slow["w"], fast["w"]), [[0, 0], [-1, -1]])


def test_learning_rate_reads_like_a_number():
    adam = optimizers.Adam(0.01)
    rate = adam.learning_rate
    assert float(rate) == np.float32(0.01) and rate.numpy() == np.float32(0.01) and rate.dtype == "float32"
    assert rate == 0.01 and rate < 0.02 and rate * 2 == np.float32(0.02) and f"{rate:.3f}" == "0.010"
    assert repr(rate).count("value=0.01") == 1 and rate.path == "adam/learning_rate"
    rate.assign(0.25)
    assert adam.learning_rate == 0.25 and adam.get_config()["learning_rate"] == 0.25
    adam.learning_rate = np.float64(0.5)
    adam.learning_rate = adam.learning_rate / 2
    assert adam._lamina_init(start())["learning_rate"] == rate == 0.25
    adam.learning_rate = 1
    assert adam.learning_rate == 1
    assert optimizers.SGD(1).learning_rate == 1 and optimizers.SGD(jnp.float32(0.5)).learning_rate == 0.5


def test_learning_rate_from_a_schedule_or_a_function():
    schedule = optimizers.schedules.PiecewiseConstantDecay([2], [1.0, 0.25])
    sgd = optimizers.SGD(schedule)
    assert "learning_rate" not in sgd._lamina_init(start()) and sgd.learning_rate == 1.0
    run(sgd, start(), steps=3)
    assert sgd.learning_rate == 0.25 and [v.name for v in sgd.variables] == ["iteration"]
    for wrong in (0.1, "0.1"):
        with pytest.raises(FixedError if wrong == 0.1 else ArgumentError):
            sgd.learning_rate = wrong
    with pytest.raises(TypeError, match="PiecewiseConstantDecay"):
        sgd.learning_rate = 0.1
    sgd.learning_rate = optimizers.schedules.ExponentialDecay(0.5, 1, 1.0)
    assert sgd.learning_rate == 0.5

    run(of_step := optimizers.SGD(lambda step: 0.5 / (step + 1.0)), start(), steps=4)
    assert of_step.learning_rate == 0.1

    values = [0.1, 0.2]
    inner = optimizers.SGD(lambda: values.pop(0))
    inner._lamina_arrays = inner._lamina_init(start())
    assert inner._lamina_arrays["learning_rate"] == np.float32(0.2)
    values += [0.3, 0.4]
    assert optimizers.LossScaleOptimizer(inner)._lamina_arrays["learning_rate"] == np.float32(0.3)
    assert inner.learning_rate == np.float32(0.4)
    assert [v.name for v in inner.variables] == ["iteration"]


def scaled_run(grads):
    ours = optimizers.LossScaleOptimizer(optimizers.Adam(0.05), initial_scale=64.0, dynamic_growth_steps=3)
    theirs = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.05), initial_scale=64.0, dynamic_growth_steps=3
    )
    return ours, theirs, run(ours, start(), 12, grads), run_keras(theirs, start(), 12, grads)


@pytest.mark.parametrize(("broken", "scale"), [((), 1024), ((0, 4, 5), 64), ((1, 3, 11), 32)])
def test_loss_scale_is_that_of_keras(broken, scale):
    def grads(step):
        found = gradients(step)
        if step in broken:
            found["dense/bias"] = found["dense/bias"].at[1].set(jnp.nan if step % 2 else jnp.inf)
        return found

    ours, theirs, mine, expected = scaled_run(grads)
    assert_near(mine, expected)
    assert float(ours.dynamic_scale) == float(theirs.dynamic_scale) == scale
    assert int(ours.iterations) == int(theirs.iterations) == 12 - len(broken)
    for variable, kept in zip(ours.variables, theirs.variables, strict=True):
        assert (variable.shape, variable.dtype, variable.name) == (tuple(kept.shape), kept.dtype, kept.name)
        assert_near({"": variable.numpy()}, {"": kept.value}, rtol=3e-6)


def test_loss_scale_optimizer_shares_the_inner_one():
    inner = optimizers.SGD(0.1, use_ema=True)
    outer = optimizers.LossScaleOptimizer(inner)
    assert (
        outer.scale_loss(jnp.float32(2)) == 2.0**16
        and outer._lamina_scale(jnp.float16(4), outer._lamina_init(start())) == 2.0**17
    )
    outer._lamina_arrays = outer._lamina_init(start())
    inner.learning_rate = 0.5
    assert outer.learning_rate == 0.5 and outer._lamina_arrays["learning_rate"] == 0.5
    outer.exclude_from_weight_decay(var_names=["bias"])
    assert (
        inner._lamina_excludes("dense/bias")
        and outer._lamina_excludes("dense/bias")
        and not outer._lamina_excludes("dense/kernel")
    )
    twin = copy.copy(outer)
    twin._lamina_arrays = None
    assert outer.built and inner.built and not twin.built
    twin.learning_rate = 0.1
    assert outer.learning_rate == 0.5

    own = optimizers.LossScaleOptimizer("adam", 1024, name="wrapped")
    config = {"inner_optimizer": serialize(optimizers.Adam()), "initial_scale": 1024, "dynamic_growth_steps": 2000}
    assert own.get_config() == {"name": "wrapped", **config}
    assert optimizers.get(json.loads(json.dumps(serialize(own)))).get_config() == own.get_config()
    with pytest.warns(LaminaWarning, match="loss_scale_factor"):
        assert (
            optimizers.LossScaleOptimizer(optimizers.SGD(loss_scale_factor=2.0)).inner_optimizer.loss_scale_factor
            is None
        )


def test_old_files_of_keras_name_the_base_arguments():
    theirs = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)).get_config()
    theirs["inner_optimizer"]["config"]["name"] = "sgd"
    ours = optimizers.LossScaleOptimizer.from_config({**theirs, "clipnorm": None, "ema_momentum": 0.99})
    assert ours.get_config() == theirs


def test_weights_that_do_not_decay():
    params = start()
    zero = {path: jnp.zeros_like(p) for path, p in params.items()}
    adam = optimizers.AdamW(0.5, weight_decay=0.5)
    kernel = Weight(params["conv/kernel"], name="kernel", path="conv/kernel")
    adam.exclude_from_weight_decay(var_list=[kernel], var_names=["bias"])
    after, _ = adam._lamina_update(zero, params, adam._lamina_init(params))
    for path, share in {"dense/kernel": 0.75, "dense/bias": 1, "conv/kernel": 1}.items():
        np.testing.assert_allclose(after[path], params[path] * share, rtol=1e-6)
    told, _ = adam._lamina_update(zero, params, adam._lamina_init(params), {"dense/kernel": False, "dense/bias": True})
    for path, share in {"dense/kernel": 1, "dense/bias": 0.75, "conv/kernel": 0.75}.items():
        np.testing.assert_allclose(told[path], params[path] * share, rtol=1e-6)
    adam.exclude_from_weight_decay(var_names=["dense/"])
    assert adam._lamina_excludes("dense/kernel") and not adam._lamina_excludes("conv/kernel")
    with pytest.raises(ArgumentError, match=r"\['bias'\]"):
        adam.exclude_from_weight_decay(var_names="bias")


def weights_of(params):
    return [Weight(value, name=path.split("/")[1], path=path) for path, value in params.items()]


@pytest.mark.parametrize("arguments", [{}, {"use_ema": True, "ema_momentum": 0.5}, {"loss_scale_factor": 4.0}])
def test_own_loop_on_weights_is_that_of_keras(arguments):
    ours, theirs = ours_and_theirs("Adam", {"learning_rate": 0.05, **arguments})
    weights, variables = weights_of(start()), keras_variables(start())
    weights[1].constraint, variables[1].constraint = jnp.abs, keras.ops.abs
    ours._lamina_update, traces = counted(ours._lamina_update)
    for step in range(4):
        if step == 2:
            ours.learning_rate = theirs.learning_rate = 0.2
        grads = [g * ours.scale_loss(jnp.float32(1)) for g in gradients(step).values()]
        steps = ours.apply_gradients(zip(grads, weights, strict=True))
        assert steps == int(theirs.apply_gradients(zip(grads, variables, strict=True)).value) == step + 1
    ours.apply(grads)
    theirs.apply(grads)
    assert_near({w.path: w.value for w in weights}, {v.path: v.value for v in variables})
    assert len(traces) == 1
    ours.finalize_variable_values(weights)
    theirs.finalize_variable_values(variables)
    assert_near({w.path: w.value for w in weights}, {v.path: v.value for v in variables})


def test_own_loop_with_a_missing_gradient():
    weights = weights_of(start())
    adam = optimizers.Adam(0.1)
    with pytest.warns(LaminaWarning, match="dense/bias"):
        adam.apply([jnp.ones((3, 4)), None, jnp.ones((2, 3, 2))], weights)
    assert_near({"": weights[1].value}, {"": start()["dense/bias"]}, rtol=0)
    assert float(weights[0][0, 0]) == pytest.approx(float(start()["dense/kernel"][0, 0]) - 0.1, abs=1e-5)
    for grads, variables, message in [
        ([None], weights[:1], "all 1 gradients are None"),
        ([jnp.ones(4)], weights, "for each of 3 weights, got 1"),
        ([jnp.ones(4)], [Weight(jnp.ones(4), name="other")], "built for other weights, without 'other'"),
        ([jnp.ones(4)] * 2, [weights[1]] * 2, "two weights are called 'dense/bias'"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            adam.apply(grads, variables)
    with pytest.raises(ShapeError, match=r"has shape \(3,\), the weight \(4,\)"):
        adam.apply([jnp.ones(3)], [weights[1]])


def test_variables_write_through():
    adam = optimizers.Adam()
    assert [v.name for v in adam.variables] == ["iteration", "learning_rate"] and adam._lamina_arrays is None
    adam.build(weights_of(start()))
    adam.variables[2].assign(np.ones((3, 4)))
    assert float(adam._lamina_arrays["slots"]["dense/kernel"]["momentum"].sum()) == 12
    adam.iterations.assign(7)
    assert adam._lamina_arrays["iteration"] == 7
    adam.build(weights_of(start()))
    assert adam.iterations == 7
    adam._lamina_arrays = None
    assert adam.iterations == 0 and not adam.built and adam.learning_rate == np.float32(0.001)


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies_are_apart(twin_of):
    weights = weights_of(start())
    adam = optimizers.Adam(0.25)
    adam.apply(gradients(0).values(), weights)
    twin = twin_of(adam)
    twin._lamina_arrays = None
    assert adam.built and not twin.built
    twin.learning_rate = 1.0
    assert adam.learning_rate == 0.25
    twin.apply(gradients(0).values(), weights_of(start()))
    assert twin.iterations == 1


def test_equal_optimizers_share_their_programs():
    adam, other = optimizers.Adam(0.25), optimizers.Adam(0.5, name="other")
    adam.apply(gradients(0).values(), weights_of(start()))
    assert fingerprint(adam) == fingerprint(other) == fingerprint(optimizers.Adam(lambda: 0.1))
    assert fingerprint(optimizers.LossScaleOptimizer(adam)) == fingerprint(optimizers.LossScaleOptimizer(other))
    other.exclude_from_weight_decay(var_names=["bias"])
    schedule = optimizers.schedules.CosineDecay
    unlike = [adam, other, optimizers.Adam(beta_1=0.5), optimizers.Nadam(), optimizers.LossScaleOptimizer(adam)]
    unlike += [optimizers.Adam(schedule(0.1, 10)), optimizers.Adam(schedule(0.2, 10))]
    assert len({fingerprint(each) for each in unlike}) == len(unlike)


def test_get():
    for name in ("Adam", "adam", "ADAM", "rmsprop", "RMSprop", "rm_sprop", "sgd", "adamw", "lamb", "Ftrl"):
        assert type(optimizers.get(name)).__name__.lower() == name.lower().replace("_", "")
    assert isinstance(optimizers.get(optimizers.SGD), optimizers.SGD) and optimizers.get(None) is None
    adam = optimizers.Adam(0.5, clipnorm=1.0)
    assert optimizers.get(adam) is adam
    again = optimizers.get(json.loads(json.dumps(serialize(adam))))
    assert again.get_config() == adam.get_config()
    scheduled = optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10))
    assert optimizers.get(serialize(scheduled)).get_config() == scheduled.get_config()


@pytest.mark.parametrize(
    ("name", "nearest"), [("adamm", "adam"), ("adma", "adam"), ("rmspropp", "rmsprop"), ("sdg", "sgd")]
)
def test_misspelt_name(name, nearest):
    with pytest.raises(UnknownNameError, match="Did you mean") as caught:
        optimizers.get(name)
    assert nearest in str(caught.value).lower()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimizers.Adam("0.1"), "Adam.learning_rate='0.1'.: expected a number of at least 0, a schedule"),
        (lambda: optimizers.Adam(True), "expected a number"),
        (lambda: optimizers.Adam(-0.1), r"expected a number of at least 0, got -0.1"),
        (lambda: optimizers.Adam(float("nan")), "expected a number of at least 0, got nan"),
        (lambda: optimizers.Adam(optimizers.schedules.CosineDecay), "expected a number"),
        (lambda: optimizers.Adam(learning_rte=0.1), "Did you mean 'learning_rate'"),
        (lambda: optimizers.Adam(lr=0.1), "no argument 'lr'. Type learning_rate="),
        (lambda: optimizers.Adam(beta_1=1.5), r"beta_1=1.5\): expected a number from 0 to 1"),
        (lambda: optimizers.Adam(epsilon=None), "epsilon=None"),
        (lambda: optimizers.SGD(momentum="high"), "momentum='high'"),
        (lambda: optimizers.SGD(nesterov=1), "expected True or False"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay=None"),
        (lambda: optimizers.Adam(clipnorm=-1), "clipnorm=-1"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), "only one of .* got clipnorm and clipvalue"),
        (lambda: optimizers.Adam(ema_momentum=2), "ema_momentum=2"),
        (lambda: optimizers.Adam(ema_overwrite_frequency=0), "at least 1"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=1), "at least 2"),
        (lambda: optimizers.Adam(loss_scale_factor=0), "above 0"),
        (lambda: optimizers.Lion(beta_1=0), "above 0"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), "at most 0"),
        (lambda: optimizers.LossScaleOptimizer("adam", inital_scale=1.0), "Did you mean 'initial_scale'"),
        (lambda: optimizers.LossScaleOptimizer("adam", clipnorm=1.0), "give it to the inner optimizer"),
        (lambda: optimizers.LossScaleOptimizer("adam", 0), "LossScaleOptimizer: expected a number above 0"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.LossScaleOptimizer("adam")), "expected an optimizer"),
        (lambda: optimizers.get(3), "expected the name of an optimizer"),
        (lambda: optimizers.get(lambda: 3), "expected an optimizer such as 'adam'"),
        (lambda: optimizers.get(keras.optimizers.Adam), "keras.*Adam"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_an_average_that_is_not_kept_is_said():
    with pytest.warns(LaminaWarning, match="use_ema=True"):
        optimizers.Adam(ema_overwrite_frequency=5)


def own_adam(module):
    """One class body for both: an Adam written as Keras's documentation shows, with a variable of no weight."""

    class OwnAdam(module.Optimizer):
        def __init__(self, learning_rate=0.05, beta_1=0.9, beta_2=0.99, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)
            self.beta_1, self.beta_2, self.step, self.slots = beta_1, beta_2, "of my own", []

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.momentums, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
            self.slots = [self.add_variable_from_reference(v, name="last", initializer="ones") for v in variables]
            self.updates = self.add_variable((), name="updates", dtype="float32")

        def update_step(self, gradient, variable, learning_rate):
            place = self._get_variable_index(variable)
            m, v = self.momentums[place], self.velocities[place]
            t = jnp.asarray(self.iterations + 1, variable.dtype)
            self.assign_add(m, (gradient - m) * (1 - self.beta_1))
            self.assign_add(v, (gradient * gradient - v) * (1 - self.beta_2))
            alpha = learning_rate * jnp.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
            self.assign_sub(variable, m * alpha / (jnp.sqrt(jnp.array(v)) + 1e-7))
            self.slots[place].assign(gradient)
            self.updates.assign_add(1.0)

        def get_config(self):
            return super().get_config() | {"beta_1": self.beta_1, "beta_2": self.beta_2}

    return OwnAdam


OWN_SETTINGS = [
    {},
    {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3, "beta_1": 0.7},
    {"learning_rate": SCHEDULE, "loss_scale_factor": 4.0},
]


@pytest.mark.parametrize("arguments", OWN_SETTINGS, ids=str)
def test_an_own_optimizer_makes_the_steps_that_it_makes_in_keras(arguments):
    ours, theirs = (
        own_adam(module)(
            **arguments
            | (
                {"learning_rate": module.schedules.ExponentialDecay(**SCHEDULE[1])}
                if "learning_rate" in arguments
                else {}
            ),
            name="opt",
        )
        for module in (optimizers, keras.optimizers)
    )
    weights = weights_of(start())
    expected = run_keras(theirs, start())
    for step in range(STEPS):
        ours.apply([g * ours.scale_loss(jnp.float32(1)) for g in gradients(step).values()], weights)
    assert_near({w.path: w.value for w in weights}, expected)
    assert len(ours.variables) == len(theirs.variables)
    for variable, kept in zip(ours.variables, theirs.variables, strict=True):
        assert (variable.path, variable.shape) == (kept.path, tuple(kept.shape))
        assert_near({"": variable.numpy()}, {"": kept.value}, rtol=3e-6)
    assert int(ours.iterations) == int(jnp.asarray(theirs.iterations)) and ours.step == "of my own"
    assert float(ours.updates) == float(theirs.updates)
    again = type(ours).from_config(ours.get_config())
    assert again.get_config() == ours.get_config() and again.beta_1 == arguments.get("beta_1", 0.9)


def test_an_own_optimizer_in_fit_is_that_of_keras():
    x, y = np.random.default_rng(0).normal(size=(40, 5)).astype("float32"), np.ones((40, 1), "float32")
    losses, models = [], []
    for root, module in ((lamina, optimizers), (keras, keras.optimizers)):
        model = root.Sequential([root.layers.Input((5,)), root.layers.Dense(4, "tanh"), root.layers.Dense(1)])
        model.set_weights([np.full(w.shape, 0.1, "float32") for w in model.weights])
        model.compile(own_adam(module)(), "mse")
        history = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
        model.optimizer.learning_rate = 0.01
        more = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
        losses.append(history.history["loss"] + more.history["loss"])
        models.append(model)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    ours, theirs = (model.optimizer for model in models)
    assert int(ours.iterations) == 25 and float(ours.updates) == 100
    for mine, its in zip(ours.momentums + ours.velocities, theirs.momentums + theirs.velocities, strict=True):
        np.testing.assert_allclose(mine.numpy(), np.asarray(its.value), rtol=1e-4, atol=1e-7)
    model = models[0]
    model.layers[0].trainable = False
    model.fit(x, y, batch_size=8, verbose=0)
    assert int(ours.iterations) == 30 and len(ours.momentums) == 4

    scaled = lamina.Sequential([lamina.layers.Input((5,)), lamina.layers.Dense(1)])
    scaled.compile(optimizers.LossScaleOptimizer(own_adam(optimizers)()), "mse")
    scaled.fit(x, y, batch_size=8, verbose=0)
    assert int(scaled.optimizer.iterations) == 5 and float(scaled.optimizer.inner_optimizer.updates) == 10


def test_own_optimizers_with_fields_and_from_built_in_ones():
    class Signs(optimizers.Optimizer):
        power: float = 1.0

        def build(self, variables):
            super().build(variables)
            self.last = {v.path: self.add_variable_from_reference(v, "last") for v in variables}

        def update_step(self, gradient, variable, learning_rate):
            variable.assign(variable - learning_rate * jnp.sign(gradient) * self.power)
            self.last[variable.path].assign(gradient)

    class Keraslike(Signs):
        def __init__(self, learning_rate=0.5, power=2.0, **kwargs):
            super().__init__(learning_rate=learning_rate, power=power, **kwargs)

    class Twice(optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate * 2)

    for own, by in ((Signs(0.5, clipvalue=0.25), 0.5), (Keraslike(clipvalue=0.25), 1.0)):
        weights = weights_of(start())
        own.apply(gradients(0).values(), weights)
        for weight, (path, g) in zip(weights, gradients(0).items(), strict=True):
            np.testing.assert_allclose(weight.value, start()[path] - by * np.sign(g), rtol=1e-6)
            np.testing.assert_allclose(own.last[path], np.clip(g, -0.25, 0.25))
        assert [v.name for v in own.variables[2:]] == [f"{path.replace('/', '_')}_last" for path in SHAPES]
        assert type(own).from_config(own.get_config()).get_config() == own.get_config()
        twin = copy.deepcopy(own)
        twin.last["dense/bias"].assign(jnp.zeros(4))
        assert not np.any(twin.last["dense/bias"]) and np.any(own.last["dense/bias"])
    assert_near(run(Twice(0.05), start()), run(optimizers.Adam(0.1), start()))
    assert repr(Signs(0.5, power=2)) == "Signs(learning_rate=0.5, power=2)"
    assert repr(Keraslike(power=3.0)) == "Keraslike(power=3.0)"
    with pytest.raises(NotImplementedError, match="update_step"):
        run(optimizers.Optimizer(), start(), steps=1)
    with pytest.raises(ArgumentError, match=r"after super\(\).build\(variables\)"):
        Signs().add_variable((2,))


def test_lr_is_the_learning_rate():
    adam = optimizers.Adam(0.5)
    assert adam.lr == 0.5
    with pytest.warns(LaminaWarning, match="Keras 2's name of learning_rate"):
        adam.lr = 0.25
    assert adam.learning_rate == 0.25


def test_floatx_of_16_bits_does_not_round_the_learning_rate():
    dtypes.set_floatx("bfloat16")
    try:
        assert optimizers.Adam(0.001).learning_rate == np.float32(0.001)
    finally:
        dtypes.set_floatx("float32")


def test_what_keras_still_takes_and_ignores_is_taken_and_said():
    with pytest.warns(LaminaWarning, match=r"SGD: decay has no effect, as in Keras 3.*InverseTimeDecay"):
        sgd = optimizers.SGD(0.5, decay=1e-6)
    assert repr(sgd) == repr(optimizers.SGD(0.5)) == repr(optimizers.SGD(0.5, decay=0.0))


def test_the_scale_of_a_loss_is_dynamic():
    for library in (lamina, keras):
        library.optimizers.LossScaleOptimizer(library.optimizers.SGD(), dynamic=True)
    with pytest.raises(ArgumentError, match=r"Adam\(loss_scale_factor=1024\)"):
        lamina.optimizers.LossScaleOptimizer("sgd", dynamic=False)
