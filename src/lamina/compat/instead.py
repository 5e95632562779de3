"""What to use in place of the names of Keras and TensorFlow that do not exist here."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from lamina._base import absent
from lamina._base.spelling import nearest

INSTEAD = {
    "GradientTape": "jax.grad of a function of the weights, or model.fit",
    "Tensor": "jax.Array",
    "Variable": "layer.add_weight in a layer, or a NumPy array outside of one",
    "compat": "the Keras calls alone, because nothing of TensorFlow 1 is here",
    "data": "NumPy arrays or a generator, which fit shuffles and batches",
    "device": "jax.default_device",
    "distribute": "jax.sharding",
    "function": "jax.jit; fit and predict are always compiled",
    "image": "jax.image.resize or a preprocessing layer",
    "io": "Python's open, NumPy or pandas",
    "lite": "model.get_weights() and numpy.savez",
    "saved_model": "model.save('model.keras') and keras.models.load_model('model.keras')",
    "summary": "callbacks.CSVLogger, or a callback of your own that writes its logs",
    "test": "tf.config.list_physical_devices",
    "train": "model.save_weights('model.weights.h5') and model.load_weights('model.weights.h5')",
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
            better = next(iter(nearest(name, names)), "NumPy or jax.numpy")
    return f"This tensorflow is Lamina's stand-in; use instead: {better}."
