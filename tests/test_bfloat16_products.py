"""Products of bfloat16 by oneDNN, where they are faster than those of float32: beside the same in float32.

What goes in are numbers of 16 bits, so both multiply the same numbers; what comes out is rounded to 16 bits by both.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import layers
from lamina._kernels import matmul, precision, recurrent
from lamina._kernels.convolution import convolve, convolve_transposed

onednn = pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
pytestmark = pytest.mark.skipif(not onednn.half_speed(), reason="this processor multiplies no bfloat16")


def array(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.bfloat16)


def both(compute, taken):
    """The results and the gradients by products of float32, and by those of bfloat16."""

    def loss(*taken):
        y = jax.tree.leaves(compute(*taken))
        return sum(jnp.sum(jnp.sin(jnp.arange(each.size)) * each.ravel()) for each in y), y

    for pays in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAMINA_KERNELS", "onednn")
            patch.setattr(precision, "half_pays", lambda pays=pays: pays)
            patch.setattr(matmul, "LEAST", 0)
            program = jax.jit(jax.grad(loss, tuple(range(len(taken))), has_aux=True))
            yield jax.tree.leaves(program(*taken)), program.lower(*taken).as_text()


def assert_alike(compute, taken, halves=True, spreads=()):
    """Where one of `spreads`, of the gradients and results, has elements that are no numbers, it may have more."""
    (want, _), (got, text) = both(compute, taken)
    assert halves is None or ("bf16>" in "".join(line for line in text.splitlines() if "@lamina_" in line)) is halves
    for place, (a, b) in enumerate(zip(want, got, strict=True)):
        a, b = (np.asarray(each, "float32") for each in (a, b))
        if place in spreads and not np.isfinite(a).all():
            a = np.where(np.isfinite(b), a, b)
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        finite = np.where(np.isfinite(a), a, 0)
        np.testing.assert_allclose(np.where(np.isfinite(b), b, 0), finite, 0.02, 0.02 * max(1, abs(finite).max()))


NO_NUMBERS = st.sampled_from([0.5, np.nan, np.inf])


def tried(check, few, **drawn):
    settings(max_examples=few, deadline=None, suppress_health_check=list(HealthCheck))(given(**drawn)(check))()


def examples(few):
    return pytest.mark.parametrize("examples", [few, pytest.param(50 * few, marks=pytest.mark.nightly)])


def check_matmul(rows, inner, units, what, where, seed):
    rng = np.random.default_rng(seed)
    x, kernel, bias = array(rng, 2, rows, inner), array(rng, inner, units), array(rng, units)
    place = rng.integers(0, 2), rng.integers(0, rows), rng.integers(0, inner)
    x, kernel = x.at[place].set(what) if where else x, kernel if where else kernel.at[place[2], 0].set(what)
    assert_alike(matmul.matmul, (x, kernel, bias), None)


@examples(6)
def test_dense_products(examples):
    sizes = st.sampled_from([1, 31, 64, 65, 130])
    tried(check_matmul, examples, rows=sizes, inner=sizes, units=sizes, what=NO_NUMBERS, where=st.booleans(),
          seed=st.integers(0, 99))  # fmt: skip


def check_convolution(rank, batch, size, channels, filters, groups, strides, padding, what, where, seed):
    rng = np.random.default_rng(seed)
    x = array(rng, batch, *range(size, size + rank), groups * channels)
    taken = [x, array(rng, *range(1, rank + 1), channels, groups * filters), array(rng, groups * filters)]
    taken[where] = taken[where].ravel().at[rng.integers(0, taken[where].size)].set(what).reshape(taken[where].shape)

    def compute(x, kernel, bias):
        return convolve(x, kernel, (strides,) * rank, padding, (1,) * rank, groups, bias)

    assert_alike(compute, taken, None, spreads=[1])  # of the kernel: a sum over an odd number of positions


@examples(8)
def test_convolutions(examples):
    channels = st.sampled_from([1, 3, 8, 9, 16])
    drawn = {"rank": st.integers(1, 3), "batch": st.integers(1, 5), "size": st.integers(4, 7), "channels": channels}
    drawn |= {"filters": channels, "groups": st.integers(1, 2), "strides": st.integers(1, 2), "what": NO_NUMBERS}
    padding = st.sampled_from(["valid", "same"])
    tried(check_convolution, examples, **drawn, padding=padding, where=st.integers(0, 1), seed=st.integers(0, 99))


def test_a_gradient_that_is_almost_all_zeros():
    """As behind a global maximum: of the products only those with an element that is not zero."""
    rng = np.random.default_rng(0)

    def compute(x, kernel, bias):
        return jnp.max(convolve(x, kernel, (1,), "same", (1,), 1, bias), 1)

    assert_alike(compute, (array(rng, 4, 200, 16), array(rng, 5, 16, 32), array(rng, 32)))


def test_a_transposed_convolution():
    rng = np.random.default_rng(0)
    compute = lambda x, kernel: convolve_transposed(x, kernel, (2, 2), "same", (1, 1))  # noqa: E731
    assert_alike(compute, (array(rng, 2, 5, 6, 16), array(rng, 3, 3, 8, 16)))


def check_net(kind, time, batch, features, units, masked, reverse, what, seed):
    rng = np.random.default_rng(seed)
    gates, states = {"lstm": (4, 2), "gru": (3, 1)}[kind]
    taken = [array(rng, time, batch, features), array(rng, features, gates * units) / 2, array(rng, gates * units)]
    taken += [*[array(rng, batch, units)] * states, array(rng, units, gates * units) / 2]
    taken += [array(rng, gates * units)] * (2 - states)
    taken[0] = taken[0].at[time // 2, 0, 0].set(what)
    mask = jnp.asarray(rng.random((time, batch)) < 0.6) if masked else None
    assert_alike(lambda *taken: getattr(recurrent, kind)(*taken, mask, reverse), taken, None)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@examples(3)
def test_recurrent_nets(kind, examples):
    sizes = {name: st.integers(1, 9) for name in ("time", "batch", "features", "units")}
    options = {"masked": st.booleans(), "reverse": st.booleans(), "what": NO_NUMBERS, "seed": st.integers(0, 99)}
    tried(check_net, examples, kind=st.just(kind), **sizes, **options)


def test_the_kernels_gradient_is_not_rounded():
    """2,000 times 1 and once 1/2 are 2000.5, which 16 bits cannot hold."""
    layer = layers.Dense(64, dtype="mixed_bfloat16", kernel_initializer="zeros")
    layer.build((None, 64))
    model = lamina.Sequential([lamina.Input((64,)), layer])
    x = np.ones((2001, 64), "float32")
    x[0] = 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_KERNELS", "onednn")
        patch.setattr(precision, "half_pays", lambda: True)
        trained, fixed = ([w.value for w in v] for v in (model.trainable_variables, model.non_trainable_variables))
        slopes = jax.grad(lambda w: jnp.sum(model.stateless_call(w, fixed, x)[0].astype(jnp.float32)))(trained)
    np.testing.assert_array_equal(slopes[0], np.full((64, 64), 2000.5))
