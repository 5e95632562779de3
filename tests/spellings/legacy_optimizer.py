"""What Keras 2.11 to 2.15 told users of Apple's chips to write."""

import numpy as np
import tensorflow as tf

model = tf.keras.models.Sequential(
    [
        tf.keras.layers.Dense(16, activation="relu", input_shape=(8,)),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(
    optimizer=tf.keras.optimizers.legacy.Adam(learning_rate=0.01, decay=1e-3),
    loss=tf.keras.losses.BinaryCrossentropy(from_logits=False),
    metrics=[tf.keras.metrics.BinaryAccuracy()],
)
x, y = np.random.rand(64, 8), np.arange(64) % 2
model.fit(x, y, epochs=1, verbose=0)
assert isinstance(tf.keras.optimizers.experimental.AdamW(1e-3), tf.keras.optimizers.Optimizer)

# What it is told:
# > legacy_optimizer.py:13: tensorflow.keras.optimizers.legacy is now tensorflow.keras.optimizers.
# > legacy_optimizer.py:13: Adam(decay=) is now Adam(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).
# > legacy_optimizer.py:19: tensorflow.keras.optimizers.experimental is now tensorflow.keras.optimizers.
