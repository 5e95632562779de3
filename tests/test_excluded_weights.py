"""Which weights `exclude_from_weight_decay` leaves out."""

import jax.numpy as jnp
import pytest

import lamina
from lamina.optimizers import AdamW


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({"paths": ["a+b/bias"]}, {"a+b/bias"}),  # a path is no pattern
        ({"paths": ["dense/bias"]}, {"dense/bias"}),  # and stands for the whole path
        ({"var_names": ["dense"]}, {"dense/bias", "my_dense/bias", "dense/bias_1"}),
        ({"paths": ["a+b/bias"], "var_names": ["^my|_1$"]}, {"a+b/bias", "my_dense/bias", "dense/bias_1"}),
        ({}, set()),
    ],
)
def test_a_weight_leaves_out_itself_and_a_name_all_paths_that_contain_it(given, left_out):
    paths = ["a+b/bias", "aab/bias", "dense/bias", "my_dense/bias", "dense/bias_1"]
    weights = {path: lamina.Variable(jnp.ones(2), name=path.split("/")[1]) for path in paths}
    for path, weight in weights.items():
        weight.path = path
    adam = AdamW(0.5, weight_decay=0.5)
    adam.exclude_from_weight_decay([weights[path] for path in given.get("paths", [])], given.get("var_names"))
    adam.apply([jnp.zeros(2)] * len(paths), list(weights.values()))
    assert {path for path, weight in weights.items() if float(weight[0]) == 1} == left_out
