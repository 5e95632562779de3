"""Objects to configuration and back: what is written equals what real Keras writes, and what is read is closed."""

import json

import jax.numpy as jnp
import keras
import numpy as np
import pytest
from cases import CASES

import lamina
from lamina import layers
from lamina._saving.config import deserialized, serialized
from lamina.errors import (
    ArgumentError,
    CallError,
    FileError,
    LaminaError,
    LaminaWarning,
    ShapeError,
    StackError,
    UnknownNameError,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")
PACKAGES = (lamina, keras)


def plain(config):
    """A config as its JSON, without the ids that Keras gives to objects that stand in it twice."""

    def without_ids(value):
        if isinstance(value, dict):
            return {key: without_ids(each) for key, each in value.items() if key != "shared_object_id"}
        return [without_ids(each) for each in value] if isinstance(value, list) else value

    return without_ids(json.loads(json.dumps(config)))


def small(k, **told):
    """A compiled stack of one of the two packages, with a stack within it."""
    keras.utils.clear_session(
        free_memory=False
    )  # which counts optimizers over all models, where here they count in each
    line = [
        k.Input((8,), name="entry"),
        k.layers.Dense(4, activation="relu", kernel_regularizer="l2", name="first"),
        k.layers.BatchNormalization(name="norm"),
        k.Sequential([k.Input((4,), name="inner_entry"), k.layers.Dense(2, name="second")], name="inner"),
    ]
    model = k.Sequential(line, name="net")
    if told:
        model.compile(**told)
    return model


def test_a_stack_as_json_is_that_of_keras_and_each_opens_the_others():
    told = {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]}
    ours, theirs = (small(k, **told) for k in PACKAGES)
    assert plain(serialized(ours)) == plain(keras.saving.serialize_keras_object(theirs))
    assert json.loads(ours.to_json(indent=1)) == plain(serialized(ours))
    again = deserialized(json.loads(theirs.to_json()))
    assert again.to_json() == ours.to_json()
    assert plain(json.loads(keras.models.model_from_json(ours.to_json()).to_json())) == plain(
        json.loads(ours.to_json())
    )


def test_a_missing_class_is_refused_or_left_out():
    config = serialized(small(lamina))
    own = {"module": "theirs", "class_name": "Odd", "config": {"name": "odd"}, "registered_name": "mine>Odd"}
    config["config"]["layers"].append(own)
    with pytest.raises(
        FileError, match=r"(?s)m.keras, config.json: layer 4 \(odd: Odd\).*custom_objects=\{'mine>Odd'[\s\S]*skip="
    ):
        deserialized(config, where="m.keras, config.json")
    left_out = []
    model = deserialized(config, skip=["Odd"], left_out=left_out)
    assert [layer.name for layer in model.layers] == ["first", "norm", "inner"]
    assert len(left_out) == 1 and left_out[0].startswith("layer odd (Odd): no layer is called 'Odd'")
    assert model.built and model.output_shape == (None, 2)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_layers_after_a_missing_one_keep_their_shapes(place):
    line = [layers.Dense(5, name="a"), layers.Dense(6, name="b"), layers.Dense(7, name="c"), layers.Dense(2, name="d")]
    config = serialized(lamina.Sequential([layers.Input((4,)), *line]))
    described = config["config"]["layers"][place]
    described |= {"class_name": "Odd", "registered_name": "mine>Odd", "module": "theirs"}
    left_out = []
    model = deserialized(config, skip=["mine>Odd"], left_out=left_out)
    kept = [layer for layer in line if layer.name != described["config"]["name"]]
    assert [layer.kernel.shape for layer in model.layers] == [layer.kernel.shape for layer in kept]
    assert len(left_out) == 2 and "cannot be called" in left_out[1] and described["config"]["name"] in left_out[1]
    with pytest.raises(ShapeError):
        model(np.ones((2, 4), "float32"))
    tail = lamina.Sequential(model.layers[place - 1 :])
    assert tail(np.ones((2, line[place - 1].units), "float32")).shape == (2, 2)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_layer_as_json_is_that_of_keras(case):
    ours, theirs = (case.make(k.layers, name="given") for k in PACKAGES)
    config, want = plain(serialized(ours)), plain(keras.saving.serialize_keras_object(theirs))
    seeded = case.name == "SimpleRNN" and "seed" in case.settings  # which Keras's config of it forgets
    assert config == want or seeded
    assert plain(serialized(deserialized(want))) == config or seeded
    assert json.loads(json.dumps(ours.get_config())) == config["config"]
    if case.name != "RandomShear":  # which does not take the factors in its own config
        assert plain(keras.saving.serialize_keras_object(keras.saving.deserialize_keras_object(config))) == want
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()
    for name, value in theirs.get_config().items():
        if isinstance(value, (list, tuple)) and name != "value_range":  # some of Keras's classes keep this as a list
            assert isinstance(ours.get_config()[name], tuple) == isinstance(value, tuple), name


