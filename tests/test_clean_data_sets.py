"""More than twenty clean, scaled data sets: neither `fit` nor `check` warns of anything. A false alarm costs trust."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina import layers
from lamina._diagnosis import findings
from lamina.errors import CheckWarning

datasets = pytest.importorskip("sklearn.datasets")
DATA = Path(__file__).parent.parent / "examples" / "data"
RNG = np.random.default_rng(0)


def scaled(x):
    x = np.asarray(x, float)
    return ((x - x.mean(0)) / x.std(0)).astype("float32")


def named(loader):
    """A set of scikit-learn as a frame of scaled columns, and its classes."""
    found = loader(as_frame=True)
    return pd.DataFrame(scaled(found.data.loc[:, found.data.std() > 0]).copy()).add_prefix(
        "c "
    ), found.target.to_numpy()


def housing():
    table = pd.read_csv(DATA / "california_housing.csv.gz")
    return table, table.pop("median_house_value").to_numpy() / 1e5


def housing_by_hand():
    table, y = housing()
    near = pd.get_dummies(table.pop("ocean_proximity")).astype("float32")
    numbers = table.fillna(table.median())
    return pd.concat([pd.DataFrame(scaled(numbers), columns=numbers.columns), near], axis=1), y


def census():
    table = pd.read_csv(DATA / "adult.csv.gz", na_values="?")
    return table, (table.pop("income") == ">50K").to_numpy("int32")


def census_by_hand():
    table, y = census()
    numbers = table.select_dtypes("number")
    words = pd.get_dummies(table.drop(columns=numbers.columns)).astype("float32")
    return pd.concat([pd.DataFrame(scaled(numbers), columns=numbers.columns), words], axis=1), y


def passengers(axes=2):
    months = np.log(pd.read_csv(DATA / "airline_passengers.csv").iloc[:, -1].to_numpy("float32"))
    views = np.lib.stride_tricks.sliding_window_view(scaled(np.repeat(months, 3) + RNG.normal(0, 0.02, 432)), 25)
    return views[:, :24].reshape(-1, 24, *[1] * (axes - 2)), views[:, 24]


def waves():
    wave = np.sin(np.arange(3000) / 20) + 0.1 * RNG.normal(size=3000)
    views = np.lib.stride_tricks.sliding_window_view(wave, 25)
    return views[:, :24], views[:, 24]


def line():
    x = RNG.normal(size=(800, 1))
    return x, 3 * x[:, 0] + 1 + 0.1 * RNG.normal(size=800)


def bits():
    x = RNG.integers(0, 2, (1000, 12)).astype("float32")
    return x, np.logical_xor(x[:, 0], x[:, 1]).astype("int32")


def tokens():
    x = RNG.integers(1, 50, (4000, 20))
    return x, ((x > 25).sum(1) > 10).astype("int32")


def digits():
    found = datasets.load_digits()
    return found.images[..., None] / 16, found.target


def with_scaled_target(x, y):
    return scaled(x), scaled(y)


SETS = {
    "iris": lambda: named(datasets.load_iris), "wine": lambda: named(datasets.load_wine),
    "breast cancer": lambda: named(datasets.load_breast_cancer), "digits": lambda: named(datasets.load_digits),
    "images of digits": digits, "unscaled digits": lambda: datasets.load_digits(return_X_y=True),
    "diabetes": lambda: with_scaled_target(*datasets.load_diabetes(return_X_y=True)),
    "housing": housing, "housing by hand": housing_by_hand, "census": census, "census by hand": census_by_hand,
    "passengers": passengers, "passengers, three axes": lambda: passengers(3), "waves": waves, "line": line,
    "bits": bits, "tokens": tokens,
    "moons": lambda: datasets.make_moons(1000, noise=0.1, random_state=0),
    "circles": lambda: datasets.make_circles(1000, noise=0.1, random_state=0),
    "blobs": lambda: datasets.make_blobs(1000, centers=5, random_state=0),
    "classification": lambda: datasets.make_classification(2000, random_state=0),
    "regression": lambda: with_scaled_target(*datasets.make_regression(1000, 10, noise=5, random_state=0)),
    "friedman 1": lambda: datasets.make_friedman1(1000, random_state=0),
    "friedman 2": lambda: with_scaled_target(*datasets.make_friedman2(1000, random_state=0)),
    "swiss roll": lambda: with_scaled_target(*datasets.make_swiss_roll(1000, random_state=0)),
    "quantiles": lambda: datasets.make_gaussian_quantiles(n_samples=1000, random_state=0),
    "several labels": lambda: datasets.make_multilabel_classification(1000, random_state=0),
}  # fmt: skip


def stack(x, y):
    """A usual stack for such data."""
    first = [layers.Flatten()] if np.ndim(x) > 2 else []
    if np.asarray(x).dtype.kind == "i":
        first = [layers.Embedding(500, 8), layers.GlobalAveragePooling1D()]
    if hasattr(x, "select_dtypes") and x.select_dtypes("number").shape != x.shape:
        first = [keras.utils.FeatureSpace.from_frame(x)]
    last, loss, metrics = [layers.Dense(1)], "mse", ["mae"]
    if y.ndim == 2:
        last, loss, metrics = [layers.Dense(y.shape[1], "sigmoid")], "binary_crossentropy", ["accuracy"]
    elif y.dtype.kind == "i":
        last, loss, metrics = [layers.Dense(y.max() + 1, "softmax")], "sparse_categorical_crossentropy", ["accuracy"]
    settling = layers.BatchNormalization(momentum=0.9)  # 15 epochs of a small set are too short for 0.99
    model = keras.Sequential([*first, layers.Dense(32, "relu"), settling, layers.Dropout(0.2), *last])
    model.compile("adam", loss, metrics=metrics)
    return model


@pytest.fixture(autouse=True)
def _said_anew():
    findings.said.clear()
    keras.config.set_checks("on")


@pytest.mark.nightly
@pytest.mark.parametrize("name", SETS)
def test_a_clean_set_says_nothing(name):
    keras.utils.set_random_seed(0)
    x, y = SETS[name]()
    model = stack(x, y)
    rows = np.random.default_rng(0).permutation(len(y))  # some come in the order of their classes
    x, y = x.iloc[rows] if hasattr(x, "iloc") else x[rows], y[rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error", CheckWarning)
        model.fit(x, y, epochs=15, validation_split=0.2, verbose=0)
    cut = len(y) * 4 // 5
    held_out = (x.iloc[cut:] if hasattr(x, "iloc") else x[cut:], y[cut:])
    found = model.check(x[:cut], y[:cut], validation_data=held_out)
    assert list(found) == [], found
