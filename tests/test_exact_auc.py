"""`AUC(exact=True)` against scikit-learn: by itself, compiled, and in each verb of a model."""

import pickle

import jax
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from lamina import Sequential, callbacks, layers, metrics
from lamina.errors import ArgumentError
from lamina.metrics.exact import FEWEST
from lamina.models import load_model
from lamina.utils import set_random_seed

ORACLE = {"ROC": roc_auc_score, "PR": average_precision_score}
CURVES = pytest.mark.parametrize("curve", ORACLE)


def scores(rows, *columns, ties=True):
    """Targets, predictions that go with them, and weights."""
    random = np.random.default_rng(rows)
    y = random.integers(0, 2, (rows, *columns))
    p = (y * 0.2 + random.random((rows, *columns)) * 0.8).astype(np.float32)
    return y, p.round(2) if ties else p, random.random(rows).astype(np.float32)


def fed(metric, *arrays, size=700):
    for start in range(0, len(arrays[0]), size):
        metric.update_state(*(array[start : start + size] for array in arrays))
    return metric


@CURVES
@pytest.mark.parametrize("ties", [True, False])
def test_equals_scikit_learn_with_weights_and_ties(curve, ties):
    y, p, weight = scores(3 * FEWEST, ties=ties)
    metric = fed(metrics.AUC(exact=True, curve=curve), y, p, weight)
    assert float(metric.result()) == pytest.approx(ORACLE[curve](y, p, sample_weight=weight), abs=1e-7)
    assert metric._lamina_scores.shape == (3, 4 * FEWEST)
    metric.reset_state()
    assert metric._lamina_scores.shape == (3, FEWEST)
    assert float(fed(metric, y[:50], p[:50]).result()) == pytest.approx(ORACLE[curve](y[:50], p[:50]), abs=1e-7)


@CURVES
def test_logits_and_labels(curve):
    y, p, weight = scores(500, 3)
    logits = np.log(np.clip(p, 0.01, 0.99) / (1 - np.clip(p, 0.01, 0.99)))
    of_label = [ORACLE[curve](y[:, k], logits[:, k], sample_weight=weight) for k in range(3)]
    settings = {"exact": True, "curve": curve, "from_logits": True}
    metric = fed(metrics.AUC(**settings, multi_label=True), y, logits, weight)
    assert float(metric.result()) == pytest.approx(np.mean(of_label), abs=1e-6)
    metric = fed(metrics.AUC(**settings, multi_label=True, label_weights=[1, 2, 5]), y, logits, weight)
    assert float(metric.result()) == pytest.approx(np.average(of_label, weights=[1, 2, 5]), abs=1e-6)
    metric = fed(metrics.AUC(**settings), y, logits, weight)
    one = ORACLE[curve](y.ravel(), logits.ravel(), sample_weight=np.repeat(weight, 3))
    assert float(metric.result()) == pytest.approx(one, abs=1e-6)


@CURVES
def test_compiled_by_the_user(curve):
    y, p, weight = scores(FEWEST + 1)
    metric = metrics.AUC(exact=True, curve=curve)
    update, result = jax.jit(metric.stateless_update_state), jax.jit(metric.stateless_result)
    state = update(metric.stateless_reset_state(), y[:300], p[:300], weight[:300])
    assert float(result(state)) == pytest.approx(ORACLE[curve](y[:300], p[:300], sample_weight=weight[:300]), abs=1e-5)
    for _ in range(2):  # there is no room for these
        state = update(state, y[1:], p[1:])
    assert np.isnan(result(state))


def test_where_one_class_is_missing_it_is_0_as_with_thresholds():
    for curve in ORACLE:
        assert metrics.AUC(exact=True, curve=curve)([0, 0], [0.1, 0.2]) == 0


def stack(*measures, weighted=()):
    model = Sequential([layers.Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=list(measures), weighted_metrics=list(weighted))
    return model


def rows(count, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 4)).astype(np.float32)
    return x, (x[:, 0] + random.normal(size=count) > 0).astype(np.float32)


