"""Images and sound: real Keras's transforms for Keras's own draws, what is drawn, and what is refused."""

import warnings

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from quick import quickly

import lamina
from lamina import layers
from lamina._layer.keys import seed_of
from lamina.errors import ArgumentError, ShapeError, StackError
from lamina.random import key_of

SHAPE = (6, 7, 9, 3)
IMAGES = np.random.default_rng(0).uniform(0, 255, SHAPE).astype("float32")


def column(value):
    return jnp.asarray(value).reshape(-1, 1, 1, 1)


def flags(name):
    return lambda t: {"apply": column(t[name])}


# Layer, settings, and Keras's drawn transformation as arguments of our `_lamina_transform`; None where we take it too.
TRANSFORMS = [
    ("RandomFlip", {}, None),
    ("RandomFlip", {"mode": "horizontal"}, None),
    *(
        (
            "RandomRotation",
            {"factor": 0.3, "fill_mode": mode, "interpolation": way, "fill_value": 9.0},
            lambda t: {"angle": jnp.deg2rad(t["angle"])},
        )
        for mode in ("reflect", "wrap", "constant", "nearest")
        for way in ("bilinear", "nearest")
    ),
    (
        "RandomTranslation",
        {"height_factor": 0.6, "width_factor": (-0.1, 0.8), "fill_mode": "constant"},
        None,
    ),
    ("RandomZoom", {"height_factor": 0.5}, None),
    ("RandomZoom", {"height_factor": (0.1, 0.9), "width_factor": 0.4, "fill_mode": "wrap"}, None),
    ("RandomShear", {"x_factor": 0.6, "y_factor": (0.1, 0.4)}, None),
    ("RandomPerspective", {"factor": (0.8, 1.0), "scale": 0.6, "fill_value": 3.0}, None),
    ("RandomContrast", {"factor": (0.5, 0.9)}, None),
    ("RandomBrightness", {"factor": 0.5}, lambda t: {"factor": t["rgb_delta"] / 255}),
    ("RandomBrightness", {"factor": (0.2, 0.5), "value_range": (0, 200)}, lambda t: {"factor": t["rgb_delta"] / 200}),
    ("RandomHue", {"factor": 0.9}, lambda t: {"turn": t["factor"].reshape(-1, 1, 1)}),
    (
        "RandomSaturation",
        {"factor": (0.2, 0.8)},
        lambda t: {"factor": column(t["factor"] * (1 + 1e-7) / (1 + t["factor"]))},
    ),
    ("RandomColorDegeneration", {"factor": 0.8}, lambda t: {"factor": t["factor"]}),
    ("RandomGrayscale", {"factor": 0.5}, lambda t: {"apply": t}),
    ("RandomInvert", {"factor": (0.3, 0.9)}, flags("apply_inversion")),
    ("RandomPosterization", {"factor": 6}, lambda t: {"shift": column(t["shift_factor"]).astype(jnp.int32)}),
    ("RandomSharpness", {"factor": 0.9}, lambda t: {"factor": column(t["factor"])}),
    ("RandomGaussianBlur", {"kernel_size": (3, 5), "sigma": (0.5, 0.9)}, None),
    (
        "Solarization",
        {"addition_factor": 0.4, "threshold_factor": (0.2, 0.6), "value_range": (0, 250)},
        lambda t: {"addition": t["additions"], "threshold": t["thresholds"]},
    ),
    ("RandomErasing", {"factor": (0.5, 1.0), "fill_value": 40.0}, None),
    ("CutMix", {}, None),
    ("MixUp", {"alpha": 0.5}, None),
]
RANDOM = sorted({name for name, _, _ in TRANSFORMS} | {"RandomElasticTransform", "RandomColorJitter", "RandomCrop"})
SETTINGS = {name: settings for name, settings, _ in TRANSFORMS} | {
    "RandomElasticTransform": {"factor": (1.0, 1.0), "scale": (0.3, 0.6)},
    "RandomColorJitter": {"brightness_factor": 0.2, "contrast_factor": 0.3, "saturation_factor": 0.6},
    "RandomCrop": {"height": 4, "width": 5},
}


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize(("name", "settings", "ours"), TRANSFORMS, ids=lambda v: v if isinstance(v, str) else None)
def test_transform_equals_keras_for_its_draws(name, settings, ours):
    other = getattr(keras.layers, name)(**settings, seed=1)
    drawn = other.get_random_transformation(jnp.asarray(IMAGES), training=True)
    want = other.transform_images(jnp.asarray(IMAGES), drawn, training=True)
    layer = getattr(layers, name)(**settings)
    got = layer._lamina_transform(IMAGES, **ours(drawn)) if ours else layer.transform_images(IMAGES, drawn)
    assert not np.allclose(want, IMAGES)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-3)  # of 255


