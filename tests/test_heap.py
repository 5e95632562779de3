"""Memory that a large program needs stays with the process from step to step, and goes back after a run."""

import ctypes
import subprocess
import sys
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina._programs import heap, programs, stored

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")

PROGRAM = """
import resource
import numpy as np
import lamina as keras
from lamina import layers
from lamina._programs import heap

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

x, y = np.ones((4096, 16), "float32"), np.ones((4096, 1), "float32")
wide = [layers.Dense(1024, activation="tanh") for _ in range(2)]
model = keras.Sequential([*wide, layers.Dense(1)])
model.compile("sgd", "mse")
for _ in range(4):
    model.train_on_batch(x, y)
assert heap._kept > heap.OWN
before = pages()
for _ in range(8):
    model.train_on_batch(x, y)
print((pages() - before) // 8 * resource.getpagesize() / heap._kept)
"""


@glibc
def test_a_step_of_a_large_program_takes_few_new_pages():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.5  # 0, 0.13 or 0.25 by where the blocks lie; 1.03 where the heap keeps nothing


def test_a_fit_that_an_error_ends_gives_its_memory_back(monkeypatch):
    def ended(batch, logs):
        raise RuntimeError("by the callback")

    trims = []
    monkeypatch.setattr(heap, "_kept", 2 * heap.OWN)
    monkeypatch.setattr(heap, "_trim", trims.append)
    model = lamina.Sequential([lamina.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="by the callback"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[lamina.callbacks.LambdaCallback(ended)])
    before = len(trims)
    with pytest.raises(RuntimeError, match="by the callback"):  # nothing is compiled now, which gives back by itself
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[lamina.callbacks.LambdaCallback(ended)])
    assert len(trims) == before + 1


def first_array_after_a_fit(initializer):
    layer = lamina.layers.Dense(3, kernel_initializer=initializer)
    model = lamina.Sequential([lamina.Input((2,)), layer])
    model.compile("sgd", "mse")
    first = layer.kernel.array
    model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    return first


def test_a_first_fit_copies_no_weights_that_the_library_has_made():
    assert first_array_after_a_fit("glorot_uniform").is_deleted()


def test_a_fit_leaves_the_users_arrays_alone():
    mine = jnp.ones((2, 3))

    class Mine(lamina.initializers.GlorotUniform):
        def __call__(self, shape, dtype=None):
            return mine

    for initializer in (lambda shape, dtype=None: mine, Mine(), lamina.initializers.Constant(mine)):
        first_array_after_a_fit(initializer)
        assert mine.sum() == 6


@pytest.mark.parametrize("index", [slice(None), ..., 0], ids=str)
def test_a_fit_leaves_what_was_read_from_a_weight(index):
    model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(3, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    read = model.layers[0].kernel[index]
    model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    assert (np.asarray(read) == 1).all()


def test_a_fit_leaves_a_weight_that_a_call_has_returned():
    class Table(lamina.layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight((4, 3), "ones")

        def call(self, x):
            return self.table

    model = lamina.Sequential([lamina.Input((2,)), Table()])
    model.compile("sgd", "mse")
    returned = model.layers[0](np.ones((4, 2)))
    model.fit(np.ones((4, 2)), np.zeros((4, 3)), verbose=0)
    assert (np.asarray(returned) == 1).all() and (model.layers[0].table.numpy() < 1).all()


def test_a_program_of_large_arrays_takes_less_memory(monkeypatch):
    """The gradients of all kernels at once are not held."""
    taken = []
    monkeypatch.setattr(heap, "keep", taken.append)
    monkeypatch.setattr(stored, "name_of", lambda *_: None)
    for large in (2**40, 0):
        monkeypatch.setattr(programs, "LARGE", large)
        programs.clear()
        model = lamina.Sequential([lamina.Input((512,)), *[lamina.layers.Dense(512) for _ in range(3)]])
        model.compile("adam", "mse")
        model.train_on_batch(np.ones((8, 512), "float32"), np.ones((8, 512), "float32"))
    assert taken[1] < 0.7 * taken[0]


def test_jax_forgets_its_traces_as_often_as_all_kept_programs_were_replaced(monkeypatch):
    cleared = []
    monkeypatch.setattr(programs, "KEPT", 3)
    monkeypatch.setattr(programs, "_gone", 0)
    monkeypatch.setattr(programs, "_compiled", OrderedDict())
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(len(programs._compiled)))
    x = np.ones((2, 3), "float32")
    for units in range(1, 10):
        lamina.Sequential([lamina.Input((3,)), lamina.layers.Dense(units)]).predict(x, verbose=0)
    assert cleared == [3, 3]
