"""Generators of one's own, with the verbs that Keras 2 had for them."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential


def generator(data, labels, batch_size=16):
    while True:
        rows = np.random.randint(0, len(data), batch_size)
        yield data[rows], labels[rows]


x, y = np.random.rand(64, 8), np.arange(64) % 2
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit_generator(
    generator(x, y),
    steps_per_epoch=4,
    epochs=2,
    validation_data=generator(x, y),
    validation_steps=2,
    verbose=0,
    workers=1,
    max_queue_size=10,
    use_multiprocessing=False,
)
assert len(history.history["val_loss"]) == 2
loss, accuracy = model.evaluate_generator(generator(x, y), steps=2)
assert model.predict_generator(generator(x, y), steps=2).shape == (32, 1)

# What it is told:
# > fit_generator.py:17: fit_generator(generator) is now fit(generator).
# > fit_generator.py:17: fit_generator(workers=) has no effect now.
# > fit_generator.py:17: fit_generator(use_multiprocessing=) has no effect now.
# > fit_generator.py:17: fit_generator(max_queue_size=) has no effect now.
# > fit_generator.py:29: evaluate_generator(generator) is now evaluate(generator).
# > fit_generator.py:30: predict_generator(generator) is now predict(generator).
