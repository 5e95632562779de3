"""The small pipeline that the dataset makers return: its elements, its length, its order, and how `fit` reads it."""

import threading

import numpy as np
import pytest

import lamina
from lamina._data.dataset import Dataset, slices
from lamina._data.elements import stacked
from lamina.errors import ArgumentError, CallError, DataError, LaminaWarning
from lamina.layers import Dense, Input

X = np.arange(10, dtype="float32")


def values(dataset):
    return [np.asarray(element).tolist() for element in dataset]


def numbers(count=10):
    return slices(np.arange(count))


@pytest.mark.parametrize(
    ("made", "elements"),
    [
        (lambda d: d, [0, 1, 2, 3, 4]),
        (lambda d: d.map(lambda x: x * 2), [0, 2, 4, 6, 8]),
        (lambda d: d.map(lambda x: x * 2, num_parallel_calls=3), [0, 2, 4, 6, 8]),
        (lambda d: d.map(lambda x: x * 2, num_parallel_calls=-1, deterministic=True), [0, 2, 4, 6, 8]),
        (lambda d: d.batch(2), [[0, 1], [2, 3], [4]]),
        (lambda d: d.batch(2, drop_remainder=True), [[0, 1], [2, 3]]),
        (lambda d: d.batch(2).unbatch(), [0, 1, 2, 3, 4]),
        (lambda d: d.take(2), [0, 1]),
        (lambda d: d.take(9), [0, 1, 2, 3, 4]),
        (lambda d: d.take(-1), [0, 1, 2, 3, 4]),
        (lambda d: d.skip(3), [3, 4]),
        (lambda d: d.skip(9), []),
        (lambda d: d.skip(-1), []),
        (lambda d: d.repeat(2).take(7), [0, 1, 2, 3, 4, 0, 1]),
        (lambda d: d.repeat().skip(3).take(4), [3, 4, 0, 1]),
        (lambda d: d.take(0).repeat(), []),
        (lambda d: d.cache(), [0, 1, 2, 3, 4]),
        (lambda d: d.prefetch(-1), [0, 1, 2, 3, 4]),
        (lambda d: d.prefetch(1).batch(5), [[0, 1, 2, 3, 4]]),
    ],
)
def test_methods(made, elements):
    dataset = made(numbers(5))
    assert values(dataset) == elements
    assert values(dataset) == elements  # a second pass gives them again
    if dataset.cardinality() >= 0:
        assert len(dataset) == dataset.cardinality() == len(elements)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: numbers().repeat(), -1), (lambda: numbers().repeat(-1).batch(3), -1),
        (lambda: numbers().repeat(3), 30),
        (lambda: numbers().batch(2).unbatch(), -2), (lambda: numbers().repeat().take(4), 4),
        (lambda: numbers().repeat().skip(4), -1), (lambda: numbers().batch(2).unbatch().take(3).repeat(), -2),
    ],
)  # fmt: skip
def test_lengths(made, told):
    assert made().cardinality() == told
    if told < 0:
        with pytest.raises(CallError, match="the length of this dataset is"):
            len(made())
        with pytest.raises(TypeError):
            len(made())
    assert bool(made()) and repr(made()).startswith("<Dataset, length: ")


def test_elements_may_be_tuples_and_dicts_of_arrays_and_text():
    rows = slices(({"a": np.arange(3), "b": np.eye(3)}, ["x", "yy", "z"]))
    ((named, words),) = rows.batch(3)
    np.testing.assert_array_equal(named["a"], [0, 1, 2])
    np.testing.assert_array_equal(named["b"], np.eye(3))
    assert words.tolist() == ["x", "yy", "z"]
    first, word = next(rows.batch(2).unbatch().as_numpy_iterator())
    assert (first["a"], word) == (0, "x") and first["b"].tolist() == [1, 0, 0]


def test_map_gets_the_parts_of_a_tuple_one_by_one():
    pairs = slices((X, X * 10)).map(lambda x, y: (x + y, y))
    assert next(iter(pairs)) == (0, 0)
    assert next(iter(pairs.skip(2))) == (22, 20)


def test_padded_batch_puts_zeros_behind():
    rows = Dataset(lambda key: iter([np.ones((2, 1)), np.ones((3, 1)), np.ones((1, 1))]), 3)
    first, second = rows.padded_batch(2)
    assert first[..., 0].tolist() == [[1, 1, 0], [1, 1, 1]] and second.shape == (1, 1, 1)
    assert len(list(rows.padded_batch(2, drop_remainder=True))) == 1
    with pytest.raises(DataError, match=r"different shapes: \(2, 1\), \(3, 1\)"):
        next(iter(rows.batch(2)))


