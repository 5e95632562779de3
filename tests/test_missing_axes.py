"""Data whose last axis is missing or added, and single samples."""

import numpy as np
import pytest
from small_models import both, ours, says


@both
def test_a_missing_last_axis_of_1_is_added_in_every_verb(keras):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], "float32")
    y = 2 * x - 1
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    with says(keras, r"but the data has the shape \(None,\): a last axis of size 1 is added"):
        model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0)
    model.fit(x[:, None], y, validation_data=(x, y), verbose=0)
    model.fit(x, y, validation_split=0.5, verbose=0)
    model.fit((batch for batch in batches), steps_per_epoch=2, shuffle=False, verbose=0)
    model.train_on_batch(x, y)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x[:, None], y, verbose=0))
    assert model.evaluate((batch for batch in batches), steps=2, verbose=0) == pytest.approx(model.test_on_batch(x, y))
    whole = model.predict(x[:, None], verbose=0)
    for found in (model.predict(x, verbose=0), model.predict_on_batch(x), model(x), model(x, training=True)):
        np.testing.assert_allclose(found, whole, rtol=1e-6)
    assert model.predict(np.array([10.0]), verbose=0).shape == (1, 1)


@both
def test_gray_images_need_no_channels_axis_and_a_column_may_have_one_too_many(keras):
    layers = keras.layers
    images = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)])
    images.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with says(keras, "a last axis of size 1 is added"):
        images.fit(np.ones((4, 8, 8)), np.zeros(4), verbose=0)
    assert images.predict(np.ones((4, 8, 8)), verbose=0).shape == (4, 3)
    pooled = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
    with says(keras, "a last axis of size 1 is added"):
        pooled.predict(np.ones((4, 8, 8)), verbose=0)
    assert pooled.predict(np.ones((4, 9, 9)), verbose=0).shape == (4, 2)  # it was said before
    table = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    with says(keras, "a last axis of size 1 is dropped"):
        assert table.predict(np.ones((3, 4, 1)), verbose=0).shape == (3, 2)


@both
def test_an_added_axis_belongs_to_the_model_and_not_to_the_compiled_program(keras):
    x = np.zeros((1, 4), "float32")
    wide = keras.Sequential([keras.layers.Input((4,)), keras.layers.Softmax(axis=1)])
    deep = keras.Sequential([keras.layers.Input((4, 1)), keras.layers.Softmax(axis=1)])
    assert wide.predict(x, verbose=0).tolist() == [[0.25] * 4]
    with says(keras, "a last axis of size 1 is added"):
        assert deep.predict(x, verbose=0).tolist() == [[[0.25]] * 4]
    inner = keras.Sequential([keras.layers.Input((4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with says(keras, "a last axis of size 1 is added"):
        outer = keras.Sequential([keras.layers.Input((4,)), inner])
    assert outer.predict(x, verbose=0).shape == (1, 3)


@ours
def test_one_sample_without_its_batch_axis_is_refused(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3, padding="same"), layers.Flatten()])
    for x in (np.ones((8, 8, 1)), np.ones((8, 8)), np.ones((2, 8, 8, 3)), np.ones((2, 8, 8, 2, 1))):
        with pytest.raises(keras.errors.ShapeError, match=r"takes \(None, 8, 8, 1\), but the data"):
            model.predict(x, verbose=0)
    with pytest.raises(keras.errors.ShapeError, match=r"add a batch axis: x\[None\]"):
        model.predict(np.ones((8, 8, 1)), verbose=0)
