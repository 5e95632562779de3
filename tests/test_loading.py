"""`import lamina` loads next to nothing: each name is loaded when it is first used, however it is asked for."""

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import lamina
from lamina import layers, models
from lamina._imports.lazy import FOR_TYPES, ITSELF, Place, places
from lamina.errors import UnknownAttributeError

MODULES = ["lamina", *(f"lamina.{name}" for name in "callbacks layers losses metrics models optimizers utils".split())]


def in_a_fresh_process(code, **given):
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **given)
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()


def imported_for_types(module):
    """Where a type checker finds the names that are not loaded at once."""
    tree = ast.parse(Path(importlib.import_module(module).__file__).read_text())
    blocks = [node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "FOR_TYPES"]
    return {
        each.asname or each.name: Place(f"{module}.{each.name}", ITSELF)
        if node.module == module
        else Place(node.module, each.name)
        for block in blocks
        for node in block
        for each in node.names
    }


@pytest.mark.parametrize("module", MODULES)
def test_what_type_checkers_read_is_what_is_loaded(module):
    shown, told = importlib.import_module(module), imported_for_types(module)
    assert not FOR_TYPES and told and told.items() <= places(module).items()
    assert told.keys() <= set(shown.__all__) and all(hasattr(shown, name) for name in shown.__all__)


def test_the_import_loads_no_family_and_starts_no_thread():
    code = """if True:
    import lamina, sys, threading, gc
    print(*sorted(name for name in sys.modules if name.startswith("lamina.") and "._" not in name))
    print(threading.active_count(), gc.isenabled(), gc.get_freeze_count())"""
    assert in_a_fresh_process(code) == ["lamina.errors", "1 True 0"]


def test_what_the_user_has_frozen_stays_frozen():
    code = """if True:
    import gc
    gc.freeze()
    frozen = gc.get_freeze_count()
    import lamina
    print(2 * gc.get_freeze_count() > frozen)"""
    assert in_a_fresh_process(code) == ["True"]


def test_a_small_script_loads_no_files_and_no_layers_that_it_does_not_use():
    code = """if True:
    import lamina as keras, numpy as np, sys
    model = keras.Sequential([keras.layers.Dense(2, activation="relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((8, 3), "float32"), np.ones(8), verbose=0)
    print(*sorted(name for name in sys.modules if name.startswith(("lamina.layers.", "lamina._saving.", "h5py"))))"""
    assert in_a_fresh_process(code) == ["lamina.layers.activations lamina.layers.core lamina.layers.low_rank"]


def test_names_and_configs_find_what_is_not_loaded_yet():
    """Each line asks for something of a family of which nothing is loaded, or another part of it."""
    code = """if True:
    import lamina as keras, pickle, sys
    print(keras.activations.get({"class_name": "LeakyReLU", "config": {}}))
    print(keras.layers.deserialize({"class_name": "gru", "config": {"units": 2}}))
    print(keras.layers.deserialize({"class_name": "Functional", "config": {"name": "f", "layers": [
        {"class_name": "InputLayer", "name": "i", "config": {"batch_shape": [None, 2]}, "inbound_nodes": []}]}}).name)
    print(keras.optimizers.get("lion"), keras.optimizers.get("RMSPROP"))
    print(keras.losses.get("kld").__name__, keras.losses.get("Dice"))
    print(keras.metrics.get("auc"), keras.metrics.get("mse"))
    print(keras.initializers.get("stft"))
    model = pickle.loads(sys.stdin.buffer.read())
    print([type(layer).__name__ for layer in model.layers])"""
    model = models.Sequential([layers.Input((4, 2)), layers.LSTM(3)])
    told = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(model), capture_output=True)
    assert told.stdout.decode().splitlines() == [
        "LeakyReLU()",
        "GRU(2)",
        "f",
        "Lion() RMSprop()",
        "kl_divergence Dice()",
        "AUC(name='auc') MeanSquaredError(name='mse')",
        "STFT()",
        "['LSTM']",
    ], told.stderr.decode()


@pytest.mark.parametrize("path", ["callbacks.history", "callbacks.tensorboard", "layers.core", "layers.image"])
def test_a_file_is_no_name_of_its_module(path):
    importlib.import_module(f"lamina.{path}")
    module, name = path.split(".")
    with pytest.raises(UnknownAttributeError, match=name):
        getattr(getattr(lamina, module), name)
