"""Models that are trained at the same time: each as it would be alone, in numbers and in what stops it."""

import copy
import os
import subprocess
import sys
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import KFold

import lamina
from lamina import callbacks, layers
from lamina._ensembles import together
from lamina._programs import one_thread, programs
from lamina.errors import (
    ArgumentError,
    DataError,
    LabelError,
    LaminaWarning,
    MissingPackageError,
    NonFiniteError,
    NotCompiledError,
    StackError,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(203, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int32")


def stack(*body, loss="binary_crossentropy", optimizer="adam", metrics=("accuracy",), last=None, entry=None):
    body = body or [layers.BatchNormalization(), layers.Dense(8, "relu"), layers.Dropout(0.3)]
    model = lamina.Sequential([entry or layers.Input((6,)), *body, last or layers.Dense(1, "sigmoid")])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def close(one, other, tolerance=1e-5):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance, rtol=tolerance)


STACKS = {
    "mission": lambda: stack(),
    "kept rows": lambda: stack(layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dropout(0.1)),
    "convolution": lambda: stack(
        layers.Reshape((6, 1)), layers.Conv1D(4, 3, activation="relu"), layers.MaxPooling1D(), layers.Flatten()
    ),
    "recurrent": lambda: stack(
        layers.Reshape((6, 1)), layers.LSTM(3, recurrent_dropout=0.2), layers.LayerNormalization()
    ),
    "momentum": lambda: stack(optimizer=lamina.optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0, use_ema=True)),
    "schedule": lambda: stack(
        layers.Dense(8, "relu", kernel_regularizer="l2"), layers.GaussianNoise(0.1),
        optimizer=lamina.optimizers.AdamW(lamina.optimizers.schedules.CosineDecay(0.02, 30)),
        loss="mse", metrics=["mae", "AUC"],
    ),
}  # fmt: skip


ALWAYS = "mission", "momentum", "schedule"


@pytest.mark.parametrize(
    "name", [each if each in ALWAYS else pytest.param(each, marks=pytest.mark.nightly) for each in STACKS]
)
def test_each_member_is_what_it_would_be_alone(name):
    ensemble = lamina.Ensemble(STACKS[name](), 3)
    alone = [copy.deepcopy(member) for member in ensemble.members]
    options = {"epochs": 3, "verbose": 0, "validation_split": 0.2, "batch_size": 32, "sample_weight": Y + 0.5}
    for one, member, history in zip(alone, ensemble.members, ensemble.fit(X, Y, **options), strict=True):
        expected = one.fit(X, Y, **options).history
        close(one, member)
        assert history.history.keys() == expected.keys() and history is member.history
        for key, values in expected.items():
            np.testing.assert_allclose(history.history[key], values, atol=2e-5, err_msg=key)
        one.fit(X, Y, verbose=0)  # it goes on as an ordinary model, which has its moments and its place in the data
        member.fit(X, Y, verbose=0)
        close(one, member, 1e-4)
    first, second = (member.get_weights() for member in ensemble.members[:2])
    assert not any(np.array_equal(a, b) for a, b in zip(first, second, strict=True) if a.ndim == 2)


