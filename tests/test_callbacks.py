"""Callbacks do what Keras's do on the same numbers, and say what is wrong with them."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina import callbacks
from lamina.callbacks import Callback, CallbackList, EarlyStopping, History, LambdaCallback
from lamina.callbacks.callback import HOOKS
from lamina.callbacks.callback_list import wants_each_batch
from lamina.errors import ArgumentError, LaminaWarning, NonFiniteError


class Metric:
    def __init__(self, name, direction):
        self.name, self._direction = name, direction


class Optimizer:
    learning_rate = 0.5


class Model:
    """Its weights are the number of epochs that it was trained."""

    def __init__(self, *metrics):
        self.metrics, self.optimizer, self.stop_training = list(metrics), Optimizer(), False
        self.weights = [np.zeros(1)]

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = weights


def train(library, callback, epochs, model=None):
    """A training whose epochs end with these logs.  -> (epochs trained, the weights' number, the history)"""
    model = model or Model()
    every = library.CallbackList(callback, add_history=True, model=model, verbose=0, epochs=len(epochs), steps=1)
    every.on_train_begin()
    for epoch, logs in enumerate(epochs):
        every.on_epoch_begin(epoch)
        model.weights = [model.weights[0] + 1]
        every.on_epoch_end(epoch, dict(logs))
        if model.stop_training:
            break
    every.on_train_end()
    return epoch + 1, model.weights[0].item(), model.history.history


eighths = st.integers(-20, 20).map(lambda n: n / 8)  # exact in float32, in which Keras compares


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(eighths, min_size=1, max_size=12),
    arguments=st.fixed_dictionaries(
        {
            "patience": st.integers(0, 3),
            "min_delta": st.sampled_from([0, 0.25, -0.5]),
            "mode": st.sampled_from(["min", "max"]),
            "baseline": st.none() | eighths,
            "restore_best_weights": st.booleans(),
            "start_from_epoch": st.integers(0, 4),
        }
    ),
)
def test_early_stopping_stops_and_restores_as_keras(values, arguments):
    epochs = [{"val_loss": value, "loss": 1.0} for value in values]
    ours, theirs = EarlyStopping(**arguments), keras.callbacks.EarlyStopping(**arguments)
    assert train(callbacks, ours, epochs) == train(keras.callbacks, theirs, epochs)
    assert (ours.stopped_epoch, ours.wait, ours.best) == (theirs.stopped_epoch, theirs.wait, theirs.best)
    if arguments["restore_best_weights"]:
        assert ours.best_epoch == theirs.best_epoch


def test_early_stopping_can_be_used_twice():
    stopping = EarlyStopping("loss", patience=1)
    falling_then_flat = [{"loss": loss} for loss in (3, 2, 2, 2, 2)]
    assert train(callbacks, stopping, falling_then_flat)[0] == 3
    assert train(callbacks, stopping, falling_then_flat)[0] == 3


@pytest.mark.parametrize(("direction", "trained"), [("up", 3), ("down", 5)])
def test_the_metric_says_what_is_better(direction, trained):
    epochs = [{"val_score": value} for value in (5, 4, 3, 2, 1)]
    model = Model(Metric("score", direction))
    assert train(callbacks, EarlyStopping("val_score", patience=2), epochs, model)[0] == trained


def test_a_direction_that_nothing_tells_is_asked_for():
    with pytest.raises(ArgumentError, match=r'higher or lower\. Add mode="max" or mode="min"'):
        train(callbacks, EarlyStopping("score"), [{"score": 1.0}, {"score": 1.0}], Model(Metric("score", None)))


def test_nan_is_never_the_best():
    epochs = [{"loss": value} for value in (float("nan"), 2.0, 1.0, 3.0)]
    stopping = EarlyStopping("loss", patience=3, restore_best_weights=True)
    assert train(callbacks, stopping, epochs)[:2] == (4, 3)
    assert stopping.best == 1.0
    assert train(callbacks, EarlyStopping("loss"), epochs)[0] == 4  # the first epoch never is the last


def test_early_stopping_says_what_it_did(capsys):
    train(callbacks, EarlyStopping("loss", verbose=1, restore_best_weights=True), [{"loss": v} for v in (1, 2)])
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "The model has the weights of its best epoch, 1.",
    ]