def test_in_fit_with_validation_in_evaluate_and_with_a_generator():
    (x, y), weight = rows(FEWEST * 2 + 77), scores(FEWEST * 2 + 77)[2]
    measures = metrics.AUC(exact=True, name="roc"), "mae", metrics.AUC(exact=True, curve="PR", name="pr")
    model = stack(*measures, weighted=[metrics.AUC(exact=True, name="weighed")])
    kept = len(x) - 5000
    told = {"sample_weight": weight, "validation_data": (x[:kept], y[:kept]), "batch_size": 64, "verbose": 0}
    history = model.fit(x, y, epochs=2, **told).history
    p = model.predict(x, verbose=0)[:, 0]
    assert history["val_roc"][-1] == pytest.approx(roc_auc_score(y[:kept], p[:kept]), abs=1e-6)
    measured = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True, batch_size=64)
    assert measured["roc"] == pytest.approx(roc_auc_score(y, p), abs=1e-6)
    assert measured["pr"] == pytest.approx(average_precision_score(y, p), abs=1e-6)
    assert measured["weighed"] == pytest.approx(roc_auc_score(y, p, sample_weight=weight), abs=1e-6)
    batches = ((x[at : at + 500], y[at : at + 500], weight[at : at + 500]) for at in range(0, len(x), 500))
    assert model.evaluate(batches, verbose=0) == pytest.approx(list(measured.values()), abs=1e-5)
    assert model.test_on_batch(x, y, weight) == pytest.approx(list(measured.values()), abs=1e-5)
    assert model.train_on_batch(x, y, weight, return_dict=True)["roc"] == pytest.approx(measured["roc"], abs=1e-6)


def test_in_fit_it_is_that_of_the_scores_of_each_step():
    (x, y), model, seen = rows(300), stack(metrics.AUC(exact=True)), []
    model.optimizer.learning_rate = 0.1
    start = model.get_weights()
    history = model.fit(x, y, shuffle=False, batch_size=100, verbose=0).history
    model.set_weights(start)
    model.compile("adam", "binary_crossentropy")
    model.optimizer.learning_rate = 0.1
    for at in range(0, 300, 100):
        seen.append(model.predict(x[at : at + 100], verbose=0)[:, 0])
        model.train_on_batch(x[at : at + 100], y[at : at + 100])
    assert history["auc"][0] == pytest.approx(roc_auc_score(y, np.concatenate(seen)), abs=1e-6)


def test_a_step_of_ones_own_reports_it_too():
    class Own(Sequential):
        def test_step(self, data):
            x, y = data
            return self.compute_metrics(x, y, self(x))

    (x, y), model = rows(FEWEST + 500), Own([layers.Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=[metrics.AUC(exact=True)])
    measured = model.evaluate(x, y, verbose=0, return_dict=True)
    assert measured["auc"] == pytest.approx(roc_auc_score(y, model.predict(x, verbose=0)[:, 0]), abs=1e-5)


def test_a_run_that_was_stopped_goes_on_with_its_scores(tmp_path):
    (x, y), folder = rows(FEWEST + 500), tmp_path / "run"
    set_random_seed(3)
    whole = stack(metrics.AUC(exact=True))
    set_random_seed(3)
    cut = stack(metrics.AUC(exact=True))
    whole.fit(x, y, epochs=3, verbose=0)
    checkpoint = callbacks.Checkpoint(str(folder), every=50)

    steps = iter(range(1000))

    def stop(batch, logs):
        if next(steps) == 200:  # in the midst of the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.fit(x, y, epochs=3, verbose=0, callbacks=[checkpoint, callbacks.LambdaCallback(on_train_batch_end=stop)])
    cut.fit(x, y, epochs=3, verbose=0, callbacks=[checkpoint])
    assert cut.history.history["auc"] == whole.history.history["auc"]


def test_config_pickle_and_saved_models(tmp_path):
    assert "exact" not in metrics.AUC().get_config()
    metric = metrics.AUC.from_config(metrics.AUC(exact=True, curve="PR").get_config())
    assert metric.exact and metric.curve == "PR"
    y, p, _ = scores(FEWEST + 9)
    metric = pickle.loads(pickle.dumps(fed(metric, y, p)))
    assert float(metric.result()) == pytest.approx(average_precision_score(y, p), abs=1e-6)
    x, y = rows(200)
    model = stack(metrics.AUC(exact=True))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_what_it_cannot_be():
    with pytest.raises(ArgumentError, match="leave out thresholds"):
        metrics.AUC(exact=True, thresholds=[0.2, 0.4])
    with pytest.raises(ArgumentError, match=r"leave out .* summation_method"):
        metrics.AUC(exact=True, summation_method="minoring")
    with pytest.raises(ArgumentError, match="curve='ROC' and curve='PR'"):
        metrics.AUC(exact=True, curve="PRGAIN")
