"""Recurrent layers, their cells and the layers around them, with real Keras as the oracle."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from quick import quickly

import lamina
from lamina import layers
from lamina._kernels import recurrent
from lamina._layer.structure import parts
from lamina.errors import ArgumentError, LaminaError, ShapeError, StackError, UnknownNameError
from lamina.layers.recurrent.cells import dropout_masks, input_part

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 5, 3)).astype("float32")
MASK = (
    np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]]) > 0
)


IMAGES = RNG.normal(size=(6, 5, 4, 3, 2)).astype("float32")


def pair(make, x=X):
    """The same layer of both, with equal weights."""
    ours, theirs = make(layers), make(keras.layers)
    ours.compute_output_shape(x.shape)  # builds it, and compiles nothing
    theirs.build((None, *x.shape[1:]))
    ours.set_weights([RNG.normal(0, 0.6, w.shape).astype("float32") for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def same(ours, theirs, mask=None, rtol=1e-5, x=X):
    """Equal outputs, and equal gradients by every weight and the input."""
    told = {} if mask is None else {"mask": jnp.asarray(mask)}
    params, kept = [w.value for w in ours.trainable_weights], [w.value for w in ours.non_trainable_variables]
    their_params, their_kept = (
        [v.value for v in theirs.trainable_variables],
        [v.value for v in theirs.non_trainable_variables],
    )

    def slopes(compile, call, params):
        def loss(params, x):
            y = call(params, x)
            return jnp.sum(y * jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)), y

        grads, y = compile(jax.grad(loss, (0, 1), has_aux=True))(params, jnp.asarray(x))
        return [y, *jax.tree.leaves(grads)]

    got = slopes(jax.jit, lambda p, x: ours.stateless_call(p, kept, x, **told)[0], params)
    want = slopes(quickly, lambda p, x: theirs.stateless_call(p, their_kept, x, **told)[0], their_params)
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


def halved(cell_class):
    """A cell of half the output, written as a subclass of a built-in one that has a `call` of its own."""

    class Halved(cell_class):
        def __init__(self, units, **kwargs):
            super().__init__(units, **kwargs)
            self.gates, self._drawn, self.seed_offset = "mine", "mine", 3  # names that a user may choose

        def run(self):
            return self.gates

        def call(self, inputs, states, training=False):
            y, states = super().call(inputs, states, training=training)
            return y / 2, states

    return Halved


@pytest.mark.parametrize("kind", ["SimpleRNNCell", "LSTMCell", "GRUCell"])
def test_a_subclass_of_a_cell_with_a_call_of_its_own(kind):
    def make(module, **settings):
        return module.RNN(halved(getattr(module, kind))(4), return_sequences=True, **settings)

    same(*pair(make))
    same(*pair(lambda module: make(module, zero_output_for_mask=True)), mask=MASK)


def test_the_arguments_stand_in_keras_order():
    names = "SimpleRNN LSTM GRU SimpleRNNCell LSTMCell GRUCell RNN Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D"
    for name in names.split():
        theirs = [p for p in inspect.signature(getattr(keras.layers, name)).parameters.values() if p.name != "kwargs"]
        ours = list(inspect.signature(getattr(layers, name)).parameters.values())[: len(theirs)]
        assert [p.name for p in ours] == [p.name for p in theirs], name
        assert {p.kind for p in ours} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
        assert [p.default for p in ours] == [p.default for p in theirs], name


def test_a_class_of_the_users_own_adds_its_arguments_at_the_end():
    class Named(layers.LSTM):
        note: str = "none"

    assert list(inspect.signature(Named).parameters)[22:25] == ["unroll", "use_cudnn", "note"]
    layer = Named(3, note="mine", recurrent_activation="hard_sigmoid")
    assert Named.from_config(layer.get_config()).note == "mine"
    assert layer.cell.recurrent_activation is layer.recurrent_activation
    assert repr(layer) == "Named(3, recurrent_activation='hard_sigmoid', note='mine')"


def test_states_are_returned_and_taken():
    ours, theirs = pair(lambda module: module.LSTM(4, return_state=True, return_sequences=True))
    start = [jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32) for _ in range(2)]
    for mine, its in zip(ours(X, initial_state=start), theirs(X, initial_state=start), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    with pytest.raises(ArgumentError, match="2 states, initial_state 1"):
        ours(X, initial_state=start[:1])


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.LSTM(4, return_state=True),
        lambda m: m.Bidirectional(m.GRU(2, return_sequences=True), merge_mode=None),
        lambda m: m.Bidirectional(m.LSTM(2, return_state=True, activity_regularizer="l2")),
    ],
)
def test_only_the_last_layer_may_return_several_tensors(make):
    ours = lamina.Sequential([layers.Input((5, 3)), make(layers)])
    theirs = keras.Sequential([keras.Input((5, 3)), make(keras.layers)])
    theirs.set_weights(ours.get_weights())
    assert ours.output_shape == theirs.output_shape
    want = theirs.predict(X, verbose=0)
    got = [ours.predict(X), ours.predict(X, batch_size=4, verbose=0), ours(X), ours.predict_on_batch(X)]
    got.append(lamina.Sequential.from_config(theirs.get_config()).predict(X))
    for each in got[:-1]:
        assert type(each) is tuple
        for mine, its in zip(each, want, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    assert [y.shape for y in got[-1]] == [y.shape for y in want]
    with pytest.raises(
        StackError, match=r"it can only be the last layer: a stack passes on one tensor, and 'dense' comes\s+after"
    ):
        ours.add(layers.Dense(2))
    with pytest.raises(StackError, match="only be the last layer"):
        lamina.Sequential([make(layers), layers.Dense(2)])(X)
    ours.compile("sgd", "mse")
    for train in (ours.fit, ours.evaluate, ours.train_on_batch, ours.test_on_batch):
        with pytest.raises(StackError, match="a loss takes one"):
            train(X, np.ones((6, 4)))


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
    wrapped = layers.Bidirectional(layers.LSTM(4, stateful=True))
    for layer in (layers.GRU(4, stateful=True), wrapped):
        with pytest.raises(ShapeError, match=r"Begin the model with Input\(batch_shape=\(32, None, 7\)\)"):
            lamina.Sequential([layers.Input((None, 7)), layers.Dense(3), layer])


def stateful(kind):
    """A stack for batches of 3 rows, and a layer of the same weights that keeps no state."""
    free = getattr(layers, kind)(4, return_state=True)
    free(X)
    model = lamina.Sequential([layers.Input(batch_shape=(3, 5, 3)), getattr(layers, kind)(4, stateful=True)])
    model.set_weights(free.get_weights())
    y, *states = free(X[:3])
    return model, np.concatenate([y, free(X[3:], initial_state=states)[0]])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_batches_hand_on_the_states_of_a_stateful_layer(kind):
    """As Keras documents it; on JAX, Keras starts every batch of fit, evaluate and predict from the same states."""
    model, want = stateful(kind)
    layer = model.layers[0]
    model.compile("sgd", "mse")
    zeros = np.zeros_like(want)
    ways = [
        lambda: model.predict(X, batch_size=3, verbose=0),
        lambda: model.predict(X, verbose=0),
        lambda: np.concatenate([model(X[:3]), model(X[3:])]),
        lambda: np.concatenate([model.predict_on_batch(X[:3]), model.predict_on_batch(X[3:])]),
    ]
    for way in ways:
        layer.reset_states()
        np.testing.assert_allclose(way(), want, rtol=1e-5, atol=1e-6)
    assert np.abs(ways[0]() - want).max() > 1e-3  # it went on from the second batch
    loss = (want**2).mean()
    for way in (
        lambda: model.evaluate(X, zeros, batch_size=3, verbose=0),
        lambda: np.mean([model.test_on_batch(X[:3], zeros[:3]), model.test_on_batch(X[3:], zeros[3:])]),
        lambda: model.fit(X, zeros, batch_size=3, shuffle=False, verbose=0).history["loss"][0],
    ):
        layer.reset_state()
        np.testing.assert_allclose(way(), loss, rtol=2e-3)  # while fit trains, the loss falls a little
        assert np.abs(layer.states[0]).max() > 0
    with pytest.raises(ShapeError, match="built for batches of 3 rows, got 2: say batch_size"):
        model.evaluate(X[:5], zeros[:5], batch_size=3, verbose=0)


def test_the_states_of_a_stateful_layer_are_no_weights():
    model, _ = stateful("LSTM")
    theirs = keras.Sequential([keras.Input(batch_shape=(3, 5, 3)), keras.layers.LSTM(4, stateful=True)])
    theirs.set_weights(model.get_weights())
    assert model.count_params() == theirs.count_params() and not model.non_trainable_weights


def input_share(cell, x, training):
    """The part of the gates that comes from the input, after dropout."""
    return input_part(cell, x, dropout_masks(cell, cell.dropout, x.shape, training))


@pytest.mark.parametrize(("kind", "gates"), [("SimpleRNNCell", 1), ("LSTMCell", 4), ("GRUCell", 3)])
def test_dropout_has_masks_of_its_own_for_each_gate_only_with_recurrent_dropout(kind, gates):
    x, h = jnp.ones((2000, 2)), jnp.ones((2000, 4))
    for recurrent_dropout, masks in ((0.0, 1), (0.5, gates)):
        cell = getattr(layers, kind)(4, dropout=0.5, recurrent_dropout=recurrent_dropout, use_bias=False)
        cell.build((None, 2))
        cell.kernel = jnp.ones((2, 4 * gates))
        share = np.asarray(input_share(cell, x, True)).reshape(2000, gates, 4)[..., 0]  # of 2 inputs, each 0 or 2
        assert set(np.unique(share)) == {0.0, 2.0, 4.0}
        assert abs(share.mean() - 2) < 0.1
        assert len({tuple(column) for column in share.T}) == masks
        np.testing.assert_array_equal(input_share(cell, x, False), np.full((2000, 4 * gates), 2.0))
        drop, none = (dropout_masks(cell, recurrent_dropout, h.shape, training) for training in (True, False))
        assert (drop is None) == (recurrent_dropout == 0) and none is None
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
    with pytest.raises(ShapeError, match="expects a mask"):
        ours(X, mask=MASK[:, :2])


def conv(module, **settings):
    return module.ConvLSTM2D(2, 2, return_sequences=True, **settings)


@pytest.mark.parametrize("zero", [False, True])
def test_convolutional_lstm_skips_masked_steps(zero):
    """Keras on JAX fails at such a mask."""
    layer = conv(layers, zero_output_for_mask=zero)
    whole = np.asarray(layer(IMAGES, mask=MASK))
    for row, counts in enumerate(MASK):
        if counts.any():
            np.testing.assert_allclose(
                whole[row][counts], layer(IMAGES[row : row + 1, counts])[0], rtol=1e-5, atol=1e-6
            )
    if zero:
        assert not whole[~MASK].any()
    else:
        np.testing.assert_array_equal(whole[1, 1:], whole[1, [1] * 4])
        assert not whole[4].any()


def test_convolutional_lstm_takes_and_returns_states():
    ours, theirs = pair(lambda module: conv(module, return_state=True, data_format="channels_first"), IMAGES)
    start = [jnp.asarray(RNG.normal(size=(6, 2, 2, 1)), jnp.float32) for _ in range(2)]
    got, want = ours(IMAGES, initial_state=start), theirs(IMAGES, initial_state=start)
    assert [y.shape for y in got] == [(6, 5, 2, 2, 1), (6, 2, 2, 1), (6, 2, 2, 1)]
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    cell = ours.cell
    assert [state.shape for state in cell.get_initial_state(7)] == [(7, 2, 2, 1)] * 2
    got, want = (jax.tree.leaves(one(IMAGES[:, 0], start)) for one in (cell, theirs.cell))
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


def test_a_stateful_convolutional_lstm_goes_on_where_it_stopped():
    ours, theirs = pair(conv, IMAGES)
    parts = conv(layers, stateful=True)
    parts(IMAGES)
    parts.cell.set_weights(ours.get_weights())
    parts.reset_state()
    got = np.concatenate([parts(IMAGES[:, :2]), parts(IMAGES[:, 2:])], 1)
    np.testing.assert_allclose(got, theirs(IMAGES), rtol=1e-5, atol=1e-6)


def test_convolutional_lstm_drops_apart_for_each_gate_the_same_at_every_step():
    plain = {"activation": "linear", "recurrent_activation": "linear", "recurrent_initializer": "zeros"}
    layer = layers.ConvLSTM1D(3, 1, dropout=0.5, use_bias=False, seed=1, return_sequences=True, **plain)
    x = np.ones((400, 2, 6, 1), "float32")
    layer(x)
    layer.cell.kernel.assign(np.ones((1, 1, 12)))
    share = np.asarray(input_share(layer.cell, x[:, 0], True)).reshape(400, 6, 4, 3)
    assert set(np.unique(share)) == {0.0, 2.0} and abs(share.mean() - 1) < 0.1
    assert len({gate.tobytes() for gate in np.moveaxis(share[..., 0], -1, 0)}) == 4
    first, second = np.moveaxis(layer(x, training=True), 1, 0)  # i g o, and i g o (1 + f)
    assert set(np.unique(first)) == {0.0, 8.0} and set(np.unique(second)) == {0.0, 8.0, 24.0}
    np.testing.assert_array_equal(first == 0, second == 0)


def test_own_classes_come_back_from_the_configs_of_what_holds_them():
    class Doubled(layers.Dense):
        factor: float = 2.0

    class OwnCell(layers.GRUCell):
        note: str = "none"

    def softer(x):
        return x / 2

    own = {"Doubled": Doubled, "OwnCell": OwnCell, "softer": softer}
    for layer in (
        layers.RNN(OwnCell(3, note="mine")),
        layers.RNN([layers.LSTMCell(3), OwnCell(2, note="mine")]),
        layers.Bidirectional(layers.RNN(OwnCell(3, note="mine"))),
        layers.Bidirectional(layers.LSTM(3, activation=softer)),
        layers.TimeDistributed(Doubled(3, factor=4.0)),
        layers.SpectralNormalization(Doubled(3, factor=4.0)),
    ):
        config = layers.serialize(layer)
        for again in (layers.deserialize(config, own), type(layer).from_config(layer.get_config(), custom_objects=own)):
            assert again.get_config() == layer.get_config()
            held = [part.layer for part in parts(again)]
            assert any(type(each) in own.values() or getattr(each, "activation", None) is softer for each in held)
        with pytest.raises(UnknownNameError, match=r"custom_objects=\{'(Doubled|OwnCell|softer)': \1\}"):
            layers.deserialize(config)
        model = lamina.Sequential([layers.Input((4, 3)), lamina.Sequential([layer])])
        config = model.get_config()
        assert lamina.Sequential.from_config(config, custom_objects=own).get_config() == config


def test_serialized_layers_are_those_of_keras():
    for make in (lambda m: m.LSTM(3, name="a"), lambda m: m.TimeDistributed(m.Conv2D(3, 2, name="b"), name="a")):
        assert keras.layers.deserialize(layers.serialize(make(layers))).name == "a"
        again = layers.deserialize(keras.layers.serialize(make(keras.layers)))
        assert layers.serialize(again) == layers.serialize(make(layers))
    for wrong in (3, "dense", None):
        with pytest.raises(ArgumentError, match="expected a layer"):
            layers.deserialize(wrong)
    with pytest.raises(UnknownNameError, match="no layer is called 'MeanSquaredError'"):
        layers.deserialize(keras.losses.serialize(keras.losses.MeanSquaredError()))


class NoSize:
    def call(self, x, states):
        return x, states


class SizeInWords(layers.Layer):
    state_size = "four"

    def call(self, x, states):
        return x, states


LINES = IMAGES[..., 0]  # (6, 5, 4, 3)
WRONG = [
    (lambda: layers.RNN(layers.LSTMCell), "expected a cell"),
    (lambda: layers.RNN("lstm"), "expected a cell"),
    (lambda: layers.RNN(layers.LSTM(3)), "expected a cell"),
    (lambda: layers.RNN(NoSize()), "expected a cell"),
    (lambda: layers.RNN(SizeInWords()), "expected a cell"),
    (lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell]), "expected a cell"),
    (lambda: layers.RNN([]), "expected a list of cells"),
    (lambda: layers.StackedRNNCells(layers.LSTMCell(3)), "expected a list of cells"),
    (lambda: layers.RNN(), "missing a required argument: 'cell'"),
    (lambda: layers.RNN(layers.GRUCell(2), unroll=1), "unroll=1"),
    (lambda: layers.LSTMCell(3)(X[:, 0], [X[:, 0]]), "2 states, got 1"),
    (lambda: layers.LSTM(3)(X, mask=MASK[:, :4]), r"expects a mask of \(6, 5\), got \(6, 4\)"),
    (lambda: layers.LSTM(3)(X, mask=MASK[..., None]), "expects a mask of"),
    (lambda: layers.LSTM(3)(X, initial_state=[np.ones((6, 4))] * 2), r"initial states of \(6, 3\), got \(6, 4\)"),
    (lambda: layers.Bidirectional(layers.LSTM(3))(X, initial_state=[np.ones((6, 3))] * 3), "2 states, initial_state 1"),
    (lambda: layers.Bidirectional(layers.LSTM), r"LSTM is a class: write a layer, LSTM\(\.\.\.\)"),
    (lambda: layers.Bidirectional("lstm"), "expected a layer"),
    (lambda: layers.Bidirectional(layers.LSTMCell(3)), "wraps a recurrent layer"),
    (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM), "LSTM is a class"),
    (lambda: layers.Bidirectional(layers.LSTM(3))(X[0]), "expects 3 dimensions"),
    (lambda: layers.Bidirectional(layers.LSTM(3), weights=[np.ones(3)])(X), "6 weights, and got 1"),
    (lambda: layers.TimeDistributed(layers.Dense), "Dense is a class"),
    (lambda: layers.TimeDistributed(3), "expected a layer"),
    (lambda: layers.TimeDistributed(layers.Conv2D(3, 2))(X), "expects 4 dimensions"),
    (lambda: layers.SpectralNormalization(layers.Dense), "Dense is a class"),
    (lambda: layers.SpectralNormalization(layers.Dense(3), power_iterations=1.5), "expected a whole number"),
    (lambda: layers.ConvLSTM1D(-2, 3), "filters=-2"),
    (lambda: layers.ConvLSTM1D(2.5, 3), "expected a whole number"),
    (lambda: layers.ConvLSTM1D("2", 3), "expected a whole number"),
    (lambda: layers.ConvLSTM1D(2), "missing a required argument: 'kernel_size'"),
    (lambda: layers.ConvLSTM1D(2, "3"), "expected a whole number"),
    (lambda: layers.ConvLSTM2D(2, (3, 3, 3)), "one for each of 2 axes"),
    (lambda: layers.ConvLSTM2D(2, 0), "at least 1"),
    (lambda: layers.ConvLSTM2D(2, 3, padding="causal"), "one of 'valid', 'same'"),
    (lambda: layers.ConvLSTM2D(2, 3, data_format="last"), "expected one of 'channels_last'"),
    (lambda: layers.ConvLSTM3D(2, 3, strides=2, dilation_rate=2), "only one of the two"),
    (lambda: layers.ConvLSTM2D(2, 3)(LINES), "expects 5 dimensions"),
    (lambda: layers.ConvLSTM1D(2, 5)(LINES), "at least 5 for its window, got 4"),
    (lambda: layers.ConvLSTM1D(2, 2, dilation_rate=4)(LINES), "at least 5 for its window, got 4"),
    (lambda: layers.ConvLSTM1D(2, 2)(LINES, initial_state=[np.ones((6, 3))] * 2), "expects initial states of"),
    (lambda: layers.ConvLSTM1D(2, 2).get_initial_state(3), "no weights yet"),
    (lambda: lamina.Sequential([layers.Input((5, None, 3)), layers.ConvLSTM1D(2, 2)]), "needs to know the sizes"),
    (lambda: lamina.Sequential([layers.Input((10,)), layers.Dense(4), layers.LSTM(3)]), "expects 3 dimensions"),
    (lambda: lamina.Sequential([layers.Input((5, 3)), layers.LSTMCell(3)]), "also needs states"),
    (lambda: layers.InputLayer(input_tensor=X), r"no symbolic tensors.*Input\(shape="),
    (lambda: layers.Input(tensor=X), r"no symbolic tensors.*Input\(shape="),
]
for _kind in ("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell"):
    _class = getattr(layers, _kind)
    WRONG += [(lambda n=n, kind=_class: kind(n), "expected a whole number") for n in (-1, 0, 2.5, "4", None, [3])]
    WRONG += [
        (lambda kind=_class: kind(), "missing a required argument: 'units'"),
        (lambda kind=_class: kind(3, dropout=1.5), "from 0 to 1"),
        (lambda kind=_class: kind(3, recurrent_dropout="0.5"), "expected a number"),
        (lambda kind=_class: kind(3, activation="tahn"), "Did you mean 'tanh'"),
        (lambda kind=_class: kind(3, recurent_dropout=0.1), "Did you mean 'recurrent_dropout'"),
    ]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_what_is_refused(wrong, said):
    with pytest.raises(LaminaError, match=said):
        wrong()


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
        return recurrent.scan(lambda x, s: cell._lamina_advance(x, s, None), z, states, mask, reverse=reverse)

    z, h, c, kernel = draw(time, batch, 8), draw(batch, units), draw(batch, units), draw(units, 8)
    got = slopes(
        lambda z, h, c, k: recurrent.lstm(z, jnp.eye(8), jnp.zeros(8), h, c, k, mask, reverse), z, h, c, kernel
    )
    want = slopes(lambda z, h, c, k: plain(lstm, z, [h, c], k), z, h, c, kernel)
    z, kernel, bias = draw(time, batch, 6), draw(units, 6), draw(6)
    got += slopes(
        lambda z, h, k, b: recurrent.gru(z, jnp.eye(6), jnp.zeros(6), h, k, b, mask, reverse), z, h, kernel, bias
    )
    want += slopes(lambda z, h, k, b: plain(gru, z, [h], k, b), z, h, kernel, bias)
    for mine, its in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("between", [[], [layers.Dropout(0.2)]], ids=["at once", "after a dropout"])
@pytest.mark.parametrize(
    ("first", "said"),
    [(lambda: layers.LSTM(4), "LSTM"), (lambda: layers.Bidirectional(layers.GRU(4)), "GRU")],
    ids=["plain", "wrapped"],
)
def test_a_stack_of_recurrent_layers_is_told_of_return_sequences(first, said, between):
    with pytest.raises(ShapeError, match=rf"return all its steps: {said}\(\.\.\., return_sequences=True\)"):
        lamina.Sequential([layers.Input((5, 3)), first(), *between, layers.LSTM(4)])


def test_messages_say_what_to_type():
    with pytest.raises(lamina.errors.ShapeError, match=r"Reshape\(\(1, 8, 8, 2\)\)"):
        lamina.Sequential([lamina.Input((8, 8, 2)), layers.ConvLSTM2D(4, 3)])
    with pytest.raises(lamina.errors.ShapeError, match=r"Reshape\(\(8, 1\)\)"):
        lamina.Sequential([lamina.Input((8,)), layers.LSTM(4)])
    model = lamina.Sequential([lamina.Input(batch_shape=(4, 6, 3)), layers.LSTM(4, stateful=True)])
    model.compile("adam", "mse")
    with pytest.raises(lamina.errors.ShapeError, match=r"(?s)batch_size=4, .*x\[:4 \* \(len\(x\) // 4\)\]") as caught:
        model.fit(np.zeros((10, 6, 3), "float32"), np.zeros((10, 4), "float32"), batch_size=4, verbose=0)
    assert not any("futures" in str(entry.path) for entry in caught.traceback)
