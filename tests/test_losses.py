"""Every loss against real Keras: values and gradients, over settings, shapes, sample weights, masks and reductions."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax.test_util import check_grads

import lamina
from lamina import losses
from lamina._messages.missing_names import OF_KERAS
from lamina._messages.spelling import to_snake_case
from lamina.errors import ArgumentError, LabelError, LaminaWarning, UnknownAttributeError, UnknownNameError
from lamina.losses.lookup import loss_of
from lamina.losses.loss import reads_logits, registry

REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]
N = 6


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def probabilities(*shape, axis=-1):
    p = np.exp(2 * numbers(*shape, seed=1))
    p /= p.sum(axis, keepdims=True)
    p.reshape(-1)[:2] = 0, 1  # beyond the clip, and no longer a sum of one
    return p


def shares(*shape):
    p = np.random.default_rng(2).uniform(size=shape).astype(np.float32)
    p.reshape(-1)[:2] = 0, 1
    return p


def yes_no(*shape):
    return np.random.default_rng(3).integers(0, 2, shape)


def classes(*shape, of=3):
    return np.random.default_rng(4).integers(0, of, shape)


def one_hot(*shape):
    return np.eye(shape[-1], dtype=np.float32)[classes(*shape[:-1], of=shape[-1])]


def unit(*shape):
    return numbers(*shape) / np.linalg.norm(numbers(*shape), axis=-1, keepdims=True)


NUMBERS = [
    (numbers(N, 3), numbers(N, 3, seed=9)),
    (numbers(N), numbers(N, 1, seed=9)),
    (numbers(N, 5, 3), numbers(N, 5, 3, seed=9)),
    (numbers(N), numbers(N, seed=9)),
    (numbers(N, 1), numbers(N, seed=9)),
    (numbers(N, 5), numbers(N, 5, 1, seed=9)),
    (classes(N, 3), numbers(N, 3, seed=9)),
]
YES_NO = [(yes_no(N), shares(N, 1)), (yes_no(N, 3), shares(N, 3)), (shares(N, 5, 3), shares(N, 5, 3) ** 2)]
EXTREMES = np.float32([[0], [80], [-80], [0], [1e-9], [-200]])
YES_NO_LOGITS = [(y, 9 * numbers(*p.shape)) for y, p in YES_NO] + [(yes_no(N, 1), EXTREMES)]
ONE_HOT = [(one_hot(N, 3), probabilities(N, 3)), (one_hot(N, 5, 3), probabilities(N, 5, 3))]
ONE_HOT_LOGITS = [(y, 9 * numbers(*p.shape)) for y, p in ONE_HOT]
CLASSES = [
    (classes(N), probabilities(N, 3)),
    (classes(N, 1).astype(np.float32), probabilities(N, 3)),
    (classes(N, 5), probabilities(N, 5, 3)),
    (classes(N) - 1, probabilities(N, 3)),  # class -1 has no output, and no loss
]
CLASSES_LOGITS = [(y, 9 * numbers(*p.shape)) for y, p in CLASSES]
AREAS = (yes_no(N, 5, 3), shares(N, 5, 3))
LABELS = np.array([[1, 2, 0], [3, 3, 1], [1, 0, 0], [0, 0, 0], [2, 2, 2], [1, 3, 2]])  # filled up with 0

TABLE = [
    ("MeanSquaredError", {}, NUMBERS),
    ("MeanAbsoluteError", {}, [*NUMBERS[:2], (numbers(N, 3), numbers(N, 3))]),
    ("BinaryCrossentropy", {}, YES_NO),
    ("BinaryCrossentropy", {"from_logits": True}, YES_NO_LOGITS),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, YES_NO),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, YES_NO_LOGITS),
    ("BinaryCrossentropy", {"axis": 1}, YES_NO[1:]),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT_LOGITS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT_LOGITS),
    ("CategoricalCrossentropy", {"axis": 1}, ONE_HOT),
    ("CategoricalCrossentropy", {"axis": 1, "label_smoothing": 0.1, "from_logits": True}, ONE_HOT_LOGITS),
    ("SparseCategoricalCrossentropy", {}, CLASSES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, CLASSES_LOGITS),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, CLASSES),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1, "from_logits": True}, CLASSES_LOGITS),
    ("MeanAbsolutePercentageError", {}, NUMBERS[:6]),
    ("MeanSquaredLogarithmicError", {}, NUMBERS),
    ("LogCosh", {}, NUMBERS),
    ("Huber", {}, NUMBERS),
    ("Huber", {"delta": 0.3}, NUMBERS[:3]),
    ("CosineSimilarity", {}, NUMBERS[:3]),
    ("CosineSimilarity", {"axis": 1}, NUMBERS[2:3]),
    ("Hinge", {}, [(yes_no(N, 3), numbers(N, 3)), (2 * yes_no(N) - 1, numbers(N, 1)), NUMBERS[2]]),
    ("SquaredHinge", {}, [(yes_no(N, 3), numbers(N, 3)), (2 * yes_no(N) - 1, numbers(N, 1)), NUMBERS[2]]),
    ("CategoricalHinge", {}, ONE_HOT_LOGITS),
    ("KLDivergence", {}, [*ONE_HOT, (probabilities(N, 3), shares(N, 3))]),
    ("Poisson", {}, [(classes(N, 3), shares(N, 3)), (classes(N), shares(N, 1)), (classes(N, 5, 3), shares(N, 5, 3))]),
    ("BinaryFocalCrossentropy", {}, YES_NO),
    ("BinaryFocalCrossentropy", {"from_logits": True}, YES_NO_LOGITS),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}, YES_NO[1:]),
    ("BinaryFocalCrossentropy", {"label_smoothing": 0.2, "axis": 1}, YES_NO[1:]),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT),
    ("CategoricalFocalCrossentropy", {"from_logits": True}, ONE_HOT_LOGITS),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1, "alpha": 0.4, "gamma": 1.5, "axis": 1}, ONE_HOT),
    ("CategoricalGeneralizedCrossEntropy", {}, [CLASSES[0], CLASSES[2]]),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, CLASSES[:1]),
    ("Dice", {}, [AREAS]),
    ("Dice", {"axis": [1, 2]}, [AREAS]),
    ("Dice", {"axis": -1}, [AREAS]),
    ("Tversky", {}, [AREAS]),
    ("Tversky", {"alpha": 0.2, "beta": 0.7, "axis": [1, 2]}, [AREAS]),
    ("Circle", {}, [(classes(N), unit(N, 3)), (np.zeros(N, int), unit(N, 3))]),
    ("Circle", {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False}, [(classes(N), unit(N, 3))]),
    ("CTC", {}, [(LABELS, numbers(N, 9, 4)), (LABELS.astype(np.float32), 4 * numbers(N, 9, 4))]),
]
OF_A_BATCH = ("Dice", "Tversky")  # one number, which no sample weight fits
PLAIN = [row for row in TABLE if set(row[1]) <= {"from_logits"}]


def name_of(row):
    return row[0] + "".join(f"-{k}={v}" for k, v in row[1].items())


def weights_for(values_shape):
    """No weights, one for each sample, one for each value."""
    yield None
    if len(values_shape) <= 1:
        yield shares(N)[: values_shape[0]] if values_shape else np.float32(0.5)
        yield classes(*values_shape)
    else:
        yield shares(values_shape[0], 1)
        yield shares(*values_shape)


def same(ours, theirs, what=""):
    assert ours.dtype == theirs.dtype, what
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=2e-7, err_msg=str(what))
    assert ours.shape == theirs.shape, what


def both(name, settings, y, p, sample_weight=None, mask=None):
    """Value and gradient of ours and of Keras's."""
    mine, other = getattr(losses, name)(**settings), getattr(keras.losses, name)(**settings)

    def keras_loss(p):
        if mask is not None:
            p = jnp.asarray(p)
            keras.src.backend.set_keras_mask(p, jnp.asarray(mask))
        return other(y, p, sample_weight)

    results = []
    for loss in (lambda p: mine(y, p, sample_weight, mask), keras_loss):
        value, pull = jax.vjp(loss, jnp.asarray(p))
        results.append((value, pull(jnp.ones_like(value))[0]))
    return results


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_equals_keras_in_value_and_gradient(row):
    name, settings, examples = row
    for y, p in examples:
        values = getattr(losses, name)(**settings, reduction=None)(y, p)
        for weights in list(weights_for(values.shape))[::2]:
            (value, slope), (keras_value, keras_slope) = both(name, settings, y, p, weights)
            same(value, keras_value, (y.shape, p.shape))
            same(slope, keras_slope, (y.shape, p.shape))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("example", [0, 2, 3], ids=lambda i: str(NUMBERS[i][1].shape))
