"""Images that change a little in each epoch."""

import numpy as np
from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.preprocessing.image import ImageDataGenerator

x_train = np.random.randint(0, 255, (32, 8, 8, 1)).astype("float32")
y_train = np.eye(3)[np.arange(32) % 3]
datagen = ImageDataGenerator(
    featurewise_center=True,
    featurewise_std_normalization=True,
    rotation_range=20,
    width_shift_range=0.2,
    height_shift_range=0.2,
    shear_range=0.2,
    zoom_range=0.2,
    horizontal_flip=True,
    fill_mode="nearest",
)
datagen.fit(x_train)
model = Sequential()
model.add(Conv2D(4, (3, 3), activation="relu", input_shape=(8, 8, 1)))
model.add(MaxPooling2D((2, 2)))
model.add(Flatten())
model.add(Dense(3, activation="softmax"))
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
model.fit_generator(
    datagen.flow(x_train, y_train, batch_size=16), steps_per_epoch=len(x_train) / 16, epochs=2, verbose=0
)
assert int(model.optimizer.iterations) == 4

# What it is told:
# > image_generator.py:28: fit_generator(generator) is now fit(generator).
