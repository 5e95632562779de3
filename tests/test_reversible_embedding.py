"""ReversibleEmbedding, there and back, against Keras: values, masks, gradients, files."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._layer.masks import mask_of

INDICES = np.array([[1, 2, 0], [3, 0, 0]])
SETTINGS = [
    {}, {"tie_weights": False}, {"mask_zero": True}, {"logit_soft_cap": 0.01}, {"reverse_dtype": "float16"},
    {"tie_weights": False, "logit_soft_cap": 2.0, "reverse_dtype": "bfloat16"},
    {"embeddings_regularizer": "l2", "embeddings_constraint": "unit_norm"},
]  # fmt: skip


def both(settings, dtype=None):
    ours = layers.ReversibleEmbedding(5, 4, **settings, dtype=dtype, name="words")
    other = keras.layers.ReversibleEmbedding(5, 4, **settings, dtype=dtype, name="words")
    ours(INDICES), other(INDICES)
    other.set_weights(ours.get_weights())
    return ours, other


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [(each, None) for each in SETTINGS]
    + [
        ({"tie_weights": False, "logit_soft_cap": 2.0}, name)
        for name in ("mixed_bfloat16", "mixed_float16", "bfloat16")
    ],
    ids=str,
)
def test_there_and_back_equals_keras(settings, dtype):
    ours, other = both(settings, dtype)
    rows, wanted = ours(INDICES), other(INDICES)
    np.testing.assert_array_equal(np.asarray(rows, "float32"), np.asarray(wanted, "float32"))
    back, wanted = ours(rows, reverse=True), other(wanted, reverse=True)
    assert (rows.dtype, back.dtype, back.shape) == (other(INDICES).dtype, wanted.dtype, wanted.shape)
    loose = 1e-6 if back.dtype == "float32" else 1e-2
    np.testing.assert_allclose(np.asarray(back, "float32"), np.asarray(wanted, "float32"), loose, loose / 10)
    assert [w.shape for w in ours.weights] == [w.shape for w in other.weights]
    assert [w.name for w in ours.weights] == [w.name for w in other.weights]
    assert ours.compute_output_shape((None, 3)) == tuple(other.compute_output_shape((None, 3)))
    assert ours.compute_output_shape((2, 3, 4), reverse=True) == tuple(other.compute_output_shape((2, 3, 4), True))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_config_goes_both_ways(settings):
    ours, other = both(settings)
    keys = ours.get_config().keys()
    assert keys == other.get_config().keys()
    again = keras.layers.ReversibleEmbedding.from_config(ours.get_config())
    assert again.get_config() == other.get_config()
    assert layers.ReversibleEmbedding.from_config(other.get_config()).get_config() == ours.get_config()


def test_only_the_rows_of_the_table_have_a_mask():
    layer = layers.ReversibleEmbedding(5, 4, mask_zero=True)
    rows = layer(INDICES)
    assert mask_of(rows).tolist() == (INDICES != 0).tolist()
    assert mask_of(layer(rows, reverse=True)) is None


def tied(package):
    """A block that maps words to words, with one table for both ways."""

    class Tied(package.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.words = package.layers.ReversibleEmbedding(5, 4, mask_zero=True)
            self.inner = package.layers.Dense(4, activation="tanh")

        def build(self, input_shape):
            self.words.build(input_shape), self.inner.build((*input_shape, 4))

        def call(self, x):
            return self.words(self.inner(self.words(x)), reverse=True)

    return Tied


def test_both_ways_in_one_block_have_one_table_also_in_files_of_keras(tmp_path):
    ours = lamina.Sequential([layers.Input((3,), dtype="int32"), tied(lamina)()])
    before = ours.get_weights()
    ours.compile("sgd", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    ours.fit(INDICES, INDICES, verbose=0)
    assert len(before) == 3 and all((one != two).any() for one, two in zip(before, ours.get_weights(), strict=True))
    ours.save(tmp_path / "tied.keras")
    for package in (lamina, keras):
        again = package.models.load_model(
            tmp_path / "tied.keras", custom_objects={"Tied": tied(package)}, compile=False
        )
        np.testing.assert_allclose(again(INDICES), ours(INDICES), 1e-5, 1e-6)


def test_the_gradient_reaches_the_table_from_both_sides():
    layer = tied(lamina)()
    layer(INDICES)

    def total(arrays):
        return jnp.sum(layer.stateless_call(arrays, [], jnp.asarray(INDICES))[0] ** 2)

    table = [weight.value for weight in layer.trainable_variables]
    place = [weight.shape for weight in layer.trainable_variables].index((5, 4))
    found = jax.grad(total)(table)[place]
    step = 1e-2
    for row, column in [(1, 0), (4, 2)]:  # 4 is no index of the data: its row is used on the way back alone
        moved = [
            total([a.at[row, column].add(s) if i == place else a for i, a in enumerate(table)]) for s in (step, -step)
        ]
        np.testing.assert_allclose(found[row, column], (moved[0] - moved[1]) / (2 * step), rtol=2e-2, atol=1e-4)


@pytest.mark.parametrize("told", [{"logit_soft_cap": 0}, {"reverse_dtype": "float"}, {"tie_weights": "yes"}])
def test_wrong_settings_are_refused(told):
    with pytest.raises((ValueError, TypeError), match=next(iter(told))):
        layers.ReversibleEmbedding(5, 4, **told)
