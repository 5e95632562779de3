"""Recurrent layers, their cells and the layers around them, with real Keras as the oracle."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError, ShapeError
from lamina.kernels import recurrent

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 5, 3)).astype("float32")
MASK = (
    np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]]) > 0
)


def pair(make):
    """The same layer of both, with equal weights."""
    ours, theirs = make(layers), make(keras.layers)
    ours(X)
    theirs.build((None, 5, 3))
    ours.set_weights([RNG.normal(0, 0.6, w.shape).astype("float32") for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def same(ours, theirs, mask=None, rtol=1e-5):
    """Equal outputs, and equal gradients by every weight and the input."""
    told = {} if mask is None else {"mask": jnp.asarray(mask)}
    params, kept = [w.value for w in ours.trainable_weights], [w.value for w in ours.non_trainable_weights]
    their_params, their_kept = (
        [v.value for v in theirs.trainable_variables],
        [v.value for v in theirs.non_trainable_variables],
    )

    def slopes(call, params):
        def loss(params, x):
            y = call(params, x)
            return jnp.sum(y * jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)), y

        grads, y = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, jnp.asarray(X))
        return [y, *jax.tree.leaves(grads)]

    got = slopes(lambda p, x: ours.stateless_call(p, kept, x, **told)[0], params)
    want = slopes(lambda p, x: theirs.stateless_call(p, their_kept, x, **told)[0], their_params)
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=rtol, atol=2e-6)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"return_sequences": True, "go_backwards": True}, {"return_sequences": True, "zero_output_for_mask": True}],
    ids=str,
)
def test_masked_steps_carry_the_state_over(kind, settings):
    same(*pair(lambda module: getattr(module, kind)(4, **settings)), mask=MASK)


def test_a_mask_in_the_formula_of_any_activation():
    same(*pair(lambda module: module.LSTM(3, activation="relu")), mask=MASK)
    same(*pair(lambda module: module.GRU(3, reset_after=False, return_sequences=True)), mask=MASK)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave"])
def test_bidirectional(mode):
    make = lambda module: module.Bidirectional(module.LSTM(3, return_sequences=mode != "sum"), merge_mode=mode)  # noqa: E731
    same(*pair(make))
    same(*pair(make), mask=MASK)


def test_bidirectional_with_a_backward_layer_of_its_own():
    def make(module):
        back = module.GRU(3, activation="relu", go_backwards=True, return_sequences=True)
        return module.Bidirectional(module.LSTM(2, return_sequences=True), backward_layer=back)

    ours, theirs = pair(make)
    same(ours, theirs, mask=MASK)
    config, want = ours.get_config(), theirs.get_config()
    assert config["backward_layer"]["config"]["units"] == want["backward_layer"]["config"]["units"] == 3
    assert config["layer"]["config"]["name"].startswith("forward_lstm")
    again = layers.Bidirectional.from_config(config)
    again(X)
    again.set_weights(ours.get_weights())
    np.testing.assert_array_equal(again(X), ours(X))


def test_bidirectional_states_and_both_outputs():
    ours, theirs = pair(lambda m: m.Bidirectional(m.LSTM(3, return_state=True), merge_mode=None))
    for mine, its in zip(ours(X), theirs(X), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    with pytest.raises(ShapeError, match="give it a merge_mode"):
        lamina.Sequential([layers.Input((5, 3)), layers.Bidirectional(layers.GRU(2), merge_mode=None)])
    start = [
        RNG.normal(size=(3, 8)).astype("float32"),
        RNG.normal(size=(2, 8)).astype("float32"),
        np.ones(8, "float32"),
    ]
    weights = [*start, *(2 * w for w in start)]
    started = layers.Bidirectional(layers.LSTM(2), weights=weights)
    started(X)
    np.testing.assert_array_equal(started.backward_layer.cell.bias, weights[-1])


def test_what_bidirectional_refuses():
    with pytest.raises(ArgumentError, match="wraps a recurrent layer"):
        layers.Bidirectional(layers.Dense(2))
    with pytest.raises(ArgumentError, match="not both"):
        layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2))
    with pytest.raises(ArgumentError, match="return_sequences differs"):
        layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2, go_backwards=True, return_sequences=True))
    with pytest.raises(ArgumentError, match="expected one of 'concat'"):
        layers.Bidirectional(layers.LSTM(2), merge_mode="max")


CELLS = {
    "one": lambda m: m.RNN(m.SimpleRNNCell(4), return_sequences=True),
    "lstm": lambda m: m.RNN(m.LSTMCell(4), go_backwards=True),
    "gru": lambda m: m.RNN(m.GRUCell(4, reset_after=False), zero_output_for_mask=True, return_sequences=True),
    "stacked": lambda m: m.RNN(m.StackedRNNCells([m.LSTMCell(3), m.GRUCell(4)]), return_sequences=True, unroll=True),
    "list": lambda m: m.RNN([m.LSTMCell(4), m.LSTMCell(2)]),
}


@pytest.mark.parametrize("which", CELLS)
def test_rnn_with_cells(which):
    ours, theirs = pair(CELLS[which])
    same(ours, theirs)
    again = layers.RNN.from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    again(X)
    again.set_weights(ours.get_weights())
    np.testing.assert_array_equal(again(X), ours(X))


def own_cell(module):
    """A cell as Keras's documentation writes one, with a layer inside."""

    class MinimalCell(module.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.state_size = units
            self.inner = module.Dense(units, use_bias=False)

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="uniform", name="kernel")
            self.inner.build((None, self.units))

        def call(self, inputs, states):
            output = jnp.tanh(jnp.matmul(inputs, jnp.asarray(self.kernel)) + self.inner(states[0]))
            return output, [output]

    return MinimalCell