def test_reductions(reduction, example):
    y, p = NUMBERS[example]
    values = losses.mean_squared_error(y, p)
    for weights in weights_for(values.shape):
        for mine, other in zip(*both("MeanSquaredError", {"reduction": reduction}, y, p, weights), strict=True):
            same(mine, other)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(N,), (N, 5)], ids=str)
def test_masks(reduction, shape):
    y, p = numbers(*shape, 3), numbers(*shape, 3, seed=9)
    mask = yes_no(*shape).astype(bool)
    for weights in weights_for(shape):
        for mine, other in zip(*both("MeanSquaredError", {"reduction": reduction}, y, p, weights, mask), strict=True):
            same(mine, other)
    nothing = losses.MeanSquaredError(reduction=reduction)(y, p, mask=np.zeros(shape, bool))
    assert not np.any(nothing) and np.all(np.isfinite(nothing))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_class_is_a_mask(reduction):
    y, p = CLASSES[2]
    settings = {"ignore_class": 1, "reduction": reduction}
    for weights, mask in itertools.product([None, shares(N, 5)], [None, yes_no(N, 5).astype(bool)]):
        for mine, other in zip(*both("SparseCategoricalCrossentropy", settings, y, p, weights, mask), strict=True):
            same(mine, other)


def test_weights_of_samples_spread_over_the_other_axes():
    y, p = NUMBERS[2]  # Keras refuses (6,) for values of (6, 5), or takes it for the wrong axis where the sizes agree
    loss, weights = losses.MeanSquaredError(), shares(N)
    same(loss(y, p, weights), loss(y, p, weights[:, None]))
    square = losses.MeanSquaredError()(y[:5], p[:5], weights[:5])
    same(square, loss(y[:5], p[:5], weights[:5, None]))
    assert not np.allclose(square, loss(y[:5], p[:5], weights[None, :5]))
    mask = yes_no(N, 5).astype(bool)
    same(loss(y, p, weights, mask), loss(y, p, weights[:, None] * np.ones((1, 5), np.float32), mask))


