"""Pooling: the formulas for a CPU against XLA's own, ties, masks, and what is refused."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import quickly

import lamina
from lamina import layers
from lamina._kernels import pooling
from lamina.errors import ArgumentError, CallError, ShapeError


def with_xla(function, x, *args):
    """The output and the input's gradient by XLA's own window, and by the formula for a CPU."""

    def run(x):
        y, pull = jax.vjp(lambda x: function(x, *args), x)
        return y, pull(jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]

    ours = quickly(lambda x: run(x))(x)
    unrolled, pooling.UNROLLED = pooling.UNROLLED, 0
    try:
        return ours, quickly(lambda x: run(x))(x)
    finally:
        pooling.UNROLLED = unrolled


@st.composite
def windows(draw):
    rank = draw(st.integers(1, 3))
    size = st.integers(1, 4)
    window = tuple(draw(size) for _ in range(rank))
    strides = window if draw(st.booleans()) else tuple(draw(size) for _ in range(rank))
    sizes = tuple(w + draw(st.integers(0, 4)) for w in window)
    return window, strides, sizes, draw(st.sampled_from(["valid", "same"])), draw(st.booleans())


@settings(max_examples=15, deadline=None)
@given(windows(), st.integers(0, 99))
def test_formulas_equal_xlas(window, seed):
    size, strides, sizes, padding, first = window
    shape, axes = ((2, 2, *sizes), range(2, len(sizes) + 2)) if first else ((2, *sizes, 2), range(1, len(sizes) + 1))
    # Whole numbers, so that many are equal: the gradient goes to the first of them.
    x = jnp.asarray(np.random.default_rng(seed).integers(0, 4, shape), jnp.float32)
    for function in (pooling.max_pool, pooling.mean_pool):
        ours, xlas = with_xla(function, x, size, strides, padding, tuple(axes))
        for mine, its in zip(ours, xlas, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


def test_a_nan_stays_one():
    x = jnp.asarray([1.0, jnp.nan, 2.0, 3.0]).reshape(1, 4, 1)
    for order in (x, x[:, ::-1]):
        y = layers.MaxPooling1D(2)(order)
        assert np.isnan(y).sum() == 1 and np.nanmax(y) == 3


def test_whole_numbers_stay_whole():
    x = np.arange(-8, 0, dtype="int32").reshape(1, 8, 1)
    y = layers.MaxPooling1D(3, padding="SAME")(x)
    assert y.dtype == jnp.int32 and y.ravel().tolist() == [-6, -3, -1]


@pytest.mark.parametrize("length", [1, 5, 6, 7, 12])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_adaptive_windows_cover_the_axis(length, size):
    x = np.random.default_rng(0).normal(size=(2, length, 3)).astype("float32")
    windows = [x[:, i * length // size : -(-(i + 1) * length // size)] for i in range(size)]
    np.testing.assert_allclose(
        layers.AdaptiveAveragePooling1D(size)(x), np.stack([w.mean(1) for w in windows], 1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(layers.AdaptiveMaxPooling1D(size)(x), np.stack([w.max(1) for w in windows], 1))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_mean_of_what_the_mask_lets_through(data_format, keepdims):
    told = {"data_format": data_format, "keepdims": keepdims}
    shape = (3, 4, 2) if data_format == "channels_last" else (3, 2, 4)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    mask = np.array([[True] * 4, [True, False, True, False], [False] * 4])
    layer = layers.GlobalAveragePooling1D(**told)
    want = np.asarray(keras.layers.GlobalAveragePooling1D(**told)(x[:2], mask=mask[:2]))
    got = np.asarray(layer(x, mask=mask))
    np.testing.assert_allclose(got[:2], want, rtol=1e-6, atol=1e-6)
    assert (got[2] == 0).all()  # Keras: 0 / 0
    assert layer.compute_mask(x, mask) is None


def test_aliases_are_the_same_classes_and_load_by_either_name():
    assert layers.AvgPool2D is layers.AveragePooling2D and layers.GlobalMaxPool1D is layers.GlobalMaxPooling1D
    model = lamina.Sequential([layers.Input((8, 8, 1)), layers.MaxPool2D()])
    config = model.get_config()
    config["layers"][1]["class_name"] = "MaxPool2D"
    assert isinstance(lamina.Sequential.from_config(config).layers[0], layers.MaxPooling2D)


def test_unknown_sizes_stay_unknown():
    assert layers.MaxPooling2D(2).compute_output_shape((None, 9, 9, 3)) == (None, 4, 4, 3)
    assert layers.GlobalMaxPooling2D().compute_output_shape((None, None, None, 3)) == (None, 3)
    assert layers.AveragePooling1D(2).compute_output_shape((None, None, 3)) == (None, None, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        (lambda: layers.MaxPooling2D(4), (8, 3, 1), "expects at least 4 on axis 2, its pool_size, got 3"),
        (lambda: layers.AveragePooling1D(2), (8, 3, 1), "expects 3 dimensions"),
        (lambda: layers.GlobalAveragePooling2D(), (8, 3), "expects 4 dimensions"),
        (lambda: layers.AdaptiveMaxPooling3D(1), (8, 3), "expects 5 dimensions"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, said):
    with pytest.raises(ShapeError) as caught:
        lamina.Sequential([layers.Input(shape), layer()])
    message = " ".join(str(caught.value).split())
    assert said in message and "added at test_pooling.py" in message


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: layers.MaxPooling2D(0), ArgumentError, "MaxPooling2D(pool_size=0): expected a whole number"),
        (lambda: layers.MaxPooling2D((2, 2, 2)), ArgumentError, "one for each of 2 axes"),
        (lambda: layers.MaxPooling1D(2.5), ArgumentError, "expected a whole number, got 2.5"),
        (lambda: layers.MaxPooling1D(2, strides=-1), ArgumentError, "MaxPooling1D(strides=-1)"),
        (lambda: layers.AveragePooling2D(2, padding="sam"), ArgumentError, "Did you mean 'same'?"),
        (lambda: layers.AveragePooling2D(2, data_format="last"), ArgumentError, "channels_last"),
        (lambda: layers.AdaptiveMaxPooling1D("2"), ArgumentError, "output_size='2'"),
        (lambda: layers.AveragePooling2D(), CallError, "missing a required argument: 'pool_size'"),
    ],
)
def test_settings_that_are_refused(make, error, said):
    with pytest.raises(error) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize("tier", ["onednn", "xla"])
def test_a_global_maximum_has_its_gradient_behind_what_xla_computes_anew(monkeypatch, tier):
    monkeypatch.setenv("LAMINA_KERNELS", tier)
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=size).astype("float32") for size in ((8, 11, 12, 3), (3, 2, 3, 4)))
    moved = []
    for of in (lamina, keras):
        convolution = of.layers.DepthwiseConv2D((3, 2), depth_multiplier=4, use_bias=False)
        model = of.Sequential([of.Input((11, 12, 3)), convolution, of.layers.GlobalMaxPooling2D()])
        model.set_weights([w])
        model.compile(of.optimizers.SGD(1.0), "mse")
        model.fit(x, np.zeros((8, 12), "float32"), verbose=0)
        moved.append(model.get_weights()[0] - w)
    np.testing.assert_allclose(*moved, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 13])
def test_a_global_maximum_is_that_of_jax(count):
    x = jax.random.normal(jax.random.key(count), (3, count, 5, 2))
    for axes in ((1,), (1, 2)):
        for keepdims in (False, True):
            both = []
            for function in (pooling.largest, jnp.max):

                def run(x, function=function, axes=axes, keepdims=keepdims):
                    y, pull = jax.vjp(lambda x: function(x, axes, keepdims=keepdims), x)
                    return y, pull(jnp.cos(y))[0]

                both.append(quickly(run)(x))
            for mine, its in zip(*both, strict=True):
                np.testing.assert_array_equal(mine, its)
    assert np.isnan(pooling.largest(x.at[0, -1, 0, 0].set(jnp.nan), (1, 2))[0, 0])