def test_the_mean_and_the_spread():
    ensemble = lamina.Ensemble(stack(), 4)
    ensemble.fit(X, Y, epochs=1, verbose=0)
    each = np.stack([member.predict(X, verbose=0) for member in ensemble.members])
    mean, deviation = ensemble.predict(X, verbose=0, spread=True)
    np.testing.assert_allclose(mean, each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(deviation, each.std(axis=0), atol=1e-6)
    np.testing.assert_array_equal(ensemble.predict(X, verbose=0), mean)
    scores = ensemble.evaluate(X, Y)
    assert [score.keys() for score in scores] == [{"loss", "accuracy"}] * 4 and len(ensemble) == 4
    assert repr(ensemble).startswith("<Ensemble of 4 members of Sequential([")


def test_one_that_has_stopped_keeps_its_weights():
    """Each member has a copy of the callbacks, and ends where it would alone."""
    stopping = callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    reducing = callbacks.ReduceLROnPlateau(patience=0, factor=0.3)
    ensemble = lamina.Ensemble(stack(optimizer=lamina.optimizers.Adam(0.02)), 4)
    alone = [copy.deepcopy(member) for member in ensemble.members]
    options = {"epochs": 12, "verbose": 0, "validation_data": (X[:60], Y[:60])}
    histories = ensemble.fit(X[60:], Y[60:], callbacks=[stopping, reducing], **options)
    for one, member, history in zip(alone, ensemble.members, histories, strict=True):
        expected = one.fit(X[60:], Y[60:], callbacks=[copy.deepcopy(stopping), copy.deepcopy(reducing)], **options)
        assert expected.epoch == history.epoch
        close(one, member, 1e-4)
        np.testing.assert_allclose(history.history["learning_rate"], expected.history["learning_rate"], rtol=1e-6)
    assert len({len(history.epoch) for history in histories}) > 1


def test_more_epochs_and_equal_seeds():
    lamina.utils.set_random_seed(5)
    first = lamina.Ensemble(stack(), 2)
    first.fit(X, Y, epochs=2, verbose=0)
    first.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, shuffle="batch")
    lamina.utils.set_random_seed(5)
    second = lamina.Ensemble(stack(), 2)
    second.fit(X, Y, epochs=2, verbose=0)
    second.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, shuffle="batch")
    for one, other in zip(first.members, second.members, strict=True):
        close(one, other, 0)


def test_a_second_ensemble_compiles_nothing():
    lamina.Ensemble(stack(), 2).fit(X, Y, verbose=0, validation_split=0.1)
    before = set(programs._compiled)
    lamina.Ensemble(stack(), 2).fit(X, Y, verbose=0, validation_split=0.1)
    assert set(programs._compiled) == before


def test_members_run_on_one_thread_each_where_that_keeps_the_cores_busy(monkeypatch):
    monkeypatch.setattr(together, "at_once", lambda: 2)
    assert [fits for fits in range(1, 9) if together.keep_busy(fits)] == [2, 4, 5, 6, 7, 8]
    monkeypatch.setattr(together, "at_once", lambda: 1)
    assert not together.keep_busy(8)
    monkeypatch.setattr(together, "at_once", lambda: 2)
    shared = mock.Mock()
    monkeypatch.setattr(together, "onednn", lambda: shared)
    ensemble = lamina.Ensemble(stack(), 2)
    programs.clear()
    ensemble.fit(X, Y, verbose=0)
    assert {key[-1] for key in programs._compiled} == {True}
    assert {call.args[0] for call in shared.share.call_args_list} == {1, 2}
    assert shared.share.call_args_list[-1].args == (1,)
    ensemble.members[0].fit(X, Y, verbose=0)  # by itself it has the whole machine again
    assert {key[-1] for key in programs._compiled} == {True, False}


def test_a_program_for_one_thread_is_the_same_but_shares_nothing_out():
    """In a process of its own, since XLA gives each of several CPU devices a thread."""
    script = """if True:
        import os
        import jax, jax.numpy as jnp, numpy as np
        from lamina._programs import one_thread
        def grown(count, x):
            return jax.lax.fori_loop(0, count, lambda _, x: jnp.tanh(x) * 2 + jnp.sin(x), x)
        x = jnp.asarray(np.random.default_rng(0).normal(size=(300, 300)), "float32")
        traced = jax.jit(grown, donate_argnums=1).trace(3, x)
        ordinary, alone = traced.lower().compile(), one_thread.compiled(traced, {})
        assert 'partitions":["' not in alone.as_text()
        assert os.cpu_count() == 1 or 'partitions":["' in ordinary.as_text()
        np.testing.assert_array_equal(alone(3, jnp.copy(x)), ordinary(3, jnp.copy(x)))
        assert alone(3, x).devices() == {jax.devices()[0]} and "PJRT_NPROC" not in os.environ
    """
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"XLA_FLAGS": ""})


