"""The layers of attention beside real Keras: formulas, masks, files, dtypes, gradients, random numbers and messages."""

import re

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import config, layers
from lamina.errors import ArgumentError, ShapeError, StackError
from lamina.models import load_model

RNG = np.random.default_rng(0)
X, Y, Z = (RNG.normal(size=(2, *shape)).astype("float32") for shape in ((5, 6), (4, 7), (4, 3)))
GRID = RNG.normal(size=(2, 3, 4, 6)).astype("float32")
SEEN = RNG.random((2, 5, 4)) > 0.4
SEEN[0, 2] = False  # a query that sees nothing
OF_HEADS = RNG.random((2, 2, 5, 4)) > 0.4
QUERIES, VALUES = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool), np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
MANY = {"num_heads": 2, "key_dim": 3}
GROUPS = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
CALLS = [
    ("MultiHeadAttention", MANY, (X, Y, Z), {}),
    ("MultiHeadAttention", MANY | {"value_dim": 2, "use_gate": True, "dropout": 0.1}, (X, Y), {"attention_mask": SEEN}),
    ("MultiHeadAttention", MANY | {"use_bias": False, "output_shape": (2, 3)}, (X, Y), {"attention_mask": SEEN}),
    ("MultiHeadAttention", MANY | {"output_shape": 4, "sliding_window": 2}, (X, Y), {"use_causal_mask": True}),
    ("MultiHeadAttention", MANY, (X, Y), {"attention_mask": OF_HEADS, "return_attention_scores": True}),
    (
        "MultiHeadAttention",
        MANY,
        (X, Y, Z),
        {"value_mask": VALUES, "key_mask": VALUES, "attention_mask": SEEN.astype("int32"), "use_causal_mask": True},
    ),
    ("MultiHeadAttention", MANY | {"attention_axes": 2}, (GRID, GRID), {"return_attention_scores": True}),
    ("MultiHeadAttention", MANY | {"attention_axes": (-3,)}, (GRID, GRID), {}),
    ("MultiHeadAttention", MANY, (GRID, GRID[:, :2]), {"attention_mask": RNG.random((2, 3, 4, 2, 4)) > 0.3}),
    ("GroupQueryAttention", GROUPS, (X, Y, Z), {"use_causal_mask": True}),
    ("GroupQueryAttention", GROUPS | {"use_gate": True, "dropout": 0.2}, (X, Y), {"attention_mask": SEEN}),
    (
        "GroupQueryAttention",
        GROUPS | {"use_bias": False, "sliding_window": 2},
        (X, Y),
        {"value_mask": VALUES, "attention_mask": SEEN, "return_attention_scores": True},
    ),
    ("Attention", {}, ([X, X],), {}),
    ("Attention", {"use_scale": True}, ([X, Y[:, :, :6]],), {"mask": [QUERIES, VALUES]}),
    ("Attention", {"dropout": 0.3}, ([X, Y, GRID[:, 0]],), {"mask": [None, VALUES], "use_causal_mask": True}),
    ("Attention", {"score_mode": "concat"}, ([X, Y, GRID[:, 0]],), {"return_attention_scores": True}),
    ("Attention", {"score_mode": "concat", "use_scale": True}, ([X, X],), {"use_causal_mask": True}),
    ("AdditiveAttention", {}, ([X, Y, GRID[:, 0]],), {"mask": [QUERIES, VALUES, None]}),
    ("AdditiveAttention", {"use_scale": False, "seed": 3}, ([X, X],), {"return_attention_scores": True}),
]
USUAL = {1, 5, 6, 11, 13, 17}
NIGHTLY = pytest.mark.nightly


def rows(cases, usual):
    """The cases, of which all but a few are for the night."""
    return [pytest.param(*case, marks=[] if place in usual else NIGHTLY) for place, case in enumerate(cases)]


NAMES = "Attention AdditiveAttention MultiHeadAttention GroupQueryAttention".split()


