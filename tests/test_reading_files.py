"""Reading bytes without trusting them: genuine files are read as h5py reads them, and what else there is is named."""

import io
import json
import os
import pickle
import re
import zipfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina._process.memory import free_memory, require
from lamina._saving import archive, guard, hdf5
from lamina._saving.hdf5 import Stored
from lamina.errors import FileError


def made(build, **options):
    """The bytes of an HDF5 file that `build` fills."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        build(file)
    return buffer.getvalue()


def by_h5py(data):
    """What h5py finds in a file that can be trusted."""
    found = Stored({}, {})

    def visit(path, it):
        attributes = {}
        for name, value in it.attrs.items():
            if getattr(value, "dtype", np.dtype("O")).kind == "S":
                value = value.astype("U")
            attributes[name] = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        if isinstance(it, h5py.Dataset):
            array = it[()]
            found.arrays[path] = array.view(ml_dtypes.bfloat16) if array.dtype == "V2" else array
        if isinstance(it, h5py.Group) or attributes:
            found.attributes[path] = attributes

    with h5py.File(io.BytesIO(data)) as file:
        visit("", file)
        file.visititems(visit)
    return found


def assert_same(read, expected):
    assert read.arrays.keys() == expected.arrays.keys()
    for path, array in read.arrays.items():
        assert array.dtype == expected.arrays[path].dtype.newbyteorder("=")
        np.testing.assert_array_equal(array, expected.arrays[path])
        assert not array.flags.writeable
    assert read.attributes == expected.attributes


# HDF5

NUMBERS = [*"? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 >i4 >f4 >f8".split(), "bfloat16"]
NAMES = st.text("abz019_:. -", min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
ARRAYS = st.builds(
    lambda shape, dtype: np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype),
    st.lists(st.integers(0, 5), max_size=3),
    st.sampled_from(NUMBERS),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
VALUES = st.one_of(
    TEXT, st.lists(TEXT, min_size=1, max_size=5), st.integers(-9, 9), st.booleans(), st.floats(-9, 9),
    st.lists(st.integers(-9, 9), max_size=3), st.just(np.array([b"a", b"bcd"])),
)  # fmt: skip
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=10)
LEAVES = st.tuples(ARRAYS, ATTRIBUTES)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.tuples(st.dictionaries(NAMES, inner, max_size=12), ATTRIBUTES),
    max_leaves=20,
).filter(lambda tree: isinstance(tree[0], dict))


def fill(group, tree):
    members, attributes = tree
    group.attrs.update(attributes)
    for name, inner in members.items():
        if isinstance(inner[0], dict):
            fill(group.create_group(name), inner)
        else:
            array, told = inner
            group.create_dataset(name, data=array).attrs.update(told)


@settings(max_examples=50, deadline=None)
@given(TREES)
def test_hdf5_is_read_as_h5py_reads_it(tree):
    data = made(lambda file: fill(file, tree))
    assert_same(hdf5.read(data, "x.h5"), by_h5py(data))


def test_groups_with_many_members_and_texts_of_any_size_are_read():
    """Two thousand members need a tree of two levels, a text of 200 kB a heap of its own."""

    def build(file):
        for i in range(2000):
            file[f"layers/dense_{i}/vars/0"] = np.full(2, i, "f4")
        file.attrs["model_config"] = json.dumps(["é"] * 30_000).encode()
        file["layers"].attrs["layer_names"] = [b"dense_%d" % i for i in range(2000)]
        file["deleted"] = np.zeros(1000)
        del file["deleted"]

    data = made(build)
    read = hdf5.read(data, "x.h5")
    assert_same(read, by_h5py(data))
    assert len(read.arrays) == 2000


def test_arrays_are_views_of_the_bytes():
    data = made(lambda file: file.update({"a": np.arange(1000.0), "b": np.arange(1000)}))
    held = np.frombuffer(data, np.uint8)
    assert all(np.shares_memory(array, held) for array in hdf5.read(data, "x.h5").arrays.values())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of Keras's in each of its formats."""
    folder = tmp_path_factory.mktemp("saved")
    model = keras.Sequential([
        keras.Input((8,)), keras.layers.Dense(4), keras.layers.BatchNormalization(),
        keras.layers.Dense(3, dtype="bfloat16", name="out"),
    ])  # fmt: skip
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(np.ones((4, 8)), np.ones((4, 3)), verbose=0)
    for name in ("model.keras", "model.h5", "model.weights.h5"):
        (model.save_weights if "weights" in name else model.save)(folder / name)
    keras.src.saving.saving_lib.save_model(model, folder / "unzipped", zipped=False)
    return folder


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5"])
def test_genuine_hdf5_files_of_keras_are_read(saved, name):
    data = guard.file_bytes(saved / name)
    assert data == (saved / name).read_bytes()
    read = hdf5.read(data, name)
    assert_same(read, by_h5py(data))
    assert len(read.arrays) >= 8
    assert any(array.dtype == "bfloat16" for array in read.arrays.values())


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_keras_file_is_read_zipped_and_as_a_folder_compressed_and_not(saved, tmp_path):
    with zipfile.ZipFile(saved / "model.keras") as plain, zipfile.ZipFile(tmp_path / "z.keras", "w", 8) as deflated:
        for name in plain.namelist():
            deflated.writestr(name, plain.read(name))
        deflated.mkdir("assets")
        deflated.writestr("assets/layers/text_vectorization/vocabulary.txt", "the\nof")
        deflated.writestr("lamina.json", '{"classes": ["a", "b"]}')
        deflated.writestr("README.md", "not read")
        expected = by_h5py(plain.read("model.weights.h5"))
    plain, folder, deflated = (
        archive.read(p) for p in (saved / "model.keras", saved / "unzipped", tmp_path / "z.keras")
    )
    for read in (plain, folder, deflated):
        assert read.config["class_name"] == "Sequential"
        assert_same(read.weights, expected)
    assert (plain.assets, plain.extra) == (folder.assets, folder.extra) == ({}, {})
    assert deflated.assets == {"layers/text_vectorization/vocabulary.txt": b"the\nof"}
    assert deflated.extra == {"classes": ["a", "b"]}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("count", [2, 30])
