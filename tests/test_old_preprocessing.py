"""Keras 2's preprocessing of text, sequences and images, against what Keras keeps of it for its own use."""

from __future__ import annotations

import importlib
import json
import random

import jax
import jax.numpy as jnp
import keras
import keras.src.legacy.preprocessing.image as keras_image
import keras.src.legacy.preprocessing.sequence as keras_sequence
import keras.src.legacy.preprocessing.text as keras_text
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

import lamina
from lamina.compat.preprocessing import image, sequence, text
from lamina.errors import ArgumentError, DataError, LaminaWarning

TEXTS = ["The cat sat on the mat.", "The dog, the dog! It ate my homework\tand", ["Already", "split", "the"], "", "cat"]


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"num_words": 4}, {"num_words": 5, "oov_token": "<OOV>"}, {"oov_token": "?", "lower": False},
        {"char_level": True}, {"filters": "t", "split": "a"}, {"analyzer": lambda words: sorted(str(words))},
    ],
)  # fmt: skip
def test_a_tokenizer_is_keras_s(settings):
    theirs, ours = keras_text.Tokenizer(**settings), text.Tokenizer(**settings)
    for each in (theirs, ours):
        each.fit_on_texts(TEXTS)
        each.fit_on_sequences([[1, 2], [2, 9]])
    assert ours.get_config() == theirs.get_config()
    unseen = [*TEXTS, "a cat flew", "mat mat mat"]
    numbers = theirs.texts_to_sequences(unseen)
    assert ours.texts_to_sequences(unseen) == numbers
    assert ours.sequences_to_texts([*numbers, [99, 1]]) == theirs.sequences_to_texts([*numbers, [99, 1]])
    for mode in ("binary", "count", "freq", "tfidf"):
        np.testing.assert_allclose(ours.texts_to_matrix(unseen, mode), theirs.texts_to_matrix(unseen, mode))
    assert ours.to_json() == theirs.to_json()
    again = text.tokenizer_from_json(theirs.to_json())
    assert again.get_config() == theirs.get_config()
    if "analyzer" not in settings:
        assert again.texts_to_sequences(unseen) == numbers


def test_words_and_their_hashes_are_keras_s():
    for options in ({}, {"lower": False}, {"filters": "o"}, {"split": "t"}):
        assert text.text_to_word_sequence(TEXTS[1], **options) == keras_text.text_to_word_sequence(TEXTS[1], **options)
        assert text.one_hot(TEXTS[1], 50, **options) == keras_text.one_hot(TEXTS[1], 50, **options)
        for function in (None, "md5", len):
            expected = keras_text.hashing_trick(TEXTS[1], 70, function, **options)
            assert text.hashing_trick(TEXTS[1], 70, function, **options) == expected


def test_a_tokenizer_without_words_says_what_to_do():
    tokenizer = text.Tokenizer()
    with pytest.raises(ArgumentError, match="call fit_on_texts first, or give num_words"):
        tokenizer.texts_to_matrix(["a"])
    with pytest.raises(ArgumentError, match="needs counts of texts"):
        text.Tokenizer(num_words=3).texts_to_matrix(["a"], mode="tfidf")
    tokenizer.fit_on_texts(["a"])
    with pytest.raises(ArgumentError, match="mode='tf': expected 'binary'"):
        tokenizer.texts_to_matrix(["a"], mode="tf")


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"batch_size": 3}, {"sampling_rate": 2, "reverse": True}, {"stride": 3, "batch_size": 2},
        {"start_index": 2, "end_index": 15}, {"shuffle": True, "batch_size": 4},
    ],
)  # fmt: skip
def test_windows_of_a_series_are_keras_s(settings):
    data, targets = np.arange(40.0).reshape(20, 2), np.arange(20) * 2
    theirs = keras_sequence.TimeseriesGenerator(data, targets, 4, **settings)
    ours = sequence.TimeseriesGenerator(data, targets, 4, **settings)
    assert len(ours) == len(theirs)
    for batch in range(len(theirs)):
        state = np.random.get_state()
        expected = theirs[batch]
        np.random.set_state(state)
        for part, known in zip(ours[batch], expected, strict=True):
            np.testing.assert_array_equal(part, known)
    config = json.loads(ours.to_json())["config"]  # Keras's own to_json fails
    assert json.loads(config.pop("data")) == data.tolist() and json.loads(config.pop("targets")) == targets.tolist()
    assert config == {name: getattr(theirs, name) for name in config}
    with pytest.raises(ArgumentError, match="no window is left"):
        sequence.TimeseriesGenerator(data, targets, 20)
    with pytest.raises(ArgumentError, match="data has 20 steps and targets 3"):
        sequence.TimeseriesGenerator(data, targets[:3], 2)


