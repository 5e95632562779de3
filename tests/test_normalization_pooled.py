"""Batch normalization, relu and pooling in one pass of lamina-onednn's, against the three one after the other."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._kernels.blocks import relu
from lamina._kernels.normalization import normalize
from lamina._kernels.pooling import largest, max_pool
from lamina._layer.passes import Pass

pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")

CASES = {
    "an image": ((4, 8, 9, 16), (2, 2), (2, 2)),
    "windows apart": ((3, 11, 10, 48), (3, 2), (4, 3)),
    "a sequence": ((3, 20, 16), (3,), (3,)),
    "a whole image": ((4, 8, 9, 32), None, None),
    "a whole sequence": ((4, 30, 16), None, None),
}


def arrays(shape):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=each), jnp.float32) for each in (shape, shape[-1:], shape[-1:])]


def three(shape, window, strides, within, rows=None):
    """The largest, and the mean and the variance, as a function of x, gamma and beta."""
    axes = tuple(range(1, len(shape) - 1))

    def compute(x, gamma, beta):
        with Pass({}) if within else nullcontext():
            y, mean, variance = normalize(x, gamma, beta, x.ndim - 1, 1e-3, rows)
            y = relu(y)
            return max_pool(y, window, strides, "valid", axes) if window else largest(y, axes), mean, variance

    return compute


def slopes(compute, rows=None):
    """The gradients of a sum to which the rows after the first `rows` give nothing."""

    def loss(*taken):
        y, mean, variance = compute(*taken)
        weights = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        if rows is not None:
            weights = weights * (jnp.arange(len(y)) < rows).reshape(-1, *[1] * (y.ndim - 1))
        return jnp.sum(jnp.sin(y) * weights), (y[:rows], mean, variance)

    return jax.grad(loss, (0, 1, 2), has_aux=True)


def is_one(function, *taken):
    return "lamina_normalization_pooled" in jax.jit(function).lower(*taken).as_text()


@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize("case", CASES)
def test_one_pass_equals_three(case, rows):
    taken = arrays(CASES[case][0])
    count = None if rows is None else jnp.int32(rows)
    one, other = (three(*CASES[case], within, count) for within in (True, False))
    assert is_one(one, *taken) and not is_one(other, *taken)
    got, want = (jax.jit(slopes(each, rows))(*taken) for each in (one, other))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_gradients(case):
    def again(compute):
        def loss(*taken):
            return sum(jnp.sum(jnp.square(slope)) for slope in slopes(compute)(*taken)[0])

        return jax.jit(jax.grad(loss, (0, 1, 2)))

    taken = arrays(CASES[case][0])
    for got, want in zip(*(again(three(*CASES[case], within))(*taken) for within in (True, False)), strict=True):
        np.testing.assert_allclose(got, want, 1e-3, 1e-4)


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
def test_no_numbers_are_passed_on(what):
    x, gamma, beta = arrays((4, 8, 9, 16))
    x = x.at[1, 2, 3, 4].set(what)
    got, want = (jax.jit(slopes(three(*CASES["an image"], within)))(x, gamma, beta) for within in (True, False))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)
    assert np.isnan(got[1][0]).any()


def test_batches_of_models_are_computed_one_by_one():
    taken = arrays((4, 8, 9, 16))
    many = [jnp.stack([a, a / 2]) for a in taken]
    one, other = (jax.jit(jax.vmap(slopes(three(*CASES["an image"], within)))) for within in (True, False))
    for a, b in zip(jax.tree.leaves(one(*many)), jax.tree.leaves(other(*many)), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("shape", "window", "strides"),
    [((4, 8, 9, 20), (2, 2), (2, 2)), ((4, 8, 9, 16), (3, 3), (2, 2)), ((2, 4, 4, 4, 16), (2, 2, 2), (2, 2, 2))],
    ids=["channels that 16 does not divide", "windows that overlap", "volumes"],
)
def test_what_it_does_not_take_goes_as_before(shape, window, strides):
    taken = arrays(shape)
    one, other = (three(shape, window, strides, within) for within in (True, False))
    assert not is_one(one, *taken)
    for a, b in zip(one(*taken), other(*taken), strict=True):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)


def trained(tier, policy):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_KERNELS", tier)
        lamina.mixed_precision.set_global_policy(policy)
        lamina.utils.set_random_seed(0)
        model = lamina.Sequential(
            [
                lamina.Input((12, 11, 3)),
                layers.Conv2D(16, 3, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.MaxPooling2D(2),
                layers.Conv2D(32, 3),
                layers.BatchNormalization(scale=False),
                layers.Activation("relu"),
                layers.GlobalMaxPooling2D(),
                layers.Dense(3, activation="softmax", dtype="float32"),
            ]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        x = np.random.default_rng(0).normal(size=(40, 12, 11, 3)).astype("float32")
        y = np.arange(40) % 3
        losses = model.fit(x, y, epochs=3, batch_size=16, validation_data=(x, y), verbose=0).history
        return [losses["loss"], losses["val_loss"], model.predict(x, verbose=0), *model.get_weights()]


@pytest.mark.parametrize(("policy", "near"), [("float32", 1e-4), ("mixed_bfloat16", 5e-2)])
def test_layers_one_after_the_other_train_alike(policy, near):
    for a, b in zip(trained("onednn", policy), trained("xla", policy), strict=True):
        np.testing.assert_allclose(a, b, near, near)
