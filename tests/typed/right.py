"""What users write: a type checker has nothing to say about it."""

# pyright: standard

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lamina as keras
from lamina import layers
from lamina.callbacks import EarlyStopping, LambdaCallback


class Scale(layers.Layer):
    def __init__(self, start: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.start = start

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight((input_shape[-1],), "ones")

    def call(self, x: object) -> object:
        return x * self.factor


class Project(layers.Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="zeros", trainable=True)
        super().build(input_shape)

    def call(self, inputs: jax.Array, training: bool | None = None) -> jax.Array:
        return jnp.dot(inputs, self.kernel)

    def compute_mask(self, inputs: jax.Array, mask: jax.Array | None = None) -> jax.Array | None:
        return mask

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Gate(layers.Layer):
    def build(self, input_shape: list[int]) -> None:
        self.strength = self.add_weight((), "ones")

    def call(self, gated: jax.Array, gate: jax.Array | None = None, mask: jax.Array | None = None) -> jax.Array:
        return gated if gate is None else gated * gate


class OwnStep(keras.Sequential):
    def train_step(self, data: tuple[jax.Array, jax.Array]) -> dict[str, jax.Array]:
        x, y = data
        return {"loss": self.compute_loss(x, y, self(x, training=True))}

    def test_step(self, data: Any) -> Any:
        return super().test_step(data)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> jax.Array:
        return jnp.mean(y_pred)

    def call(self, inputs: jax.Array, training: bool = False) -> Any:
        return super().call(inputs, training=training)


class StepOfState(keras.Sequential):
    def train_step(self, state: tuple[Any, ...], data: Any) -> tuple[dict[str, jax.Array], tuple[Any, ...]]:
        return {}, state


class Absolute(keras.losses.Loss):
    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, truth: jax.Array, found: jax.Array) -> jax.Array:
        return self.factor * jnp.mean(jnp.abs(truth - found), axis=-1)


class Share(keras.metrics.Metric):
    def __init__(self, name: str = "share", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(shape=(), name="count")

    def update_state(self, y_true: jax.Array, y_pred: jax.Array, sample_weight: jax.Array | None = None) -> None:
        self.total.assign_add(jnp.sum(y_pred))
        self.count.assign(self.count + 1)

    def result(self) -> Any:
        return jnp.maximum(self.total / self.count, 0)

    def reset_state(self) -> None:
        self.total.assign(0)


class Best(keras.metrics.Metric):
    k: int = 5


told_by_field: list[str] = [Best(k=3, name="best").name, Best("float32", "best", 3).dtype]


class MeanOfTwo(keras.metrics.Mean):
    def update_state(self, y_true: jax.Array, y_pred: jax.Array, sample_weight: jax.Array | None = None) -> None:
        super().update_state(y_true * y_pred, sample_weight)


class Signs(keras.optimizers.Optimizer):
    def __init__(self, learning_rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)

    def build(self, var_list: list[keras.Variable]) -> None:
        super().build(var_list)
        self.momentum = self.add_variable_from_reference(var_list[0], "momentum")

    def update_step(self, grad: jax.Array, variable: keras.Variable, rate: jax.Array) -> None:
        self.momentum.assign(0.9 * self.momentum + grad - self.momentum / 2)
        self.assign_sub(variable, rate * jnp.sign(grad))


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: jax.Array) -> jax.Array:
        return 0.5**step


class Half(keras.initializers.Initializer):
    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> jax.Array:
        return jnp.full(shape, 0.5, dtype)


class Positive(keras.constraints.Constraint):
    def __call__(self, kernel: jax.Array) -> jax.Array:
        return jnp.maximum(kernel, 0)


class Squares(keras.regularizers.Regularizer):
    def __call__(self, kernel: jax.Array) -> jax.Array:
        return jnp.sum(kernel**2)


