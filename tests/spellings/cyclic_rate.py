"""The callback that lets the learning rate go up and down in each batch, which many kernels copied."""

import keras.backend as K
import numpy as np
from keras.callbacks import BaseLogger, Callback
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import SGD


class CyclicLR(Callback):
    def __init__(self, base_lr=0.001, max_lr=0.006, step_size=4.0):
        super(CyclicLR, self).__init__()
        self.base_lr, self.max_lr, self.step_size = base_lr, max_lr, step_size
        self.clr_iterations = 0.0
        self.history = {}

    def clr(self):
        cycle = np.floor(1 + self.clr_iterations / (2 * self.step_size))
        x = np.abs(self.clr_iterations / self.step_size - 2 * cycle + 1)
        return self.base_lr + (self.max_lr - self.base_lr) * np.maximum(0, (1 - x))

    def on_train_begin(self, logs={}):
        logs = logs or {}
        K.set_value(self.model.optimizer.lr, self.clr())

    def on_batch_end(self, epoch, logs=None):
        logs = logs or {}
        self.clr_iterations += 1
        self.history.setdefault("lr", []).append(K.get_value(self.model.optimizer.lr))
        for k, v in logs.items():
            self.history.setdefault(k, []).append(v)
        K.set_value(self.model.optimizer.lr, self.clr())


clr = CyclicLR()
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile(SGD(0.1), "binary_crossentropy", metrics=["accuracy"])
x, y = np.random.rand(64, 8), np.arange(64) % 2
model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[clr, BaseLogger()])
np.testing.assert_allclose(
    clr.history["lr"][:9], [0.001, 0.00225, 0.0035, 0.00475, 0.006, 0.00475, 0.0035, 0.00225, 0.001], rtol=1e-5
)
assert len(clr.history["loss"]) == 16
