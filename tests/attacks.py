"""The program of test_attacks.py: forty more hostile files and folders, each tried in 10 s and 1 GB above the base.

`python attacks.py` prints a line for each that takes too long, takes too much memory, ends in an error of Python's own,
writes outside its folder, runs a program or asks an address, and then how many were tried. Names limit it to some.
"""

import contextlib
import io
import json
import os
import signal
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import h5py
import hostile
import numpy as np
from integers import problem, stop

import lamina
from lamina import Input, Sequential, callbacks, layers, models, saving, utils
from lamina._saving import show

ATTACKS = {}


def attack(function):
    """One attack: a function that fills a folder and returns what the user then calls."""
    ATTACKS[function.__name__.replace("_", " ")] = function
    return function


def opens(path):
    """The ways to open a file of a model."""

    def run():
        for way in (lambda: show.show(str(path)), lambda: saving.load_model(path)):
            with contextlib.suppress(lamina.errors.LaminaError):
                way()

    return run


def with_layer(folder, **told):
    """A `.keras` file whose only layer has these entries in place of those of a Dense."""
    return hostile.keras_file(folder, hostile.stack(hostile.DENSE | told))


def with_settings(folder, **told):
    return with_layer(folder, config=hostile.DENSE["config"] | told)


def dense():
    model = Sequential([Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def fits(folder, **told):
    x = np.ones((8, 4), "float32")
    return lambda: dense().fit(x, x[:, :1], verbose=0, **told)


# Models


@attack
def lists_ten_thousand_deep(folder):
    path = hostile.keras_file(folder, name="whole.keras")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(folder / "model.keras", "w") as file:
        file.writestr("config.json", '{"a":' * 10_000 + "1" + "}" * 10_000)
        file.writestr("model.weights.h5", whole.read("model.weights.h5"))
    return opens(folder / "model.keras")


@attack
def two_configs_of_one_name(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        members = [("config.json", json.dumps(hostile.stack(hostile.lambda_layer(folder))))]
        return opens(hostile.keras_file(folder, members=members))


@attack
def a_name_that_leads_upwards(folder):
    return opens(with_settings(folder, name="../../ran"))


@attack
def names_of_controls_and_surrogates(folder):
    return opens(with_settings(folder, name="a\x00b\n\x1b[31m\ud800"))


@attack
def a_registered_name_of_builtins(folder):
    return opens(with_layer(folder, module="builtins", class_name="eval", registered_name="builtins>eval"))


@attack
def an_activation_that_is_eval(folder):
    function = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"}
    return opens(with_settings(folder, activation=function))


@attack
def an_initializer_of_a_million_numbers(folder):
    values = {"module": "keras.initializers", "class_name": "Constant", "config": {"value": [[1.0] * 1000] * 1000}}
    return opens(with_settings(folder, kernel_initializer=values))


@attack
def a_dtype_of_objects(folder):
    return opens(with_settings(folder, dtype="object"))


@attack
def a_dtype_of_a_million_letters(folder):
    return opens(with_settings(folder, dtype="f" * 10**6))


@attack
def a_layer_that_contains_itself(folder):
    inner = hostile.DENSE
    for _ in range(300):
        inner = hostile.entry("keras.layers", "TimeDistributed", {"layer": inner, "name": "t"})
    return opens(hostile.keras_file(folder, hostile.stack(inner)))


@attack
def one_object_under_many_numbers(folder):
    return opens(with_layer(folder, shared_object_id=10**30, build_config={"input_shape": [None, [None, {"a": 1}]]}))


@attack
def a_loss_that_is_a_path(folder):
    told = {"optimizer": "../../secret", "loss": str(folder / "secret"), "metrics": [["a"], {"b": "__import__"}]}
    (folder / "secret").write_bytes(hostile.SECRET)
    return opens(hostile.keras_file(folder, hostile.stack(hostile.DENSE, compile_config=told)))


@attack
def a_schedule_that_divides_by_nothing(folder):
    rate = {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "registered_name": None}
    rate["config"] = {"initial_learning_rate": 1e308, "decay_steps": 0, "warmup_steps": -1}
    sgd = {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": rate}}
    told = {"optimizer": sgd, "loss": "mse"}
    return opens(hostile.keras_file(folder, hostile.stack(hostile.DENSE, compile_config=told)))


@attack
def a_member_that_is_encrypted(folder):
    path = hostile.keras_file(folder)
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(mark, place + 1)
    path.write_bytes(data)
    return opens(path)


@attack
def members_that_overlap(folder):
    """Many entries of the index name the same bytes."""
    path = hostile.keras_file(folder)
    data = path.read_bytes()
    begin = data.find(b"PK\1\2")
    index, end = data[begin : data.find(b"PK\5\6")], bytearray(data[data.find(b"PK\5\6") :])
    many = index * 5000
    struct.pack_into("<HHII", end, 8, 15_000, 15_000, len(many), begin)
    path.write_bytes(data[:begin] + many + end)
    return opens(path)


@attack
def a_script_in_front_of_the_archive(folder):
    path = hostile.keras_file(folder)
    path.write_bytes(b"#!/bin/sh\ntouch ran\n" + path.read_bytes() + b"\n" * 70_000)
    return opens(path)


@attack
def a_legacy_config_that_is_no_text(folder):
    path = folder / "model.h5"
    path.write_bytes(hostile.hdf5(lambda file: file.attrs.update({"model_config": np.bytes_(b"\xff\xfe{"), "k": 1})))
    return opens(path)


@attack
def soft_links_in_a_circle(folder):
    links = {"a": h5py.SoftLink("/b"), "b": h5py.SoftLink("/a"), "layers": h5py.SoftLink("/layers")}
    path = hostile.weights_file(folder, lambda file: file.update(links))
    return lambda: dense().load_weights(path)


@attack
def groups_that_contain_one_another(folder):
    def build(file):
        file.create_group("layers/dense/vars")
        file["layers/dense/vars/up"] = file["layers"]
        file["layers/dense/vars/0"] = file["/"]

    path = hostile.weights_file(folder, build)
    return lambda: dense().load_weights(path)


@attack
def weights_of_other_kinds(folder):
    def build(file):
        file["layers/dense/vars/0"] = np.zeros(4, [("a", "f4"), ("b", "S9")])
        file.create_dataset("layers/dense/vars/1", data=["x"], dtype=h5py.string_dtype())
        file.create_dataset("layers/dense/vars/2", data=[file.ref], dtype=h5py.ref_dtype)
        file.create_dataset("layers/dense/vars/3", (2,), dtype=h5py.vlen_dtype("i4"))

    path = hostile.weights_file(folder, build)
    return lambda: dense().load_weights(path)


def safetensors(folder, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return lambda: dense().load_weights(folder / "w.safetensors")


@attack
def tensors_that_overlap(folder):
    one = {"dtype": "F32", "shape": [4, 1], "data_offsets": [0, 16]}
    others = {"b": one | {"data_offsets": [-8, 8]}, "c": one | {"shape": [2**62, 0]}}
    return safetensors(folder, {"a": one} | others, bytes(16))


@attack
def a_header_longer_than_an_address(folder):
    (folder / "w.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    return lambda: dense().load_weights(folder / "w.safetensors")


@attack
def tensors_of_one_name_and_words_that_are_none(folder):
    one = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    return safetensors(folder, f'{{"a":{one},"a":{one},"__metadata__":{{"x":[1]}}}}'.encode(), bytes(4))


@attack
def a_hundred_thousand_layers_as_text(folder):
    text = json.dumps(hostile.stack(*[hostile.DENSE] * 100_000))
    return lambda: models.model_from_json(text)


@attack
def numbers_of_five_thousand_digits(folder):
    text = json.dumps(hostile.stack(hostile.DENSE)).replace('"units": 1', '"units": 1' + "0" * 5000)
    return lambda: models.model_from_json(text)


@attack
def a_file_in_place_of_a_folder(folder):
    (folder / "model").write_bytes(b"PK")
    return lambda: saving.load_model(folder / "model")


# Vocabularies and tables


def with_vocabulary(folder, content):
    member = ("assets/layers/string_lookup/vocabulary.txt", content)
    return opens(hostile.keras_file(folder, hostile.stack(hostile.lookup(None)), members=[member]))


@attack
def a_vocabulary_of_a_million_equal_words(folder):
    return with_vocabulary(folder, b"a\n" * 10**6)


@attack
def a_vocabulary_that_is_no_text(folder):
    return with_vocabulary(folder, b"\xff\xfe\x00\r\n\x85" * 1000)


def space(folder, change):
    found = utils.FeatureSpace({"a": utils.FeatureSpace.float_discretized(num_bins=3, bin_boundaries=[0.5])})
    config = json.loads(json.dumps(saving.serialize_keras_object(found)))
    change(config["config"])
    return opens(hostile.keras_file(folder, config, weights=hostile.hdf5()))


@attack
def a_cross_of_features_that_are_not_there(folder):
    cross = {"feature_names": ["a", "__class__", "../x"], "crossing_dim": 10**12, "output_mode": "one_hot"}
    described = hostile.entry("keras.src.layers.preprocessing.feature_space", "Cross", cross)
    return space(folder, lambda config: config.update(crosses=[described] * 1000))


@attack
def a_feature_that_is_code(folder):
    def change(config):
        config["features"]["a"]["config"]["preprocessor"] = hostile.lambda_layer(folder)
        config["features"]["__init__"] = config["features"]["a"]

    return space(folder, change)


def rows_of(path, **told):
    return lambda: [None for _ in utils.table_dataset(path, **told)]


@attack
def a_table_of_a_million_columns(folder):
    (folder / "rows.csv").write_text(",".join(f"c{n}" for n in range(10**6)) + "\n" + "1," * (10**6 - 1) + "1\n")
    return rows_of(folder / "rows.csv")


@attack
def a_quotation_that_never_ends(folder):
    (folder / "rows.csv").write_bytes(b'a,b\n1,"' + b"x\n\0" * 10**6)
    return rows_of(folder / "rows.csv", label="b")


@attack
def a_parquet_file_of_nothing(folder):
    (folder / "rows.parquet").write_bytes(b"PAR1" + b"\x15\xff\xff\xff" * 100 + struct.pack("<I", 2**31 - 1) + b"PAR1")
    return rows_of(folder / "rows.parquet")


@attack
def a_pipe_among_tables(folder):
    os.mkfifo(folder / "rows.csv")
    return rows_of(folder / "rows.csv")


# Downloads and pictures


def unpacked(folder, name):
    origin = (folder / name).as_uri()
    told = {"cache_dir": folder / "cache", "extract": True}
    return lambda: utils.get_file(name, origin, **told)


@attack
def an_archive_that_leads_out_of_its_folder(folder):
    with tarfile.open(folder / "data.tar", "w") as file:
        for name, kind, target in (
            ("../../ran", tarfile.REGTYPE, ""), ("/tmp/lamina-ran", tarfile.REGTYPE, ""),
            ("link", tarfile.SYMTYPE, "../.."), ("link/ran", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "/etc/passwd"), ("device", tarfile.CHRTYPE, ""), ("pipe", tarfile.FIFOTYPE, ""),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            file.addfile(member)
    return unpacked(folder, "data.tar")


@attack
def a_compressed_archive_that_grows(folder):
    member = tarfile.TarInfo("zeros")
    member.size = 2**32
    with tarfile.open(folder / "data.tar.gz", "w:gz", compresslevel=9) as file:
        file.addfile(member, Zeros(2**32))
    return unpacked(folder, "data.tar.gz")


class Zeros(io.RawIOBase):
    def __init__(self, size):
        self.left = size

    def read(self, count=-1):
        count = min(count, self.left)
        self.left -= count
        return bytes(count)


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(10**6))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@attack
def a_picture_of_a_billion_dots(folder):
    for name in ("a", "b"):
        (folder / "images" / name).mkdir(parents=True)
        (folder / "images" / name / "1.png").write_bytes(png(40_000, 40_000))
    return lambda: [None for _ in utils.image_dataset_from_directory(folder / "images", verbose=False)]


@attack
def a_sound_longer_than_its_file(folder):
    (folder / "sounds" / "a").mkdir(parents=True)
    wave = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\xff\xff\x01\0\0\0\x01\0\0\0\1\0\x10\0data\xff\xff\xff\x7f"
    (folder / "sounds" / "a" / "1.wav").write_bytes(wave)
    return lambda: [None for _ in utils.audio_dataset_from_directory(folder / "sounds", verbose=False)]


@attack
def a_pipe_among_texts(folder):
    for name in ("a", "b"):
        (folder / "texts" / name).mkdir(parents=True)
        os.mkfifo(folder / "texts" / name / "1.txt")
    return lambda: [None for _ in utils.text_dataset_from_directory(folder / "texts", verbose=False)]


# Where files are written


@attack
def a_state_that_is_a_link(folder):
    fits(folder, checkpoint=folder / "run", epochs=1)()
    for path in (folder / "run").iterdir():
        if path.is_file():
            path.unlink()
            path.symlink_to("/etc/passwd")
    return fits(folder, checkpoint=folder / "run", epochs=2)


@attack
def a_state_that_is_a_pipe(folder):
    fits(folder, checkpoint=folder / "run", epochs=1)()
    for path in list((folder / "run").iterdir()):
        if path.is_file():
            path.unlink()
            os.mkfifo(path)
    return fits(folder, checkpoint=folder / "run", epochs=2)


def onto(folder, make):
    """All that writes a file, each at a place that `make` has prepared."""

    def run():
        for name, write in {
            "a.keras": lambda path: dense().save(path),
            "b.weights.h5": lambda path: dense().save_weights(path),
            "c.h5": lambda path: dense().save(path),
            "d.safetensors": lambda path: dense().save_weights(path),
            "e.onnx": lambda path: dense().export(path, format="onnx", verbose=False),
            "f": lambda path: dense().export(path, verbose=False),
            "g.csv": lambda path: fits(folder, callbacks=[callbacks.CSVLogger(path)])(),
            "h": lambda path: fits(folder, callbacks=[callbacks.TensorBoard(path)])(),
            "i": lambda path: fits(folder, checkpoint=path)(),
            "j": lambda path: fits(folder, callbacks=[callbacks.BackupAndRestore(path)])(),
            "k.keras": lambda path: fits(folder, callbacks=[callbacks.ModelCheckpoint(path, monitor="loss")])(),
            "l": lambda path: utils.get_file("x.txt", (folder / "origin").as_uri(), cache_dir=path),
        }.items():
            path = folder / "places" / name
            make(path)
            with contextlib.suppress(lamina.errors.LaminaError):
                write(path)

    (folder / "places").mkdir()
    (folder / "origin").write_text("x")
    return run


@attack
def pipes_where_files_are_written(folder):
    return onto(folder, os.mkfifo)


@attack
def folders_where_files_are_written(folder):
    def make(path):
        path.mkdir()
        (path / "mine").write_text("mine")

    return onto(folder, make)


@attack
def links_to_nothing_where_files_are_written(folder):
    return onto(folder, lambda path: path.symlink_to(folder / "nowhere" / "deep" / "x"))


@attack
def links_in_a_circle_where_files_are_written(folder):
    return onto(folder, lambda path: path.symlink_to(path))


@attack
def files_where_folders_are_written(folder):
    return onto(folder, lambda path: path.write_bytes(b"mine"))


@attack
def the_full_device_where_files_are_written(folder):
    return onto(folder, lambda path: path.symlink_to("/dev/full"))


FORBIDDEN = "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class"


def main(*only):
    seen, allowed = [], []

    def listen(event, arguments):
        if event in FORBIDDEN:
            seen.append(f"{event}{arguments}"[:200])
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            place = os.path.realpath(os.fsdecode(arguments[0])) if isinstance(arguments[0], (str, bytes)) else ""
            if place and allowed and not place.startswith((*allowed, "/dev/", "/proc/")):
                seen.append(f"writes {place}")

    sys.addaudithook(listen)
    signal.signal(signal.SIGALRM, stop)
    fits(None)()  # so that what is compiled once counts for none
    count = 0
    for name, make in ATTACKS.items():
        if only and name not in only:
            continue
        count += 1
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            place = Path(folder, "in", "side")
            place.mkdir(parents=True)
            run = make(place)
            before = sorted(Path(folder).iterdir())
            allowed[:], seen[:] = [os.path.realpath(place)], []
            wrong = problem(run)
            allowed.clear()
            outside = [str(each) for each in (*sorted(Path(folder).iterdir()), *Path(folder, "in").iterdir())]
            if outside != [*map(str, before), str(place)] or (place / "ran").exists():
                wrong += f" wrote {outside}"
            if seen:
                wrong += f" {seen[:3]}"
        if wrong:
            print(f"{name}:{wrong}", flush=True)
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
