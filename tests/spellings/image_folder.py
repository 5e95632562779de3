"""Cats and dogs: images from folders, one folder a class."""

import os
import tempfile

import numpy as np
from PIL import Image
from tensorflow.keras.layers import Conv2D, Dense, Flatten, MaxPooling2D
from tensorflow.keras.models import Sequential
from tensorflow.keras.preprocessing import image
from tensorflow.keras.preprocessing.image import ImageDataGenerator

base = tempfile.mkdtemp()
for kind in ("cats", "dogs"):
    os.makedirs(os.path.join(base, "train", kind))
    for n in range(8):
        pixels = np.random.randint(0, 255, (10, 12, 3), dtype="uint8")
        Image.fromarray(pixels).save(os.path.join(base, "train", kind, f"{kind}.{n}.png"))
train_datagen = ImageDataGenerator(rescale=1.0 / 255, shear_range=0.2, zoom_range=0.2, validation_split=0.25)
training_set = train_datagen.flow_from_directory(
    os.path.join(base, "train"), target_size=(8, 8), batch_size=4, class_mode="binary", subset="training"
)
validation = train_datagen.flow_from_directory(
    os.path.join(base, "train"), target_size=(8, 8), batch_size=4, class_mode="binary", subset="validation"
)
assert training_set.class_indices == {"cats": 0, "dogs": 1}
assert training_set.samples == 12 and validation.n == 4
classifier = Sequential()
classifier.add(Conv2D(4, (3, 3), input_shape=(8, 8, 3), activation="relu"))
classifier.add(MaxPooling2D(pool_size=(2, 2)))
classifier.add(Flatten())
classifier.add(Dense(units=1, activation="sigmoid"))
classifier.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
classifier.fit(training_set, steps_per_epoch=3, epochs=1, validation_data=validation, validation_steps=1, verbose=0)
one = image.load_img(os.path.join(base, "train", "cats", "cats.0.png"), target_size=(8, 8))
one = np.expand_dims(image.img_to_array(one), axis=0)
assert classifier.predict(one, verbose=0).shape == (1, 1)