def test_ignored_class_leaves_no_nan():
    y, p = np.array([0, 1]), jnp.array([[0.0, 0.0], [0.5, 0.5]])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    value, slope = jax.value_and_grad(lambda p: loss(y, p))(p)
    same(value, np.log(np.float32(2)))
    np.testing.assert_array_equal(slope[0], 0)


def test_impossible_classes_of_masked_logits_leave_no_nan():
    logits = jnp.array([[0.0, 0.0, -jnp.inf]])
    value = losses.SparseCategoricalCrossentropy(from_logits=True)([1], logits)
    same(value, np.log(np.float32(2)))


def test_classes_on_another_axis():
    y, p = classes(N, 5), probabilities(N, 5, 3)
    moved = losses.SparseCategoricalCrossentropy(axis=1)(y, np.moveaxis(p, -1, 1))
    same(moved, losses.SparseCategoricalCrossentropy()(y, p))
    same(losses.sparse_categorical_crossentropy(y[:, None], np.moveaxis(p, -1, 1), axis=1).mean(), moved)


@pytest.mark.parametrize(("name", "row"), [(row[0], row) for row in TABLE if not row[1]], ids=lambda v: v[0])
def test_functions_equal_keras(name, row):
    snake = loss_of(name).name.removesuffix("_loss")
    more = {"q": 0.5} if "generalized" in snake else {}
    ours, theirs = (partial(getattr(module, snake), **more) for module in (losses, keras.losses))
    for y, p in row[2]:
        if y.ndim == p.ndim or name.startswith("Mean"):  # Keras's other functions reconcile no shapes
            same(ours(y, p), theirs(y, p))
    (y, p), *_ = row[2]
    assert ours(y, np.ones_like(p, dtype=np.int32)).dtype == "float32"
    assert ours(y, p.astype(np.float16)).dtype == ("float32" if name == "CTC" else "float16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("row", PLAIN, ids=name_of)
def test_half_precision_is_computed_in_float32(row, dtype):
    name, settings, examples = row
    y, p = examples[0]
    p = jnp.asarray(p, dtype)
    loss = getattr(losses, name)(**settings)
    same(loss(y, p), loss(y, p.astype("float32")))
    same(loss(y, p), getattr(keras.losses, name)(**settings)(y, p))
    given = getattr(losses, name)(**settings, dtype=f"mixed_{dtype}")
    assert given.dtype == dtype and given(y, p).dtype == dtype


@pytest.mark.parametrize("row", PLAIN, ids=name_of)
def test_gradients_in_float64(row):
    name, settings, [(y, p), *_] = row
    with jax.enable_x64(True):
        p = (p if p.min() < 0 else np.clip(p, 0.1, 0.9)).astype(np.float64)
        loss = jax.jit(lambda p: getattr(losses, name)(**settings)(y, p))
        assert loss(p).dtype == "float64"
        check_grads(loss, (p,), order=1, modes=["rev"])


def test_compiled_is_the_same_and_never_weakly_typed():
    for name, settings, examples in PLAIN:
        y, p = examples[0]
        loss = getattr(losses, name)(**settings)
        weights = () if name in OF_A_BATCH else (shares(N),)
        compiled = jax.jit(loss)(y, p, *weights)
        same(compiled, loss(y, p, *weights))
        assert not compiled.weak_type


def test_takes_strict_dtype_promotion():
    with jax.numpy_dtype_promotion("strict"):
        for name, settings, examples in PLAIN:
            y, p = examples[0]
            weights = () if name in OF_A_BATCH else (np.ones(N),)
            assert np.isfinite(getattr(losses, name)(**settings)(y, p.astype(np.float16), *weights))


@pytest.mark.parametrize("kind", ["BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"])
def test_config_is_keras_config(kind):
    ours, theirs = getattr(losses, kind), getattr(keras.losses, kind)
    for settings in ({}, {"from_logits": True, "reduction": "sum", "name": "mine"}):
        assert ours(**settings).get_config() == theirs(**settings).get_config()
        theirs.from_config(ours(**settings, dtype="bfloat16").get_config())
    again = ours.from_config(ours(axis=1, dtype="bfloat16").get_config())
    assert (again.axis, again.dtype) == (1, "bfloat16")


@pytest.mark.parametrize("kind", ["MeanSquaredError", "MeanAbsoluteError"])
def test_regression_config_is_keras_config(kind):
    assert getattr(losses, kind)().get_config() == getattr(keras.losses, kind)().get_config()
    assert losses.deserialize(losses.serialize(getattr(losses, kind)(reduction="sum"))).reduction == "sum"
    assert keras.losses.deserialize(losses.serialize(getattr(losses, kind)())).name == loss_of(kind).name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mse", "MeanSquaredError"),
        ("MSE", "MeanSquaredError"),
        ("mean_squared_error", "MeanSquaredError"),
        ("mae", "MeanAbsoluteError"),
        ("bce", "BinaryCrossentropy"),
        ("binary_crossentropy", "BinaryCrossentropy"),
        ("categorical_crossentropy", "CategoricalCrossentropy"),
        ("SparseCategoricalCrossentropy", "SparseCategoricalCrossentropy"),
        ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
    ],
)
def test_names(name, kind):
    kind = getattr(losses, kind)
    assert type(loss_of(name)) is kind
    assert type(loss_of(kind)) is kind
    assert type(loss_of({"class_name": kind.__name__, "config": {}})) is kind
    assert type(loss_of(getattr(losses, kind().name))) is kind  # Keras's function form


