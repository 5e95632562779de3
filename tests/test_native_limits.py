"""lamina-onednn at its limits: NaN and infinity, odd sizes, zero rows, and arrays of shapes that do not fit each other.

The oracle of a convolution is its sum, taken term by term in NumPy. XLA's formulas differ from it, and from each other,
in the zeros that they put around the data and between groups: an infinity times one of those is NaN. oneDNN puts zeros
around x for the kernel's gradient only.
"""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina._kernels import convolution_by_xla as by_xla
from lamina._kernels import recurrent
from lamina._kernels.convolution import convolve
from lamina._kernels.window import Window, result_shape

onednn = pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
NO_NUMBERS = st.sampled_from([np.nan, np.inf, -np.inf])


def examples(few):
    """So many in the ordinary run, and 100 times as many in the nightly one."""
    return pytest.mark.parametrize("examples", [few, pytest.param(100 * few, marks=pytest.mark.nightly)])


def tried(check, examples, **drawn):
    checks = list(HealthCheck)
    settings(max_examples=examples, deadline=None, suppress_health_check=checks)(given(**drawn)(check))()


@st.composite
def convolutions(draw, one=False):
    """x, the kernel and dy, two of whose elements may be no numbers, and how the kernel moves; or of one image."""
    rank = draw(st.integers(1, 2 if one else 3))

    def each(*least_and_most):
        return tuple(draw(st.integers(*least_and_most)) for _ in range(rank))

    size, dilation, strides = each(1, 3), each(1, 2), each(1, 3)
    groups = 1 if one else draw(st.integers(1, 3))
    few, many = ([1, 2, 5, 64], [16, 32, 160]) if one else ([1, 2, 5, 16], [1, 3, 16])
    channels, filters = (groups * draw(st.sampled_from(per_group)) for per_group in (few, many))
    reach = by_xla.spread(size, dilation)
    pads = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in reach)
    more = each(0, 30 if one else 3)
    sizes = tuple(max(1, k - sum(pad) + n) for k, pad, n in zip(reach, pads, more, strict=True))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    window = Window(strides, pads, dilation, groups)
    x = rng.normal(size=(1 if one else draw(st.integers(1, 5)), *sizes, channels))
    kernel = rng.normal(size=(*size, channels // groups, filters))
    dy = rng.normal(size=result_shape(x, kernel, window))
    if draw(st.booleans()):  # behind a global maximum
        dy *= rng.random(dy.shape) < 0.03
    for array in draw(st.sampled_from([(), (x,), (kernel,), (dy,), (x, dy)])):
        array.reshape(-1)[rng.integers(0, array.size, 2)] = draw(NO_NUMBERS)
    return *(jnp.asarray(array, jnp.float32) for array in (x, kernel, dy)), window


@st.composite
def tiled(draw):
    """The same, of shapes whose y is computed in tiles; the last tiles reach over its end."""
    size = draw(st.sampled_from([(3,), (5,), (3, 3), (5, 5)]))
    pads = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in size)
    sizes = tuple(draw(st.integers(7, 11)) for _ in size)
    channels, filters = (draw(st.sampled_from([16, 32, 48])) for _ in range(2))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    window = Window((1,) * len(size), pads, (1,) * len(size), half=draw(st.booleans()))
    x = rng.normal(size=(draw(st.integers(16, 40)), *sizes, channels))
    kernel = rng.normal(size=(*size, channels, filters))
    dy = rng.normal(size=result_shape(x, kernel, window))
    for array in draw(st.sampled_from([(), (), (x,), (kernel,), (dy,), (x, dy)])):
        array.reshape(-1)[rng.integers(0, array.size, 2)] = draw(NO_NUMBERS)
    dtype = jnp.bfloat16 if window.half else jnp.float32
    x, kernel, dy = (jnp.asarray(array, dtype) for array in (x, kernel, dy))
    return x, kernel.astype(jnp.float32), dy, window


def summed(name, x, kernel, y, window, padded):
    """The map's result from the other two of x, kernel and y, with the products with the zeros around x or without."""
    strides, pads, dilation, groups, _ = window
    parts = [np.array(a, "float64").reshape(*a.shape[:-1], groups, -1) for a in (x, kernel, y)]
    result = parts[["convolution_input_gradient", "convolution_kernel_gradient", "convolution"].index(name)]
    result[:] = 0
    x, kernel, y = parts  # (batch, *sizes, groups, c), (*window, c, groups, f), (batch, *positions, groups, f)
    for place in np.ndindex(*kernel.shape[:-3]):
        for position in np.ndindex(*y.shape[1:-2]):
            moves = zip(position, strides, place, dilation, pads, strict=True)
            at = tuple(p * stride + k * rate - before for p, stride, k, rate, (before, _) in moves)
            inside = all(0 <= n < size for n, size in zip(at, x.shape[1:-2], strict=True))
            if not inside and not padded:
                continue
            row = (slice(None), *position)
            seen = x[(slice(None), *at)] if inside else np.zeros((len(x), *x.shape[-2:]))
            if result is y:
                y[row] += np.einsum("ngc,cgf->ngf", seen, kernel[place])
            elif result is kernel:
                kernel[place] += np.einsum("ngc,ngf->cgf", seen, y[row])
            elif inside:
                seen += np.einsum("ngf,cgf->ngc", y[row], kernel[place])
    return result.reshape(*result.shape[:-2], -1)


def check_convolution(case, lost):
    """Against the sums; `lost` is the share of a deviation that the way of computing may cost."""
    x, kernel, dy, window = case
    half = (1e-2, 1e-2) if window.half else None
    bias = jnp.zeros(kernel.shape[-1])
    for name, arrays, shape in [
        ("convolution", (x, kernel, bias), dy.shape),
        ("convolution_input_gradient", (dy, kernel), x.shape),
        ("convolution_kernel_gradient", (x, dy), kernel.shape),
    ]:
        if not onednn.convolution_supported(name, x.shape, kernel.shape, dy.shape, *window[:-1], half=window.half):
            continue
        got = jax.tree.leaves(getattr(onednn, name)(*arrays, shape, *window[:-1]))
        with np.errstate(invalid="ignore"):
            want, padded = (summed(name, x, kernel, dy, window, padded) for padded in (False, True))
            dbias = np.asarray(dy, "float64").sum(tuple(range(dy.ndim - 1)))
        far = max(1e-3, lost * np.nan_to_num(want, posinf=0, neginf=0).std())
        found = [(got[0], half or (1e-4, far))]
        if window.groups == 1 and name != "convolution_input_gradient" and not window.half:
            found.append((by_xla.plain(name, *arrays[:2], shape, window), (1e-4, 1e-3)))
        for y, near in ((np.asarray(y, "float32"), near) for y, near in found):
            alike = np.isclose(y, want, *near, equal_nan=True) | np.isnan(y) & np.isnan(padded)
            if window.half and name == "convolution_kernel_gradient" and not np.isfinite(want).all():
                alike |= np.isnan(y)  # oneDNN spreads it over pairs
            if window.half and name == "convolution_input_gradient":  # oneDNN multiplies the kernel by zeros around dy
                alike |= np.isnan(y) & ~np.isfinite(kernel).all((*range(kernel.ndim - 2), -1))
            assert alike.all(), (name, y[~alike], want[~alike])
        if got[1:]:
            np.testing.assert_allclose(got[1], dbias, *(half or (1e-4, 1e-3)))


@examples(6)
def test_convolutions_are_their_sums_of_products_for_no_numbers_too(examples):
    tried(check_convolution, examples, case=convolutions(), lost=st.just(0.0))


@examples(6)
def test_convolutions_of_one_image_are_those_sums_too(examples):
    tried(check_convolution, examples, case=convolutions(one=True), lost=st.just(0.0))


@examples(4)
def test_convolutions_in_tiles_are_those_sums_too(examples):
    tried(check_convolution, examples, case=tiled(), lost=st.just(5e-5))  # up to 23e-6 were measured


@st.composite
def normalized(draw):
    """x, whose elements may be no numbers, the windows, and how many rows of the batch count."""
    window = [draw(st.integers(1, 4)) for _ in range(2)]
    steps = [n + draw(st.integers(0, 2)) for n in window]
    sizes = [n + draw(st.integers(0, 7)) for n in window]
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = rng.normal(size=(draw(st.integers(1, 6)), *sizes, draw(st.sampled_from([16, 32, 48]))))
    if draw(st.booleans()):
        x.reshape(-1)[rng.integers(0, x.size, 2)] = draw(NO_NUMBERS)
    return x.astype("float32"), (*window, *steps), draw(st.integers(0, len(x))), rng


def check_normalized(case):
    x, pool, rows, rng = case
    high, wide, down, right = pool
    counts = (x.shape[1] - high) // down + 1, (x.shape[2] - wide) // right + 1
    factor, shift, mean, inverse, gamma = (rng.normal(size=x.shape[3]).astype("float32") for _ in range(5))
    shape = (len(x), *counts, x.shape[3])
    p, places = map(np.asarray, onednn.normalization_pooled(x, factor, shift, shape, pool))
    dp = rng.normal(size=shape).astype("float32")
    with np.errstate(invalid="ignore"):
        y = np.asarray(x, "float64") * factor + shift
        dy = np.zeros(x.shape)
        for n, i, j, c in np.ndindex(*shape):
            seen = (n, slice(i * down, i * down + high), slice(j * right, j * right + wide), c)
            largest, place = np.max(y[seen]), places[n, i, j, c]
            np.testing.assert_allclose(p[n, i, j, c], np.maximum(largest, 0), 1e-5, 1e-5)
            assert (place >= 0) == (largest > 0), "a place where, and only where, one is above zero"
            if place >= 0:
                assert np.isclose(y[seen].reshape(-1)[place], largest, 1e-5, 1e-5)
                dy[seen].reshape(high, wide)[divmod(place, wide)] = dp[n, i, j, c]
        near = np.where(dy[:rows] == 0, 0, dy[:rows] * (np.asarray(x[:rows], "float64") - mean))
        dbeta, dgamma = dy[:rows].sum((0, 1, 2)), near.sum((0, 1, 2)) * inverse
        size = max(rows * x.shape[1] * x.shape[2], 1)
        scale = np.asarray(gamma, "float64") * inverse
        slope = -scale * inverse * dgamma / size
        dx = dy * scale + x * slope + (-scale * dbeta / size - slope * mean)
        dx[rows:] = 0
    got = onednn.normalization_pooled_gradient(dp, places, x, mean, inverse, gamma, jnp.int32(rows), pool)
    if rows:
        for a, b in zip(got, (dx, dgamma, dbeta), strict=True):
            np.testing.assert_allclose(a, b, 1e-3, 1e-3)
    else:
        assert not any(np.any(a) for a in got)


@examples(6)
def test_normalizations_with_their_poolings_are_numpys_for_no_numbers_too(examples):
    tried(check_normalized, examples, case=normalized())


def by_tier(compute, *arrays):
    """What XLA's formula computes, and what the package does."""
    for tier in ("xla", "onednn"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAMINA_KERNELS", tier)
            yield jax.tree.leaves(jax.jit(lambda arrays: compute(*arrays))(arrays))


def check_net(kind, sizes, masked, reverse, seed, where, what):
    time, batch, features, units = sizes
    rng = np.random.default_rng(seed)
    gates, states = {"lstm": (4, 2), "gru": (3, 1)}[kind]
    shapes = [(time, batch, features), (features, gates * units), (gates * units,), *[(batch, units)] * states]
    shapes += [(units, gates * units), *[(gates * units,)] * (2 - states)]
    shapes += [(time, batch, units), *[(batch, units)] * states]  # the slopes of what comes out
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    if units > 16:  # as initializers make it, since an error would grow from step to step
        arrays[2 + states + 1] /= np.float32(np.sqrt(units))
    if arrays[where % len(arrays)].size:
        arrays[where % len(arrays)].flat[rng.integers(0, arrays[where % len(arrays)].size)] = what
    mask = jnp.asarray(rng.random((time, batch)) < 0.6) if masked else None

    def compute(*arrays):
        y, back = jax.vjp(lambda *taken: getattr(recurrent, kind)(*taken, mask, reverse), *arrays[:6])
        return y, back(arrays[6:])

    want, got = by_tier(compute, *map(jnp.asarray, arrays))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-4)  # NaN and infinity at the same places


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@examples(2)
def test_recurrent_nets_have_no_numbers_where_xla_has_them(kind, examples):
    drawn = {"masked": st.booleans(), "reverse": st.booleans(), "seed": st.integers(0, 999), "what": NO_NUMBERS}
    sizes = st.tuples(*[st.integers(1, 6)] * 3, st.integers(1, 9))
    tried(check_net, examples, kind=st.just(kind), sizes=sizes, where=st.integers(0, 8), **drawn)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@examples(2)
def test_nets_of_few_rows_whose_units_are_shared_out_do_too(kind, examples):
    drawn = {"masked": st.booleans(), "reverse": st.booleans(), "seed": st.integers(0, 999)}
    sizes = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 30), st.sampled_from([112, 128, 208]))
    what = st.one_of(NO_NUMBERS, st.just(1.0))  # not among the slopes: XLA's gates round to 0 and 1 in other places
    tried(check_net, examples, kind=st.just(kind), sizes=sizes, where=st.integers(0, 5), what=what, **drawn)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("sizes", [(3, 0, 4, 5), (3, 2, 0, 5), (3, 2, 4, 0)], ids=["rows", "features", "units"])
