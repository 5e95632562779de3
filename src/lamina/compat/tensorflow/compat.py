"""The versions of TensorFlow's names: the hook finds `tensorflow` itself for `tf.compat.v1` and `tf.compat.v2`."""