NAMES = [row[0] for row in TABLE if not row[1] and "Generalized" not in row[0]]  # which Keras does not find by name


@pytest.mark.parametrize("name", NAMES + "mse MSE mae bce kld msle mape".split())
def test_get_gives_what_keras_gives(name):
    ours, theirs = losses.get(name), keras.losses.get(name)
    assert isinstance(ours, losses.Loss) == isinstance(theirs, keras.losses.Loss)
    assert getattr(ours, "__name__", type(ours).__name__) == getattr(theirs, "__name__", type(theirs).__name__)


def test_get_leaves_functions_and_objects_alone():
    own, loss = lambda y_true, y_pred: y_pred, losses.Huber()
    assert losses.get(own) is own and losses.get(loss) is loss and losses.get(None) is None
    assert losses.get("mean_squared_error") is losses.mean_squared_error
    assert losses.get("mse")(np.ones((2, 3)), np.zeros((2, 3))).shape == (2,)
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}}).delta == 2.0


def test_own_functions_and_classes():
    def worst(y_true, y_pred, power=1):
        return jnp.max(jnp.abs(y_true - y_pred) ** power, axis=-1)

    class Worst(losses.Loss):
        def __init__(self, power, **kwargs):
            super().__init__(**kwargs)
            self.power = power

        def call(self, y_true, y_pred):
            return worst(y_true, y_pred, self.power)

    y, p = NUMBERS[0]
    expected = np.float32(np.abs(y - p).max(-1).mean())
    assert loss_of(worst).name == "worst"
    same(loss_of(worst)(y, p), expected)
    same(losses.LossFunction(worst, power=2)(y, p), Worst(2)(y, p))
    assert Worst(2, reduction="sum").get_config() == {"power": 2, "reduction": "sum"}
    assert Worst(2).name == "worst"
    same(loss_of(worst)(y[:, :1], p[:, :1].reshape(-1)), keras.losses.MeanAbsoluteError()(y[:, :1], p[:, :1]))
    assert loss_of(losses.MeanSquaredError()).name == "mean_squared_error"
    assert loss_of(None) is None
    assert type(losses.deserialize("worst", {"worst": worst})) is losses.LossFunction


