"""Learning curves as Keras 2.2 named them: `acc` in the history of `metrics=["accuracy"]`."""

import numpy as np
from tensorflow.keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from tensorflow.keras.layers import Dense
from tensorflow.keras.models import Sequential

model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
callbacks = [
    EarlyStopping(monitor="val_acc", patience=3),
    ReduceLROnPlateau(monitor="val_loss", epsilon=1e-4, patience=1),
]
x, y = np.random.rand(64, 8), np.arange(64) % 2
history = model.fit(x, y, epochs=2, batch_size=32, validation_split=0.25, callbacks=callbacks, verbose=0)
acc = history.history["acc"]
val_acc = history.history["val_acc"]
loss = history.history["loss"]
lr = history.history["lr"]
assert len(acc) == len(val_acc) == len(loss) == len(lr) == 2
assert "val_accuracy" in history.history

# What it is told:
# > history_acc.py:12: ReduceLROnPlateau(epsilon=) is now ReduceLROnPlateau(min_delta=).
# > history_acc.py:15: monitor='val_acc' is now monitor='val_accuracy'.
# > history_acc.py:16: 'acc' in logs and histories is now 'accuracy'.
# > history_acc.py:17: 'val_acc' in logs and histories is now 'val_accuracy'.
# > history_acc.py:19: 'lr' in logs and histories is now 'learning_rate'.