def test_a_cell_of_the_users_own():
    same(*pair(lambda module: module.RNN(own_cell(module)(4))))
    same(*pair(lambda module: module.RNN(own_cell(module)(4), return_sequences=True)), mask=MASK)
    with pytest.raises(ArgumentError, match="expected a cell"):
        layers.RNN(layers.Dense(3))


def test_the_arguments_stand_in_keras_order():
    for name in ("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell", "RNN", "Bidirectional"):
        theirs = [p for p in inspect.signature(getattr(keras.layers, name)).parameters if p != "kwargs"]
        assert list(inspect.signature(getattr(layers, name)).parameters)[: len(theirs)] == theirs, name


def test_states_are_returned_and_taken():
    ours, theirs = pair(lambda module: module.LSTM(4, return_state=True, return_sequences=True))
    start = [jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32) for _ in range(2)]
    for mine, its in zip(ours(X, initial_state=start), theirs(X, initial_state=start), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match="2 states, initial_state 1"):
        ours(X, initial_state=start[:1])
    with pytest.raises(ShapeError, match="return_state=True"):
        lamina.Sequential([layers.Input((5, 3)), layers.LSTM(4, return_state=True)])


def test_a_stateful_layer_goes_on_where_it_stopped():
    whole = layers.GRU(4, return_sequences=True)
    want = whole(X)
    parts = layers.GRU(4, return_sequences=True, stateful=True)
    parts(X)
    parts.cell.set_weights(whole.cell.get_weights())
    parts.reset_state()
    got = np.concatenate([parts(X[:, :2]), parts(X[:, 2:])], 1)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert np.abs(parts.states[0]).max() > 0
    parts.reset_states()
    np.testing.assert_allclose(parts(X[:, :2]), want[:, :2], rtol=1e-5, atol=1e-6)
    with pytest.raises(ShapeError, match="built for batches of 6 rows, got 4"):
        parts(X[:4])
    with pytest.raises(ShapeError, match="batch size"):
        lamina.Sequential([layers.Input((5, 3)), layers.LSTM(4, stateful=True)])