def test_a_program_for_one_thread_comes_anew_in_each_process(tmp_path):
    """What JAX's cache on disk gives back, it cannot hand over: the second process must not find it there."""
    script = """if True:
        import lamina, numpy as np
        from lamina import layers
        from lamina._ensembles import together
        model = lamina.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(1)])
        model.compile("adam", "mse")
        together.keep_busy = lambda fits: True
        x = np.ones((64, 4), "float32")
        ensemble = lamina.Ensemble(model, 2)
        ensemble.fit(x, x[:, 0], verbose=0)
        ensemble.members[0].fit(x, x[:, 0], verbose=0)
    """
    for _ in range(2):
        environment = os.environ | {"LAMINA_CACHE": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert any(tmp_path.glob("*/*-cache"))


def test_a_program_that_cannot_be_handed_over_is_an_ordinary_one(monkeypatch):
    def called(x):
        return jax.pure_callback(lambda x: np.asarray(x) + 1, x, x)

    assert one_thread.compiled(jax.jit(called).trace(jnp.float32(1)), {})(jnp.float32(1)) == 2
    monkeypatch.setattr(one_thread, "serialize", mock.Mock(side_effect=NotImplementedError))
    assert one_thread.compiled(jax.jit(jnp.square).trace(3.0), {})(3.0) == 9


def test_what_is_shown_is_the_mean(capsys):
    ensemble = lamina.Ensemble(stack(), 2)
    histories = ensemble.fit(X, Y, epochs=2, verbose=2)
    mean = np.mean([history.history["loss"][-1] for history in histories])
    shown = capsys.readouterr().out
    assert f"loss: {mean:.4f}" in shown and shown.startswith("2/2 - ")


def test_a_loss_that_is_not_finite():
    ensemble = lamina.Ensemble(stack(optimizer=lamina.optimizers.SGD(1e30), loss="mse", last=layers.Dense(1)), 2)
    with pytest.raises(NonFiniteError, match=r"the loss became \w+ in epoch 1"):
        ensemble.fit(X, Y, epochs=3, verbose=0)
    assert all(np.isfinite(weight).all() for member in ensemble.members for weight in member.get_weights())
    histories = ensemble.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks.TerminateOnNaN())
    assert [len(history.epoch) for history in histories] == [1, 1]


def test_what_an_ensemble_refuses():
    for kind, said, call in [
        (NotCompiledError, "call compile before Ensemble", lambda: lamina.Ensemble(lamina.Sequential([]))),
        (ArgumentError, "Ensemble takes a compiled Sequential, got 3", lambda: lamina.Ensemble(3)),
        (ArgumentError, "expected a whole number of at least 1", lambda: lamina.Ensemble(stack(), 0)),
        (ArgumentError, "a checkpoint keeps", lambda: lamina.Ensemble(stack(), 2).fit(X, Y, checkpoint="run")),
        (DataError, "a stream of batches", lambda: lamina.Ensemble(stack()).fit(iter([(X, Y)]))),
        (LabelError, "y runs from 3 to 4", lambda: lamina.Ensemble(stack(), 2).fit(X, Y + 3)),
        (DataError, "sample_weight has 3", lambda: lamina.Ensemble(stack(), 2).fit(X, Y, sample_weight=[1, 2, 3])),
    ]:
        with pytest.raises(kind, match=said):
            call()


