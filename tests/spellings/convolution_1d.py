"""Convolutions along a sequence, as written for Keras 1."""

import numpy as np
from keras.layers import Dense, Flatten
from keras.layers.convolutional import Convolution1D, MaxPooling1D, UpSampling1D, ZeroPadding1D
from keras.models import Sequential

model = Sequential()
model.add(Convolution1D(nb_filter=4, filter_length=3, border_mode="same", activation="relu", input_shape=(10, 4)))
model.add(MaxPooling1D(pool_length=2, stride=2))
model.add(UpSampling1D(length=2))
model.add(ZeroPadding1D(1))
model.add(Convolution1D(4, 3, border_mode="valid", subsample_length=2))
model.add(Flatten())
model.add(Dense(1))
assert model.layers[1].output_shape == (None, 5, 4)
assert model.layers[4].output_shape == (None, 5, 4)
model.compile("adam", "mse")
model.fit(np.random.rand(32, 10, 4), np.random.rand(32), nb_epoch=1, verbose=0)

# What it is told:
# > convolution_1d.py:5: keras.layers.convolutional is now keras.layers.
# > convolution_1d.py:9: Conv1D(border_mode=) is now Conv1D(padding=).
# > convolution_1d.py:9: Conv1D(nb_filter=) is now Conv1D(filters=).
# > convolution_1d.py:9: Conv1D(filter_length=) is now Conv1D(kernel_size=).
# > convolution_1d.py:10: MaxPooling1D(stride=) is now MaxPooling1D(strides=).
# > convolution_1d.py:10: MaxPooling1D(pool_length=) is now MaxPooling1D(pool_size=).
# > convolution_1d.py:11: UpSampling1D(length=) is now UpSampling1D(size=).
# > convolution_1d.py:13: Conv1D(subsample_length=) is now Conv1D(strides=).
# > convolution_1d.py:19: fit(nb_epoch=) is now fit(epochs=).
