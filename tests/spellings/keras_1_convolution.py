"""A convolutional network of 2016: `border_mode`, `nb_filter`, `subsample`, `dim_ordering`."""

import numpy as np
from keras.layers import Activation, Dense, Dropout, Flatten
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.models import Sequential
from keras.utils import np_utils

nb_classes = 3
X_train = np.random.rand(32, 8, 8, 1).astype("float32")
Y_train = np_utils.to_categorical(np.arange(32) % nb_classes, nb_classes)

model = Sequential()
model.add(Convolution2D(4, 3, 3, border_mode="same", input_shape=(8, 8, 1)))
model.add(Activation("relu"))
model.add(Convolution2D(nb_filter=4, nb_row=3, nb_col=3, subsample=(2, 2), dim_ordering="tf"))
model.add(MaxPooling2D(pool_size=(2, 2), border_mode="same"))
model.add(Dropout(p=0.25))
model.add(Flatten())
model.add(Dense(nb_classes, activation="softmax"))
assert [layer.output_shape for layer in model.layers][0] == (None, 8, 8, 4)
assert [layer.output_shape for layer in model.layers][2] == (None, 3, 3, 4)
assert model.layers[4].rate == 0.25
model.compile(loss="categorical_crossentropy", optimizer="adadelta", metrics=["accuracy"])
model.fit(X_train, Y_train, batch_size=16, nb_epoch=1, verbose=0, validation_data=(X_train, Y_train))
score = model.evaluate(X_train, Y_train, verbose=0)
print("Test score:", score[0])

# What it is told:
# > keras_1_convolution.py:5: keras.layers.convolutional is now keras.layers.
# > keras_1_convolution.py:7: keras.utils.np_utils is now keras.utils.
# > keras_1_convolution.py:14: Convolution2D(filters, 3, 3) is now Conv2D(filters, (3, 3)).
# > keras_1_convolution.py:14: Conv2D(border_mode=) is now Conv2D(padding=).
# > keras_1_convolution.py:16: Conv2D(dim_ordering=) is now Conv2D(data_format=).
# > keras_1_convolution.py:16: Conv2D(nb_filter=) is now Conv2D(filters=).
# > keras_1_convolution.py:16: Conv2D(subsample=) is now Conv2D(strides=).
# > keras_1_convolution.py:16: Conv2D(nb_row=) is now Conv2D(kernel_size=).
# > keras_1_convolution.py:16: Conv2D(nb_col=) is now Conv2D(kernel_size=).
# > keras_1_convolution.py:17: MaxPooling2D(border_mode=) is now MaxPooling2D(padding=).
# > keras_1_convolution.py:18: Dropout(p=) is now Dropout(rate=).
# > keras_1_convolution.py:25: fit(nb_epoch=) is now fit(epochs=).
