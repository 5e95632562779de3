"""A single output decides between two classes at 0 for hinges and logits, and at 0.5 behind a sigmoid."""

import numpy as np
import pytest

import lamina
from lamina import layers


@pytest.mark.parametrize(("activation", "middle"), [("sigmoid", 0.5), ("linear", 0.0), ("tanh", 0.0)])
def test_a_hinge_decides_where_the_last_layer_has_its_middle(activation, middle):
    model = lamina.Sequential([layers.Input((1,)), layers.Dense(1, activation, kernel_initializer="ones")])
    model.compile("sgd", "hinge")
    x = np.array([[-2.0], [-0.5], [0.5], [2.0]], "float32")
    assert ((model.predict(x, verbose=0) > middle) == (x > 0)).all()
    assert model.predict_classes(x, verbose=0).reshape(-1).tolist() == [0, 0, 1, 1]