class Stop(keras.callbacks.Callback):
    def on_train_begin(self, logs: Any = None) -> None:
        self.losses: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.losses.append(logs["loss"])
        self.model.stop_training = True


own = OwnStep([layers.Dense(3, kernel_constraint=Positive(), kernel_regularizer=Squares()), Project(3), Gate()])
own.compile(Signs(Halving()(jnp.ones(())).item()), Absolute(2.0), metrics=[Share(), MeanOfTwo()])
own.fit(np.zeros((8, 3)), np.zeros(8), callbacks=[Stop()])
StepOfState([layers.Dense(1, kernel_initializer=Half())], name="of_state")


class PrintLoss(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        print(epoch, (logs or {}).get("loss"))


model = keras.Sequential(
    [
        layers.BatchNormalization(input_shape=(784,)),
        layers.Dense(256, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(-1, 0.9, 0.001),
        layers.Dropout(0.3),
        layers.Dense(64, np.tanh, True, "he_normal", "zeros", keras.regularizers.L2(0.01)),
        layers.LayerNormalization(-1, 0.001),
        Scale(2.0, name="scale"),
        layers.Dense(10, activation=keras.activations.softmax),
    ],
    name="digits",
)
images = keras.Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, (3, 3), (2, 2), "valid"),
        layers.MaxPooling2D(2),
        layers.GlobalAveragePooling2D(),
        layers.Flatten(),
    ]
)
text = keras.Sequential([layers.Embedding(1000, 16), layers.LSTM(8, return_sequences=True), layers.GRU(4, "tanh")])
adam = keras.optimizers.Adam(learning_rate=keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9))
model.compile(adam, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=False), metrics=["accuracy"])
x, y = np.zeros((8, 784), "float32"), np.zeros(8, "int32")
measured = ["accuracy", keras.metrics.AUC()]
model.compile(keras.optimizers.SGD, "mse", loss_weights=2, metrics=measured, weighted_metrics=["mae"])
callbacks = [EarlyStopping("val_loss", patience=3), LambdaCallback(on_epoch_end=print), PrintLoss()]
history = model.fit(x, y, 32, epochs=3, validation_split=0.25, callbacks=callbacks, shuffle="batch", verbose=0)
losses = history.history["loss"]
score = model.evaluate(x, y, return_dict=True)
model.fit(x, y, callbacks=callbacks[0], class_weight=dict(enumerate([1.0, 2.0])))
model.save(Path("digits.keras"))
again = keras.models.load_model("digits.keras")
best = (
    again.optimizer.learning_rate,
    again.metrics[0].name,
    again.predict(x).shape,
    keras.models.clone_model(model).name,
)
lines: list[str] = []
model.summary(print_fn=lines.append)


def make_model(rate: float) -> keras.Sequential:
    made = keras.Sequential([layers.Dropout(rate), layers.Dense(10)])
    made.compile("adam", "mse")
    return made


found = keras.sweep(make_model, {"rate": [0.1, 0.2]}, x, y, epochs=3, halving=3, monitor="loss", shuffle="batch")
best_rate, best_losses = found.best_settings["rate"], found.histories[0].history["loss"]
found.best_model.save("best.keras")
classes = model.predict(x).argmax(-1)
model.summary()
first = model.layers[1]
weights = [w.numpy().shape for w in first.weights]
first.trainable = False
adam.learning_rate = 0.01
keras.utils.set_random_seed(1)
config = model.get_config()
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
flowers = keras.utils.image_dataset_from_directory("flowers", image_size=(64, 64), batch_size=16)
train, held_out = keras.utils.image_dataset_from_directory("flowers", validation_split=0.2, subset="both", seed=1)
model.fit(train.cache().shuffle(100).prefetch(-1), validation_data=held_out.take(3), epochs=2)
left, right = keras.utils.split_dataset((x, y), left_size=0.8)


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return x[index : index + 1], y[index : index + 1]


model.fit(Batches(workers=2))
