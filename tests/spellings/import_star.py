# > import_star.py:8: keras.layers.CuDNNLSTM is now keras.layers.LSTM.
# > import_star.py:9: keras.optimizers.adam is now keras.optimizers.Adam.
# > import_star.py:10: keras.losses.kullback_leibler_divergence is now keras.losses.kl_divergence.
"""Everything at once, as notebooks began."""

import numpy as np
from keras.models import *  # noqa: F403
from keras.layers import *  # noqa: F403
from keras.optimizers import *  # noqa: F403
from keras.losses import *  # noqa: F403


def build():
    model = Sequential()  # noqa: F405
    model.add(CuDNNLSTM(8, input_shape=(10, 3)))  # noqa: F405
    model.add(Dense(1))  # noqa: F405
    model.compile(loss=mean_squared_error, optimizer=adam(learning_rate=0.01))  # noqa: F405
    return model


x = np.random.rand(32, 10, 3)
history = build().fit(x, x.mean((1, 2)), epochs=20, verbose=0).history
assert history["loss"][-1] < history["loss"][0]
assert kullback_leibler_divergence is kl_divergence  # noqa: F405