ARGUMENTS = {
    "Constant": {"value": [1.0, 2.0]},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.1},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "staircase": True},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "name": "mine"},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 1},
    "L1L2": {"l1": 0.1, "l2": 0.3},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0]},
    "OneHotMeanIoU": {"num_classes": 3, "axis": 1},
    "PiecewiseConstantDecay": {"boundaries": [1, 5], "values": [1.0, 0.5, 0.1]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "PrecisionAtRecall": {"recall": 0.5, "class_id": 1},
    "RecallAtPrecision": {"precision": 0.5},
    "SGD": {"momentum": 0.9, "nesterov": True, "global_clipnorm": 1.0, "use_ema": True},
    "SensitivityAtSpecificity": {"specificity": 0.5, "num_thresholds": 20},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "VarianceScaling": {"scale": 2.0, "mode": "fan_avg", "distribution": "uniform", "seed": 3},
}
LOST = {"CosineSimilarity": {"axis": 1}, "Huber": {"delta": 2.0}, "Identity": {"gain": 2.0}}
"""Settings that Keras's own configs forget; here they are kept, in a form that Keras reads."""
BASES = {
    "MeanMetricWrapper",
    "Constraint",
    "Initializer",
    "LearningRateSchedule",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
}
HOMES = "initializers regularizers constraints losses metrics optimizers optimizers.schedules".split()


def in_both(home):
    """The classes of a public module of Keras that are here too, by name."""
    ours, theirs = lamina, keras
    for part in home.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    kinds = {name: getattr(theirs, name) for name in dir(theirs) if name in ours.__all__ and name not in BASES}
    return {name: (getattr(ours, name), kind) for name, kind in kinds.items() if isinstance(kind, type)}


OTHERS = [(home, name) for home in HOMES for name in in_both(home)]


@pytest.mark.parametrize(("home", "name"), OTHERS)
def test_every_other_object_as_json_is_that_of_keras(home, name):
    ours, theirs = in_both(home)[name]
    keras.utils.clear_session(free_memory=False)
    scaled = name == "LossScaleOptimizer"
    mine, its = (
        kind(k.optimizers.Adam(0.25)) if scaled else kind(**ARGUMENTS.get(name, {}))
        for kind, k in ((ours, lamina), (theirs, keras))
    )
    config, want = plain(serialized(mine)), plain(keras.saving.serialize_keras_object(its))
    assert config == want
    assert plain(serialized(deserialized(want))) == config
    assert plain(keras.saving.serialize_keras_object(keras.saving.deserialize_keras_object(config))) == want
    if name in LOST:
        kept = deserialized(plain(serialized(ours(**LOST[name]))))
        assert kept.get_config().items() >= LOST[name].items()
        keras.saving.deserialize_keras_object(plain(serialized(kept)))


# What a user registers, and the other doors.


