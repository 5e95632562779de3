"""Flowers: a dataset of images from folders, as TensorFlow's guide shows it."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.keras import layers
from tensorflow.keras.models import Sequential

data_dir = pathlib.Path(tempfile.mkdtemp())
for kind in ("daisy", "rose", "tulip"):
    (data_dir / kind).mkdir()
    for n in range(10):
        pixels = np.random.randint(0, 255, (14 + n, 12, 3), dtype="uint8")
        Image.fromarray(pixels).save(data_dir / kind / f"{n}.jpg")
assert len(list(data_dir.glob("*/*.jpg"))) == 30
split = {"validation_split": 0.2, "seed": 123, "image_size": (12, 12), "batch_size": 8}
train_ds = tf.keras.utils.image_dataset_from_directory(data_dir, subset="training", **split)
val_ds = tf.keras.utils.image_dataset_from_directory(data_dir, subset="validation", **split)
class_names = train_ds.class_names
assert class_names == ["daisy", "rose", "tulip"] and isinstance(train_ds, tf.data.Dataset)
for images, labels in train_ds.take(1):
    assert images[0].numpy().astype("uint8").shape == (12, 12, 3)
    assert class_names[labels[0]] in class_names and labels.numpy().shape == (8,)
AUTOTUNE = tf.data.AUTOTUNE
train_ds = train_ds.cache().shuffle(1000).prefetch(buffer_size=AUTOTUNE)
val_ds = val_ds.cache().prefetch(buffer_size=AUTOTUNE)
normalization_layer = layers.Rescaling(1.0 / 255)
image_batch, _ = next(iter(train_ds.map(lambda x, y: (normalization_layer(x), y))))
assert 0 <= np.min(image_batch[0]) <= np.max(image_batch[0]) <= 1
assert tf.data.experimental.cardinality(val_ds) == 1
roses = train_ds.unbatch().filter(lambda image, label: label == 1).batch(4)
assert all((label.numpy() == 1).all() for _, label in roses)
model = Sequential(
    [
        layers.Rescaling(1.0 / 255, input_shape=(12, 12, 3)),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(len(class_names)),
    ]
)
model.compile(
    optimizer="adam", loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
)
history = model.fit(train_ds, validation_data=val_ds, epochs=2, verbose=0)
assert len(history.history["val_accuracy"]) == 2
left, right = tf.keras.utils.split_dataset(np.arange(10), left_size=0.8)
assert [int(number.numpy()) for number in right] == [8, 9] and len(left) == 8