def test_elastic_equals_keras_for_the_same_noise():
    settings = {"factor": (1.0, 1.0), "scale": (0.8, 0.8)}
    other = keras.layers.RandomElasticTransform(**settings)
    drawn = {"apply_transform": jnp.ones(6, bool), "distortion_factor": jnp.float32(0.8), "seed": 7}
    noise = jax.random.normal(key_of(7), SHAPE[:3], jnp.float32)
    got = layers.RandomElasticTransform(**settings)._lamina_transform(
        jnp.asarray(IMAGES),
        apply=jnp.ones((6, 1, 1, 1), bool),
        strength=jnp.full(6, 0.8),
        noise=jnp.stack([noise, noise], -1),
    )
    np.testing.assert_allclose(got, other.transform_images(jnp.asarray(IMAGES), drawn), rtol=1e-5, atol=2e-3)


def trained(layer, x=IMAGES):
    return np.asarray(quickly(lambda x: layer(x, training=True))(jnp.asarray(x)))


@pytest.mark.parametrize("name", [*RANDOM, "RandAugment", "AugMix"])
def test_images_differ_seeds_repeat_and_inference_is_the_identity(name):
    settings = SETTINGS.get(name, {})
    same = np.repeat(IMAGES[:1], 12, 0) if name not in ("MixUp", "CutMix") else np.concatenate([IMAGES, IMAGES[::-1]])
    made = lambda seed: trained(getattr(layers, name)(**settings, seed=seed, name="a"), same)  # noqa: E731
    lamina.utils.set_random_seed(0)
    first = made(1)
    assert len({image.tobytes() for image in first}) > 1
    lamina.utils.set_random_seed(0)
    np.testing.assert_array_equal(made(1), first)
    lamina.utils.set_random_seed(0)
    assert not np.array_equal(made(2), first)
    if name != "RandomCrop":
        np.testing.assert_array_equal(getattr(layers, name)(**settings)(same, training=False), same)


@pytest.mark.parametrize("name", ["RandomFlip", "RandomRotation", "RandomContrast", "RandomCrop", "RandAugment"])
def test_called_by_itself_it_changes_images_each_time_anew_as_in_keras(name):
    for family in (layers, keras.layers):
        layer = getattr(family, name)(**SETTINGS.get(name, {}), seed=3)
        calls = [np.asarray(layer(IMAGES)) for _ in range(4)]
        assert len({call.tobytes() for call in calls}) > 1
        assert calls[0].shape != IMAGES.shape or any(not np.allclose(call, IMAGES) for call in calls)
        fixed = {np.asarray(layer(IMAGES, training=False)).tobytes() for _ in range(2)}
        assert len(fixed) == 1 and not fixed & {call.tobytes() for call in calls}