def test_what_is_registered_is_found_and_never_in_the_place_of_a_built_in_class():
    saving = lamina.saving

    @saving.register_keras_serializable("mine")
    class Half(layers.Layer):
        def call(self, x):
            return x / 2

    @saving.register_keras_serializable(package="mine", name="squash")
    def soft(x):
        return x / 3

    try:
        assert saving.get_registered_name(Half) == "mine>Half" and saving.get_registered_object("mine>squash") is soft
        assert saving.get_registered_name(small) == "small" and saving.get_registered_object("mine>none") is None
        model = lamina.Sequential([layers.Input((3,)), Half(name="half"), layers.Dense(2, activation=soft)])
        config = model.get_config()
        assert config["layers"][1]["registered_name"] == "mine>Half"
        again = lamina.Sequential.from_config(plain(config))
        assert type(again.layers[0]) is Half and again.layers[1].activation is soft
        saving.register_keras_serializable("mine", "Dense")(Half)
        registered = saving.get_custom_objects()
        assert registered["mine>Dense"] is Half
        registered["Dense"] = registered["relu"] = Half
        built_in = serialized(layers.Dense(3, activation="relu"))
        for config in (built_in, built_in | {"registered_name": "mine>Dense"}, built_in | {"registered_name": "Dense"}):
            again = saving.deserialize_keras_object(config)
            assert type(again) is layers.Dense and again.activation is lamina.activations.relu
            with saving.custom_object_scope({"Dense": Half, "relu": soft}):
                assert type(saving.deserialize_keras_object(config)) is layers.Dense
        del registered["Dense"]
        own = built_in | {"module": "theirs", "registered_name": "theirs>Dense"}
        with pytest.raises(UnknownNameError, match="'theirs>Dense': Dense"):
            saving.deserialize_keras_object(own)
        own["config"] = {"name": "x"}
        assert type(saving.deserialize_keras_object(own, {"theirs>Dense": Half})) is Half
        assert type(saving.deserialize_keras_object(own, {"Dense": Half})) is Half
    finally:
        saving.get_custom_objects().clear()


