"""What a layer knows before its first data, as in Keras: built if it has no weights, its metrics, its arguments."""

import keras
import numpy as np
import pytest

import lamina
from lamina import layers

WITHOUT_WEIGHTS = {
    "Activation": {"activation": "relu"}, "ReLU": {}, "ELU": {}, "LeakyReLU": {}, "Softmax": {}, "Identity": {},
    "Masking": {}, "UnitNormalization": {}, "Dropout": {"rate": 0.5}, "AlphaDropout": {"rate": 0.5},
    "GaussianDropout": {"rate": 0.5}, "GaussianNoise": {"stddev": 0.5}, "SpatialDropout1D": {"rate": 0.5},
    "ActivityRegularization": {}, "MaxPooling1D": {}, "AveragePooling2D": {"pool_size": 2}, "GlobalMaxPooling3D": {},
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_a_layer_without_weights_is_built_when_it_is_made(name):
    for library in (keras, lamina):
        kind, told = getattr(library.layers, name), WITHOUT_WEIGHTS[name]
        own = type("Own", (kind,), {"build": lambda self, input_shape: None})
        below = type("Below", (kind,), {})
        assert kind(**told).built
        assert below(**told).built
        assert not own(**told).built
        assert not library.layers.Dense(2).built


def test_a_layer_of_ones_own_is_built_at_its_first_call():
    """It may have a `build` in a class below it, or weights that it makes elsewhere."""

    class Own(lamina.Layer):
        def call(self, x):
            return x

    layer = Own()
    assert not layer.built
    layer(np.ones((1, 2)))
    assert layer.built


def test_the_shape_is_still_checked_at_the_first_call():
    layer = layers.MaxPooling2D()
    with pytest.raises(ValueError, match="expects 4 dimensions"):
        layer(np.ones((2, 3)))
    assert layer(np.ones((1, 4, 4, 1))).shape == (1, 2, 2, 1)
    with pytest.raises(ValueError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=(None, 1))(np.ones((2, 3, 4)), training=True)
    with pytest.raises(ValueError, match="max_pooling2d"):
        lamina.Sequential([layers.Input((4,)), layers.MaxPooling2D()])


def test_a_layer_lists_the_metrics_that_it_and_those_inside_hold():
    for library in (keras, lamina):

        class Inner(library.layers.Layer):
            def __init__(self, library=library):
                super().__init__()
                self.seen = library.metrics.Mean(name="seen")

            def call(self, x):
                return x

        class Outer(Inner):
            def __init__(self, inner=Inner):
                super().__init__()
                self.inner = inner()

        outer = Outer()
        assert [metric.name for metric in outer.metrics] == ["seen", "seen"]
        assert len(outer.metrics_variables) == 4
        assert library.layers.Dense(2).metrics == []


def test_the_activity_of_no_rows_adds_nothing_to_the_loss():
    for library in (keras, lamina):
        layer = library.layers.Dense(2, activity_regularizer="l2")
        layer(np.ones((0, 3), "float32"))
        assert [float(loss) for loss in layer.losses] == [0.0]


def test_the_old_scaling_of_a_layer_normalization():
    """`rms_scaling=True` divides by the deviation alone, has no beta, and warns, as in Keras."""
    x = np.random.default_rng(1).normal(2, 3, (4, 5)).astype("float32")
    found = []
    for library in (keras, lamina):

        def outcome(library=library):
            layer = library.layers.LayerNormalization(rms_scaling=True, scale=False, gamma_initializer="ones")
            return layer, np.asarray(layer(x))

        with pytest.warns(UserWarning, match="root mean square"):
            layer, y = outcome()
        found.append(y)
        assert len(layer.weights) == 1
        assert layer.get_config()["rms_scaling"] is True
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "name", "told"),
    [
        ("layers", "InputLayer", {"shape": (3,), "batch_shape": (2, 3)}),
        ("layers", "InputLayer", {"batch_size": 4, "batch_shape": (2, 3)}),
        ("metrics", "FBetaScore", {"beta": 1}),
        ("metrics", "FBetaScore", {"threshold": 1}),
        ("metrics", "F1Score", {"threshold": 1}),
    ],
)
def test_wrong_arguments_are_refused_where_keras_refuses_them(family, name, told):
    for library in (keras, lamina):
        with pytest.raises(ValueError, match=next(iter(told)).split("_")[-1]):
            getattr(getattr(library, family), name)(**told)


def test_an_input_shows_itself_as_it_can_be_typed():
    for entry in (layers.Input((3,)), layers.Input((3,), batch_size=4)):
        assert eval(repr(entry), vars(layers)).batch_shape == entry.batch_shape


@pytest.mark.parametrize(("monitor", "better"), [("loss", "less"), ("val_mae", "less"), ("accuracy", "greater")])
def test_a_callback_tells_which_way_is_better(monitor, better):
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    for library in (keras, lamina):
        model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae", "accuracy"])
        watch = library.callbacks.EarlyStopping(monitor=monitor)
        assert watch.monitor_op is None
        model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[watch])
        assert bool(watch.monitor_op(np.float32(1), np.float32(2))) == (better == "less")


def test_a_callback_watches_a_score_of_one_class_and_refuses_several():
    x = np.ones((4, 2), "float32")
    for library, columns in ((keras, 1), (lamina, 1), (lamina, 2)):
        model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(columns, activation="sigmoid")])
        model.compile("sgd", "mse", metrics=[library.metrics.F1Score(name="f1_score")])
        watch = library.callbacks.EarlyStopping(monitor="f1_score", mode="max")
        if columns == 1:
            model.fit(x, np.ones((4, columns), "float32"), verbose=0, callbacks=[watch])
        else:
            with pytest.raises(ValueError, match="average='macro'"):
                model.fit(x, np.ones((4, columns), "float32"), verbose=0, callbacks=[watch])


def test_a_metric_takes_its_thresholds_and_start_values_as_keras_does():
    for library in (keras, lamina):
        area = library.metrics.AUC(num_thresholds=None, thresholds=[0.3, 0.5])
        assert area.num_thresholds == 4
        weight = library.metrics.Mean().add_variable((3,), lambda shape, dtype=None: np.ones(shape, dtype), name="w")
        np.testing.assert_array_equal(np.asarray(weight), np.ones(3))
    weight = lamina.metrics.Mean().add_variable((2,), np.array([3.0, 4.0]), name="w")
    np.testing.assert_array_equal(np.asarray(weight), [3.0, 4.0])
    with pytest.raises(ValueError, match="thresholds"):
        lamina.metrics.AUC(num_thresholds=None)


def test_build_of_an_image_layer_takes_the_shape_of_one_image_too():
    for library in (keras, lamina):
        for shape in ((8, 8, 3), (None, 8, 8, 3)):
            layer = library.layers.RandomFlip()
            layer.build(shape)
            assert layer.built
            assert layer(np.ones((2, 8, 8, 3), "float32")).shape == (2, 8, 8, 3)


def test_the_input_of_a_layer_may_be_given_by_keras_s_name():
    for library in (keras, lamina):
        assert library.layers.UpSampling1D(2)(inputs=np.ones((1, 3, 2), "float32")).shape == (1, 6, 2)
        assert library.layers.Dense(4)(inputs=np.ones((1, 3), "float32")).shape == (1, 4)
