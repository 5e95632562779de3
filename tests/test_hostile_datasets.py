"""The files of data sets are pickles and archives: none of them runs, crashes, hangs or takes memory."""

import gzip
import pickle
import resource
import struct
import sys
import time
import zipfile

import numpy as np
import pytest

from lamina.datasets import cifar10, fashion_mnist
from lamina.datasets.files import arrays_in, words_in
from lamina.datasets.pickles import unpickled
from lamina.errors import FileError


def text(content):
    return b"U" + bytes([len(content)]) + content.encode()


NAMED = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text("b") + b"\x87R"
SHAPE = b"K\1\x85"


def dtype(kind, state=None):
    """A dtype, with the state that a pickle gives it."""
    state = state or b"(K\3" + text("<") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\0t"
    return b"cnumpy\ndtype\n" + text(kind) + b"K\0K\1\x87R" + state + b"b"


def array(kind, content, shape=SHAPE, made=NAMED):
    return b"\x80\2" + made + b"(K\1" + shape + kind + b"\x89" + content + b"tb."


ADDRESS = b"U\x08" + struct.pack("<Q", 0xDEADBEEF)
NO_LIST = b"(K\3" + text("|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\0t"  # flags that say: the bytes are an array's
PICKLES = {
    "the address of an object": array(dtype("O8", NO_LIST), ADDRESS),
    "another encoding": b"c_codecs\nencode\n(Vtext\nVhex\ntR.",
    "an address, by the number": b"\x80\2cnumpy.core.multiarray\nscalar\n" + dtype("O8") + ADDRESS + b"\x86R.",
    "another dtype put in later": array(dtype("u1", b"(K\4" + text("|") + text("O") + b"NNK\x08K\x08K\x3ft"), ADDRESS),
    "more rows than bytes": array(dtype("u1"), ADDRESS, b"J\xff\xff\xff\x7f\x85"),
    "fewer rows than bytes": array(dtype("f8"), ADDRESS, b"K\0\x85"),
    "a negative size": array(dtype("u1"), ADDRESS, b"J\xf8\xff\xff\xffJ\xff\xff\xff\xff\x86"),
    "a size that is no number": array(dtype("u1"), ADDRESS, b"G@\x20\0\0\0\0\0\0\x85"),
    "a dtype with fields": array(dtype("u1,O"), ADDRESS),
    "a dtype of dates": array(dtype("M8"), ADDRESS),
    "a dtype of 10 GB": array(dtype("S9999999999"), ADDRESS),
    "ndarray called by itself": b"\x80\2cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",
    "an attribute of a function": b"\x80\2cnumpy.core.multiarray\nscalar\n}" + text("x") + b"K\1sb.",
    "a slot of a class": b"\x80\2cnumpy\ndtype\nN}" + text("text") + b"K\1s\x86b.",
    "a memo of 34 GB": b"\x80\4Nr\xff\xff\xff\x7f.",
    "a memo of 34 GB in digits": b"(lp2147483647\n.",
    "8 exabytes announced": b"\x80\4\x8e" + struct.pack("<Q", 2**62) + b"a.",
    "2 GB announced": b"\x80\2X\xff\xff\xff\x7fa.",
    "a key of 2**60 tuples": b"\x80\2})" + b"q\0h\0\x86" * 60 + b"K\1s.",
    "the same by dict": b"\x80\2()" + b"q\0h\0\x86" * 60 + b"K\1d.",
    "the same by items": b"\x80\2}()" + b"q\0h\0\x86" * 60 + b"K\1u.",
    "a set": pickle.dumps({1, 2}, 4),
    "an object of a class": b"\x80\2cnumpy\nndarray\n)\x81.",
    "an extension": b"\x80\2\x82\1.",
    "from another place": b"\x80\2Pid\n.",
    "an integer of a million digits": b"I" + b"9" * 10**6 + b"\n.",
    "no end": b"\x80\2N",
    "nothing on the stack": b"\x80\2.",
    "an array in an array in an array": array(dtype("O8"), b"]" + b"]" * 5 + b"a" * 5 + b"a"),
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
}


@pytest.mark.parametrize("what", PICKLES)
def test_a_hostile_pickle_is_refused_at_once(what):
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match="pickle"):
        unpickled(PICKLES[what])
    assert time.monotonic() - begun < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def objects(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_genuine_pickles_of_all_protocols_are_read(protocol):
    numbers = np.arange(6, dtype=">f4").reshape(2, 3)
    words = {"a": 1, b"b": [2.5, None, True, -1, 2**70], "long": "é" * 300, "many": list(range(2000))}
    for value in (numbers, np.asfortranarray(numbers), np.array(["ab", "c"]), objects([1, 300], [70000], "x"), words):
        if protocol == 5 and isinstance(value, np.ndarray) and value.dtype != object:
            continue  # NumPy names another function for it
        read = unpickled(pickle.dumps(value, protocol))
        if isinstance(value, np.ndarray):
            known = pickle.loads(pickle.dumps(value, protocol))
            assert type(read) is np.ndarray and read.dtype == known.dtype and read.tolist() == value.tolist()
        else:
            assert read == value


def test_an_array_of_100_000_texts_is_looked_at_quickly():
    value = objects(*np.random.default_rng(0).integers(1, 30_000, (100_000, 10)).tolist())
    data, begun = pickle.dumps(value, 2), time.process_time()
    assert unpickled(data).tolist() == value.tolist()
    assert time.process_time() - begun < 5


# Archives of arrays


def npz(folder, **members):
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return str(folder / "data.npz")


def npy(shape, kind="<f4", content=b"", more=""):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, {more}}}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


