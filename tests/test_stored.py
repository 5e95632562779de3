"""A script's second run finds the programs of its stacks under what they depend on, and gives the same bits."""

import functools
import os
import re
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

import lamina
from lamina import dtypes, initializers, layers, regularizers
from lamina._programs import cache, programs, stored

PROGRAM = """
    import hashlib, sys
    import numpy as np
    import lamina as keras
    from lamina import layers
    from lamina._programs import programs

    programs.CPU_OPTIONS |= {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}  # quicker
    traced, operations = [], programs._operations
    programs._operations = lambda *arguments: traced.append(1) or operations(*arguments)
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(70, 8)).astype("float32"), rng.integers(0, 3, 70)
    model = keras.Sequential([
        layers.BatchNormalization(),
        layers.Dense(96, "gelu", kernel_regularizer=keras.regularizers.L1L2(1e-5, 1e-4)),
        layers.Dropout(0.3),
        layers.Dense(64, activation=keras.activations.leaky_relu, kernel_constraint="max_norm"),
        layers.Reshape((8, 8)),
        layers.LSTM(5, return_sequences=True),
        layers.Conv1D(4, 3),
        layers.GlobalMaxPooling1D(),
        layers.Dense(3, "softmax"),
    ])
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    model.compile(keras.optimizers.AdamW(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3, batch_size=16, validation_split=0.2, verbose=0).history
    found = [*model.get_weights(), model.predict(x, verbose=0), *model.evaluate(x, y, verbose=0)]
    found += [value for values in history.values() for value in values]
    print(len(traced), hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in found)).hexdigest())
"""


def ran(folder, text, **environment):
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], capture_output=True, text=True, timeout=240, cwd=folder,
        env={**os.environ, "LAMINA_CACHE": str(folder / "cache"), **environment},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


def test_a_second_run_traces_nothing_and_gives_the_same_bits(tmp_path):
    first, bits = ran(tmp_path, PROGRAM, PYTHONHASHSEED="1")
    assert int(first) >= 4
    assert ran(tmp_path, PROGRAM, PYTHONHASHSEED="2") == ["0", bits]
    assert ran(tmp_path, PROGRAM, LAMINA_CACHE="off") == [first, bits]
    for file in (tmp_path / "cache").glob("*/lamina-*"):  # whole, but no program
        file.write_bytes(b"other" + cache._checksum(b"other"))
    assert ran(tmp_path, PROGRAM) == [first, bits]
    assert ran(tmp_path, PROGRAM) == ["0", bits]


def test_a_program_that_users_code_is_part_of_is_traced_in_each_run(tmp_path):
    own = PROGRAM.replace("layers.Dropout(0.3)", "layers.Lambda(lambda z: z * 2)")
    first, bits = ran(tmp_path, own)
    assert ran(tmp_path, own) == [first, bits] and int(first) >= 4
    assert ran(tmp_path, own.replace("z * 2", "z * 3"))[1] != bits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Programs are kept in a folder of this test's."""
    monkeypatch.setattr(cache, "_own_folder", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    programs.clear()
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before)
    programs.clear()


def name(key=("train", 1)):
    stored._surroundings.cache_clear()
    return stored.name_of(key, programs.CPU_OPTIONS)


def test_what_tracing_and_xla_read_is_part_of_the_name(folder, monkeypatch):
    usual = name()
    assert usual == name() and usual != name(("train", 2)) and usual.startswith("lamina-")
    for variable in ("XLA_FLAGS", "LAMINA_KERNELS"):
        with monkeypatch.context() as other:
            other.setenv(variable, "xla")
            assert name() != usual, variable
    with jax.default_matmul_precision("float32"):
        assert name() != usual
    with jax.default_device(jax.devices()[0]):
        assert name() is None
    with monkeypatch.context() as other:
        other.setitem(programs.CPU_OPTIONS, "xla_backend_optimization_level", 2)
        assert name() != usual
    for thing, value in ((jax, "0.0.1"), (stored.sys, "4.0"), (stored.platform, None)):
        with monkeypatch.context() as other:
            if thing is stored.platform:
                other.setattr(thing, "machine", lambda: "another")
            else:
                other.setattr(thing, "version" if thing is stored.sys else "__version__", value)
            assert name() != usual, thing
    own = folder / "package" / "file.py"
    own.parent.mkdir()
    own.write_text("")
    with monkeypatch.context() as other:
        other.setattr(stored, "PACKAGE", str(own.parent))
        before = name()
        own.write_text("changed")
        assert name() != before
    assert name() == usual


def test_equal_keys_have_equal_names_and_others_others(folder):
    def inner(number):
        return lambda x: x + number

    keys = [
        1, 1.0, True, "1", b"1", None, (1,), ((1,),), (1, 2), frozenset({1, 2}), np.float32(1), np.dtype("float32"),
        re.compile("a"), re.compile("a", re.I), slice(1, 2), layers.Dense, layers.Conv1D, regularizers.L2,
        jax.tree.structure({"a": 1}), jax.tree.structure({"b": 1}), lamina.activations.relu, lamina.activations.gelu,
        inner, inner(1), inner(2), inner(1).__code__, np.tanh, jax.numpy.tanh,
    ]  # fmt: skip
    names = [name(key) for key in keys]
    assert None not in names and len(set(names)) == len(keys)
    assert name(frozenset({2, 1})) == name(frozenset({1, 2}))

    def itself():
        return itself

    for unnamed in (itself, object(), jax.jit(lambda x: x), type("Local", (), {"__qualname__": "f.<locals>.Local"})):
        assert name(unnamed) is None


def test_a_class_whose_method_was_replaced_has_no_name(folder, monkeypatch):
    assert name(layers.Dense) is not None
    for given in (lambda self, x: x, functools.wraps(layers.Dense.call)(lambda self, x: x)):
        for kind in (layers.Dense, layers.Layer):
            with monkeypatch.context() as other:
                other.setattr(kind, "call", given)
                assert name(layers.Dense) is None
    assert name(layers.Dense) is not None


def test_no_folder_is_no_name(monkeypatch):
    monkeypatch.setattr(cache, "_own_folder", "")
    assert name() is None and stored.load(None) is None


def test_the_smallest_number_counts_for_models_that_come_after_it():
    x, y = np.zeros((4, 1), "float32"), np.ones((4, 1), "float32")

    def loss():
        model = lamina.Sequential([layers.Dense(1, "hard_sigmoid", bias_initializer=initializers.Constant(-9))])
        model.compile("sgd", "binary_crossentropy")
        return model.evaluate(x, y, verbose=0)

    before = loss()
    dtypes.set_epsilon(1e-2)
    assert before == pytest.approx(-np.log(1e-7), rel=1e-3)
    assert loss() == pytest.approx(-np.log(1e-2), rel=1e-3)
