"""Every metric against real Keras over several batches, eagerly and as the pure functions that training compiles."""

import re
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import losses, metrics
from lamina._messages.spelling import to_snake_case
from lamina._training import trainer
from lamina._training.fingerprint import fingerprint
from lamina.errors import ArgumentError, LabelError, UnknownAttributeError, UnknownNameError
from lamina.losses.loss import registry as loss_registry
from lamina.metrics.counts import Counting
from lamina.metrics.metric import registry, updated_state
from lamina.metrics.reduction import SampleMean

N = 6
TAKES_MORE_ROWS = trainer.takes_more_rows
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order():
    """Each test gets the same numbers, whichever ran before it."""
    global RNG
    RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def shares(*shape):
    return RNG.uniform(size=shape).astype(np.float32)


def whole(*shape, below=2):
    return RNG.integers(0, below, shape)


def classes(*shape):
    return whole(*shape, below=3)


def quarters(*shape):
    return whole(*shape, below=5).astype(np.float32) / 4


def one_hot(*shape):
    return np.eye(shape[-1], dtype=np.float32)[whole(*shape[:-1], below=shape[-1])]


NUMBERS = [
    ((N, 3), numbers, (N, 3), numbers),
    ((N, 5, 3), numbers, (N, 5, 3), numbers),
    ((N, 1), numbers, (N,), numbers),
]
YES_NO = [((N, 1), whole, (N, 1), shares), ((N,), whole, (N, 1), shares), ((N, 5, 3), whole, (N, 5, 3), shares)]
ONE_HOT = [((N, 3), one_hot, (N, 3), shares), ((N, 5, 3), one_hot, (N, 5, 3), shares)]
CLASSES = [((N,), whole, (N, 3), shares), ((N, 1), whole, (N, 3), shares), ((N, 5), whole, (N, 5, 3), shares)]
COUNTED = [((N, 1), whole, (N, 1), shares), ((N, 3), whole, (N, 3), shares)]
TIES = ((N, 1), whole, (N, 1), quarters)  # predictions that are equal to thresholds
AREAS = ((N, 5), classes, (N, 5), classes)
RATES = ("specificity", "sensitivity", "recall", "precision")
COUNTS = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")

