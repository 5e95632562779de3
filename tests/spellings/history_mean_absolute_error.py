"""Learning curves of a regression as TensorFlow 1 named them, and of the second AUC of a process."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

model = keras.Sequential([layers.Dense(16, activation=tf.nn.relu, input_shape=[4]), layers.Dense(1)])
model.compile(loss="mse", optimizer=tf.keras.optimizers.RMSprop(0.001), metrics=["mae", "mse"])
x, y = np.random.rand(64, 4), np.random.rand(64)
early_stop = keras.callbacks.EarlyStopping(monitor="val_mean_absolute_error", patience=10)
history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0, callbacks=[early_stop])
hist = pd.DataFrame(history.history)
hist["epoch"] = history.epoch
plt.plot(history.epoch, np.array(history.history["mean_absolute_error"]), label="Train")
plt.plot(history.epoch, np.array(history.history["val_mean_absolute_error"]), label="Val")
plt.plot(history.epoch, history.history["val_mean_squared_error"])
assert history.history.get("mean_absolute_percentage_error") is None and "val_mae" in hist

for _ in range(2):
    model = keras.Sequential([layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.AUC()])
    history = model.fit(x, y > 0.5, epochs=1, validation_split=0.2, verbose=0)
assert len(history.history["val_auc_1"]) == 1

# > history_mean_absolute_error.py:17: monitor='val_mean_absolute_error' is now monitor='val_mae'.
# > history_mean_absolute_error.py:20: 'mean_absolute_error' in logs and histories is now 'mae'.
# > history_mean_absolute_error.py:21: 'val_mean_absolute_error' in logs and histories is now 'val_mae'.
# > history_mean_absolute_error.py:22: 'val_mean_squared_error' in logs and histories is now 'val_mse'.
# > history_mean_absolute_error.py:29: 'val_auc_1' in logs and histories is now 'val_auc'.