def test_nets_of_no_rows_features_or_units(kind, sizes):
    check_net(kind, sizes, True, False, 0, 2, 1.0)


def check_product(sizes, turned, where, what, seed):
    rows, inner, columns = sizes
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns))
    for array in [[], [a], [b], [a, b]][where]:
        array.flat[rng.integers(0, array.size)] = what
    with np.errstate(invalid="ignore"):
        want = a @ b
    given = [jnp.asarray(array.T if turn else array, "float32") for array, turn in zip((a, b), turned, strict=True)]
    got = jax.jit(lambda a, b: onednn.matmul(a, b, a.dtype, a_turned=turned[0], b_turned=turned[1]))(*given)
    np.testing.assert_allclose(got, want, 1e-4, 1e-4)


@examples(8)
def test_products_of_any_sizes_are_numpys_for_no_numbers_too(examples):
    sizes = st.tuples(*[st.sampled_from([1, 2, 7, 12, 16, 33, 63, 64, 65, 200])] * 3)
    drawn = {"where": st.integers(0, 3), "what": NO_NUMBERS, "seed": st.integers(0, 999)}
    tried(check_product, examples, sizes=sizes, turned=st.tuples(st.booleans(), st.booleans()), **drawn)


def test_a_large_product_is_shared_out():
    check_product((300, 130, 500), (True, False), 0, 1.0, 0)
    check_product((500, 130, 300), (False, True), 0, 1.0, 0)