def test_the_dict_of_custom_objects_and_scopes_are_seen_by_every_family():
    def double(x):
        return 2 * x

    class Mine(lamina.losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    with pytest.raises(UnknownNameError):
        lamina.activations.get("double")
    lamina.utils.get_custom_objects().update({"double": double})
    try:
        assert layers.Dense(2, activation="double").activation is double
    finally:
        del lamina.utils.get_custom_objects()["double"]
    with lamina.utils.CustomObjectScope({"double": double}), lamina.saving.custom_object_scope({"Mine": Mine}):
        assert lamina.activations.get("double") is double and type(lamina.losses.get("Mine")) is Mine
    scope = lamina.saving.CustomObjectScope({"double": double})
    with scope, scope:
        assert lamina.activations.get("double") is double
    with pytest.raises(UnknownNameError):
        lamina.losses.get("Mine")
    with pytest.raises(ArgumentError, match="Plain needs a method get_config"):
        lamina.saving.register_keras_serializable()(type("Plain", (), {}))


@pytest.mark.parametrize("k", PACKAGES, ids=["lamina", "keras"])
def test_plain_values_as_configs_are_those_of_keras(k):
    values = [
        None, 3, 2.5, "text", True, [1, [2]], {"a": (1, 2)}, b"bytes", slice(1, None, 2), Ellipsis,
        np.arange(6, dtype="int32").reshape(2, 3), np.float32(0.5), jnp.ones((2,), "bfloat16"),
    ]  # fmt: skip
    for value in values:
        config = json.loads(json.dumps(k.saving.serialize_keras_object(value)))
        assert config == json.loads(json.dumps(keras.saving.serialize_keras_object(value)))
        ours, theirs = lamina.saving.deserialize_keras_object(config), keras.saving.deserialize_keras_object(config)
        assert type(ours) is type(theirs) and np.all(np.asarray(ours == theirs))


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "__numpy__", "config": {"value": [[1], [1, 2]], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": ["1"], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}},
        {"class_name": "__tensor__", "config": {"value": [None], "dtype": "float32"}},
        {"class_name": "__tensor__", "config": {"value": [1]}},
        {"class_name": "__lambda__", "config": {"value": ["4wEAAAAA", None, None]}},
        {"class_name": "__slice__", "config": 3},
        {"class_name": 3, "config": {}},
        {"class_name": "Dense", "config": "units"},
        {"class_name": "Dense", "config": {"units": 3, "unit": 3}},
        {"class_name": "function", "config": {"units": 3}},
        {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
        {"class_name": "Popen", "config": {"args": "ls"}, "module": "subprocess", "registered_name": None},
        {"class_name": "__typespec__", "config": [], "module": "os", "spec_name": "system"},
        {"class_name": "load_model", "config": {"filepath": "m.h5"}, "module": "keras.models"},
        {"class_name": "function", "config": "get_file", "module": "keras.utils", "registered_name": "get_file"},
        [{"class_name": "Nothing"}],
    ],
)
def test_what_no_config_may_hold_is_refused(config):
    with pytest.raises(LaminaError):
        deserialized(config)
    with pytest.raises(FileError, match="the file"):
        deserialized(config, where="the file")


# Models from models and from JSON.


class Own(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(units)

    def call(self, x):
        return self.inner(x)


def test_clone_model_keeps_what_cannot_stand_in_a_file_and_shares_no_weight():
    model = lamina.Sequential(
        [layers.Input((4,), name="entry"), Own(3, name="own"), layers.Lambda(lambda x: x * 2)], name="net"
    )
    model.add(layers.Dense(2, activation=lambda x: x + 1, trainable=False, name="last"))
    measures = [lamina.metrics.MeanSquaredError(name="q"), "mae"]
    model.compile(lamina.optimizers.SGD(lambda: 0.5), loss=lambda y, p: jnp.mean((y - p) ** 2, -1), metrics=measures)
    x, y = np.ones((8, 4), "float32"), np.zeros((8, 2), "float32")
    model.fit(x, y, verbose=0)
    twin = lamina.models.clone_model(model)
    assert [layer.name for layer in twin.layers] == ["own", "lambda", "last"] and twin.name == "net"
    assert twin.inputs == model.inputs == [((None, 4), "float32", "entry")] and twin.inputs[0].ndim == 2
    assert twin.outputs[0].shape == (None, 2) and not twin.layers[2].trainable
    assert int(twin.optimizer.iterations) == 0 and twin.optimizer.built
    twin.set_weights(model.get_weights())
    assert twin.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    before = model.get_weights()
    twin.fit(x, y, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert not np.array_equal(before[0], twin.get_weights()[0])
    assert lamina.models.clone_model(model, input_tensors=model.inputs).inputs == model.inputs
    assert lamina.models.clone_model(model, layers.Input((4,), batch_size=2)).input_shape == (2, 4)
    assert not lamina.models.clone_model(lamina.Sequential([layers.Dense(2)])).built


def test_clone_model_takes_a_function_as_in_keras():
    def clone(k):
        def frozen(layer):
            return layer.__class__.from_config(layer.get_config() | {"trainable": False})

        line = [k.Input((4,)), k.layers.Dense(2), k.Sequential([k.Input((2,)), k.layers.Dense(3)])]
        twin = k.models.clone_model(k.Sequential(line), clone_function=frozen, recursive=True)
        return [layer.trainable for layer in [*twin.layers, *twin.layers[1].layers]], len(twin.trainable_weights)

    assert clone(lamina) == clone(keras)
    model = lamina.Sequential([layers.Input((4,)), lamina.Sequential([layers.Input((4,)), layers.Dense(2)])])
    swap = {"clone_function": lambda layer: layers.Dense(5)}
    assert type(lamina.models.clone_model(model, **swap).layers[0]) is layers.Dense
    assert lamina.models.clone_model(model, recursive=True, **swap).layers[0].layers[0].units == 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: lamina.models.clone_model(3), "takes a Sequential"),
        (lambda m: lamina.models.clone_model(m, call_function=print), "call_function"),
        (lambda m: lamina.models.clone_model(m, clone_function=3), "clone_function is a function"),
        (lambda m: lamina.models.clone_model(m, clone_function=lambda layer: 3), "returned 3 for 'first'"),
        (lambda m: lamina.models.clone_model(m, input_tensors=3), "input_tensors"),
        (lambda m: lamina.models.model_from_json("[1]"), "describes no model"),
        (lambda m: lamina.models.model_from_json(3), "the text that to_json returned"),
        (lambda m: lamina.Sequential.from_config({}), "takes what get_config returned"),
        (lambda m: m.compile_from_config({"loss": "mse", "los": 3}), "no argument 'los'"),
        (lambda m: m.compile_from_config("adam"), "takes what get_compile_config returned"),
    ],
)
def test_wrong_input_is_said_and_changes_nothing(call, message):
    model = small(lamina)
    with pytest.raises(FileError, match="json_string: the JSON is broken"):
        lamina.models.model_from_json("{")
    with pytest.raises(ArgumentError, match=message):
        call(model)
    assert not model.compiled and [layer.name for layer in model.layers] == ["first", "norm", "inner"]


