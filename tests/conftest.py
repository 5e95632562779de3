"""Real Keras on JAX is the oracle of this suite."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
# JAX's cache on disk has one lock for all processes, and Keras compiles every operation into it.
os.environ.setdefault("LAMINA_CACHE", "off")
