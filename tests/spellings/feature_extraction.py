"""The outputs of layers, as Keras's guides and examples ask for them: model.inputs, lists, dicts, a backend function."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers

initial_model = keras.Sequential(
    [
        keras.Input(shape=(12, 12, 3)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.Conv2D(4, 3, activation="relu", name="my_intermediate_layer"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="softmax", name="predictions"),
    ]
)
feature_extractor = keras.Model(inputs=initial_model.inputs, outputs=[layer.output for layer in initial_model.layers])
x = np.random.rand(1, 12, 12, 3).astype("float32")
features = feature_extractor(x)
assert [f.shape for f in features] == [(1, 10, 10, 4), (1, 8, 8, 4), (1, 4), (1, 2)]
one = keras.Model(inputs=initial_model.inputs, outputs=initial_model.get_layer(name="my_intermediate_layer").output)
assert np.allclose(one(x).numpy(), features[1].numpy(), atol=1e-6)
outputs_dict = {layer.name: layer.output for layer in initial_model.layers}
by_name = keras.Model(inputs=initial_model.inputs, outputs=outputs_dict)
assert np.allclose(by_name(x)["predictions"].numpy(), initial_model.predict(x, verbose=0), atol=1e-6)
activation_model = keras.models.Model(
    inputs=initial_model.input, outputs=[layer.output for layer in initial_model.layers[:2]]
)
activations = activation_model.predict(x, verbose=0)
assert activations[0].shape == (1, 10, 10, 4)
grad_model = keras.models.Model(
    [initial_model.inputs], [initial_model.get_layer("my_intermediate_layer").output, initial_model.output]
)
conv_outputs, predictions = grad_model(x)
assert conv_outputs.shape == (1, 8, 8, 4) and predictions.numpy().shape == (1, 2)
base = keras.Model(initial_model.inputs, initial_model.layers[-2].output)
base.trainable = False
transfer = keras.Sequential([base, layers.Dense(3, activation="softmax")])
transfer.compile("adam", "sparse_categorical_crossentropy")
transfer.fit(np.random.rand(4, 12, 12, 3), np.array([0, 1, 2, 0]), verbose=0)