def test_calls_by_itself_leave_the_draws_of_a_stack_as_they_are():
    def weights(calls):
        lamina.utils.set_random_seed(5)
        flip = layers.RandomFlip()
        model = lamina.Sequential([layers.Input(IMAGES.shape[1:]), flip, layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        for _ in range(calls):
            flip(IMAGES)
        model.fit(IMAGES / 255, np.ones(len(IMAGES)), epochs=2, shuffle=False, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_array_equal(weights(0), weights(3))


@pytest.mark.parametrize("name", ["RandomFlip", "RandomRotation", "RandomContrast", "RandomErasing", "RandomCrop"])
def test_channels_first_is_the_same_with_the_axes_moved(name):
    settings = SETTINGS[name]
    layer = getattr(layers, name)(**settings)
    turned = getattr(layers, name)(**settings, data_format="channels_first")
    turned._lamina.seed = seed_of(layer)
    got = trained(turned, np.moveaxis(IMAGES, 3, 1))
    np.testing.assert_allclose(np.moveaxis(got, 1, 3), trained(layer), rtol=1e-5, atol=1e-3)


def test_each_step_draws_anew_and_only_while_training():
    seen = []

    class Note(layers.Layer):
        def call(self, x, training=False):
            if training:
                jax.debug.callback(lambda y: seen.append(np.asarray(y)), x)
            return x

    model = lamina.Sequential([layers.Input((4, 4, 1)), layers.RandomFlip(), Note(), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.tile(np.arange(16, dtype="float32").reshape(1, 4, 4, 1), (8, 1, 1, 1))
    model.fit(x, np.zeros(8), epochs=3, batch_size=8, shuffle=False, verbose=0)
    jax.effects_barrier()
    assert len({step.tobytes() for step in seen}) == 3
    assert {image[0, 0, 0] for step in seen for image in step} == {0, 3, 12, 15}  # both directions, each by itself
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(x), x.reshape(8, 16) @ kernel + bias, rtol=1e-5)


def many(name, **settings):
    return getattr(layers, name)(**settings)._lamina_draw(key_of(3), (4000, 10, 20, 3))


def test_draws_fill_their_ranges():
    angle = many("RandomRotation", factor=(-0.1, 0.2))["angle"] / (2 * np.pi)
    zoom = many("RandomZoom", height_factor=0.3)
    shift = many("RandomTranslation", height_factor=0.1, width_factor=(0.2, 0.4))["translations"]
    contrast = many("RandomContrast", factor=(0.2, 0.5))["contrast_factor"]
    shear = many("RandomShear", x_factor=(0.1, 0.2))["shear_factor"][:, 0]
    bits = 8 - many("RandomPosterization", factor=4)["shift"]
    crop = many("RandomCrop", height=8, width=20)["corner"]
    for values, low, high in [
        (angle, -0.1, 0.2), (zoom["height_zoom"], 0.7, 1.3), (shift[:, 1], -1, 1), (shift[:, 0], 4, 8),
        (contrast, 0.8, 1.5), (abs(shear), 0.1, 0.2), (bits, 1, 3), (crop[:, 0], 0, 2),
    ]:  # fmt: skip
        assert low - 1e-5 <= values.min() and values.max() <= high + 1e-5
        assert values.max() - values.min() > 0.98 * (high - low)
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
    np.testing.assert_array_equal(zoom["height_zoom"], zoom["width_zoom"])
    assert abs((shear > 0).mean() - 0.5) < 0.04 and (crop[:, 1] == 0).all()
    assert abs(many("RandomInvert", factor=(0.2, 0.4))["apply"].mean() - 0.3) < 0.03
    box = many("RandomErasing", scale=(0.25, 0.25), fill_value=0)["batch_masks"]
    np.testing.assert_allclose(box.sum((1, 2, 3)), 50, atol=6)  # half of 10 times half of 20


def test_an_all_but_certain_chain_of_changes_stays_in_range():
    for layer in (layers.RandAugment(num_ops=3, factor=0.9), layers.AugMix(factor=0.9)):
        y = trained(layer)
        assert y.min() >= 0 and y.max() <= 255 and np.isfinite(y).all()
        assert not np.allclose(y, IMAGES)


def test_crop_takes_windows_of_the_image():
    x = np.arange(6 * 7 * 9, dtype="float32").reshape(6, 7, 9, 1)
    y = trained(layers.RandomCrop(4, 5), x)
    np.testing.assert_array_equal(np.diff(y, axis=2), 1)
    np.testing.assert_array_equal(np.diff(y, axis=1), 9)
    assert len({image[0, 0, 0] % 63 for image in y}) > 1
    assert layers.RandomCrop(20, 10)(x).shape == trained(layers.RandomCrop(20, 10), x).shape == (6, 20, 10, 1)


def test_resizing_rounds_whole_numbers():
    x = IMAGES.astype("uint8")
    for method in ("bilinear", "bicubic"):
        want = keras.layers.Resizing(5, 20, interpolation=method)(x)
        got = layers.Resizing(5, 20, interpolation=method)(x)
        assert got.dtype == "uint8"
        np.testing.assert_array_equal(got, want)


def test_sizes_that_are_not_known_yet():
    assert layers.Resizing(8, 9).compute_output_shape((None, None, None, 3)) == (None, 8, 9, 3)
    assert layers.MelSpectrogram(num_mel_bins=7).compute_output_shape((None, 16000)) == (None, 7, 32)
    assert layers.STFTSpectrogram(frame_length=16).compute_output_shape((None, None, 2)) == (None, None, 18)


def test_gradients_pass_through():
    for layer in (layers.RandomRotation(0.1), layers.RandomHue(0.3), layers.RandAugment()):
        grad = quickly(jax.grad(lambda x, layer=layer: layer(x, training=True).sum()))(jnp.asarray(IMAGES))
        assert np.isfinite(grad).all() and np.abs(grad).sum() > 0


def test_mel_spectrogram_of_a_tone_peaks_at_its_pitch():
    time = np.arange(16000) / 16000
    loud = [int(np.argmax(layers.MelSpectrogram()(np.sin(2 * np.pi * f * time)[None])[0, :, 16])) for f in (440, 3000)]
    want = keras.layers.MelSpectrogram()(np.sin(2 * np.pi * 440 * time)[None].astype("float32"))
    got = layers.MelSpectrogram()(np.sin(2 * np.pi * 440 * time)[None].astype("float32"))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-3)  # decibels
    assert abs(loud[0] - 24) <= 1 and abs(loud[1] - 85) <= 1


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: layers.RandomRotation(2), ArgumentError, r"RandomRotation\(factor=2\): .* from -1 to 1"),
        (lambda: layers.RandomRotation(0.1, fill_mode="reflct"), ArgumentError, "got 'reflct'"),
        (lambda: layers.RandomZoom(-1.0), ArgumentError, "above -1"),
        (lambda: layers.RandomTranslation("a", 0), ArgumentError, "expected a number"),
        (lambda: layers.RandomFlip("sideways"), ArgumentError, "horizontal_and_vertical"),
        (lambda: layers.RandomContrast(0.5, value_range=(3, 3)), ArgumentError, "lowest and the highest"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), ArgumentError, "an odd number"),
        (lambda: layers.RandomPosterization(9), ArgumentError, "from 1 to 8"),
        (lambda: layers.RandomErasing(fill_value=(1, 2)), ArgumentError, "three numbers"),
        (lambda: layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=8), ArgumentError, "two whole"),
        (
            lambda: layers.ContrastLimitedAdaptiveHistogramEqualization()(np.ones((1, 8, 7, 1))),
            ShapeError,
            r"a pixel or more for each tile of tile_grid_size=\(8, 8\)",
        ),
        (lambda: layers.Resizing(0, 3), ArgumentError, "at least 1"),
        (lambda: layers.Resizing(2, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), ArgumentError, "both"),
        (lambda: lamina.Sequential([layers.RandomFlip(bounding_box_format="xyxy")]), StackError, "images alone"),
        (lambda: lamina.Sequential([layers.MaxNumBoundingBoxes(4)]), StackError, "changes the boxes of the images"),
        (lambda: layers.RandomFlip(bounding_box_format="xy"), ArgumentError, "'xyxy'"),
        (lambda: layers.RandomHue(0.1)(np.ones((1, 4, 4, 2))), ShapeError, "expects 3 channels .*got 2"),
        (lambda: layers.RandomFlip()(np.ones((4, 4))), ShapeError, "expects 4 dimensions"),
        (lambda: layers.RandomGrayscale()(np.ones((1, 4, 4, 2))), ShapeError, "expects 1 or 3 channels"),
        (lambda: layers.MelSpectrogram(fft_length=8, sequence_length=9), ArgumentError, "at least sequence_length"),
        (lambda: layers.MelSpectrogram(min_freq=9000.0), ArgumentError, "below max_freq"),
        (lambda: layers.MelSpectrogram(window=[1.0, 2.0]), ArgumentError, "has 2 values"),
        (lambda: layers.STFTSpectrogram(frame_length=8, frame_step=9), ArgumentError, "at most frame_length"),
        (lambda: layers.STFTSpectrogram(frame_length=8, fft_length=4), ArgumentError, "at least frame_length"),
        (lambda: layers.STFTSpectrogram(frame_length=8)(np.ones((1, 5, 1))), ShapeError, "at least 8 time steps"),
        (lambda: layers.STFTSpectrogram(window="hxnn"), ArgumentError, "get_window"),
        (lambda: layers.STFTSpectrogram(frame_length=8, window=[1.0]), ArgumentError, "1 values, frame_length is 8"),
        (lambda: layers.MelSpectrogram(window=3), ArgumentError, "a window's name, its values in a list, or None"),
        (lambda: layers.MelSpectrogram(fft_length="64"), ArgumentError, "whole number, got '64'"),
        (lambda: layers.CenterCrop(4.5, 4), ArgumentError, r"CenterCrop\(height=4.5\): expected a whole number"),
        (lambda: layers.RandomCrop(-4, 4), ArgumentError, "at least 1, got -4"),
        (lambda: layers.Resizing(4, 4, fill_value="a"), ArgumentError, "expected a number, got 'a'"),
        (lambda: layers.RandomBrightness((0.1, 0.2, 0.3)), ArgumentError, "expected a number"),
        (lambda: layers.RandomErasing(scale=(0.1, 2)), ArgumentError, "from 0 to 1"),
        (lambda: layers.RandomFlip(seed="x"), ArgumentError, "whole number, got 'x'"),
        (lambda: layers.RandomFlip(data_format="last"), ArgumentError, "'channels_last', 'channels_first', got 'last'"),
        (lambda: layers.RandAugment(num_ops=1.5), ArgumentError, "whole number, got 1.5"),
        (lambda: layers.MixUp(alpha=-1), ArgumentError, "above 0, got -1"),
    ],
)  # fmt: skip
def test_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_slow_transform_is_said():
    with pytest.warns(lamina.errors.LaminaWarning, match="fft_length=12"):
        layers.STFTSpectrogram(frame_length=8, fft_length=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.STFTSpectrogram(frame_length=8, fft_length=16)