def test_names_of_layers_may_be_in_any_script(count, tmp_path):
    """HDF5 writes a group in another form when one of its names is not ASCII, and in a third when it has many."""
    stack = [keras.Input((2,)), *(keras.layers.Dense(2, name=f"größe_出口_{i}") for i in range(count))]
    keras.Sequential(stack).save(tmp_path / "m.h5")
    data = guard.file_bytes(tmp_path / "m.h5")
    assert_same(hdf5.read(data, "m.h5"), by_h5py(data))
    assert (b"FRHP" in data) == (count > 8)


@pytest.mark.parametrize("count", [9, 40, 50, 200, 1500, 4000])
def test_many_names_in_any_script_are_read(count):
    data = made(lambda file: [file.create_group(f"é{i}") for i in range(count)])
    assert hdf5.read(data, "m.h5").attributes.keys() == {"", *(f"é{i}" for i in range(count))}


# JSON


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "b": {"c": 2, "c": 3}}', "'c' stands twice"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "integer of 5,000 digits"),
        (b'{"a": "\xff"}', "JSON in UTF-8 was expected"),
        (b'{"a": "\\ud800"}', "one half of a character"),
        (b'{"a": 1,', "broken at character 8 of 8"),
        (b"[" * 101 + b"]" * 101, "nested 101 levels deep; 100 is"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested 100,000 levels deep"),
        (b"[" + b"[]," * 600_000 + b"[]]", "600,002 lists and objects"),
        (b"[" + b"0," * 5_000_000 + b"0]", "5,000,001 values"),
        (b'{"' + b'\\"' * 1_000_000, "broken at character"),
        (b"\x80\x04K\x01.", "JSON in UTF-8 was expected, and this is a pickle."),
        (b"PK\3\4", "JSON was expected, and this is a zip archive."),
        (b"", "JSON was expected, and this is empty."),
    ],
    ids=range(14),
)
def test_json_is_refused_with_what_is_wrong(text, said):
    with pytest.raises(FileError) as caught:
        guard.parsed_json(text, "m.keras, config.json")
    assert str(caught.value).startswith("m.keras, config.json: ")
    assert said in " ".join(str(caught.value).split())


