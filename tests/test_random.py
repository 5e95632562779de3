"""The random bits of dropout: their statistics, and that they repeat. A bad hash fails these."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._kernels.bits import bernoulli, fold, random_bits
from lamina._layer.keys import seed_of
from lamina._layer.passes import Pass
from lamina.random import key_of

N = 1 << 16
SIGMA = 5.0  # how many standard deviations a statistic may lie off


def masks(keys, probability=0.7, shape=(N,)):
    return np.stack([np.asarray(bernoulli(key, probability, shape)) for key in keys]).astype(float)


def correlation(a, b):
    return abs(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.7, 0.99])
def test_mean_of_each_mask(probability):
    keys = [fold(fold(key_of(seed), step), 3) for seed in (0, 1, 2**31 - 1) for step in range(8)]
    deviation = np.sqrt(probability * (1 - probability) / N)
    assert np.abs(masks(keys, probability).mean(1) - probability).max() < SIGMA * deviation


@pytest.mark.parametrize("distance", [1, 2, 3, 16, 255, 256, 257, 4096])
def test_no_correlation_between_neighbours(distance):
    for mask in masks([fold(key_of(0), step) for step in range(4)]):
        assert correlation(mask[:-distance], mask[distance:]) < SIGMA / np.sqrt(N)


def test_no_correlation_between_steps_layers_and_seeds():
    by_step = masks([fold(fold(key_of(0), step), 1) for step in range(24)])
    by_layer = masks([fold(fold(key_of(0), 0), layer) for layer in range(1, 24)])
    by_seed = masks([fold(key_of(seed), 0) for seed in range(24)])
    for group in (by_step, by_layer, by_seed):
        off_diagonal = np.corrcoef(group) - np.eye(len(group))
        assert np.abs(off_diagonal).max() < SIGMA / np.sqrt(N)


def test_rows_and_columns_are_as_random_as_the_whole():
    mask = masks([fold(key_of(5), 7)], 0.5, (256, 256))[0]
    for axis in (0, 1):
        assert np.abs(mask.mean(axis) - 0.5).max() < SIGMA * 0.5 / np.sqrt(256)
        assert abs(mask.mean(axis).std() / (0.5 / np.sqrt(256)) - 1) < 0.3  # neither clumped nor too even


def test_each_bit_is_fair_and_bytes_are_uniform():
    words = np.asarray(random_bits(fold(key_of(1), 2), (N,)))
    for bit in range(32):
        assert abs((words >> bit & 1).mean() - 0.5) < SIGMA * 0.5 / np.sqrt(N)
    for byte in range(4):
        counts = np.bincount(words >> (8 * byte) & 255, minlength=256)
        chi_square = ((counts - N / 256) ** 2 / (N / 256)).sum()
        assert abs(chi_square - 255) < SIGMA * np.sqrt(2 * 255)
    assert len(np.unique(words)) > N - 10  # as good as no repetition


def test_these_tests_would_find_a_weak_hash():
    """A multiplication alone, as many a hash begins, has masks that repeat from step to step."""
    weak = np.stack([(np.arange(N, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(s)) < 2**31 for s in range(8)])
    assert np.abs(np.corrcoef(weak.astype(float)) - np.eye(8)).max() > SIGMA / np.sqrt(N)


def test_dropout_scales_what_it_keeps():
    layer = layers.Dropout(0.25)
    y = np.asarray(layer(jnp.ones((200, 300)), training=True))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < SIGMA * np.sqrt(0.25 / 0.75 / y.size)


def test_noise_shape_draws_once_for_an_axis():
    y = np.asarray(layers.Dropout(0.5, noise_shape=(None, 1, 4))(jnp.ones((8, 5, 4)), training=True))
    assert (y == y[:, :1]).all()
    assert len(np.unique(y)) == 2


def forward(model, step):
    """The dropped positions in one training pass at `step`, as the compiled program computes them."""
    with Pass({}, training=True, key=fold(key_of(seed_of(model)), step)) as now:
        return np.asarray(now.copy_of(model)(jnp.ones((4, 1000)))) == 0


def test_masks_differ_between_layers_and_steps_and_repeat_for_a_seed():
    lamina.utils.set_random_seed(3)
    model = lamina.Sequential([layers.Input((1000,)), layers.Dropout(0.5), layers.Dropout(0.5)])
    once = forward(model, 0)
    assert abs(once.mean() - 0.75) < 0.05  # two independent masks; were they equal, half would be left
    assert (forward(model, 0) == once).all()
    assert (forward(model, 1) != once).mean() > 0.3
    lamina.utils.set_random_seed(3)
    assert (
        forward(lamina.Sequential([layers.Input((1000,)), layers.Dropout(0.5), layers.Dropout(0.5)]), 0) == once
    ).all()


def test_a_layer_seed_of_its_own():
    def dropped(seed):
        model = lamina.Sequential([layers.Input((1000,)), layers.Dropout(0.5, seed=seed)])
        model._lamina.seed = 1
        return forward(model, 0)

    assert (dropped(5) == dropped(5)).all()
    assert (dropped(5) != dropped(6)).mean() > 0.3


def test_bits_are_the_same_in_and_out_of_a_compiled_program():
    key = fold(key_of(9), 4)
    compiled = jax.jit(lambda key: random_bits(key, (33, 7)))(key)
    np.testing.assert_array_equal(compiled, random_bits(key, (33, 7)))
