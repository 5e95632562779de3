"""What is a house worth? Districts of California in 1990, with the table as it is: numbers, a word and gaps.

    python examples/housing.py [epochs]

Prints the progress and by how much the model is off for districts that it has not seen. What FeatureSpace learned of
the columns is part of the model.
"""

import sys
from pathlib import Path

import pandas as pd

import lamina as keras
from lamina import layers

DATA = Path(__file__).parent / "data" / "california_housing.csv.gz"


def main(epochs: int = 30) -> None:
    keras.utils.set_random_seed(0)
    table = pd.read_csv(DATA).sample(frac=1, random_state=0)
    value = table.pop("median_house_value")
    table["rooms_per_household"] = table["total_rooms"] / table["households"]
    train, test = slice(len(table) // 10, None), slice(len(table) // 10)
    numbers = table.select_dtypes("number").columns.tolist()
    pieces = keras.utils.FeatureSpace.float_piecewise(128, units=16)  # this kind comes closest to boosted trees
    model = keras.Sequential(
        [
            keras.utils.FeatureSpace.from_frame(table, features=dict.fromkeys(numbers, pieces)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
            layers.Rescaling(value[train].std(), offset=value[train].mean()),  # to dollars
        ]
    )
    model.compile("adam", loss="mae")
    model.fit(table[train], value[train], batch_size=128, epochs=epochs, validation_split=0.1, verbose=2)
    error = model.evaluate(table[test], value[test], verbose=0)
    print(f"The model is off by {error:,.0f} dollars on average, for districts that it has not seen.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
