"""The functions of TensorFlow that stand beside a stack."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("ERROR")
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
tf.compat.v1.set_random_seed(1)
tf.random.set_seed(1)
print("GPUs:", len(tf.config.list_physical_devices("GPU")), tf.__version__)
a = tf.constant([[1.0, 2.0], [3.0, 4.0]])
b = tf.Variable(tf.ones((2, 2)), name="b")
b.assign_add(a)
assert b.numpy().tolist() == [[2.0, 3.0], [4.0, 5.0]]
assert float(tf.reduce_sum(a)) == 10 and tf.reduce_mean(a, axis=0).numpy().tolist() == [2.0, 3.0]
assert tf.matmul(a, a).shape == (2, 2) and tf.transpose(a).numpy()[0, 1] == 3.0
assert tf.equal(tf.argmax(a, axis=1), 1).numpy().all()
assert tf.math.sqrt(tf.square(3.0)).numpy() == 3.0
assert tf.concat([a, a], axis=0).shape == (4, 2) and tf.stack([a, a]).shape == (2, 2, 2)
assert tf.one_hot([0, 2], 3).numpy().tolist() == [[1, 0, 0], [0, 0, 1]]
assert tf.clip_by_value(a, 1.5, 3.5).numpy().max() == 3.5
assert tf.image.resize(tf.zeros((1, 4, 4, 3)), (8, 8)).shape == (1, 8, 8, 3)
assert tf.cast(tf.range(3), tf.float32).dtype == tf.float32
assert tf.reduce_max(tf.where(a > 2, a, 0.0)) == 4.0


@tf.function
def double(x):
    return 2 * x


assert double(a).numpy()[0, 0] == 2.0
