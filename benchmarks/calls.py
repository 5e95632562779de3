"""The workloads besides whole fits: single steps, custom loops, growing data, prediction, memory.

A workload is a function whose argument is the module of Keras or of this library. It makes the model and the data, and
returns the function to time, which has no arguments. Both libraries run the same code.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dense import Census, CensusSmallBatch
from images import MnistConvnet
from program import Goals

Work = Callable[[], Any]


@dataclass(frozen=True)
class Call:
    """A workload with its title. `units` is the number of steps, or of other units in its title, in one call."""

    title: str
    make: Callable[[Any], Work]
    units: int = 1
    fresh: bool = False
    """Whether the call is timed once, in a new process without compiled programs."""
    memory: str = ""
    """If set, the memory that the call adds is measured instead of the time: at its "peak" or "after" it."""
    least: float = 1.0
    """The goal: how many times faster or smaller than Keras on JAX."""

    @property
    def goals(self) -> Goals:
        return {"keras-jax": (self.least, self.least)}


def numpy() -> Any:
    """Import NumPy here, because the runner reads this file too and has only the standard library."""
    import numpy

    return numpy


STACKS = {
    "tiny": ("8-16-1, batch 32", 8, [16], 32),
    "wide": ("512-512-512-1, batch 128", 512, [512, 512], 128),
    "deep": ("20 layers of 64, batch 32", 64, [64] * 19, 32),
}
"""The title, the columns, the units of all layers but the last one, and the rows of a batch."""


def dense(keras: Any, columns: int, units: list[int]) -> Any:
    layers = [keras.layers.Dense(n, activation="relu") for n in units]
    model = keras.Sequential([keras.Input((columns,)), *layers, keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    return model


def table(columns: int, rows: int) -> tuple[Any, Any]:
    x = numpy().random.default_rng(0).normal(size=(rows, columns)).astype("float32")
    return x, x[:, :1].copy()


def train_on_batch(keras: Any, stack: str) -> Work:
    _, columns, units, rows = STACKS[stack]
    model, (x, y) = dense(keras, columns, units), table(columns, rows)
    return lambda: model.train_on_batch(x, y)


def hooked(keras: Any, stack: str) -> Work:
    _, columns, units, rows = STACKS[stack]
    model, (x, y) = dense(keras, columns, units), table(columns, 64 * rows)

    class Losses(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.losses: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.losses.append(logs["loss"])

    return lambda: model.fit(x, y, batch_size=rows, verbose=0, callbacks=[Losses()])


def gan(keras: Any) -> Work:
    """Train the discriminator on real and on generated rows, then the generator through the frozen discriminator."""
    layers, rows = keras.layers, 64
    stack = [keras.Input((32,)), layers.Dense(64, activation="relu"), layers.Dense(64)]
    generator = keras.Sequential(stack)
    stack = [keras.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(1, activation="sigmoid")]
    discriminator = keras.Sequential(stack)
    discriminator.compile(optimizer="adam", loss="binary_crossentropy")
    discriminator.trainable = False
    both = keras.Sequential([keras.Input((32,)), generator, discriminator])
    both.compile(optimizer="adam", loss="binary_crossentropy")
    np = numpy()
    real, noise = table(64, rows)[0], table(32, rows)[0]
    ones, zeros = np.ones((rows, 1), "float32"), np.zeros((rows, 1), "float32")

    def iteration() -> None:
        made = generator.predict_on_batch(noise)
        discriminator.trainable = True
        discriminator.train_on_batch(real, ones)
        discriminator.train_on_batch(made, zeros)
        discriminator.trainable = False
        both.train_on_batch(noise, ones)

    return iteration


def pieces() -> Iterator[tuple[Any, Any]]:
    """The first 1,000 rows of a table, the first 1,317, and so on, 12 times."""
    x, y = table(16, 1_000 + 11 * 317)
    return ((x[:rows], y[:rows]) for rows in range(1_000, len(x) + 1, 317))


def fits_of_new_models(keras: Any) -> Work:
    return lambda: [dense(keras, 16, [64, 64]).fit(x, y, verbose=0) for x, y in pieces()]


def fits_of_one_model(keras: Any) -> Work:
    model = dense(keras, 16, [64, 64])
    return lambda: [model.fit(x, y, verbose=0) for x, y in pieces()]


def evaluates(keras: Any) -> Work:
    model = dense(keras, 16, [64, 64])
    return lambda: [model.evaluate(x, y, verbose=0) for x, y in pieces()]


def images(keras: Any) -> tuple[Any, Any, Any]:
    rng = numpy().random.default_rng(0)
    x, y = rng.random(size=(4096, 28, 28, 1), dtype="float32"), rng.integers(0, 10, size=4096)
    return MnistConvnet().keras(keras, keras.layers), x, y


def predict(keras: Any, batch_size: int | None) -> Work:
    model, x, _ = images(keras)
    return lambda: model.predict(x, batch_size=batch_size, verbose=0)


def evaluate(keras: Any) -> Work:
    model, x, y = images(keras)
    return lambda: model.evaluate(x, y, batch_size=128, verbose=0)


def large_fit(keras: Any, hooked: bool) -> Work:
    """Three matrices of 3,993², 183 MiB."""
    size = 3_993
    model, (x, _) = dense(keras, size, [size, size]), table(size, 256)
    model.pop()
    model.add(keras.layers.Dense(size))
    model.compile(optimizer="adam", loss="mse")
    seen = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    return lambda: model.fit(x, x, epochs=2, verbose=0, callbacks=[seen] if hooked else None)


def mapped_fit(keras: Any) -> Work:
    """160,000 rows of 800 numbers, 488 MiB in a file. A first fit on some rows compiles, which takes memory."""
    np = numpy()
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "x.npy"
    written = np.lib.format.open_memmap(path, "w+", "float32", (160_000, 800))
    for start in range(0, len(written), 10_000):
        written[start : start + 10_000] = table(800, 10_000)[0]
    del written
    x, model = np.load(path, mmap_mode="r"), dense(keras, 800, [64])
    y = x[:, :1].copy()
    model.fit(np.array(x[:5_120]), y[:5_120], batch_size=256, verbose=0)

    def fit() -> None:
        model.fit(x, y, batch_size=256, verbose=0)
        folder.cleanup()

    return fit


def census(keras: Any, program: Census | None = None) -> tuple[Any, Any, Any]:
    program = program or CensusSmallBatch()
    return program.keras(keras, keras.layers), *program.data(numpy().random.default_rng(0))


def ensemble(keras: Any, program: Census, epochs: int) -> Work:
    """Train eight models; with Keras, one."""
    model, x, y = census(keras, program)
    trained = keras.Ensemble(model, 8) if hasattr(keras, "Ensemble") else model
    return lambda: trained.fit(x, y, batch_size=program.batch, epochs=epochs, verbose=0)


def folds(keras: Any, epochs: int = 4) -> Work:
    """Train ten models, each on nine tenths of the rows, and evaluate each on the other rows."""
    np = numpy()
    model, x, y = census(keras)
    parts = np.array_split(np.random.default_rng(1).permutation(len(x)), 10)
    cuts = [(np.concatenate(parts[:fold] + parts[fold + 1 :]), parts[fold]) for fold in range(10)]

    def one_after_another() -> None:
        for rows, held in cuts:
            each = census(keras)[0]
            each.fit(x[rows], y[rows], epochs=epochs, verbose=0)
            each.evaluate(x[held], y[held], verbose=0)
            each.predict(x[held], verbose=0)

    if not hasattr(keras, "cross_validate"):
        return one_after_another
    return lambda: keras.cross_validate(model, x, y, cuts, epochs=epochs, verbose=0)


def sweep(keras: Any, halving: int | None, epochs: int = 9) -> Work:
    """Train with 20 learning rates and 3 rates of dropout; with Keras, one fit."""
    np = numpy()
    model, x, y = census(keras)

    def make_model(learning_rate: float, rate: float) -> Any:
        return CensusSmallBatch().keras(keras, keras.layers, rate, keras.optimizers.Adam(learning_rate))

    grid = {"learning_rate": np.logspace(-4, -1, 20), "rate": [0.2, 0.3, 0.5]}
    if not hasattr(keras, "sweep"):
        return lambda: model.fit(x, y, epochs=epochs, verbose=0)
    return lambda: keras.sweep(make_model, grid, x, y, epochs=epochs, monitor="loss", halving=halving, verbose=0)


CALLS = {
    **{f"step-{s}": Call(f"`train_on_batch`, {STACKS[s][0]}", lambda k, s=s: train_on_batch(k, s)) for s in STACKS},
    **{f"hook-{s}": Call(f"fit step, a batch hook, {STACKS[s][0]}", lambda k, s=s: hooked(k, s), 64) for s in STACKS},
    "gan": Call("a GAN, one iteration", gan),
    "fits-new": Call("12 fits on growing data, each of a new model", fits_of_new_models, fresh=True),
    "fits-one": Call("12 fits on growing data, of one model", fits_of_one_model, fresh=True),
    "evaluates": Call("12 evaluates on growing data", evaluates, fresh=True),
    "predict-images": Call("`predict` of 4,096 images, MNIST convnet", lambda k: predict(k, None), least=2),
    "predict-128": Call("the same, `batch_size=128`", lambda k: predict(k, 128)),
    "evaluate-128": Call("`evaluate` of them, `batch_size=128`", evaluate),
    "large-fit": Call("memory that a fit of 183 MiB of weights leaves", lambda k: large_fit(k, False), memory="after"),
    "large-peak": Call("memory that it adds at most", lambda k: large_fit(k, False), memory="peak"),
    "large-hook": Call("the same, with a batch hook", lambda k: large_fit(k, True), memory="peak"),
    "ensemble-32": Call(
        "an `Ensemble` of 8, census, batch 32; Keras: one fit",
        lambda k: ensemble(k, CensusSmallBatch(), 1),
        least=1 / 1.7,
    ),
    "ensemble-512": Call(
        "an `Ensemble` of 8, census, batch 512; Keras: one fit", lambda k: ensemble(k, Census(), 4), least=1 / 3.5
    ),
    "folds": Call("`cross_validate`, 10 folds, census, batch 32; Keras: ten fits", folds, fresh=True, least=6),
    "sweep": Call(
        "`sweep` of 60 settings, census, batch 32; Keras: one fit", lambda k: sweep(k, None), fresh=True, least=1 / 13
    ),
    "sweep-halving": Call("the same, `halving=3`; Keras: one fit", lambda k: sweep(k, 3), fresh=True, least=1 / 5),
    "mapped-fit": Call("memory that an x in a file of 488 MiB adds to a fit", mapped_fit, memory="peak"),
}