def test_training_moves_the_state_of_a_stateful_layer():
    model = lamina.Sequential([layers.Input(batch_shape=(3, 5, 3)), layers.LSTM(4, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((6, 1)), batch_size=3, epochs=1, shuffle=False, verbose=0)
    assert np.abs(model.layers[0].states[0]).max() > 0


@pytest.mark.parametrize(("kind", "gates"), [("SimpleRNNCell", 1), ("LSTMCell", 4), ("GRUCell", 3)])
def test_dropout_has_masks_of_its_own_for_each_gate_only_with_recurrent_dropout(kind, gates):
    x, h = jnp.ones((2000, 2)), jnp.ones((2000, 4))
    for recurrent_dropout, masks in ((0.0, 1), (0.5, gates)):
        cell = getattr(layers, kind)(4, dropout=0.5, recurrent_dropout=recurrent_dropout, use_bias=False)
        cell.build((None, 2))
        cell.kernel = jnp.ones((2, 4 * gates))
        share = np.asarray(cell.project(x, True)).reshape(2000, gates, 4)[..., 0]  # of 2 inputs, each 0 or 2
        assert set(np.unique(share)) == {0.0, 2.0, 4.0}
        assert abs(share.mean() - 2) < 0.1
        assert len({tuple(column) for column in share.T}) == masks
        np.testing.assert_array_equal(cell.project(x, False), np.full((2000, 4 * gates), 2.0))
        drop = cell.draws(h, True)
        assert (drop is None) == (recurrent_dropout == 0) and cell.draws(h, False) is None
        if drop is not None:
            assert drop.shape == (gates, 2000, 4) and set(np.unique(drop)) == {0.0, 2.0}


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_dropout_is_the_same_at_every_step(kind):
    """Steady input and no state: were the masks drawn anew at each step, the outputs would differ."""
    layer = getattr(layers, kind)(4, dropout=0.5, recurrent_dropout=0.5, return_sequences=True, seed=1)
    x = np.ones((50, 3, 2), "float32")
    layer(x)
    weights = layer.cell.get_weights()
    layer.cell.set_weights([weights[0], np.zeros_like(weights[1]), np.zeros_like(weights[2])])
    y = np.asarray(layer(x, training=True))
    blank = np.abs(y[:, 0]).max(-1) == 0  # rows in which both inputs fell away
    assert 0 < blank.sum() < 50 or kind != "SimpleRNN"
    np.testing.assert_array_equal(np.abs(y[:, 2]).max(-1) == 0, blank)
    if kind == "SimpleRNN":
        np.testing.assert_allclose(y[:, 0], y[:, 2], rtol=1e-6)
    assert np.abs(layer(x, training=True) - layer(x)).max() > 0.01


def test_time_distributed():
    same(*pair(lambda module: module.TimeDistributed(module.Dense(4, activation="tanh"))))
    ours, theirs = pair(lambda module: module.TimeDistributed(module.BatchNormalization()))
    np.testing.assert_allclose(ours(X, training=True), theirs(X, training=True), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.get_weights()[2], theirs.get_weights()[2], rtol=1e-5)
    assert layers.TimeDistributed.from_config(ours.get_config()).get_config() == ours.get_config()
    with pytest.raises(ArgumentError, match="expected a layer"):
        layers.TimeDistributed("dense")
    with pytest.raises(ShapeError, match="at least 3 dimensions"):
        layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3), "float32"))
    with pytest.raises(ShapeError, match="wants a mask"):
        ours(X, mask=MASK[:, :2])


def test_wrong_rank():
    with pytest.raises(ShapeError, match="wants 3 dimensions"):
        lamina.Sequential([layers.Input((10,)), layers.Dense(4), layers.LSTM(3)])
    with pytest.raises(ArgumentError, match="units"):
        layers.GRU(0)


@pytest.mark.parametrize("reverse", [False, True])
def test_kernels_equal_the_plain_scan(reverse):
    """Both closed gradients, with states at the start and slopes of all that comes out."""
    time, batch, units = 4, 3, 2
    mask = jnp.asarray(RNG.random((time, batch)) > 0.3)

    def draw(*shape):
        return jnp.asarray(RNG.normal(size=shape), jnp.float32)

    def slopes(function, *arrays):
        def loss(*arrays):
            return sum(jnp.sum(jnp.sin(out + i)) for i, out in enumerate(jax.tree.leaves(function(*arrays))))

        return jax.grad(loss, tuple(range(len(arrays))))(*arrays)

    lstm, gru = layers.LSTMCell(units), layers.GRUCell(units)
    lstm.build((None, 1))
    gru.build((None, 1))

    def plain(cell, z, states, kernel, bias=None):
        cell = type(cell)(units, use_bias=bias is not None)
        cell.recurrent_kernel, cell.bias = kernel, None if bias is None else jnp.stack([bias, bias])
        return recurrent.scan(lambda x, s: cell.advance(x, s, None), z, states, mask, reverse=reverse)

    z, h, c, kernel = draw(time, batch, 8), draw(batch, units), draw(batch, units), draw(units, 8)
    got = slopes(lambda z, h, c, k: recurrent.lstm(z, h, c, k, mask, reverse), z, h, c, kernel)
    want = slopes(lambda z, h, c, k: plain(lstm, z, [h, c], k), z, h, c, kernel)
    z, kernel, bias = draw(time, batch, 6), draw(units, 6), draw(6)
    got += slopes(lambda z, h, k, b: recurrent.gru(z, h, k, b, mask, reverse), z, h, kernel, bias)
    want += slopes(lambda z, h, k, b: plain(gru, z, [h], k, b), z, h, kernel, bias)
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)