def test_padded_batch_takes_shapes_and_values_for_each_part():
    """The examples of TensorFlow's documentation."""
    rows = Dataset(lambda key: (np.full(n, n) for n in (1, 2, 3, 4)), 4)

    def batches(*told, **named):
        return [batch.tolist() for batch in rows.padded_batch(2, *told, **named)]

    assert batches() == [[[1, 0], [2, 2]], [[3, 3, 3, 0], [4, 4, 4, 4]]]
    assert batches(padded_shapes=[5])[0] == batches((5,))[0] == [[1, 0, 0, 0, 0], [2, 2, 0, 0, 0]]
    assert batches(padding_values=-1) == batches([None], -1) == batches([-1], -1) == [
        [[1, -1], [2, 2]], [[3, 3, 3, -1], [4, 4, 4, 4]]
    ]  # fmt: skip
    pairs = rows.map(lambda x: (x, {"text": str(x[0]), "more": x * 10}))
    first, parts = next(iter(pairs.padded_batch(2, ([4], {"text": [], "more": [3]}), (-1, {"text": "", "more": 100}))))
    assert first.tolist() == [[1, -1, -1, -1], [2, 2, -1, -1]] and parts["text"].tolist() == ["1", "2"]
    assert parts["more"].tolist() == [[10, 100, 100], [20, 20, 100]] and first.dtype == np.full(1, 1).dtype
    words = Dataset(lambda key: iter([np.array(["a"]), np.array(["b", "cc"])]), 2)
    assert next(iter(words.padded_batch(2))).tolist() == [["a", ""], ["b", "cc"]]
    with pytest.raises(DataError, match=r"padded_shapes=\[1\].*too small for the arrays of a batch, \(1,\), \(2,\)"):
        batches([1])
    with pytest.raises(DataError, match="too small"):
        batches([None, None])
    with pytest.raises(DataError, match="padded_shapes has 3 parts, and an element of the data has 2"):
        next(iter(pairs.padded_batch(2, ([4], [], []))))
    with pytest.raises(DataError, match="the same number of axes"):
        next(iter(Dataset(lambda key: iter([np.ones(1), np.ones((1, 1))]), 2).padded_batch(2)))


def test_a_shuffle_holds_each_element_once_in_a_new_order_each_pass():
    for size in (3, 10, 100):
        shuffled = numbers(40).shuffle(size)
        first, second = values(shuffled), values(shuffled)
        assert sorted(first) == sorted(second) == list(range(40))
        assert first != second and first != list(range(40))
        assert max(place - first.index(place) for place in range(40)) >= 1
        assert all(first.index(value) > value - size for value in range(40))  # none comes before it could be drawn


def test_the_order_of_a_shuffle_is_that_of_its_seed():
    once, again, other = (numbers().shuffle(10, seed=seed) for seed in (3, 3, 4))
    assert [values(once), values(once)] == [values(again), values(again)]
    assert values(numbers().shuffle(10, seed=3)) != values(other)
    lamina.utils.set_random_seed(5)
    drawn = values(numbers().shuffle(10))
    lamina.utils.set_random_seed(5)
    assert values(numbers().shuffle(10)) == drawn


def test_two_shuffles_in_a_line_have_different_orders():
    places = values(numbers(50).shuffle(50, seed=1))
    assert values(numbers(50).shuffle(50, seed=1).shuffle(50, seed=1)) != [places[place] for place in places]


def test_a_shuffle_that_keeps_its_order_can_be_split():
    for seed in (None, 2):
        shuffled = numbers(20).shuffle(20, seed=seed, reshuffle_each_iteration=False)
        assert values(shuffled) == values(shuffled)
        assert sorted(values(shuffled.take(5)) + values(shuffled.skip(5))) == list(range(20))


def test_repeat_shuffles_anew_each_time():
    orders = np.reshape(values(numbers(20).shuffle(20).repeat(3)), (3, 20))
    assert (np.sort(orders, 1) == np.arange(20)).all()
    assert len({tuple(order) for order in orders.tolist()}) == 3


def test_cache_reads_once():
    read = []
    cached = numbers(3).map(lambda x: read.append(x) or x).cache()
    assert next(iter(cached)) == 0 and values(cached) == values(cached) == [0, 1, 2]
    assert read == [0, 0, 1, 2]
    with pytest.warns(LaminaWarning, match="kept in memory"):
        numbers().cache("/tmp/file")


