"""An encoder and a decoder of equal names under one optimizer, and a position embedding that asks tf.shape."""

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

encoder = tf.keras.Sequential([layers.Dense(4, "relu", input_shape=(8,)), layers.Dense(2)])
decoder = tf.keras.Sequential([layers.Dense(4, "relu", input_shape=(2,)), layers.Dense(8)])
optimizer = tf.keras.optimizers.Adam(0.01)
x = np.random.rand(16, 8).astype("float32")
before = [w.numpy() for w in encoder.trainable_variables + decoder.trainable_variables]
for step in range(2):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(decoder(encoder(x)) - x))
    variables = encoder.trainable_variables + decoder.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
assert all((w.numpy() != old).any() for w, old in zip(variables, before))


class PositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        positions = tf.range(start=0, limit=tf.shape(x)[-1], delta=1)
        return self.token_emb(x) + self.pos_emb(positions)


model = tf.keras.Sequential([tf.keras.Input((6,)), PositionEmbedding(6, 9, 4), layers.GlobalAveragePooling1D()])
assert model.predict(np.ones((3, 6), "int32"), verbose=0).shape == (3, 4)
assert tf.shape(tf.zeros((2, 3)))[1].numpy() == 3
