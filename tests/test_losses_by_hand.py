"""Losses of calls outside of a step."""

import numpy as np
import pytest
from small_models import both


@both
def test_losses_of_calls_by_hand(keras):
    class Adding(keras.layers.Layer):
        def call(self, x):
            self.add_loss(0.5 * keras.ops.mean(x))
            return x

    regularized = {"kernel_initializer": "ones", "kernel_regularizer": keras.regularizers.L2(0.1)}
    first = keras.layers.Dense(2, activity_regularizer=keras.regularizers.L1(0.1), **regularized)
    model = keras.Sequential([keras.Input((3,)), first, Adding()])
    x = np.full((5, 3), 0.5, "float32")
    expected = [0.3, 0.6, 0.75]
    model(x)
    np.testing.assert_allclose(sorted(map(float, model.losses)), expected, rtol=1e-5)
    model(x, training=True)
    np.testing.assert_allclose(sorted(map(float, model.losses)), expected, rtol=1e-5)
    trained, kept = (
        [weight.value for weight in each] for each in (model.trainable_variables, model.non_trainable_variables)
    )
    for training in (False, True):
        *_, losses = model.stateless_call(trained, kept, x, training=training, return_losses=True)
        np.testing.assert_allclose(sorted(map(float, losses)), expected, rtol=1e-5)
    alone = Adding()
    alone(x)
    np.testing.assert_allclose(alone.losses, [0.25])


@both
@pytest.mark.parametrize("rows", [5, 8, 3])
def test_the_activity_of_a_call_by_hand_is_that_of_its_own_rows(keras, rows):
    told = {"bias_initializer": "ones", "activity_regularizer": keras.regularizers.L1(0.1)}
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones", **told)])
    model.predict(np.ones((rows, 3), "float32"), verbose=0)
    model(np.ones((rows, 3), "float32"))
    np.testing.assert_allclose(model.losses, [0.8], rtol=1e-6)


@both
@pytest.mark.parametrize("mode", ["multi_hot", "count"])
def test_one_category_by_itself_is_a_vector(keras, mode):
    np.testing.assert_array_equal(np.ravel(keras.layers.CategoryEncoding(4, output_mode=mode)(2)), [0, 0, 1, 0])
