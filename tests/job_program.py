"""The program of tests/test_job.py: a process of a job. usage: job_program.py WHAT [FOLDER]"""

import json
import os
import signal
import sys
import time

import numpy as np

import lamina as keras
from lamina import distribution, layers
from lamina.callbacks import Callback, CSVLogger, ModelCheckpoint

WHAT, FOLDER = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "")
if WHAT == "late":
    keras.random.normal((2,))
if WHAT != "alone":
    distribution.initialize()
rank = int(os.environ.get("JAX_PROCESS_ID", "0"))
count = int(os.environ.get("JAX_NUM_PROCESSES", "1"))
if WHAT not in ("alone", "unset"):
    distribution.set_distribution(distribution.DataParallel())
if WHAT not in ("unseeded", "seeds"):
    keras.utils.set_random_seed(7)
if WHAT == "seeds":
    keras.utils.set_random_seed(rank)
R = np.random.default_rng(0)
X = R.normal(size=(203, 12)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
if WHAT == "rows" and rank == 1:
    X, Y = X[:190], Y[:190]
if WHAT == "values" and rank == 1:
    X = X + 1


class Step(Callback):
    """Does something on rank 1 at the end of the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if rank != 1 or epoch != 1:
            return
        if WHAT == "error":
            raise ZeroDivisionError("no luck")
        if WHAT == "kill":
            time.sleep(2)  # meanwhile process 0 writes the state of the first epoch
            os.kill(os.getpid(), signal.SIGKILL)
        if WHAT == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        if WHAT == "changed":
            self.model.layers[1].kernel.assign(self.model.layers[1].kernel * 2)
        if WHAT == "stop":
            self.model.stop_training = True
        if WHAT == "exit":
            sys.exit(3)


def batches():
    """Rank 1 has fewer of them, if told so."""
    for start in range(0, 200 - 20 * (WHAT == "uneven" and rank == 1), 20):
        yield X[start : start + 20], Y[start : start + 20]


stack = keras.Sequential(
    [
        layers.BatchNormalization(), layers.Dense(16, activation="relu"), layers.Dropout(0.3),
        layers.Dense(1, activation="sigmoid"),
    ]
)  # fmt: skip
stack.compile("adam", "binary_crossentropy", metrics=["accuracy"])
files = [CSVLogger(f"{FOLDER}/log.csv"), ModelCheckpoint(f"{FOLDER}/best.keras")] if WHAT == "files" else []
checkpoint = FOLDER if WHAT in ("kill", "term", "resume") else None
began = time.monotonic()
try:
    if WHAT == "one_verb" and rank == 1:
        stack.build((None, 12))
        stack.predict(X[:3], verbose=0)
    elif WHAT in ("uneven", "stream"):
        stack.fit(batches(), epochs=1, verbose=0)
    else:
        stack.fit(
            X, Y, batch_size=30 + 2 * (WHAT == "sizes" and rank), epochs=3, validation_split=0.1, checkpoint=checkpoint,
            verbose=2 * (WHAT == "files"), callbacks=[Step(), *files],
        )  # fmt: skip
finally:
    if WHAT in ("error", "kill", "one_verb", "exit"):
        print("seconds", round(time.monotonic() - began, 1), file=sys.stderr)
if WHAT == "files":
    stack.save(f"{FOLDER}/last.keras")
print(json.dumps({
    "rank": rank,
    "weights": [float(np.abs(each).sum()) for each in stack.get_weights()],
    "loss": stack.history.history["loss"],
    "evaluated": stack.evaluate(X[:33], Y[:33], verbose=0),
    "predicted": stack.predict(X[:7], verbose=0).ravel().tolist(),
    "drawn": float(np.random.random()),
    "eager": float(np.asarray(stack.layers[1](X[:5, :12])).sum()),
    "value": float(np.asarray(stack.layers[1].kernel.value.sum())),
}))  # fmt: skip
