"""Who earns over 50,000 dollars a year? A stack with batch normalization and dropout, on the census of 1994.

    python examples/census.py [epochs]

Prints the stack, the progress and the test accuracy, and draws the learning curve.
"""

import sys
from pathlib import Path

import pandas as pd

import lamina as keras
from lamina import layers

DATA = Path(__file__).parent / "data" / "adult.csv.gz"
CURVE = Path("out") / "census.png"


def load() -> tuple[pd.DataFrame, pd.Series]:
    """The table as numbers, 63 columns, and 1 for an income over 50K."""
    table = pd.read_csv(DATA, na_values="?")
    label = (table.pop("income") == ">50K").astype("float32")
    table = table.drop(columns=["fnlwgt", "native_country"])
    numbers = table.select_dtypes("number")
    categories = pd.get_dummies(table.drop(columns=numbers.columns))
    standardized = (numbers - numbers.mean()) / numbers.std()
    return pd.concat([standardized, categories], axis=1).astype("float32"), label


def main(epochs: int = 50) -> None:
    keras.utils.set_random_seed(0)
    x, y = load()
    train = x.sample(frac=0.8, random_state=0).index
    x_train, y_train = x.loc[train], y.loc[train]
    x_test, y_test = x.drop(train), y.drop(train)

    model = keras.Sequential(
        [
            layers.BatchNormalization(input_shape=x.shape[1:]),
            layers.Dense(256, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(256, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.summary()
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    early_stopping = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    history = model.fit(
        x_train, y_train, batch_size=512, epochs=epochs, validation_split=0.1, callbacks=[early_stopping]
    )

    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"Test accuracy: {accuracy:.2%} (loss {loss:.4f}) on {len(y_test):,} people the model has not seen.")
    CURVE.parent.mkdir(exist_ok=True)
    keras.utils.learning_curve(history, to_file=CURVE)
    print(f"The learning curve is in {CURVE}.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