class Compiles(lamina.Sequential):
    def compile(self, rate):
        super().compile(lamina.optimizers.SGD(rate), "mse")


def test_a_compile_of_the_users_own_is_left_to_them():
    model = Compiles([layers.Input((4,)), layers.Dense(2)], name="own")
    model.compile(0.5)
    config = plain(serialized(model))
    assert config["registered_name"] == "Compiles" and config["compile_config"]["loss"] == "mse"
    with pytest.warns(LaminaWarning, match="Compiles has a compile of its own"):
        again = deserialized(config, {"Compiles": Compiles})
    assert type(again) is Compiles and not again.compiled and again.output_shape == (None, 2)
    twin = lamina.models.clone_model(model)
    assert type(twin) is Compiles and not twin.compiled


def test_the_steps_of_a_stack_take_both_forms_by_name():
    model = small(lamina, optimizer="sgd", loss="mse")
    x, y = np.ones((2, 8), "float32"), np.zeros((2, 2), "float32")
    model.fit(x, y, verbose=0)
    groups = (model.trainable_variables, model.non_trainable_variables)
    state = tuple([weight.value for weight in group] for group in groups)
    alone = model.predict_step((x, y))
    output, after = model.predict_step(state=state, data=(x, y))
    np.testing.assert_array_equal(alone, output)
    assert len(after) == len(state[1])


# Functions, which no file holds.


def half(x):
    return x / 2


def lambdas():
    """Configs of a Lambda named `net`: of Keras 3, of Keras 2, and of here."""
    yield plain(keras.layers.serialize(keras.layers.Lambda(half, name="net")))
    yield {"class_name": "Lambda", "config": {
        "name": "net", "trainable": True, "dtype": "float32", "batch_input_shape": [None, 3], "function": "half",
        "function_type": "function", "module": "__main__", "output_shape": None, "output_shape_type": "raw",
        "output_shape_module": None, "arguments": {},
    }}  # fmt: skip
    yield plain(serialized(layers.Lambda(half, name="net")))


def coded():
    """The same with the function as code."""
    yield plain(keras.layers.serialize(keras.layers.Lambda(lambda x: x / 2, lambda s: s, lambda x, m: m, name="net")))
    yield {"class_name": "Lambda", "config": {
        "name": "net", "function": ["4wEAAAAAAAAA", None, None], "function_type": "lambda", "output_shape": None,
        "output_shape_type": "raw", "module": "__main__", "arguments": {},
    }}  # fmt: skip
    yield plain(serialized(layers.Lambda(lambda x: x / 2, name="net")))


@pytest.mark.parametrize(("config", "is_code"), [(c, False) for c in lambdas()] + [(c, True) for c in coded()])
def test_a_lambda_gets_its_function_from_the_caller(config, is_code):
    stack = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    for skip in ([], ["other"]):
        with pytest.raises(
            UnknownNameError, match=r"(?s)layer 0 \(net: Lambda\).*custom_objects=\{'(net|half|name of the layer)'"
        ):
            deserialized(stack, skip=skip)
    names = ["net"] if is_code else ["net", "half"]
    for name in names:
        for open_it in (
            lambda own: deserialized(stack, own).layers[0],
            lambda own: lamina.Sequential.from_config(stack["config"], own).layers[0],
            lambda own: layers.deserialize(config, own),
            lambda own: layers.Lambda.from_config(config["config"], own, safe_mode=False),
            lambda own: lamina.models.model_from_json(json.dumps(stack), own).layers[0],
        ):
            made = open_it({name: half})
            assert made.function is half and made.name == "net"
        left_out = []
        assert deserialized(stack, skip=[name], left_out=left_out).layers == [] and "net" in left_out[0]
    with lamina.saving.custom_object_scope({"half": half}):
        if not is_code:
            assert deserialized(stack).layers[0].function is half


def test_a_lambda_of_a_built_in_function_and_with_arrays_opens_in_both():
    def make(k):
        return k.layers.Lambda(k.activations.relu, arguments={"max_value": np.arange(2.0)}, name="net")

    config = plain(serialized(make(lamina)))
    assert config == plain(keras.layers.serialize(make(keras)))
    again = deserialized(config)
    np.testing.assert_array_equal(again.arguments["max_value"], [0.0, 1.0])
    assert again.function is lamina.activations.relu
    assert keras.layers.deserialize(config).name == "net"


