"""The older places of the recurrent layers, and settings that no longer change anything."""

import numpy as np
from keras.layers.core import Dense
from keras.layers.recurrent import GRU, LSTM, SimpleRNN
from keras.layers.wrappers import Bidirectional, TimeDistributed
from keras.models import Sequential

x, y = np.random.rand(32, 3, 4), np.random.rand(32, 3, 1)
model = Sequential()
model.add(Bidirectional(LSTM(4, return_sequences=True, implementation=2, unroll=True), input_shape=(3, 4)))
model.add(GRU(4, return_sequences=True, implementation=1, reset_after=False))
model.add(SimpleRNN(4, return_sequences=True, input_dim=8, input_length=3))
model.add(TimeDistributed(Dense(1)))
model.compile("rmsprop", "mse")
model.fit(x, y, epochs=1, verbose=0)

# What it is told:
# > recurrent_paths.py:4: keras.layers.core is now keras.layers.
# > recurrent_paths.py:5: keras.layers.recurrent is now keras.layers.
# > recurrent_paths.py:6: keras.layers.wrappers is now keras.layers.
# > recurrent_paths.py:11: LSTM(implementation=) has no effect now.
# > recurrent_paths.py:12: GRU(implementation=) has no effect now.
# > recurrent_paths.py:13: LaminaWarning: 'simple_rnn' was given input_shape=(3, 8), but its input has shape (3, 4). A stack only reads the input_shape of its first layer. Leave it out here.