def test_a_misspelt_monitor_is_an_error_with_the_nearest_name():
    logs = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    with pytest.raises(ArgumentError) as caught:
        train(callbacks, EarlyStopping("val_acuracy"), [logs])
    assert "Did you mean 'val_accuracy'?" in str(caught.value)
    assert "They have: accuracy, loss, val_accuracy, val_loss." in str(caught.value)
    with pytest.raises(ArgumentError, match="Did you mean 'val_loss'"):
        train(callbacks, EarlyStopping("val_los"), [{"loss": 1.0}])


def test_a_monitor_without_validation_warns_once_and_waits():
    epochs = [{"loss": 1.0}, {"loss": 1.0, "val_loss": 1.0}, {"loss": 1.0}, {"loss": 1.0, "val_loss": 2.0}]
    with pytest.warns(LaminaWarning, match="validation_split") as warned:
        assert train(callbacks, EarlyStopping(patience=1), [*epochs, {"loss": 1.0}])[0] == 4
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"patiance": 3}, "Did you mean 'patience'?"),
        ({"patience": -1}, "at least 0, got -1"),
        ({"mode": "mn"}, "Did you mean 'min'?"),
        ({"monitor": len}, '"val_loss"'),
        ({"min_delta": "0.1"}, "expected a number"),
        ({"restore_best_weights": "yes"}, "True or False"),
    ],
)
def test_early_stopping_refuses_wrong_arguments(arguments, words):
    with pytest.raises(ArgumentError) as caught:
        EarlyStopping(**arguments)
    assert words in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(eighths, min_size=1, max_size=12),
    arguments=st.fixed_dictionaries(
        {
            "factor": st.sampled_from([0.5, 0.25]),
            "patience": st.integers(0, 3),
            "mode": st.sampled_from(["min", "max"]),
            "min_delta": st.sampled_from([0, 0.25]),
            "cooldown": st.integers(0, 2),
            "min_lr": st.sampled_from([0.0, 0.1]),
        }
    ),
)
def test_reduce_lr_on_plateau_reduces_as_keras(values, arguments):
    epochs = [{"val_loss": value} for value in values]
    ours = train(callbacks, callbacks.ReduceLROnPlateau(**arguments), epochs)
    assert ours == train(keras.callbacks, keras.callbacks.ReduceLROnPlateau(**arguments), epochs)
    assert len(ours[2]["learning_rate"]) == len(values)


def test_reduce_lr_on_plateau_refuses_to_raise_the_rate_and_says_what_it_did(capsys):
    with pytest.raises(ArgumentError, match="from 0 to below 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)
    train(callbacks, callbacks.ReduceLROnPlateau("loss", patience=1, verbose=1), [{"loss": 1.0}] * 2)
    assert capsys.readouterr().out == "Epoch 2: the learning rate is 0.05, as loss got no better\n"


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate / 2, lambda epoch: 0.5 ** (epoch + 2)])
def test_learning_rate_scheduler(schedule):
    ours = train(callbacks, callbacks.LearningRateScheduler(schedule), [{"loss": 1.0}] * 3)
    assert ours == train(keras.callbacks, keras.callbacks.LearningRateScheduler(schedule), [{"loss": 1.0}] * 3)
    assert ours[2]["learning_rate"] == [0.25, 0.125, 0.0625]


def test_an_error_inside_the_schedule_is_not_hidden():
    with pytest.raises(TypeError, match="NoneType"):
        train(callbacks, callbacks.LearningRateScheduler(lambda epoch, rate: rate / None), [{"loss": 1.0}])
    with pytest.raises(ArgumentError, match="must return the rate of epoch 0: expected a number, got None"):
        train(callbacks, callbacks.LearningRateScheduler(lambda epoch: None), [{"loss": 1.0}])
    with pytest.raises(ArgumentError, match="expected a function"):
        callbacks.LearningRateScheduler(0.1)


@pytest.mark.parametrize("later", [{}, {"val_loss": 0.25}])
def test_csv_logger_writes_the_file_that_keras_writes(tmp_path, later):
    epochs = [{"loss": 0.5, "f1": np.array([0.5, 1.0])}, {"loss": 0.25, "f1": np.array([1.0, 1.0]), **later}]
    names = [tmp_path / "ours.csv", tmp_path / "keras.csv"]
    for _ in range(2):  # the second time goes on in the same file
        train(callbacks, callbacks.CSVLogger(names[0], separator=";", append=True), epochs)
        train(keras.callbacks, keras.callbacks.CSVLogger(names[1], separator=";", append=True), epochs)
    ours, theirs = (name.read_text() for name in names)
    assert ours == theirs.replace('"""', "").replace('"', "")  # Keras puts three quotes around an array
    assert len(ours.splitlines()) == 5
    train(callbacks, callbacks.CSVLogger(names[0]), epochs[:1])
    assert names[0].read_text().splitlines()[0] == "epoch,f1,loss,val_f1,val_loss"
    assert len(names[0].read_text().splitlines()) == 2


