"""The convolutions' formulas against XLA's plain one, and what the layers refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import lamina
from lamina import layers
from lamina.errors import ArgumentError, ShapeError
from lamina.kernels.convolution import Window, _on_cpu, plain, spread


@st.composite
def convolutions(draw):
    """An input, a kernel and how it moves: odd sizes, strides, dilation, padding, groups, elements set apart."""
    rank = draw(st.integers(1, 3))
    each = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, dilation, strides, interior = draw(each), draw(each), draw(each), draw(each)
    groups, inner, outer = (draw(st.integers(1, 3)) for _ in range(3))
    channels = groups * draw(st.sampled_from([1, inner, 5]))
    sizes = tuple(
        -(-(k - 1) // a) + draw(st.integers(1, 4)) for k, a in zip(spread(kernel, dilation), interior, strict=True)
    )
    pads = tuple(tuple(draw(st.integers(0, k - 1)) for _ in range(2)) for k in spread(kernel, dilation))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = jnp.asarray(rng.normal(size=(2, *sizes, channels)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(*kernel, channels // groups, groups * outer)), jnp.float32)
    return x, w, Window(strides, pads, dilation, groups, interior)


@given(convolutions())
@settings(max_examples=20, deadline=None)
def test_formulas_equal_xla(case):
    x, kernel, window = case
    y, back = jax.vjp(lambda x, kernel: _on_cpu(x, kernel, window), x, kernel)
    want, want_back = jax.vjp(lambda x, kernel: plain(x, kernel, window), x, kernel)
    assert y.shape == want.shape
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)
    dy = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
    for mine, its in zip(back(dy), want_back(dy), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-4)


def test_formulas_keep_sixteen_bits_and_differentiate_twice():
    x, kernel = jnp.ones((1, 4, 4, 6), jnp.bfloat16), jnp.ones((2, 2, 6, 3), jnp.bfloat16)
    window = Window((1, 1), ((0, 0), (0, 0)), (1, 1), 1, (1, 1))
    dx, dk = jax.grad(lambda x, k: _on_cpu(x, k, window).sum(), (0, 1))(x, kernel)
    assert dx.dtype == dk.dtype == jnp.bfloat16
    x, kernel = jnp.full((1, 2, 2, 5), 2.0), jnp.full((2, 2, 5, 1), 3.0)

    def slope(k):
        return jnp.sum(jax.grad(lambda x: jnp.sum(_on_cpu(x, k, window) ** 2))(x))

    # y = 120 k / 3, dy²/dx = 2 y k, summed over 20 elements: 2 * (40 k) * k * 20, and its slope is 3200 k
    np.testing.assert_allclose(jnp.sum(jax.grad(slope)(kernel)), 3200 * 3.0, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 8])
def test_compiled_step_holds_no_convolution_with_an_image_for_a_window(channels):
    """XLA's own kernel gradient is one; within a loop it is a hundred times slower than the products."""
    window = Window((1, 1), ((1, 1), (1, 1)), (1, 1), 1, (1, 1))
    x, kernel = jnp.ones((2, 16, 16, channels)), jnp.ones((3, 3, channels, 4))
    grad = jax.grad(lambda k: jnp.sum(_on_cpu(x, k, window) ** 2))
    found = [e for e in jax.make_jaxpr(grad)(kernel).eqns if e.primitive is lax.conv_general_dilated_p]
    assert all(e.invars[1].aval.shape[:2] == (3, 3) for e in found)


def refusal(build):
    with pytest.raises((ArgumentError, ShapeError)) as caught:
        build()
    return str(caught.value)


def stack(shape, *above):
    return lambda: lamina.Sequential([layers.Input(shape), *above])


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (stack((28, 28), layers.Conv2D(8, 3)), "Reshape((28, 28, 1))"),
        (stack((8,), layers.Conv1D(8, 3)), "Reshape((8, 1))"),
        (stack((28, 28, 1), layers.Flatten(), layers.Conv2D(8, 3)), "wants 4 dimensions (batch axis included), got 2"),
        (stack((4, 4, 1), layers.Conv2D(8, 5)), "wants at least 5 x 5 for its window, got 4 x 4"),
        (stack((4, 4, 1), layers.Conv2D(8, 3), layers.SeparableConv2D(8, 3)), "got 2 x 2"),
        (stack((4, 3), layers.DepthwiseConv1D(3, dilation_rate=2)), "wants at least 5 for its window, got 4"),
        (stack((4, 4, 3), layers.Conv2D(8, 2, groups=2)), "wants channels that its groups=2 divides, got 3"),
        (stack((4, 4, None), layers.Conv2D(8, 2)), "needs to know the number of channels"),
        (lambda: layers.Conv2D(7, 3, groups=2), "groups must divide filters"),
        (lambda: layers.Conv2D(0, 3), "Conv2D(filters=0): expected a whole number of at least 1, got 0"),
        (lambda: layers.Conv2D(4, (3, 3, 3)), "expected a whole number, or 2 of them, got (3, 3, 3)"),
        (lambda: layers.Conv1D(4, 2.5), "Conv1D(kernel_size=2.5)"),
        (lambda: layers.Conv1D(4, -1), "at least 1"),
        (lambda: layers.Conv2D(4, 3, padding="causal"), "expected one of 'valid', 'same'"),
        (lambda: layers.Conv2D(4, 3, padding="sane"), "Did you mean 'same'?"),
        (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2), "only one of the two may be above 1"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=(2, 1)), "only one of the two"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=2), "output_padding must be below strides"),
        (lambda: layers.Conv1DTranspose(4, 3, strides=2, output_padding=-1), "at least 0"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "DepthwiseConv2D(depth_multiplier=0)"),
        (lambda: layers.Conv2D(4, 3, stride=2), "Did you mean 'strides'?"),
    ],
)
def test_says_what_is_wrong(build, said):
    assert said in refusal(build)


def test_channels_must_stay_what_they_were():
    layer = layers.Conv2D(4, 2, data_format="channels_first")
    layer(np.ones((1, 3, 4, 4), "float32"))
    assert "wants size 3 on axis 1, got 4" in refusal(lambda: layer(np.ones((1, 4, 4, 4), "float32")))


def test_aliases_and_the_default_place_of_channels():
    assert layers.Convolution2D is layers.Conv2D and layers.SeparableConvolution1D is layers.SeparableConv1D
    lamina.config.set_image_data_format("channels_first")
    try:
        assert layers.Conv2D(4, 3)(np.ones((1, 2, 5, 6), "float32")).shape == (1, 4, 3, 4)
    finally:
        lamina.config.set_image_data_format("channels_last")


def test_conv3d_transpose_has_the_order_of_keras():
    layer = layers.Conv3DTranspose(2, 2, 2, "same", "channels_first", 1)
    assert (layer.data_format, layer.output_padding) == ("channels_first", (1, 1, 1))


def test_unknown_sizes_stay_unknown():
    assert layers.Conv1D(4, 3, padding="same").compute_output_shape((None, None, 8)) == (None, None, 4)