def test_json_of_any_size_that_a_model_needs_is_read():
    value = {"vocabulary": [f"tök{i}en\\" for i in range(300_000)], "id": 2**63, "nested": "[{" * 500}
    assert guard.parsed_json(json.dumps(value).encode(), "x") == value
    assert guard.parsed_json(json.dumps(value, ensure_ascii=False).encode(), "x") == value
    assert guard.parsed_json(b'{"smile": "\\ud83d\\ude00"}', "x") == {"smile": "\U0001f600"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_json_is_read_as_python_reads_it(value):
    assert guard.parsed_json(json.dumps(value).encode(), "x") == value


# Files that are something else


def refusal(path, read=guard.file_bytes):
    with pytest.raises(FileError) as caught:
        read(path)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, OSError)
    return " ".join(str(caught.value).split())


def test_a_missing_file_is_said_with_the_nearest_name(tmp_path):
    (tmp_path / "model.keras").touch()
    assert f"there is no such file. Did you mean '{tmp_path}/model.keras'?" in refusal(tmp_path / "modle.keras")
    assert refusal(tmp_path / "weights").endswith("weights: there is no such file.")
    assert f"there is no folder '{tmp_path}/no'" in refusal(tmp_path / "no" / "model.keras")
    assert refusal(tmp_path / "model.keras").endswith("model.keras: the file is empty.")
    assert "a file was expected, and this is a folder." in refusal(tmp_path)
    assert re.search(
        "cannot be read: (open: )?embedded null (byte|character in path)", refusal("a\0b")
    )  # as Python says
    assert "cannot be read: File name too long" in refusal(tmp_path / ("a" * 300))
    assert "the file is empty" in refusal(tmp_path / "model.keras", archive.read)


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "m.keras")
    assert "it is a pipe or a device" in refusal(tmp_path / "m.keras")
    assert "it is a pipe or a device" in refusal("/dev/zero")


def test_a_link_that_the_user_names_is_followed(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    assert guard.file_bytes(tmp_path / "b") == b"abc"


def test_a_file_larger_than_the_free_memory_is_not_read(tmp_path):
    with open(tmp_path / "m.keras", "wb") as file:
        file.truncate(2**43)  # it takes no space on the disk
    assert "The file has 8,796,093,022,208 bytes, and" in refusal(tmp_path / "m.keras")


def test_free_memory_is_what_the_system_says():
    assert 2**26 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    require(5, "m.keras: it needs", FileError, 5)
    with pytest.raises(FileError, match=r"m\.keras: it needs 6,000 bytes, and 5 bytes of memory are free\."):
        require(6000, "m.keras: it needs", FileError, 5)


TORCH = io.BytesIO()
with zipfile.ZipFile(TORCH, "w") as torch_file:
    torch_file.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
ELSE = {
    "a pickle": (pickle.dumps({"w": [1.0]}), "A pickle can run any code"),
    "a file of PyTorch's": (TORCH.getvalue(), "torch.load(path, weights_only=True)"),
    "a file of safetensors'": (SAFETENSORS, "in .safetensors"),
    "a NumPy array": (b"\x93NUMPY\1\0", "numpy.load"),
    "a gzip archive": (b"\x1f\x8b\x08\0", "Unpack it"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html><html>", "Download the file itself"),
    "JSON": (b"{}", ""),
    "none": (b"once upon a time", ""),
}


@pytest.mark.parametrize("what", ELSE)
def test_a_file_of_another_kind_is_said_to_be_that(what, tmp_path):
    data, hint = ELSE[what]
    (tmp_path / "m.keras").write_bytes(data)
    said = refusal(tmp_path / "m.keras", archive.read)
    assert f"a .keras archive was expected, and this is {what}" in said and hint in said
    said = refusal(data, lambda data: hdf5.read(data, "w.h5"))
    assert f"w.h5: HDF5 was expected, and this is {what}" in said and hint in said


def test_a_file_with_the_wrong_ending_is_renamed(saved, tmp_path):
    (tmp_path / "m.keras").write_bytes((saved / "model.weights.h5").read_bytes())
    assert "this is an HDF5 file. Give it a name that ends in .h5" in refusal(tmp_path / "m.keras", archive.read)
    said = refusal((saved / "model.keras").read_bytes(), lambda data: hdf5.read(data, "m.h5"))
    assert "this is a zip archive. If it is a model that Keras saved, give it a name that ends in .keras." in said


def test_a_saved_model_of_tensorflow_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "variables").mkdir()
    for read in (guard.file_bytes, archive.read):
        assert "this is a SavedModel of TensorFlow" in refusal(tmp_path, read)