def test_csv_logger_says_what_the_file_has_no_column_for(tmp_path):
    with pytest.warns(LaminaWarning, match="leaves 'extra' out"):
        train(callbacks, callbacks.CSVLogger(tmp_path / "log.csv"), [{"loss": 1.0}, {"loss": 1.0, "extra": 2.0}])
    with pytest.raises(ArgumentError, match="one character"):
        callbacks.CSVLogger("log.csv", separator=", ")
    with pytest.raises(ArgumentError, match="name of a file"):
        callbacks.CSVLogger(3)


def test_history_is_that_of_keras():
    epochs = [
        {"loss": np.float32(0.5), "accuracy": jnp.float32(0.25), "nested": {"b": 1, "a": np.ones(())}},
        {"loss": 1, "accuracy": 2.0, "val_loss": 3.0, "nested": {"b": 1, "a": 1}},
    ]
    ours, theirs = Model(), Model()
    train(callbacks, [], epochs, ours)
    train(keras.callbacks, [], epochs, theirs)
    assert list(ours.history.history.items()) == list(theirs.history.history.items())
    assert all(type(value) is float for values in ours.history.history.values() for value in values)
    assert (ours.history.epoch, ours.history.params) == (theirs.history.epoch, theirs.history.params)
    assert ours.history.epochs_of["val_loss"] == [1]


def test_what_a_callback_adds_to_the_logs_reaches_the_history_and_the_caller():
    model, logs = Model(), {"loss": 1.0, "accuracy": np.float32(0.5)}
    add = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(f1=0.75))
    CallbackList([add], add_history=True, model=model).on_epoch_end(0, logs)
    assert logs == {"accuracy": 0.5, "loss": 1.0, "f1": 0.75} and next(iter(logs)) == "accuracy"
    assert model.history.history["f1"] == [0.75]


class Recorder(Callback):
    def __init__(self):
        self.seen = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda *args: self.seen.append((name, *args))


def test_every_hook_reaches_every_callback():
    first, second = Recorder(), Recorder()
    every = CallbackList([first, (second,)])
    for hook in HOOKS:
        where = (3,) if "batch" in hook or "epoch" in hook else ()
        getattr(every, hook)(*where, logs={"loss": np.float32(2)})
        assert first.seen.pop() == second.seen.pop() == (hook, *where, {"loss": 2.0})
        getattr(every, hook)(*where)
        assert first.seen.pop() == (hook, *where, {})
    assert len(HOOKS) == len([n for n in dir(keras.callbacks.Callback) if n.startswith("on_")]) == 16


def test_logs_that_nobody_listens_to_are_not_read():
    class Unreadable:
        def __array__(self, *args, **kwargs):
            raise AssertionError("read from the device")

    every = CallbackList([EarlyStopping("loss")], add_history=True)
    every.on_train_batch_end(0, {"loss": Unreadable()})
    with pytest.raises(AssertionError):
        every.on_epoch_end(0, {"loss": Unreadable()})


class OnBatch(Callback):
    def on_batch_end(self, batch, logs=None):
        print("batch", batch, logs)


class Chunks(OnBatch):
    every_batch = False


@pytest.mark.parametrize(
    ("callback", "wanted"),
    [
        (History(), ""),
        (EarlyStopping(), ""),
        (callbacks.TerminateOnNaN(), ""),
        (callbacks.ProgbarLogger(), ""),
        (Chunks(), ""),
        (OnBatch(), "train"),
        (LambdaCallback(on_epoch_end=print), ""),
        (LambdaCallback(on_train_batch_begin=print), "train"),
        (LambdaCallback(on_batch_end=print), "train"),
        (LambdaCallback(on_test_batch_end=print), "test"),
        (LambdaCallback(on_predict_batch_begin=print), "predict"),
        (CallbackList([OnBatch()]), "train"),
    ],
)
def test_single_batches_are_wanted_only_by_callbacks_that_override_them(callback, wanted):
    every = CallbackList([History(), callback])
    assert wants_each_batch(every, "train") == (wanted == "train")
    assert wants_each_batch(every, "test") == (wanted == "test")
    assert wants_each_batch(every, "predict") == (wanted == "predict")


