"""The convolutions' formulas against XLA's plain one, and what the layers refuse."""

import importlib.util
import math
import os
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import lamina
from lamina import layers
from lamina._kernels import convolution_by_xla as by_xla
from lamina._kernels.convolution import forward, input_gradient, kernel_gradient
from lamina._kernels.window import Window
from lamina.errors import ArgumentError, ShapeError

TIERS = ["xla", "onednn"] if importlib.util.find_spec("lamina_onednn") else ["xla"]


@st.composite
def convolutions(draw):
    """An input, a kernel and how it moves: odd sizes, strides, dilation, padding, groups."""
    rank = draw(st.integers(1, 3))
    each = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, dilation, strides = draw(each), draw(each), draw(each)
    groups, inner, outer = (draw(st.integers(1, 3)) for _ in range(3))
    channels = groups * draw(st.sampled_from([1, inner, 5]))
    sizes = tuple(k + draw(st.integers(0, 3)) for k in by_xla.spread(kernel, dilation))
    pads = tuple(tuple(draw(st.integers(0, k - 1)) for _ in range(2)) for k in by_xla.spread(kernel, dilation))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = jnp.asarray(rng.normal(size=(2, *sizes, channels)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(*kernel, channels // groups, groups * outer)), jnp.float32)
    return x, w, Window(strides, pads, dilation, groups)


@contextmanager
def computed_by(tier):
    before = os.environ.get("LAMINA_KERNELS")
    os.environ["LAMINA_KERNELS"] = tier
    try:
        yield
    finally:
        os.environ.pop("LAMINA_KERNELS")
        if before is not None:
            os.environ["LAMINA_KERNELS"] = before


def wave(shape):
    return jnp.sin(jnp.arange(math.prod(shape), dtype=jnp.float32)).reshape(shape)


@pytest.mark.parametrize("tier", TIERS)
@given(convolutions())
@settings(max_examples=12, deadline=None)
def test_maps_and_their_gradients_equal_xla(tier, case):
    x, kernel, window = case

    def maps(plainly):
        """The three maps of x and kernel, and the gradients of each."""
        by = partial(by_xla.plain, window=window)
        three = [
            (forward, "convolution", (x, kernel), ()),
            (input_gradient, "convolution_input_gradient", (wave(y.shape), kernel), (x.shape,)),
            (kernel_gradient, "convolution_kernel_gradient", (x, wave(y.shape)), (kernel.shape,)),
        ]
        for ours, name, arguments, shape in three:
            if plainly:
                mine = partial(by, name, shape=shape and shape[0])
            elif ours is forward:
                mine = lambda a, b: forward(a, b, None, window)  # noqa: E731
            else:
                mine = lambda a, b: jax.tree.leaves(ours(a, b, window, *shape))[0]  # noqa: B023, E731
            result, back = jax.vjp(mine, *arguments)
            yield result, *back(jnp.cos(result))

    y = jax.eval_shape(lambda: forward(x, kernel, None, window))
    want = jax.jit(lambda: list(maps(True)))()
    with computed_by(tier):
        got = jax.jit(lambda: list(maps(False)))()
    for mine, its in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert mine.shape == its.shape
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-3)


WINDOW = Window((1, 1), ((0, 0), (0, 0)), (1, 1))


@pytest.mark.parametrize("tier", TIERS)
def test_formulas_keep_sixteen_bits_and_differentiate_twice(tier):
    with computed_by(tier):
        x, kernel = jnp.ones((1, 4, 4, 6), jnp.bfloat16), jnp.ones((2, 2, 6, 3), jnp.bfloat16)
        dx, dk = jax.grad(lambda x, k: forward(x, k, None, WINDOW).sum(), (0, 1))(x, kernel)
        assert dx.dtype == dk.dtype == jnp.bfloat16
        x, kernel = jnp.full((1, 2, 2, 5), 2.0), jnp.full((2, 2, 5, 1), 3.0)

        def slope(k):
            return jnp.sum(jax.grad(lambda x: jnp.sum(forward(x, k, None, WINDOW) ** 2))(x))

        # y = 120 k / 3, dy²/dx = 2 y k, summed over 20 elements: 2 * (40 k) * k * 20, and its slope is 3200 k
        np.testing.assert_allclose(jnp.sum(jax.grad(slope)(kernel)), 3200 * 3.0, rtol=1e-5)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "float16"])
