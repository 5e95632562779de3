"""How many will fly? A GRU forecasts two years of airline passengers, month by month, from its own forecasts.

    python examples/airline_passengers.py [months held out] [epochs]

Trains on 1949 to 1958, forecasts 1959 and 1960, and draws the forecast beside what came. The stack sees the last
twelve months, each as its growth over the month before, and says the growth of the next.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import lamina as keras
from lamina import layers

DATA = Path(__file__).parent / "data" / "airline_passengers.csv"
PICTURE = Path("out") / "airline_passengers.png"
WINDOW = 12


def forecast(model: keras.Sequential, growth: np.ndarray, months: int) -> np.ndarray:
    """The growth of the coming months, (months,): each forecast is the newest month of the next."""
    for _ in range(months):
        growth = np.append(growth, model.predict(growth[None, -WINDOW:, None], verbose=0))
    return growth[-months:]


def main(months: int = 24, epochs: int = 100) -> None:
    keras.utils.set_random_seed(0)
    table = pd.read_csv(DATA, parse_dates=["Month"], index_col="Month")["Passengers"]
    growth = np.diff(np.log(table)).astype("float32")  # in logarithms, a factor becomes a sum
    scale = growth[:-months].std()
    known = growth[:-months] / scale
    windows = np.lib.stride_tricks.sliding_window_view(known, WINDOW + 1)

    model = keras.Sequential([keras.Input((WINDOW, 1)), layers.GRU(32), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.005), "mse")
    model.fit(windows[:, :-1, None], windows[:, -1:], batch_size=16, epochs=epochs, verbose=0)

    past, came = table[:-months], table[-months:]
    foreseen = past.iloc[-1] * np.exp(np.cumsum(scale * forecast(model, known, months)))
    off = np.mean(np.abs(foreseen / came - 1))
    repeated = np.mean(np.abs(past.iloc[-12:].to_numpy()[np.arange(months) % 12] / came - 1))
    print(f"The forecast is off by {off:.1%} on average; the last known year, repeated, by {repeated:.1%}.")

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(table.index, table, color="#2b2b2b", label="passengers, in thousands")
    axes.plot(came.index, foreseen, color="#1f5f8b", linestyle="--", label="forecast")
    axes.axvline(came.index[0], color="#8c8c8c", linewidth=0.8)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=150)
    print(f"The picture is in {PICTURE}.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
