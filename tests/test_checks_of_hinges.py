"""The checks of the data know all losses for classes, hinges as well."""

import numpy as np
import pytest

import lamina
from lamina import layers


@pytest.mark.parametrize(("loss", "units"), [("hinge", 1), ("squared_hinge", 1), ("categorical_hinge", 2)])
def test_a_rare_class_is_found_with_a_hinge(loss, units):
    classes = (np.arange(500) % 50 == 0).astype(int)
    y = np.eye(2, dtype="float32")[classes] if units == 2 else 2.0 * classes[:, None] - 1
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(units)])
    model.compile("sgd", loss, metrics=["accuracy"])
    found = model.check(np.random.default_rng(0).normal(size=(500, 3)), y)
    assert "imbalance" in [finding.check for finding in found]