def test_the_older_name_of_a_batch_hook_is_called(capsys):
    CallbackList([OnBatch()]).on_train_batch_end(7, {"loss": 1})
    assert capsys.readouterr().out == "batch 7 {'loss': 1.0}\n"


def test_lambda_callback_calls_functions_as_keras_does():
    calls = {"ours": [], "keras": []}
    for library, name in ((callbacks, "ours"), (keras.callbacks, "keras")):
        note = calls[name].append
        callback = library.LambdaCallback(
            on_train_begin=lambda logs, note=note: note(("begin", logs)),
            on_epoch_end=lambda epoch, logs, note=note: note((epoch, logs["loss"])),
            on_train_batch_end=lambda batch, logs, note=note: note(("batch", batch, logs)),
            on_test_end=lambda logs, note=note: note(("test", logs)),
        )
        every = library.CallbackList([callback], model=Model(), epochs=1)
        every.on_train_begin()
        every.on_train_batch_end(4, {"loss": 1})
        every.on_epoch_end(0, {"loss": 2})
        every.on_train_end()
        every.on_test_begin()
        every.on_test_end({"loss": 3})
    assert calls["ours"] == calls["keras"] and len(calls["ours"]) == 4


def test_lambda_callback_refuses_what_no_one_would_call():
    with pytest.raises(ArgumentError, match=r"no argument 'on_epoch_ends'\. Did you mean 'on_epoch_end'"):
        LambdaCallback(on_epoch_ends=print)
    with pytest.raises(ArgumentError, match="expected a function, got 'print'"):
        LambdaCallback(on_epoch_end="print")


def test_terminate_on_nan(capsys):
    model = Model()
    every = CallbackList([callbacks.TerminateOnNaN()], model=model)
    every.on_train_batch_end(0, {"loss": 1.0})
    assert not model.stop_training
    every.on_train_batch_end(31, {"loss": np.float32("inf")})
    assert model.stop_training and capsys.readouterr().out == "Batch 31: the loss is inf, training stops\n"
    with pytest.raises(NonFiniteError, match="nan at batch 5") as caught:
        CallbackList([callbacks.TerminateOnNaN(raise_error=True)]).on_train_batch_end(5, {"loss": float("nan")})
    assert isinstance(caught.value, RuntimeError)


def test_the_list_hands_on_model_and_params_and_keeps_the_users_history():
    model, mine, late = Model(), History(), OnBatch()
    every = CallbackList([mine], add_history=True, model=model, epochs=3)
    assert every.history is mine is model.history and len(every) == 1
    every.append(late)
    assert list(every) == [mine, late] and late.model is model and late.params == {"epochs": 3}
    assert list(CallbackList(late)) == [late]
    assert list(CallbackList()) == [] and CallbackList().history is None


def my_function(epoch, logs):
    return None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (EarlyStopping, "got the class EarlyStopping, not an object of it. Write EarlyStopping(...)"),
        (my_function, "Write LambdaCallback(on_epoch_end=my_function)"),
        (lambda epoch, logs: None, "Write LambdaCallback(on_epoch_end=...)"),
        ("early_stopping", "got the name 'early_stopping'. Callbacks are objects"),
        ({"a": EarlyStopping()}, "got a dict. Write a list."),
    ],
)
def test_what_is_no_callback_is_refused(wrong, words):
    for given_to in (lambda: CallbackList([History(), wrong]), lambda: CallbackList().append(wrong)):
        with pytest.raises(ArgumentError) as caught:
            given_to()
        said = " ".join(str(caught.value).split())
        assert words in said and "callbacks=[EarlyStopping(patience=3)]" in said


def test_callbacks_written_for_keras_work():
    class Counting(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    counting = Counting()
    train(callbacks, counting, [{"loss": 1.0}] * 3)
    assert counting.epochs == 3


def test_a_subclass_may_forget_to_call_the_base():
    class Mine(Callback):
        def __init__(self, factor):
            self.factor = factor

        def on_epoch_end(self, epoch, logs=None):
            logs["scaled"] = self.factor * logs["loss"] + self.params["epochs"]

    assert train(callbacks, Mine(3), [{"loss": 2.0}] * 2)[2]["scaled"] == [8.0, 8.0]


def test_a_missing_callback_names_the_nearest():
    with pytest.raises(AttributeError, match="Did you mean 'EarlyStopping'"):
        callbacks.EarlyStoping  # noqa: B018
    with pytest.raises(ImportError, match="Did you mean 'EarlyStopping'"):
        from lamina.callbacks import EarlyStoping  # noqa: F401
