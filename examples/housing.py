"""What is a house worth? Districts of California in 1990, with Normalization as the first layer.

    python examples/housing.py [epochs]

Prints the progress and by how much the model is off for districts that it has not seen. The model takes the numbers
as they are in the table: what Normalization learned of them is part of the model. The word that says how near the
ocean is becomes a vector by StringLookup.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import lamina as keras
from lamina import layers

DATA = Path(__file__).parent / "data" / "california_housing.csv.gz"


def load() -> tuple[pd.DataFrame, pd.Series]:
    """The table as numbers, and the median value of a house in units of 100,000 dollars."""
    table = pd.read_csv(DATA).dropna().sample(frac=1, random_state=0)
    value = table.pop("median_house_value") / 100_000
    lookup = layers.StringLookup(num_oov_indices=0, output_mode="one_hot")
    lookup.adapt(table["ocean_proximity"])
    ocean = pd.DataFrame(np.asarray(lookup(table.pop("ocean_proximity"))), table.index, lookup.get_vocabulary())
    table["rooms_per_household"] = table["total_rooms"] / table["households"]
    return pd.concat([table, ocean], axis=1).astype("float32"), value.astype("float32")


def main(epochs: int = 30) -> None:
    keras.utils.set_random_seed(0)
    x, y = load()
    held_out = len(x) // 10
    normalization = layers.Normalization()
    normalization.adapt(x[held_out:])
    model = keras.Sequential(
        [
            normalization,
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile("adam", loss="mae")
    model.fit(x[held_out:], y[held_out:], batch_size=128, epochs=epochs, validation_split=0.1, verbose=2)
    error = 100_000 * model.evaluate(x[:held_out], y[:held_out], verbose=0)
    print(f"The model is off by {error:,.0f} dollars on average, for districts that it has not seen.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
