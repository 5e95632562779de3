"""Losses and metrics of one's own, written with `keras.backend`."""

import numpy as np
from keras import backend as K
from keras.layers import Dense
from keras.models import Sequential


def rmse(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - y_true), axis=-1))


def f1(y_true, y_pred):
    true_positives = K.sum(K.round(K.clip(y_true * y_pred, 0, 1)))
    possible_positives = K.sum(K.round(K.clip(y_true, 0, 1)))
    predicted_positives = K.sum(K.round(K.clip(y_pred, 0, 1)))
    precision = true_positives / (predicted_positives + K.epsilon())
    recall = true_positives / (possible_positives + K.epsilon())
    return 2 * precision * recall / (precision + recall + K.epsilon())


def dice_coef_loss(y_true, y_pred):
    y_true_f = K.flatten(K.cast(y_true, "float32"))
    y_pred_f = K.flatten(y_pred)
    intersection = K.sum(y_true_f * y_pred_f)
    return 1 - (2.0 * intersection + 1) / (K.sum(y_true_f) + K.sum(y_pred_f) + 1)


K.clear_session()
K.set_image_data_format("channels_last")
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile("adam", loss=dice_coef_loss, metrics=[f1, rmse])
x, y = np.random.rand(64, 8), (np.arange(64) % 2).reshape(-1, 1).astype("float32")
history = model.fit(x, y, epochs=1, verbose=0)
assert {"f1", "rmse", "loss"} == set(history.history)
K.set_value(model.optimizer.lr, 0.0005)
assert abs(K.get_value(model.optimizer.lr) - 0.0005) < 1e-8
assert K.int_shape(K.zeros((2, 3))) == (2, 3)
assert np.allclose(K.eval(K.dot(K.ones((2, 3)), K.ones((3, 1)))), 3)
