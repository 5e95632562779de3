"""The size of the batch on the first layer, apart from its shape."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential

model = Sequential(
    [Dense(16, activation="relu", input_shape=(8,), batch_size=32), Dense(1, weights=[np.ones((16, 1)), np.zeros(1)])]
)
assert model.input_shape == (32, 8)
assert (model.layers[1].get_weights()[0] == 1).all()
model.compile("adam", "mse")
model.fit(np.random.rand(64, 8), np.random.rand(64), batch_size=32, epochs=1, verbose=0)

# What it is told:
# > first_layer_batch_size.py:8: Dense(batch_size=) is now Dense(batch_input_shape=).
# > first_layer_batch_size.py:8: Dense(weights=) is now layer.set_weights(weights), once the layer is built.
