"""Cells, their states and stacks of cells within a layer of one's own, beside Keras; tensors that no array can be."""

import json
import struct

import keras
import numpy as np
import pytest

import lamina
from lamina.errors import FileError

X = np.random.default_rng(0).random((8, 5, 3)).astype("float32")


def block(library):
    class Encoder(library.layers.Layer):
        def __init__(self, **told):
            super().__init__(**told)
            cells = [library.layers.GRUCell(4), library.layers.LSTMCell(3)]
            self.stacked = library.layers.RNN(library.layers.StackedRNNCells(cells), return_sequences=True)
            self.first = library.layers.LSTM(3, return_state=True)
            self.second = library.layers.LSTM(3)
            self.cell = library.layers.SimpleRNNCell(3)

        def call(self, x):
            y, h, c = self.first(self.stacked(x))
            z = self.second(x, initial_state=[h, c])
            out, _ = self.cell(x[:, 0], [z])
            return out + y

    return library.Sequential([library.layers.Input((5, 3)), Encoder(), library.layers.Dense(1)])


def test_cells_and_states_in_a_block_train_as_in_keras():
    found = []
    for library in (lamina, keras):
        model = block(library)
        shapes = [weight.shape for weight in model.weights]
        model.set_weights([np.cos(np.arange(np.prod(s))).reshape(s).astype("float32") * 0.3 for s in shapes])
        model.compile("sgd", "mse")
        losses = model.fit(X, X[:, 0, :1], epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]
        found.append((len(shapes), losses, model.predict(X, verbose=0)))
    (count, losses, output), (theirs, their_losses, their_output) = found
    assert count == theirs
    np.testing.assert_allclose(losses, their_losses, rtol=1e-4)
    np.testing.assert_allclose(output, their_output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [[0, 2**62], [2**62, 0, 2**62], [1] * 1000])
def test_tensors_that_no_array_can_be_are_refused(shape, tmp_path):
    one = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * (0 not in shape)]}
    text = json.dumps({"dense.weight": one}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4 * (0 not in shape)))
    with pytest.raises(FileError, match=r"w\.safetensors"):
        lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(1)]).load_weights(tmp_path / "w.safetensors")
