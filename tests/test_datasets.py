"""Each data set, from files made here in its format, beside real Keras, which reads the same files."""

import gzip
import inspect
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from keras.src.backend import config as keras_config
from keras.src.utils import file_utils

import lamina
from lamina.datasets import imdb
from lamina.datasets.pickles import unpickled
from lamina.errors import ArgumentError, FileError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 28, 28), dtype="uint8")
TINY = RANDOM.integers(0, 256, (6, 3072), dtype="uint8")


def ragged(count):
    made = np.empty(count, object)
    for place in range(count):
        made[place] = RANDOM.integers(1, 40, RANDOM.integers(1, 12)).tolist()
    return made


def text(content):
    return b"U" + bytes([len(content)]) + content.encode()


def python_2(data, labels):
    """The pickle of a batch as Python 2 writes it: an array of uint8 (rows, 3072), and lists of numbers by name."""
    minus_1 = b"J\xff\xff\xff\xff"
    kind = b"cnumpy\ndtype\n" + text("u1") + b"K\0K\1\x87R(K\3" + text("|") + b"NNN" + minus_1 * 2 + b"K\0tb"
    shape = struct.pack("<cHcHc", b"M", data.shape[0], b"M", data.shape[1], b"\x86")
    content = b"T" + struct.pack("<I", data.nbytes) + data.tobytes()
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text("b") + b"\x87R"
    named = b"".join(text(n) + b"](" + b"".join(b"K" + bytes([v]) for v in each) + b"e" for n, each in labels.items())
    return b"\x80\2}(" + text("data") + made + b"(K\1" + shape + kind + b"\x89" + content + b"tb" + named + b"u."


def archive(path, members):
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def fill(folder):
    """All files, where the cache has them."""
    (folder / "fashion-mnist").mkdir(parents=True)
    labels = np.arange(7, dtype="uint8")
    np.savez(folder / "mnist.npz", x_train=IMAGES, y_train=labels, x_test=IMAGES[:2], y_test=labels[:2])
    for part, rows in (("train", 7), ("t10k", 3)):
        for name, array in (("images-idx3", IMAGES[:rows]), ("labels-idx1", labels[:rows])):
            with gzip.open(folder / "fashion-mnist" / f"{part}-{name}-ubyte.gz", "wb") as file:
                file.write(idx(array))
    # Keras has a place for 10,000 images a batch, and one image fills them all.
    batches = {f"cifar-10-batches-py/data_batch_{i + 1}": python_2(TINY[i : i + 1], {"labels": [i]}) for i in range(5)}
    batches["cifar-10-batches-py/test_batch"] = python_2(TINY[:3], {"labels": [4, 5, 6]})
    archive(folder / "cifar-10-batches-py-target_archive", batches)
    both = {"fine_labels": [91, 5, 7, 0, 1, 2], "coarse_labels": [1, 2, 3, 4, 5, 6]}
    few = {name: labels[:2] for name, labels in both.items()}
    batches = {"cifar-100-python/train": python_2(TINY, both), "cifar-100-python/test": python_2(TINY[:2], few)}
    archive(folder / "cifar-100-python-target_archive", batches)
    y = RANDOM.integers(0, 2, 20)
    np.savez(folder / "imdb.npz", x_train=ragged(20), y_train=y, x_test=ragged(12), y_test=y[:12])
    np.savez(folder / "reuters.npz", x=ragged(25), y=RANDOM.integers(0, 46, 25))
    for name in ("imdb", "reuters"):
        (folder / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "café": 2}))
    for name, rows in (("boston", 53), ("california", 700)):
        np.savez(folder / f"{name}_housing.npz", x=RANDOM.random((rows, 3)), y=RANDOM.random(rows))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    home = tmp_path_factory.mktemp("keras")
    fill(home / "datasets")
    return home


@pytest.fixture(autouse=True)
def offline(monkeypatch, filled):
    def fail(*arguments, **named):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", fail)
    monkeypatch.setenv("KERAS_HOME", str(filled))


@pytest.fixture
def any_hash(monkeypatch, filled):
    """The files that are made here have not the hashes of the real ones."""
    monkeypatch.setattr(downloads_file(), "_hash_in", lambda path, algorithm: EXPECTED[os.path.basename(path)])
    monkeypatch.setattr(file_utils, "validate_file", lambda path, expected, algorithm: True)
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(filled))


def downloads_file():
    return sys.modules[lamina.utils.get_file.__module__]


