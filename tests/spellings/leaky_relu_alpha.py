"""The discriminator of a GAN: `LeakyReLU(alpha=)` as a layer."""

import numpy as np
from keras.layers import Dense
from keras.layers.advanced_activations import ELU, LeakyReLU, PReLU, ThresholdedReLU
from keras.models import Sequential

model = Sequential()
model.add(Dense(16, input_dim=8))
model.add(LeakyReLU(alpha=0.2))
model.add(PReLU())
model.add(ELU(alpha=0.5))
model.add(ThresholdedReLU(theta=0.25))
model.add(Dense(1, activation="sigmoid"))
assert abs(model.layers[1].negative_slope - 0.2) < 1e-9
x = np.array([[-1.0, 0.2, 0.3]], "float32")
assert np.allclose(ThresholdedReLU(theta=0.25)(x), [[0.0, 0.0, 0.3]])
assert model.predict(np.random.rand(4, 8), verbose=0).shape == (4, 1)

# What it is told:
# > leaky_relu_alpha.py:5: keras.layers.advanced_activations is now keras.layers.
# > leaky_relu_alpha.py:10: LaminaWarning: LeakyReLU: alpha is Keras 2's name of negative_slope, which it sets.
