"""A convolution, relu and pooling in one pass of lamina-onednn's, against the three one after the other."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import layers
from lamina._kernels.blocks import relu
from lamina._kernels.convolution import convolve
from lamina._kernels.pooling import largest, max_pool
from lamina._layer.passes import Pass

pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")


def together(within, half=False, strides=1, padding="valid", dilation=1, groups=1, pool=(2, 2, 2, 2), pad="valid"):
    """The three as a function of x, the kernel and the bias: within a pass, where they are one, or by themselves."""

    def compute(*taken):
        y = relu(convolve(*taken[:2], (strides,) * 2, padding, (dilation,) * 2, groups, *taken[2:]))
        return max_pool(y, pool[:2], pool[2:], pad, (1, 2))

    def in_a_pass(*taken):
        with Pass({}):
            return compute(*taken)

    return in_a_pass if within else compute


def with_slopes(function, weigh=jnp.cos):
    def compute(*taken):
        y, back = jax.vjp(function, *taken)
        return y, *back(weigh(y))

    return jax.jit(compute)


def whole(seed, *shapes):
    """Whole numbers, whose sums are exact, so that equal elements of a window are equal by either way."""
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.integers(-3, 4, shape), jnp.float32) for shape in shapes]


def is_one(function, *taken):
    return "lamina_convolution_pooled" in jax.jit(function).lower(*taken).as_text()


@st.composite
def cases(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    channels, filters = (groups * draw(st.sampled_from(sizes)) for sizes in ([1, 2, 3, 5, 16], [5, 16, 20, 32, 48, 64]))
    dilation, size = draw(st.integers(1, 2)), [draw(st.integers(1, 3)) for _ in range(2)]
    window = [draw(st.integers(1, 4)) for _ in range(2)]
    steps = [n + draw(st.integers(0, 2)) for n in window]
    strides, padding = (draw(st.integers(1, 2)), draw(st.sampled_from(["valid", "same"])))
    if dilation > 1 and strides > 1:
        strides = 1
    least = [(n * strides) + (k - 1) * dilation for n, k in zip(window, size, strict=True)]
    shape = (draw(st.integers(1, 5)), *(n + draw(st.integers(0, 7)) for n in least), channels)
    options = {
        "strides": strides,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "pool": (*window, *steps),
    }
    biased = [(filters,)] * draw(st.booleans())
    taken = whole(draw(st.integers(0, 999)), shape, (*size, channels // groups, filters), *biased)
    if size in ([3, 3], [1, 3]) and channels == 16:  # in tiles sums are rounded: no elements are to be equal
        taken = [a + jnp.asarray(np.random.default_rng(0).normal(size=a.shape), a.dtype) for a in taken]
    return taken, options


@pytest.mark.parametrize("examples", [25, pytest.param(2500, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("tier", ["onednn", "xla"])
def test_one_pass_equals_three_in_the_gradients_of_equal_elements_too(examples, tier):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases())
    def check(case):
        taken, options = case
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAMINA_KERNELS", tier)
            want = with_slopes(together(False, **options))(*taken)
        got = with_slopes(together(True, **options))(*taken)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, 1e-4, 1e-3)

    check()


@pytest.mark.parametrize("channels", [1, 16])
@pytest.mark.parametrize("what", [np.nan, -np.nan, np.inf, -np.inf])
def test_no_numbers_are_passed_on_and_take_no_gradient(channels, what):
    x, kernel, bias = whole(0, (3, 9, 8, channels), (3, 3, channels, 16), (16,))
    kernel = jnp.where(kernel == 0, 1, kernel)  # as an infinity times zero is NaN
    x = x.at[1, 4, 4, 0].set(what)
    want, got = (with_slopes(together(each), jnp.ones_like)(x, kernel, bias) for each in (False, True))
    assert is_one(together(True), x, kernel, bias) and not is_one(together(False), x, kernel, bias)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[3], want[3])
    assert np.isnan(got[0]).any() == np.isnan(what)


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_gradients_of_gradients_and_batches_are_those_of_the_three(channels):
    taken = whole(0, (3, 8, 9, channels), (3, 3, channels, 16), (16,))

    def again(function):
        def loss(*taken):
            return jnp.sum(jnp.sin(function(*taken)))

        return jax.grad(lambda *taken: sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1, 2))(*taken)), (0, 1, 2))

    def many(function):
        return jax.vmap(jax.grad(lambda *taken: jnp.sum(jnp.sin(function(*taken))), (0, 1)), (0, None, None))

    for derived, given_ in [(again, taken), (many, [jnp.stack([taken[0], taken[0] + 1]), *taken[1:]])]:
        got, want = (jax.jit(derived(together(each)))(*given_) for each in (True, False))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, 1e-3, 1e-2)
        assert is_one(derived(together(True)), *given_)


@pytest.mark.parametrize(
    "options",
    [{"pool": (3, 3, 2, 2)}, {"pool": (2, 2, 2, 2), "pad": "same"}, {"filters": 15}],
    ids=["windows overlap", "windows are padded", "few filters"],
)
def test_what_it_does_not_take_goes_as_before(options):
    taken = whole(0, (2, 13, 13, 3), (3, 3, 3, options.pop("filters", 16)))
    assert not is_one(together(True, **options), *taken)
    got, want = (with_slopes(together(each, **options))(*taken) for each in (True, False))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-3)


LARGE = {
    "a sequence": ((3, 23, 5), (3, 5, 16), {}, None),
    "a sequence, in tiles": ((40, 21, 16), (5, 16, 32), {}, None),
    "a causal one": ((3, 23, 16), (2, 16, 32), {"padding": "causal", "dilation": 3}, None),
    "windows of a sequence": ((3, 50, 7), (3, 7, 16), {"strides": 2, "padding": "same"}, (4,)),
    "large windows of a sequence": ((2, 70, 7), (3, 7, 16), {}, (20,)),
    "an image": ((3, 9, 7, 16), (3, 3, 16, 16), {"padding": "same"}, None),
    "an image of three channels": ((3, 9, 7, 3), (3, 3, 3, 16), {}, None),
    "an image, in tiles": ((9, 12, 15, 16), (3, 3, 16, 16), {}, None),
    "groups": ((3, 9, 7, 32), (3, 3, 16, 32), {"groups": 2}, None),
    "large windows of an image": ((2, 24, 25, 5), (3, 3, 5, 16), {}, (5, 4)),
}


def largest_of(case, within):
    shape, kernel, options, window = LARGE[case]
    axes, ones = tuple(range(1, len(shape) - 1)), (1,) * (len(shape) - 2)
    options = {"strides": 1, "padding": "valid", "dilation": 1, "groups": 1, **options}
    strides, padding, dilation, groups = (options[name] for name in ("strides", "padding", "dilation", "groups"))

    def compute(x, kernel, bias):
        with Pass({}) if within else nullcontext():
            steps, rates = (tuple(n * each for n in ones) for each in (strides, dilation))
            y = relu(convolve(x, kernel, steps, padding, rates, groups, bias))
            return max_pool(y, window, window, "valid", axes) if window else largest(y, axes)

    rng = np.random.default_rng(0)
    taken = [jnp.asarray(rng.normal(size=each), jnp.float32) for each in (shape, kernel, kernel[-1:])]
    return compute, taken


@pytest.mark.parametrize("case", LARGE)
def test_global_maxima_and_large_windows_are_one_pass_too(case):
    (one, taken), (three, _) = (largest_of(case, within) for within in (True, False))
    assert is_one(one, *taken) and not is_one(three, *taken)
    for what in (None, np.nan, np.inf, -np.inf):
        for place in range(3 if what else 1):
            given_ = list(taken)
            if what:
                given_[place] = given_[place].at[(1,) * given_[place].ndim].set(what)
            got, want = (with_slopes(each)(*given_) for each in (one, three))
            # A gradient goes to any one of several infinities; in windows that XLA reduces to NaN too.
            count = 1 if what and (np.isinf(what) or case == "large windows of a sequence") else 4
            for a, b in zip(got[:count], want[:count], strict=True):
                np.testing.assert_allclose(a, b, 1e-3, 1e-3)


@pytest.mark.parametrize("case", LARGE)
def test_gradients_of_gradients_of_large_windows(case):
    def again(function):
        def loss(*taken):
            return jnp.sum(jnp.sin(function(*taken)))

        return jax.grad(lambda *taken: sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1, 2))(*taken)), (0, 1, 2))

    (one, taken), (three, _) = (largest_of(case, within) for within in (True, False))
    for got, want in zip(*(jax.jit(again(f))(*taken) for f in (one, three)), strict=True):
        np.testing.assert_allclose(got, want, 1e-3, 1e-2)


def test_zero_rows_and_operations_one_by_one():
    taken = whole(0, (0, 9, 9, 3), (3, 3, 3, 16), (16,))
    assert together(True)(*taken).shape == (0, 3, 3, 16) and not is_one(together(True), *taken)
    taken = whole(0, (2, 9, 9, 3), (3, 3, 3, 16), (16,))
    np.testing.assert_array_equal(together(True)(*taken), together(False)(*taken))


def trained(tier, policy):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_KERNELS", tier)
        lamina.mixed_precision.set_global_policy(policy)
        lamina.utils.set_random_seed(0)
        model = lamina.Sequential(
            [
                lamina.Input((12, 11, 1)),
                layers.Conv2D(16, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(16, 2, padding="same"),
                layers.ReLU(),
                layers.MaxPooling2D((1, 2)),
                layers.Flatten(),
                layers.Dense(3, activation="softmax", dtype="float32"),
            ]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        x = np.random.default_rng(0).normal(size=(40, 12, 11, 1)).astype("float32")
        losses = model.fit(x, np.arange(40) % 3, epochs=3, batch_size=16, verbose=0).history["loss"]
        rows = jnp.ones((4, 12, 11, 1))
        return model, rows, [losses, model.predict(x, verbose=0), model.predict(x[:1], verbose=0)]


@pytest.mark.parametrize(("policy", "near"), [("float32", 1e-4), ("mixed_bfloat16", 3e-2)])
def test_layers_one_after_the_other_are_one_pass(policy, near):
    model, rows, got = trained("onednn", policy)
    with Pass({weight: weight.array for weight in model.weights}) as now:
        text = str(jax.make_jaxpr(now.copy_of(model))(rows))
    assert text.count("target_name=lamina_convolution_pooled") == 2
    for a, b in zip(got, trained("xla", policy)[2], strict=True):
        np.testing.assert_allclose(a, b, near, near)
