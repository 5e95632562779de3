"""A config of 2 KB may hold any whole number: what it asks for is counted before it is made."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina import initializers, layers, metrics
from lamina._process import memory
from lamina._process.memory import of_a_config, require
from lamina._saving import config
from lamina.errors import ArgumentError, FileError, LaminaError, ShapeError

FAMILIES = [name for name in config.FAMILIES if name not in ("keras", "keras.models", "keras.activations")]
PROGRAM = str(Path(__file__).with_name("integers.py"))


def run(*names):
    done = subprocess.run(
        ["bash", "-c", f'ulimit -v 16000000; exec "{sys.executable}" "{PROGRAM}" "$@"', "_", *names],
        capture_output=True, text=True, timeout=3600, env=os.environ | {"LAMINA_CACHE": "off"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    *wrong, count = done.stdout.splitlines()
    assert not wrong, "\n".join(wrong)
    return int(count)


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_no_whole_number_in_a_config_fills_the_memory_or_takes_for_ever(family):
    """10**6, 10**9 and 10**18 in each setting, from a config, from a file and by `show`: 10 s and 1 GB at the most."""
    assert run(family) > 40


def test_numbers_that_filled_the_memory():
    """Those that did: 7 GB for the first."""
    assert run("keras.metrics", "PrecisionAtRecall", "MeanIoU") > 100


def of_metrics(kind, **settings):
    return {"module": "keras.metrics", "class_name": kind, "config": settings, "registered_name": None}


FILLING = {
    "AUC": {"num_thresholds": 10**8},
    "PrecisionAtRecall": {"recall": 0.5, "num_thresholds": 10**8},
    "MeanIoU": {"num_classes": 10**6},
    "IoU": {"num_classes": 10**5, "target_class_ids": [0]},
}


@pytest.mark.parametrize("name", FILLING)
def test_a_metric_of_a_config_is_counted_before_it_is_made(name):
    config.load_families()
    begun = time.monotonic()
    with pytest.raises(ArgumentError, match=r"may\s+take\s+268,435,456\s+bytes\s+in\s+all"):
        config.deserialized(of_metrics(name, **FILLING[name]))
    with pytest.raises(FileError, match=r"model\.keras: .* bytes"):
        config.deserialized(of_metrics(name, **FILLING[name]), where="model.keras")
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: metrics.AUC(num_thresholds=10**12),
        lambda: metrics.AUC(num_labels=10**9, multi_label=True),
        lambda: metrics.RecallAtPrecision(0.5, num_thresholds=10**12),
        lambda: metrics.IoU(10**7, [0]),
        lambda: metrics.MeanIoU(10**7),
        lambda: initializers.STFT("real", window=None)((10**6, 1, 10**6)),
        lambda: layers.StringLookup(num_oov_indices=10**13, vocabulary=["a"]).get_vocabulary(),
        lambda: layers.MelSpectrogram(fft_length=10**6, num_mel_bins=10**8).compute_output_shape((None, 10**7)),
    ],
)
def test_where_no_file_asks_the_free_memory_counts(make):
    with pytest.raises((ArgumentError, ShapeError), match=r"bytes,\s+and\s+[\d,]+\s+bytes\s+of\s+memory\s+are\s+free"):
        make()


def test_small_things_of_a_config_add_up():
    """100 metrics of one file do not take what one may not."""
    many = [of_metrics("AUC", num_thresholds=10**5, name=f"auc_{place}") for place in range(100)]
    with pytest.raises(ArgumentError, match="in all"):
        config.deserialized(many)
    assert len(config.deserialized(many[:20])) == 20
    assert len(config.deserialized(many[:20])) == 20  # each call begins anew
    with of_a_config():
        require(memory.ALLOWED, "all")
        with of_a_config(), pytest.raises(ArgumentError):
            require(1, "one more")
        require(2**60 - 1, "the weights", free=2**60)
    require(1, "outside")


def test_large_numbers_that_take_nothing_are_taken():
    lookup = layers.StringLookup(num_oov_indices=10**8, vocabulary=["a"])
    assert lookup.vocabulary_size() == 10**8 + 1 and lookup(["a"]) == 10**8
    assert layers.IntegerLookup(num_oov_indices=10**9, vocabulary=[5])([[5], [7]]).tolist() == [[10**9], [7]]
    for layer in (layers.Hashing(10**9), layers.Embedding(10**8, 8), layers.Discretization(num_bins=10**9)):
        again = config.deserialized(config.serialized(layer))
        assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert layers.Discretization(num_bins=10**9).compute_output_shape((None, 2)) == (None, 2)
    hot = layers.Discretization(num_bins=1000, output_mode="one_hot")
    assert hot.compute_output_shape((None, 1)) == (None, 1000)


def test_a_window_of_a_million_places_is_one_operation():
    begun = time.monotonic()
    x = np.ones((1, 1200, 1), "float32")
    layer = layers.DepthwiseConv1D(1100, depthwise_initializer="ones")
    assert layer(x).shape == (1, 101, 1) and np.all(layer(x) == 1100)
    assert time.monotonic() - begun < 10


def test_a_signal_is_mirrored_to_and_fro_as_numpy_does():
    mirrored = layers.MelSpectrogram.call.__globals__["mirrored"]
    for length in (1, 2, 3, 7):
        for size in (1, 6, 7, 40):
            x = np.arange(length, dtype="float32")
            np.testing.assert_array_equal(mirrored(lamina.ops.array(x), size), np.pad(x, size, mode="reflect"))


def test_a_layer_without_a_formula_in_a_file_is_refused():
    stack = {
        "module": "keras", "class_name": "Sequential", "config": {"name": "net", "layers": [
            {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 3]}},
            {"module": "keras.layers", "class_name": "Wrapper", "config": {"layer": {
                "module": "keras.layers", "class_name": "Flatten", "config": {}
            }}},
        ]},
    }  # fmt: skip
    with pytest.raises(LaminaError, match="without a formula"):
        config.deserialized(stack)
