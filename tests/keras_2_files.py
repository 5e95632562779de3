"""Files as Keras 2 wrote them, made with h5py alone: the names of weights end in ":0", configs name no modules.

They were laid beside files of tf_keras 2.21; test_with_tensorflow.py opens such files themselves.
"""

import json

import h5py
import numpy as np


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **config}}


def initializer(kind, **config):
    return {"class_name": kind, "config": config}


def dense(name, units, **config):
    usual = {
        "units": units, "activation": "linear", "use_bias": True, "kernel_regularizer": None, "bias_regularizer": None,
        "kernel_initializer": initializer("GlorotUniform", seed=None, dtype="float32"),
        "bias_initializer": initializer("Zeros", dtype="float32"), "activity_regularizer": None,
        "kernel_constraint": None, "bias_constraint": None,
    }  # fmt: skip
    return layer("Dense", name, **usual | config)


def batch_normalization(name, axis):
    return layer(
        "BatchNormalization", name, axis=[axis], momentum=0.99, epsilon=0.001, center=True, scale=True,
        beta_initializer=initializer("Zeros"), gamma_initializer=initializer("Ones"),
        moving_mean_initializer=initializer("Zeros"), moving_variance_initializer=initializer("Ones"),
        beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None,
    )  # fmt: skip


def recurrent(kind, name, units, **config):
    usual = {
        "return_sequences": True, "return_state": False, "go_backwards": False, "stateful": False, "unroll": False,
        "time_major": False, "units": units, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True,
        "kernel_initializer": initializer("GlorotUniform", seed=None),
        "recurrent_initializer": initializer("Orthogonal", gain=1.0, seed=None),
        "bias_initializer": initializer("Zeros"), "kernel_regularizer": None, "recurrent_regularizer": None,
        "bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None,
        "recurrent_constraint": None, "bias_constraint": None, "dropout": 0.0, "recurrent_dropout": 0.0,
        "implementation": 2,
    }  # fmt: skip
    return layer(kind, name, **usual | config)


def sequential(name, *layers):
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def training(optimizer="Adam", loss="mse", metrics=None, **config):
    usual = {"name": optimizer, "learning_rate": 0.01, "decay": 0.0}
    return {
        "loss": loss, "metrics": metrics, "weighted_metrics": None, "loss_weights": None, "sample_weight_mode": None,
        "optimizer_config": {"class_name": optimizer, "config": usual | config},
    }  # fmt: skip


def write(path, config, weights, compiled=None, optimizer=(), whole=True, split=False, version="2.6.0"):
    """Write such a file.

    Args:
        weights: for each layer in order its name and its arrays by their names.
        whole: whether the file holds a model, and not weights alone.
        split: whether lists of names are in parts, as in files of very many layers.
    """

    def names(group, name, found):
        found = np.array([each.encode() for each in found], "S") if found else np.array([])
        if split and len(found) > 1:
            group.attrs[f"{name}0"], group.attrs[f"{name}1"] = found[:1], found[1:]
        else:
            group.attrs[name] = found

    with h5py.File(path, "w") as file:
        top = file.create_group("model_weights") if whole else file
        top.attrs["backend"], top.attrs["keras_version"] = b"tensorflow", version.encode()
        if whole:
            file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", version.encode()
            file.attrs["model_config"] = json.dumps(config).encode()
            if compiled:
                file.attrs["training_config"] = json.dumps(compiled).encode()
        names(top, "layer_names", list(weights))
        for name, arrays in weights.items():
            group = top.create_group(name)
            names(group, "weight_names", [f"{each}:0" for each in arrays])
            for each, array in arrays.items():
                group.create_dataset(f"{each}:0", data=array)
        if optimizer:
            group = file.create_group("optimizer_weights")
            names(group, "weight_names", [f"{each}:0" for each in optimizer])
            for each, array in optimizer.items():
                group.create_dataset(f"{each}:0", data=array)


RNG = np.random.default_rng(4)


def drawn(*shapes):
    return [RNG.uniform(0.1, 1, shape).astype("float32") for shape in shapes]


def mlp(path, **told):
    """A stack with batch normalization, dropout and a model within, and its arrays in the order of its layers."""
    arrays = drawn((4, 5), (5,), (5,), (5,), (5,), (5,), (5, 3), (3,), (3, 2), (2,))
    inner = sequential("inner", dense("dense_1", 3, batch_input_shape=[None, 5]), dense("dense_2", 2))
    config = sequential(
        "old", dense("dense", 5, activation="relu", batch_input_shape=[None, 4]), batch_normalization("bn", 1),
        layer("Dropout", "dropout", rate=0.5, noise_shape=None, seed=None),
        layer("LeakyReLU", "leaky", alpha=0.25), inner,
    )  # fmt: skip
    weights = {
        "dense": dict(zip(("dense/kernel", "dense/bias"), arrays[:2], strict=True)),
        "bn": dict(zip(("bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"), arrays[2:6], strict=True)),
        "dropout": {}, "leaky": {},
        "inner": dict(
            zip(("dense_1/kernel", "dense_1/bias", "dense_2/kernel", "dense_2/bias"), arrays[6:], strict=True)
        ),
    }  # fmt: skip
    write(path, config, weights, **told)
    return arrays


def gates(path, **told):
    """Recurrent layers, whose biases have two forms, and what their arrays are."""
    arrays = drawn((3, 6), (2, 6), (2, 6), (2, 6), (2, 6), (6,), (2, 8), (2, 8), (8,))
    config = sequential(
        "gates", layer("InputLayer", "in", batch_input_shape=[None, None, 3], sparse=False, ragged=False),
        recurrent("GRU", "gru", 2, reset_after=True), recurrent("GRU", "gru_1", 2, reset_after=False),
        recurrent("LSTM", "lstm", 2, unit_forget_bias=True),
    )  # fmt: skip
    parts = ("kernel", "recurrent_kernel", "bias")
    weights = {
        name: {f"{name}/{name}_cell/{part}": array for part, array in zip(parts, found, strict=True)}
        for name, found in (("gru", arrays[:3]), ("gru_1", arrays[3:6]), ("lstm", arrays[6:]))
    }
    write(path, config, weights, **told)
    return arrays