TABLE = [
    ("MeanSquaredError", {}, NUMBERS),
    ("MeanAbsoluteError", {}, NUMBERS),
    ("RootMeanSquaredError", {}, NUMBERS),
    ("Accuracy", {}, [((N, 3), whole, (N, 3), whole), ((N,), whole, (N, 1), whole)]),
    ("BinaryAccuracy", {}, YES_NO),
    ("BinaryAccuracy", {"threshold": 0.2}, YES_NO[:1]),
    ("CategoricalAccuracy", {}, ONE_HOT),
    ("SparseCategoricalAccuracy", {}, CLASSES),
    ("BinaryCrossentropy", {}, [YES_NO[0], YES_NO[2]]),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, [((N, 3), whole, (N, 3), numbers)]),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1, "axis": 1}, ONE_HOT[:1]),
    ("SparseCategoricalCrossentropy", {}, CLASSES),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, CLASSES),
    ("MeanAbsolutePercentageError", {}, NUMBERS),
    ("MeanSquaredLogarithmicError", {}, NUMBERS),
    ("LogCoshError", {}, NUMBERS),
    ("Hinge", {}, [((N, 3), whole, (N, 3), numbers)]),
    ("SquaredHinge", {}, [((N, 3), whole, (N, 3), numbers)]),
    ("CategoricalHinge", {}, ONE_HOT),
    ("KLDivergence", {}, ONE_HOT),
    ("Poisson", {}, [((N, 3), whole, (N, 3), shares)]),
    ("CosineSimilarity", {}, NUMBERS[:2]),
    ("PearsonCorrelation", {}, NUMBERS[:2]),
    ("ConcordanceCorrelation", {}, NUMBERS[:2]),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, [CLASSES[0], CLASSES[2]]),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, [((N,), whole, (N, 3), whole)]),
    *((name, {}, COUNTED) for name in COUNTS),
    *((name, {"thresholds": [0.7, 0.2, 0.5]}, COUNTED[:1]) for name in COUNTS),
    *((name, {}, COUNTED) for name in ("Precision", "Recall")),
    ("Precision", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, [TIES]),
    ("Recall", {"thresholds": [0.8, 0.3], "class_id": 1}, COUNTED[1:]),
    ("Precision", {"top_k": 2}, COUNTED[1:]),
    ("Recall", {"top_k": 1, "class_id": 2}, COUNTED[1:]),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, COUNTED),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 7}, COUNTED),
    ("PrecisionAtRecall", {"recall": 0.4, "class_id": 1}, COUNTED[1:]),
    ("RecallAtPrecision", {"precision": 0.4, "num_thresholds": 1}, COUNTED),
    ("AUC", {}, [*COUNTED, TIES]),
    ("AUC", {"from_logits": True, "num_thresholds": 11}, [((N, 1), whole, (N, 1), numbers)]),
    ("AUC", {"thresholds": [0.6, 0.25], "curve": "PR"}, COUNTED),
    *(
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": 20}, COUNTED)
        for curve in ("ROC", "PR", "PRGAIN")
        for method in ("interpolation", "minoring", "majoring")
    ),
    ("AUC", {"multi_label": True, "num_labels": 3}, COUNTED[1:]),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5], "curve": "PR"}, COUNTED[1:]),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5], "thresholds": [0.1, 0.3, 0.4]}, COUNTED[1:]),
    *(("FBetaScore", {"average": each, "beta": 2.0}, ONE_HOT[:1]) for each in (None, "micro", "macro", "weighted")),
    ("F1Score", {"threshold": 0.5}, [((N, 3), whole, (N, 3), shares)]),
    ("R2Score", {}, NUMBERS[:1]),
    ("R2Score", {"class_aggregation": None}, NUMBERS[:1]),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, NUMBERS[:1]),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, [AREAS, ((N,), classes, (N,), classes)]),
    ("IoU", {"num_classes": 2, "target_class_ids": [1]}, [AREAS]),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, [AREAS]),
    ("MeanIoU", {"num_classes": 3, "sparse_y_pred": False}, [((N, 5), classes, (N, 5, 3), shares)]),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [1, 2]}, ONE_HOT),
    ("OneHotMeanIoU", {"num_classes": 3, "dtype": "float32"}, ONE_HOT),
    ("BinaryIoU", {}, [((N, 5), whole, (N, 5), shares)]),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, [((N, 5), whole, (N, 5), shares)]),
]
EACH = list({row[0]: row for row in reversed(TABLE)}.values())  # the first row of each class
NEEDED = {name: {each: settings[each] for each in ("num_classes", "target_class_ids", *RATES) if each in settings}
          for name, settings, _ in EACH}  # fmt: skip
