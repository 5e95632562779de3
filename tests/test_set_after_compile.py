"""What is set after `compile` (the optimizer, the loss, run_eagerly) is used, and all else stays as it was."""

import keras
import numpy as np
import pytest

import lamina
from lamina import errors, layers

X, Y = np.ones((8, 3), "float32"), np.full((8, 2), 3, "float32")


def compiled(library=lamina, **told):
    model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(2)])
    model.compile(library.optimizers.SGD(0.1), "mse", metrics=["mae"], **told)
    return model


def test_an_optimizer_that_is_set_trains_as_in_keras():
    for library in (lamina, keras):
        model = compiled(library)
        model.fit(X, Y, verbose=0)
        model.optimizer = own = library.optimizers.SGD(0.0)
        before = [np.array(weight) for weight in model.get_weights()]
        history = model.fit(X, Y, verbose=0).history
        assert model.optimizer is own and int(own.iterations) == 1 and sorted(history) == ["loss", "mae"]
        np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_loss_that_is_set_is_measured_and_the_optimizer_goes_on():
    model = compiled(loss_weights=2.0)
    model.fit(X, Y, verbose=0)
    optimizer, model.loss = model.optimizer, "mae"
    loss, mae = model.evaluate(X, Y, verbose=0)
    assert model.loss == "mae" and loss == pytest.approx(2 * mae)
    model.fit(X, Y, verbose=0)
    assert model.optimizer is optimizer and int(optimizer.iterations) == 2


def test_what_compile_was_told_stays():
    model = compiled(jit_compile=False)
    model.optimizer = "adam"
    assert type(model.optimizer).__name__ == "Adam" and model.run_eagerly
    lamina.config.set_dtype_policy("mixed_float16")
    try:
        scaled, plain = compiled(), compiled(auto_scale_loss=False)
    finally:
        lamina.config.set_dtype_policy("float32")
    for model, name in ((scaled, "LossScaleOptimizer"), (plain, "SGD")):
        model.loss = "mae"
        assert type(model.optimizer).__name__ == name
        model.optimizer = lamina.optimizers.SGD(0.1)
        assert type(model.optimizer).__name__ == name


def test_a_wrong_value_leaves_the_model_as_it_was():
    model = lamina.Sequential([lamina.layers.Dense(2)])
    with pytest.raises(errors.NotCompiledError, match=r"compile\(optimizer=\.\.\.\)"):
        model.optimizer = "adam"
    model = compiled()
    before = model.optimizer
    for name, wrong in (("optimizer", "adma"), ("optimizer", None), ("loss", "mes")):
        with pytest.raises(errors.LaminaError):
            setattr(model, name, wrong)
    assert model.optimizer is before and model.loss == "mse"


def test_a_compile_of_ones_own_may_set_them():
    class Own(lamina.Sequential):
        def compile(self, optimizer, criterion):
            super().compile()
            self.optimizer, self.loss = optimizer, criterion

    model = Own([lamina.layers.Input((3,)), lamina.layers.Dense(2)])
    model.compile("adam", "mae")
    assert type(model.optimizer).__name__ == "Adam" and model.loss == "mae"
    model.fit(X, Y, verbose=0)


def test_run_eagerly_can_be_set_after_compile():
    x, y, seen = np.ones((4, 4), "float32"), np.ones((4, 1), "float32"), []

    class Watch(layers.Layer):
        def call(self, x):
            seen.append(type(x).__name__)
            return x

    model = lamina.Sequential([layers.Input((4,)), Watch(), layers.Dense(1)])
    with pytest.raises(errors.NotCompiledError, match="run_eagerly=True"):
        model.run_eagerly = True
    model.compile("sgd", "mse")
    theirs = compiled(keras)
    assert (model.run_eagerly, model.jit_compile) == (theirs.run_eagerly, theirs.jit_compile) == (False, True)
    model.run_eagerly = True
    assert model.run_eagerly and not model.jit_compile and model.get_compile_config()["run_eagerly"] is True
    seen.clear()
    model.evaluate(x, y, verbose=0)
    assert "ArrayImpl" in seen
    model.jit_compile = True
    assert not model.run_eagerly
    seen.clear()
    model.evaluate(x, y, verbose=0)
    assert "ArrayImpl" not in seen
    with pytest.raises(errors.ArgumentError, match="True or False"):
        model.run_eagerly = "yes"
