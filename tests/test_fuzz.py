"""Thousands of broken files, changed from genuine ones: each is refused with our error, or holds what it says.

`make test` tries 2,000, `make nightly` more than 200,000, the greater part with atheris, which looks for inputs that
reach new lines of the readers.
"""

import copy
import json
import subprocess
import sys
import tracemalloc
import zipfile
from importlib.util import find_spec
from pathlib import Path

import hostile
import numpy as np
import pytest
from cases import CASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina import Input, Sequential, layers, saving
from lamina._saving import archive, config, guard, hdf5
from lamina.errors import FileError
from lamina.losses import Huber
from lamina.metrics import CategoricalAccuracy
from lamina.optimizers import Adam
from lamina.optimizers.schedules import ExponentialDecay

QUICK_AND_LONG = [500, pytest.param(5_000, marks=pytest.mark.nightly)]
BYTES = st.one_of(
    st.binary(min_size=1, max_size=9),
    st.sampled_from([0, 1, 2, 8, 0xFFFF, 2**31 - 1, 2**32 - 1]).map(lambda n: n.to_bytes(4, "little")),
    st.sampled_from([0, 1, 24, 96, 2**40, 2**63, 2**64 - 1]).map(lambda n: n.to_bytes(8, "little")),
)


def changed(data, places, tokens):
    """The bytes with a few changes at some of the places: overwritten, left out or put in."""
    change = st.tuples(st.sampled_from(places), st.one_of(BYTES, st.sampled_from(tokens)), st.sampled_from("ooooodi"))

    def apply(changes):
        result = data
        for place, new, kind in changes:
            end = place if kind == "i" else place + len(new)
            result = result[:place] + (b"" if kind == "d" else new) + result[end:]
        return result

    return st.lists(change, min_size=1, max_size=4).map(apply)


def near(data, reach=6):
    """The places that hold something, and those beside them."""
    live = np.flatnonzero(np.frombuffer(data, np.uint8))
    return sorted({int(at) for shift in range(-reach, reach) for at in live + shift if 0 <= at < len(data)})


def fill(file):
    hostile.fitting(file)
    file["optimizer/vars/0"] = np.int32(7)
    file["größe"] = np.array([True, False])
    for number in range(9):  # so many that they have a tree and a heap
        file[f"größen/größe_{number}"] = np.float32(number)
    file.attrs["model_config"] = json.dumps(hostile.stack(hostile.DENSE))
    file.attrs["layer_names"] = ["dense", "größe"]
    file.attrs["fixed"] = np.array([b"a", b"bc"])
    file.attrs["numbers"] = np.arange(3.0)


PLAIN = hostile.hdf5(fill)


def attempt(read, data, where):
    """What is read, or None where it is refused in words that begin with the place."""
    try:
        return read(data)
    except FileError as error:
        said = str(error)
    assert said.startswith(where)
    return None


def check_hdf5(data):
    stored = attempt(lambda data: hdf5.read(data, "w.h5"), data, "w.h5: ")
    if stored is not None:
        assert sum(array.nbytes for array in stored.arrays.values()) <= len(data)
        assert len(repr(stored.attributes)) < 8 * len(data)
        assert all(array.dtype.kind in "biufV" and array.tobytes() is not None for array in stored.arrays.values())


def check_json(data):
    value = attempt(lambda data: guard.parsed_json(data, "c.json"), data, "c.json: ")
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


def check_zip(data, folder):
    (folder / "m.keras").write_bytes(data)
    held = attempt(archive.read, folder / "m.keras", str(folder / "m.keras"))
    if held is not None:
        assert isinstance(held.config, dict) and isinstance(held.extra, dict)
        assert sum(map(len, held.assets.values())) < guard.MOST_GROWTH * len(data) + guard.FREE_GROWTH


