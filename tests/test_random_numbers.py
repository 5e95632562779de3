"""`keras.random` against real Keras, and within layers of one's own."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import config, layers, mixed_precision
from lamina.errors import ArgumentError

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
DRAWS = {
    "normal": ((3, 4), 2.0, 0.5),
    "truncated_normal": ((50, 4), 1.0, 0.5),
    "uniform": ((3, 4), -1.0, 5.0),
    "randint": ((3, 4), 2, 9),
    "categorical": (np.log(np.float32([[0.1, 0.9], [0.5, 0.5]])), 6),
    "dropout": (np.ones((5, 4), np.float32), 0.4),
    "shuffle": (np.arange(12).reshape(4, 3),),
    "gamma": ((3, 4), 0.7),
    "binomial": ((3, 4), 5.0, 0.3),
    "beta": ((3, 4), 0.5, 2.0),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_gives_what_it_gives_in_keras(name):
    ours, theirs = (getattr(module.random, name) for module in (lamina, keras))
    for seed in (0, 7, 2**32 - 1):
        found, wanted = ours(*DRAWS[name], seed=seed), theirs(*DRAWS[name], seed=seed)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(ours(*DRAWS[name], seed=0), ours(*DRAWS[name], seed=0))


def test_a_generator_gives_what_it_gives_in_keras():
    ours, theirs = (module.random.SeedGenerator(5) for module in (lamina, keras))
    for _ in range(3):
        np.testing.assert_array_equal(lamina.random.uniform((4,), seed=ours), keras.random.uniform((4,), seed=theirs))
    np.testing.assert_array_equal(ours.next(ordered=False), theirs.next(ordered=False))
    np.testing.assert_array_equal(ours.state, theirs.state)
    again = lamina.random.SeedGenerator.from_config(ours.get_config())
    np.testing.assert_array_equal(again.next(), [5, 0])


def test_a_layer_and_an_initializer_take_a_generator_as_their_seed():
    assert layers.Dropout(0.5, seed=lamina.random.SeedGenerator(5)).seed == 5
    drawn = (lamina.initializers.GlorotUniform(seed=seed)((3, 4)) for seed in (5, lamina.random.SeedGenerator(5)))
    np.testing.assert_array_equal(*drawn)


def test_other_arguments_are_those_of_keras():
    for module in (lamina, keras):
        kept = module.random.dropout(np.ones((6, 4), np.float32), 0.5, noise_shape=(None, 1), seed=1)
        assert np.all(np.ptp(np.asarray(kept), axis=1) == 0)
        assert module.random.normal((2,), dtype="float16", seed=0).dtype == "float16"
        assert module.random.randint((2,), 0, 5, dtype="uint8", seed=0).dtype == "uint8"


def test_without_a_seed_each_call_differs_and_set_random_seed_repeats_them():
    lamina.utils.set_random_seed(3)
    first = lamina.random.normal((4,)), lamina.random.normal((4,)), lamina.random.SeedGenerator().next()
    lamina.utils.set_random_seed(3)
    again = lamina.random.normal((4,)), lamina.random.normal((4,)), lamina.random.SeedGenerator().next()
    assert not np.array_equal(first[0], first[1])
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


class Sampling(layers.Layer):
    """Noise around the input, as the sampling layer of a variational autoencoder adds it."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seeds, self.seen = lamina.random.SeedGenerator(seed), self.add_weight((2, 4), "zeros", trainable=False)

    def call(self, x):
        noise = lamina.random.normal((x.shape[0], 4), seed=self.seeds)
        self.seen.assign(jnp.stack([noise[0], lamina.random.normal((4,), seed=self.seeds)]))
        return x + noise