SCORES = ("F1Score", "FBetaScore", "R2Score")
AREA_KINDS = ("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "BinaryIoU")
OWN_SHAPES = (*SCORES, *AREA_KINDS)


def name_of(row):
    return row[0] + "".join(f"-{k}={v}" for k, v in row[1].items())


def same(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=5e-6, atol=1e-6)


def batches(example):
    """Three batches, the last one short, each with the weights that it can have."""
    y_shape, y, p_shape, p = example
    rows = [(y(*y_shape), p(*p_shape)) for _ in range(3)]
    return [(y[:count], p[:count]) for (y, p), count in zip(rows, (N, N, 4), strict=True)]


def weights_for(name, settings, y, p):
    """None, one weight for each sample in both shapes that it can have, and one for each value; what Keras takes."""
    yield None
    if name in AREA_KINDS:
        yield whole(*y.shape[: -1 if name.startswith("OneHot") else None], below=4)
        return
    if name in SCORES:
        yield shares(len(p))
        return
    yield shares(len(p), 1)
    if y.ndim < 2 or "ignore_class" not in settings:  # Keras would fail
        yield shares(len(p))
    if y.ndim == 2 and p.ndim == 3:
        yield shares(*y.shape)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # Keras's own
@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_equals_keras_over_several_batches(row):
    name, settings, examples = row
    for example in examples:
        data = batches(example)
        for kind in range(len(list(weights_for(name, settings, *data[0])))):
            mine, other = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
            for y, p in data:
                weights = list(weights_for(name, settings, y, p))[kind]
                mine.update_state(y, p, sample_weight=weights)
                other.update_state(y, p, sample_weight=weights)
                same(mine.result(), other.result())
            mine.reset_state()
            other.reset_state()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # Keras's, of an adjusted R2 score of no samples
                same(mine.result(), other.result())


@pytest.mark.no_cover
@pytest.mark.parametrize("row", EACH, ids=name_of)
@pytest.mark.parametrize("weigh", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_rows_that_only_fill_a_batch_up_do_not_count(row, weigh, monkeypatch):
    """A model that hands its input on, so that the metric, and a loss, see 7 batches of 4 rows and one of 2."""
    name, settings, examples = row
    loss = name.replace("TopK", "").replace("Accuracy", "Crossentropy") if name != "Accuracy" else ""
    loss = loss if loss in losses.__all__ else "MeanSquaredError"
    y_shape, make_y, p_shape, make_p = examples[1 if weigh and name != "IoU" and len(examples) > 1 else 0]
    y, p = make_y(30, *y_shape[1:]), make_p(30, *p_shape[1:]).astype("float32")
    model = lamina.Sequential([lamina.layers.Input(p.shape[1:]), lamina.layers.Dropout(0.0)])
    plain, weighted = (getattr(metrics, name)(**settings, name=each) for each in ("plain", "weighted"))
    how = settings if loss == name else {}
    found, weights = [], shares(30) if weigh else None
    for fills in (lambda *_: False, TAKES_MORE_ROWS):
        monkeypatch.setattr(trainer, "takes_more_rows", fills)
        model.compile("sgd", getattr(losses, loss)(**how), metrics=[plain], weighted_metrics=[weighted])
        numbers = model.evaluate(p, y, batch_size=4, sample_weight=weights, verbose=0)
        found.append(np.concatenate([np.ravel(number) for number in numbers]))
    same(*found)


@pytest.mark.parametrize("row", EACH, ids=name_of)
def test_compiled_updates_equal_eager_ones(row):
    name, settings, examples = row
    metric = getattr(metrics, name)(**settings)
    data = batches(examples[0])
    metric._lamina_build(data[0][1].shape)
    state, update = metric.stateless_reset_state(), jax.jit(partial(updated_state, metric))
    for y, p in data:
        weights = shares(len(p))
        metric.update_state(y, p, weights)
        state = update(state, y, p, weights)
        same(metric.stateless_result(state), metric.result())
    assert {v.dtype for v in state} == {jnp.dtype("int32" if name in AREA_KINDS[:2] else metric.dtype)}


@pytest.mark.parametrize("kind", ["Mean", "Sum"])
def test_mean_and_sum_equal_keras(kind):
    mine, other = getattr(metrics, kind)(), getattr(keras.metrics, kind)()
    fed = [  # random values of one sign: where they cancel, the rounding of the sum is what is left
        (3.0, None),
        (3, 2.0),
        ([1, -3, 5, 7], [1, 1, 0, 0]),
        (shares(N, 5), None),
        (shares(N, 5), shares(N)),
        (shares(N, 5), shares(N, 1)),
        (shares(N, 5), shares(N, 5)),
        (shares(N, 5), shares(1, 5)),
        (shares(N), shares(N, 1)),
        (shares(N, 5, 2), shares(N, 5)),
        (shares(N, 5, 2), 0.5),
    ]
    for values, weights in fed:
        mine.update_state(values, sample_weight=weights)
        other.update_state(values, sample_weight=weights)
        same(mine.result(), other.result())
    assert mine.name == other.name == kind.lower()


def test_mean_of_nothing_is_zero():
    assert float(metrics.Mean().result()) == 0
    assert float(metrics.Mean()([1.0, 2.0], sample_weight=[0.0, 0.0])) == 0


def test_use_without_a_model():
    mean = metrics.Mean("loss", dtype="float32")  # Keras's order of arguments
    mean.update_state(3.0)
    assert float(mean.result()) == 3.0 and mean.name == "loss"
    assert metrics.BinaryAccuracy("b", None, 0.2).threshold == 0.2
    hits = metrics.Accuracy()
    assert float(hits([1, 2], [1, 3])) == 0.5
    assert float(hits([1, 2], [1, 2])) == 0.75
    assert [w.name for w in hits.variables] == ["total", "count"] and float(hits.variables[1]) == 4
    hits.reset_state()
    assert float(hits([1, 2], [1, 2])) == 1.0


def test_updates_are_pure_and_stable():
    metric = metrics.BinaryAccuracy()
    y, p = whole(N, 1), shares(N, 1)
    metric.update_state(y, p)
    before = float(metric.result())
    start = metric.stateless_reset_state()
    traces = []
    step = jax.jit(lambda state, *batch: traces.append(batch) or updated_state(metric, state, *batch))
    after = step(start, y, p)
    assert float(metric.result()) == before  # the object is as it was
    assert [(v.shape, v.dtype, v.weak_type) for v in after] == [(v.shape, v.dtype, v.weak_type) for v in start]
    step(step(after, y, p), y, p)
    assert len(traces) == 1  # JAX's own count forgets old programs
    jax.jit(lambda state: [v + 1 for v in state], donate_argnums=0)(metric.stateless_reset_state())
    assert float(metric.result()) == before  # what is donated was a copy
    metric.reset_state()
    metric.update_state(y, p)
    assert float(metric.result()) == float(metric.stateless_result(after))


def test_updates_are_a_handful_of_operations():
    for name, settings, examples in EACH:
        metric = getattr(metrics, name)(**settings)
        metric._lamina_build(batches(examples[0])[0][1].shape)
        program = (
            jax.jit(partial(updated_state, metric))
            .lower(metric.stateless_reset_state(), *batches(examples[0])[0])
            .compile()
            .as_text()
        )
        entry = program[program.index("ENTRY") :]
        operations = [word for word in entry.split() if word.split("(")[0] in ("fusion", "reduce", "call", "while")]
        assert 1 <= len(operations) <= (20 if isinstance(metric, Counting) or name in OWN_SHAPES else 8), entry


def test_own_class_in_keras_style():
    class TruePositives(metrics.Metric):
        def __init__(self, name="true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.hits = self.add_weight(shape=(), initializer="zeros", name="hits")
            self.least = self.add_variable((2,), "ones", dtype="int32", name="least")
            self.inner = [metrics.Mean(name="inner")]

        def update_state(self, y_true, y_pred, sample_weight=None):
            both = jnp.logical_and(jnp.asarray(y_true, bool), jnp.asarray(y_pred) > 0.5)
            values = both.astype(self.dtype)
            if sample_weight is not None:
                values *= jnp.asarray(sample_weight, self.dtype)
            self.hits.assign_add(jnp.sum(values))
            self.least.assign(jnp.minimum(self.least, -1))
            self.inner[0].update_state(values)

        def result(self):
            return {"hits": self.hits, "share": self.inner[0].result(), "least": self.least}

    y, p, weights = np.array([1, 1, 0, 1]), np.array([0.9, 0.1, 0.8, 0.7]), np.array([1.0, 1.0, 1.0, 3.0])
    metric = TruePositives()
    expected = {"hits": 2.0, "share": 0.5, "least": [-1, -1]}
    for _ in range(2):
        metric.update_state(y, p)
        assert float(metric.result()["hits"]) == 2.0 and float(metric.result()["share"]) == 0.5
        state = jax.jit(partial(updated_state, metric))(metric.stateless_reset_state(), y, p)
        assert jax.tree.map(lambda a: a.tolist(), metric.stateless_result(state)) == expected
        metric.reset_state()
        assert metric.least.numpy().tolist() == [1, 1]  # as it was made, not zero
    assert float(updated_state(metric, metric.stateless_reset_state(), y, p, weights)[0]) == 4.0
    assert [weight.name for weight in metric.variables] == ["hits", "least", "total", "count"]
    state = metric.stateless_update_state(metric.stateless_reset_state(), y, p)
    assert float(metric.stateless_result(state)["hits"]) == 2.0
    assert metric.get_config() == {}
    assert repr(metric) == "TruePositives()"
    assert type(metrics.get(TruePositives)) is TruePositives and metrics.get(metric) is metric
    assert fingerprint(TruePositives(name="another")) == fingerprint(TruePositives())  # one program for both


def test_own_class_on_top_of_mean():
    class Bias(metrics.Mean):
        def __init__(self, sign=1.0, name="bias", **kwargs):
            super().__init__(name=name, **kwargs)
            self.sign = sign

        def update_state(self, y_true, y_pred, sample_weight=None):
            return super().update_state(self.sign * (y_pred - y_true), sample_weight)

    y, p = numbers(N, 3), numbers(N, 3)
    metric = Bias(sign=-1.0)
    same(metric.stateless_result(updated_state(metric, metric.stateless_reset_state(), y, p)), np.mean(y - p))

    class Small(SampleMean):  # the short style: settings as fields
        below: float = 1.0

        def _lamina_values(self, y_true, y_pred):
            return jnp.abs(y_true - y_pred) < self.below

    same(Small(below=0.5)(y, p), np.mean(np.abs(y - p) < 0.5))
    assert Small(below=0.5).get_config() == {"name": "mean", "dtype": "float32", "below": 0.5}


def test_own_class_that_goes_wrong():
    class Replaces(metrics.Metric):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.total = self.add_weight(name="total")

        def update_state(self, y_true, y_pred):
            self.total = self.total + 1.0

    class Grows(metrics.Metric):
        def update_state(self, y_true, y_pred):
            self.total = self.add_weight(name="total")

    class Forgets(metrics.Metric):
        def __init__(self):
            self.total = self.add_weight(name="total")

    with pytest.raises(ArgumentError, match=r"Replaces.*self\.total\.assign"):
        updated_state(Replaces(), Replaces().stateless_reset_state(), 1.0, 2.0)
    with pytest.raises(ArgumentError, match=r"Grows adds a weight in update_state"):
        updated_state(Grows(), [], 1.0, 2.0)
    with pytest.raises(ArgumentError, match=r"Forgets.*super\(\)\.__init__"):
        Forgets()
    with pytest.raises(NotImplementedError, match="Metric needs a method update_state"):
        metrics.Metric()(1.0, 2.0)
    with pytest.raises(NotImplementedError, match="Metric needs a method result"):
        metrics.Metric().result()


def test_functions_and_losses_as_metrics():
    def worst(y_true, y_pred):
        return jnp.max(jnp.abs(y_true - y_pred), axis=-1)

    y, p, weights = numbers(N, 3), numbers(N, 3), shares(N)
    for ours, theirs in [
        (metrics.get(worst), keras.metrics.MeanMetricWrapper(worst)),
        (metrics.MeanMetricWrapper(losses.mean_squared_error), keras.metrics.MeanSquaredError()),
        (metrics.get(metrics.mean_absolute_error), keras.metrics.MeanAbsoluteError()),
    ]:
        ours.update_state(y, p, sample_weight=weights)
        theirs.update_state(y, p, sample_weight=weights)
        same(ours.result(), theirs.result())
    assert metrics.get(worst).name == "worst" and not hasattr(metrics.get(worst), "_direction")
    assert metrics.get(losses.mean_squared_error).name == "mean_squared_error"
    assert metrics.get(losses.mean_squared_error)._direction == "down"
    ones = metrics.get(losses.MeanSquaredError())  # one value a batch, as in Keras
    ones.update_state(y, p)
    ones.update_state(y[:2], p[:2])
    same(ones.result(), (losses.MeanSquaredError()(y, p) + losses.MeanSquaredError()(y[:2], p[:2])) / 2)
    wrapper = metrics.MeanMetricWrapper(losses.binary_crossentropy, "b", from_logits=True)
    same(wrapper(whole(N, 1), p[:, :1] * 0), np.log(2))
    crossentropy = metrics.get("crossentropy")
    same(crossentropy([1, 0], [[0.5, 0.5], [0.5, 0.5]]), np.log(2))
    assert crossentropy.name == "crossentropy"
    half = metrics.MeanSquaredError()
    half.update_state(y, p.astype(np.float16))
    same(half.result(), np.mean((y - p.astype(np.float16).astype(np.float32)) ** 2))


@pytest.mark.parametrize(
    ("y_shape", "output_shape"),
    [((8,), (8, 1)), ((8, 1), (8, 1)), ((8,), (8, 3)), ((8, 1), (8, 3)), ((8, 3), (8, 3)), ((8, 5), (8, 5, 3))],
)
def test_accuracy_by_the_shapes(y_shape, output_shape):
    y, p = jnp.zeros(y_shape), jnp.zeros(output_shape)
    theirs = keras.src.trainers.compile_utils.get_metric("accuracy", y, p)
    for name in ("accuracy", "acc", "Accuracy"):
        ours = metrics.get(name, y_shape=(None, *y_shape[1:]), output_shape=(None, *output_shape[1:]))
        assert type(ours).__name__ == type(theirs).__name__
        assert ours.name == name


def test_metrics_named_beside_a_loss_of_logits():
    """user-needs S2: Keras holds logits against 0.5."""
    y, logits = np.array([[1], [1], [0], [0]]), np.array([[0.1], [2.0], [-0.1], [-3.0]], np.float32)
    loss = losses.BinaryCrossentropy(from_logits=True)
    for name in ("accuracy", "binary_accuracy"):
        metric = metrics.get(name, loss=loss, y_shape=y.shape, output_shape=logits.shape)
        assert metric.threshold == 0 and float(metric(y, logits)) == 1.0
        assert metrics.get(name, loss=losses.BinaryCrossentropy(), y_shape=(4, 1), output_shape=(4, 1)).threshold == 0.5
    for name in ("binary_crossentropy", "bce", "ce"):
        same(metrics.get(name, loss=loss)(y, logits), loss(y, logits))
    assert metrics.get(metrics.BinaryAccuracy(), loss=loss).threshold == 0.5  # an object is taken as it is
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = metrics.get("accuracy", loss=sparse, y_shape=(4,), output_shape=(4, 3))
    assert type(accuracy) is metrics.SparseCategoricalAccuracy


@pytest.mark.parametrize("name", sorted({row[0] for row in TABLE} | {"Mean", "Sum"}))
def test_config_and_direction_are_keras(name):
    needed = NEEDED.get(name, {})
    ours, theirs = (partial(getattr(module.metrics, name), **needed) for module in (lamina, keras))
    assert ours(name="mine").get_config() == theirs(name="mine").get_config()
    assert ours().name == re.sub(r"_\d+$", "", theirs().name)  # Keras numbers the objects without a name
    settings = {"name": "mine", "dtype": "mixed_bfloat16"}
    assert ours(**settings).get_config() == theirs(**settings).get_config()
    if name not in ("KLDivergence", "Poisson"):  # of these two Keras says nothing
        assert getattr(ours(), "_direction", None) == getattr(theirs(), "_direction", None)
    again = metrics.deserialize(metrics.serialize(ours(name="mine")))
    assert type(again) is ours.func and again.name == "mine"
    assert keras.metrics.deserialize(metrics.serialize(ours(name="mine"))).name == "mine"
    ours = ours.func
    for spelling in () if needed else (name, ours().name):
        assert type(metrics.get(spelling)) is ours and metrics.get(spelling).name == spelling


def test_names():
    for name in ("mse", "MSE", "mae", "MAE", "bce", "BCE"):
        assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__
        assert metrics.get(name).name == name
    assert metrics.get(None) is None
    assert type(metrics.get({"class_name": "Mean", "config": {"name": "m"}})) is metrics.Mean


def test_large_class_numbers():
    p = np.zeros((2, 300), np.float32)
    p[:, 256] = 1
    assert float(metrics.SparseCategoricalAccuracy()(np.array([0, 255], np.uint8), p)) == 0
    assert float(metrics.SparseCategoricalAccuracy()(np.array([256.0, 256.5]), p)) == 0.5
    same(metrics.Accuracy()([2**24 + 1], [2**24]), 0)


@pytest.mark.parametrize("classes", [3, 32, 33, 100])
def test_ties_go_to_the_first_class(classes):
    y, p = np.array([0, 1]), np.full((2, classes), 1 / classes, np.float32)
    assert float(metrics.SparseCategoricalAccuracy()(y, p)) == 0.5
    y, p = whole(200, below=classes), RNG.integers(0, 4, (200, classes)).astype(np.float32)
    same(metrics.SparseCategoricalAccuracy()(y, p), keras.metrics.SparseCategoricalAccuracy()(y, p))
    rows = np.eye(classes, dtype=np.float32)[y]
    same(metrics.CategoricalAccuracy()(rows, p), keras.metrics.CategoricalAccuracy()(rows, p))


def test_a_tie_with_the_threshold_says_no():
    assert float(metrics.BinaryAccuracy()([[1], [0]], [[0.5], [0.5]])) == 0.5


@pytest.mark.parametrize(
    ("name", "y_shape", "p_shape", "said"),
    [
        ("mse", (8, 1), (8, 3), ["(8, 1)", "(8, 3)", "Dense(1)"]),
        ("RootMeanSquaredError", (8, 1), (8, 3), ["(8, 1)", "(8, 3)"]),
        ("BinaryAccuracy", (8,), (8, 3), ["(8,)", "(8, 3)"]),
        ("CategoricalAccuracy", (8, 1), (8, 3), ["(8, 1)", "(8, 3)", "sparse_categorical_accuracy"]),
        ("SparseCategoricalAccuracy", (8, 3), (8, 3), ["(8, 3)", "'categorical_accuracy'"]),
        ("Accuracy", (8, 2), (8, 3), ["(8, 2)", "(8, 3)"]),
    ],
)
def test_shapes_that_do_not_fit(name, y_shape, p_shape, said):
    with pytest.raises(LabelError) as error:
        metrics.get(name)(np.zeros(y_shape), np.ones(p_shape))
    assert all(part in str(error.value) for part in said), str(error.value)
    assert [entry.path.name for entry in error.traceback] == ["test_metrics.py"]


def test_wrong_arguments():
    with pytest.raises(UnknownNameError, match=r"no metric is called 'acuracy'.*'accuracy'"):
        metrics.get("acuracy", y_shape=(8, 1), output_shape=(8, 1))
    with pytest.raises(ArgumentError, match="expected the name of a metric"):
        metrics.get(3)
    with pytest.raises(ArgumentError, match="expected a metric, got Registered"):
        metrics.get(type("Registered", (metrics.Metric.__mro__[1],), {})())
    with pytest.raises(ArgumentError, match=r"tresh.*'threshold'"):
        metrics.BinaryAccuracy(treshold=0.3)
    with pytest.raises(ArgumentError, match=r"threshold='half'\): expected a number"):
        metrics.BinaryAccuracy(threshold="half")
    with pytest.raises(LabelError, match=r"sample_weight of shape \(4,\).*values of shape \(3,\)"):
        metrics.Mean()([1.0, 2.0, 3.0], sample_weight=np.ones(4))
    with pytest.raises(ArgumentError, match=r"expected a function of \(y_true, y_pred\), got 'mse'"):
        metrics.MeanMetricWrapper("mse")
    with pytest.raises(UnknownAttributeError, match="'BinaryAccuracy'"):
        metrics.BinaryAcuracy  # noqa: B018


def test_settings_by_position_as_in_keras():
    def config(module):
        return [
            module.Mean("mine", "float16").get_config(),
            module.MeanSquaredError("mine").get_config(),
            module.BinaryAccuracy("mine", None, 0.3).get_config(),
            module.SparseCategoricalCrossentropy("mine", "float32", True, 3, 1).get_config(),
        ]

    assert config(metrics) == config(keras.metrics)
    assert metrics.Metric("float16", "mine").dtype == "float16"


def test_what_keras_has_and_we_have_not_is_no_misspelling():
    theirs = set(dir(keras.metrics)) | set(keras.src.metrics.ALL_OBJECTS_DICT)
    theirs = {to_snake_case(name) for name in theirs if not name.startswith("_")}
    ours = {*registry.named, *loss_registry.named, *metrics.__all__}
    assert theirs - {to_snake_case(name) for name in ours} == set()


def test_a_users_metric_may_use_any_name():
    class Own(metrics.Mean):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.values, self.starts, self.running, self.fn = [1], "a", 2, None

    assert float(Own()([1.0, 2.0])) == 1.5
    theirs = {name for name in dir(keras.metrics.MeanSquaredError()) if not name.startswith("_")}
    assert {name for name in dir(metrics.MeanSquaredError()) if not name.startswith("_")} <= theirs


@pytest.mark.parametrize("start", [0, 0.0, jnp.zeros(())])
def test_a_metric_that_counts_in_a_plain_attribute_is_told_to_take_a_weight(start):
    class Counts(metrics.Metric):
        def __init__(self):
            super().__init__()
            self.count = start

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.count += 1 if isinstance(start, int) else jnp.sum(y_true)

        def result(self):
            return self.count

    model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
    for eagerly in (False, True):
        model.compile("sgd", "mse", metrics=[Counts()], run_eagerly=eagerly)
        with pytest.raises(ArgumentError, match=r"(?s)changes self\.count.*self\.add_weight\(name='count'\)"):
            model.fit(np.ones((4, 2)), np.ones(4), verbose=0)


def test_the_shape_of_a_metrics_weight_comes_first():
    with pytest.raises(ArgumentError, match=r"^add_weight takes the shape first: add_weight\(name='total'\)"):
        metrics.Mean().add_weight("total")
