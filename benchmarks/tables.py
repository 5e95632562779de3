"""Compares a stack of Lamina with scikit-learn's HistGradientBoosting on the tables housing and census.

python benchmarks/tables.py [--seeds 5] [--validation]

Each seed is another 80/20 split of the rows. A line has the error of both (RMSE in 100,000 dollars; accuracy in
percent) and the seconds of their training. The programs of the stack are compiled before, by a fit of the same shapes.
`--validation` evaluates on 15 % of the training rows, which are held out. The settings were chosen in this way.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import lamina
from lamina import layers, optimizers

DATA = Path(__file__).parent.parent / "examples" / "data"
BATCH = 512
DROPOUT = 0.2
EPOCHS = {"housing": 40, "census": 10}
BOOSTING = {"max_iter": 500, "early_stopping": True}


def rows_of(name: str) -> tuple[pd.DataFrame, Any]:
    """A table and its targets."""
    if name == "housing":
        table = pd.read_csv(DATA / "california_housing.csv.gz")
        return table, table.pop("median_house_value").to_numpy() / 100_000
    table = pd.read_csv(DATA / "adult.csv.gz", na_values="?")
    return table, (table.pop("income") == ">50K").to_numpy().astype("float32")


def stack(table: pd.DataFrame, name: str, rows: int, target: Any) -> Any:
    """The same layers for both tables, but for the last Dense and the loss."""
    words = [column for column in table if table[column].dtype.kind not in "if"]
    pieces = lamina.utils.FeatureSpace.float_piecewise
    kinds = {column: "string_categorical" if column in words else pieces(128, units=16) for column in table}
    last = [layers.Dense(1, activation="sigmoid")]
    if name == "housing":
        last = [layers.Dense(1), layers.Rescaling(float(target.std()), offset=float(target.mean()))]
    model = lamina.Sequential(
        [
            lamina.utils.FeatureSpace(kinds),
            layers.Dense(256, activation="relu"),
            layers.Dropout(DROPOUT),
            layers.Dense(256, activation="relu"),
            layers.Dropout(DROPOUT),
            *last,
        ]
    )
    rate = optimizers.schedules.CosineDecay(2e-3, -(-rows // BATCH) * EPOCHS[name])
    loss = "mse" if name == "housing" else "binary_crossentropy"
    model.compile(optimizers.AdamW(rate, weight_decay=0.01), loss)
    return model


def boosting(table: pd.DataFrame, name: str, seed: int) -> Any:
    made = HistGradientBoostingRegressor if name == "housing" else HistGradientBoostingClassifier
    return made(random_state=seed, categorical_features="from_dtype", **BOOSTING)


def error(name: str, predicted: Any, target: Any) -> float:
    if name == "housing":
        return float(np.sqrt(np.mean((np.ravel(predicted) - target) ** 2)))
    return float(np.mean((np.ravel(predicted) > 0.5) == target)) * 100


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """What a call takes of the clock, and of all processors together."""
    started, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - used


def measured(name: str, seed: int, validation: bool) -> tuple[float, ...]:
    """The error and the two times of boosting, then those of the stack, without its compilation."""
    table, target = rows_of(name)
    places = np.random.default_rng(seed).permutation(len(table))
    test, train = np.split(places, [len(table) // 5])
    if validation:
        test, train = np.split(train, [len(train) * 15 // 100])
    text = {column: "category" for column in table if table[column].dtype.kind not in "if"}
    categories = table.astype(text)
    trees = boosting(table, name, seed)
    of_trees = seconds(lambda: trees.fit(categories.iloc[train], target[train]))
    predict = trees.predict if name == "housing" else lambda x: trees.predict_proba(x)[:, 1]
    found = error(name, predict(categories.iloc[test]), target[test])
    for warming in (True, False):
        lamina.utils.set_random_seed(seed)
        model = stack(table, name, len(train), target[train])
        epochs = 2 if warming else EPOCHS[name]
        of_stack = seconds(
            lambda: model.fit(table.iloc[train], target[train], batch_size=BATCH, epochs=epochs, verbose=0)  # noqa: B023
        )
    return found, *of_trees, error(name, model.predict(table.iloc[test], verbose=0), target[test]), *of_stack


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--validation", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in EPOCHS:
        found = [measured(name, seed, arguments.validation) for seed in range(arguments.seeds)]
        for seed, (trees, first, _, ours, second, _) in enumerate(found):
            print(
                f"{name:8} seed {seed}  boosting {trees:8.4f} in {first:5.2f} s  stack {ours:8.4f} in {second:5.2f} s"
            )
        means = [statistics.mean(column) for column in zip(*found, strict=True)]
        wall, used = (statistics.median(row[at + 3] / row[at] for row in found) for at in (1, 2))
        print(
            f"{name:8} mean    boosting {means[0]:8.4f}   stack {means[3]:8.4f}   time {wall:.2f} x, of processors "
            f"{used:.2f} x", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
