"""Penalties, constraints and noise by their names in Keras 1."""

import numpy as np
from keras.constraints import maxnorm
from keras.layers.core import Dense, Dropout
from keras.layers.noise import GaussianNoise
from keras.models import Sequential
from keras.regularizers import l2, l1l2

model = Sequential()
model.add(
    Dense(
        16, input_dim=8, activation="relu", W_regularizer=l2(0.01), W_constraint=maxnorm(3), b_regularizer=l1l2(l1=0.1)
    )
)
model.add(GaussianNoise(sigma=0.1))
model.add(Dense(1, bias=False))
assert model.layers[0].kernel_regularizer.l2 == 0.01
assert not model.layers[2].use_bias
model.compile("adam", "mse")
model.fit(np.random.rand(64, 8), np.random.rand(64), nb_epoch=1, verbose=0)

# What it is told:
# > keras_1_regularizers.py:4: keras.constraints.maxnorm is now keras.constraints.MaxNorm.
# > keras_1_regularizers.py:5: keras.layers.core is now keras.layers.
# > keras_1_regularizers.py:6: keras.layers.noise is now keras.layers.
# > keras_1_regularizers.py:8: keras.regularizers.l1l2 is now keras.regularizers.L1L2.
# > keras_1_regularizers.py:12: Dense(W_regularizer=) is now Dense(kernel_regularizer=).
# > keras_1_regularizers.py:12: Dense(b_regularizer=) is now Dense(bias_regularizer=).
# > keras_1_regularizers.py:12: Dense(W_constraint=) is now Dense(kernel_constraint=).
# > keras_1_regularizers.py:16: GaussianNoise(sigma=) is now GaussianNoise(stddev=).
# > keras_1_regularizers.py:17: Dense(bias=) is now Dense(use_bias=).
# > keras_1_regularizers.py:21: fit(nb_epoch=) is now fit(epochs=).
