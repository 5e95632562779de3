"""The line of the Keras 2 documentation: SGD with decay and momentum."""

import numpy as np
from keras.layers import Dense, Dropout
from keras.models import Sequential
from keras.optimizers import SGD

x_train = np.random.random((64, 8))
y_train = np.random.randint(2, size=(64, 1))
model = Sequential()
model.add(Dense(16, activation="relu", input_dim=8))
model.add(Dense(1, activation="sigmoid"))
sgd = SGD(lr=0.1, decay=0.5, momentum=0.9, nesterov=True)
model.compile(loss="binary_crossentropy", optimizer=sgd, metrics=["accuracy"])
model.fit(x_train, y_train, epochs=2, batch_size=32, verbose=0)
rate = float(sgd._lamina.learning_rate(4))
assert abs(rate - 0.1 / (1 + 0.5 * 4)) < 1e-7, rate
assert int(sgd.iterations) == 4

# What it is told:
# > sgd_decay.py:13: SGD(lr=) is now SGD(learning_rate=).
# > sgd_decay.py:13: SGD(decay=) is now SGD(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).