def test_crossentropy_by_the_shapes():
    binary, sparse = losses.BinaryCrossentropy, losses.SparseCategoricalCrossentropy
    assert type(loss_of("ce", y_shape=(None, 1), output_shape=(None, 1))) is binary
    assert type(loss_of("crossentropy", y_shape=(None,), output_shape=(None, 3))) is sparse
    assert type(loss_of("crossentropy", y_shape=(8, 1), output_shape=(8, 3))) is sparse
    assert type(loss_of("CE", y_shape=(8, 3), output_shape=(8, 3))) is losses.CategoricalCrossentropy
    later = loss_of("crossentropy")
    for kind, (y, p) in [("Binary", YES_NO[0]), ("SparseCategorical", CLASSES[0]), ("Categorical", ONE_HOT[0])]:
        same(later(y, p), getattr(losses, f"{kind}Crossentropy")()(y, p))
    assert loss_of(losses.Crossentropy(from_logits=True), y_shape=(8, 3), output_shape=(8, 3)).from_logits


def test_which_losses_read_logits():
    assert not reads_logits(losses.BinaryCrossentropy())
    assert reads_logits(losses.SparseCategoricalCrossentropy(from_logits=True))
    assert not reads_logits(losses.MeanSquaredError())
    assert not hasattr(losses.MeanSquaredError(), "from_logits")
    assert not reads_logits(losses.LossFunction(lambda y, p: y - p))
    assert reads_logits(losses.LossFunction(losses.binary_crossentropy, from_logits=True))
    assert not reads_logits(None)