def test_a_metric_of_a_function_opens_with_the_settings_of_the_function():
    for fn, settings in (("binary_crossentropy", {"from_logits": True}), ("huber", {"delta": 2.0}), ("poisson", {})):
        wrapped = keras.metrics.MeanMetricWrapper(getattr(keras.losses, fn), name="m", **settings)
        ours = deserialized(plain(keras.metrics.serialize(wrapped)))
        y, p = np.array([[0.0, 1.0]], "float32"), np.array([[0.25, 4.0]], "float32")
        np.testing.assert_allclose(ours(y, p), wrapped(y, p), rtol=1e-6)
        assert ours.name == "m"
    config = plain(keras.metrics.serialize(wrapped))
    config["config"]["nothing"] = 3
    with pytest.raises(LaminaError, match="nothing"):
        deserialized(config)


def test_safe_mode_is_taken_and_changes_nothing():
    config = next(coded())
    with pytest.warns(LaminaWarning, match="safe_mode=False has no effect"), pytest.raises(UnknownNameError):
        lamina.saving.deserialize_keras_object(config, safe_mode=False)


def test_functions_of_the_users_own_are_skipped_where_an_object_goes_without():
    def own(*args, **kwargs):
        return jnp.zeros(args[0]) if isinstance(args[0], tuple) else jnp.sum(args[0], -1, keepdims=True)

    line = [
        layers.Input((3,)),
        layers.Dense(2, own, kernel_initializer=own, kernel_regularizer=own, bias_constraint=own, name="last"),
    ]
    model = lamina.Sequential(line)
    model.compile("sgd", own, metrics=["mae", own])
    config = plain(serialized(model))
    with pytest.raises(UnknownNameError, match="'own': own"):
        deserialized(config)
    again = deserialized(config, {"own": own})
    assert again.layers[0].activation is own and again.loss is own and again._lamina.compiled.told["metrics"][1] is own
    left_out = []
    bare = deserialized(config, skip=["own"], left_out=left_out)
    assert bare.layers[0].activation is lamina.activations.linear and bare.layers[0].kernel_regularizer is None
    assert bare._lamina.compiled.told["metrics"] == ["mae"] and bare.loss is None
    kinds = ["activation", "initializer", "regularizer", "constraint", "loss:", "metrics:"]
    assert [line.partition(" ")[0] for line in left_out] == kinds


# Configs of Keras 2, and of functional models.


def of_keras_2(name, shape=None, **config):
    """A layer as Keras 2 wrote it: no module, lists for tuples, initializers with a dtype."""
    entry = {} if shape is None else {"batch_input_shape": [None, *shape]}
    return {
        "class_name": name,
        "config": {"name": name.lower(), "trainable": True, **entry, "dtype": "float32", **config},
    }


FILL = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}
ZEROS = {"class_name": "Zeros", "config": {"dtype": "float32"}}
KERNEL = {"kernel_initializer": FILL, "kernel_regularizer": None, "kernel_constraint": None}
SLIDING = {"strides": [1, 1], "padding": "same", "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1,
           "activation": "relu", "use_bias": True, "bias_initializer": ZEROS, "bias_regularizer": None}  # fmt: skip
