"""The names of weights in files: real Keras reads what we write, name by name, and the arrays go back whole or not."""

import h5py
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from cases import CASES

import lamina
from lamina import layers
from lamina._saving import hdf5, weights
from lamina._saving.hdf5 import Stored
from lamina._weights.weight import Unset, values_follow
from lamina.errors import FileError, LaminaWarning, ShapeError

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
REFUSED_BY_KERAS = {"RandomColorDegeneration": "must have 3 channels", "Equalization": "Tensor"}
"""Rows of cases.py that real Keras cannot put in a stack, and a word of its error."""


def in_file(path):
    """The arrays of a file that real Keras wrote."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def described(arrays):
    return {name: (np.shape(array), str(array.dtype)) for name, array in arrays.items()}


def both(make, shape=(4,), fit=False, **told):
    """The same stack here and in real Keras; `make` gets the package."""
    found = []
    for library in (lamina, keras):
        model = library.Sequential([library.layers.Input(shape), *make(library)], name="net")
        if told:
            model.compile(**{name: value(library) if callable(value) else value for name, value in told.items()})
        if fit:
            model.fit(X, Y, batch_size=4, verbose=0)
        found.append(model)
    return found


def assert_same_names(ours, theirs, path):
    theirs.save_weights(path)
    assert described(weights.stored(ours).arrays) == described(in_file(path))


@pytest.mark.parametrize("case", {case.name: case for case in CASES}.values(), ids=str)
def test_the_names_are_those_of_keras(case, tmp_path):
    if case.name in REFUSED_BY_KERAS:
        with pytest.raises((ValueError, TypeError), match=REFUSED_BY_KERAS[case.name]):
            keras.Sequential([keras.Input(case.shape), case.make(keras.layers)])
        return
    theirs = keras.Sequential([keras.Input(case.shape), case.make(keras.layers)])
    ours = lamina.Sequential([layers.Input(case.shape), case.make(layers)])
    assert_same_names(ours, theirs, tmp_path / "a.weights.h5")


def holding(library):
    """A layer of a user's own, which holds others in all the ways there are."""
    dense = library.layers.Dense

    class Holding(library.layers.Layer):
        shared = dense(4, name="of_the_class")

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.towers = [dense(4), library.layers.LayerNormalization(), dense(4)]
            self.named = {"b": dense(4), "a": [dense(4), (dense(4),)]}
            self._last = dense(4)
            self.again = self._last
            self._inner = dense(4)

        @property
        def before(self):
            return self._inner

        @property
        def broken(self):
            raise RuntimeError("not now")

        def build(self, input_shape):
            self.scale = self.add_weight((1,), "ones", name="scale")
            self.count = self.add_weight((2,), "zeros", trainable=False, name="count")
            self.offset = self.add_weight((3,), "zeros", name="offset")
            for layer in self.all():
                layer.build(input_shape)

        def all(self):
            first, (second, (third,)) = self.named.values()
            return [self.shared, *self.towers, first, second, third, self._last, self._inner]

        def call(self, x):
            for layer in self.all():
                x = layer(x)
            return x * self.scale

    return Holding


def test_what_a_layer_of_ones_own_holds(tmp_path):
    def stack(library):
        kind = library.layers
        nested = library.Sequential([kind.Dense(4), kind.BatchNormalization(), kind.Dense(4)])
        return [holding(library)(), nested, kind.Dense(3)]

    ours, theirs = both(stack)
    assert_same_names(ours, theirs, tmp_path / "a.weights.h5")
    assert list(weights.named_weights(ours))[:2] == ["layers/holding", "layers/holding/again"]


def test_what_a_model_of_ones_own_holds(tmp_path):
    def made(library):
        class Net(library.Sequential):
            def __init__(self):
                super().__init__([library.layers.Input((4,)), library.layers.Dense(3)])
                self.head = self.layers[0]
                self.other = library.layers.Dense(2)
                self.other.build((None, 4))
                self.second_optimizer = library.optimizers.SGD(momentum=0.5)
                self.second_optimizer.build(self.other.trainable_variables)

        return Net()

    ours, theirs = made(lamina), made(keras)
    del theirs.other  # in ours what stands beside the stack is no part of its files
    assert_same_names(ours, theirs, tmp_path / "a.weights.h5")


