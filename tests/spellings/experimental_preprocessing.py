"""The layers for images while they were an experiment, and other names of that time."""

import numpy as np
import tensorflow as tf

data_augmentation = tf.keras.Sequential(
    [
        tf.keras.layers.experimental.preprocessing.RandomFlip("horizontal", input_shape=(8, 8, 1)),
        tf.keras.layers.experimental.preprocessing.RandomRotation(0.1),
    ]
)
model = tf.keras.Sequential(
    [
        data_augmentation,
        tf.keras.layers.experimental.preprocessing.Rescaling(1.0 / 255),
        tf.keras.layers.Conv2D(4, 3, activation="relu"),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(3),
    ]
)
loss = tf.keras.losses.SparseCategoricalCrossentropy(
    from_logits=True, reduction=tf.keras.losses.Reduction.SUM_OVER_BATCH_SIZE
)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(np.random.rand(16, 8, 8, 1) * 255, np.arange(16) % 3, epochs=1, verbose=0)

# What it is told:
# > experimental_preprocessing.py:8: tensorflow.keras.layers.experimental is now tensorflow.keras.layers.
# > experimental_preprocessing.py:8: tensorflow.keras.layers.experimental.preprocessing is now tensorflow.keras.layers.