IMAGES = [
    {"class_name": "InputLayer", "config": {
        "batch_input_shape": [None, 8, 8, 2], "dtype": "float32", "sparse": False, "ragged": False, "name": "entry",
    }},
    of_keras_2("Conv2D", (8, 8, 2), filters=4, kernel_size=[3, 3], **SLIDING, **KERNEL),
    of_keras_2("BatchNormalization", axis=[3], momentum=0.99, epsilon=0.001, beta_initializer=ZEROS),
    of_keras_2("LeakyReLU", alpha=0.25),
    of_keras_2("DepthwiseConv2D", kernel_size=[3, 3], depthwise_initializer=FILL, **SLIDING, **KERNEL),
    of_keras_2("SeparableConv2D", filters=3, kernel_size=[3, 3], pointwise_initializer=FILL, **SLIDING, **KERNEL),
    of_keras_2("Conv2DTranspose", filters=2, kernel_size=[3, 3], output_padding=None, **SLIDING, **KERNEL),
    of_keras_2("MaxPooling2D", pool_size=[2, 2], padding="valid", strides=[2, 2], data_format="channels_last"),
    of_keras_2("Flatten", data_format="channels_last"),
    of_keras_2("Dense", units=3, activation="softmax", kernel_regularizer={"class_name": "L2", "config": {"l2": 0.01}}),
]  # fmt: skip
WORDS = [
    of_keras_2("Embedding", (5,), input_dim=10, output_dim=4, input_length=5, activity_regularizer=None,
               embeddings_initializer={"class_name": "RandomUniform", "config": {
                   "minval": -0.05, "maxval": 0.05, "seed": None, "dtype": "float32"}}),
    of_keras_2("Bidirectional", merge_mode="concat", layer=of_keras_2(
        "LSTM", units=3, implementation=2, time_major=False, unroll=False, return_sequences=True,
        recurrent_initializer={"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None, "dtype": "float32"}})),
    of_keras_2("GRU", units=2, implementation=1, reset_after=True, time_major=False),
    of_keras_2("Dense", units=1),
]  # fmt: skip


def test_stacks_of_keras_2_open():
    images, words = (
        lamina.models.model_from_json(
            json.dumps(
                {"class_name": "Sequential", "config": {"name": "old", "layers": line}, "keras_version": "2.4.0"}
            )
        )
        for line in (IMAGES, WORDS)
    )
    assert images.input_shape == (None, 8, 8, 2) and images.output_shape == (None, 3)
    assert images.layers[1].axis == 3 and images.layers[2].negative_slope == 0.25
    assert images.layers[-1].kernel_regularizer.l2 == 0.01
    assert words.input_shape == (None, 5) and words.output_shape == (None, 1)
    mixed = of_keras_2("Dense", units=2)
    mixed["config"]["dtype"] = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    assert deserialized(mixed).dtype_policy.name == "mixed_float16"
    again = lamina.Sequential.from_config({"name": "old", "layers": WORDS, "build_input_shape": [None, 5]})
    assert again.count_params() == words.count_params()


def test_the_compile_arguments_of_keras_2_open():
    model = small(lamina)
    wrapped = {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "acc", "dtype": "float32", "fn": "binary_accuracy"},
    }
    model.compile_from_config({
        "optimizer": {"class_name": "Adam", "config": {
            "name": "Adam", "lr": 0.5, "decay": 0.25, "beta_1": 0.9, "is_legacy_optimizer": False, "jit_compile": True,
        }},
        "loss": {"class_name": "BinaryCrossentropy", "config": {
            "reduction": "auto", "name": "bce", "from_logits": True, "fn": "binary_crossentropy"}},
        "metrics": [[wrapped, {"class_name": "MeanSquaredError", "config": {"name": "m"}}, "mae"]],
        "weighted_metrics": None, "loss_weights": None,
    })  # fmt: skip
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    assert (rate["initial_learning_rate"], rate["decay_rate"], rate["decay_steps"]) == (0.5, 0.25, 1)
    assert model._lamina.compiled.loss.get_config()["from_logits"]
    model.fit(np.ones((4, 8), "float32"), np.ones((4, 2), "float32"), verbose=0)
    assert model.metrics_names == ["loss", "acc", "m", "mae"]
    assert type(model.metrics[1]) is lamina.metrics.BinaryAccuracy


def test_a_functional_model_that_is_one_line_becomes_a_stack():
    entry = keras.Input((8,), name="entry")
    hidden = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(4, "relu", name="first")(entry))
    theirs = keras.Model(entry, keras.layers.Dense(2, name="last")(hidden), name="line")
    theirs.compile("adam", "mse")
    ours = lamina.models.model_from_json(theirs.to_json())
    assert type(ours) is lamina.Sequential and ours.compiled and ours.name == "line"
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    config = {"name": "old", "input_layers": [["entry", 0, 0]], "output_layers": [["dense", 0, 0]], "layers": [
        of_keras_2("Dense", units=2) | {"name": "dense", "inbound_nodes": [[["entry", 0, 0, {}]]]},
        IMAGES[0] | {"name": "entry", "inbound_nodes": []},
    ]}  # fmt: skip
    old = deserialized({"class_name": "Functional", "config": config})
    assert old.output_shape == (None, 8, 8, 2)


def branched():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = keras.layers.Dense(4, name="d")
    yield keras.Model([a, b], keras.layers.Add(name="add")([a, b])), "'add' takes a and b"
    yield keras.Model(a, [dense(a), keras.layers.Dense(2, name="dense")(a)]), "'a' goes to d and dense"
    yield keras.Model(a, dense(dense(a))), "'d' takes a and d"
    yield keras.Model(a, keras.layers.Dropout(0.5, name="drop")(a, training=True)), "calls 'drop' with training=True"


@pytest.mark.parametrize(("model", "why"), list(branched()))
def test_a_functional_model_with_branches_is_refused(model, why):
    with pytest.raises(StackError, match=why):
        lamina.models.model_from_json(model.to_json())


# Each field has a type.

ODD = [
    None, True, -1, 3, 2.5, 1e300, "x", "/etc/passwd", [], ["a"], {}, {"a": 1},
    {"class_name": "__lambda__", "config": {"value": ["4w", None, None]}},
    {"class_name": "function", "config": "system", "module": "os", "registered_name": "system"},
    {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}},
]  # fmt: skip
KINDS = {case.name: case for case in CASES}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore:.*divides by the deviation")
def test_every_field_of_a_config_is_checked(name):
    """A value of another kind is our error, or one that the field takes and writes again."""
    config = plain(serialized(KINDS[name].make(layers)))
    for field in config["config"]:
        for value in ODD:
            odd = config | {"config": config["config"] | {field: value}}
            try:
                again = deserialized(odd)
            except LaminaError:
                continue
            plain(serialized(again))
            assert not isinstance(value, str) or field == "name", field
    with pytest.raises(CallError, match=r"has no argument 'nothing'\.[\s\S]*Its arguments are: "):
        deserialized(config | {"config": config["config"] | {"nothing": 1}})


