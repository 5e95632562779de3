"""Small layers beyond what every row of cases.py shows: noise, masks, refusals, and the layers of several inputs."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError, ShapeError

ONES = jnp.ones((200, 50, 4))


@pytest.mark.parametrize(
    ("layer", "mean", "deviation"),
    [
        (layers.GaussianNoise(0.3), 1, 0.3),
        (layers.GaussianDropout(0.2), 1, 0.5),
        (layers.SpatialDropout1D(0.25), 1, (0.25 / 0.75) ** 0.5),
    ],
)
def test_noise_has_the_mean_and_the_deviation_of_its_formula(layer, mean, deviation):
    y = np.asarray(layer(ONES, training=True))
    draws = y.size / (50 if isinstance(layer, layers.SpatialDropout1D) else 1)
    assert abs(y.mean() - mean) < 5 * deviation / draws**0.5
    assert abs(y.std() / deviation - 1) < 0.1
    np.testing.assert_array_equal(layer(ONES), ONES)


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(400, 500)).astype("float32")
    y = np.asarray(layers.AlphaDropout(0.4)(x, training=True))
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    assert abs((y == np.unique(y)[np.unique(y, return_counts=True)[1].argmax()]).mean() - 0.4) < 0.01


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (layers.SpatialDropout1D(0.5), (1,)),
        (layers.SpatialDropout2D(0.5), (1, 2)),
        (layers.SpatialDropout2D(0.5, data_format="channels_first"), (2, 3)),
        (layers.SpatialDropout3D(0.5), (1, 2, 3)),
    ],
)
def test_spatial_dropout_drops_whole_channels(layer, axes):
    x = jnp.ones((6, 5, 5, 5, 5)[: layer.input_spec.ndim])
    y = np.asarray(layer(x, training=True))
    first = y[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(y.ndim))]
    assert (y == first).all() and set(np.unique(y)) == {0, 2}


def test_a_seed_of_its_own_and_masks_that_differ():
    def drawn(seed):
        return np.asarray(layers.GaussianNoise(1.0, seed=seed)(ONES, training=True) - ONES)

    model = lamina.Sequential([layers.GaussianNoise(1.0), layers.GaussianNoise(1.0)])
    both = np.asarray(model(ONES, training=True) - ONES)
    assert abs(both.std() - 2**0.5) < 0.05  # were the two draws equal, it would be 2
    assert abs(np.corrcoef(drawn(1).ravel(), drawn(2).ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("name", ["Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout1D"])
def test_called_by_itself_it_draws_anew_each_time_as_in_keras(name):
    x = np.ones((4, 8, 50), "float32")
    for family in (layers, keras.layers):
        layer = getattr(family, name)(0.5, seed=1)
        assert len({np.asarray(layer(x, training=True)).tobytes() for _ in range(4)}) == 4
        np.testing.assert_array_equal(layer(x), x)

    def weights(calls):
        lamina.utils.set_random_seed(5)
        layer = getattr(layers, name)(0.5)
        model = lamina.Sequential([layers.Input(x.shape[1:]), layer, layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        for _ in range(calls):
            layer(x, training=True)
            model(x, training=True)
        model.fit(x, np.ones(4), epochs=2, shuffle=False, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_array_equal(weights(0), weights(3))


def test_activity_regularization_adds_to_the_loss():
    layer = layers.ActivityRegularization(l1=0.5, l2=0.25)
    layer.build((None, 3))
    loss = layer.stateless_call([], [], jnp.full((2, 3), -2.0), return_losses=True)[2]
    np.testing.assert_allclose(loss, [(0.5 * 12 + 0.25 * 24) / 2])


@pytest.mark.parametrize("renorm", [False, True])
def test_batch_normalization_counts_no_padding(renorm):
    x = np.random.default_rng(0).normal(2, 3, (4, 5, 3)).astype("float32")
    mask = np.arange(5) < np.array([[5], [3], [1], [0]])
    ours, theirs = layers.BatchNormalization(renorm=renorm), keras.layers.BatchNormalization(renorm=renorm)
    for _ in range(2):
        got, want = ours(x, training=True, mask=mask), theirs(x, training=True, mask=mask)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
    padded = np.where(mask[..., None], x, 1e6).astype("float32")
    again = layers.BatchNormalization(renorm=renorm)
    again(padded, training=True, mask=mask)
    assert abs(np.asarray(again.moving_mean)).max() < 1


def test_a_mask_reaches_through_the_stack():
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
    x[0, 2:] = 0
    stack = [layers.Masking(), layers.LayerNormalization(center=False), layers.GlobalAveragePooling1D()]
    got = lamina.Sequential(stack).predict(x, verbose=0)
    want = keras.Sequential(
        [keras.layers.Masking(), keras.layers.LayerNormalization(center=False), keras.layers.GlobalAveragePooling1D()]
    ).predict(x, verbose=0)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_unit_normalization_of_zeros_is_zeros_with_a_finite_gradient():
    layer = layers.UnitNormalization()
    assert (np.asarray(layer(jnp.zeros((1, 3)))) == 0).all()
    assert np.isfinite(jax.grad(lambda x: layer(x).sum())(jnp.zeros((1, 3)))).all()


def test_spectral_normalization_trains_as_keras_and_divides_the_kernel():
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    ours, theirs = (
        layers.SpectralNormalization(layers.Dense(4)),
        keras.layers.SpectralNormalization(keras.layers.Dense(4)),
    )
    ours.build((None, 5))
    theirs.build((None, 5))
    theirs.layer.kernel.assign(np.asarray(ours.layer.kernel))
    theirs.vector_u.assign(np.asarray(ours.vector_u))
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.vector_u, theirs.vector_u, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.layer.kernel, theirs.layer.kernel, rtol=1e-5, atol=1e-6)
    assert [w.path.split("/")[-1] for w in ours.weights] == [w.path.split("/")[-1] for w in theirs.weights]
    kernel = np.asarray(ours.layer.kernel)
    for _ in range(30):
        y = ours(x, training=True)
    np.testing.assert_allclose(y, x @ kernel / np.linalg.svd(kernel)[1][0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours(x), x @ np.asarray(ours.layer.kernel), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours(x), y, rtol=1e-4, atol=1e-5)
    ours.layer.kernel.assign(np.zeros_like(kernel))
    assert np.isfinite(ours(x, training=True)).all()
    with pytest.raises(ArgumentError, match="has none"):
        layers.SpectralNormalization(layers.ReLU())(x)


def test_spectral_normalization_trains_in_a_stack_and_comes_back_from_its_config():
    model = lamina.Sequential([layers.Input((5,)), layers.SpectralNormalization(layers.Dense(3), power_iterations=2)])
    model.compile("sgd", "mse")
    before = np.asarray(model.layers[0].vector_u)
    model.fit(np.ones((8, 5), "float32"), np.ones((8, 3), "float32"), verbose=0)
    assert abs(np.asarray(model.layers[0].vector_u) - before).max() > 0
    again = lamina.Sequential.from_config(model.get_config())
    assert again.layers[0].power_iterations == 2 and again.layers[0].layer.units == 3


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_spectral_normalization_evaluates_and_predicts_with_the_kernel_that_fit_trained(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype("float32")
    y = x @ rng.normal(size=(5, 3)).astype("float32")
    layer = layers.SpectralNormalization(layers.Dense(3, kernel_initializer="he_normal", dtype=dtype), dtype=dtype)
    model = lamina.Sequential([layers.Input((5,)), layer])
    model.compile(lamina.optimizers.SGD(0.001), "mse")
    history = model.fit(x, y, epochs=30, verbose=0)
    kernel = np.asarray(layer.layer.kernel)
    assert abs(np.linalg.svd(kernel)[1][0] - 1) < 0.01  # divided in the last step, then updated once
    assert kernel.dtype == "float32" and (kernel != kernel.astype(jnp.bfloat16)).any()
    close = {"rtol": 1e-2 if dtype == "float32" else 3e-2}
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), history.history["loss"][-1], **close)
    rounding = 1e-5 if dtype == "float32" else 5e-2
    got = model.predict(x, verbose=0).astype("float32")
    np.testing.assert_allclose(got, x @ kernel + layer.layer.bias.numpy(), rtol=rounding, atol=rounding)
    np.testing.assert_array_equal(layer.layer.kernel, kernel)


def test_spectral_normalization_leaves_its_kernel_untrained_where_either_layer_is_frozen():
    layer = layers.SpectralNormalization(layers.Dense(3))
    layer.build((None, 5))
    assert [w is layer.layer.kernel for w in layer.trainable_weights] == [True, False]
    layer.layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 3
    assert layer.count_params() == 5 * 3 + 3 + 3


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        (lambda: layers.Cropping1D(2), (4, 1), "expects more than 4 on axis 1"),
        (lambda: layers.Cropping2D(1), (4, 1), "expects 4 dimensions"),
        (lambda: layers.GroupNormalization(3), (8,), "3 groups divide, got 8"),
        (lambda: layers.LayerNormalization(axis=2), (8,), "not a feature axis"),
        (lambda: layers.RMSNormalization(axis=0), (8,), "not a feature axis"),
        (lambda: layers.UnitNormalization(axis=[1, 4]), (8,), "not a feature axis"),
        (lambda: layers.PReLU(shared_axes=[3]), (4, 4), "expects axes from 1 to 2"),
        (lambda: layers.Permute((2, 1)), (4,), "expects 3 dimensions"),
        (lambda: layers.RepeatVector(2), (4, 4), "expects 2 dimensions"),
        (lambda: layers.ZeroPadding3D(), (4, 4), "expects 5 dimensions"),
        (lambda: layers.UpSampling1D(), (4,), "expects 3 dimensions"),
        (lambda: layers.SpatialDropout2D(0.5), (4,), "expects 4 dimensions"),
        (lambda: layers.Dropout(0.5, noise_shape=(None, 5)), (6,), "expects size 5 on axis 1, got 6"),
        (lambda: layers.AlphaDropout(0.5, noise_shape=(None, 1, 1)), (6,), "expects 3 dimensions, got 2"),
        (lambda: layers.Reshape((5,)), (6,), "does not hold the 6 elements"),
        (lambda: layers.Masking(), (), "expects at least 2 dimensions"),
        (lambda: layers.Rescaling([1.0, 2.0]), (3,), "has scale of shape (2,)"),
        (lambda: layers.EinsumDense("abc,cd->abd", (None, 3)), (6,), "expects 3 dimensions for 'abc,cd->abd', got 2"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, said):
    with pytest.raises(ShapeError) as caught:
        lamina.Sequential([layers.Input(shape), layer()])
    assert said in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: layers.Cropping2D((1, -1)), "at least 0"),
        (lambda: layers.Cropping1D((1, 2, 3)), "one for each of 2 axes"),
        (lambda: layers.ZeroPadding2D(1.5), "expected a whole number"),
        (lambda: layers.UpSampling2D(interpolation="bilinar"), "Did you mean 'bilinear'?"),
        (lambda: layers.UpSampling3D(0), "at least 1"),
        (lambda: layers.Permute((1, 3)), "expected each of 1, 2"),
        (lambda: layers.RepeatVector(0), "at least 1"),
        (lambda: layers.AlphaDropout(1.0), "below 1"),
        (lambda: layers.GaussianDropout(1), "below 1"),
        (lambda: layers.GaussianNoise(-0.1), "at least 0"),
        (lambda: layers.GaussianNoise(float("inf")), "finite number"),
        (lambda: layers.SpatialDropout1D(1.5), "from 0 to 1"),
        (lambda: layers.ActivityRegularization(l1=-1), "at least 0"),
        (lambda: layers.GroupNormalization(0), "at least 1, or -1"),
        (lambda: layers.BatchNormalization(renorm_clipping={"rmix": 1}), "rmin, rmax and dmax"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmin": 2, "rmax": 1}), "rmin <= rmax"),
        (lambda: layers.SpectralNormalization(layers.Dense(1), power_iterations=0), "from 1 to"),
        (lambda: layers.SpectralNormalization(3), "expected a layer"),
        (lambda: layers.Masking("0"), "expected a number"),
        (lambda: layers.Dropout(0.5, noise_shape=3), "as in (None, 1, 8)"),
        (lambda: layers.Dropout("0.5"), "expected a number, got '0.5'"),
        (lambda: layers.Reshape((2.5, 4)), "Reshape((2.5, 4)): expected a whole number, got 2.5"),
        (lambda: layers.Reshape("34"), "Reshape takes a tuple of sizes"),
        (lambda: layers.Reshape((True, 3)), "whole number, got True"),
        (lambda: layers.Permute(("2", "1")), "expected each of 1, 2"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes=1), "letters of the output, as 'c', got 1"),
        (lambda: layers.Embedding("10", 3), "whole number, got '10'"),
    ],
)
def test_settings_that_are_refused(make, said):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert said in str(caught.value)


def test_input_of_another_size_is_refused_with_the_layers_name():
    dense = layers.EinsumDense("...b,bc->...c", 3)
    dense(np.ones((2, 5, 6)))
    with pytest.raises(ShapeError, match=r"einsum_dense.*, given \(2, 5, 7\): expects size 6 on axis 2, got 7"):
        dense(np.ones((2, 5, 7)))
    with pytest.raises(ShapeError, match="expects size 5 on axis 1, got 6"):
        layers.Dropout(0.5, noise_shape=(4, 5))(np.ones((4, 6)), training=True)
