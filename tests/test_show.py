"""`python -m lamina show` says what a file holds, and cannot be led astray by it."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina._saving.show import show


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with files of a model of real Keras's."""
    folder = tmp_path_factory.mktemp("saved")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="deep")], name="inner")
    model = keras.Sequential([
        keras.Input((8,)), keras.layers.Dense(4, name="first"), inner, keras.layers.Reshape((3, 1)),
        keras.layers.LSTM(5, name="lstm"), keras.layers.Dense(3), keras.layers.Dense(2, name="[bold]last"),
    ], name="net")  # fmt: skip
    model.compile(keras.optimizers.Adam(0.25), "mse", metrics=["mae"])
    model.fit(np.ones((4, 8)), np.ones((4, 2)), verbose=0)
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    model.save_weights(folder / "m.weights.h5")
    return folder


def shown(path, capsys):
    """The exit status, and what is printed."""
    status = show(str(path))
    return status, capsys.readouterr().out


def test_a_model_is_shown_layer_by_layer(saved, capsys):
    status, text = shown(saved / "m.keras", capsys)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    data = (saved / "m.keras").read_bytes()
    assert status == 0
    assert f"Bytes: {len(data):,}" in lines and f"SHA-256: {hashlib.sha256(data).hexdigest()}" in lines
    with zipfile.ZipFile(saved / "m.keras") as archive:
        for name in ("config.json", "metadata.json", "model.weights.h5"):
            held = archive.read(name)
            assert f"{name} {len(held):,} {hashlib.sha256(held).hexdigest()}" in lines
    assert "Keras: 3.15.1" in lines
    assert "first (Dense) (None, 8) 0 (8, 4) float32 36 144" in lines
    assert "deep (Dense) (None, 4) 0 (4, 3) float32 15 60" in lines
    assert "lstm (LSTM) (None, 3, 1) cell/0 (1, 20) float32 140 560" in lines
    assert "[bold]last (Dense) (None, 3) 0 (3, 2) float32 8 32" in lines
    assert "and 16 more" in lines
    assert "Weights: 217 params in 11 arrays, 868 bytes (868.00 B)" in lines
    assert "Optimizer: 436 params in 24 arrays, 1,744 bytes (1.70 KB)" in lines
    assert any(line.startswith("Compiled with optimizer=Adam(learning_rate=0.25") for line in lines)
    assert "Compiled with loss='mse'" in lines and "Compiled with metrics=['mae']" in lines


def test_a_folder_and_the_older_format_and_weights_alone_are_shown(saved, tmp_path, capsys):
    with zipfile.ZipFile(saved / "m.keras") as archive:
        archive.extractall(tmp_path / "m")
    by_archive, by_folder = shown(saved / "m.keras", capsys)[1], shown(tmp_path / "m", capsys)[1]
    assert by_folder.splitlines()[3:] == by_archive.splitlines()[5:]
    status, text = shown(saved / "m.h5", capsys)
    assert status == 0 and "as Keras 2 saved it" in text and "Backend: jax" in text
    assert "net/first/kernel (8, 4) float32" in text and "optimizer=Adam(learning_rate=0.25" in text
    status, text = shown(saved / "m.weights.h5", capsys)
    assert status == 0 and "layers/dense (first)" in text and "Compiled" not in text
    assert "Weights: 217 params in 11 arrays" in text


def safetensors(header, size=0):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


def test_the_states_of_a_run_are_shown(tmp_path, capsys):
    model = lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(3), lamina.layers.Dense(1)])
    model.compile("adam", "mse")
    checkpoint = lamina.callbacks.Checkpoint(tmp_path / "run", every=1, monitor="loss")
    model.fit(np.ones((8, 4)), np.ones((8, 1)), epochs=3, batch_size=4, verbose=0, checkpoint=checkpoint)
    status, text = shown(tmp_path / "run", capsys)
    names = sorted(os.listdir(tmp_path / "run"))
    assert status == 0 and "best.safetensors" in names and len(names) > 2
    assert f"of which {names[-2]} holds" in text and all(name in text for name in names)
    assert "Epochs done: 3" in text and "layer 1: Dense(3)" in text and "Callbacks: Checkpoint" in text
    assert "stack.0.kernel (4, 3) float32" in text and "Optimizer: " in text
    path = tmp_path / "run" / names[-2]
    assert shown(path, capsys)[1].splitlines()[1] == f"  Bytes: {path.stat().st_size:,}"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    status, text = shown(tmp_path / "run", capsys)
    assert status == 1 and "the file has changed since it was written" in " ".join(text.split())


def test_weights_in_several_files_are_shown(saved, tmp_path, capsys):
    model = keras.models.load_model(saved / "m.keras")
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=1e-6)
    status, text = shown(tmp_path / "m.weights.json", capsys)
    assert status == 0 and "Weights: 217 params in 11 arrays" in text and "m_00001.weights.h5" in text
    (tmp_path / "m_00001.weights.h5").unlink()
    status, text = shown(tmp_path / "m.weights.json", capsys)
    assert status == 1 and "which is missing" in " ".join(text.split())