NPZ = {
    "4 TB announced": {"x": npy("(1099511627776,)")},
    "2**62 rows of nothing": {"x": npy("(0, 4611686018427387904, 4611686018427387904)", content=b"a")},
    "a bomb of 2 GB": {"x": npy("(2000000,)", content=bytes(200_000_000))},
    "an address": {"x": npy("(1,)", "|O", array(dtype("O8", NO_LIST), ADDRESS))},
    "no array in the pickle": {"x": npy("(1,)", "|O", pickle.dumps([[[1]]], 2))},
    "a header of code": {"x": npy("__import__('os').system('true')")},
    "1,000 axes": {"x": npy("(" + "1," * 1000 + ")", content=bytes(4))},
    "a negative size": {"x": npy("(-1,)", content=bytes(4))},
    "no header": {"x": b"\x93NUMPY\1\0\xff\xff"},
    "another file": {"x": b"hello"},
}


@pytest.mark.parametrize("what", NPZ)
def test_a_hostile_npz_is_refused_at_once(what, tmp_path):
    path = npz(tmp_path, **NPZ[what])
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=r"data\.npz|pickle"):
        arrays_in(path)
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_what_is_no_npz_is_refused(tmp_path):
    (tmp_path / "data.npz").write_bytes(b"\x80\4N.")
    with pytest.raises(FileError, match=r"data\.npz"):
        arrays_in(str(tmp_path / "data.npz"))


def test_the_words_are_json_within_limits(tmp_path):
    (tmp_path / "words.json").write_text("[" * 100_000)
    with pytest.raises(FileError, match=r"levels\s+deep"):  # the message breaks its lines
        words_in(str(tmp_path / "words.json"))


def test_a_bomb_of_fashion_mnist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets" / "fashion-mnist").mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1"):
        with gzip.open(tmp_path / "datasets" / "fashion-mnist" / f"{name}-ubyte.gz", "wb", 1) as file:
            for _ in range(100):
                file.write(bytes(2**20))
    with pytest.raises(FileError, match="it holds more than"):
        fashion_mnist.load_data()


BATCHES = {
    "a list of lists of lists": {b"data": np.zeros((2, 3072), "u1"), b"labels": [[1], [2]]},
    "other images": {b"data": np.zeros((2, 3071), "u1"), b"labels": [1, 2]},
    "other numbers": {b"data": np.zeros((2, 3072), "f4"), b"labels": [1, 2]},
    "fewer labels": {b"data": np.zeros((2, 3072), "u1"), b"labels": [1]},
    "no labels": {b"data": np.zeros((2, 3072), "u1")},
    "no dict": [1],
}


@pytest.mark.parametrize("what", BATCHES)
def test_a_hostile_batch_of_cifar_is_refused(what, tmp_path, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        (folder / name).write_bytes(pickle.dumps(BATCHES[what], 4))
    monkeypatch.setattr(sys.modules["lamina.datasets.cifar"], "get_file", lambda *_, **__: str(tmp_path))
    with pytest.raises(FileError, match=r"it holds no\s+images"):
        cifar10.load_data()


def test_numpys_archives_are_read_as_numpy_reads_them(tmp_path):
    held = {
        "a": np.arange(6.0).reshape(2, 3), "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["ab", "c"]), "none": np.zeros((0, 5)), "one": np.array(3), "lists": objects([1], [2, 3]),
    }  # fmt: skip
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "held.npz", **held)
        read = arrays_in(str(tmp_path / "held.npz"))
        assert read.keys() == held.keys()
        for name, array in held.items():
            assert read[name].dtype == array.dtype and read[name].tolist() == array.tolist(), name
            assert read[name].shape == array.shape and read[name].flags.writeable
