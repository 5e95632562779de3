"""Batch normalization in training: its gradient, its sums by lamina-onednn, and its scale within the next kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._kernels import matmul
from lamina._kernels.normalization import normalize
from lamina._layer.passes import Pass


def plain(x, gamma, beta, axis, epsilon):
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    mean, variance = jnp.mean(x, others, keepdims=True), jnp.var(x, others, keepdims=True)
    shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    return (x - mean) / jnp.sqrt(variance + epsilon) * gamma.reshape(shape) + beta.reshape(shape)


DERIVED = {
    "value": lambda f: f,
    "gradient": lambda f: jax.grad(f, (0, 1, 2)),
    "gradient of a gradient": lambda f: jax.grad(lambda x, *other: jnp.sum(jax.grad(f)(x, *other) ** 2), (0, 1)),
    "gradients of many": lambda f: jax.vmap(jax.grad(f, (0, 1)), (0, None, None)),
}


@pytest.mark.parametrize("tier", ["onednn", "xla"])
@pytest.mark.parametrize("way", DERIVED)
@pytest.mark.parametrize(("shape", "axis"), [((40, 20), 1), ((6, 5, 4, 32), 3), ((6, 20, 5), 1), ((40, 3), 1)])
def test_it_is_derived_as_its_plain_formula_is(way, shape, axis, tier, monkeypatch):
    if tier == "onednn":
        pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    monkeypatch.setenv("LAMINA_KERNELS", tier)
    rng = np.random.default_rng(0)
    many = (2,) if "many" in way else ()
    x = jnp.asarray(rng.normal(3, 2, size=(*many, *shape)), jnp.float32)
    gamma, beta = (jnp.asarray(rng.normal(size=shape[axis]), jnp.float32) for _ in range(2))
    weight = jnp.asarray(rng.normal(size=shape), jnp.float32)

    def loss(formula):
        return lambda x, gamma, beta: jnp.sum(jnp.sin(formula(x, gamma, beta)) * weight)

    ours = DERIVED[way](loss(lambda *taken: normalize(*taken, axis, 1e-3)[0]))
    got, want = (
        jax.jit(f)(x, gamma, beta) for f in (ours, DERIVED[way](loss(lambda *taken: plain(*taken, axis, 1e-3))))
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-4)
    calls = "lamina_moments" in jax.jit(ours).lower(x, gamma, beta).as_text()
    assert calls == (tier == "onednn" and not many and axis == len(shape) - 1 and shape[-1] >= 16)


@pytest.mark.parametrize("tier", ["onednn", "xla"])
@pytest.mark.parametrize("way", DERIVED)
@pytest.mark.parametrize(("shape", "axis"), [((40, 20), 1), ((6, 5, 4, 32), 3), ((6, 20, 5), 1)])
def test_rows_that_only_fill_a_batch_up_do_not_count(way, shape, axis, tier, monkeypatch):
    if tier == "onednn":
        pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    monkeypatch.setenv("LAMINA_KERNELS", tier)
    rng, rows = np.random.default_rng(0), shape[0] - 3
    many = (2,) if "many" in way else ()
    x = jnp.asarray(rng.normal(3, 2, size=(*many, *shape)), jnp.float32)
    gamma, beta = (jnp.asarray(rng.normal(size=shape[axis]), jnp.float32) for _ in range(2))
    weight = jnp.asarray(rng.normal(size=shape), jnp.float32)[:rows]

    def ours(x, gamma, beta):
        y = normalize(x, gamma, beta, axis, 1e-3, jnp.int32(rows))[0]
        return jnp.sum(jnp.sin(y[:rows]) * weight)

    def apart(x, gamma, beta):
        return jnp.sum(jnp.sin(plain(x[:rows], gamma, beta, axis, 1e-3)) * weight)

    got, want = (jax.jit(DERIVED[way](f))(x, gamma, beta) for f in (ours, apart))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-4)


def words_layers():
    return [layers.Embedding(9, 6, mask_zero=True), layers.BatchNormalization(), layers.GRU(5)]


IN_FRONT = {
    "columns": lambda: [layers.BatchNormalization(), layers.Dense(16, "relu"), layers.BatchNormalization()],
    "renorm": lambda: [layers.Dense(16, "relu"), layers.BatchNormalization(renorm=True)],
    "channels first": lambda: [layers.Reshape((5, 4)), layers.BatchNormalization(axis=1), layers.Flatten()],
    "steps": lambda: [layers.Reshape((5, 4)), layers.TimeDistributed(layers.BatchNormalization()), layers.Flatten()],
    "frozen": lambda: [layers.Dense(8), layers.BatchNormalization(trainable=False)],
    "within": lambda: [lamina.Sequential([layers.Dense(16), layers.BatchNormalization()]), layers.Dropout(0.5)],
    "masked": words_layers,
}


@pytest.mark.parametrize("kind", IN_FRONT)
def test_a_short_batch_in_an_epoch_trains_as_by_itself(kind):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (75, 20)) if kind == "masked" else rng.normal(1, 1, (75, 20)).astype("float32")
    y, weight = rng.normal(size=(75, 1)).astype("float32"), rng.uniform(size=75)
    found = []
    for whole in (True, False):
        lamina.utils.set_random_seed(0)
        model = lamina.Sequential([layers.Input((20,)), *IN_FRONT[kind](), layers.Dense(1)])
        model.compile(lamina.optimizers.SGD(0.01), "mse", metrics=["mae"], weighted_metrics=["mse"])
        for _ in range(2):
            if whole:
                model.fit(x, y, batch_size=16, sample_weight=weight, shuffle=False, verbose=0)
            else:
                for rows in (slice(start, start + 16) for start in range(0, 75, 16)):
                    model.train_on_batch(x[rows], y[rows], sample_weight=weight[rows])
        found.append([*model.get_weights(), model.evaluate(x, y, sample_weight=weight, verbose=0)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


def trained(first, use_bias=True, epochs=2):
    """The weights of a stack after some steps, and the program of one step as text."""
    lamina.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = (rng.normal(5, 3, size=(96, 20)).astype("float32") for _ in range(2))
    y = y[:, :1]
    units = layers.Dense(24, activation="relu", use_bias=use_bias)
    model = lamina.Sequential([layers.Input((20,)), *first, units, layers.BatchNormalization(), layers.Dense(1)])
    model.compile(lamina.optimizers.SGD(0.05), "mse")
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    "settings", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5, "epsilon": 0.1}], ids=str
)
def test_a_scale_within_the_next_kernel_changes_no_result(settings, use_bias, monkeypatch):
    found = []

    def unscaled(x, kernel, bias):
        found.append(kernel.shape)
        return x, kernel, bias

    got = trained([layers.BatchNormalization(**settings)], use_bias)
    monkeypatch.setattr(matmul, "unscaled", unscaled)
    layers.Dense.marker = object()  # a class attribute of another value makes the program anew
    try:
        want = trained([layers.BatchNormalization(**settings)], use_bias)
    finally:
        del layers.Dense.marker
    assert (20, 24) in found
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


def products(first):
    """How many matrix products a step of training has."""
    lamina.utils.set_random_seed(0)
    model = lamina.Sequential([layers.Input((20,)), *first, layers.Dense(24)])
    model.compile("sgd", "mse")
    seen = []
    original = jax.stages.Lowered.compile

    def compiled(self, *args, **kwargs):
        program = original(self, *args, **kwargs)
        seen.append(program.as_text())
        return program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", compiled)
        model.train_on_batch(np.ones((48, 20), "float32"), np.ones((48, 24), "float32"))
    return max(text.count(" f32[48,20]{1,0} dot(") for text in seen)


def test_the_gradient_of_a_normalization_of_the_data_takes_no_product():
    """Its scale is in the kernel; behind a layer with weights of its own, and with dropout between, it stays."""
    assert products([layers.BatchNormalization()]) == 0
    assert products([layers.BatchNormalization(), layers.Dropout(0.5)]) == 1


@pytest.mark.parametrize("tier", ["onednn", "xla"])
def test_data_far_from_zero_are_normalized_as_exactly_as_near_it(tier, monkeypatch):
    if tier == "onednn":
        pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    monkeypatch.setenv("LAMINA_KERNELS", tier)
    x = (np.random.default_rng(0).normal(size=(256, 64)) + 1e4).astype("float32")
    y, mean, variance = jax.jit(lambda x: normalize(x, jnp.ones(64), jnp.zeros(64), 1, 1e-3))(x)
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, wide.mean(0), 1e-7)
    np.testing.assert_allclose(variance, wide.var(0), 1e-5)
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-3), 1e-2, 2e-3)


def test_moving_statistics_in_bfloat16_move_by_the_momentum():
    layer = layers.BatchNormalization(dtype="bfloat16")
    x = np.full((8, 4), 100.0, "float32") + np.arange(8)[:, None]
    layer(x, training=True)
    np.testing.assert_allclose(np.asarray(layer.moving_mean.value, "float32"), 1.035, 0.01)
    np.testing.assert_allclose(np.asarray(layer.moving_variance.value, "float32"), 0.99 + 0.01 * x.var(0), 0.01)


def test_features_on_the_first_axis_are_normalized_along_the_others():
    x = jnp.asarray(np.random.default_rng(0).normal(3, 2, (3, 20)), jnp.float32)
    y, mean, variance = normalize(x, jnp.ones(3), jnp.zeros(3), 0, 1e-3)
    np.testing.assert_allclose(mean, np.mean(x, 1), 1e-6)
    np.testing.assert_allclose(variance, np.var(x, 1), 1e-5)
    np.testing.assert_allclose(y, plain(x, jnp.ones(3), jnp.zeros(3), 0, 1e-3), 1e-4, 1e-5)


BEHIND = {
    "an image": ((6, 9, 8, 3), (layers.Conv2D, 16), {}),
    "an image in tiles": ((9, 12, 12, 16), (layers.Conv2D, 32), {"use_bias": False}),
    "a sequence": ((6, 20, 16), (layers.Conv1D, 16), {"padding": "causal"}),
    "groups": ((6, 9, 8, 4), (layers.Conv2D, 6), {"groups": 2, "strides": 2}),
    "each channel": ((6, 9, 8, 4), (layers.DepthwiseConv2D,), {"depth_multiplier": 2}),
    "a volume": ((3, 5, 6, 7, 2), (layers.Conv3D, 5), {"padding": "same"}),
}


def behind(case, pool, axis=-1, activation=None):
    """A convolution, its normalization and relu, with statistics of their own, and what goes into them."""
    shape, (kind, *filters), settings = BEHIND[case]
    lamina.utils.set_random_seed(0)
    convolution = kind(*filters, 3, activation=activation, **settings)
    model = lamina.Sequential([convolution, layers.BatchNormalization(axis), layers.ReLU(), *pool])
    model.build(shape)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 2, each.shape) for each in model.get_weights()])
    return model, rng.normal(-1, 1, size=shape).astype("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("tier", ["onednn", "xla"])
@pytest.mark.parametrize("case", BEHIND)
def test_in_prediction_it_goes_into_the_kernel_of_a_convolution(case, tier, policy, monkeypatch):
    if tier == "onednn":
        pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    monkeypatch.setenv("LAMINA_KERNELS", tier)
    lamina.mixed_precision.set_global_policy(policy)
    rank = len(BEHIND[case][0]) - 2
    pooling = [[], [getattr(layers, f"MaxPooling{rank}D")(2)], [getattr(layers, f"GlobalMaxPooling{rank}D")()]]
    near = 1e-4 if policy == "float32" else 3e-2
    for pool in pooling:
        model, x = behind(case, pool)
        want = x
        for layer in model.layers:
            want = layer(want)  # each by itself
        want = np.asarray(want, "float32")
        np.testing.assert_allclose(model.predict(x, verbose=0).astype("float32"), want, near, near * want.max())


def test_what_it_does_with_a_convolution_and_pooling_in_prediction_is_one_call(monkeypatch):
    pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    monkeypatch.setenv("LAMINA_KERNELS", "onednn")
    model, x = behind("an image in tiles", [layers.MaxPooling2D(2)])
    with Pass({weight: weight.array for weight in model.weights}) as now:
        text = jax.jit(now.copy_of(model)).lower(jnp.asarray(x)).compile().as_text()
    assert text.count("custom-call(") == text.count('custom_call_target="lamina_convolution_pooled"') == 1


@pytest.mark.parametrize("left", [{"axis": 2}, {"activation": "relu"}], ids=str)
def test_of_another_axis_and_behind_an_activation_it_stays(left):
    model, x = behind("an image", [], **left)
    want = x
    for layer in model.layers:
        want = layer(want)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, 1e-4, 1e-4)


@pytest.mark.parametrize("case", ["an image", "groups", "a sequence"])
def test_a_frozen_one_behind_a_convolution_hands_its_gradients_on(case):
    shape, (kind, *filters), settings = BEHIND[case]

    def trained(apart):
        lamina.utils.set_random_seed(0)
        convolution = kind(*filters, 3, **settings)
        between = [layers.Reshape(convolution.compute_output_shape(shape)[1:])] * apart
        frozen = layers.BatchNormalization(trainable=False)
        model = lamina.Sequential([convolution, *between, frozen, layers.Flatten(), layers.Dense(1)])
        model.build(shape)
        rng = np.random.default_rng(0)
        model.set_weights([rng.uniform(0.5, 2, each.shape) for each in model.get_weights()])
        model.compile(lamina.optimizers.SGD(1e-5), "mse")
        model.fit(rng.normal(size=shape), np.ones((shape[0], 1)), epochs=3, verbose=0)
        return model.get_weights()

    for a, b in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)