OPTIMIZERS = {
    "SGD": {}, "SGD momentum": {"momentum": 0.9}, "Adam": {"amsgrad": True}, "AdamW": {}, "Nadam": {}, "Lamb": {},
    "RMSprop": {"centered": True, "momentum": 0.5}, "Adagrad": {}, "Adadelta": {}, "Adamax": {}, "Ftrl": {}, "Lion": {},
    "Adafactor": {}, "Adam averaged": {"use_ema": True, "gradient_accumulation_steps": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_s_variables_are_in_keras_order(name, tmp_path):
    def optimizer(library):
        return getattr(library.optimizers, name.split()[0])(0.01, **OPTIMIZERS[name])

    ours, theirs = both(lambda library: [library.layers.Dense(3)], fit=True, optimizer=optimizer, loss="mse")
    path = str(tmp_path / "ours.weights.h5")
    held = weights.stored(ours)
    if name == "Adafactor":  # whose places without a use are whole numbers in Keras
        held.arrays.update({f"optimizer/vars/{place}": np.array(0, np.int32) for place in (5, 6)})
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    assert described(held.arrays) == described(in_file(tmp_path / "theirs.weights.h5"))
    with open(path, "wb") as file:
        file.write(hdf5.write(held))
    theirs.load_weights(path)
    for mine, its in zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, its)
    theirs.fit(X, Y, batch_size=8, verbose=0)
    ours.fit(X, Y, batch_size=8, verbose=0)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


def test_an_optimizer_that_scales_the_loss_before_and_after_its_first_step(tmp_path):
    def stack(library):
        return [library.layers.Dense(3, dtype="mixed_float16")]

    def scaled(library):
        return library.optimizers.LossScaleOptimizer(library.optimizers.Adam())

    for fit in (False, True):
        told = {"optimizer": scaled, "loss": "mse"}
        assert_same_names(*both(stack, fit=fit, **told), tmp_path / f"{fit}.weights.h5")


def test_sixteen_bits_reach_keras(tmp_path):
    ours, theirs = both(lambda library: [library.layers.Dense(3, dtype="bfloat16")])
    path = str(tmp_path / "a.weights.h5")
    with open(path, "wb") as file:
        file.write(hdf5.write(weights.stored(ours)))
    theirs.load_weights(path)
    np.testing.assert_array_equal(ours.layers[0].kernel, theirs.layers[0].kernel)
    theirs.save_weights(tmp_path / "b.weights.h5")
    assert described(in_file(path)) == described(in_file(tmp_path / "b.weights.h5"))


def test_a_weight_keeps_its_place_when_it_is_frozen():
    model = lamina.Sequential([layers.Input((4,)), layers.BatchNormalization()])
    before = [weight.path for weight in model.weights]
    model.layers[0].gamma.trainable = False
    assert [weight.path for weight in model.weights] == before
    assert weights.named_weights(model)["layers/batch_normalization"][0].name == "gamma"


def net(units=3, **told):
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(4, **told), layers.Dense(units)], name="net")
    model.compile("adam", "mse")
    return model


def unchanged(model, load, error, match):
    before = model.get_weights()
    with pytest.raises(error, match=match) as raised:
        load()
    for mine, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, then)
    return str(raised.value)


def test_arrays_that_do_not_fit_are_shown_beside_the_layers_and_nothing_changes():
    model, held = net(), weights.stored(net(units=5))
    said = unchanged(model, lambda: weights.load(model, held, "a.weights.h5"), ShapeError, "does not fit 'net'")
    assert "dense_1 (Dense)  kernel (4, 3), bias (3,)  (4, 5), (5,)" in said
    assert "dense (Dense)" not in said and "skip_mismatch=True" in said
    del held.arrays["layers/dense/vars/1"]
    said = unchanged(model, lambda: weights.load(model, held, "a.weights.h5"), ShapeError, "does not fit 'net'")
    assert "dense (Dense)    kernel (4, 4), bias (4,)  (4, 4)" in said
    many = lamina.Sequential([layers.Input((4,)), *(layers.Dense(4) for _ in range(20))])
    said = unchanged(many, lambda: weights.load(many, Stored({}, {}), "a"), ShapeError, "nothing\n   and 12 more")
    assert len(said.splitlines()) <= 15


