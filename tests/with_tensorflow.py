"""Run by test_with_tensorflow.py in an environment of its own, where real Keras has TensorFlow, and where Keras 2 is.

python with_tensorflow.py make-keras-3 | make-keras-2 | open FOLDER
"""

import json
import os
import sys

import numpy as np

if __name__ == "__main__":  # the tests take the layers from here, and have another backend
    os.environ["KERAS_BACKEND"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "tensorflow", "3"

TERMS = np.array([["a"], ["b"], ["zebra"], ["c"]])
TEXTS = np.array(["the cat sat", "The dog, the dog!", "a bird", ""])
NUMBERS = np.array([[3], [5], [-2], [77]])
RNG = np.random.default_rng(0)


def text_layers(layers):
    """Layers that only TensorFlow runs, as given and as adapted, with what they take."""
    for name, settings, x in (
        ("StringLookup", {}, TERMS), ("StringLookup", {"mask_token": "b", "num_oov_indices": 2}, TERMS),
        ("StringLookup", {"output_mode": "one_hot"}, TERMS), ("StringLookup", {"output_mode": "tf_idf"}, TERMS),
        ("IntegerLookup", {}, NUMBERS), ("IntegerLookup", {"output_mode": "multi_hot"}, NUMBERS),
        ("TextVectorization", {"output_sequence_length": 3}, TEXTS),
        ("TextVectorization", {"output_mode": "tf_idf"}, TEXTS),
        ("TextVectorization", {"output_mode": "count", "ngrams": 2}, TEXTS),
    ):  # fmt: skip
        layer = getattr(layers, name)(**settings)
        layer.adapt(x[:3])
        yield layer, x
    yield layers.StringLookup(vocabulary=["b", "a"]), TERMS
    yield layers.IntegerLookup(vocabulary=[5, -2]), NUMBERS
    yield layers.TextVectorization(vocabulary=["cat", "dog"], output_sequence_length=2), TEXTS
    yield layers.StringLookup(vocabulary=["b", "a"], idf_weights=[0.5, 2.0], output_mode="tf_idf"), TERMS
    yield layers.Hashing(num_bins=4, output_mode="one_hot"), TERMS


def text_stack(library, layer, x):
    shape, kind = x.shape[1:], "int64" if x.dtype.kind == "i" else "string"
    return library.Sequential([library.layers.Input(shape, dtype=kind), layer])


def keras_2_stacks(keras):
    kind = keras.layers
    yield "mlp", [
        kind.Dense(5, activation="relu", input_shape=(4,)), kind.BatchNormalization(), kind.Dropout(0.2),
        kind.LeakyReLU(0.2), kind.ELU(), kind.ReLU(6.0), kind.PReLU(), kind.LayerNormalization(),
        keras.Sequential([kind.Dense(4, input_shape=(5,)), kind.BatchNormalization(), kind.Dense(3)]),
    ], (4,), keras.optimizers.legacy.Adam(0.002, decay=1e-3)  # fmt: skip
    yield "images", [
        kind.Conv2D(4, 3, padding="same", kernel_regularizer="l2", input_shape=(9, 9, 2)), kind.MaxPooling2D(),
        kind.BatchNormalization(), kind.SeparableConv2D(3, 2), kind.DepthwiseConv2D(2), kind.Conv2DTranspose(2, 2),
        kind.UpSampling2D(), kind.ZeroPadding2D(), kind.Cropping2D(), kind.SpatialDropout2D(0.1),
        kind.GlobalAveragePooling2D(), kind.Dense(2, activation="softmax"),
    ], (9, 9, 2), keras.optimizers.RMSprop(0.01)  # fmt: skip
    yield "sequences", [
        kind.Embedding(10, 4, input_length=5), kind.SpatialDropout1D(0.1), kind.LSTM(4, return_sequences=True),
        kind.GRU(3, return_sequences=True), kind.GRU(3, return_sequences=True, reset_after=False),
        kind.SimpleRNN(3, return_sequences=True), kind.Bidirectional(kind.LSTM(2, return_sequences=True)),
        kind.TimeDistributed(kind.Dense(2)), kind.Conv1D(3, 2), kind.GlobalMaxPooling1D(), kind.Dense(1),
    ], (5,), keras.optimizers.legacy.SGD(0.1, momentum=0.9)  # fmt: skip


def make_keras_3(folder):
    import keras

    for number, (layer, x) in enumerate(text_layers(keras.layers)):
        model = text_stack(keras, layer, x)
        model.save(f"{folder}/{number}.keras")
        np.savez(f"{folder}/{number}.npz", x=x, y=model(x).numpy())


def make_keras_2(folder):
    import tf_keras

    for name, layers, shape, optimizer in keras_2_stacks(tf_keras):
        model = tf_keras.Sequential(layers, name=name)
        model.compile(optimizer, "mse", metrics=["mae"])
        x = RNG.integers(0, 9, (8, *shape)) if name == "sequences" else RNG.normal(size=(8, *shape)).astype("float32")
        model.fit(x, np.zeros_like(model.predict(x, verbose=0)), verbose=0)
        model.save(f"{folder}/{name}.h5")
        model.save(f"{folder}/{name}.keras")
        model.save_weights(f"{folder}/{name}-only.h5")
        model.save_weights(f"{folder}/{name}.weights.h5")
        np.savez(f"{folder}/{name}.npz", x=x, y=model.predict(x, verbose=0))


def open_all(folder):
    """Open files that were saved by lamina, and say what real Keras makes of their inputs."""
    import keras

    for name in sorted(os.listdir(folder)):
        if name.endswith(".keras"):
            with open(f"{folder}/{name}.json") as file:
                x = np.array(json.load(file))
            model = keras.models.load_model(f"{folder}/{name}")
            np.save(f"{folder}/{name}.npy", model(x).numpy())


if __name__ == "__main__":
    {"make-keras-3": make_keras_3, "make-keras-2": make_keras_2, "open": open_all}[sys.argv[1]](sys.argv[2])