EXPECTED = {
    "mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "cifar-10-batches-py-target_archive": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python-target_archive": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "imdb_word_index.json": "bfafd718b763782e994055a2d397834f",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    "reuters_word_index.json": "4d44cc38712099c9e383dc6e5f11a921",
    "boston_housing.npz": "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    "california_housing.npz": "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
}
"""The hashes that real Keras has."""


def same(ours, theirs):
    for mine, its in zip(ours, theirs, strict=True):
        for one, other in zip(mine, its, strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            assert one.tolist() == other.tolist()
            assert isinstance(one, np.ndarray) and one.flags.writeable


TEXTS = [
    {}, {"num_words": 20}, {"skip_top": 8}, {"maxlen": 9}, {"seed": 5}, {"start_char": None}, {"start_char": 0},
    {"oov_char": None, "num_words": 15}, {"oov_char": 77, "skip_top": 6}, {"index_from": 0},
    {"index_from": 0, "start_char": None, "maxlen": 7, "num_words": 12},
]  # fmt: skip
SPLITS = [{}, {"test_split": 0}, {"test_split": 0.35, "seed": 7}]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mnist", {}), ("fashion_mnist", {}), ("cifar100", {}), ("cifar100", {"label_mode": "coarse"}),
        *[("imdb", each) for each in TEXTS], *[("reuters", each) for each in TEXTS],
        *[(name, each) for name in ("boston_housing", "california_housing", "reuters") for each in SPLITS],
        ("california_housing", {"version": "small"}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("any_hash")
def test_load_data_is_that_of_keras(name, arguments):
    theirs = getattr(keras.datasets, name).load_data(**arguments)
    if name == "fashion_mnist":  # where Keras's cannot be written to
        theirs = [[array.copy() for array in part] for part in theirs]
    same(getattr(lamina.datasets, name).load_data(**arguments), theirs)


@pytest.mark.usefixtures("any_hash")
def test_cifar10_is_that_of_keras():
    (x, y), test = keras.datasets.cifar10.load_data()
    same(lamina.datasets.cifar10.load_data(), ((x[::10000], y[::10000]), test))


@pytest.mark.usefixtures("any_hash")
def test_channels_first():
    try:
        lamina.config.set_image_data_format("channels_first")
        (x, _), _ = lamina.datasets.cifar100.load_data()
    finally:
        lamina.config.set_image_data_format("channels_last")
    assert x.shape == (6, 3, 32, 32)
    np.testing.assert_array_equal(x.reshape(6, -1), TINY)


@pytest.mark.usefixtures("any_hash")
@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_words_and_labels(name):
    index = getattr(lamina.datasets, name).get_word_index()
    assert index == getattr(keras.datasets, name).get_word_index() == {"the": 1, "café": 2}
    assert lamina.datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()


@pytest.mark.parametrize("name", lamina.datasets.__all__)
def test_the_arguments_are_those_of_keras(name):
    for function in (n for n in ("load_data", "get_word_index", "get_label_names") if hasattr(keras.datasets, n)):
        ours, theirs = (getattr(getattr(module.datasets, name), function) for module in (lamina, keras))
        assert {n: p.default for n, p in inspect.signature(ours).parameters.items()} == {
            n: p.default for n, p in inspect.signature(theirs).parameters.items() if n != "kwargs"
        }


@pytest.mark.parametrize(
    ("load", "file"),
    [
        *[(getattr(lamina.datasets, n.partition(".")[0]).load_data, n) for n in EXPECTED if n.endswith("npz")],
        (lamina.datasets.cifar10.load_data, "cifar-10-batches-py-target_archive"),
        (lamina.datasets.cifar100.load_data, "cifar-100-python-target_archive"),
        (lamina.datasets.imdb.get_word_index, "imdb_word_index.json"),
        (lamina.datasets.reuters.get_word_index, "reuters_word_index.json"),
    ],
)
def test_a_file_of_another_hash_is_not_read(load, file, capsys, filled):
    """The message says where the right one belongs, and by which hash to know it."""
    with pytest.raises(FileError, match="put the file there yourself") as caught:
        load()
    told = str(caught.value).replace("\n  ", " ")
    assert EXPECTED[file] in told and str(filled / "datasets" / file) in told
    assert f"{file} is downloaded again" in capsys.readouterr().out


def test_fashion_mnist_that_is_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    fill(tmp_path / "datasets")
    path = tmp_path / "datasets" / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    for content in (b"no gzip", gzip.compress(idx(IMAGES)[:-5]), gzip.compress(b"\0"), gzip.compress(idx(IMAGES))[:-9]):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"is\s+damaged"):
            lamina.datasets.fashion_mnist.load_data()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: lamina.datasets.boston_housing.load_data(test_split=1), "test_split=1"),
        (lambda: lamina.datasets.california_housing.load_data(test_split=-0.1), "test_split=-0.1"),
        (lambda: lamina.datasets.reuters.load_data(test_split="a"), "test_split='a'"),
        (lambda: lamina.datasets.california_housing.load_data("big"), "'large', 'small', got 'big'"),
        (lambda: lamina.datasets.cifar100.load_data("rough"), "'fine', 'coarse', got 'rough'"),
        (lambda: lamina.datasets.mnist.load_data("../mnist.npz"), "cache_dir"),
        (lambda: imdb.load_data(seed=-1), "seed=-1"), (lambda: imdb.load_data(maxlen=1), "has 1 words or more"),
        (lambda: imdb.load_data(nb_words=5), "Did you mean 'num_words'?"),
        (lambda: imdb.load_data(num_words=1.5), "num_words=1.5"), (lambda: imdb.load_data(skip_top=-1), "skip_top=-1"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("any_hash")
def test_arguments_that_cannot_be(call, told):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert told in str(caught.value)


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_can_run_nothing(any_hash, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    fill(tmp_path / "datasets")
    evil = np.empty(1, object)
    evil[0] = Exploit(tmp_path / "ran")
    np.savez(tmp_path / "datasets" / "imdb.npz", x_train=evil, y_train=np.ones(1), x_test=evil, y_test=np.ones(1))
    with pytest.raises(FileError, match=r"names posix\.mkdir, which could run code"):
        imdb.load_data()
    batch = {"cifar-100-python/train": pickle.dumps({b"data": Exploit(tmp_path / "ran")})}
    archive(tmp_path / "datasets" / "cifar-100-python-target_archive", batch)
    with pytest.raises(FileError, match="could run code"):
        lamina.datasets.cifar100.load_data()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, "text", b"bytes", None]}, [np.arange(3), np.float32(2), np.array(["a"], object)]]
)
@pytest.mark.parametrize("protocol", [3, 4])
def test_what_a_pickle_may_hold(value, protocol):
    read = unpickled(pickle.dumps(value, protocol))
    assert repr(read) == repr(value)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04", b"cos\nsystem\n.", b"(lp0\n", b"\x80\x04\x8c\x05numpy\x94\x8c\x03log\x93."]
)
def test_a_broken_pickle_is_an_error_of_ours(content):
    with pytest.raises(FileError, match="pickle"):
        unpickled(content)


