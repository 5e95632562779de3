"""Files that harm real Keras of some version, and others that ask for what no file should: all are refused."""

import io
import json
import os
import socket
import struct
import tracemalloc
import zipfile

import h5py
import hostile
import numpy as np
import pytest

from lamina import Input, Sequential, layers, models, saving
from lamina._saving import archive, hdf5, hdf5_blocks
from lamina.errors import FileError, LaminaError, LaminaWarning, ShapeError

SAID = {
    "cve_2021_37678": "JSON was expected, and this is none.",
    "cve_2024_3660": "layer 1 (lambda: Lambda):",
    "cve_2025_1550": "is a functional model whose layers",
    "cve_2025_1550_in_a_stack": "no layer is called 'system'",
    "cve_2025_8747": "calls 'call_0' with fname='ran', and a stack calls each layer with one tensor only",
    "cve_2025_9905": "layer 1 (lambda: Lambda):",
    "cve_2025_9906": "is a functional model whose layers",
    "cve_2025_12058": "layer 1 (string_lookup: StringLookup):",
    "cve_2025_49655": "no layer is called 'TorchModuleWrapper'",
    "cve_2026_0897": "layers/dense/vars/0: it is compressed or filtered.",
    "cve_2026_1462": "no layer is called 'TFSMLayer'",
    "cve_2026_1669_external_storage": "layers/dense/vars/0: its values are in another file.",
    "cve_2026_1669_external_link": "layers/dense/vars: it holds an external link, which can lead elsewhere.",
    "cve_2026_1669_group": "model.weights.h5: it holds an external link, which can lead elsewhere.",
    "cve_2026_1669_virtual": "layers/dense/vars/0: its values are in chunks, in other files,",
    "cve_2026_12479": "a name is a string without '/'",
    "cve_2026_12481": "layer 1 (lambda: Lambda):",
    "ghsa_hqp4_2352_xf5r": "the member 'assets/../../ran' could be written outside a folder.",
    "link_in_archive": "the member 'assets/layers/string_lookup/vocabulary.txt' is a link",
    "zip_bomb_of_weights": "compressed bytes become more than 3,8",
    "zip_bomb_of_assets": "vocabulary.txt: 48,",
    "pickle_in_npz": "it has no member 'model.weights.h5'",
    "hard_link_in_folder": "vocabulary.txt: it is a hard link",
    "linked_file_in_folder": "assets/vocabulary.txt: it is a symbolic link.",
    "linked_folder_in_folder": "model, assets: it is a symbolic link.",
}
READ_OTHERS = [name for name in SAID if "1669" in name or "link" in name]
FROM_TEXT = {
    "model_from_json": models.model_from_json,
    "deserialize": lambda text: layers.deserialize(json.loads(text)),
    "deserialize_keras_object": lambda text: saving.deserialize_keras_object(json.loads(text)),
    "from_config": lambda text: Sequential.from_config(json.loads(text)["config"]),
}


def opened(path):
    """The model in a file, or one that has the weights in it."""
    if path.suffix in (".json", ".yaml"):
        return models.model_from_json(path.read_text())
    if not path.name.endswith(".weights.h5"):
        return saving.load_model(path)
    model = dense()
    before = model.get_weights()
    try:
        model.load_weights(path)
    finally:
        assert all(map(np.array_equal, model.get_weights(), before))
    return model


def dense():
    return Sequential([Input((4,)), layers.Dense(1)])


@pytest.mark.parametrize("name", SAID)
def test_a_file_that_harms_keras_is_refused(name, tmp_path):
    path = getattr(hostile, name)(tmp_path)
    with pytest.raises(LaminaError) as caught:
        opened(path)
    said = " ".join(str(caught.value).split())
    assert SAID[name] in said
    assert isinstance(caught.value, FileError) or path.suffix == ".json"
    assert not (tmp_path / "ran").exists() and not (tmp_path.parent / "ran").exists()