def test_what_fits_is_loaded_if_asked():
    model, other = net(), net(units=5)
    last = model.layers[1].get_weights()
    with pytest.warns(LaminaWarning, match=r"Left as they were: dense_1 \(has kernel .*; the file \(4, 5\), \(5,\)\)"):
        weights.load(model, weights.stored(other), "a.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(model.layers[0].kernel, other.layers[0].kernel)
    np.testing.assert_array_equal(model.layers[1].kernel, last[0])


def test_layers_of_the_file_that_the_model_lacks_are_named():
    model, longer = lamina.Sequential([layers.Input((4,)), layers.Dense(4)], name="short"), net()
    with pytest.warns(LaminaWarning, match="'short' has no layers for layers/dense_1 of a.weights.h5"):
        weights.load(model, weights.stored(longer), "a.weights.h5")
    np.testing.assert_array_equal(model.layers[0].kernel, longer.layers[0].kernel)


def test_the_state_of_an_optimizer_is_loaded_where_it_fits():
    trained, fresh = net(), net()
    trained.fit(X, Y, verbose=0)
    held = weights.stored(trained)
    with pytest.warns(LaminaWarning, match=r"the file has 10 variables for it, and it has 2\. It has made no step yet"):
        weights.load(fresh, held, "a.weights.h5")
    fresh.optimizer.build(fresh.trainable_variables)
    weights.load(fresh, held, "a.weights.h5")
    for mine, its in zip(fresh.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, its)
    at_start = {"optimizer/vars/0": np.int32(7), "optimizer/vars/1": np.float32(0.5)}  # saved before the first step
    weights.load(fresh, Stored({**weights.stored(trained, [trained.optimizer]).arrays, **at_start}, {}), "a.weights.h5")
    assert (int(fresh.optimizer.iterations), float(fresh.optimizer.learning_rate)) == (7, 0.5)


class Own(layers.Layer):
    """A layer that keeps its weight in a file in its own way."""

    def build(self, input_shape):
        self.scale = self.add_weight((1,), "ones")

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        store["doubled"] = 2 * self.scale.numpy()

    def load_own_variables(self, store):
        self.scale.assign(store["doubled"] / 2)
        self.seen = store["doubled"].shape


def test_a_layer_may_write_and_read_in_its_own_way():
    def made():
        return lamina.Sequential([layers.Input((4,)), Own(), layers.Dense(2)])

    model, again = made(), made()
    model.layers[0].scale.assign([3.0])
    held = weights.stored(model)
    assert held.arrays["layers/own/vars/doubled"] == 6
    weights.load(again, held, "a.weights.h5")
    assert again.layers[0].scale.numpy() == 3 and again.layers[0].seen == (1,)

    third = made()
    del held.arrays["layers/own/vars/doubled"]
    unchanged(
        third, lambda: weights.load(third, held, "a"), FileError, "Own.load_own_variables of 'own' fails with Key"
    )
    assert "seen" not in vars(third.layers[0])


def test_own_variables_one_by_one():
    dense, store = layers.Dense(2), {}
    dense.build((None, 3))
    dense.save_own_variables(store)
    assert {name: weight.shape for name, weight in store.items()} == {"0": (3, 2), "1": (2,)}
    other = layers.Dense(2)
    other.build((None, 3))
    other.load_own_variables(store)
    np.testing.assert_array_equal(other.kernel, dense.kernel)
    with pytest.raises(ShapeError, match=r"dense has kernel \(3, 2\), bias \(2,\); the store has 0 \(3, 2\)\."):
        other.load_own_variables({"0": store["0"]})
    adam, twin = lamina.optimizers.Adam(), lamina.optimizers.Adam()
    adam.build(dense.weights)
    twin.build(dense.weights)
    adam.apply([jnp.ones((3, 2)), jnp.ones(2)])
    twin.set_weights([variable.numpy() for variable in adam.variables])
    assert int(twin.iterations) == 1
    with pytest.raises(ShapeError, match="adam has iteration"):
        twin.set_weights([])


def test_weights_whose_values_follow_take_no_memory():
    token = values_follow.set(True)
    try:
        model = lamina.Sequential(
            [layers.Input((10**6,)), layers.Dense(10**6, dtype="mixed_bfloat16"), layers.Dense(3)]
        )
    finally:
        values_follow.reset(token)
    assert model.count_params() > 10**12 and model.output_shape == (None, 3)
    assert all(isinstance(weight.array, Unset) for weight in model.weights)


def test_groups_of_the_first_keras_3_files():
    model, held = net(), weights.stored(net())
    old = {name.replace("layers/", "_layer_checkpoint_dependencies/"): array for name, array in held.arrays.items()}
    weights.load(model, Stored(old, {}), "a.weights.h5")
    np.testing.assert_array_equal(model.layers[0].kernel, held.arrays["layers/dense/vars/0"])