def pair(name, settings, args, **more):
    """The same layer of both libraries, built, with equal weights that are not at their tidy start."""
    ours, theirs = (getattr(module, name)(**settings, **more) for module in (layers, keras.layers))
    ours(*args), theirs(*args)
    rng = np.random.default_rng(1)
    ours.set_weights([rng.normal(size=w.shape) * 0.3 for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def assert_close(ours, theirs, rtol=1e-5, atol=2e-6):
    for mine, its in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert mine.shape == its.shape and mine.dtype == its.dtype
        np.testing.assert_allclose(np.asarray(mine, float), np.asarray(its, float), rtol, atol)


@pytest.mark.parametrize(("name", "settings", "args", "told"), rows(CALLS, USUAL))
def test_equals_keras(name, settings, args, told):
    """By hand and in a compiled function, with every argument; then the config, and the names of the weights."""
    ours, theirs = pair(name, settings, args)
    want = theirs(*args, **told)
    assert_close(ours(*args, **told), want)
    flags = {key: value for key, value in told.items() if isinstance(value, bool)}
    arrays = {key: value for key, value in told.items() if key not in flags}
    assert_close(jax.jit(lambda args, arrays: ours(*args, **arrays, **flags))(args, arrays), want)
    assert [w.path.removeprefix(f"{ours.name}/") for w in ours.weights] == [
        w.path.removeprefix(f"{theirs.name}/") for w in theirs.weights
    ]
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    config, wanted = ours.get_config(), theirs.get_config()
    assert {key: config[key] for key in wanted if key not in ("name", "dtype")} == {
        key: value for key, value in wanted.items() if key not in ("name", "dtype")
    }
    assert type(ours).from_config(config).get_config() == type(ours).from_config(wanted).get_config() | config


def test_a_value_may_have_another_size_than_the_key_also_without_dropout():
    """Keras on JAX fails at this one: it is the same as with a dropout that is not in training."""
    ours, theirs = (
        module.MultiHeadAttention(2, 3, value_dim=5, dropout=rate)
        for module, rate in ((layers, 0.0), (keras.layers, 0.5))
    )
    theirs(X, X)
    ours(X, X)
    theirs.set_weights(ours.get_weights())
    assert_close(ours(X, X), theirs(X, X))


@pytest.mark.parametrize("dtype", rows([("bfloat16",), ("float16",), ("mixed_bfloat16",)], {0}))
@pytest.mark.parametrize(
    ("name", "settings", "args"),
    rows(
        [
            ("MultiHeadAttention", MANY, (X, Y)),
            ("Attention", {"use_scale": True}, ([X, X],)),
            ("MultiHeadAttention", MANY | {"dropout": 0.1}, (X, Y)),
            ("GroupQueryAttention", GROUPS, (X, Y)),
            ("AdditiveAttention", {}, ([X, X],)),
        ],
        {0},
    ),
)
def test_16_bits_equal_keras(name, settings, args, dtype):
    ours, theirs = pair(name, settings, args, dtype=dtype)
    told = {"mask": [None, QUERIES]} if isinstance(args[0], list) else {"attention_mask": SEEN}
    assert_close(ours(*args, **told), theirs(*args, **told), *((3e-2,) * 2 if "b" in dtype else (4e-3,) * 2))


@pytest.mark.parametrize(("name", "settings", "args", "told"), rows(CALLS, {5}))
def test_gradients_are_those_of_finite_differences(name, settings, args, told):
    jax.config.update("jax_enable_x64", True)
    layer = getattr(layers, name)(**settings, dtype="float64")
    args = jax.tree.map(lambda x: x.astype("float64"), args)
    layer(*args)
    weights = [jnp.asarray(RNG.normal(size=w.shape)) * 0.5 for w in layer.trainable_weights]
    first = jax.tree.leaves(layer(*args, **told))[0]
    slope = RNG.normal(size=first.shape)

    def value(weights, args):
        for weight, array in zip(layer.trainable_weights, weights, strict=True):
            weight.assign(array)
        return jnp.sum(jax.tree.leaves(layer(*args, **told))[0] * slope)

    class Within(layers.Layer):
        def __init__(self):
            super().__init__(dtype="float64")
            self.inner = layer

        def call(self, args):
            return jax.tree.leaves(self.inner(*args, **told))[0]

    outer = Within()
    outer(list(args))

    def loss(weights, args):
        return jnp.sum(outer.stateless_call(weights, outer.non_trainable_variables, list(args))[0] * slope)

    gradients = jax.grad(loss, (0, 1))(weights, args)
    towards = jax.tree.map(lambda x: RNG.normal(size=x.shape), (weights, args))
    step = 1e-5
    ahead, behind = (
        value(*jax.tree.map(lambda x, d, sign=sign: x + sign * step * d, (weights, args), towards)) for sign in (1, -1)
    )
    along = sum(jnp.sum(g * d) for g, d in zip(*map(jax.tree.leaves, (gradients, towards)), strict=True))
    np.testing.assert_allclose(along, (ahead - behind) / (2 * step), rtol=1e-6)


def block(module, attention):
    """A layer of the user's own which is called on the vectors of words, of which some are padding."""

    class Block(module.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.embedding = module.Embedding(9, 6, mask_zero=True)
            self.att = getattr(module, attention)(**(MANY if attention[0] == "M" else GROUPS), dropout=0.2, seed=1)
            self.dense = module.Dense(6)

        def call(self, words):
            x = self.embedding(words)
            return self.dense(self.att(x, x, use_causal_mask=True))

    return Block()


WORDS = np.array([[3, 4, 5, 0, 0], [8, 1, 2, 3, 4], [6, 0, 0, 0, 0]])


@pytest.mark.parametrize("attention", NAMES[2:])
@pytest.mark.filterwarnings("ignore:Layer '.*of type EinsumDense:UserWarning")  # Keras's, of its own projection
def test_masks_of_an_embedding_reach_the_attention(attention):
    """Beside Keras; then what stands at the padding changes nothing, and the output has the mask of the query."""
    models = []
    for library, module in ((lamina, layers), (keras, keras.layers)):
        models.append(
            library.Sequential([module.Input((5,)), block(module, attention), module.GlobalAveragePooling1D()])
        )
    ours, theirs = models
    ours.set_weights([np.random.default_rng(2).normal(size=w.shape) for w in ours.weights])
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours.predict(WORDS, verbose=0), theirs.predict(WORDS, verbose=0), rtol=1e-4, atol=1e-5)
    before = ours.predict(WORDS, verbose=0)
    values = ours.get_weights()
    values[0][0] += 100  # the vector of the padding
    ours.set_weights(values)
    np.testing.assert_allclose(ours.predict(WORDS, verbose=0), before, rtol=1e-5)


def test_a_mask_stays_with_an_input_that_is_used_again():
    """Keras takes the mask off the inputs, so that a second layer of attention counts the padding."""

    class Twice(layers.Layer):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(9, 6, mask_zero=True)
            self.att = layers.MultiHeadAttention(**MANY)

        def call(self, words):
            x = self.embedding(words)
            return self.att(x, x) - self.att(x, x)

    np.testing.assert_array_equal(Twice()(WORDS), 0)


def test_query_masks_that_are_given_count():
    """A query's own mask hides it, and a row that sees nothing gets the plain mean, as in Keras."""
    layer = layers.MultiHeadAttention(**MANY)
    given = layer(X, Y, query_mask=QUERIES, value_mask=VALUES)
    both = layer(X, Y, attention_mask=QUERIES[:, :, None] & VALUES[:, None])
    np.testing.assert_array_equal(given, both)


@pytest.mark.parametrize("name", rows([(name,) for name in NAMES], {2}))
@pytest.mark.filterwarnings("ignore:.*does not have a `build:UserWarning")  # Keras's, which builds it all the same
def test_files_go_both_ways(name, tmp_path):
    settings = {"M": MANY | {"use_gate": True, "dropout": 0.1}, "G": GROUPS | {"use_gate": True, "dropout": 0.1}}
    settings = settings.get(name[0], {"use_scale": True, "dropout": 0.1})

    def model(library, module):
        @library.saving.register_keras_serializable("tests")
        class Reads(module.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.att = getattr(module, name)(**settings)

            def call(self, x):
                return self.att([x, x]) if name.endswith("eAttention") or name == "Attention" else self.att(x, x)

        stack = library.Sequential([module.Input((5, 6)), Reads(), module.Flatten(), module.Dense(1)])
        stack.compile("sgd", "mse")
        return stack

    keras.backend.clear_session()  # its names are numbered
    ours, theirs = model(lamina, layers), model(keras, keras.layers)
    assert [w.path.split("/", 1)[1] for w in ours.weights] == [w.path.split("/", 1)[1] for w in theirs.weights]
    for start, other, load in ((ours, theirs, keras.models.load_model), (theirs, ours, load_model)):
        start.set_weights([np.random.default_rng(3).normal(size=w.shape) for w in start.weights])
        start.save(tmp_path / "a.keras")
        start.save_weights(tmp_path / "a.weights.h5")
        other.load_weights(tmp_path / "a.weights.h5")
        want = start.predict(X, verbose=0)
        for opened in (load(tmp_path / "a.keras"), other):
            np.testing.assert_allclose(opened.predict(X, verbose=0), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "settings"), [(NAMES[0], {}), (NAMES[1], {}), (NAMES[2], MANY), (NAMES[3], GROUPS)])
def test_dropout_is_for_training_and_keeps_the_mean(name, settings):
    rows = np.repeat(X[:1], 400, 0)
    args = ([rows, rows],) if name in NAMES[:2] else (rows, rows)
    first, plain = (getattr(layers, name)(**settings, dropout=rate) for rate in (0.5, 0.0))
    first(*args), plain(*args)
    first.set_weights([np.full(w.shape, 0.1) for w in first.weights])
    plain.set_weights(first.get_weights())
    np.testing.assert_array_equal(first(*args), plain(*args))
    drawn = first(*args, training=True)
    assert not np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn, first(*args, training=True))
    np.testing.assert_allclose(np.mean(drawn, 0), first(*args)[0], atol=0.2)
    assert len(plain.variables) == len(plain.weights) and len(first.variables) == len(first.weights) + 1


def test_equal_blocks_share_a_program():
    from lamina._programs import programs

    def fitted(heads):
        class Block(layers.Layer):
            def __init__(self):
                super().__init__()
                self.att = layers.MultiHeadAttention(heads, 3)

            def call(self, x):
                return self.att(x, x)

        model = lamina.Sequential([layers.Input((5, 6)), SHARED.setdefault(heads, Block)(), layers.Flatten()])
        model.compile("sgd", "mse")
        model.fit(X, np.zeros((2, 30)), verbose=0)
        return len(programs._compiled)

    SHARED = {}
    first, again, other = fitted(2), fitted(2), fitted(3)
    assert first == again < other


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: layers.MultiHeadAttention(0, 3), ArgumentError, "num_heads=0.*at least 1"),
        (lambda: layers.MultiHeadAttention(2, 3, attention_axes=()), ArgumentError, "attention_axes"),
        (lambda: layers.MultiHeadAttention(2, 3, sliding_window=0), ArgumentError, "sliding_window=0"),
        (lambda: layers.MultiHeadAttention(2, 3, dropout=0.1, flash_attention=True), ArgumentError, "no dropout"),
        (lambda: layers.GroupQueryAttention(3, 4, 3), ArgumentError, "multiple of the second"),
        (lambda: layers.Attention(score_mode="sum"), ArgumentError, "'dot', 'concat'"),
        (lambda: layers.Attention()(X), ArgumentError, r"layer\(\[query, value\]\)"),
        (lambda: layers.Attention()([X]), ArgumentError, "a list of 1"),
        (lambda: layers.Attention()([X, X], mask=QUERIES), ArgumentError, r"mask=\[query_mask, value_mask\]"),
        (lambda: layers.Attention()([X, Y]), ShapeError, "one size on the last axis"),
        (lambda: layers.AdditiveAttention()([X, X, Y[:, :, :6]]), ShapeError, "a key for each value"),
        (lambda: layers.MultiHeadAttention(2, 3)(X[0], X[0]), ShapeError, r"\(batch, steps, size\)"),
        (lambda: layers.MultiHeadAttention(2, 3)(X, Y, X), ShapeError, "a key for each value"),
        (lambda: layers.MultiHeadAttention(2, 3, attention_axes=3)(GRID, GRID), ShapeError, "axes from 1 to 2"),
        (lambda: layers.MultiHeadAttention(2, 3, attention_axes=2)(GRID, GRID[:, :2]), ShapeError, "size on axis 1"),
        (lambda: layers.MultiHeadAttention(2, 3)(GRID, GRID, use_causal_mask=True), ShapeError, "2 axes"),
        (lambda: layers.MultiHeadAttention(2, 3)(X, Y, attention_mask=SEEN[:, :4]), ShapeError, r"\(2, 5, 4\)"),
        (lambda: layers.MultiHeadAttention(2, 3)(X, Y, attention_mask=SEEN[0, 0]), ShapeError, r"\(2, 2, 5, 4\)"),
        (lambda: layers.MultiHeadAttention(2, 3)(X, Y, attention_mask=[SEEN] * 3), ShapeError, "attention_mask"),
        (lambda: layers.MultiHeadAttention(2, 3, flash_attention=True)(X, X), ArgumentError, "needs cuDNN"),
        (
            lambda: layers.MultiHeadAttention(2, 3, flash_attention=True)(X, X, return_attention_scores=True),
            ArgumentError,
            "does not compute scores",
        ),
        (
            lambda: lamina.Sequential([layers.Input((5, 6)), layers.MultiHeadAttention(2, 3)]),
            StackError,
            "joins several",
        ),
    ],
)
def test_what_is_refused(make, error, said):
    with pytest.raises(error) as caught:
        make()
    assert re.search(said, " ".join(str(caught.value).split()))
    assert len(str(caught.value).splitlines()) <= 15


