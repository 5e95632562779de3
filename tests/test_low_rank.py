"""Low-rank adaptation: W + lora_alpha / rank * a @ b, where training changes a and b and leaves W as it is."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import copy
import pickle

import keras
import numpy as np
import pytest

import lamina
from lamina import layers, models
from lamina.errors import ArgumentError, CallError, LaminaError, NotBuiltError, UnknownAttributeError

X, Y = np.random.default_rng(0).normal(size=(16, 4)), np.random.default_rng(1).normal(size=(16, 3))
KINDS = [
    (lambda lib, **k: lib.layers.Dense(3, **k), (None, 4), np.ones((2, 4), "float32")),
    (lambda lib, **k: lib.layers.EinsumDense("abc,cde->abde", (None, 4, 5), bias_axes="e", **k), (None, 2, 3), None),
    (lambda lib, **k: lib.layers.Embedding(5, 4, **k), (None,), np.array([0, 3, 4])),
    (lambda lib, **k: lib.layers.ReversibleEmbedding(5, 4, **k), (None,), np.array([0, 3, 4])),
    (lambda lib, **k: lib.layers.Conv1D(4, 2, groups=2, **k), (None, 8, 4), None),
    (lambda lib, **k: lib.layers.Conv2D(4, 3, **k), (None, 5, 5, 2), None),
]


def small(rank=None):
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(3, lora_rank=rank)])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(("make", "shape", "x"), KINDS)
def test_layers_have_keras_weights_outputs_and_own_variables(make, shape, x):
    found = []
    for lib in (lamina, keras):
        layer = make(lib, name="it")
        layer.build(shape)
        layer.enable_lora(2, lora_alpha=3)
        values = [np.random.default_rng(n).normal(size=w.shape) for n, w in enumerate(layer.weights)]
        layer.set_weights(values)
        data = np.ones([n or 2 for n in shape], "float32") if x is None else x
        store = {}
        layer.save_own_variables(store)
        lora = {name: value for name, value in layer.get_config().items() if "lora" in name}
        names = [
            [w.name for w in part] for part in (layer.weights, layer.trainable_weights, layer.non_trainable_weights)
        ]
        found.append(
            (
                names,
                lora,
                layer.lora_enabled,
                np.array(layer(data)),
                {k: np.asarray(lib.ops.convert_to_numpy(v)) for k, v in store.items()},
            )
        )
    (ours, theirs) = found
    assert ours[:3] == theirs[:3]
    np.testing.assert_allclose(ours[3], theirs[3], rtol=1e-4, atol=1e-4)
    assert ours[4].keys() == theirs[4].keys()
    for name, value in ours[4].items():
        np.testing.assert_allclose(value, theirs[4][name], rtol=1e-5, atol=1e-5)


def test_fit_changes_the_thin_weights_alone_also_after_training_without_them():
    model = small()
    model.fit(X, Y, verbose=0)
    before = model.predict(X, verbose=0)
    dense = model.layers[0]
    dense.enable_lora(2)
    assert np.array_equal(model.predict(X, verbose=0), before)
    large, a, b = (np.array(w) for w in (dense._kernel, dense.lora_kernel_a, dense.lora_kernel_b))
    for _ in range(2):
        model.fit(X, Y, verbose=0)
    assert np.array_equal(large, dense._kernel)
    assert not np.array_equal(a, dense.lora_kernel_a)
    assert not np.array_equal(b, dense.lora_kernel_b)
    want = X @ (large + np.array(dense.lora_kernel_a) @ np.array(dense.lora_kernel_b)) + np.array(dense.bias)
    np.testing.assert_allclose(model.predict(X, verbose=0), want, rtol=1e-4, atol=1e-5)


def test_equal_models_with_and_without_share_no_program():
    plain, thin = small(), small(2)
    for model in (plain, thin, small()):
        model.fit(X, Y, verbose=0)
    assert [len(model.trainable_weights) for model in (plain, thin)] == [2, 3]
    thin.layers[0].lora_alpha = 8.0
    np.testing.assert_allclose(thin.predict(X, verbose=0), X @ np.array(thin.layers[0].kernel) + thin.get_weights()[1],
                               rtol=1e-4, atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("reader", [lamina, keras])
def test_files_hold_the_sum_and_are_read_by_both_libraries(reader, tmp_path):
    model = small(2)
    model.fit(X, Y, epochs=3, verbose=0)
    want, kernel = model.predict(X, verbose=0), np.array(model.layers[0].kernel)
    path = tmp_path / "a.keras"
    model.save(path)
    again = reader.models.load_model(path)
    assert again.layers[-1].lora_enabled
    np.testing.assert_allclose(again.predict(X, verbose=0), want, rtol=1e-4, atol=1e-5)
    model.save_weights(tmp_path / "a.weights.h5")
    plain = reader.Sequential([reader.layers.Input((4,)), reader.layers.Dense(3)])
    plain.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(plain.get_weights()[0], kernel, rtol=1e-6)
    plain.save_weights(tmp_path / "b.weights.h5")
    thin = small(2)
    thin.load_weights(tmp_path / "b.weights.h5")
    np.testing.assert_allclose(thin.predict(X, verbose=0), want, rtol=1e-4, atol=1e-5)
    thin.fit(X, Y, epochs=2, verbose=0)
    assert np.any(thin.layers[0].lora_kernel_b.numpy())  # it goes on to learn


def test_lora_can_be_enabled_once_on_a_layer_with_weights_and_without_a_constraint():
    with pytest.raises(NotBuiltError, match="no weights yet"):
        layers.Dense(2).enable_lora(2)
    dense = layers.Dense(2)
    dense.build((None, 3))
    for rank, told in ((0, {}), (2, {"a_initializer": "nothing"}), (2, {"lora_alpha": "x"})):
        with pytest.raises(LaminaError):
            dense.enable_lora(rank, **told)
        assert (len(dense.weights), dense.lora_enabled, dense.kernel.trainable) == (2, False, True)
    dense.enable_lora(2)
    with pytest.raises(ArgumentError, match="rank 2 already"):
        dense.enable_lora(2)
    bound = layers.Embedding(4, 2, embeddings_constraint="max_norm")
    with pytest.raises(ArgumentError, match="embeddings_constraint"):
        bound.enable_lora(2)


def test_copies_clones_and_half_precision_keep_the_thin_weights():
    model = small(2)
    model.fit(X, Y, verbose=0)
    want = model.predict(X, verbose=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(twin.predict(X, verbose=0), want)
    clone = models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert np.array_equal(clone.predict(X, verbose=0), want)
    half = layers.Dense(3, dtype="mixed_bfloat16", lora_rank=2)
    assert half(X[:2].astype("float32")).dtype == "bfloat16"
    assert {w.dtype for w in half.weights} == {"float32"}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda: layers.Flatten().enable_lora(2), "no LoRA"),
        (lambda: layers.Dense(2).quantize("int8"), "no int8"),
        (lambda: lamina.Sequential([layers.Dense(1)]).quantize("int8"), "no int8"),
        (lambda: layers.Flatten(lora_rank=2), "lora_rank"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(program, words):
    with pytest.raises((UnknownAttributeError, ArgumentError, CallError)) as caught:
        program()
    assert words in " ".join(str(caught.value).split())