def trained(seed):
    lamina.utils.set_random_seed(1)
    layer = Sampling(seed)
    model = lamina.Sequential([layers.Input((4,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    seen = []
    watch = lamina.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(layer.seen.numpy()))
    model.fit(X, X[:, :1], epochs=1, batch_size=16, verbose=0, callbacks=[watch])
    return np.stack(seen)


def test_a_layer_draws_others_in_each_step_and_the_same_in_each_run():
    once, again, other = trained(5), trained(5), trained(6)
    assert len(np.unique(once.reshape(-1, 4), axis=0)) == 8  # four steps, two draws in each
    np.testing.assert_array_equal(once, again)
    assert not np.any(once == other)


def test_a_traced_function_without_a_seed_is_told_so():
    with pytest.raises(ArgumentError, match="would draw the same numbers at each call"):
        jax.jit(lambda: lamina.random.normal((2,)))()
    drawn = jax.jit(lambda key: lamina.random.normal((2,), seed=key))(jnp.array([4, 0], "uint32"))
    np.testing.assert_array_equal(drawn, lamina.random.normal((2,), seed=4))


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("seed", [None, lamina.random.SeedGenerator(1)])
def test_a_schedule_and_a_constraint_that_would_draw_the_same_in_each_step_are_told_so(eager, seed):
    class Jitter(lamina.optimizers.schedules.LearningRateSchedule):
        def __init__(self, seed):
            self.seed = seed

        def __call__(self, step):
            seed = self.seed(step) if callable(self.seed) else self.seed
            return lamina.random.uniform((), 0.01, 0.02, seed=seed)

    def train(rate, constraint=None):
        model = lamina.Sequential([layers.Dense(1, kernel_constraint=constraint)])
        model.compile(lamina.optimizers.SGD(rate), "mse", run_eagerly=eager)
        return model.fit(X, X[:, :1], epochs=2, batch_size=32, verbose=0).history["loss"]

    with pytest.raises(ArgumentError, match="the same numbers in each step"):
        train(Jitter(seed))
    with pytest.raises(ArgumentError, match="the same numbers in each step"):
        train(0.1, lambda kernel: kernel + lamina.random.normal(kernel.shape, seed=seed))
    losses = train(Jitter(lambda step: jax.random.fold_in(jax.random.PRNGKey(1), step)))
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda r: r.normal((2,), seed="a"), "seed is a whole number or a SeedGenerator"),
        (lambda r: r.uniform((2,), dtype="int32"), "uniform gives floating numbers"),
        (lambda r: r.randint((2,), 0, 4, dtype="float32"), "randint gives integer numbers"),
        (lambda r: r.categorical(np.zeros(3), 2), r"logits of shape \(batch, classes\)"),
        (lambda r: r.dropout(np.zeros(3), 1.5), r"dropout\(rate=1.5\): expected a number from 0 to 1"),
        (lambda r: r.SeedGenerator(-1), r"SeedGenerator\(seed=-1\)"),
        (lambda r: r.SeedGenerator("a"), r"SeedGenerator\(seed='a'\)"),
    ],
)
def test_wrong_arguments(draw, said):
    with pytest.raises(ArgumentError, match=said):
        draw(lamina.random)


def test_mixed_precision_and_config_by_keras_names():
    mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        assert mixed_precision.global_policy().name == "mixed_bfloat16" and layers.Dense(1).compute_dtype == "bfloat16"
    finally:
        mixed_precision.set_global_policy("float32")
    assert mixed_precision.Policy("float16").compute_dtype == "float16"
    assert config.backend() == keras.config.backend()


def test_logging_that_is_not_interactive_prints_lines(capsys):
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    config.disable_interactive_logging()
    try:
        assert not config.is_interactive_logging_enabled()
        model.fit(X, X[:, :1])
    finally:
        config.enable_interactive_logging()
    assert config.is_interactive_logging_enabled() and "2/2 - " in capsys.readouterr().out


def test_traceback_filtering_shows_and_hides_the_frames_inside():
    def frames():
        with pytest.raises(ArgumentError) as caught:
            layers.Dense(-1)
        return len(caught.traceback)

    hidden = frames()
    config.disable_traceback_filtering()
    try:
        assert not config.is_traceback_filtering_enabled() and frames() > hidden
    finally:
        config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled() and frames() == hidden