def test_flash_attention_is_a_setting_as_in_keras():
    """On a CPU, Keras refuses `flash_attention=True` at the call, and takes the formula for None and False."""
    for module in (config, keras.config):
        assert module.is_flash_attention_enabled() is None
        module.disable_flash_attention()
        assert module.is_flash_attention_enabled() is False
        module.enable_flash_attention()
        assert module.is_flash_attention_enabled() is None
    with pytest.raises(RuntimeError):
        keras.layers.MultiHeadAttention(2, 3, flash_attention=True)(X, X)
    assert layers.MultiHeadAttention(2, 3, flash_attention=False)(X, X).shape == X.shape


def test_a_formula_of_ones_own_takes_the_place_of_the_usual_one():
    """`_compute_attention` is the method that Keras tells its users to override."""

    def layer(module):
        class Uniform(module.MultiHeadAttention):
            def _compute_attention(self, query, key, value, attention_mask=None, training=None, *others, **more):
                mean = value.mean(1, keepdims=True)
                return mean + 0 * query, None

        return Uniform(2, 3)

    ours, theirs = layer(layers), layer(keras.layers)
    ours(X, Y), theirs(X, Y)
    theirs.set_weights(ours.get_weights())
    assert_close(ours(X, Y), theirs(X, Y))


def test_regularizers_count_as_in_keras():
    """The activity regularizer is that of the projections; those of GroupQueryAttention itself too."""
    for name, settings in ((NAMES[2], MANY), (NAMES[3], GROUPS)):
        ours, theirs = pair(name, settings | {"activity_regularizer": "l2", "kernel_regularizer": "l1"}, (X, Y))
        ours(X, Y), theirs(X, Y)
        np.testing.assert_allclose(sum(ours.losses), sum(theirs.losses), rtol=1e-5)


def test_the_formula_by_hand_takes_a_causal_mask():
    of_query, of_key, of_value = np.random.default_rng(0).normal(size=(3, 2, 4, 2, 3)).astype("float32")
    explicit = np.array([1, 0, 1, 1], bool)[None, None, None]
    for mask in (None, explicit):
        found = []
        for module in (layers, keras.layers):
            layer = module.MultiHeadAttention(2, 3)
            layer(X, Y)
            told = {"return_attention_scores": True, "use_causal_mask": True}
            found.append(layer._compute_attention(of_query, of_key, of_value, mask, **told))
        for ours, theirs in zip(*found, strict=True):
            assert_close(ours, theirs)


def test_a_formula_written_before_there_were_scores_in_it():
    class Older(layers.MultiHeadAttention):
        def _compute_attention(self, query, key, value, attention_mask=None, training=None):
            return super()._compute_attention(query, key, value, attention_mask, training)

    assert Older(2, 3)(X, Y).shape == X.shape
