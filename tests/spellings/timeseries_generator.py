"""Windows of a series, skip-grams and a sampling table."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.preprocessing.sequence import TimeseriesGenerator, make_sampling_table, skipgrams

series = np.arange(40, dtype="float32")
generator = TimeseriesGenerator(series, series, length=8, batch_size=16)
assert len(generator) == 2
x, y = generator[0]
assert x.shape == (16, 8) and (y == series[8:24]).all()
model = Sequential([Dense(16, activation="relu", input_dim=8), Dense(1)])
model.compile("adam", "mse")
model.fit_generator(generator, steps_per_epoch=1, epochs=2, verbose=0)
couples, labels = skipgrams([1, 2, 3, 4], 5, window_size=1, negative_samples=1.0, sampling_table=None)
assert len(couples) == len(labels) == 12
assert make_sampling_table(10).shape == (10,)

# What it is told:
# > timeseries_generator.py:15: fit_generator(generator) is now fit(generator).