def test_skipgrams_and_their_table_are_keras_s():
    np.testing.assert_allclose(sequence.make_sampling_table(100), keras_sequence.make_sampling_table(100), rtol=1e-6)
    words = [1, 2, 0, 3, 4, 2]
    for options in ({}, {"window_size": 1}, {"categorical": True}, {"negative_samples": 0.5}, {"negative_samples": 0}):
        found = []
        for library in (keras_sequence, sequence):
            random.seed(3)
            pairs, labels = library.skipgrams(words, 9, shuffle=False, **options)
            found.append((pairs, labels))
        assert found[0] == found[1]
    pairs, labels = sequence.skipgrams(words, 9, seed=1)
    again = sequence.skipgrams(words, 9, seed=1, sampling_table=np.ones(9))
    plain = sequence.skipgrams(words, 9, negative_samples=0, shuffle=False)[0]
    assert sorted(pair for pair, label in zip(pairs, labels, strict=True) if label) == sorted(plain)
    assert again[1] == labels
    assert sequence.skipgrams(words, 9, sampling_table=np.zeros(9)) == ([], [])


@pytest.mark.parametrize("size", [(4, 4), (6, 3), (12, 10)])
def test_smart_resize_is_keras_s(size):
    x = np.random.default_rng(0).random((2, 8, 6, 3), "float32")
    for options in ({}, {"interpolation": "nearest"}):
        found = lamina.preprocessing.image.smart_resize(x, size, **options)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, keras.preprocessing.image.smart_resize(x, size, **options), atol=1e-5)
    first = lamina.preprocessing.image.smart_resize(
        jnp.asarray(x[0]).swapaxes(0, 2), size, data_format="channels_first"
    )
    assert first.shape == (3, *size) and isinstance(first, jax.Array)


def test_the_module_shows_keras_s_names():
    for path in ("preprocessing", "preprocessing.image", "preprocessing.sequence"):
        ours, theirs = (importlib.import_module(f"{name}.{path}") for name in ("lamina", "keras"))
        assert set(ours.__all__) == {name for name in dir(theirs) if name[0] != "_"}
        for name in ours.__all__:
            assert getattr(ours, name)


@pytest.fixture
def with_scipy(monkeypatch):
    """Keras looks for a function where SciPy had it once."""
    monkeypatch.setattr(ndimage, "interpolation", ndimage, raising=False)


SETTINGS = [
    {}, {"rotation_range": 40}, {"width_shift_range": 0.3, "height_shift_range": 0.2, "fill_mode": "wrap"},
    {"width_shift_range": [1, 3], "height_shift_range": 3}, {"shear_range": 30, "fill_mode": "constant", "cval": 9.0},
    {"zoom_range": 0.4}, {"zoom_range": (0.5, 0.9), "interpolation_order": 0}, {"channel_shift_range": 40.0},
    {"brightness_range": (0.3, 1.7)}, {"horizontal_flip": True, "vertical_flip": True},
    {"rescale": 1 / 255, "samplewise_center": True, "samplewise_std_normalization": True},
    {"featurewise_center": True, "featurewise_std_normalization": True}, {"zca_whitening": True, "zca_epsilon": 1e-3},
    {"preprocessing_function": lambda pixels: pixels / 2, "fill_mode": "reflect", "rotation_range": 20},
    {"data_format": "channels_first", "rotation_range": 20, "zoom_range": 0.2, "featurewise_center": True},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:This ImageDataGenerator:UserWarning", "ignore:.*data format convention")
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings) or "plain")
def test_an_image_generator_changes_images_as_keras_does(with_scipy, settings):
    x = np.random.default_rng(0).integers(0, 255, (7, 6, 5, 3)).astype("float32")
    x = np.moveaxis(x, -1, 1) if settings.get("data_format") == "channels_first" else x
    y, batches = np.arange(7), []
    for library in (keras_image, image):
        generator = library.ImageDataGenerator(**settings)
        generator.fit(x.copy(), augment=bool(settings), rounds=2, seed=4)
        flow = generator.flow(x, y, batch_size=3, seed=5)
        np.random.seed(1)
        batches.append([next(flow) for _ in range(4)] + [flow[1]] + [generator.random_transform(x[0], seed=8)])
    for theirs, ours in zip(*batches, strict=True):
        for known, part in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(part, known, rtol=2e-4, atol=2e-4)


