"""FeatureSpace's `float_piecewise` with `units`: a small trained layer of each column on its pieces."""

import numpy as np
import pytest

from lamina import Sequential, layers, models, utils
from lamina.errors import ArgumentError

FeatureSpace = utils.FeatureSpace
TABLE = {"age": [30.0, 40.0, 50.0, 60.0] * 10}
Y = np.arange(40.0, dtype="float32")


def test_units_are_trained_on_the_pieces_and_kept_in_files(tmp_path):
    space = FeatureSpace({"age": FeatureSpace.float_piecewise(3, units=5)})
    model = Sequential([space, layers.Dense(1)])
    model.compile("adam", "mse")
    space.adapt(TABLE)
    model.predict(TABLE, verbose=0)
    before = space.get_weights()
    model.fit(TABLE, Y, epochs=1, verbose=0)
    kernel, bias = space.get_weights()
    assert kernel.shape == (3, 5) and (kernel != before[0]).any()
    pieces = np.array([[1, 0.5, 0]], "float32")  # 45 lies in the middle of the second bin
    np.testing.assert_allclose(space({"age": [45.0]}), np.maximum(pieces @ kernel + bias, 0), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(TABLE, verbose=0), model.predict(TABLE, verbose=0))


def test_units_are_a_number_above_zero():
    with pytest.raises(ArgumentError, match="units"):
        FeatureSpace.float_piecewise(3, units=0)


def test_edges_are_quantiles_of_rows_and_other_values_where_these_are_equal():
    dense = FeatureSpace({"a": FeatureSpace.float_piecewise(4)})
    dense.adapt({"a": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0]})
    assert dense.preprocessors["a"].edges == [0, 2, 4, 6, 100]
    mostly_zero = FeatureSpace({"a": FeatureSpace.float_piecewise(4)})
    mostly_zero.adapt({"a": [0.0] * 50 + [1.0, 2.0, 3.0, 4.0]})
    assert mostly_zero.preprocessors["a"].edges == [0, 1, 2, 3, 4]
    equal = FeatureSpace({"a": FeatureSpace.float_piecewise(4)})
    equal.adapt({"a": [7.0, 7.0, 7.0]})
    assert equal.preprocessors["a"].edges == [7, 8]


def test_one_feature_for_several_columns_gives_each_a_layer_of_its_own():
    pieces = FeatureSpace.float_piecewise(2)
    space = FeatureSpace(dict.fromkeys("ab", pieces))
    space.adapt({"a": [0.0, 1.0, 2.0], "b": [100.0, 200.0, 300.0]})
    assert [space.preprocessors[name].edges for name in "ab"] == [[0.0, 1.0, 2.0], [100.0, 200.0, 300.0]]
    np.testing.assert_array_equal(space({"a": [0.5], "b": [250.0]}), [[0.5, 0.0, 1.0, 0.5]])
