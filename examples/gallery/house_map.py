"""Houses of California

Normalization and Dense layers learn the value of a house from its place.

Task: regression
Picture: A map of California; houses at the coast have higher predicted values
"""

import matplotlib.pyplot as plt
import pandas as pd

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)

table = pd.read_csv("data/california_housing.csv.gz").sample(6000, random_state=0)
x = table[["longitude", "latitude"]].astype("float32")
y = table["median_house_value"] / 100_000

scale = layers.Normalization()
scale.adapt(x)
model = keras.Sequential(
    [scale, layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)]
)
model.compile(keras.optimizers.Adam(0.005), "mae")
model.fit(x, y, batch_size=64, epochs=20, verbose=0)

plt.figure(figsize=(5, 4.5))
plt.scatter(x["longitude"], x["latitude"], c=model.predict(x, verbose=0)[:, 0], s=2, cmap="viridis")
plt.colorbar(label="predicted value, 100,000 dollars")
