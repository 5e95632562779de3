"""A stateful LSTM that is reset by hand after each epoch."""

import numpy as np
from keras.layers import Dense, LSTM
from keras.models import Sequential

batch_size = 1
trainX, trainY = np.random.rand(8, 1, 4), np.random.rand(8)
model = Sequential()
model.add(LSTM(4, batch_input_shape=(batch_size, 1, 4), stateful=True))
model.add(Dense(1))
model.compile(loss="mean_squared_error", optimizer="adam")
for i in range(2):
    model.fit(trainX, trainY, nb_epoch=1, batch_size=batch_size, verbose=0, shuffle=False)
    model.reset_states()
assert not np.asarray(model.layers[0].states[0]).any()
assert model.predict(trainX, batch_size=batch_size, verbose=0).shape == (8, 1)

# What it is told:
# > stateful_lstm.py:14: fit(nb_epoch=) is now fit(epochs=).
# > stateful_lstm.py:15: reset_states() of a model is now reset_state() of its layers.
