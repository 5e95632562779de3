"""Runs on tables that are interrupted: the stack keeps what it had learned of the first rows, and adapts only once."""

import numpy as np
import pandas as pd
import pytest
from dying import Die

import lamina as keras
from lamina import layers
from lamina._saving import checkpoint
from lamina.errors import DataError, FileError, LaminaWarning
from lamina.layers.feature_space import feature_space

RNG = np.random.default_rng(0)
ROWS = 120
TABLE = pd.DataFrame(
    {
        "a": RNG.normal(4, 3, ROWS), "b": RNG.normal(size=ROWS), "c": RNG.normal(size=ROWS),
        "day": pd.date_range("2020-01-01", periods=ROWS, freq="7h"), "k": RNG.integers(0, 4, ROWS),
        "note": RNG.choice(["a red house", "the old lake", "no word"], ROWS),
        "town": RNG.choice(["Rome", "Oslo"], ROWS), "w": RNG.normal(size=ROWS),
    }
)  # fmt: skip
TABLE.loc[::9, ["a", "town"]] = None
Y = RNG.normal(size=ROWS)
KINDS = {
    "a": "float_normalized", "b": "float_discretized", "c": "float_piecewise", "day": "date",
    "k": "integer_categorical", "note": "text", "town": "string_categorical", "w": "float_periodic",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch):
    monkeypatch.setattr(checkpoint, "_ended", {})


@pytest.fixture
def adapted(monkeypatch):
    """The numbers of rows that spaces were adapted to."""
    counts, adapt = [], feature_space.adapt

    def counting(space, table, every=None):
        counts.append(len(table))
        adapt(space, table, every)

    monkeypatch.setattr(feature_space, "adapt", counting)
    return counts


def stack(**changed):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.utils.FeatureSpace(KINDS | changed), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def fit(*data, folder=None, die=None, model=None, other=False):
    model = model or stack()
    keeping = folder and keras.callbacks.Checkpoint(str(folder), every=1, other_batches=other)
    model.fit(*data, epochs=3, verbose=0, callbacks=[Die(die)] if die else None, checkpoint=keeping)
    return model


def batches(change=lambda table: table):
    return lambda: ((change(TABLE[at : at + 32].copy()), Y[at : at + 32]) for at in range(0, ROWS, 32))


@pytest.mark.filterwarnings("ignore:a function has no positions")
@pytest.mark.parametrize("data", [(TABLE, Y), (batches(),)], ids=["frame", "stream"])
def test_a_resumed_run_is_the_whole_run_and_adapts_only_once(tmp_path, adapted, data):
    whole = fit(*data)
    with pytest.raises(ZeroDivisionError):
        fit(*data, folder=tmp_path, die=7)
    assert adapted == [ROWS, ROWS]
    again = fit(*data, folder=tmp_path)
    assert adapted == [ROWS, ROWS]
    assert all(map(np.array_equal, whole.get_weights(), again.get_weights()))
    np.testing.assert_array_equal(whole.predict(TABLE[::-1], verbose=0), again.predict(TABLE[::-1], verbose=0))
    again.layers[0].adapt(TABLE)  # by hand it still learns
    assert len(adapted) == 3


@pytest.mark.filterwarnings("ignore:a function has no positions")
def test_a_run_that_goes_on_with_other_batches_keeps_its_vocabulary(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fit(batches(), folder=tmp_path, die=7)
    moved = batches(lambda table: table.assign(town=table["town"].replace("Rome", "Bonn"), b=table["b"] + 3))
    with pytest.warns(LaminaWarning, match="the batches of x differ"):
        model = fit(moved, folder=tmp_path, other=True)
    first = fit(TABLE, Y).layers[0]
    kept, made = model.layers[0].preprocessors, first.preprocessors
    assert kept["town"].get_vocabulary() == made["town"].get_vocabulary()
    assert kept["b"].bin_boundaries == made["b"].bin_boundaries


def test_other_kinds_and_a_space_adapted_by_hand_are_another_run(tmp_path, adapted):
    with pytest.raises(ZeroDivisionError):
        fit(TABLE, Y, folder=tmp_path, die=7)
    by_hand = stack()
    by_hand.layers[0].adapt(TABLE[:50])
    for model in (stack(b="float"), stack(k="float"), by_hand):
        with pytest.raises(FileError, match="of another run"):
            fit(TABLE, Y, folder=tmp_path, model=model)
    assert by_hand.layers[0]._lamina.learned["a"].median == np.nanmedian(TABLE["a"][:50])


def test_what_was_learned_is_read_or_refused(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fit(TABLE, Y, folder=tmp_path, die=7)
    for name in checkpoint.states_in(str(tmp_path)):
        facts, arrays, _ = checkpoint.read(str(tmp_path / name))
        facts["learned"]["config"]["features"] = "os.system"
        (tmp_path / name).write_bytes(b"".join(checkpoint.packed(checkpoint.Saved(facts, arrays))))
    with pytest.raises(FileError, match="it cannot be read what 'feature_space"):
        fit(TABLE, Y, folder=tmp_path)


def test_adapt_by_hand_wins_over_fit(adapted):
    model = stack()
    model.layers[0].adapt(TABLE[:40])
    for _ in range(2):
        model.fit(TABLE, Y, verbose=0)
    assert adapted == [40]
    assert model.layers[0]._lamina.learned["a"].median == np.nanmedian(TABLE["a"][:40])


def test_a_renamed_column_is_an_error_in_evaluate_and_validation_data_of_both_kinds_of_models():
    numbers = TABLE[["b", "c", "w"]]
    plain = keras.Sequential([layers.Dense(1)])
    plain.compile("sgd", "mse")
    for model, table in ((plain, numbers), (stack(), TABLE)):
        model.fit(table, Y, verbose=0)
        before = model.get_weights()
        renamed = table.rename(columns={"c": "column"})
        for call in (
            lambda model=model, x=renamed: model.evaluate(x, Y, verbose=0),
            lambda model=model, x=renamed: model.predict(x, verbose=0),
            lambda model=model, x=renamed: model.fit(x, Y, verbose=0),
            lambda model=model, x=renamed, t=table: model.fit(t, Y, validation_data=(x, Y), verbose=0),
        ):
            with pytest.raises(DataError, match=r"columns? 'c'") as caught:
                call()
        assert str(caught.value).startswith("validation_data: ")
        assert all(map(np.array_equal, before, model.get_weights()))
        want = model.evaluate(table, Y, verbose=0)
        assert model.evaluate(table[sorted(table.columns, reverse=True)].assign(more=1), Y, verbose=0) == want
