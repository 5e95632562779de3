"""One digit, many images

Layers of augmentation turn, move and enlarge an image.

Task: images
Picture: A digit and seven copies that are turned, moved and made larger
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
images, y = load_digits(return_X_y=True)
x = images.reshape(-1, 8, 8, 1).astype("float32") / 16

augment = keras.Sequential(
    [layers.Resizing(32, 32), layers.RandomRotation(0.1), layers.RandomTranslation(0.15, 0.15), layers.RandomZoom(0.3)]
)
figure, places = plt.subplots(1, 8, figsize=(7, 1.2))
places[0].imshow(x[5, ..., 0], cmap="gray_r")
for place in places[1:]:
    place.imshow(np.asarray(augment(x[5:6], training=True))[0, ..., 0], cmap="gray_r")
for place in places:
    place.axis("off")