def test_own_steps_and_batch_hooks_and_an_error_in_one_member():
    """They run as in any fit; the first error ends them all."""

    class Hooked(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.seen = getattr(self.model, "seen", 0) + 1
            if batch == 3 and self.model.name == "breaks":
                raise RuntimeError("in the hook")

    ensemble = lamina.Ensemble(stack(), 3)
    ensemble.fit(X, Y, epochs=2, verbose=0, callbacks=Hooked())
    assert [member.seen for member in ensemble.members] == [14] * 3
    ensemble.members[1].name = "breaks"
    with pytest.raises(RuntimeError, match="in the hook"):
        ensemble.fit(X, Y, epochs=2, verbose=0, callbacks=Hooked())


def test_folds_are_what_each_fit_would_be():
    model = stack()
    lamina.utils.set_random_seed(3)
    before = model.get_weights()
    found = lamina.cross_validate(model, X, Y, folds=5, epochs=2, verbose=0, class_weight={0: 1.0, 1: 2.0})
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert len(found.models) == len(found.scores) == 5
    for one, score, (rows, held) in zip(found.models, found.scores, found.folds, strict=True):
        assert sorted([*rows, *held]) == list(range(203))
        assert abs(Y[held].mean() - Y.mean()) < 0.03  # equal shares of each class
        np.testing.assert_allclose(one.predict(X[held], verbose=0), found.predictions[held], atol=1e-6)
        assert one.evaluate(X[held], Y[held], verbose=0, return_dict=True) == pytest.approx(score)
    assert found.mean["loss"] == pytest.approx(np.mean([score["loss"] for score in found.scores]))
    assert found.deviation["loss"] > 0 and str(found).startswith("5 folds - loss: ") and "±" in str(found)
    rows, held = found.folds[1]
    lamina.utils.set_random_seed(3)
    alone = lamina.cross_validate(model, X, Y, folds=5, epochs=2, verbose=0, class_weight={0: 1.0, 1: 2.0}).models[1]
    close(alone, found.models[1], 0)


def test_a_fold_equals_the_fit_of_its_rows():
    model = stack()
    folds = list(KFold(4).split(X))
    lamina.utils.set_random_seed(7)
    found = lamina.cross_validate(model, X, Y, folds=folds, epochs=3, verbose=0)
    lamina.utils.set_random_seed(7)
    twins = [lamina.models.clone_model(model) for _ in folds]
    for twin, one, (rows, _) in zip(twins, found.models, folds, strict=True):
        twin.fit(X[rows], Y[rows], epochs=3, verbose=0)
        close(twin, one)


def test_folds_of_groups_of_numbers_and_of_a_splitter():
    groups = np.arange(203) // 7
    found = lamina.cross_validate(stack(), X, Y, folds=3, groups=groups, verbose=0)
    for rows, held in found.folds:
        assert not set(groups[rows]) & set(groups[held])
    numbers = stack(loss="mse", last=layers.Dense(2), metrics=["mae"])
    found = lamina.cross_validate(numbers, X, X[:, :2], folds=KFold(2), verbose=0)
    assert found.predictions.shape == (203, 2) and len(found.scores) == 2
    held_once = lamina.cross_validate(numbers, X, X[:, :2], folds=[(np.arange(100), np.arange(100, 150))], verbose=0)
    assert np.isnan(held_once.predictions).any(axis=1).sum() == 153
    one_hot = stack(loss="categorical_crossentropy", last=layers.Dense(2, "softmax"))
    found = lamina.cross_validate(one_hot, X, np.eye(2)[Y], folds=4, verbose=0)
    assert all(abs(Y[held].mean() - Y.mean()) < 0.03 for _, held in found.folds)


def test_on_real_data():
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = stack(optimizer=lamina.optimizers.Adam(0.01), entry=layers.Input((30,)))
    found = lamina.cross_validate(model, x, y, folds=5, epochs=8, verbose=0)
    assert found.mean["accuracy"] > 0.95 and ((found.predictions[:, 0] > 0.5) == y).mean() > 0.95


def test_what_a_cross_validation_refuses(monkeypatch):
    text = lamina.Sequential([layers.TextVectorization(vocabulary=["a"]), layers.Embedding(4, 2), layers.Flatten()])
    text.compile("adam", "mse")
    for kind, said, call in [
        (ArgumentError, "takes a compiled Sequential", lambda: lamina.cross_validate(None, X, Y)),
        (ArgumentError, r"folds=1\): expected a number from 2 to 203", lambda: lamina.cross_validate(stack(), X, Y, 1)),
        (StackError, "turns raw data into numbers", lambda: lamina.cross_validate(text, ["a"] * 9, np.ones(9))),
        (DataError, "a stream of batches", lambda: lamina.cross_validate(stack(), iter([(X, Y)]))),
    ]:
        with pytest.raises(kind, match=said):
            call()
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(MissingPackageError, match="pip install scikit-learn"):
        lamina.cross_validate(stack(), X, Y)


def test_a_class_that_is_too_small_for_the_folds_is_warned_of():
    labels = np.zeros(203, "int32")
    labels[:3] = 1
    with pytest.warns((UserWarning, LaminaWarning), match="least populated class"):
        lamina.cross_validate(stack(), X, labels, folds=4, verbose=0)
