"""Whatever signature Keras takes for a part of one's own is taken: a loss, a metric, a regularizer, and so on."""

import keras
import numpy as np
import pytest

import lamina

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X @ np.ones((3, 1), "float32")
WEIGHTS = np.linspace(0, 1, 20, dtype="float32")


def losses(k):
    """Losses with a `__call__` of their own, which never hears of a mask."""

    class Positional(k.losses.Loss):
        def __call__(self, y_true, y_pred, sample_weight=None):
            assert sample_weight is None or sample_weight.ndim == 1
            return k.ops.mean(k.ops.abs(y_true - y_pred))

    class Handing(k.losses.Loss):
        def call(self, y_true, y_pred):
            return k.ops.mean(k.ops.square(y_true - y_pred), -1)

        def __call__(self, y_true, y_pred, sample_weight=None):
            return 2 * super().__call__(y_true, y_pred, sample_weight=sample_weight)

    class Loose(k.losses.Loss):
        def __call__(self, *args, **kwargs):
            return k.ops.mean(k.ops.square(args[0] - args[1]))

    return [Positional(), Handing(), Loose()]


def metrics(k):
    class Plain(k.metrics.Metric):
        def __init__(self, name="plain", **kwargs):
            super().__init__(name=name, **kwargs)
            self.total = self.add_variable(shape=(), initializer="zeros", name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign(self.total + k.ops.sum(k.ops.abs(y_true - y_pred)))

        def result(self):
            return 1.0 * self.total

        def reset_state(self):
            self.total.assign(0.0)

    class Loose(Plain):
        def update_state(self, *args, **kwargs):
            super().update_state(*args)

    class Named(Plain):
        def update_state(self, y_true, y_pred, *, sample_weight=None):
            super().update_state(y_true, y_pred)

        def reset_state(self, *args):
            super().reset_state()

    return [Plain(), Loose(name="loose"), Named(name="named")]


def regularizers(k):
    class Own(k.regularizers.Regularizer):
        def __call__(self, x):
            return 0.1 * k.ops.sum(k.ops.square(x))

    class Loose(k.regularizers.Regularizer):
        def __call__(self, *args, **kwargs):
            return 0.1 * k.ops.sum(k.ops.abs(args[0]))

    return [Own(), Loose(), lambda x: 0.1 * k.ops.sum(x * x)]


def initializers(k):
    class Own(k.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return k.ops.ones(shape, dtype=dtype)

    class Named(k.initializers.Initializer):
        def __call__(self, shape, dtype="float32", **kwargs):
            return 2 * k.ops.ones(shape, dtype=dtype)

    class Loose(k.initializers.Initializer):
        def __call__(self, *args, **kwargs):
            return k.ops.full(args[0], 0.5)

    return [Own(), Named(), Loose(), lambda shape, dtype=None: np.full(shape, 0.25, "float32")]


def constraints(k):
    class Own(k.constraints.Constraint):
        def __call__(self, w):
            return k.ops.clip(w, -0.5, 0.5)

    class Loose(k.constraints.Constraint):
        def __call__(self, *args, **kwargs):
            return k.ops.relu(args[0])

    return [Own(), Loose(), lambda w: k.ops.abs(w)]


def schedules(k):
    class Own(k.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.01 / (1 + k.ops.cast(step, "float32"))

    class Loose(k.optimizers.schedules.LearningRateSchedule):
        def __call__(self, *args, **kwargs):
            return 0.01

    return [Own(), Loose(), lambda: 0.02]


def fitted(k, *, loss="mse", metrics=(), rate=0.01, callbacks=(), weights=WEIGHTS, **told):
    told.setdefault("kernel_initializer", "ones")
    model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(1, **told)])
    model.compile(k.optimizers.SGD(rate), loss=loss, metrics=list(metrics))
    history = model.fit(
        X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=list(callbacks), sample_weight=weights
    ).history
    return {**history, "kernel": np.asarray(model.get_weights()[0])}


def told_to(kind, made):
    """The arguments of `fitted` for one part."""
    names = {
        "losses": "loss", "regularizers": "kernel_regularizer", "initializers": "kernel_initializer",
        "constraints": "kernel_constraint", "schedules": "rate", "metrics": "metrics",
    }  # fmt: skip
    return {names[kind]: [made] if kind == "metrics" else made}


PARTS = [
    (maker, number, weights)
    for maker in (losses, metrics, regularizers, initializers, constraints, schedules)
    for number in range(len(maker(lamina)))
    for weights in ((WEIGHTS, None) if maker in (losses, metrics) else (None,))
]
IDS = [f"{maker.__name__}-{number}{'-weighted' * (weights is not None)}" for maker, number, weights in PARTS]


@pytest.mark.parametrize(("maker", "number", "weights"), PARTS, ids=IDS)
def test_a_part_of_ones_own_trains_as_in_keras(maker, number, weights):
    ours, theirs = (fitted(k, weights=weights, **told_to(maker.__name__, maker(k)[number])) for k in (lamina, keras))
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_mask_of_a_layer_reaches_a_loss_that_hands_on_what_it_was_given():
    """A loss that calls `super().__call__(y_true, y_pred, sample_weight)` counts what is not masked, as in Keras."""
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [1, 1, 1, 0]])
    y = np.arange(12, dtype="float32").reshape(3, 4, 1)
    found = []
    for k in (lamina, keras):
        ones = k.initializers.Ones()
        model = k.Sequential([
            k.layers.Input((4,)), k.layers.Embedding(5, 2, embeddings_initializer=ones, mask_zero=True),
            k.layers.TimeDistributed(k.layers.Dense(1, kernel_initializer=ones)),
        ])  # fmt: skip
        model.compile("sgd", loss=losses(k)[1])
        found.append((model.evaluate(ids, y, verbose=0), float(losses(k)[1](y, model(ids)))))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert found[0][0] != pytest.approx(2 * ((y - 2) ** 2).mean(), rel=1e-3)  # what it is without the mask
