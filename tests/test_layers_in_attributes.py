"""A layer or a model in an attribute of a Sequential is no part of the stack, as in Keras."""

import os
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._saving.weights import named_weights
from lamina.errors import ArgumentError, FileError

os.environ["KERAS_BACKEND"] = "jax"
import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")
Y = RNG.normal(size=(64, 2)).astype("float32")
libraries = pytest.mark.parametrize("library", [keras, lamina], ids=["keras", "lamina"])


def line(library, *units, **told):
    return [library.Input((3,)), *(library.layers.Dense(n, **told) for n in units)]


def holding(library):
    """A subclass that holds layers and models in every way, and what counts besides."""

    class Net(library.Sequential):
        def __init__(self):
            super().__init__(line(library, 2), name="net")
            kind = library.layers
            self.teacher = library.Sequential(line(library, 4, 2))
            self.extra = kind.Dense(1)
            self.listed = [kind.Dense(1), kind.BatchNormalization()]
            self.by_name = {"a": kind.Dense(1), "b": [kind.Dropout(0.5, seed=1)]}
            self.pair = (kind.Dense(1), "text")
            self.w = self.add_weight((2,), name="w", initializer="ones")
            self.v = library.Variable(np.ones(2, "float32"), name="v")
            self.m = library.metrics.Mean(name="m")
            self.ms = [library.metrics.Mean(name="mm")]
            for each in (self.extra, *self.listed, self.by_name["a"], self.pair[0]):
                each.build((None, 3))

    return Net()


def test_what_counts_is_what_counts_in_keras(tmp_path):
    told = []
    for library in (keras, lamina):
        net, lines = holding(library), []
        net.compile("sgd", "mse")
        net.fit(X, Y, verbose=0)
        net.summary(print_fn=lambda line, **_: lines.append(line))  # noqa: B023
        names = "weights", "trainable_weights", "non_trainable_weights", "variables", "trainable_variables"
        found = {name: sorted(w.path.split("/")[-1] for w in getattr(net, name)) for name in names}
        found |= {"params": net.count_params(), "arrays": len(net.get_weights()), "layers": len(net.layers)}
        found["metrics"] = [metric.name for metric in net.metrics]
        net.trainable = False
        reached = [each.trainable for each in (net.teacher, net.extra, net.listed[0], net.by_name["a"], net.pair[0])]
        told.append((found, reached, "extra" in "".join(lines)))
    assert told[0] == told[1]
    assert told[1][1] == [True] * 5