@pytest.mark.parametrize("programs", [2, 1000, 0])
def test_calls_compute_the_same_while_programs_share_the_threads(programs):
    onednn.share(programs)
    try:
        check_product((300, 130, 500), (True, False), 0, 1.0, 0)
        check_product((32, 512, 500), (False, True), 0, 1.0, 0)
        check_moments(2000, 300, 5, 0, 1.0, 0, None)
        check_net("lstm", (5, 9, 4, 6), True, False, 0, 2, 1.0)
    finally:
        onednn.share(1)


@pytest.mark.parametrize("rows", [9, 16, 31, 32, 33, 64])
def test_a_product_of_few_rows_with_a_turned_kernel_is_numpys(rows):
    for inner, columns in [(5, 3), (16, 12), (100, 131), (512, 40)]:
        check_product((rows, inner, columns), (False, True), 0, 1.0, rows)


def check_moments(rows, columns, mean, where, what, seed, first):
    rng = np.random.default_rng(seed)
    x, dy = (rng.normal(size=(rows, columns)).astype("float32") for _ in range(2))
    x += np.float32(mean)
    for array in [[], [x], [dy], [x, dy]][where]:
        array.flat[rng.integers(0, array.size)] = what
    with np.errstate(invalid="ignore"):
        wide = x.astype("float64")
        middle, variance = wide[:first].mean(0), wide[:first].var(0)
        sums = dy.astype("float64").sum(0), (dy * (wide - middle.astype("float32"))).sum(0)
    got = jax.jit(onednn.moments)(x, first and jnp.int32(first))
    np.testing.assert_allclose(got[0], middle, 1e-6, 1e-6)
    np.testing.assert_allclose(got[1], variance, 1e-5, 1e-6 * (1 + abs(mean)))
    for found, want in zip(jax.jit(onednn.moment_slopes)(dy, x, middle.astype("float32")), sums, strict=True):
        np.testing.assert_allclose(found, want, 1e-4, 1e-6 * rows * (1 + abs(mean)))


