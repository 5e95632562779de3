"""An optimizer or a loss that is set after `compile` is the one that is used, and all else stays as it was."""

import keras
import numpy as np
import pytest

import lamina
from lamina import errors

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