@pytest.mark.parametrize("name", ["cve_2024_3660", "cve_2025_9905", "cve_2025_9906"])
def test_there_is_no_switch_for_code(name, tmp_path):
    path = getattr(hostile, name)(tmp_path)
    with pytest.warns(LaminaWarning, match="safe_mode=False has no effect"), pytest.raises(FileError):
        saving.load_model(path, safe_mode=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("way", FROM_TEXT)
def test_no_way_in_has_another_rule(way, tmp_path):
    """CVE-2026-12481: functions without a safe mode took its absence for no."""
    text = hostile.cve_2026_12481(tmp_path).read_text()
    with pytest.raises(LaminaError, match="Lambda"):
        FROM_TEXT[way](text)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", READ_OTHERS)
def test_the_weights_of_a_file_are_refused_by_load_weights_as_well(name, tmp_path):
    path = getattr(hostile, name)(tmp_path)
    model = dense()
    before = model.get_weights()
    with pytest.raises(LaminaError):
        model.load_weights(path)
    assert all(map(np.array_equal, model.get_weights(), before))


def test_no_address_is_asked_for_a_vocabulary(tmp_path):
    """CVE-2025-12058: what a file names may be an address in the network of whoever opens it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/vocabulary.txt"
        path = hostile.keras_file(tmp_path, hostile.stack(hostile.lookup(address)))
        with pytest.raises(FileError, match="StringLookup"):
            saving.load_model(path)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("config", [{"no": "class"}, hostile.DENSE, {"class_name": "Sequential", "config": [7]}])
def test_a_config_of_something_else_is_refused(config, tmp_path):
    with pytest.raises(FileError, match=r"it does not hold a model, but|expected the config"):
        saving.load_model(hostile.keras_file(tmp_path, config))


def huge(units):
    settings = {"name": "dense", "units": units, "use_bias": False}
    return hostile.stack(hostile.entry("keras.layers", "Dense", settings))


@pytest.mark.parametrize("units", [250_000_000_000, 2**62])
def test_a_stack_without_weights_in_its_file_takes_no_memory(units, tmp_path):
    path = hostile.keras_file(tmp_path, huge(units), hostile.hdf5())
    tracemalloc.start()
    with pytest.raises(LaminaError, match=r"cannot take|the file has"):
        saving.load_model(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("way", FROM_TEXT)
def test_a_stack_too_large_for_the_memory_is_refused_with_its_parameter_count(way):
    with pytest.raises(ShapeError, match=r"with\s+1,000,000,000,000\s+parameters"):
        FROM_TEXT[way](json.dumps(huge(250_000_000_000)))


# Archives


def members(*told, method=zipfile.ZIP_STORED):
    return lambda folder: hostile.keras_file(folder, members=told, method=method)


def with_mode(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def changed(find, replace):
    """A genuine archive in which bytes are replaced, wherever they stand."""

    def make(folder):
        path = hostile.keras_file(folder)
        data = path.read_bytes()
        assert find in data and len(find) == len(replace)
        path.write_bytes(data.replace(find, replace))
        return path

    return make


def listed(offset, width, value):
    """A genuine archive in whose list of members a field of config.json is changed."""

    def make(folder):
        path = hostile.keras_file(folder)
        data = bytearray(path.read_bytes())
        start = data.rindex(b"config.json") - 46 + offset
        data[start : start + width] = value.to_bytes(width, "little")
        path.write_bytes(data)
        return path

    return make


def sharing_their_bytes(folder):
    """Fifield's bomb: the list names the same compressed bytes a hundred times."""
    path = hostile.keras_file(folder, members=[("assets/00", bytes(2**20))], method=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    start = data.rindex(b"PK\1\2", 0, end)
    others = b"".join(data[start:end].replace(b"assets/00", b"assets/%02d" % i) for i in range(100))
    count, size = struct.unpack("<HI", data[end + 10 : end + 16])
    tail = struct.pack("<HHI", count + 99, count + 99, size + len(others) - (end - start))
    path.write_bytes(data[:start] + others + data[end : end + 8] + tail + data[end + 16 :])
    return path


def many_members(folder):
    return hostile.keras_file(folder, members=[(f"assets/{i}", b"") for i in range(10_001)])


def twice(folder):
    path = hostile.keras_file(folder)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("config.json", "{}")
    return path


def cut_short(folder):
    path = hostile.keras_file(folder)
    path.write_bytes(path.read_bytes()[:-30])
    return path


ZIPS = {
    "absolute": (members(("/etc/passwd", "x")), "could be written outside a folder"),
    "drive": (members(("C:evil", "x")), "could be written outside a folder"),
    "backslash": (changed(b"metadata.json", b"..\\adata.json"), "could be written outside a folder"),
    "nul": (changed(b"metadata.json", b"metadata.j\0on"), "could be written outside a folder"),
    "dot": (members(("assets/./x", "x")), "could be written outside a folder"),
    "empty part": (members(("assets//x", "x")), "could be written outside a folder"),
    "long": (members(("assets/" + "x/" * 600, "x")), "could be written outside a folder"),
    "pipe": (members((with_mode("assets/x", 0o010600), "")), "is a link or a device"),
    "twice": (twice, "the member 'config.json' stands there twice"),
    "many": (many_members, "more than 10,000 members"),
    "encrypted": (listed(8, 2, 1), "config.json: it is encrypted"),
    "bzip2": (members(method=zipfile.ZIP_BZIP2), "config.json: it is compressed by another method than deflate"),
    "unknown method": (listed(10, 2, 99), "compressed by another method than deflate"),
    "not deflated": (listed(10, 2, 8), "config.json: the archive is broken: Error -3"),
    "checksum": (listed(16, 4, 7), "config.json: the archive is broken: the member's size or checksum is wrong"),
    "stored size": (listed(20, 4, 7), "the member's size or checksum is wrong"),
    "declared size": (listed(24, 4, 2**31), "the member's size or checksum is wrong"),
    "stored size over the end": (listed(20, 4, 2**31), "some of them overlap"),
    "place over the end": (listed(42, 4, 2**31), "the member lies outside it"),
    "place of another": (listed(42, 4, 1), "the member lies outside it"),
    "shared": (sharing_their_bytes, "some of them overlap"),
    "cut short": (cut_short, "the archive is broken: File is not a zip file"),
    "a list": (lambda folder: hostile.keras_file(folder, ["no", "object"]), "config.json holds no JSON object"),
    "a number without end": (lambda folder: hostile.keras_file(folder, {"a": 10**30}), "integer of 31 digits"),
}


@pytest.mark.parametrize("what", ZIPS)
def test_a_hostile_archive_is_refused(what, tmp_path):
    make, said = ZIPS[what]
    path = make(tmp_path)
    with pytest.raises(FileError) as caught:
        archive.read(path)
    assert said in " ".join(str(caught.value).split())


def test_a_bomb_takes_no_memory(tmp_path):
    """A file of 200 kB that becomes 200 MB in real Keras's memory takes no more than a few megabytes."""
    path = hostile.zip_bomb_of_weights(tmp_path)
    assert path.stat().st_size < 250_000
    tracemalloc.start()
    with pytest.raises(FileError, match="as in a zip bomb"):
        archive.read(path)
    assert tracemalloc.get_traced_memory()[1] < 20 * path.stat().st_size + 2**23
    tracemalloc.stop()


def test_all_members_together_may_not_grow_either(tmp_path):
    """Each of 400 members grows to a megabyte, which one of them may."""
    many = [(f"assets/{i}", bytes(2**20)) for i in range(400)]
    path = hostile.keras_file(tmp_path, members=many, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(FileError, match="as in a zip bomb"):
        archive.read(path)


# Folders


def test_a_pipe_in_a_folder_is_refused_at_once(tmp_path):
    folder = hostile.unzipped(tmp_path)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(FileError, match=r"config\.json: it is a pipe or a device"):
        archive.read(folder)


def test_what_is_not_of_the_model_is_not_read(tmp_path):
    folder = hostile.unzipped(tmp_path)
    (folder / "README.md").symlink_to("/etc/passwd")
    (folder / "checkpoint").symlink_to("/")
    os.mkfifo(folder / "pipe")
    assert archive.read(folder).assets == {}


def test_a_folder_with_too_many_files_or_levels_is_refused(tmp_path, monkeypatch):
    folder = hostile.unzipped(tmp_path)
    (folder / "assets" / "a" / "b").mkdir(parents=True)
    for name in "cde":
        (folder / "assets" / "a" / "b" / name).write_bytes(b"x")
    assert len(archive.read(folder).assets) == 3
    monkeypatch.setattr(archive, "MOST_MEMBERS", 4)
    with pytest.raises(FileError, match="more than 4 files"):
        archive.read(folder)


def test_without_a_way_to_avoid_links_no_folder_is_read(tmp_path, monkeypatch):
    folder = hostile.unzipped(tmp_path)
    monkeypatch.delattr(os, "fwalk")
    with pytest.raises(FileError, match="this system cannot read a folder"):
        archive.read(folder)


# HDF5


def dataset(**told):
    return lambda file: file.create_dataset("a/0", **told)


def with_attribute(value):
    return lambda file: file.create_group("a").attrs.update({"x": value})


def linked_twice(file):
    file["a/0"] = np.ones(3)
    file["b"] = file["a/0"]


def inside_itself(file):
    inner = file.create_group("a").create_group("b")
    inner["c"] = file["a"]


def soft_link(file):
    file["a/0"] = np.ones(3)
    file["b"] = h5py.SoftLink("/a/0")


def named_type(file):
    file["type"] = np.dtype("f4")
    file.create_dataset("a/0", data=np.ones(3), dtype=file["type"])


def type_alone(file):
    file["a"] = np.dtype("f4")


def reference(file):
    file["a/0"] = np.ones(3)
    file["r"] = np.array([file["a/0"].ref], dtype=h5py.ref_dtype)


def region_reference(file):
    file["a/0"] = np.ones(3)
    file["a/0"].attrs["r"] = file["a/0"].regionref[:2]


def deep(file):
    file.create_group("/".join("x" * 102))


def not_written(file):
    """A dataset that has no bytes at all, and reads as a fill value."""
    file.create_dataset("a/0", (1000, 1000), "f4", fillvalue=1.0)


def shape_of_nothing(file):
    file.create_dataset("a/0", (0, 2**60, 2**60), "f4")


H5 = {
    "external link": (lambda file: file.update({"a": h5py.ExternalLink("/etc/passwd", "x")}), "an external link"),
    "soft link": (soft_link, "it holds a soft link"),
    "two hard links": (linked_twice, "two links lead to it, or it is inside itself"),
    "inside itself": (inside_itself, "two links lead to it, or it is inside itself"),
    "chunks": (dataset(data=np.ones((8, 8)), chunks=(4, 4)), "its values are in chunks"),
    "gzip": (dataset(data=np.ones((8, 8)), compression="gzip"), "a/0: it is compressed or filtered. If you trust"),
    "checksums": (dataset(data=np.ones((8, 8)), fletcher32=True), "it is compressed or filtered"),
    "external storage": (dataset(shape=(4,), dtype="f4", external="/etc/passwd"), "its values are in another file"),
    "not written": (not_written, "its shape needs 4,000,000 bytes, and the file holds 0."),
    "empty": (lambda file: file.update({"a": h5py.Empty("f4")}), "it holds no numbers"),
    "no such shape": (shape_of_nothing, "there is no array of the shape"),
    "named type": (named_type, "it shares its type with other objects"),
    "type alone": (type_alone, "a: it is neither a group nor a dataset"),
    "reference": (reference, "it holds references to objects"),
    "region reference": (region_reference, "it holds references to objects"),
    "variable length": (dataset(shape=(3,), dtype=h5py.vlen_dtype(np.float32)), "it holds values of variable length"),
    "texts": (dataset(data=["a", "bc"]), "it holds no numbers"),
    "fixed texts": (dataset(data=np.array([b"a"])), "it holds no numbers"),
    "compound": (dataset(data=np.ones(3, [("x", "f4"), ("y", "i4")])), "it holds compound values"),
    "complex": (dataset(data=np.ones(3, "c8")), "it holds compound values"),
    "opaque": (dataset(data=np.ones(3, "V7")), "it holds no numbers"),
    "enumeration": (dataset(shape=(3,), dtype=h5py.enum_dtype({"A": 0, "B": 1})), "it holds an enumeration"),
    "opaque attribute": (with_attribute(np.void(b"abcdefg")), "bytes of an unknown type"),
    "compound attribute": (with_attribute(np.ones(3, [("x", "f4")])), "it holds compound values"),
    "deep": (deep, "is nested too deep"),
}


@pytest.mark.parametrize("what", H5)
def test_a_hostile_hdf5_file_is_refused(what):
    build, said = H5[what]
    with pytest.raises(FileError) as caught:
        hdf5.read(hostile.hdf5(build), "w.h5")
    assert said in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    "options", [{"libver": "latest"}, {"libver": ("v108", "v108")}, {"track_order": True}], ids=str
)
def test_a_newer_form_of_hdf5_is_named_with_what_makes_it_plain(options):
    with pytest.raises(FileError, match=r"newer form of HDF5(?s:.)*`h5repack -l CONTI -f NONE"):
        hdf5.read(hostile.hdf5(hostile.fitting, **options), "w.h5")


def read_with(data, *changes):
    """Read an HDF5 file in which numbers of eight bytes are replaced by others; each stands there once."""
    for old, new in changes:
        old, new = (struct.pack(f"<{len(each)}Q", *each) for each in (old, new))
        assert data.count(old) == 1
        data = data.replace(old, new)
    return hdf5.read(data, "w.h5")


def two_datasets():
    data = hostile.hdf5(lambda file: file.update({"a": np.arange(1000.0), "b": np.arange(1000.0, 2000.0)}))
    with h5py.File(io.BytesIO(data)) as file:
        return data, file["a"].id.get_offset(), file["b"].id.get_offset()


def test_no_byte_belongs_to_two_datasets():
    data, first, second = two_datasets()
    assert sorted(read_with(data).arrays) == ["a", "b"]
    for shared in (first, first + 8, first - 8):
        with pytest.raises(FileError, match="two blocks share the same bytes"):
            read_with(data, ((second, 8000), (shared, 8000)))


def test_no_block_lies_outside_the_file():
    data, first, _ = two_datasets()
    for start in (len(data) - 7992, len(data), 2**64 - 2):
        with pytest.raises(FileError, match=r"a: a block lies at byte \d+ of \d+"):
            read_with(data, ((first, 8000), (start, 8000)))
    with pytest.raises(FileError, match=r"a: its shape needs 8,000 bytes, and the file holds 8\."):
        read_with(data, ((first, 8000), (first, 8)))
    with pytest.raises(FileError, match=r"a: its shape needs 8,796,093,022,208 bytes, and the file holds 8,000\."):
        hdf5.read(data.replace(struct.pack("<QQ", 1000, 1000), struct.pack("<QQ", 2**40, 2**40), 1), "w.h5")


def test_a_file_that_is_cut_short_says_so():
    data, *_ = two_datasets()
    for length in (0, 7, 8, 50, 95, 96, 200, len(data) // 2, len(data) - 1):
        with pytest.raises(FileError, match=r"cut short|a block lies at byte 0|HDF5 was expected"):
            hdf5.read(data[:length], "w.h5")


def test_one_text_may_not_be_read_a_thousand_times():
    """A list of a thousand texts that all are the same hundred kilobytes."""

    def build(file):
        file.attrs["a"] = ["x" * 100_000, *("y" * 99 for _ in range(1000))]

    data = hostile.hdf5(build)
    references = data.index(struct.pack("<I", 100_000))
    first = data[references : references + 16]
    data = data[:references] + first * 1001 + data[references + 16 * 1001 :]
    with pytest.raises(FileError, match="more text than the file has bytes"):
        hdf5.read(data, "w.h5")


def test_there_is_a_limit_to_what_attributes_hold(monkeypatch):
    monkeypatch.setattr(hdf5_blocks, "MOST_VALUES", 99)
    hdf5.read(hostile.hdf5(lambda file: file.attrs.update({"a": np.zeros(99)})), "w.h5")
    with pytest.raises(FileError, match="its attributes hold more than 99 values"):
        hdf5.read(hostile.hdf5(lambda file: file.attrs.update({"a": np.zeros(50), "b": np.zeros(50)})), "w.h5")


def test_there_is_a_limit_to_how_many_objects_there_are(monkeypatch):
    monkeypatch.setattr(hdf5, "MOST_OBJECTS", 5)
    with pytest.raises(FileError, match="more than 5 groups and datasets"):
        hdf5.read(hostile.hdf5(lambda file: [file.create_group(each) for each in "abcde"]), "w.h5")


def test_a_boolean_is_one_of_two_bytes():
    data = hostile.hdf5(lambda file: file.update({"a": np.array([True] * 40)}))
    with pytest.raises(FileError, match="a boolean is neither 0 nor 1"):
        hdf5.read(data.replace(b"\1" * 40, b"\1" * 39 + b"\2"), "w.h5")


@pytest.mark.parametrize("units", [2**31, 2**40, 10**18])
def test_weights_with_more_numbers_than_an_address_has_are_refused(tmp_path, units):
    """A recurrent layer has units x units of them, which NumPy cannot count."""
    saving.save_model(Sequential([Input((5, 3)), layers.LSTM(2)]), tmp_path / "genuine.keras")
    held = archive.members(str(tmp_path / "genuine.keras"))
    config = json.loads(bytes(held["config.json"]))
    config["config"]["layers"][1]["config"]["units"] = units
    with pytest.raises(FileError, match=r"layer 1 \(lstm: LSTM\): has a weight"):
        saving.load_model(hostile.keras_file(tmp_path, config, bytes(held["model.weights.h5"])))