@examples(8)
def test_moments_of_any_sizes_are_numpys_for_no_numbers_too(examples):
    sizes = {"rows": st.sampled_from([1, 2, 5, 16, 64, 65, 1000]), "columns": st.sampled_from([1, 7, 16, 33, 300])}
    drawn = {"where": st.integers(0, 3), "what": NO_NUMBERS, "seed": st.integers(0, 999)}
    firsts = {"mean": st.sampled_from([0, 3, -1000]), "first": st.sampled_from([None, 1, 64, 2000])}
    tried(check_moments, examples, **sizes, **drawn, **firsts)


def test_moments_of_a_large_batch_are_shared_out():
    check_moments(20_000, 33, 5, 0, 1.0, 0, None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: check_moments(1000, 300, 5, 0, 1.0, seed, None), range(8)))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_of_no_rows(rank):
    x, kernel = jnp.ones((0, *range(4, 4 + rank), 2)), jnp.ones((*[2] * rank, 2, 3))

    def compute(x, kernel):
        y, back = jax.vjp(lambda *taken: convolve(*taken, (1,) * rank, "same", (1,) * rank), x, kernel)
        return y, back(y)

    for a, b in zip(*by_tier(compute, x, kernel), strict=True):
        np.testing.assert_array_equal(a, b)


