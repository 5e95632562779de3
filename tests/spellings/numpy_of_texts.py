"""`.numpy()` on the batches of texts, on scalars and within tf.py_function, as in TensorFlow's guide to tf.data."""

import numpy as np
import tensorflow as tf

texts = ["A good film, été", "Bad <br /> film", "Good", "Bad"]
raw = tf.data.Dataset.from_tensor_slices((texts, [1, 0, 1, 0]))
print(raw.element_spec)
for example, label in raw.take(1):
    print("Text:", example.numpy().decode("utf-8"))
    assert label.numpy() == 1 and "film" in str(example)
for text_batch, label_batch in raw.batch(2).take(1):
    for i in range(2):
        print(text_batch.numpy()[i], label_batch.numpy()[i])
    assert text_batch[0].numpy() == "A good film, été".encode() and text_batch.shape == (2,)
assert [label for _, label in raw.as_numpy_iterator()] == [1, 0, 1, 0]
assert next(raw.as_numpy_iterator())[0].decode() == texts[0]
spec = raw.batch(2).element_spec
assert spec[0].shape == (None,) and spec[0].dtype == tf.string and spec[1].dtype == tf.int32


def tokenize(text, label):
    return [len(text.numpy().split())], label


def encode_map(text, label):
    words, label = tf.py_function(tokenize, inp=[text, label], Tout=(tf.int64, tf.int32))
    words.set_shape([None])
    return words, label


assert [int(words.numpy()[0]) for words, _ in raw.map(encode_map)] == [4, 4, 1, 1]
doubled = raw.map(lambda text, label: tf.numpy_function(lambda x: np.asarray(x) * 2, [label], tf.int32))
assert [int(x) for x in doubled] == [2, 0, 2, 0]

vectorize = tf.keras.layers.TextVectorization(output_mode="int", output_sequence_length=4)
vectorize.adapt(raw.batch(2).map(lambda text, label: text))
first = next(iter(raw.batch(4)))[0]
assert vectorize(first).numpy().shape == (4, 4) and vectorize(first[0]).numpy().shape == (4,)
words = tf.constant(["one two", "three"])
assert (
    tf.strings.split(words)[0].numpy().tolist() == [b"one", b"two"] and tf.strings.upper(words).numpy()[1] == b"THREE"
)
assert tf.constant("abc").numpy() == b"abc" and tf.expand_dims(words, -1).numpy().shape == (2, 1)


def count():
    for i in range(3):
        yield i, [float(i)] * 2


signature = (tf.TensorSpec(shape=(), dtype=tf.int32), tf.TensorSpec(shape=(2,), dtype=tf.float32))
numbers = tf.data.Dataset.from_generator(count, output_signature=signature)
assert [int(i.numpy()) for i, _ in numbers] == [0, 1, 2]
assert tf.sequence_mask([1, 3], 3).numpy().tolist() == [[True, False, False], [True, True, True]]
clipped, norm = tf.clip_by_global_norm([tf.constant([3.0]), tf.constant([4.0])], 1.0)
assert norm.numpy() == 5 and abs(clipped[0].numpy()[0] - 0.6) < 1e-6
assert tf.keras.layers.Dense(2, kernel_initializer=tf.random_normal_initializer(0.0, 0.02))(tf.ones((1, 3))).shape == (
    1,
    2,
)
