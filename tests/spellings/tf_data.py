"""A pipeline of `tf.data` into fit."""

import numpy as np
import tensorflow as tf

x, y = np.random.rand(64, 8).astype("float32"), np.arange(64) % 2
AUTOTUNE = tf.data.experimental.AUTOTUNE
train = tf.data.Dataset.from_tensor_slices((x, y))
train = train.map(lambda features, label: (features * 2.0, label), num_parallel_calls=AUTOTUNE)
train = train.cache().shuffle(64).batch(32).prefetch(tf.data.AUTOTUNE)
model = tf.keras.Sequential()
model.add(tf.keras.layers.Dense(16, activation="relu", input_shape=(8,)))
model.add(tf.keras.layers.Dense(1, activation="sigmoid"))
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
history = model.fit(train, epochs=2, validation_data=train.take(1), verbose=0)
assert len(history.history["val_loss"]) == 2
for features, label in train.take(1):
    assert features.numpy().shape == (32, 8)
windows = tf.data.Dataset.range(10).window(5, shift=1, drop_remainder=True)
windows = windows.flat_map(lambda window: window.batch(5)).map(lambda window: (window[:-1], window[-1:]))
assert [int(last[0]) for _, last in windows] == [4, 5, 6, 7, 8, 9]
assert model.predict(tf.data.Dataset.from_tensor_slices(x).batch(16), verbose=0).shape == (64, 1)