def right_calls():
    """For each custom call its arrays, its results and its attributes, all of which fit."""
    x, kernel, y = (2, 6, 5, 4), (3, 2, 2, 6), (2, 3, 4, 6)
    window = {"strides": (2, 1), "before": (1, 0), "after": (0, 1), "dilation": (1, 2), "groups": 2}
    yield "convolution", [x, kernel, (6,)], [y], window
    yield "convolution_input_gradient", [y, kernel], [x], window
    yield "convolution_kernel_gradient", [x, y], [kernel, (6,)], window
    kernel, y, p, pool = (3, 2, 2, 16), (2, 3, 4, 16), (2, 1, 1, 16), {"pool": (2, 2, 2, 3)}
    yield "convolution_pooled", [x, kernel, (16,)], [p, p], window | pool
    yield "put_back", [p, p], [y], pool
    x, window = (2, 6, 5, 2), window | {"groups": 1}
    yield "convolution_pooled", [x, kernel, (16,)], [p, p], window | pool
    yield "convolution_pooled_kernel_gradient", [x, p, p], [kernel, (16,)], window | pool
    yield "convolution_pooled_input_gradient", [p, kernel, p], [x], window | pool
    x, p, each = (2, 5, 6, 32), (2, 2, 2, 32), (32,)
    yield "normalization_pooled", [x, each, each], [p, p], pool
    yield "normalization_pooled_gradient", [p, p, x, each, each, each, ()], [x, each, each], pool
    time, batch, features, units = 3, 2, 4, 5
    x, state, outputs, mask = (batch, time, features), (batch, units), (time, batch, units), (time, batch)
    for name, gates, states, more in [("lstm", 4, 2, []), ("gru", 3, 1, [(15,)])]:
        kernel, bias, across = (features, gates * units), (gates * units,), (units, gates * units)
        taken, kept = [x, kernel, bias, *[state] * states, across, *more], [*[outputs] * states, (time, batch, 20)]
        known = [x, kernel, *[state] * states, across]
        options = {"reverse": False, "half": False}
        yield name, [mask, *taken], kept, options
        yield f"{name}_gradient", [mask, outputs, *[state] * states, *known, *kept], taken, options
    yield "matmul", [(5, 3), (4, 5)], [(3, 4)], {"a_turned": True, "b_turned": True}
    yield "matmul", [(9, 5), (4, 5)], [(9, 4)], {"a_turned": False, "b_turned": True}
    yield "moments", [(6, 20), ()], [(20,), (20,)], {}
    yield "moment_slopes", [(6, 20), (6, 20), (20,)], [(20,), (20,)], {}


OTHERS = {
    "convolution_pooled": {4: "int16"},
    "convolution_pooled_kernel_gradient": {2: "int16"},
    "convolution_pooled_input_gradient": {2: "int16"},
    "normalization_pooled": {4: "int16"},
    "normalization_pooled_gradient": {1: "int16", 6: "int32"},
    "put_back": {1: "int16"},
    "moments": {1: "int32"},
}
"""Which of the arrays and the results are places, or a number of rows."""


def called(name, shapes, results, attributes, dtype="float32"):
    of_net = "lstm" in name or "gru" in name
    dtypes = ["bool" if of_net and not place else dtype for place in range(len(shapes))] + ["float32"] * len(results)
    for place, other in OTHERS.get(name, {}).items():
        dtypes[place] = other
    results = list(map(jax.ShapeDtypeStruct, results, dtypes[len(shapes) :]))
    attributes = {key: np.array(n, np.int64) if isinstance(n, tuple) else n for key, n in attributes.items()}
    arrays = [jnp.ones(shape, each) for shape, each in zip(shapes, dtypes, strict=False)]
    return jax.block_until_ready(jax.ffi.ffi_call(f"lamina_{name}", results)(*arrays, **attributes))


