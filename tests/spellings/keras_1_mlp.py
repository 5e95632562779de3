"""A network for the diabetes table, as written for Keras 1."""

import numpy
from keras.layers import Dense
from keras.models import Sequential

numpy.random.seed(7)
X = numpy.random.rand(64, 8)
Y = (X[:, 0] > 0.5).astype(int)
model = Sequential()
model.add(Dense(16, input_dim=8, init="uniform", activation="relu"))
model.add(Dense(output_dim=1, init="uniform", activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(X, Y, nb_epoch=2, batch_size=32, verbose=0)
scores = model.evaluate(X, Y, verbose=0)
print("%s: %.2f%%" % (model.metrics_names[1], scores[1] * 100))
assert model.layers[1].get_config()["kernel_initializer"]["class_name"] == "RandomUniform"
assert len(history.history["acc"]) == 2
assert history.history["acc"] == history.history["accuracy"]

# What it is told:
# > keras_1_mlp.py:11: Dense(init=) is now Dense(kernel_initializer=).
# > keras_1_mlp.py:12: Dense(output_dim=) is now Dense(units=).
# > keras_1_mlp.py:14: fit(nb_epoch=) is now fit(epochs=).
# > keras_1_mlp.py:18: 'acc' in logs and histories is now 'accuracy'.
