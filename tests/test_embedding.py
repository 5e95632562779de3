"""Embedding, and indices that are not in its table."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError, DataError, LaminaWarning, ShapeError

X = np.random.default_rng(2).integers(0, 7, (6, 4))
TABLE = np.random.default_rng(3).normal(size=(7, 3)).astype("float32")


def test_equals_keras():
    ours, theirs = layers.Embedding(7, 3, weights=TABLE), keras.layers.Embedding(7, 3, weights=TABLE)

    def slopes(layer, kept):
        def loss(params):
            y = layer.stateless_call(params, [], jnp.asarray(X))[0]
            return jnp.sum(y * jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

        return jax.grad(loss)(kept)[0]

    np.testing.assert_array_equal(ours(X), theirs(X))
    np.testing.assert_array_equal(ours(X.astype("float32")), TABLE[X])
    np.testing.assert_allclose(
        slopes(ours, [ours.embeddings.value]), slopes(theirs, [theirs.embeddings.value]), rtol=1e-5, atol=1e-6
    )
    assert layers.Embedding(7, 3).compute_output_shape((None, 4)) == (None, 4, 3)
    assert float(np.abs(layers.Embedding(50, 20)(X)).max()) <= 0.05


def test_config_equals_keras():
    settings = {"mask_zero": True, "embeddings_regularizer": "l2", "embeddings_constraint": "unit_norm"}
    ours = layers.Embedding(7, 3, name="words", **settings).get_config()
    theirs = keras.layers.Embedding(7, 3, name="words", **settings).get_config()
    assert set(theirs) == set(ours)
    assert {k: ours[k] for k in ("input_dim", "output_dim", "mask_zero")} == {
        k: theirs[k] for k in ("input_dim", "output_dim", "mask_zero")
    }
    assert layers.Embedding.from_config(ours).get_config() == ours
    assert repr(layers.Embedding(7, 3)) == "Embedding(7, 3)"


def test_start_values():
    np.testing.assert_array_equal(layers.Embedding(7, 3, weights=[TABLE])(X), TABLE[X])
    with pytest.raises(ShapeError, match=r"\(7, 3\), and got \(3, 7\)"):
        layers.Embedding(7, 3, weights=TABLE.T)
    with pytest.raises(ArgumentError, match="input_dim"):
        layers.Embedding(0, 3)
    with pytest.warns(LaminaWarning, match="input_length=4"):
        layers.Embedding(7, 3, input_length=4)


def test_the_mask_of_zeros_reaches_the_lstm_and_the_loss():
    def made(module, sequential):
        return sequential(
            [
                keras.Input((4,)) if module is keras.layers else layers.Input((4,)),
                module.Embedding(7, 3, mask_zero=True),
                module.LSTM(3, return_sequences=True),
                module.TimeDistributed(module.Dense(1)),
            ]
        )

    ours, theirs = made(layers, lamina.Sequential), made(keras.layers, keras.Sequential)
    theirs.set_weights(ours.get_weights())
    y = np.random.default_rng(0).normal(size=(6, 4, 1)).astype("float32")
    for model in (ours, theirs):
        model.compile("sgd", "mse")
    assert ours.evaluate(X, y, verbose=0) == pytest.approx(theirs.evaluate(X, y, verbose=0), rel=1e-5)
    for model in (ours, theirs):
        model.fit(X, y, epochs=2, batch_size=3, shuffle=False, verbose=0)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-6)


def test_sixteen_bits_do_not_change_indices():
    layer = layers.Embedding(1001, 2, dtype="mixed_bfloat16")
    y = layer(np.array([[1000.0, 999.0]], "float32"))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, "float32")[0], layer.embeddings.numpy()[[1000, 999]], rtol=1e-2)


def model_of(first):
    model = lamina.Sequential([layers.Input((4,)), first, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict", "train_on_batch"])
def test_an_index_outside_the_table_is_refused_with_its_row(verb):
    wrong = X.copy()
    wrong[3, 1] = 7
    arguments = (wrong,) if verb == "predict" else (wrong, np.ones((6, 1)))
    with pytest.raises(DataError, match=r"row 3 of x holds 7, .*from 0 to 6(.|\n)*Embedding\(8, ...\)"):
        getattr(model_of(layers.Embedding(7, 3)), verb)(*arguments)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_a_later_batch_of_a_stream_with_an_index_outside_is_refused(verb):
    wrong = X.copy()
    wrong[3, 1] = 7
    batches = [(x,) if verb == "predict" else (x, np.ones((6, 1))) for x in (X, X, wrong)]
    with pytest.raises(DataError, match=r"^batch 2 of x: row 3 of x holds 7, "):
        getattr(model_of(layers.Embedding(7, 3)), verb)(iter(batches))


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_a_category_without_a_column_is_refused_with_its_row(verb):
    wrong = X.copy()
    wrong[3, 1] = 7
    model = lamina.Sequential([layers.Input((4,)), layers.CategoryEncoding(7), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"row 3 of x holds 7, .*from 0 to 6(.|\n)*CategoryEncoding\(8, ...\)"):
        getattr(model, verb)(wrong, *([] if verb == "predict" else [np.ones((6, 1))]))


def test_layers_that_only_move_indices_hide_none():
    model = lamina.Sequential([layers.Input((4,)), layers.Reshape((2, 2)), layers.Embedding(7, 3)])
    with pytest.raises(DataError, match="row 0 of x holds"):
        model.predict(X + 9)


def test_negative_numbers_and_fractions_are_no_indices():
    for value, hint in ((-1, "holds -1"), (0.5, "holds 0.5")):
        wrong = X.astype("float32")
        wrong[2, 0] = value
        with pytest.raises(DataError, match=f"row 2 of x {hint}"):
            model_of(layers.Embedding(7, 3)).predict(wrong)
        with pytest.raises(DataError, match=f"row 2 of x {hint}"):
            layers.Embedding(7, 3)(wrong)
    nested = lamina.Sequential([layers.Input((4,)), layers.Embedding(7, 3)])
    model = lamina.Sequential([nested, layers.Flatten()])
    with pytest.raises(DataError, match="row 0"):
        model.predict(X + 9)


def test_an_embedding_is_built_without_a_shape():
    for library in (lamina, keras):
        layer = library.layers.Embedding(5, 3)
        layer.build()
        assert [tuple(w.shape) for w in layer.weights] == [(5, 3)]
