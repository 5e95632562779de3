"""A training loop with GradientTape."""

import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(16, activation="relu", input_shape=(8,)), tf.keras.layers.Dense(1)])
optimizer = tf.keras.optimizers.SGD(learning_rate=0.1)
loss_fn = tf.keras.losses.MeanSquaredError()
x, y = np.random.rand(64, 8).astype("float32"), np.random.rand(64, 1).astype("float32")
train_loss = tf.keras.metrics.Mean(name="train_loss")


@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        predictions = model(images, training=True)
        loss = loss_fn(labels, predictions)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    train_loss(loss)
    return loss


first = train_step(x, y).numpy()
for _ in range(10):
    last = train_step(x, y).numpy()
assert last < first
assert float(train_loss.result()) > last
v = tf.Variable(3.0)
with tf.GradientTape() as tape:
    squared = v * v
assert tape.gradient(squared, v).numpy() == 6.0
