"""Advice for names of Keras and TensorFlow that do not exist here: what to use instead."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from lamina._messages import missing_names as absent
from lamina._messages.spelling import nearest

INSTEAD = {
    "IndexedSlices": "an array, because gradients are dense here",
    "RaggedTensor": "keras.utils.pad_sequences and a Masking layer",
    "SparseTensor": "an array, because all arrays are dense here",
    "TensorArray": "a list and tf.stack",
    "Module": "keras.layers.Layer",
    "case": "tf.where, or jax.lax.switch",
    "cond": "tf.where, or jax.lax.cond",
    "contrib": "the names of keras and tensorflow itself, because TensorFlow 2 does not have it",
    "data": "tf.data.Dataset.from_generator, with a function that yields the elements",
    "custom_gradient": "jax.custom_vjp",
    "distribute": "jax.sharding",
    "errors": "Python's own exceptions, such as FileNotFoundError",
    "estimator": "a Sequential and its fit",
    "feature_column": "pandas, or the layers for categories and numbers, such as keras.layers.StringLookup",
    "gradients": "tf.GradientTape, or jax.grad of a function",
    "hub": "a Sequential of your own, because a SavedModel is a program, which no file can bring in",
    "image": "a layer for images, such as keras.layers.RandomContrast, or jax.image",
    "io": "Python's open, NumPy or pandas",
    "keras": "keras, which is Lamina here",
    "lite": "model.export('model.jax', format='jax'), or model.get_weights() and numpy.savez",
    "map_fn": "jax.lax.map",
    "nest": "jax.tree, or keras.tree",
    "placeholder": "keras.Input, or a function of arrays",
    "ragged": "keras.utils.pad_sequences and a Masking layer",
    "saved_model": "model.save('model.keras') and keras.models.load_model('model.keras')",
    "sparse": "an array, because all arrays are dense here",
    "strings": "Python's str, or keras.layers.TextVectorization",
    "summary": "tf.summary.scalar, histogram, image or text, keras.callbacks.TensorBoard or CSVLogger",
    "tpu": "jax.devices(), because JAX finds the cores of a TPU by itself",
    "train": "model.save_weights('model.weights.h5') and model.load_weights('model.weights.h5')",
    "vectorized_map": "jax.vmap",
    "while_loop": "jax.lax.while_loop",
}

SAME_NAMES = {"linalg": jnp.linalg, "nn": jax.nn, "random": jax.random, "signal": jnp.fft}
"""For modules of TensorFlow, the module of JAX that has most of the names."""
ALL_NAMES = (jnp, jax.nn, jax.lax, jax.scipy.special, jax.ops)
"""Modules of JAX that have the other names."""


def instead_of(path: str, names: Iterable[str] = ()) -> str:
    """The advice for a path such as `tensorflow.data.Dataset` in one sentence; "" if there is none.

    `names` are the names in the module, so that the advice can correct a misspelled one.

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
    here, name = "This tensorflow is Lamina's stand-in", parts[-1].removeprefix("reduce_")
    of_class = parts[-2:-1] and parts[-2][0].isupper()
    libraries = () if of_class else (SAME_NAMES.get(".".join(parts[:-1]), jnp), *ALL_NAMES)
    same = [f"{library.__name__}.{name}" for library in libraries if callable(getattr(library, name, None))]
    if known[0] not in INSTEAD and not same and (found := nearest(parts[-1], names)):
        return f"{here}. Did you mean {found[0]!r}?"
    better = [INSTEAD[name] for name in known if name in INSTEAD] + same
    return f"{here}; use instead: {better[0] if better else 'NumPy or jax.numpy'}."