def test_programs_import_them_as_in_keras(filled):
    program = """
        import sys, lamina, lamina as keras
        assert not {"lamina.datasets", "lamina.utils.downloads", "lamina.utils.archives"} & set(sys.modules)
        from lamina.datasets import imdb
        import lamina.datasets.mnist as digits
        assert digits is keras.datasets.mnist and callable(keras.datasets.mnist.load_data) and callable(imdb.load_data)
        assert dir(keras.datasets.mnist) == ["load_data"] and "datasets" in dir(keras)
        import lamina.compat
        lamina.compat.install()
        from keras.datasets import fashion_mnist, imdb
        sys.modules["lamina.utils.downloads"]._hash_of = lambda *hashes: None
        old, new = (imdb.load_data(**{name: 20}) for name in ("nb_words", "num_words"))
        assert [list(x) for x, _ in old] == [list(x) for x, _ in new] and max(map(max, new[0][0])) == 19
        from tensorflow.keras.datasets.cifar10 import load_data
        import tensorflow as tf
        assert load_data is tf.keras.datasets.cifar10.load_data is lamina.datasets.cifar10.load_data
        try:
            keras.datasets.mnits
        except AttributeError as error:
            assert "Did you mean 'mnist'?" in str(error)
    """
    lines = "\n".join(line.strip() if not line.startswith(" " * 12) else line[8:] for line in program.splitlines())
    ran = subprocess.run([sys.executable, "-c", lines], check=True, capture_output=True, text=True)
    assert ran.stderr.endswith(": load_data(nb_words=) is now load_data(num_words=).\n") and ran.stderr.count("\n") == 1
