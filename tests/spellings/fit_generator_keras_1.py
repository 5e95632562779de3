"""The verb for generators with the arguments of Keras 1: samples, not steps."""

import numpy as np
from keras.layers.core import Dense
from keras.models import Sequential


def batches():
    while 1:
        yield np.random.rand(16, 8), np.arange(16) % 2


model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile(loss="binary_crossentropy", optimizer="adam")
history = model.fit_generator(
    batches(), samples_per_epoch=64, nb_epoch=2, validation_data=batches(), nb_val_samples=32, verbose=0
)
assert int(model.optimizer.iterations) == 8
assert len(history.history["val_loss"]) == 2
assert np.isscalar(model.evaluate_generator(batches(), val_samples=32))

# What it is told:
# > fit_generator_keras_1.py:4: keras.layers.core is now keras.layers.
# > fit_generator_keras_1.py:15: fit_generator(generator) is now fit(generator).
# > fit_generator_keras_1.py:15: fit_generator(samples_per_epoch=) is now fit_generator(steps_per_epoch=).
# > fit_generator_keras_1.py:15: fit_generator(nb_val_samples=) is now fit_generator(validation_steps=).
# > fit_generator_keras_1.py:15: fit_generator(nb_epoch=) is now fit_generator(epochs=).
# > fit_generator_keras_1.py:20: evaluate_generator(generator) is now evaluate(generator).