def test_parts_of_an_array_are_keras_s():
    x, y, weight = np.random.rand(8, 3, 3, 1), np.arange(8) % 2, np.arange(8.0)
    for subset in ("training", "validation"):
        flows = [
            library.ImageDataGenerator(validation_split=0.5).flow(
                (x, [y + 1]), y, sample_weight=weight, subset=subset, shuffle=False, batch_size=3
            )
            for library in (keras_image, image)
        ]
        assert len(flows[0]) == len(flows[1])
        (theirs, their_y, _), (ours, our_y, our_weight) = (next(flow) for flow in flows)
        for known, part in zip([*theirs, their_y], [*ours, our_y], strict=True):
            np.testing.assert_array_equal(part, known)
        assert our_weight.tolist() == ([0, 1, 2] if subset == "validation" else [4, 5, 6])
    generator = image.ImageDataGenerator(validation_split=0.5)
    with pytest.raises(DataError, match="different classes"):
        generator.flow(x, np.sort(y), subset="training")
    with pytest.raises(ArgumentError, match="subset='test'"):
        generator.flow(x, y, subset="test")
    with pytest.raises(DataError, match="one row each"):
        generator.flow(x, y[:3])
    with pytest.raises(DataError, match=r"expected images, \(batch, rows, columns, channels\), got the shape \(8,\)"):
        generator.flow(y)
    with pytest.raises(DataError, match="there are 1 batches, none of the number 1"):
        generator.flow(x, y)[1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Images of two classes, one of them in a folder within."""
    base = tmp_path_factory.mktemp("images")
    chance = np.random.default_rng(0)
    for name in ("cats/1.png", "cats/2.png", "cats/deep/3.jpg", "dogs/1.png", "dogs/2.bmp", "dogs/3.png", "dogs/4.png"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 255, (9, 7, 3), dtype="uint8")).save(base / name)
    (base / "dogs" / "notes.txt").write_text("no image")
    return base


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"class_mode": "binary", "batch_size": 2}, {"class_mode": "sparse", "classes": ["dogs"]},
        {"class_mode": "input", "color_mode": "grayscale"}, {"class_mode": None, "color_mode": "rgba"},
        {"subset": "validation", "interpolation": "bilinear"}, {"subset": "training", "keep_aspect_ratio": True},
    ],
)  # fmt: skip
def test_images_in_folders_are_read_as_keras_reads_them(with_scipy, folders, settings, capsys):
    flows = [
        library.ImageDataGenerator(rotation_range=20, validation_split=0.5).flow_from_directory(
            str(folders), target_size=(6, 5), seed=3, **settings
        )
        for library in (keras_image, image)
    ]
    theirs, ours = flows
    for name in ("filenames", "class_indices", "samples", "n", "num_classes", "batch_size", "image_shape"):
        assert getattr(ours, name) == getattr(theirs, name), name
    np.testing.assert_array_equal(ours.classes, theirs.classes)
    for _ in range(len(theirs) + 1):
        known, found = next(theirs), next(ours)
        parts = [found] if isinstance(found, np.ndarray) else found
        for part, expected in zip(parts, [known] if len(parts) == 1 else known, strict=True):
            np.testing.assert_allclose(part, expected, atol=1e-3)
    assert f"Found {ours.samples} images belonging to" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"class_mode": "binary"}, {"class_mode": "sparse", "shuffle": False}, {"y_col": "several"},
        {"class_mode": "multi_output", "y_col": ["size", "weight"]}, {"class_mode": None}, {"class_mode": "input"},
        {"classes": ["b"]}, {"weight_col": "weight"}, {"subset": "training"}, {"class_mode": "raw", "y_col": "size"},
    ],
)  # fmt: skip
def test_images_of_a_frame_are_read_as_keras_reads_them(with_scipy, folders, settings):
    names = ["cats/1.png", "dogs/1.png", "dogs/3.png", "cats/2.png"]
    frame = pd.DataFrame({
        "filename": names, "class": list("abba"), "size": [1.0, 2.0, 3.0, 4.0], "weight": [0.1, 0.2, 0.3, 0.4],
        "several": [["a"], ["a", "b"], ["b"], ["c"]],
    })  # fmt: skip
    batches = []
    for library in (keras_image, image):
        generator = library.ImageDataGenerator(zoom_range=0.2, validation_split=0.5)
        batches.append(next(generator.flow_from_dataframe(frame, str(folders), target_size=(6, 5), seed=1, **settings)))
    theirs, ours = batches
    for part, known in zip(ours, theirs, strict=True):
        for one, other in zip(part, known, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)


def test_what_an_image_generator_cannot_do_is_said(folders):
    generator, frame = image.ImageDataGenerator(), pd.DataFrame({"filename": ["cats/1.png", "no.png"], "class": [1, 2]})
    with pytest.raises(ArgumentError, match="class_mode='other': expected 'categorical'"):
        generator.flow_from_directory(str(folders), class_mode="other")
    with pytest.raises(ArgumentError, match="color_mode='red'"):
        generator.flow_from_directory(str(folders), color_mode="red")
    with (
        pytest.warns(LaminaWarning, match="1 of 2 names"),
        pytest.raises(DataError, match="takes the names of classes"),
    ):
        generator.flow_from_dataframe(frame, str(folders))
    with pytest.raises(ArgumentError, match="zoom_range: expected two numbers"):
        image.ImageDataGenerator(zoom_range=[1, 2, 3])
    with pytest.raises(ArgumentError, match="validation_split=2"):
        image.ImageDataGenerator(validation_split=2)
    with pytest.raises(ArgumentError, match="data_format='last'"):
        image.ImageDataGenerator(data_format="last")
    with pytest.raises(ArgumentError, match="fit takes images"):
        generator.fit(np.ones((3, 3)))
    with pytest.warns(LaminaWarning, match="call fit"):
        image.ImageDataGenerator(featurewise_center=True).standardize(np.ones((2, 2, 1)))
    with pytest.raises(ArgumentError, match="an image has three axes"):
        image.apply_affine_transform(np.ones((2, 2)), 3)


def test_changed_images_are_written_where_asked(tmp_path):
    flow = image.ImageDataGenerator().flow(
        np.random.rand(2, 4, 4, 3), batch_size=2, save_to_dir=str(tmp_path), save_prefix="seen", save_format="jpeg"
    )
    next(flow)
    assert len(list(tmp_path.glob("seen_*.jpeg"))) == 2


@pytest.mark.parametrize("name", ["rotation", "shift", "shear", "zoom", "channel_shift", "brightness"])
def test_each_random_change_is_keras_s(with_scipy, name):
    x = np.random.default_rng(0).integers(0, 255, (3, 6, 5)).astype("float32")
    amounts = {"rotation": (30,), "shift": (0.3, 0.2), "shear": (20,), "zoom": ((0.5, 1.5),), "channel_shift": (30,),
               "brightness": ((0.5, 1.5),)}[name]  # fmt: skip
    found = []
    for library in (keras_image, image):
        np.random.seed(2)
        pixels = np.moveaxis(x, 0, -1) if name == "brightness" else x
        found.append(getattr(library, f"random_{name}")(pixels, *amounts))
    np.testing.assert_allclose(found[1], found[0], atol=1e-3)