def test_runs_in_loops_and_over_another_axis_in_every_dtype(tier, dtype):
    with computed_by(tier), jax.enable_x64(dtype == "float64"):
        x, kernel = wave((3, 2, 6, 5, 4)).astype(dtype), wave((3, 2, 4, 8)).astype(dtype)
        want = jnp.stack([by_xla.plain("convolution", one, kernel, None, WINDOW) for one in x])
        rtol = 1e-5 if dtype in ("float32", "float64") else 2e-2
        over = jax.jit(jax.vmap(lambda one: forward(one, kernel, None, WINDOW)))(x)
        looped = lax.map(lambda one: forward(one, kernel, None, WINDOW), x)
        for got in (over, looped):
            assert got.dtype == dtype
            np.testing.assert_allclose(*(np.asarray(a, "float64") for a in (got, want)), rtol=rtol, atol=rtol)
        each = jax.vmap(jax.grad(lambda one: jnp.sum(forward(one, kernel, None, WINDOW))))(x)
        one = jax.grad(lambda one: jnp.sum(forward(one, kernel, None, WINDOW)))(x[0])
        np.testing.assert_allclose(*(np.asarray(a, "float64") for a in (each[0], one)), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("few", [False, True], ids=["dense", "sparse"])
@given(convolutions())
@settings(max_examples=6, deadline=None)
def test_bias_and_gradients_of_few_elements(tier, few, case):
    """Behind a global maximum nearly all of dy is zero, and oneDNN's package takes another way."""
    x, kernel, window = case
    y, its = jax.vjp(lambda *a: by_xla.plain("convolution", *a, None, window), x, kernel)
    bias, dy = jnp.cos(jnp.arange(y.shape[-1], dtype=jnp.float32)), wave(y.shape)
    dy = jnp.where(jnp.arange(dy.size).reshape(dy.shape) % 17 == 3, dy, 0) if few else dy
    with computed_by(tier):
        got, mine = jax.jit(
            lambda: (lambda y, back: (y, back(dy)))(*jax.vjp(partial(forward, window=window), x, kernel, bias))
        )()
    np.testing.assert_allclose(got, y + bias, rtol=1e-4, atol=1e-4)
    for a, b in zip(mine, (*its(dy), dy.reshape(-1, dy.shape[-1]).sum(0)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_compiled_step_calls_onednn_where_it_is_there():
    """Which formula is taken is decided while tracing; XLA's kernel gradient never is, 20 times slower in a loop."""
    for tier in TIERS:
        for channels in (1, 8):
            window = Window((1, 1), ((1, 1), (1, 1)), (1, 1))
            x, kernel = jnp.ones((2, 16, 16, channels)), jnp.ones((3, 3, channels, 4))
            with computed_by(tier):
                step = jax.make_jaxpr(jax.grad(lambda k: jnp.sum(forward(x, k, None, window) ** 2)))(kernel)  # noqa: B023
            assert ("ffi_call" in str(step)) == (tier == "onednn")
            found = [e for e in step.eqns if e.primitive is lax.conv_general_dilated_p]
            assert all(e.invars[1].aval.shape[:2] == (3, 3) for e in found)


def test_a_choice_of_kernels_that_is_none_is_named():
    with computed_by("onednm"), pytest.raises(ArgumentError, match="expected xla, onednn"):
        forward(jnp.ones((1, 4, 4, 1)), jnp.ones((2, 2, 1, 1)), None, WINDOW)


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
        (stack((28, 28, 1), layers.Flatten(), layers.Conv2D(8, 3)), "expects 4 dimensions (batch axis included)"),
        (stack((4, 4, 1), layers.Conv2D(8, 5)), "expects at least 5 x 5 for its window, got 4 x 4"),
        (stack((4, 4, 1), layers.Conv2D(8, 3), layers.SeparableConv2D(8, 3)), "got 2 x 2"),
        (stack((4, 3), layers.DepthwiseConv1D(3, dilation_rate=2)), "expects at least 5 for its window, got 4"),
        (stack((4, 4, 3), layers.Conv2D(8, 2, groups=2)), "expects channels that its groups=2 divides, got 3"),
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
    assert "expects size 3 on axis 1, got 4" in refusal(lambda: layer(np.ones((1, 4, 4, 4), "float32")))


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


@pytest.mark.parametrize(("kind", "settings"), [("Conv2D", (2, 3)), ("DepthwiseConv2D", (3,)), ("MaxPooling2D", (2,))])
def test_a_subclass_may_use_names_that_keras_does_not(kind, settings):
    base = getattr(layers, kind)
    free = "add slide make_kernels covered reduce _add _slide _run".split()
    named = type(f"Named{kind}", (base,), dict.fromkeys(free, None))
    x = np.ones((1, 5, 5, 2), "float32")
    plain, layer = base(*settings, name="same"), named(*settings, name="same")
    for name in free:
        setattr(layer, name, "the user's own")
    plain.build(x.shape)
    layer.build(x.shape)
    layer.set_weights(plain.get_weights())
    np.testing.assert_array_equal(layer(x), plain(x))
