"""LSTM for a card, with the switch that many notebooks have."""

import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import CuDNNGRU, CuDNNLSTM, Dense
from tensorflow.keras.models import Sequential

if tf.test.is_gpu_available():
    print("GPU")
model = Sequential()
model.add(CuDNNLSTM(4, input_shape=(10, 4), return_sequences=True))
model.add(CuDNNGRU(4))
model.add(Dense(1))
model.compile(optimizer=tf.keras.optimizers.Adam(lr=1e-3, decay=1e-6), loss="mse")
model.fit(np.random.rand(32, 10, 4), np.random.rand(32), epochs=1, verbose=0)

# What it is told:
# > cudnn_lstm.py:5: keras.layers.CuDNNGRU is now keras.layers.GRU.
# > cudnn_lstm.py:5: keras.layers.CuDNNLSTM is now keras.layers.LSTM.
# > cudnn_lstm.py:14: Adam(lr=) is now Adam(learning_rate=).
# > cudnn_lstm.py:14: Adam(decay=) is now Adam(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).
