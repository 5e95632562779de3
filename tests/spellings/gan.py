"""A GAN of two stacks: the discriminator is frozen in the model of both, and learns by itself."""

import numpy as np
from keras.layers import BatchNormalization, Dense, Flatten, Input, LeakyReLU, Reshape
from keras.models import Model, Sequential
from keras.optimizers import Adam


def build_generator():
    model = Sequential()
    model.add(Dense(16, input_dim=10))
    model.add(LeakyReLU(0.2))
    model.add(BatchNormalization(momentum=0.8))
    model.add(Dense(64, activation="tanh"))
    model.add(Reshape((8, 8, 1)))
    noise = Input(shape=(10,))
    return Model(noise, model(noise))


def build_discriminator():
    model = Sequential()
    model.add(Flatten(input_shape=(8, 8, 1)))
    model.add(Dense(16))
    model.add(LeakyReLU(0.2))
    model.add(Dense(1, activation="sigmoid"))
    img = Input(shape=(8, 8, 1))
    return Model(img, model(img))


discriminator = build_discriminator()
discriminator.compile(loss="binary_crossentropy", optimizer=Adam(0.0002, 0.5), metrics=["accuracy"])
generator = build_generator()
z = Input(shape=(10,))
img = generator(z)
discriminator.trainable = False
combined = Model(z, discriminator(img))
combined.compile(loss="binary_crossentropy", optimizer=Adam(0.0002, 0.5))
real = np.random.rand(16, 8, 8, 1)
for epoch in range(3):
    noise = np.random.normal(0, 1, (16, 10))
    fake = generator.predict(noise, verbose=0)
    before = discriminator.get_weights()[0]
    discriminator.train_on_batch(real, np.ones((16, 1)))
    discriminator.train_on_batch(fake, np.zeros((16, 1)))
    after = discriminator.get_weights()[0]
    assert (before != after).any(), "the discriminator learns by itself"
    start = generator.get_weights()[0]
    combined.train_on_batch(noise, np.ones((16, 1)))
    assert (discriminator.get_weights()[0] == after).all(), "and not where the generator does"
    assert (generator.get_weights()[0] != start).any()
assert not discriminator.trainable

# What it is told:
# > gan.py:43: trainable was set after compile(): it has no effect until compile() is called again, as in Keras 2.
