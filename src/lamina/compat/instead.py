"""What to use in place of the names of Keras and TensorFlow that do not exist here."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from lamina._base import absent
from lamina._base.spelling import nearest

INSTEAD = {
    "IndexedSlices": "an array, because gradients are dense here",
    "RaggedTensor": "keras.utils.pad_sequences and a Masking layer",
    "SparseTensor": "an array, because all arrays are dense here",
    "TensorArray": "a list and tf.stack",
    "cond": "tf.where, or jax.lax.cond",
    "contrib": "the names of keras and tensorflow itself, because TensorFlow 2 has it no more",
    "data": "tf.data.Dataset.from_generator, with a function that yields the elements",
    "distribute": "jax.sharding",
    "estimator": "a Sequential and its fit",
    "feature_column": "pandas, or the layers for categories and numbers, such as keras.layers.StringLookup",
    "gradients": "tf.GradientTape, or jax.grad of a function",
    "hub": "a Sequential of your own, because a SavedModel is a program, which no file can bring in",
    "image": "a layer for images, such as keras.layers.RandomContrast, or jax.image",
    "io": "Python's open, NumPy or pandas",
    "keras": "keras, which is Lamina here",
    "lite": "model.export('model.jax', format='jax'), or model.get_weights() and numpy.savez",
    "map_fn": "jax.lax.map",
    "placeholder": "keras.Input, or a function of arrays",
    "ragged": "keras.utils.pad_sequences and a Masking layer",
    "saved_model": "model.save('model.keras') and keras.models.load_model('model.keras')",
    "sparse": "an array, because all arrays are dense here",
    "strings": "Python's str, or keras.layers.TextVectorization",
    "summary": "keras.callbacks.TensorBoard or keras.callbacks.CSVLogger",
    "tpu": "jax.devices(), because JAX finds the cores of a TPU by itself",
    "train": "model.save_weights('model.weights.h5') and model.load_weights('model.weights.h5')",
    "vectorized_map": "jax.vmap",
    "while_loop": "jax.lax.while_loop",
}

SAME_NAMES = {"": jnp, "math": jnp, "linalg": jnp.linalg, "nn": jax.nn, "random": jax.random, "signal": jnp.fft}
"""The module of JAX that has most of the names of a module of TensorFlow."""


def instead_of(path: str, names: Iterable[str] = ()) -> str:
    """One sentence for a path such as `tensorflow.data.Dataset`; "" where there is no advice.

    `names` are those that the module has, one of which may be misspelled in `path`.

    >>> instead_of("keras.layers.CuDNNLSTM")
    'Use instead: layers.LSTM.'
    >>> instead_of("tensorflow.reduce_mean")
    "This tensorflow is Lamina's stand-in; use instead: jax.numpy.mean."
    """
    root, *parts = path.split(".")
    known = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    if root == "keras":
        hints = (absent.hint(*name.rpartition(".")[::2], names) for name in known)
        return next(filter(None, hints), "")
    better = next((INSTEAD[name] for name in known if name in INSTEAD), None)
    if better is None:
        library = SAME_NAMES.get(".".join(parts[:-1]), jnp)
        name = parts[-1].removeprefix("reduce_")
        if hasattr(library, name):
            better = f"{library.__name__}.{name}"
        else:
            better = next(iter(nearest(parts[-1], names)), "NumPy or jax.numpy")
    return f"This tensorflow is Lamina's stand-in; use instead: {better}."