def test_threads_end_with_the_pass():
    before = threading.active_count()
    passing = iter(numbers(50).map(lambda x: x, num_parallel_calls=4).prefetch(2))
    next(passing)
    assert threading.active_count() > before
    passing.close()
    assert threading.active_count() == before


def test_an_error_in_map_comes_as_it_is():
    def fail(x):
        raise KeyError("no")

    for threads in (None, 2):
        with pytest.raises(KeyError, match="no"):
            list(numbers().map(fail, num_parallel_calls=threads).prefetch(1))


def test_names_of_classes_stay():
    named = Dataset(lambda key: iter(X), 10, ["cat", "dog"], ["a.png"])
    assert named.batch(2).prefetch().class_names == ["cat", "dog"] and named.file_paths == ["a.png"]
    assert not hasattr(numbers(), "class_names")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: numbers().batch(0), r"batch\(batch_size=0\)"),
        (lambda: numbers().shuffle(0), r"shuffle\(buffer_size=0"),
        (lambda: numbers().repeat(0), r"repeat\(count=0\)"), (lambda: numbers().take(1.5), r"take\(count=1.5\)"),
        (lambda: numbers().shuffle(3, seed="a"), r"shuffle\(seed='a'\)"), (lambda: numbers().prefetch(0), "prefetch"),
        (lambda: numbers().map(abs, num_parallel_calls=0), "num_parallel_calls"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(call, told):
    with pytest.raises(ArgumentError, match=told):
        call()


def test_slices_need_one_length():
    with pytest.raises(DataError, match="same number of rows, got 2, 3"):
        slices((np.ones(2), np.ones(3)))


def test_stacked_keeps_dtypes():
    assert stacked([np.float16(1), np.float16(2)]).dtype == "float16"


@pytest.fixture(scope="module")
def model():
    made = lamina.Sequential([Input((1,)), Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_fit_evaluate_and_predict_take_one(model):
    rows = slices((X[:, None] / 10, X[:, None] / 5))
    history = model.fit(rows.shuffle(10).batch(4).prefetch(-1), epochs=2, validation_data=rows.batch(5), verbose=0)
    assert len(history.history["val_loss"]) == 2
    loss = model.evaluate(rows.batch(3), verbose=0)
    np.testing.assert_allclose(loss, model.evaluate(X[:, None] / 10, X[:, None] / 5, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(model.predict(rows.batch(4), verbose=0), model.predict(X[:, None] / 10, verbose=0))
    with pytest.raises(DataError, match="looks like a single row"):
        model.evaluate(slices((X, X)), verbose=0)


def test_fit_shuffles_anew_in_each_epoch_as_a_function_of_the_seed(model):
    def orders():
        seen = []
        rows = slices((X[:, None], X[:, None])).shuffle(10).map(lambda x, y: seen.append(int(x[0])) or (x, y)).batch(5)
        lamina.utils.set_random_seed(3)
        made = lamina.Sequential([Input((1,)), Dense(1)])
        made.compile("sgd", "mse")
        made.fit(rows, epochs=2, verbose=0)
        return seen[:10], seen[10:]

    first, second = orders()
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert orders() == (first, second)


class Stop(lamina.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_a_run_that_is_resumed_reads_what_is_left_in_the_same_order(tmp_path):
    """No element of the epochs before is read again, so there is no warning; that of the epoch under way is."""

    def fit(**arguments):
        lamina.utils.set_random_seed(1)
        seen = []
        rows = slices((X[:, None] / 10, X)).shuffle(10).cache().shuffle(10)
        rows = rows.map(lambda x, y: seen.append(int(y)) or (x, y)).batch(5)
        made = lamina.Sequential([Input((1,)), Dense(1)])
        made.compile("adam", "mse")
        try:
            made.fit(rows, epochs=4, verbose=0, **arguments)
        except KeyboardInterrupt:
            assert len(seen) == 30
        return seen, made.get_weights()

    whole, weights = fit()
    fit(checkpoint=tmp_path / "run", callbacks=[Stop()])
    rest, resumed = fit(checkpoint=tmp_path / "run")
    assert rest[-20:] == whole[20:] and len(rest) == 30  # one pass more, to look at the first batch
    for mine, its in zip(resumed, weights, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_dataset_without_end_needs_the_number_of_steps(model):
    endless = slices((X[:, None], X[:, None])).repeat().batch(4)
    assert len(model.fit(endless, steps_per_epoch=3, epochs=2, verbose=0).history["loss"]) == 2
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(DataError, match=r"without an end.\nSet the number"):
            call(endless, verbose=0)
