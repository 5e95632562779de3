"""FeatureSpace against golden values of real Keras on TensorFlow: configs, results, crosses, and edges of bins."""

import json
from pathlib import Path

import numpy as np
import pytest

from lamina import layers, utils

GOLDEN = json.loads((Path(__file__).parent / "golden" / "feature_space.json").read_text())
FeatureSpace = utils.FeatureSpace


def described(value):
    if isinstance(value, str):
        return value
    kind, settings = value
    settings = dict(settings)
    if kind == "feature":
        layer, arguments = settings["preprocessor"]
        settings["preprocessor"] = getattr(layers, layer)(**arguments)
    return getattr(FeatureSpace, kind)(**settings)


def made(case):
    space = {name: value for name, value in case.items() if name not in ("features", "crosses")}
    crosses = [tuple(each) if each[0] != "cross" else described(each) for each in case.get("crosses", [])]
    return FeatureSpace({name: described(value) for name, value in case["features"].items()}, crosses=crosses, **space)


def of(case, table):
    return {name: GOLDEN[table][name] for name in case["features"]}


def plain(config):
    """A config without what Keras says in words of its own: names, modules, and the class that changes nothing."""
    if isinstance(config, dict):
        left_out = ("registered_name", "build_config", "module", "name")
        return {key: plain(value) for key, value in config.items() if key not in left_out}
    if isinstance(config, (list, tuple)):
        return [plain(each) for each in config]
    return "Identity" if config == "TFDIdentity" else config


@pytest.mark.parametrize("number", range(len(GOLDEN["cases"])))
def test_results_and_configs_are_those_of_keras(number):
    told = GOLDEN["cases"][number]
    space = made(told["case"])
    assert plain(json.loads(json.dumps(space.get_config()))) == plain(told["config"])
    space.adapt({name: np.array(values) for name, values in of(told["case"], "table").items()})
    again = FeatureSpace.from_config(json.loads(json.dumps(space.get_config())))
    for table, want in zip(("table", "new", "one"), told["results"], strict=True):
        y = space(of(told["case"], table))
        np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
        if not any("normalized" in str(kind) for kind in told["case"]["features"].values()):  # these have weights
            np.testing.assert_array_equal(again(of(told["case"], table)), y)


@pytest.mark.parametrize("number", range(len(GOLDEN["learned"])))
def test_edges_of_bins_are_those_of_keras_within_its_epsilon(number):
    told = GOLDEN["learned"][number]
    space, table = made(told["case"]), of(told["case"], "table")
    space.adapt(table)
    assert space(table).shape[1] == told["width"]
    for name, want in told["edges"].items():
        edges = space.preprocessors[name].bin_boundaries
        assert len(edges) == len(want)
        ranks = [np.searchsorted(np.sort(table[name]), each) / len(table[name]) for each in (edges, want)]
        assert np.abs(ranks[0] - ranks[1]).max() <= 0.01 + 1 / len(table[name])