def wrong_calls(name, shapes, results, attributes):
    """The same with one thing wrong: an axis longer, empty or gone, one too many, a window that cannot be."""
    every = [*shapes, *results]
    for place, shape in enumerate(every):
        if name not in ("lstm", "lstm_gradient", "gru", "gru_gradient"):
            may_be_empty = len(results) == 1 and place == len(shapes)  # XLA does not make a call without a result
        else:
            may_be_empty = place == 0 or ("gradient" in name and place == len(shapes))  # a mask, and dx
        others = [shape[:-1], (*shape, 1), ()]
        for axis, size in enumerate(shape):
            longer = [size + 4] * ((name, place, axis) != ("moments", 0, 0))  # any number of rows has moments
            others += [(*shape[:axis], new, *shape[axis + 1 :]) for new in [*longer, *([] if may_be_empty else [0])]]
        for other in (other for other in others if other != shape):
            changed = [*every[:place], other, *every[place + 1 :]]
            yield changed[: len(shapes)], changed[len(shapes) :], attributes
    for key, value in attributes.items():
        if key == "groups":
            others = [0, -1, 3, 2**62, -(2**63)]
        elif isinstance(value, bool):
            others = [not value] if "turned" in key else []
        else:
            others = [value[:1], (*value, 1), (), (value[0], -1), (2**62, 1), (-(2**63), 1)]
            others += [(value[0], 0)] * (key in ("strides", "dilation"))
        for other in others:
            yield shapes, results, {**attributes, key: other}


@pytest.mark.parametrize("every", [25, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("call", list(right_calls()), ids=lambda call: call[0])
def test_arrays_that_do_not_fit_are_refused_and_not_read(call, every):
    name = call[0]
    called(*call)
    wrong = list(wrong_calls(*call))
    assert len(wrong) > {"matmul": 20, "moments": 12, "moment_slopes": 20, "put_back": 20}.get(name, 30)
    for shapes, results, attributes in wrong[::every]:
        with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT"):
            called(name, shapes, results, attributes)
    takes_halves = name in ("matmul", "convolution_kernel_gradient")  # the others take weights, which are float32
    for dtype in ["int32"] if takes_halves else ["bfloat16", "int32"]:
        with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT"):
            called(*call, dtype=dtype)


@pytest.mark.parametrize("pool", [(0, 2, 2, 3), (2, 2, 1, 3), (2, 2, 2, 1), (9, 2, 9, 3), (2, 2**62, 2, 2**62)])
def test_windows_that_overlap_or_do_not_fit_are_refused(pool):
    for name, shapes, results, attributes in right_calls():
        if "pool" in attributes:
            with pytest.raises(jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT"):
                called(name, shapes, results, {**attributes, "pool": pool})


def test_a_product_of_two_dtypes_is_refused():
    for a, b, y in [("bfloat16", "float32", "float32"), ("float32", "float32", "bfloat16")]:
        call = jax.ffi.ffi_call("lamina_matmul", jax.ShapeDtypeStruct((3, 4), y))
        with pytest.raises(jax.errors.JaxRuntimeError, match="expected arrays of one type"):
            jax.block_until_ready(call(jnp.ones((3, 5), a), jnp.ones((5, 4), b), a_turned=False, b_turned=False))


def test_a_question_about_sizes_that_do_not_fit_is_answered():
    ask = onednn.convolution_supported
    right = ("convolution", (2, 6, 5, 4), (3, 2, 2, 6), (2, 3, 4, 6), (2, 1), ((1, 0), (0, 1)), (1, 2), 2)
    ask(*right)
    wrong = [(1, (2, 6, 5)), (2, (3, 2)), (3, ()), (3, (2, 3, 5, 6)), (4, (0, 1)), (4, (-1, 1)), (6, (1,)), (7, 0)]
    for place, value in [*wrong, (1, (2, 6, 5, 4, 1)), (1, (2**40,) * 4), (6, (2**62, 1)), (7, 3)]:
        assert ask(*right[:place], value, *right[place + 1 :]) is False
