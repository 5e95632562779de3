"""The makers of datasets from folders and arrays, beside the functions of real Keras that need no TensorFlow."""

import os
import random
import re
import struct
import wave

import keras
import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
from keras.src.utils import dataset_utils, image_dataset_utils
from PIL import Image

import lamina
from lamina._data.scaling import INTERPOLATIONS, resampled, scaled
from lamina.errors import ArgumentError, CallError, DataError, FileError, MissingFileError
from lamina.layers import Dense, Flatten, Input, Rescaling, TextVectorization
from lamina.utils import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    split_dataset,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)

RANDOM = np.random.default_rng(0)
COUNTS = {"cat": 7, "dog": 5, "bird": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, texts and sounds, each in its class, some of them further down, beside what is none of them."""
    root = tmp_path_factory.mktemp("data")
    for name, count in COUNTS.items():
        (root / name / "more").mkdir(parents=True)
        (root / name / "notes.md").write_text("no data")
        for i in range(count):
            place = root / name / ("more" if i % 3 == 2 else "")
            size = (13, 22 if name == "bird" else 9 + i, 3)
            image = Image.fromarray(RANDOM.integers(0, 256, size, dtype="uint8"))
            image.convert("P" if i % 4 == 3 else "RGB").save(place / f"i{i}.{('png', 'BMP', 'jpg', 'gif')[i % 4]}")
            (place / f"t{i}.txt").write_text(f"{name} {i} " * (i + 1), encoding="utf-8")
            sound(place / f"s{i}.wav", RANDOM.integers(-(2**15), 2**15, (100 + 10 * i, 1 + (name == "x"))))
    (root / ".hidden").mkdir()
    return root


def sound(path, samples, rate=8000, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2" if width == 2 else "u1").tobytes())


KINDS = {
    "image": (image_dataset_from_directory, (".bmp", ".gif", ".jpeg", ".jpg", ".png")),
    "text": (text_dataset_from_directory, (".txt",)),
    "audio": (audio_dataset_from_directory, (".wav",)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"shuffle": False}, {"seed": 7}, {"class_names": ["dog", "bird", "cat"], "shuffle": False}, {"labels": None},
        {"class_names": ["dog", "cat"], "seed": 3}, {"labels": [3, 1, 1] * 5, "seed": 2}, {},
        {"validation_split": 0.3, "subset": "training", "seed": 5},
        {"validation_split": 0.3, "subset": "validation", "seed": 5},
        {"validation_split": 0.45, "subset": "both", "seed": 11},
        {"validation_split": 0.25, "subset": "both", "shuffle": False},
    ],
)  # fmt: skip
def test_files_labels_and_splits_are_those_of_keras(folder, kind, arguments, capsys):
    make, formats = KINDS[kind]
    keras.utils.set_random_seed(4)
    given = {"labels": "inferred", "shuffle": True, "seed": None, "class_names": None} | arguments
    split, subset = given.pop("validation_split", None), given.pop("subset", None)
    given["seed"] = np.random.randint(1e6) if given["seed"] is None else given["seed"]
    paths, labels, names = dataset_utils.index_directory(str(folder), formats=formats, **given)
    parts = ["training", "validation"] if subset == "both" else [subset]
    theirs = [dataset_utils.get_training_or_validation_split(paths, labels, split, part) for part in parts]
    told = capsys.readouterr().out
    lamina.utils.set_random_seed(4)
    made = make(str(folder), **arguments)
    assert capsys.readouterr().out == told
    assert isinstance(made, {"audio": tuple}.get(kind, list)) == (subset == "both")
    for dataset, (files, expected) in zip(made if subset == "both" else [made], theirs, strict=True):
        assert dataset.file_paths == files
        assert getattr(dataset, "class_names", None) == names
        if arguments.get("shuffle") is False:
            read = np.concatenate([y for _, y in dataset])
            assert read.dtype == "int32" and read.tolist() == list(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_is_shuffled_comes_in_a_new_order_with_its_labels(folder, kind):
    make, _ = KINDS[kind]
    size = {"image_size": 8} if kind == "image" else {}
    given = {"seed": 1, "validation_split": 0.4, "subset": "both", "batch_size": None, "verbose": False}
    train, validation = make(folder, **given, **size)
    by_path = {path: list(COUNTS).index(os.path.relpath(path, folder).split(os.sep)[0]) for path in train.file_paths}
    expected = sorted(sorted(COUNTS).index(list(COUNTS)[place]) for place in by_path.values())
    orders = [[int(y) for _, y in train] for _ in range(6)]
    assert all(sorted(order) == expected for order in orders) and len({tuple(order) for order in orders}) > 1
    contents = [[np.sum(x) if kind != "text" else x for x, _ in validation] for _ in range(2)]
    assert contents[0] == contents[1] and len(contents[0]) == len(validation) == 6


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [("int", (5,), "int32"), ("categorical", (5, 2), "float32"), ("binary", (5, 1), "float32")],
)
def test_label_modes(folder, mode, shape, dtype):
    names = ["bird", "dog"]
    dataset = text_dataset_from_directory(folder, label_mode=mode, class_names=names, batch_size=5, shuffle=False)
    batches = [y for _, y in dataset]
    assert batches[0].shape == shape and batches[0].dtype == dtype and len(batches) == len(dataset) == 2
    rows = np.concatenate(batches)
    labels = [0] * 3 + [1] * 5
    expected = np.eye(2)[labels] if mode == "categorical" else np.reshape(labels, (8, *shape[1:]))
    np.testing.assert_array_equal(rows, expected)
    alone = text_dataset_from_directory(folder, label_mode=None, batch_size=None, verbose=False)
    assert sum(isinstance(text, str) for text in alone) == 15 and not hasattr(alone, "class_names")


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"color_mode": "rgba"}, {"color_mode": "grayscale"}, {"image_size": 12}, {"data_format": "channels_first"},
        {"image_size": (8, 21), "crop_to_aspect_ratio": True}, {"image_size": [21, 8], "pad_to_aspect_ratio": True},
        {"interpolation": "nearest"}, {"interpolation": "BICUBIC", "image_size": (40, 7)},
        {"interpolation": "lanczos3"}, {"interpolation": "lanczos5", "pad_to_aspect_ratio": True},
    ],
)  # fmt: skip
def test_images_are_those_of_keras(folder, arguments):
    given = {"image_size": (16, 16), "interpolation": "bilinear", "data_format": "channels_last"} | arguments
    dataset = image_dataset_from_directory(
        folder, batch_size=4, shuffle=False, verbose=False, class_names=["bird"], **given
    )
    images = np.concatenate([x for x, _ in dataset])
    assert images.dtype == "float32"
    size, channels = given.pop("image_size"), {"rgba": 4, "grayscale": 1}.get(given.pop("color_mode", "rgb"), 3)
    pair = (size, size) if isinstance(size, int) else tuple(size)
    given["interpolation"] = given["interpolation"].lower()
    for path, image in zip(dataset.file_paths, images, strict=True):
        theirs = np.asarray(image_dataset_utils._load_image_grain(path, pair, channels, **given))
        assert image.shape == theirs.shape
        np.testing.assert_allclose(image, theirs, atol=1e-2)


def test_other_ways_to_scale():
    image = RANDOM.random((12, 8, 2)).astype("float32")
    blocks = image.reshape(4, 3, 2, 4, 2).mean((1, 3))
    np.testing.assert_allclose(scaled(image, 4, 2, "area"), blocks, rtol=1e-5)
    for name in INTERPOLATIONS:  # what is equal everywhere stays so, and no size is another one
        flat = scaled(np.full((9, 7, 1), 3.0), 5, 13, name)
        assert flat.shape == (5, 13, 1) and flat.dtype == "float32"
        np.testing.assert_allclose(flat, 3, rtol=1e-5)
        np.testing.assert_array_equal(scaled(image, 12, 8, name), image)
    # Mitchell and Netravali's filter at 0, 1/2, 1, 3/2: 8/9, 77/144, 1/18, -5/144
    one = np.zeros((9, 1, 1), "float32")
    one[4] = 1
    np.testing.assert_allclose(scaled(one, 3, 1, "mitchellcubic")[1, 0, 0] / (8 / 9 + 2 / 18), 8 / 9, rtol=1e-5)
    np.testing.assert_allclose(scaled(one, 3, 1, "gaussian")[1, 0, 0], 1 / (1 + 2 * np.exp(-2)), rtol=1e-5)


@pytest.mark.parametrize("max_length", [None, 5])
def test_texts(folder, max_length):
    dataset = text_dataset_from_directory(folder, max_length=max_length, shuffle=False, batch_size=4, verbose=False)
    texts = np.concatenate([x for x, _ in dataset])
    assert texts.dtype == object
    for path, text in zip(dataset.file_paths, texts, strict=True):
        with open(path, encoding="utf-8") as file:
            assert text == file.read()[:max_length]


def test_sounds(folder, tmp_path):
    dataset = audio_dataset_from_directory(folder, class_names=["dog"], batch_size=3, shuffle=False, verbose=False)
    (first, _), (second, _) = dataset
    assert first.shape == (3, 130, 1) and second.shape[0] == 2 and first.dtype == "float32"
    with wave.open(dataset.file_paths[0]) as file:
        samples = np.frombuffer(file.readframes(10**6), "<i2") / 2**15
    np.testing.assert_array_equal(first[0, : len(samples), 0], samples.astype("float32"))
    assert not first[0, len(samples) :].any()
    fixed = audio_dataset_from_directory(folder, labels=None, output_sequence_length=110, batch_size=15, verbose=False)
    (sounds,) = fixed
    assert sounds.shape == (15, 110, 1) and np.abs(sounds).max() <= 1
    (tmp_path / "a").mkdir()
    sound(tmp_path / "a" / "stereo.wav", RANDOM.integers(-999, 999, (50, 2)), rate=4000)
    (stereo,) = audio_dataset_from_directory(tmp_path, labels=None, batch_size=None, sampling_rate=8000)
    assert stereo.shape == (100, 2)


@pytest.mark.parametrize(("old", "new"), [(20, 40), (21, 40), (20, 41), (40, 20), (41, 20), (40, 21), (7, 7), (9, 3)])
def test_sounds_of_another_rate_are_those_of_scipy(old, new):
    samples = RANDOM.normal(size=(old, 2))
    np.testing.assert_allclose(resampled(samples, new), scipy.signal.resample(samples, new), atol=1e-12)


def small(folder, **arguments):
    return image_dataset_from_directory(folder, image_size=(8, 8), batch_size=4, verbose=False, **arguments)


def test_fit_takes_the_images(folder):
    train, validation = small(folder, validation_split=0.2, subset="both", seed=1)
    model = lamina.Sequential([Input((8, 8, 3)), Rescaling(1 / 255), Flatten(), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train.cache().prefetch(-1), validation_data=validation, epochs=2, verbose=0)
    assert len(history.history["val_accuracy"]) == 2
    assert model.predict(validation.map(lambda x, y: x), verbose=0).shape == (3, 3)
    images, labels = next(iter(train.take(1)))
    assert images.shape == (4, 8, 8, 3) and labels.shape == (4,)
    assert model.evaluate(train.unbatch().batch(5), verbose=0)[1] <= 1


def test_fit_takes_the_texts(folder):
    texts = text_dataset_from_directory(folder, batch_size=5, verbose=False, seed=1)
    layer = TextVectorization(output_mode="multi_hot")
    layer.adapt(texts.map(lambda x, y: x))
    assert set(COUNTS) <= set(layer.get_vocabulary())
    model = lamina.Sequential([layer, Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    assert len(model.fit(texts, epochs=2, verbose=0).history["loss"]) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"directory": "none"}, MissingFileError, "there is no folder 'none'"),
        ({"labels": "infered"}, ArgumentError, "expected 'inferred', None, or a list"),
        ({"labels": [1, 2]}, DataError, "labels has 2 entries"),
        ({"label_mode": "one_hot"}, ArgumentError, "'int', 'categorical', 'binary', None, got 'one_hot'"),
        ({"label_mode": "binary"}, DataError, "label_mode='binary' takes 2 classes"),
        ({"class_names": ["cat", "cow"]}, DataError, r"class_names=\['cat', 'cow'\].*There are: bird, cat, dog"),
        ({"class_names": ["cat"], "labels": None}, ArgumentError, "is for labels='inferred'"),
        ({"class_names": ["cat"], "label_mode": None}, ArgumentError, "is for labels='inferred'"),
        ({"batch_size": 0}, ArgumentError, "batch_size=0"), ({"seed": "x"}, ArgumentError, "seed='x'"),
        ({"validation_split": 0.2}, ArgumentError, "each needs the other"),
        ({"subset": "both"}, ArgumentError, "each needs the other"),
        ({"subset": "test", "validation_split": 0.2}, ArgumentError, "'training', 'validation', 'both'"),
        ({"subset": "both", "validation_split": 1.2}, ArgumentError, "a share between 0 and 1"),
        ({"subset": "both", "validation_split": 0.2}, ArgumentError, "give a seed, the same in both calls"),
        ({"subset": "both", "validation_split": 0.01, "seed": 1}, DataError, "no files for validation"),
        ({"color_mode": "bgr"}, ArgumentError, "color_mode='bgr'"), ({"format": 3}, ArgumentError, "format=3"),
        ({"image_size": (3, 4, 5)}, ArgumentError, r"expected \(height, width\)"),
        ({"image_size": 0}, ArgumentError, "image_size=0"), ({"interpolation": "cubic"}, ArgumentError, "'bicubic'"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, ArgumentError, "cannot both be True"),
        ({"data_format": "first"}, ArgumentError, "channels_first"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(folder, arguments, error, told):
    with pytest.raises(error) as caught:
        image_dataset_from_directory(**{"directory": folder, "verbose": False} | arguments)
    assert re.search(told, " ".join(str(caught.value).split()))


def test_folders_without_what_is_wanted(folder, tmp_path):
    with pytest.raises(DataError, match=r"for\s+each class"):
        small(tmp_path)
    with pytest.raises(DataError, match=r"no files in"):
        small(tmp_path, labels=None)
    with pytest.raises(ArgumentError, match="ragged=True"):
        audio_dataset_from_directory(folder, ragged=True)
    for arguments in ({"max_length": 0}, {"format": "pt"}):
        with pytest.raises(ArgumentError, match="text_dataset_from_directory"):
            text_dataset_from_directory(folder, **arguments)


def test_files_that_are_damaged(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("i.png", "s.wav"):
        (tmp_path / "a" / name).write_bytes(b"RIFF")
    (tmp_path / "a" / "t.txt").write_bytes(b"\xff\xfe")
    for make, told in (
        (image_dataset_from_directory, "is not an image"), (text_dataset_from_directory, "is not UTF-8"),
        (audio_dataset_from_directory, "is not a WAV file"),
    ):  # fmt: skip
        with pytest.raises((DataError, FileError)) as caught:
            list(make(tmp_path, verbose=False))
        assert told in " ".join(str(caught.value).split())
    scipy.io.wavfile.write(tmp_path / "a" / "s.wav", 8000, np.ones(4, "int64"))
    with pytest.raises(DataError, match=r"has 64 bits per sample, in format 1;\s+expected a\s+WAV"):
        list(audio_dataset_from_directory(tmp_path, verbose=False))
    whole = (tmp_path / "a" / "s.wav").read_bytes()
    (tmp_path / "a" / "s.wav").write_bytes(whole[:36])
    with pytest.raises(DataError, match="has no sound data"):
        list(audio_dataset_from_directory(tmp_path, verbose=False))


@pytest.mark.parametrize("bits", [8, 16, 24, 32, "float32", "float64"])
def test_sounds_of_each_width_are_those_of_scipy(tmp_path, bits):
    (tmp_path / "a").mkdir()
    path, values = tmp_path / "a" / "s.wav", RANDOM.uniform(-1, 1, (50, 2))
    if isinstance(bits, str):
        scipy.io.wavfile.write(path, 8000, values.astype(bits))
    elif bits == 24:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(3)
            file.setframerate(8000)
            file.writeframes((values * 2**31).astype("<i4").view("u1").reshape(-1, 4)[:, 1:].tobytes())
    else:
        whole = values * 127 + 128 if bits == 8 else values * 2 ** (bits - 1)
        scipy.io.wavfile.write(path, 8000, whole.astype("u1" if bits == 8 else f"i{bits // 8}"))
    (found,) = audio_dataset_from_directory(tmp_path, labels=None, batch_size=None, verbose=False)
    expected = scipy.io.wavfile.read(path)[1]
    if expected.dtype.kind != "f":
        expected = (expected - 128.0) / 128 if bits == 8 else expected / 2.0 ** (8 * expected.itemsize - 1)
    np.testing.assert_array_equal(found, expected.astype("float32"))
    np.testing.assert_allclose(found, values, atol=1 / 64 if bits == 8 else 1e-4)
    data = bytearray(path.read_bytes())
    if data[20] == 1:  # the same with the header that recorders write for more than 16 bits
        more = struct.pack("<HHI", 22, data[34], 0) + data[20:22] + bytes(14)
        data = data[:16] + struct.pack("<IH", 40, 0xFFFE) + data[22:36] + more + data[36:]
        path.write_bytes(data)
        (again,) = audio_dataset_from_directory(tmp_path, labels=None, batch_size=None, verbose=False)
        np.testing.assert_array_equal(again, found)


def test_links_to_folders_are_followed_where_they_should_be(folder, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(folder / "cat")
    assert len(small(tmp_path, follow_links=True).file_paths) == 7
    with pytest.raises(DataError, match="no files"):
        small(tmp_path)


# Time series.


def windows(data, targets, length, stride=1, rate=1, start=None, end=None):
    """Each window and its target, by the definition."""
    data = data[start or 0 : end]
    found = []
    for first in range(0, len(data), stride):
        places = [first + step * rate for step in range(length)]
        if places[-1] < len(data) and (targets is None or first + (start or 0) < len(targets)):
            found.append((data[places], None if targets is None else targets[first + (start or 0)]))
    return found


@pytest.mark.parametrize("targets", [None, RANDOM.random(40), RANDOM.random((31, 2))], ids=["none", "all", "fewer"])
@pytest.mark.parametrize(
    "numbers",
    [
        (3,), (5, 2), (4, 3, 2), (1, 1, 1), (6, 1, 3, 5), (6, 2, 1, 5, 20), (10, 1, 1, None, 39), (2, 5, 4, 0, 17),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch_size", [4, None])
def test_windows(numbers, targets, batch_size):
    data = RANDOM.random((40, 3)).astype("float32")
    names = ("sequence_length", "sequence_stride", "sampling_rate", "start_index", "end_index")
    arguments = dict(zip(names, numbers, strict=False))
    dataset = timeseries_dataset_from_array(data, targets, batch_size=batch_size, **arguments)
    expected = windows(data, targets, *numbers)
    found = list(dataset.unbatch() if batch_size else dataset)
    assert len(found) == len(expected)
    for mine, (x, y) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine if targets is None else mine[0], x)
        if targets is not None:
            np.testing.assert_array_equal(mine[1], y)
    assert len(dataset) == (-(-len(expected) // 4) if batch_size else len(expected))


def test_shuffled_windows_keep_their_targets():
    dataset = timeseries_dataset_from_array(np.arange(30), np.arange(30) * 2, 3, shuffle=True, seed=1, batch_size=8)
    orders = [np.concatenate([y for _, y in dataset]).tolist() for _ in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == list(range(0, 56, 2))
    for x, y in dataset:
        assert x.shape[1:] == (3,) and (x[:, 0] * 2 == y).all() and (np.diff(x) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"sequence_length": 0}, ArgumentError, "length=0"), ({"sequence_stride": 0}, ArgumentError, "stride=0"),
        ({"sampling_rate": 0}, ArgumentError, "sampling_rate=0"), ({"batch_size": 0}, ArgumentError, "batch_size=0"),
        ({"sampling_rate": 10}, ArgumentError, "of the series, 10"), ({"start_index": -1}, ArgumentError, "0 to 9"),
        ({"sequence_stride": 11}, ArgumentError, "of the series, 10"), ({"start_index": 10}, ArgumentError, "0 to 9"),
        ({"end_index": 10}, ArgumentError, "below the number"), ({"end_index": 0}, ArgumentError, "above start_index"),
        ({"start_index": 5, "end_index": 5}, ArgumentError, "above start_index, 5"),
        ({"format": "np"}, ArgumentError, "format='np'"), ({"shuffle": 3}, ArgumentError, "shuffle=3"),
        ({"sequence_length": 11}, DataError, "a window takes 11 steps, and there are 10."),
        ({"targets": []}, DataError, "there are 10 with 0 targets"),
    ],
)  # fmt: skip
def test_windows_that_cannot_be(arguments, error, told):
    with pytest.raises(error) as caught:
        timeseries_dataset_from_array(**{"data": np.arange(10), "targets": None, "sequence_length": 3} | arguments)
    assert told in " ".join(str(caught.value).split())


def test_fit_takes_windows():
    series = np.sin(np.arange(60, dtype="float32"))
    dataset = timeseries_dataset_from_array(series[:-4], series[4:], 4, batch_size=16, shuffle=True)
    model = lamina.Sequential([Input((4,)), Dense(1)])
    model.compile("sgd", "mse")
    assert len(model.fit(dataset, epochs=2, verbose=0).history["loss"]) == 2


# Splits.


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("left", "right"), [(0.8, None), (None, 0.25), (0.5, 0.3), (7, None), (None, 4), (3, 5), (0.4, 5), (3, 0.5)]
)
@pytest.mark.parametrize("kind", [list, tuple, np.asarray])
def test_splits_are_those_of_keras(left, right, shuffle, kind):
    x, y = np.arange(11) * 10, RANDOM.random((11, 2))
    data = x if kind is np.asarray else kind([x, y])
    rows = dataset_utils._convert_dataset_to_list(data, np.ndarray if kind is np.asarray else kind)
    if shuffle:
        random.seed(5)
        random.shuffle(rows)
    sizes = dataset_utils._rescale_dataset_split_sizes(left, right, 11)
    ours = split_dataset(data, left, right, shuffle, seed=5)
    for mine, its in zip(ours, (rows[: sizes[0]], rows[-sizes[1] :]), strict=True):
        assert len(mine) == len(its)
        for one, other in zip(mine, its, strict=True):
            np.testing.assert_equal(one, other)


def test_a_dataset_is_split_by_its_rows():
    x, y = np.arange(10, dtype="float32")[:, None], np.arange(10)
    whole, _ = split_dataset((x, y), 9)
    left, right = split_dataset(whole.batch(4), left_size=6)
    assert [len(batch[1]) for batch in left] == [4, 2] and [len(batch[1]) for batch in right] == [3]
    first, second = split_dataset(whole, 0.5)
    assert (len(first), len(second)) == (4, 5)
    batches, rest = split_dataset(whole.batch(3).prefetch(), 2)  # whose elements are batches
    assert [b[1].tolist() for b in batches] == [[0, 1, 2], [3, 4, 5]] and len(rest) == 1


def test_a_dataset_of_torch_is_split_by_its_items():
    class Items:
        def __len__(self):
            return 5

        def __getitem__(self, place):
            return np.full(2, place), place

    left, right = split_dataset(Items(), 3)
    assert [y for _, y in left] == [0, 1, 2] and [y for _, y in right] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({}, ArgumentError, "needs left_size or right_size"), ({"left_size": "a"}, CallError, "left_size='a'"),
        ({"left_size": True}, CallError, "left_size=True"), ({"left_size": 0}, ArgumentError, "from 1 to 9"),
        ({"right_size": 10}, ArgumentError, "from 1 to 9"), ({"left_size": 1.0}, ArgumentError, "between 0 and 1"),
        ({"left_size": 0.6, "right_size": 0.5}, ArgumentError, "add up to more than 1"),
        ({"left_size": 6, "right_size": 5}, ArgumentError, "of 10 rows, 6 would go to the left and 5"),
        ({"left_size": 0.01}, ArgumentError, "of 10 rows, 0 would go"),
        ({"left_size": 3, "dataset": []}, DataError, "a list of arrays, got []"),
        ({"left_size": 3, "dataset": [1, 2]}, DataError, "a list of arrays, got [1, 2]"),
        ({"left_size": 3, "dataset": (np.ones(3), np.ones(4))}, DataError, "equally many rows, got 3, 4"),
        ({"left_size": 3, "dataset": np.ones((0, 3))}, DataError, "without a row"),
        ({"left_size": 3, "dataset": {"a": 1}}, CallError, "got {'a': 1}"), ({"seed": -1}, ArgumentError, "seed=-1"),
    ],
)  # fmt: skip
def test_splits_that_cannot_be(arguments, error, told):
    with pytest.raises(error) as caught:
        split_dataset(**{"dataset": np.arange(10)} | arguments)
    assert told in " ".join(str(caught.value).split())
