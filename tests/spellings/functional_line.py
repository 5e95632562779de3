"""A functional model that is one line of layers, and a second one that ends in its middle."""

import numpy as np
from tensorflow.keras.layers import Dense, Input
from tensorflow.keras.models import Model

inputs = Input(shape=(8,))
encoded = Dense(4, activation="relu", name="encoded")(inputs)
decoded = Dense(8, activation="sigmoid")(encoded)
autoencoder = Model(inputs, decoded)
encoder = Model(inputs=inputs, outputs=encoded)
assert autoencoder.output_shape == (None, 8)
autoencoder.compile(optimizer="adam", loss="mse")
x = np.random.rand(32, 8)
autoencoder.fit(x, x, epochs=1, verbose=0)
codes = encoder.predict(x, verbose=0)
encoded_input = Input(shape=(4,))
decoder = Model(encoded_input, autoencoder.layers[-1](encoded_input))
assert np.allclose(decoder.predict(codes, verbose=0), autoencoder.predict(x, verbose=0), atol=1e-6)
middle = Model(inputs=autoencoder.input, outputs=autoencoder.get_layer("encoded").output)
assert np.allclose(middle.predict(x, verbose=0), codes, atol=1e-6)
