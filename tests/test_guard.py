"""Reading bytes without trusting them: genuine files are read as h5py reads them, and what else there is is named."""

import io
import json
import zipfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina._saving import archive, guard, hdf5
from lamina._saving.hdf5 import Stored


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