@pytest.mark.parametrize(
    ("name", "y_shape", "p_shape", "said"),
    [
        ("mse", (8, 1), (8, 3), ["(8, 1)", "(8, 3)", "1 column,", "gives 3", "Dense(1)", "sparse_categorical"]),
        ("mae", (8, 2), (8, 3), ["(8, 2)", "(8, 3)", "2 columns", "Dense(2)"]),
        ("mae", (8, 4), (8, 5, 4), ["(8, 4)", "(8, 5, 4)"]),
        ("mse", (7, 3), (8, 3), ["(7, 3)", "(8, 3)"]),
        ("binary_crossentropy", (8,), (8, 3), ["(8,)", "(8, 3)", "Dense(1)"]),
        ("categorical_crossentropy", (8,), (8, 3), ["(8,)", "(8, 3)", "'sparse_categorical_", "to_categorical(y, 3)"]),
        ("categorical_crossentropy", (8, 1), (8, 3), ["(8, 1)", "(8, 3)", "to_categorical(y, 3)"]),
        ("categorical_crossentropy", (8, 2), (8, 3), ["(8, 2)", "(8, 3)", "Dense(2)"]),
        ("categorical_crossentropy", (8, 1), (8, 1), ["binary_crossentropy", "sigmoid", "softmax"]),
        ("sparse_categorical_crossentropy", (8, 3), (8, 3), ["'categorical_crossentropy'", "argmax"]),
        ("sparse_categorical_crossentropy", (8, 2), (8, 3), ["(8, 2)", "(8, 3)", "(8,)"]),
        ("sparse_categorical_crossentropy", (8,), (8, 1), ["binary_crossentropy", "sigmoid"]),
    ],
)
def test_shapes_that_do_not_fit(name, y_shape, p_shape, said):
    for loss in (loss_of(name), getattr(losses, loss_of(name).name)):
        with pytest.raises(LabelError) as error:
            loss(np.zeros(y_shape), np.ones(p_shape))
        assert all(part in str(error.value) for part in said), str(error.value)
        assert str(error.value).count("\n") < 4
        assert [entry.path.name for entry in error.traceback] == ["test_losses.py"]


def test_weights_that_do_not_fit():
    loss = losses.MeanSquaredError()
    with pytest.raises(LabelError, match=r"sample_weight of shape \(7,\).*values of shape \(8,\)"):
        loss(np.zeros((8, 3)), np.zeros((8, 3)), np.ones(7))
    with pytest.raises(LabelError, match=r"mask of shape \(8, 2\).*values of shape \(8, 1\)|mask of shape \(8, 2\)"):
        loss(np.zeros((8, 3)), np.zeros((8, 3)), mask=np.ones((8, 2)))


def test_one_number_for_a_batch_says_that_it_cannot_weigh_samples():
    y, p = NUMBERS[3]
    with pytest.warns(LaminaWarning, match="one number for the whole batch"):
        ours = losses.MeanSquaredError()(y, p, shares(N))
    same(ours, keras.losses.MeanSquaredError()(y, p, shares(N)))


