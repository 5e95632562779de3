"""Who earns over 50,000 dollars a year? A stack that takes the table of the census of 1994 as it is.

    python examples/census.py [epochs]

Prints the progress, the stack and the test accuracy, and draws the learning curve.
"""

import sys
from pathlib import Path

import pandas as pd

import lamina as keras
from lamina import layers

DATA = Path(__file__).parent / "data" / "adult.csv.gz"
CURVE = Path("out") / "census.png"


def main(epochs: int = 50) -> None:
    keras.utils.set_random_seed(0)
    table = pd.read_csv(DATA, na_values="?").sample(frac=1, random_state=0)
    income = table.pop("income")  # "<=50K" and ">50K"
    train, test = slice(len(table) // 5, None), slice(len(table) // 5)

    pieces = keras.utils.FeatureSpace.float_piecewise(128, units=16)  # this kind comes closest to boosted trees
    kinds = dict.fromkeys(table.select_dtypes("number").columns.tolist(), pieces) | {"fnlwgt": None}
    model = keras.Sequential(
        [
            keras.utils.FeatureSpace.from_frame(table, features=kinds),
            layers.Dense(256, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(256, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    early_stopping = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    history = model.fit(
        table[train], income[train], batch_size=512, epochs=epochs, validation_split=0.1, callbacks=[early_stopping]
    )
    model.summary()

    loss, accuracy = model.evaluate(table[test], income[test], verbose=0)
    print(f"Test accuracy: {accuracy:.2%} (loss {loss:.4f}) on {len(income[test]):,} people the model has not seen.")
    CURVE.parent.mkdir(exist_ok=True)
    keras.utils.learning_curve(history, to_file=CURVE)
    print(f"The learning curve is in {CURVE}.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
