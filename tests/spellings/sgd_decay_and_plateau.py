"""SGD with decay, whose learning rate a callback and the program lower as well; metrics third in compile."""

import keras.backend as K
import numpy as np
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import SGD, Adam


def right(y_true, y_pred):
    return K.mean(K.equal(K.argmax(y_true), K.argmax(y_pred)))


x, y = np.random.rand(64, 4), np.eye(3)[np.arange(64) % 3]
model = Sequential([Dense(3, input_dim=4, activation="softmax")])
model.compile(SGD(lr=0.5, decay=0.25, momentum=0.0), "categorical_crossentropy", ["accuracy", right])
plateau = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=10)
history = model.fit(x, y, batch_size=32, epochs=4, verbose=0, callbacks=[plateau], shuffle=False).history
assert history["learning_rate"] == [0.5, 0.5, 0.25, 0.125]
np.testing.assert_allclose(history["right"], history["accuracy"])
assert K.get_value(model.optimizer.lr) == 0.0625

# The decay goes on in each step: the same by hand.
kernel, bias = np.zeros((4, 3)), np.zeros(3)
model.set_weights([kernel, bias])
model.compile(SGD(lr=0.5, decay=0.25), "mse")
for step in range(3):
    model.train_on_batch(x, y)
    rate = 0.5 / (1 + 0.25 * step) if step < 2 else 0.1 / (1 + 0.25 * step)
    p = np.exp(x @ kernel + bias)
    p /= p.sum(1, keepdims=True)
    d = 2 * (p - y) / y.size
    d = p * (d - (d * p).sum(1, keepdims=True))
    kernel, bias = kernel - rate * x.T @ d, bias - rate * d.sum(0)
    if step == 1:
        K.set_value(model.optimizer.lr, 0.1)
np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-4, atol=1e-6)

model.compile(loss="mse", optimizer=Adam(lr=0.01, decay=0.1))
model.fit(x, y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: 0.1 * 0.5**epoch)])
assert float(K.get_value(model.optimizer.lr)) == np.float32(0.025)
assert K.expand_dims(x).shape == (64, 4, 1)

# What it is told:
# > sgd_decay_and_plateau.py:17: SGD(lr=) is now SGD(learning_rate=).
# > sgd_decay_and_plateau.py:17: SGD(decay=) is now SGD(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).
# > sgd_decay_and_plateau.py:17: compile(optimizer, loss, metrics) by position is now compile(optimizer, loss, metrics=metrics).
# > sgd_decay_and_plateau.py:40: Adam(lr=) is now Adam(learning_rate=).
# > sgd_decay_and_plateau.py:40: Adam(decay=) is now Adam(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).
