"""Small things that Keras 2 took: arguments without effect, and class weights by hand."""

import numpy as np
import tensorflow as tf
from tensorflow.keras import backend as K
from tensorflow.keras.layers import BatchNormalization, Dense, Dropout, InputLayer
from tensorflow.keras.models import Sequential
from tensorflow.keras.utils import to_categorical

K.set_learning_phase(1)
tf.config.run_functions_eagerly(False)
model = Sequential()
model.add(InputLayer(input_shape=(8,)))
model.add(Dense(16, activation="relu"))
model.add(BatchNormalization(fused=True))
model.add(Dropout(0.5, seed=1))
model.add(Dense(2, activation="softmax", kernel_initializer=tf.keras.initializers.VarianceScaling(scale=2.0)))
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], sample_weight_mode=None)
x, y = np.random.rand(64, 8), to_categorical(np.arange(64) % 2)
model.fit(
    x, y, epochs=1, class_weight={0: 1.0, 1: 2.0}, verbose=0, workers=4, use_multiprocessing=True, max_queue_size=10
)
with tf.device("/cpu:0"):
    model.predict(x, verbose=0, workers=1)
assert model.stateful is False

# What it is told:
# > keras_2_misc.py:10: K.set_learning_phase(value) has no effect: write model(x, training=True).
# > keras_2_misc.py:15: BatchNormalization(fused=) has no effect now.
# > keras_2_misc.py:18: compile(sample_weight_mode=) has no effect now.
# > keras_2_misc.py:20: fit(workers=) has no effect now.
# > keras_2_misc.py:20: fit(use_multiprocessing=) has no effect now.
# > keras_2_misc.py:20: fit(max_queue_size=) has no effect now.
# > keras_2_misc.py:24: predict(workers=) has no effect now.
