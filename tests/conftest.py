"""Real Keras on JAX is the oracle of this suite."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