def test_large_numbers_in_a_config_take_neither_memory_nor_time():
    def stack(name, **settings):
        line = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 3]}}]
        return {"class_name": "Sequential", "config": {"name": "s", "layers": [*line, of_keras_2(name, **settings)]}}

    for config in (
        stack("Dense", units=10**17),
        stack("AdaptiveMaxPooling2D", output_size=10**12),
        stack("RandAugment", num_ops=10**12),
        stack("AugMix", num_chains=10**12),
        stack("Resizing", height=0, width=3),
    ):
        with pytest.raises(LaminaError):
            deserialized(config)
    deep = {"class_name": "Dense", "config": {"units": 1}}
    for _ in range(20_000):
        deep = {"class_name": "TimeDistributed", "config": {"layer": deep}}
    with pytest.raises(ArgumentError, match="nested too deep"):
        deserialized(deep)


def test_an_object_that_stands_twice_is_made_once():
    twice = serialized(lamina.initializers.HeNormal(3)) | {"shared_object_id": 7}
    made = deserialized([twice, twice, twice | {"shared_object_id": 8}])
    assert made[0] is made[1] and made[1] is not made[2]
    other = serialized(lamina.regularizers.L2()) | {"shared_object_id": 7}
    assert type(deserialized([twice, other])[1]) is lamina.regularizers.L2
    assert deserialized([twice])[0] is not made[0]


def test_names_of_layers_are_those_that_keras_can_write():
    for name in ("a b", "größe", "層", "x" * 128, "a.b-c:d"):
        config = plain(keras.layers.serialize(keras.layers.Dense(2, name=name)))
        assert deserialized(config).name == name
    for name in ("a/b", "a\\b", "a\nb", "\0", "x" * 129, "", 3, "\ud800"):
        config["config"]["name"] = name
        with pytest.raises(ArgumentError, match="a name is a string"):
            deserialized(config)


def test_no_vocabulary_is_read_from_a_file():
    for layer in (layers.StringLookup(vocabulary=["a"]), layers.IntegerLookup(vocabulary=[1])):
        config = plain(serialized(layer))
        for path in ("/etc/passwd", "https://example.org/words.txt"):
            config["config"]["vocabulary"] = path
            with pytest.raises(ArgumentError, match="a file is not read here"):
                deserialized(config)
    text = plain(serialized(layers.TextVectorization(vocabulary=["a"])))
    text["config"]["vocabulary"] = "words.txt"
    with pytest.raises(ArgumentError, match="a file is not read here"):
        deserialized(text)
