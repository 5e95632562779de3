"""Which words tell the class

An embedding of one number for each word is a weight that one can read.

Task: text
Picture: Bars: the words for warm weather have positive weights, those for cold weather negative ones
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

warm, cold, other = "sun beach heat", "snow ice frost", "the a today we see much and some here"
texts, labels = [], rng.integers(0, 2, 500)
for label in labels:
    words = rng.choice(other.split(), 5).tolist() + rng.choice((cold, warm)[label].split(), 1).tolist()
    texts.append(" ".join(rng.permutation(words)))
x = np.array(texts, object)

vectorize = layers.TextVectorization(output_sequence_length=6)
vectorize.adapt(x)
words = vectorize.get_vocabulary()
model = keras.Sequential(
    [vectorize, layers.Embedding(len(words), 1), layers.GlobalAveragePooling1D(), layers.Activation("sigmoid")]
)
model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
model.fit(x, labels, epochs=20, verbose=0)

weights = model.layers[1].get_weights()[0][2:, 0]
plt.barh(words[2:], weights)