def test_safetensors_are_shown(tmp_path, capsys):
    arrays = {"layers.dense.kernel": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    (tmp_path / "m.safetensors").write_bytes(safetensors(arrays, 24))
    status, text = shown(tmp_path / "m.safetensors", capsys)
    assert status == 0 and "layers.dense" in text and "kernel (2, 3) float32" in text and "6 params in 1 array" in text


def changed(path, into, **members):
    """A copy of an archive with other members."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(into, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name, old.read(name)))
    return into


def config_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def test_what_has_to_be_given_is_said(saved, tmp_path, capsys):
    config = config_of(saved / "m.keras")
    layer = config["config"]["layers"][1]
    layer.update(module="mine", class_name="Own", registered_name="Package>Own")
    path = changed(saved / "m.keras", tmp_path / "m.keras", **{"config.json": json.dumps(config)})
    status, text = shown(path, capsys)
    assert status == 0
    assert "custom_objects={'Package>Own': ...}" in text


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (
            {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {}}}},
            "no code of a file is run",
        ),
        ({"class_name": "Dense", "config": {"units": -1}}, "units=-1"),
        ({"class_name": "Denze", "config": {}}, "Denze"),
    ],
)
def test_why_a_configuration_would_be_refused_is_said(saved, tmp_path, capsys, layer, words):
    config = config_of(saved / "m.keras")
    config["config"]["layers"].append({"module": "keras.layers", "registered_name": None, **layer})
    path = changed(saved / "m.keras", tmp_path / "m.keras", **{"config.json": json.dumps(config)})
    status, text = shown(path, capsys)
    assert status == 1 and "Weights: 217 params" in text
    assert words in " ".join(text[text.index("Refused by load_model") :].split())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "a file of a model or of weights was expected"),
        (b"\x80\x04\x95", "A pickle can run any code"),
        (b"PK\3\4" + bytes(100), "the archive is broken"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "Refused"),
        (safetensors({"a": 3}), "'a' has an unknown dtype"),
        (safetensors({"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}}, 4), "'a' has an unknown dtype"),
        (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, 3), "its arrays need 4 bytes"),
        (safetensors([1]), "Refused"),
    ],
)
def test_a_file_that_is_refused_is_said_to_be(tmp_path, capsys, data, words):
    (tmp_path / "m").write_bytes(data)
    status, text = shown(tmp_path / "m", capsys)
    assert status == 1 and text.startswith("Refused: ") and words in " ".join(text.split())


def test_a_file_cannot_write_over_the_terminal(saved, tmp_path, capsys):
    config = config_of(saved / "m.keras")
    config["config"]["layers"][1]["config"]["name"] = "\x1b[2Jfirst\r\x07\u202e"
    config["compile_config"]["loss"] = "\x1b]0;title\x07"
    metadata = json.dumps({"keras_version": "\x1b[31m3", "date_saved": ["\n"] * 1000})
    path = changed(
        saved / "m.keras", tmp_path / "m.keras", **{"config.json": json.dumps(config), "metadata.json": metadata}
    )
    text = shown(path, capsys)[1]
    assert "\\x1b[2Jfirst\\r\\x07\\u202e" in text
    assert all(each.isprintable() or each == "\n" for each in text)
    assert max(map(len, text.splitlines())) < 200


values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["class_name", "config", "layers", "name", "build_config", "module"]), inner)
), max_leaves=20)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(config=values, compiled=values, metadata=values)
def test_any_configuration_is_shown(saved, tmp_path_factory, config, compiled, metadata):
    whole = {"config": config, "compile_config": compiled, "class_name": "Sequential"}
    path = tmp_path_factory.getbasetemp() / "any.keras"
    changed(saved / "m.keras", path, **{"config.json": json.dumps(whole), "metadata.json": json.dumps(metadata)})
    stream, real = io.StringIO(), sys.stdout
    sys.stdout = stream
    try:
        assert show(str(path)) in (0, 1)
    finally:
        sys.stdout = real
    assert "Weights: 217 params" in stream.getvalue()


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "lamina", *arguments], capture_output=True, text=True)


def test_the_command(saved):
    done = command("show", str(saved / "m.weights.h5"))
    assert done.returncode == 0 and "Weights: 217 params" in done.stdout and done.stderr == ""
    assert "\x1b" not in done.stdout
    missing = command("show", "nowhere.keras")
    assert missing.returncode == 2 and "'nowhere.keras' does not exist" in missing.stderr
    assert "exit status is 1 for a file that is refused" in " ".join(command("show", "--help").stdout.split())


CHAIN = "first (Dense){0}inner [deep (Dense)]{0}reshape (Reshape){0}lstm (LSTM){0}dense (Dense){0}[bold]last (Dense)"


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_the_stack_is_drawn_in_a_line_and_in_a_picture(saved, tmp_path, capsys, name):
    picture = tmp_path / "stack.svg"
    assert show(str(saved / name), str(picture)) == 0
    text = capsys.readouterr().out
    [line] = [line for line in text.splitlines() if line.startswith("  Stack: ")]
    assert re.sub(r"_\d+", "", line) == "  Stack: " + CHAIN.format(" → ") and str(picture) in text
    said = [each.text for each in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert "deep (Dense)" in said and "Params: 140" in said and "[bold]last (Dense)" in said


def test_a_file_without_an_order_of_layers_is_not_drawn(saved, tmp_path, capsys):
    picture = tmp_path / "stack.svg"
    assert show(str(saved / "m.weights.h5"), str(picture)) == 1
    assert "does not say which layers follow each other" in capsys.readouterr().out and not picture.exists()


def test_a_picture_that_cannot_be_written_is_said(saved, tmp_path, capsys):
    assert show(str(saved / "m.keras"), str(tmp_path / "absent" / "stack.svg")) == 1
    assert "No picture was written: " in capsys.readouterr().out
