"""Callbacks with their arguments by position, in the order of Keras 2."""

import os
import tempfile

import numpy as np
from keras.callbacks import LambdaCallback, ModelCheckpoint, ProgbarLogger, ReduceLROnPlateau, TensorBoard
from keras.layers import Dense
from keras.models import Sequential

folder, board = tempfile.mkdtemp(), tempfile.mkdtemp()
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy")
begun = []
callbacks = [
    ModelCheckpoint(os.path.join(folder, "w-{epoch:02d}.h5"), "loss", 0, False, False, "auto", 2),
    ModelCheckpoint(os.path.join(folder, "each-{epoch:02d}.h5"), "loss", 0, False, False, "auto", 1),
    TensorBoard(board, 0, 32, True, False, False),
    ReduceLROnPlateau("loss", 0.1, 10, 0, "auto", 0.0001, 0, 0),
    LambdaCallback(None, None, lambda batch, logs: begun.append(batch), None, lambda logs: begun.append("begin")),
    ProgbarLogger("steps"),
]
model.fit(np.random.rand(64, 8), np.arange(64) % 2, epochs=4, callbacks=callbacks, verbose=0)
assert sorted(os.listdir(folder)) == [f"each-0{n}.h5" for n in (1, 2, 3, 4)] + ["w-02.h5", "w-04.h5"]
assert os.listdir(board) and begun == ["begin", 0, 1, 0, 1, 0, 1, 0, 1]

# What it is told:
# > callbacks_by_position.py:16: ModelCheckpoint(period=) is now save_freq=, the number of batches between two files.
# > callbacks_by_position.py:18: TensorBoard(write_grads=) has no effect now.
# > callbacks_by_position.py:18: TensorBoard(batch_size=) has no effect now.
# > callbacks_by_position.py:20: LambdaCallback(..., on_batch_begin, on_batch_end) by position are now by name.
# > callbacks_by_position.py:21: ProgbarLogger(count_mode=, stateful_metrics=) have no effect now.
