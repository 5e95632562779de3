"""A sweep and an Ensemble encode a table once for all models that encode it in the same way."""

from unittest import mock

import numpy as np
import pytest

import lamina as keras
from lamina import layers
from lamina.errors import DataError, LaminaError
from lamina.layers.feature_space import feature_space as module

FeatureSpace = keras.utils.FeatureSpace
TABLE = {"age": [30.0, np.nan, 50.0, 60.0] * 20, "city": ["Rome", "Oslo", "Rome", None] * 20}
LABELS = ["no", "yes"] * 40
VALIDATION = {"age": [31.0, 45.0] * 5, "city": ["Oslo", "Rome"] * 5}, ["yes", "no"] * 5


def stack(bins=3, rate=0.1):
    model = keras.Sequential(
        [
            FeatureSpace({"age": FeatureSpace.float_discretized(bins), "city": "string_categorical"}),
            layers.Dropout(rate),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def encoded(monkeypatch):
    """The numbers of rows of each table that is encoded, but for the one row of which a model learns its width."""
    counted = []

    def encode(space, table, *args, **kwargs):
        counted.extend([len(table)] * (len(table) > 1))
        return real(space, table, *args, **kwargs)

    real = module.encode
    monkeypatch.setattr(module, "encode", encode)
    return counted


def test_an_ensemble_encodes_once_and_each_member_is_its_own_fit(encoded):
    keras.utils.set_random_seed(3)
    ensemble = keras.Ensemble(stack(), members=3)
    ensemble.fit(TABLE, LABELS, epochs=2, verbose=0, validation_data=VALIDATION)
    assert sorted(encoded) == [10, 80]
    keras.utils.set_random_seed(3)
    again = keras.Ensemble(stack(), members=3)
    again.fit(TABLE, LABELS, epochs=2, verbose=0, validation_data=VALIDATION)
    for one, other in zip(ensemble.members, again.members, strict=True):
        np.testing.assert_array_equal(one.predict(TABLE, verbose=0), other.predict(TABLE, verbose=0))
        assert one.classes_ == ["no", "yes"] or one.classes_ == ("no", "yes")


def test_members_are_adapted_to_the_rows_that_train_alone(encoded):
    ensemble = keras.Ensemble(stack(), members=2)
    ensemble.fit(TABLE, LABELS, verbose=0, validation_split=0.25)
    alone = stack()
    alone.fit(TABLE, LABELS, verbose=0, validation_split=0.25)
    for member in ensemble.members:
        assert member.layers[0].get_config() == alone.layers[0].get_config() | {"name": member.layers[0].name}
    assert encoded == [80, 80]


def test_a_sweep_encodes_once_for_each_way_to_encode(encoded):
    found = keras.sweep(
        stack, {"rate": [0.1, 0.2, 0.3], "bins": [3, 5]}, TABLE, LABELS, epochs=1, verbose=0, seed=1,
        validation_data=VALIDATION,
    )  # fmt: skip
    assert sorted(encoded) == [10, 10, 80, 80]
    keras.utils.set_random_seed(1)
    alone = stack(**found.best_settings)
    alone.fit(TABLE, LABELS, verbose=0, validation_data=VALIDATION)
    np.testing.assert_array_equal(alone.predict(TABLE, verbose=0), found.best_model.predict(TABLE, verbose=0))


def test_a_column_may_be_named_as_the_target(encoded):
    ensemble = keras.Ensemble(stack(), members=2)
    ensemble.fit(TABLE | {"label": LABELS}, "label", verbose=0)
    assert encoded == [80]


def test_data_that_are_refused_leave_an_ensemble_unadapted():
    ensemble = keras.Ensemble(stack(), members=2)
    with pytest.raises(LaminaError):
        ensemble.fit(TABLE, LABELS[:-1], verbose=0)
    assert all(member.layers[0]._lamina_needs_adapting for member in ensemble.members)
    with pytest.raises(DataError, match=r"validation_data\[0\]"):
        ensemble.fit(TABLE, LABELS, verbose=0, validation_data=(np.ones((3, 2)), [0, 1, 0]))
    ensemble.fit({"age": [1.0, 2.0], "city": ["Bern", "Bonn"]}, ["a", "b"], verbose=0)


def test_a_fit_by_itself_keeps_no_rows():
    with mock.patch.object(module, "encode", wraps=module.encode) as encode:
        model = stack()
        model.fit(TABLE, LABELS, verbose=0)
        model.fit(TABLE, LABELS, verbose=0)
    assert encode.call_count == 2