def test_files_hold_no_layer_that_stands_beside(tmp_path):
    net = holding(lamina)
    net.save_weights(tmp_path / "a.weights.h5")
    held = net.get_weights()
    teacher = net.teacher.get_weights()
    net.set_weights([0 * each for each in held])
    net.teacher.set_weights([each + 1 for each in teacher])
    net.load_weights(tmp_path / "a.weights.h5")
    for one, other in zip(net.get_weights(), held, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(net.teacher.get_weights(), teacher, strict=True):
        np.testing.assert_array_equal(one, other + 1)
    assert sorted(named_weights(net)) == ["", "layers/dense"]


@pytest.mark.parametrize("plain", [False, True])
def test_a_plain_sequential_is_no_other(plain):
    model = (lamina.Sequential if plain else type("Net", (lamina.Sequential,), {}))(line(lamina, 2))
    model.other = lamina.Sequential(line(lamina, 2))
    before = model.other.get_weights()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert len(model.weights) == 2
    np.testing.assert_array_equal(model.other.get_weights()[0], before[0])


def distiller(library):
    class Distiller(library.Sequential):
        def __init__(self, layers, teacher):
            super().__init__(layers)
            self.teacher = teacher

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return library.ops.mean((self.teacher(x) - y_pred) ** 2)

    return Distiller


@libraries
def test_a_teacher_stays_as_it_is_and_infers(library):
    kind = library.layers
    inside = [kind.Dense(2), kind.BatchNormalization(), kind.Dropout(0.5)]
    teacher = library.Sequential([library.Input((3,)), *inside])
    student = distiller(library)(line(library, 2, kernel_initializer="zeros"), teacher)
    assert len(student.trainable_weights) == 2
    before = teacher.get_weights()
    student.compile(library.optimizers.SGD(0.1))
    loss = student.fit(X, Y, batch_size=64, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(loss, np.mean(np.square(teacher(X))), rtol=1e-5)
    for one, other in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


class Both:
    """What a student and its teacher add to the loss by regularizers, of weights and of outputs, is each one's own."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        taught = 0 * jnp.sum(self.teacher(x))
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight) + taught


def test_a_teacher_adds_nothing_to_the_loss_and_takes_nothing_from_it():
    def losses(library):
        def stack(kind, rate, *more):
            regularizer = library.regularizers.L2(rate)
            told = {"kernel_regularizer": regularizer, "activity_regularizer": regularizer}
            model = kind(line(library, 2, kernel_initializer="ones", **told), *more)
            model.compile(library.optimizers.SGD(0.0), "mse")
            return model

        Student = type("Student", (Both, distiller(library)), {})
        student = stack(Student, 0.01, stack(library.Sequential, 0.1))
        return [student.fit(X, Y, verbose=0).history["loss"][0], student.evaluate(X, Y, verbose=0)]

    np.testing.assert_allclose(losses(lamina), losses(keras), rtol=1e-5)


def test_the_values_of_a_teacher_are_those_of_now():
    teacher = lamina.Sequential(line(lamina, 2, kernel_initializer="zeros"))
    student = distiller(lamina)(line(lamina, 2, kernel_initializer="zeros"), teacher)
    student.compile(lamina.optimizers.SGD(0.0))
    found = []
    for value in (1.0, 2.0, 3.0):
        teacher.layers[0].bias.assign([value, value])
        found.append(student.fit(X, Y, verbose=0).history["loss"][0])
        found.append(student.train_on_batch(X, Y))
    np.testing.assert_allclose(found, [1, 1, 4, 4, 9, 9])


def test_another_teacher_and_a_frozen_one_are_seen():
    student = distiller(lamina)(line(lamina, 2, kernel_initializer="zeros"), None)
    student.compile(lamina.optimizers.SGD(0.0))
    found = []
    for value in (1.0, 2.0):
        student.teacher = lamina.Sequential(line(lamina, 2, kernel_initializer="zeros"))
        student.teacher.layers[0].bias.assign([value, value])
        found.append(student.fit(X, Y, verbose=0).history["loss"][0])
    np.testing.assert_allclose(found, [1, 4])


class Averaging(lamina.Sequential):
    """A mean teacher, whose weights a step assigns, and a critic with an optimizer and a BatchNormalization."""

    def __init__(self):
        super().__init__(line(lamina, 4, 2))
        self.mean = lamina.Sequential(line(lamina, 4, 2))
        self.mean.trainable = False
        hidden = layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.3, seed=5), layers.Dense(1)
        self.critics = {"one": [lamina.Sequential([lamina.Input((2,)), *hidden])]}
        self.second = lamina.optimizers.Adam(0.01)

    def train_step(self, data):
        logs = super().train_step(data)
        for slow, fast in zip(self.mean.weights, self.weights, strict=True):
            slow.assign(0.9 * slow + 0.1 * fast)
        critic = self.critics["one"][0]
        wanted = critic.trainable_variables

        def objective(params):
            kept = [weight.value for weight in critic.non_trainable_variables]
            said, after = critic.stateless_call(params, kept, self.mean(data[0]), training=True)
            return jnp.mean((said - 1) ** 2), after

        (lost, after), grads = jax.value_and_grad(objective, has_aux=True)([each.value for each in wanted])
        for weight, value in zip(critic.non_trainable_variables, after, strict=True):
            weight.assign(value)
        self.second.apply(grads, wanted)
        return logs | {"critic": lost}


class Die(lamina.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 7:
            raise ZeroDivisionError


def averaged(folder=None, *more):
    lamina.utils.set_random_seed(3)
    model = Averaging()
    model.compile("adam", "mse")
    kept = lamina.callbacks.Checkpoint(folder, every=2) if folder else None
    record = model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[*more], checkpoint=kept)
    critic = model.critics["one"][0]
    return [*model.get_weights(), *model.mean.get_weights(), *critic.get_weights(), *record.history["critic"]]


def test_what_a_step_trains_beside_the_stack_goes_on_after_a_kill(tmp_path):
    lamina.utils.set_random_seed(3)
    before = Averaging()
    whole = averaged()
    assert len(before.trainable_weights) == 4
    assert (before.mean.get_weights()[0] != whole[4]).any()
    assert (before.critics["one"][0].get_weights()[0] != whole[8]).any()
    with pytest.raises(ZeroDivisionError):
        averaged(tmp_path, Die())
    for one, other in zip(averaged(tmp_path), whole, strict=True):
        np.testing.assert_array_equal(one, other)


class Joint(lamina.Sequential):
    """Trains a head that stands beside it by the same optimizer."""

    def __init__(self):
        super().__init__(line(lamina, 4))
        self.head = lamina.Sequential([lamina.Input((4,)), layers.Dense(2)])

    def train_step(self, data):
        mine, its = self.trainable_variables, self.head.trainable_variables

        def objective(params):
            y, _ = self.stateless_call(params[: len(mine)], [], data[0])
            return jnp.mean((self.head.stateless_call(params[len(mine) :], [], y)[0] - data[1]) ** 2)

        loss, grads = jax.value_and_grad(objective)([weight.value for weight in (*mine, *its)])
        self.optimizer.apply(grads, [*mine, *its])
        return {"loss": loss}


def test_an_optimizer_may_be_built_for_what_stands_beside_as_well():
    model = Joint()
    model.compile(lamina.optimizers.Adam(0.01), "mse")
    model.optimizer.build([*model.trainable_variables, *model.head.trainable_variables])
    history = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert history[0] > 1.05 * history[-1] and len(model.optimizer.variables) == 2 + 2 * 4


def test_a_teacher_of_the_same_name():
    model, teacher = (lamina.Sequential(line(lamina, 2), name="same") for _ in range(2))
    model.teacher = teacher
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0)


class ByItsOwn(lamina.Sequential):
    """Trains a critic with the optimizer that the critic was compiled with."""

    def __init__(self, critic):
        super().__init__(line(lamina, 2))
        self.critic = critic

    def train_step(self, data):
        wanted = self.critic.trainable_variables

        def objective(params):
            return jnp.mean(self.critic.stateless_call(params, [], data[1])[0] ** 2)

        loss, grads = jax.value_and_grad(objective)([each.value for each in wanted])
        self.critic.optimizer.apply(grads, wanted)
        return {"loss": loss}


def test_an_optimizer_that_the_model_does_not_hold_is_refused():
    critic = lamina.Sequential([lamina.Input((2,)), layers.Dense(1)], name="critic")
    critic.compile("adam", "mse")
    model, before = ByItsOwn(critic), critic.get_weights()
    model.compile("adam", "mse")
    with pytest.raises(ArgumentError, match=r"self\.second_optimizer = self\.critic\.optimizer"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(critic.get_weights()[0], before[0])
    model.second_optimizer = critic.optimizer
    model.fit(X, Y, epochs=2, batch_size=32, verbose=0)
    assert (critic.get_weights()[0] != before[0]).any() and int(critic.optimizer.iterations) == 4


def own_call(library):
    class Net(library.Sequential):
        def __init__(self):
            super().__init__(line(library, 2), name="net")
            self.extra = library.layers.Dense(2, name="extra")

        def call(self, x, training=None, mask=None):
            return self.extra(super().call(x, training=training))

    return Net()


@libraries
def test_a_layer_beside_that_call_uses_is_not_trained(library):
    net = own_call(library)
    net.extra.build((None, 2))
    net.compile("sgd", "mse")
    before, inner = net.extra.get_weights()[0], net.layers[0].get_weights()[0]
    said = r"Net\.call uses 'extra', which is not a layer of the stack"
    with nullcontext() if library is keras else pytest.warns(match=said):
        net.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(net.extra.get_weights()[0], before)
    assert (net.layers[0].get_weights()[0] != inner).any()
    if library is lamina:  # Keras reads the values of the first call
        net.extra.set_weights([np.zeros((2, 2)), [7, 8]])
        np.testing.assert_array_equal(net.predict(X[:1], verbose=0), [[7, 8]])


def test_a_frozen_layer_beside_is_used_without_a_word():
    net = own_call(lamina)
    net.extra.trainable = False
    net.compile("sgd", "mse")
    net.fit(X, Y, verbose=0)


def test_a_layer_in_the_line_and_in_an_attribute_is_trained():
    class Net(lamina.Sequential):
        def __init__(self):
            super().__init__(line(lamina, 4, 2))
            self.first, self.both = self.layers[0], {"all": self.layers}

        def call(self, x, training=None, mask=None):
            return self.both["all"][1](self.first(x))

    net = Net()
    net.compile("sgd", "mse")
    before = net.get_weights()
    assert len(before) == 4
    net.fit(X, Y, verbose=0)
    assert all((one != other).any() for one, other in zip(net.get_weights(), before, strict=True))


@libraries
def test_a_layer_of_ones_own_tracks_what_it_holds(library):
    class Block(library.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = library.layers.Dense(2)
            self.net = holding(library)

        def build(self, shape):
            self.inner.build(shape)
            self.built = True

        def call(self, x):
            return self.inner(x) + self.net(x)

    block = Block()
    block(X)
    assert len(block.weights) == 2 + 4


def test_a_file_of_keras_holds_more_and_that_is_said(tmp_path):
    theirs, ours = (
        distiller(library)(line(library, 2), library.Sequential(line(library, 2))) for library in (keras, lamina)
    )
    theirs.save_weights(tmp_path / "a.weights.h5")
    before = ours.teacher.get_weights()[0]
    with pytest.warns(match="has no layers for teacher/layers/dense"):
        ours.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(ours.get_weights()[0], theirs.get_weights()[0])
    np.testing.assert_array_equal(ours.teacher.get_weights()[0], before)


@pytest.mark.parametrize("asks", [False, True])
def test_a_given_layer_that_is_built_twice_is_named(asks, tmp_path):
    """Keras refuses it too, but does not say what is built twice; it was built from the file before."""

    class Around(layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def build(self, shape):
            if not (asks and self.inner.built):
                self.inner.build(shape)

        def call(self, x):
            return self.inner(x)

        def get_config(self):
            return super().get_config() | {"inner": layers.serialize(self.inner)}

        @classmethod
        def from_config(cls, config):
            return cls(**config | {"inner": layers.deserialize(config["inner"])})

    model, path = lamina.Sequential([layers.Input((4,)), Around(layers.Dense(8))]), tmp_path / "model.keras"
    model.save(path)

    def load():
        return lamina.models.load_model(path, custom_objects={"Around": Around})

    if asks:
        np.testing.assert_array_equal(load()(np.ones((1, 4))), model(np.ones((1, 4))))
        return
    with pytest.raises(FileError, match="'dense' was built twice") as caught:
        load()
    assert "if not self.inner.built" in str(caught.value)
