"""TensorFlow's tutorial on text: a standardization with tf.strings, and a dataset that is made into numbers."""

import re
import string
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import Dense, Dropout, Embedding, GlobalAveragePooling1D, TextVectorization

texts = np.array(["Great movie! <br />", "Terrible film...", "loved it", "hated it"] * 8)
raw = tf.data.Dataset.from_tensor_slices((texts, np.array([1, 0, 1, 0] * 8))).batch(8)


def standardize(input_data):
    lowercase = tf.strings.lower(input_data)
    stripped = tf.strings.regex_replace(lowercase, "<br />", " ")
    return tf.strings.regex_replace(stripped, "[%s]" % re.escape(string.punctuation), "")


vectorize_layer = TextVectorization(standardize=standardize, max_tokens=50, output_sequence_length=6)
vectorize_layer.adapt(raw.map(lambda text, label: text))
assert "terrible" in vectorize_layer.get_vocabulary() and "br" not in vectorize_layer.get_vocabulary()


def vectorize_text(text, label):
    return vectorize_layer(tf.expand_dims(text, -1)), label


train = raw.map(vectorize_text).cache().prefetch(buffer_size=tf.data.AUTOTUNE)
model = tf.keras.Sequential([Embedding(51, 8), Dropout(0.2), GlobalAveragePooling1D(), Dense(1)])
model.compile(tf.keras.optimizers.Adam(0.1), tf.keras.losses.BinaryCrossentropy(from_logits=True))
model.fit(train, epochs=5, verbose=0)
export = tf.keras.Sequential([vectorize_layer, model, tf.keras.layers.Activation("sigmoid")])
great, awful = export.predict(np.array(["A great movie", "Terrible!"]), verbose=0)
assert great > awful
path = tempfile.mkdtemp() + "/training_1/cp"
model.save_weights(path)
model.load_weights(path).expect_partial()

# What it is told:
# > text_tutorial.py:38: save_weights writes a file with '.weights.h5' behind its name, which has no ending.