def test_wrong_arguments():
    with pytest.raises(UnknownNameError, match=r"no loss is called 'msee'.*'mse'"):
        losses.get("msee")
    with pytest.raises(UnknownNameError, match="'binary_crossentropy'"):
        losses.get("binary_crossentropi")
    with pytest.raises(ArgumentError, match=r"(?s)reduction='average'.*'sum'.*got 'average'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ArgumentError, match=r"(?s)reduction='summ'.*Did you mean 'sum'"):
        losses.MeanSquaredError(reduction="summ")
    with pytest.raises(ArgumentError, match=r"label_smoothing=2\): expected a number from 0 to 1"):
        losses.BinaryCrossentropy(label_smoothing=2)
    with pytest.raises(ArgumentError, match=r"from_logits='yes'\): expected True or False"):
        losses.BinaryCrossentropy(from_logits="yes")
    with pytest.raises(ArgumentError, match=r"axis=True"):
        losses.CategoricalCrossentropy(axis=True)
    with pytest.raises(UnknownNameError, match="'float16'"):
        losses.MeanSquaredError(dtype="flaot16")
    with pytest.raises(ArgumentError, match=r"from_logit.*'from_logits'"):
        losses.BinaryCrossentropy(from_logit=True)
    with pytest.raises(ArgumentError, match="expected the name of a loss"):
        losses.get(3)
    with pytest.raises(ArgumentError, match="forgetful gave None"):
        losses.LossFunction(lambda y, p: None, name="forgetful")(1.0, 2.0)
    with pytest.raises(ArgumentError, match=r"expected a function of \(y_true, y_pred\), got 'mse'"):
        losses.LossFunction("mse")
    with pytest.raises(NotImplementedError, match="Loss needs a method call"):
        losses.Loss()(1.0, 2.0)
    with pytest.raises(UnknownAttributeError, match="'MeanSquaredError'"):
        losses.MeanSquareError  # noqa: B018


def test_settings_by_position_as_in_keras():
    def config(module):
        return [
            module.MeanSquaredError("sum", "mine").get_config(),
            module.MeanAbsoluteError("none").get_config(),
            module.BinaryCrossentropy(True, 0.1, 1, "sum", "mine").get_config(),
            module.CategoricalCrossentropy(False, 0.2, -1, "mean").get_config(),
            module.SparseCategoricalCrossentropy(True, 3, "sum", -1, "mine").get_config(),
        ]

    assert config(losses) == config(keras.losses)
    assert losses.MeanSquaredError("sum", "mine", "float16").dtype == "float16"
    assert losses.MeanSquaredError().dtype == keras.losses.MeanSquaredError().dtype == "float32"
    assert losses.Loss("mine", "sum", "float16").reduction == "sum"
    assert losses.Crossentropy(True, "sum", "mine").from_logits


def test_what_keras_has_and_we_have_not_is_no_misspelling():
    theirs = set(dir(keras.losses)) | set(keras.src.losses.ALL_OBJECTS_DICT)
    theirs = {to_snake_case(name) for name in theirs if not name.startswith("_")}
    ours = {to_snake_case(name) for name in {*registry.named, *losses.__all__, *OF_KERAS["losses"].split()}}
    assert theirs - ours == set()


def test_a_loss_of_the_whole_batch_sees_no_rows_that_fill_a_short_one_up():
    y, p = yes_no(10, 3), shares(10, 3)
    model = lamina.Sequential([lamina.layers.Input((3,)), lamina.layers.Dropout(0.0)])
    model.compile("sgd", losses.Dice())
    batches = [losses.Dice()(y[i : i + 4], p[i : i + 4]) * len(y[i : i + 4]) for i in (0, 4, 8)]
    same(np.float32(model.evaluate(p, y, batch_size=4, verbose=0)), np.float32(sum(batches) / 10))


def test_a_vector_of_zeros_has_no_direction_and_a_gradient():
    loss, y = losses.CosineSimilarity(), numbers(N, 3)
    value, slope = jax.value_and_grad(lambda p: loss(y, p))(jnp.zeros((N, 3)))
    assert value == 0 and np.all(np.isfinite(slope))  # Keras gives NaN here


def test_a_class_of_its_own_leaves_no_nan():
    """In the circle loss a row without a like one has the loss 0."""
    value, slope = jax.value_and_grad(lambda p: losses.Circle()(np.array([0, 1, 2, 0, 1, 0]), p))(unit(N, 3))
    assert value > 0 and np.all(np.isfinite(slope))


@pytest.mark.parametrize("times", [1, 2])
def test_ctc_of_what_cannot_be_said_is_large_and_has_a_gradient(times):
    """Two equal labels take three outputs."""
    value, slope = jax.value_and_grad(lambda p: losses.CTC()([[1, 1]], p))(jnp.zeros((1, times, 3)))
    assert value > 1e4 and np.all(np.isfinite(slope))


def test_a_users_loss_may_use_any_name():
    class Own(losses.Loss):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.compute_dtype, self.kwargs, self.expects, self.fn = "mine", {"a": 1}, 2, None

        def call(self, y_true, y_pred):
            return jnp.abs(y_true - y_pred)[:, 0]

    assert float(Own()([[1.0], [2.0]], [[0.0], [0.0]])) == 1.5
    theirs = {name for name in dir(keras.losses.MeanSquaredError()) if not name.startswith("_")}
    assert {name for name in dir(losses.MeanSquaredError()) if not name.startswith("_")} <= theirs
