"""Sizes, batch sizes, dtypes and single samples that layers take, in a stack and by themselves."""

from pathlib import Path

import numpy as np
import pytest
from small_models import X, Y, both, dense, ours, says

import lamina


@both
def test_a_stack_takes_the_sizes_that_each_of_its_layers_takes(keras):
    layers = keras.layers
    images = keras.Sequential([
        layers.Input((16, 16, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.MaxPooling2D(),
        layers.GlobalAveragePooling2D(), layers.Dense(2),
    ])  # fmt: skip
    images.compile("sgd", "mse")
    larger, y = np.ones((4, 20, 24, 3), "float32"), np.zeros((4, 2))
    images.fit(larger[:, :16, :16], y, validation_data=(larger, y), verbose=0)
    images.fit(larger, y, validation_split=0.5, verbose=0)
    images.evaluate(larger, y, verbose=0)
    assert images.predict(larger, verbose=0).shape == images(larger).shape == (4, 2)
    assert images.input_shape == (None, 16, 16, 3)
    steps = keras.Sequential([layers.Input((10, 3)), layers.LSTM(4, return_sequences=True), layers.Dense(1)])
    steps.compile("sgd", "mse")
    steps.fit(np.ones((2, 12, 3)), np.zeros((2, 12, 1)), verbose=0)
    assert steps.predict(np.ones((2, 12, 3)), verbose=0).shape == (2, 12, 1)
    flat = keras.Sequential([layers.Input((16, 16, 3)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    for model, x in ((flat, larger), (images, larger[..., :2]), (steps, np.ones((2, 12, 4)))):
        with pytest.raises((ValueError, TypeError), match="shape"):
            model.predict(x, verbose=0)


@ours  # in Keras it needs TensorFlow
def test_words_in_a_stack_may_be_more_than_at_first(keras):
    layers, words = keras.layers, np.array([["a", "b", "a", "b"]] * 3)
    model = keras.Sequential([layers.StringLookup(vocabulary=["a", "b"]), layers.Embedding(4, 2), layers.LSTM(3)])
    model.compile("sgd", "mse")
    model.fit(words, np.ones((3, 3)), verbose=0)
    longer = np.concatenate([words, words], 1)
    model.fit(longer, np.ones((3, 3)), validation_data=(words, np.ones((3, 3))), verbose=0)
    assert model.predict(longer, verbose=0).shape == model(longer).shape == (3, 3)
    flat = keras.Sequential([*model.layers[:2], layers.Flatten(), layers.Dense(1)])
    flat.predict(words, verbose=0)
    for wrong in (longer, words[0], words[None]):
        with pytest.raises(keras.errors.ShapeError, match=r"takes \(None, 4\)"):
            flat.predict(wrong, verbose=0)


@ours
def test_targets_are_compared_with_the_output_for_the_data_and_not_for_the_input(keras):
    steps = keras.Sequential([keras.layers.Input((10, 3)), keras.layers.LSTM(4, return_sequences=True)])
    steps.compile("sgd", "mse")
    with pytest.raises(keras.errors.LabelError, match=r"y has shape \(2, 10, 4\), the model gives \(None, 12, 4\)"):
        steps.fit(np.ones((2, 12, 3)), np.zeros((2, 10, 4)), verbose=0)
    with pytest.raises(keras.errors.ShapeError, match="The axes are in reverse order"):
        steps.predict(np.ones((2, 3, 10)), verbose=0)


@both
def test_the_input_keeps_its_batch_size(keras):
    layers = keras.layers
    for first in (layers.Input((8,), batch_size=4), layers.InputLayer(batch_shape=(4, 8))):
        model = keras.Sequential([first, layers.Dense(2)])
        assert (model.input_shape, model.output_shape) == ((4, 8), (4, 2))
        outer = keras.Sequential([model, layers.Dense(1)])
        assert (outer.input_shape, outer.output_shape) == ((4, 8), (4, 1))
    late = keras.Sequential([layers.Dense(2)])
    late.build((4, 8))
    assert late.input_shape == (4, 8)


@ours
def test_batch_input_shape_keeps_its_batch_size(keras):
    layers = keras.layers
    model = keras.Sequential([layers.LSTM(2, stateful=True, batch_input_shape=(4, None, 3)), layers.Dense(1)])
    assert (model.input_shape, model.output_shape) == ((4, None, 3), (4, 1))
    assert model.predict(np.ones((8, 5, 3)), verbose=0).shape == (8, 1)
    layer = layers.Dense(2, batch_input_shape=(4, 8))
    assert repr(layer) == "Dense(2, batch_input_shape=(4, 8))"
    assert "batch_input_shape" not in layer.get_config()


@both
def test_one_number_a_row_is_normalized(keras):
    layers, x = keras.layers, np.arange(10.0)
    normalizer = layers.Normalization(axis=None)
    normalizer.adapt(x)
    wanted = (x[:3] - 4.5) / np.sqrt(8.25)
    np.testing.assert_allclose(normalizer(x[:3]), wanted, rtol=1e-5)
    np.testing.assert_allclose(normalizer(x[None, :3]), wanted[None], rtol=1e-5)
    model = keras.Sequential([layers.Input((1,)), normalizer, layers.Dense(1, kernel_initializer="ones")])
    with says(keras, "a last axis of size 1 is added"):
        np.testing.assert_allclose(model.predict(x[:3], verbose=0), wanted[:, None], rtol=1e-5)
    model.compile("sgd", "mse")
    model.fit(x, 2 * x, validation_split=0.2, verbose=0)


@both
def test_layers_without_a_weight_have_none_in_its_place(keras):
    layers = keras.layers
    for layer, shape in (
        (layers.Dense(2, use_bias=False), (2, 3)), (layers.Conv1D(2, 2, use_bias=False), (2, 4, 3)),
        (layers.Conv2D(2, 2, use_bias=False), (2, 4, 4, 3)), (layers.DepthwiseConv2D(2, use_bias=False), (2, 4, 4, 3)),
        (layers.SeparableConv1D(2, 2, use_bias=False), (2, 4, 3)),
        (layers.Conv2DTranspose(2, 2, use_bias=False), (2, 4, 4, 3)),
        (layers.EinsumDense("ab,bc->ac", output_shape=2), (2, 3)),
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            layer.bias  # noqa: B018
        layer(np.ones(shape))
        assert layer.bias is None
    for cell in (layers.LSTM(2, use_bias=False).cell, layers.GRU(2, use_bias=False).cell):
        cell.build((None, 3))
        assert cell.bias is None
    for layer in (layers.BatchNormalization, layers.LayerNormalization):
        shifted, stretched = layer(scale=False), layer(center=False)
        shifted(np.ones((2, 3)))
        stretched(np.ones((2, 3)))
        assert shifted.gamma is None is stretched.beta


@both
def test_normalizations_take_single_samples_and_other_ranks(keras):
    layers, x = keras.layers, np.array([[1.0, 2.0, 6.0], [0.0, 3.0, 3.0]])
    for layer in (layers.LayerNormalization(), layers.RMSNormalization(), layers.UnitNormalization()):
        rows = np.asarray(layer(x))
        np.testing.assert_allclose(layer(x[0]), rows[0], atol=1e-6)
        np.testing.assert_allclose(layer(x[None]), rows[None], atol=1e-6)
    for layer in (layers.LayerNormalization(), layers.RMSNormalization(), layers.BatchNormalization()):
        assert layer(x[0]).shape == (3,)
    normalizer = layers.Normalization()
    normalizer.adapt(x)
    np.testing.assert_allclose(normalizer(x[None])[0], normalizer(x), atol=1e-6)


@both
def test_softmax_takes_the_masks_that_can_be_broadcast(keras):
    softmax, x = keras.layers.Softmax(), np.zeros((2, 2, 3))
    kept = np.array([[1, 1, 0], [0, 0, 0]])
    wanted = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])[:, None].repeat(2, 1)
    for mask in (kept[:, None] == 1, kept[:, None], kept[:, None] * 0.6, (kept[:, None] == 1).repeat(2, 1)):
        np.testing.assert_allclose(softmax(x, mask=mask), wanted, atol=1e-6)
    for shape in ((2, 2), (1, 2, 2, 3)):
        with pytest.raises(ValueError, match="mask"):
            softmax(x, mask=np.ones(shape, bool))


@both
def test_a_stack_that_is_called_augments_images_as_its_layers_do_by_themselves(keras):
    layers, x = keras.layers, np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    augment = keras.Sequential([layers.RandomRotation(0.5), layers.Dropout(0.9)])
    model = keras.Sequential([layers.Input((8, 8, 3)), augment, layers.Flatten()])
    flat = x.reshape(4, -1)
    for y, plain in ((augment(x), x), (model(x), flat)):
        assert not np.allclose(y, plain)
        assert np.mean(np.asarray(y) == 0) < 0.5  # Dropout does nothing without training=True
    assert not np.allclose(augment(x), augment(x))
    for y in (augment(x, training=False), augment.predict(x, verbose=0)):
        np.testing.assert_allclose(y, x)
    for y in (model(x, training=False), model.predict(x, verbose=0)):
        np.testing.assert_allclose(y, flat)


@both
def test_image_layers_and_mel_spectrogram_take_one_sample_by_themselves(keras):
    layers, image = keras.layers, np.random.default_rng(0).random((8, 10, 3), "float32") * 255
    for layer in (
        layers.Resizing(4, 4), layers.CenterCrop(4, 4), layers.RandomFlip(), layers.RandomContrast(0.5),
        layers.AutoContrast(), layers.Solarization(), layers.Resizing(4, 4, data_format="channels_first"),
        keras.Sequential([layers.Resizing(4, 4), layers.Rescaling(1 / 255)]),
        layers.Pipeline([layers.RandomFlip(), layers.Resizing(4, 4)]),
    ):  # fmt: skip
        one = np.asarray(layer(image, training=False))
        if keras is lamina:  # Keras's own layers keep the rank that they were first called with
            np.testing.assert_allclose(one, layer(image[None], training=False)[0], atol=1e-3)
        assert one.ndim == 3
    assert layers.RandomCrop(4, 4)(image, training=True).shape == (4, 4, 3)
    signal = np.sin(np.arange(4096) / 9).astype("float32")
    assert layers.MelSpectrogram()(signal).shape == (128, 9)


@ours  # in Keras some of them compute with the integers, and others fail
def test_layers_that_compute_make_floats_of_integers(keras):
    layers, x = keras.layers, np.arange(48).reshape(2, 4, 6).astype("uint8")
    for layer in (
        layers.BatchNormalization(), layers.LayerNormalization(), layers.GroupNormalization(2), layers.Dense(2),
        layers.Conv1D(2, 2), layers.LSTM(2), layers.GlobalAveragePooling1D(), layers.AveragePooling1D(2),
        layers.AdaptiveAveragePooling1D(2),
    ):  # fmt: skip
        found = layer(x)
        assert str(found.dtype) == "float32"
        np.testing.assert_allclose(found, layer(x.astype("float32")), atol=1e-5)
    for layer in (layers.Flatten(), layers.Permute((2, 1)), layers.ReLU(), layers.MaxPooling1D(2), layers.Dropout(0.5)):
        assert str(layer(x).dtype) == "uint8"
    assert layers.Activation("relu")(-1.0) == 0


@ours
def test_gray_images_of_a_stack_are_not_taken_for_one_image(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Resizing(4, 4)])
    with says(keras, "a last axis of size 1 is added"):
        assert model(np.ones((3, 8, 8))).shape == (3, 4, 4, 1)
    assert model(np.ones((8, 8, 1))).shape == (4, 4, 1)
    with pytest.raises(keras.errors.ShapeError, match="expects 4 dimensions"):
        keras.Sequential([layers.Input((8, 8)), layers.Resizing(4, 4)])


@both
def test_softmax_over_all_axes(keras):
    x = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    expected = np.exp(x) / np.exp(x).sum()
    for softmax in (keras.ops.softmax, keras.activations.softmax):
        np.testing.assert_allclose(softmax(x, axis=None), expected, rtol=1e-5)
    np.testing.assert_allclose(keras.ops.log_softmax(x, axis=None), np.log(expected), rtol=1e-5)


@both
def test_numbers_in_the_other_byte_order(keras):
    x = np.arange(12.0).reshape(3, 4).astype(">f4")
    layer = keras.layers.Dense(2, kernel_initializer="ones")
    np.testing.assert_allclose(layer(x), x.sum(1, keepdims=True) * np.ones(2), rtol=1e-6)
    np.testing.assert_array_equal(keras.layers.Flatten()(x.reshape(3, 2, 2)), x)


@both
def test_images_of_whole_numbers_are_scaled_up_rounded(keras):
    x = np.arange(12, dtype="uint8").reshape(1, 2, 2, 3) * 20
    y = np.asarray(keras.layers.UpSampling2D(2, interpolation="bilinear")(x))
    exact = keras.layers.UpSampling2D(2, interpolation="bilinear")(x.astype("float32"))
    assert y.dtype == "uint8"
    np.testing.assert_array_equal(y, np.round(exact))


@ours
def test_sparsemax_of_whole_numbers_without_a_sign(keras):
    np.testing.assert_allclose(keras.ops.sparsemax(np.array([1, 3], "uint32")), [0, 1])


@both
def test_configs_name_the_quantization(keras):
    for layer in (keras.layers.Embedding(3, 2), keras.layers.EinsumDense("ab,bc->ac", 3), keras.layers.Dense(1)):
        assert layer.get_config()["quantization_config"] is None
        assert type(layer).from_config(layer.get_config()).get_config()["quantization_config"] is None


@ours
def test_a_log_with_another_separator_is_not_gone_on_with(keras, tmp_path):
    name = str(tmp_path / "log.csv")
    dense(keras).fit(X, Y, verbose=0, callbacks=[keras.callbacks.CSVLogger(name, separator=";")])
    before = Path(name).read_text()
    model = dense(keras)
    weights = model.get_weights()
    with pytest.raises(lamina.errors.ArgumentError, match="'epoch;loss;val_loss'"):
        model.fit(X, Y, verbose=0, callbacks=[keras.callbacks.CSVLogger(name, append=True)])
    assert Path(name).read_text() == before
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