def run(strategy, check, amount, memory=2**22):
    """Check that many inputs, each within so much memory; with None it is not measured, which takes time."""

    @settings(max_examples=amount, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def bounded(data):
        if memory is None:
            check(data)
            return
        tracemalloc.start()
        try:
            check(data)
            assert tracemalloc.get_traced_memory()[1] < memory
        finally:
            tracemalloc.stop()

    bounded()


@pytest.mark.parametrize("amount", QUICK_AND_LONG)
def test_changed_hdf5_files(amount):
    addresses = [at.to_bytes(8, "little") for at in range(0, len(PLAIN), 8) if PLAIN[at : at + 4].isalpha()]
    run(changed(PLAIN, near(PLAIN), [*addresses, b"TREE", b"SNOD", b"HEAP", b"GCOL"]), check_hdf5, amount)


@pytest.mark.parametrize("amount", QUICK_AND_LONG)
def test_changed_json(amount):
    text = json.dumps(hostile.stack(hostile.DENSE, compile_config={"loss": "mse"})).encode()
    tokens = [b"[" * 200, b"{" * 200, b'{"a":' * 200, b"1" * 50, *rb"NaN 1e999 \\ \" \\ud800 , : null".split(), b"\xff"]
    run(changed(text, range(len(text)), tokens), check_json, amount)


@pytest.mark.parametrize("amount", QUICK_AND_LONG)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_changed_archives(amount, method, tmp_path):
    members = [("assets/layers/string_lookup/vocabulary.txt", "a\nb"), ("lamina.json", "{}")]
    data = hostile.keras_file(tmp_path, members=members, method=method).read_bytes()
    heads = [at for at in range(len(data)) for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6") if data.startswith(mark, at)]
    places = [at for head in heads for at in range(head, min(head + 60, len(data)))]
    tokens = [b"PK\1\2", b"PK\3\4", b"../", b"config.json", b"\\", b"/", b"\0"]
    run(changed(data, places, tokens), lambda data: check_zip(data, tmp_path), amount // 2)


def places(value, at=()):
    """All places in a config, each as the keys that lead to it."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


def put(value, at, new):
    """The config with another value at that place."""
    if not at:
        return new
    twin = copy.copy(value)
    twin[at[0]] = put(value[at[0]], at[1:], new)
    return twin


OTHERS = [Adam(ExponentialDecay(0.1, 9, 0.5)), CategoricalAccuracy(), Huber()]
OBJECTS = [case.make(layers) for case in CASES] + OTHERS
CONFIGS = [json.loads(json.dumps(config.serialized(each))) for each in OBJECTS]
WORDS = "Dense LSTM Lambda relu function __numpy__ __bytes__ __lambda__ float16 keras.layers os system ../x".split()
NUMBERS = [-1, 0, 1, 2, 2**31, 2**63, -(2**70), 0.5, -1e300]
KEYS = ["class_name", "config", "module", "registered_name", *WORDS]
SCALARS = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(WORDS))
VALUES = st.recursive(
    SCALARS | st.sampled_from(CONFIGS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["class_name", "config", *WORDS]), inner)
    ),
    max_leaves=4,
)


@st.composite
def configs(draw):
    value = draw(st.sampled_from(CONFIGS))
    for _ in range(draw(st.integers(1, 3))):
        value = put(value, draw(st.sampled_from(list(places(value)))), draw(VALUES))
    return value


@pytest.mark.parametrize("amount", QUICK_AND_LONG)
def test_changed_configs(amount):
    """A config of which some values are others is refused in words, or makes an object."""

    def check(value):
        attempt(lambda value: config.deserialized(value, where="m.keras"), value, "m.keras: ")

    run(configs(), check, amount, memory=2**24)


@pytest.mark.nightly
@pytest.mark.skipif(not find_spec("atheris"), reason="atheris has no wheel for this system")
@pytest.mark.parametrize(("kind", "runs"), [("hdf5", 80_000), ("json", 100_000), ("zip", 30_000)])
def test_inputs_that_atheris_finds(kind, runs, tmp_path):
    (tmp_path / kind).mkdir()
    text = json.dumps(hostile.stack(hostile.DENSE)).encode()
    seed = {"hdf5": PLAIN, "json": text, "zip": hostile.keras_file(tmp_path).read_bytes()}[kind]
    (tmp_path / kind / "genuine").write_bytes(seed)
    program = [sys.executable, Path(__file__).with_name("fuzzing.py"), kind, tmp_path / kind, str(runs)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0 and f"Done {runs} runs" in done.stderr, done.stderr[-5000:]


@pytest.mark.filterwarnings("ignore::lamina.errors.LaminaWarning")
@pytest.mark.parametrize("amount", [60, pytest.param(2000, marks=pytest.mark.nightly)])
def test_changed_models(amount, tmp_path):
    """A model of which some settings are others is refused, or has the weights that the file has for it."""
    stack = [Input((6,)), layers.Dense(4, activation="relu"), layers.Reshape((4, 1)), layers.LSTM(2), layers.Dense(1)]
    model = Sequential(stack)
    model.compile(Adam(ExponentialDecay(0.1, 9, 0.5)), "mse", metrics=["mae"])
    saving.save_model(model, tmp_path / "genuine.keras")
    held = archive.members(str(tmp_path / "genuine.keras"))
    genuine, weights = json.loads(bytes(held["config.json"])), bytes(held["model.weights.h5"])
    arrays = sorted(array.shape for path, array in hdf5.read(weights, "w.h5").arrays.items() if "layers/" in path)

    def check(at_and_value):
        at, value = at_and_value
        path = hostile.keras_file(tmp_path, put(genuine, at, value), weights)
        opened = attempt(saving.load_model, path, "")
        if opened is not None:
            assert sorted(weight.shape for weight in opened.weights) == arrays

    changes = st.tuples(st.sampled_from([at for at in places(genuine) if at]), VALUES)
    run(changes, check, amount, memory=None)
