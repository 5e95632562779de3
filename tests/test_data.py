"""What goes into `fit`: arrays, lists, frames and streams become tables; what cannot be fed is refused in words."""

import importlib
import os
import threading
import time
from datetime import datetime, timedelta
from decimal import Decimal

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
import scipy.sparse
from jax.experimental import sparse
from keras.src.trainers.data_adapters.array_slicing import train_validation_split
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

import lamina
from lamina._checks.values import finite
from lamina._data.arrays import numbers
from lamina._data.sample_weights import class_weights, split
from lamina._data.source import Table, arrays, is_stream
from lamina._data.stream import Stream
from lamina._settings.strictness import strictness
from lamina.errors import ArgumentError, DataError, LabelError, LaminaWarning
from lamina.random import set_random_seed
from lamina.utils import FeatureSpace

X = np.arange(12, dtype="float32").reshape(4, 3)
Y = np.array([0, 1, 1, 0])


def refusal(call, *fragments, error=DataError):
    """The message of the error that `call` raises: it has the fragments, and at most 15 lines."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) <= 15
    for fragment in fragments:
        assert fragment in message, message
    return message


# What is taken, and what it becomes.


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.float64, "float32"), (np.float16, "float32"), (jnp.bfloat16, "float32"), (">f4", "float32"),
        (np.int64, "int32"), (np.uint64, "int32"), (np.int32, "int32"), (">i2", "int16"), (np.int8, "int8"),
        (np.uint8, "uint8"), (np.uint32, "uint32"), (bool, "uint8"), (object, "int32"),
    ],
)  # fmt: skip
def test_dtypes(given, dtype):
    values = np.array([[0, 1], [1, 0]])
    made = arrays(values.astype(given)).x
    assert made.dtype == dtype and made.dtype.isnative
    np.testing.assert_array_equal(made, values)


@pytest.mark.parametrize("floatx", ["float16", "bfloat16", "float64"])
def test_floatx(floatx):
    table = arrays([[0.5, 2.0]], [1.0], [0.25], floatx=floatx)
    assert {table.x.dtype.name, table.y.dtype.name, table.sample_weight.dtype.name} == {floatx}


def test_integers_too_great_for_32_bits_become_floats():
    seconds = np.array([[1_700_000_000_000], [1_700_000_001_000]])
    assert arrays(seconds).x.dtype == "float32"
    np.testing.assert_allclose(arrays(seconds).x, seconds, rtol=1e-6)
    edge = np.array([[-(2**31)], [2**31 - 1]])
    assert arrays(edge).x.dtype == "int32"
    np.testing.assert_array_equal(arrays(edge).x, edge)


def test_a_float_beyond_float32_is_an_infinity_without_a_warning():
    assert np.isinf(arrays([[1e300]]).x[0, 0])


def test_nothing_is_copied_that_need_not_change():
    assert np.shares_memory(arrays(X).x, X)
    mask = np.array([[True, False]])
    assert np.shares_memory(arrays(mask).x, mask)
    assert arrays(X, Y).y.ndim == 1


def test_memory_mapped_files_stay_on_disk(tmp_path):
    X.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", "float32", "r", shape=X.shape)
    assert np.shares_memory(arrays(mapped).x, mapped)


@pytest.mark.parametrize(
    "made",
    [
        lambda: X.tolist(),
        lambda: tuple(map(tuple, X.tolist())),
        lambda: list(X),
        lambda: list(jnp.asarray(X)),
        lambda: [X],
        lambda: jnp.asarray(X),
        lambda: scipy.sparse.csr_matrix(X),
        lambda: scipy.sparse.coo_array(X),
        lambda: sparse.BCOO.fromdense(X),
        lambda: np.ma.MaskedArray(X, mask=False),
        lambda: X.view(np.matrix),
        lambda: np.array(X.tolist(), dtype=object),
        lambda: np.array([*map(list, X), None], dtype=object)[:-1],
        lambda: type("Tensor", (), {"__array__": lambda self, dtype=None, copy=None: X})(),
        lambda: pd.DataFrame(X),
        lambda: pd.DataFrame([[Decimal(int(n)) for n in row] for row in X]),
        lambda: pd.DataFrame(X, columns=["a", "b", "a"]),
        lambda: pd.DataFrame(X, columns=["a", "b", "c"], dtype="Float32"),
        lambda: pd.DataFrame(X, columns=["a", "b", "c"]).astype({"b": "Int64"}),
    ],
    ids=lambda made: str(made.__code__.co_firstlineno),
)
def test_containers(made):
    x = arrays(made(), Y).x
    assert type(x) is np.ndarray and x.dtype in ("float32", "int32")
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    "made",
    [range(4), [0, 1, 2, 3], pd.Series([0, 1, 2, 3]), pd.Index([0, 1, 2, 3]), [np.arange(4)], list(jnp.arange(4))],
)
def test_targets_stay_flat(made):
    y = arrays(X, made).y
    assert y.dtype == "int32"
    np.testing.assert_array_equal(y, [0, 1, 2, 3])


def test_lists_of_one_array_each_are_the_arrays_as_in_keras():
    table = arrays([X], [Y], [np.ones(4)])
    assert (table.x.shape, table.y.shape, table.sample_weight.shape) == ((4, 3), (4,), (4,))
    assert arrays([X]).x.shape == (4, 3)
    assert arrays([X[0]]).x.shape == (1, 3)


def test_a_list_of_images_is_rows_where_the_targets_say_so():
    images = [np.full((5, 5), i, "uint8") for i in range(4)]
    assert arrays(images, Y).x.shape == (4, 5, 5)
    assert arrays(images, Y).x.dtype == "uint8"


def test_frames_keep_the_names_of_their_columns():
    table = arrays(pd.DataFrame({"age": [30, 41], "paid": [True, False], 7: [0.5, 1.5]}))
    assert table.columns == ("age", "paid", "7")
    np.testing.assert_array_equal(table.x, np.array([[30, 1, 0.5], [41, 0, 1.5]], "float32"))
    assert table.x.dtype == "float32"


def test_columns_of_a_frame_go_by_name(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = lamina.Sequential([lamina.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(frame, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    right = model.predict(X, verbose=0)
    swapped = frame[["c", "a", "b"]].assign(text="more")
    kinds = swapped, polars.from_pandas(swapped), pyarrow.Table.from_pandas(swapped), pd.DataFrame(X), X
    renamed = frame.rename(columns={"a": "z"})
    said = "x lacks the columns 'a' that the model was trained on, and has 'z'"
    for one in (model, lamina.models.load_model(tmp_path / "model.keras")):
        for same in kinds:
            np.testing.assert_array_equal(one.predict(same, verbose=0), right)
        np.testing.assert_array_equal(one.predict(iter([swapped]), verbose=0), right)
        np.testing.assert_array_equal(one(swapped), right)
        assert one.evaluate(swapped, Y, verbose=0) == one.evaluate(X, Y, verbose=0)
        assert one.evaluate([(swapped, Y)], verbose=0) == one.evaluate(X, Y, verbose=0)
        refusal(lambda one=one: one.predict(renamed), said, "x.rename(columns={'z': 'a'})")
        refusal(lambda one=one: one.evaluate([(renamed, Y)]), "batch 0 of x: ", said)
        refusal(lambda one=one: one.fit(frame, Y, validation_data=(renamed, Y)), "lacks the columns 'a'")
    twin = lamina.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile("sgd", "mse")
    model.compile("sgd", "mse")
    model.fit(swapped, Y, validation_data=(swapped, Y), shuffle=False, verbose=0)
    twin.fit(X, Y, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])
    refusal(lambda: model.fit(frame.rename(columns={"b": "y"}), Y), "lacks the columns 'b'")


def test_frames_of_whole_numbers_stay_whole():
    frame = pd.DataFrame({"a": [1, 2], "b": np.array([3, 4], "uint8"), "c": [True, False]})
    assert arrays(frame).x.dtype == "int32"
    assert arrays(frame[["c"]]).x.dtype == "uint8"
    assert arrays(pd.DataFrame({"a": pd.Series([1, 2], dtype="uint32"), "b": [-1, 2]})).x.dtype == "int32"


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", object, "Sparse[float64]"])
def test_gaps_in_a_column_become_nan(dtype):
    column = pd.array([1, None, 0], dtype="Int64") if dtype != "boolean" else pd.array([True, None, False])
    series = pd.Series(column).astype("float64" if "Sparse" in str(dtype) else dtype).astype(dtype)
    for frame in (pd.DataFrame({"a": series, "b": [1, 2, 3]}), pd.DataFrame({"a": series})):
        np.testing.assert_array_equal(arrays(frame).x[:, 0], [1, np.nan, 0])
    np.testing.assert_array_equal(arrays(series).x, [1, np.nan, 0])


def frames_of(library):
    columns = {"i": [1, None, 3], "f": [0.5, 1.5, None], "b": [True, False, None]}
    if library == "arrow-backed pandas":
        return pd.DataFrame({k: pd.array(v, pd.ArrowDtype(pyarrow.array(v).type)) for k, v in columns.items()})
    module = importlib.import_module(library)
    return module.DataFrame(columns) if library == "polars" else module.table(columns)


@pytest.mark.parametrize("library", ["polars", "pyarrow", "arrow-backed pandas"])
def test_other_frames(library):
    table = arrays(frames_of(library), [1, 2, 3])
    assert table.columns == ("i", "f", "b")
    np.testing.assert_array_equal(table.x, np.array([[1, 0.5, 1], [np.nan, 1.5, 0], [3, np.nan, np.nan]], "float32"))
    series = frames_of(library)["f"]
    np.testing.assert_array_equal(arrays(series).x, np.array([0.5, 1.5, np.nan], "float32"))


def test_polars_text_and_lazy_frames_are_refused_in_its_own_words():
    frame = polars.DataFrame({"n": [1, 2], "c": ["a", "b"]})
    refusal(lambda: arrays(frame), "'c' (text)", "keras.utils.FeatureSpace.from_frame(x).")
    refusal(lambda: arrays(frame.lazy()), "x is a LazyFrame", "x.collect()")
    lists = polars.DataFrame({"n": [1, 2], "v": [[1, 2], [3, 4]]})
    refusal(lambda: arrays(lists), "'v' (list)", "column_stack([x.drop(['v']), numpy.stack(x['v'])])")
    np.testing.assert_array_equal(arrays(lists["v"]).x, [[1, 2], [3, 4]])
    quoted = polars.DataFrame({"n": ["1", "2.5", None]})
    refusal(lambda: arrays(quoted), "keras.utils.FeatureSpace.from_frame(x, {'n': 'float_normalized'})")
    moments = polars.DataFrame({"t": [datetime(2024, 1, 1, 5)], "d": [timedelta(hours=1)]})
    refusal(lambda: arrays(moments), "'t' (date), 'd' (duration)", "keras.utils.FeatureSpace.from_frame(x)")


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_gaps_are_filled_by_the_first_layer(library):
    frame = frames_of(library)
    with pytest.raises(DataError, match=r"keras\.utils\.FeatureSpace\.from_frame\(x\)"):
        finite(arrays(frame))
    space = FeatureSpace.from_frame(frame)
    space.adapt(frame)
    assert np.isfinite(space(frame)).all()


def test_torch_tensors():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensor = torch.tensor(X, requires_grad=True)
    for made in (tensor, tensor.to(torch.bfloat16), list(tensor)):
        np.testing.assert_array_equal(arrays(made, Y).x, X)
    assert is_stream(torch.utils.data.DataLoader([1])) and not is_stream(tensor)


# What is refused.


@pytest.mark.parametrize(
    "row", [np.ones(3), [1, 2], (1.0, 2.0), np.ones((2, 2))], ids=["array", "list", "tuple", "2-D"]
)
def test_columns_of_arrays(row):
    column = pd.Series([row, row])
    frame = pd.DataFrame({"v": column, "n": [1, 2]})
    refusal(lambda: arrays(frame[["v"]]), "x has columns that are not numbers: 'v' (list)", "numpy.stack(x['v'])")
    refusal(lambda: arrays(X[:2], frame), "y = numpy.column_stack([y.drop(columns=['v']), numpy.stack(y['v'])])")
    assert arrays(column).x.shape == arrays(np.stack(frame["v"])).x.shape == (2, *np.shape(row))
    if np.ndim(row) == 1:
        assert len(arrays(np.column_stack([frame.drop(columns=["v"]), np.stack(frame["v"])])).x) == 2


def test_lengths():
    refusal(lambda: arrays(X, Y[:3]), "x has 4 rows and y has 3: shapes (4, 3) and (3,)")
    refusal(lambda: arrays(X.T, Y), "x = x.T")
    refusal(lambda: arrays(X, Y, np.ones(5)), "x has 4 rows and sample_weight has 5")
    refusal(lambda: arrays(X, Y[:3], names=("inputs", "labels")), "inputs has 4 rows and labels has 3")


def test_empty_and_single_values():
    refusal(lambda: arrays(np.zeros((0, 8))), "x is empty: its shape is (0, 8)")
    refusal(lambda: arrays([]), "x is empty")
    refusal(lambda: arrays(pd.DataFrame({"a": [1, 2]})[[]]), "x is empty")
    refusal(lambda: arrays(np.float32(3.5)), "x is the single value 3.5", "numpy.array([[...]])")
    refusal(lambda: arrays(X, 1), "y is the single value 1")
    refusal(lambda: arrays(None), "x is missing")
    refusal(lambda: arrays(object()), "x is a object; expected an array")


def test_ragged_rows_are_named():
    refusal(lambda: arrays([[1, 2], [3, 4], [5]]), "x[0] has shape (2,), x[2] has (1,)", "pad_sequences(x)")
    refusal(lambda: arrays([[1, 2], [[3], [4, 5]]]), "x[1] has parts of different lengths")
    refusal(lambda: arrays([[[1], [2, 3]], [[1], [2]]]), "the parts of x[0] have different lengths")
    refusal(lambda: arrays([np.ones(2), np.ones(3)]), "x[1] has (3,)")
    odd = np.empty(2, dtype=object)
    odd[:] = [[1, 2], [3]]
    refusal(lambda: arrays(odd), "x[0] has shape (2,), x[1] has (1,)")


def test_text():
    refusal(
        lambda: arrays(np.array([["a", "b"]])),
        "x holds text ('a', 'b')",
        "x = pandas.DataFrame(x)",
        "keras.utils.FeatureSpace.from_frame(x)",
    )
    refusal(
        lambda: arrays(X, ["cat", "dog", "cat", "ox"]),
        "y holds text ('cat', 'dog', 'ox')",
        "classes, y = numpy.unique(y",
    )
    refusal(lambda: arrays(X, pd.Series(list("abab"))), "y holds text ('a', 'b')", "numpy.unique")
    refusal(lambda: arrays(X, pd.Series(list("abab"), dtype="category")), "y holds text ('a', 'b')")
    refusal(lambda: arrays([["1", "2.5"]]), "The text holds numbers; convert it: x.astype('float32')")
    refusal(lambda: arrays(np.array([[1, "a", 2, "b"]], dtype=object)), "text in columns 1, 3 ('a', 'b')")
    refusal(lambda: arrays("text"), "x is the text 'text'", "numpy.load")
    refusal(lambda: arrays(np.array([b"\x01a"])), "x holds text")


def test_columns_that_are_no_numbers_are_named():
    frame = pd.DataFrame({
        "age": [1, 2], "work": ["a", "b"], "kind": pd.Categorical(["u", "v"]),
        "born": pd.to_datetime(["2020-01-01"] * 2),
    })  # fmt: skip
    message = refusal(
        lambda: arrays(frame),
        "'work' (text), 'kind' (category), 'born' (date)",
        "keras.utils.FeatureSpace.from_frame(x).",
    )
    assert "age" not in message
    refusal(lambda: arrays(np.ones((2, 1)), frame[["work"]]), "numpy.unique(y['work'], return_inverse=True)")
    wide = pd.DataFrame({f"c{i}": ["a"] for i in range(40)})
    refusal(lambda: arrays(wide), "'c7' (text) and 32 more")
    refusal(lambda: arrays(pd.DataFrame({"m": np.array([1, "a"], object), "n": [1, 2]})), "x['m'] holds text ('a')")


def test_other_values():
    refusal(lambda: arrays(np.array(["2020-01-01"], "M8[D]")), "x holds dates (datetime64[D])")
    refusal(lambda: arrays(pd.Series(pd.to_timedelta([1, 2]))), "x holds durations")
    refusal(lambda: arrays(np.array([1j])), "x holds complex numbers (complex128)")
    refusal(lambda: arrays(np.zeros(2, [("a", "f4")])), "x holds records")
    refusal(lambda: arrays(np.array([[object()]])), "x holds a object")
    refusal(lambda: arrays(np.ma.masked_equal([[1, 2], [3, 1]], 1)), "x has 2 masked values", "x.filled(0)")


def test_a_stack_takes_one_tensor():
    refusal(
        lambda: arrays([X, X], Y), "x is a list of 2 arrays, (4, 3), (4, 3)", "takes one tensor", "numpy.concatenate(x"
    )
    refusal(lambda: arrays([X, X[:, :2]]), "takes one tensor", "numpy.stack(x)")
    refusal(lambda: arrays({"left": X, "right": X}), "x is a dict of 'left', 'right'", "takes one tensor")


def test_the_errors_are_those_of_keras_too():
    for wrong in ([X, Y[:3]], [np.zeros((0, 8))], [[["a"]]]):
        with pytest.raises(ValueError, match="x"):
            arrays(*wrong)


# Weights.


@pytest.mark.parametrize(
    "y",
    [np.array([0, 2, 1, 2]), np.array([[0.0], [2], [1], [2]]), np.eye(3)[[0, 2, 1, 2]], np.eye(3, dtype=int)[[1, 2]]],
)
def test_class_weights_equal_keras(y):
    weights = {0: 0.5, 1: 2.0, 2: 3, 7: 9.0}
    made = class_weights(weights, y)
    assert made.dtype == "float32"
    np.testing.assert_array_equal(made, class_weight_to_sample_weights(y, weights))


def test_balanced_class_weights():
    y = np.array([0, 0, 0, 5])
    np.testing.assert_allclose(class_weights("balanced", y), [4 / 6, 4 / 6, 4 / 6, 2], rtol=1e-6)
    assert class_weights("balanced", y).sum() == pytest.approx(len(y))


def test_a_class_without_a_weight_weighs_one_where_that_is_only_said(monkeypatch):
    monkeypatch.setitem(strictness, "missing_class", "warn")
    y, weights = np.array([0, 2, 1, 2]), {0: 0.5, 1: 3}
    words = "^class_weight has weights only for classes 0, 1; other classes in y get the weight 1.$"
    with pytest.warns(LaminaWarning, match=words):
        made = class_weights(weights, y)
    np.testing.assert_array_equal(made, class_weight_to_sample_weights(y, weights))


def test_class_weights_refused():
    refusal(
        lambda: class_weights({0: 1}, np.array([0, 1, 2])),
        "no weight for classes 1, 2",
        "it has weights for class 0",
        error=LabelError,
    )
    refusal(lambda: class_weights({0: 1}, Y, np.ones(4)), "cannot be given together", error=ArgumentError)
    refusal(lambda: class_weights({0: 1}, None), "y is None", error=LabelError)
    refusal(lambda: class_weights({0: 1}, np.array([0.0, 0.5])), "y[1] is 0.5", "use sample_weight", error=LabelError)
    refusal(lambda: class_weights({0: 1}, np.ones((3, 2))), "not one-hot", error=LabelError)
    refusal(lambda: class_weights([1.0, 5.0], Y), "[1.0, 5.0]", "dict(enumerate(class_weight))", error=ArgumentError)
    refusal(lambda: class_weights({"0": 1.0}, Y), "the class '0'", error=ArgumentError)
    refusal(lambda: class_weights({0: -1.0}, Y), "the weight -1.0 for class 0", error=ArgumentError)
    refusal(lambda: class_weights("balance", Y), "\"balanced\", got 'balance'", error=ArgumentError)


@pytest.mark.parametrize("rows", [2, 5, 10, 33, 1000])
@pytest.mark.parametrize("share", [0.1, 0.2, 1 / 3, 0.5, 0.9])
def test_split_equals_keras(rows, share):
    x, y = np.arange(rows, dtype="float32")[:, None], np.arange(rows) % 2
    try:
        expected = train_validation_split((x, y), share)
    except ValueError:
        refusal(lambda: split(Table(x, y), share), f"{rows} row", "leaves nothing to")
        return
    for table, (kx, ky) in zip(split(Table(x, y, columns=("a",)), share), expected, strict=True):
        np.testing.assert_array_equal(table.x, kx[:])
        np.testing.assert_array_equal(table.y, ky[:])
        assert table.columns == ("a",) and table.sample_weight is None


@pytest.mark.parametrize("share", [0, 1, -0.2, 1.5, True])
def test_split_takes_a_share(share):
    refusal(lambda: split(Table(X), share), "validation_split", repr(share), error=ArgumentError)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.repeat([0, 1, 2], 50), "class 2 makes up 17% of the rows before and 100% of the last rows"),
        (np.eye(3)[np.repeat([0, 1, 2], 50)], "class 2 makes up"),
        (np.repeat([4.0, -1.0], 200)[:, None], "class -1 makes up"),
        (np.sort(np.random.default_rng(0).normal(size=100)), "y is sorted"),
        (np.arange(100)[::-1] * 1000, "y is sorted"),
    ],
)
def test_a_tail_unlike_the_rest_is_said(y, said):
    with pytest.warns(LaminaWarning, match="Shuffle before fit") as caught:
        split(Table(np.zeros((len(y), 1), "float32"), y), 0.2)
    assert said in str(caught[0].message)
    assert os.path.basename(caught[0].filename) == "test_data.py"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_a_random_tail_is_not_remarked_on(share):
    random = np.random.default_rng(1)
    for _ in range(200):  # warnings are errors in this suite
        rows, classes = random.integers(2, 400), random.integers(1, 30)
        y = random.integers(0, classes, rows) ** random.integers(1, 2)
        at = int(np.floor(rows * (1 - share)))
        if 0 < at < rows:
            split(Table(np.zeros((rows, 1)), y), share)
            split(Table(np.zeros((rows, 1)), random.normal(size=rows)), share)
    split(Table(np.zeros((100, 1)), np.ones(100)), share)
    split(Table(np.zeros((100, 1)), (random.random((100, 5)) > 0.5).astype(int)), share)
    split(Table(np.zeros((100, 1))), share)


# Streams.


def batches(count=3, rows=4):
    for i in range(count):
        yield np.full((rows, 2), i, "float64"), np.full(rows, i)


def firsts(epoch):
    return [int(table.x[0, 0]) for table in epoch]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (X, False), (X.tolist(), False), ([], False), ([1, 2], False), (range(3), False), ("ab", False), (None, False),
        (3.5, False), ({"a": X}, False), ((X, Y), False), ([X, X], False),
        (pd.DataFrame(X), False), (pd.Series(Y), False),
        (scipy.sparse.csr_matrix(X), False), (jnp.asarray(X), False), (list(zip(X, Y, strict=True)), True),
        ([(1.0, 2.0), (3.0, 4.0)], False), ([([1, 2], [3, 4])], False),
        ([(X, Y)], True), ([[X, Y]], True), ([(X,)], True),
        (batches(), True), (batches, True), (iter([1]), True), (zip([X], [Y], strict=True), True),
        (type("Loader", (), {"__iter__": lambda self: batches()})(), True),
        (type("Indexed", (), {"__getitem__": lambda self, i: (X, Y), "__len__": lambda self: 1})(), True),
    ],
)  # fmt: skip
def test_streams_are_told_from_arrays(value, answer):
    assert is_stream(value) is answer


def test_batches_are_tables():
    first, second = Stream([(X, Y, np.ones(4)), [X.tolist(), Y.tolist()]]).epoch()
    assert first.sample_weight.dtype == "float32" and second.sample_weight is None
    assert second.x.dtype == "float32" and second.y.dtype == "int32"
    (only,) = Stream(iter([X])).epoch()
    assert only.y is None and only.rows == 4
    (frame,) = Stream([(pd.DataFrame({"a": [1.0], "b": [2.0]}), pd.Series([1]))]).epoch()
    assert frame.columns == ("a", "b")
    (wide,) = Stream(iter([X]), floatx="float64").epoch()
    assert wide.x.dtype == "float64"


@pytest.mark.parametrize(
    "made", [lambda: list(batches()), lambda: batches, lambda: Indexed(3), lambda: lambda: Indexed(3)]
)
def test_what_can_be_opened_again_is(made):
    stream = Stream(made())
    stream.expect(3, None)
    assert [firsts(stream.epoch()) for _ in range(3)] == [[0, 1, 2]] * 3
    assert stream.steps == 3


@pytest.mark.parametrize("made", [lambda: list(batches()), lambda: batches, lambda: Indexed(3)])
def test_steps_go_on_where_the_last_epoch_stopped(made):
    """And they end with the source, with a warning, as in Keras; the next epoch begins anew."""
    stream = Stream(made())
    with pytest.warns(LaminaWarning) as warned:
        seen = [firsts(stream.epoch(steps)) for steps in (2, 2, 2, 2, 7)]
    assert seen == [[0, 1], [2], [0, 1], [2], [0, 1, 2]]
    assert [str(each.message).split(" in this")[0] for each in warned] == [
        "x ran out of batches: 1 of 2", "x ran out of batches: 1 of 2", "x ran out of batches: 3 of 7"
    ]  # fmt: skip
    assert [firsts(stream.epoch(3)) for _ in range(2)] == [[0, 1, 2]] * 2
    assert firsts(stream.epoch(2, anew=True)) == [0, 1]
    assert firsts(stream.epoch()) == [0, 1, 2]


def test_generators_go_on_and_are_not_read_ahead_of_the_epoch():
    pulled = []

    def source():
        for batch in batches(9):
            pulled.append(1)
            yield batch

    stream = Stream(source())
    assert stream.steps is None
    assert firsts(stream.epoch(2)) == [0, 1]
    assert len(pulled) == 2
    assert firsts(stream.epoch(3, anew=True)) == [2, 3, 4]
    assert firsts(stream.epoch()) == [5, 6, 7, 8]


def test_generators_that_run_dry():
    stream = Stream(batches(3))
    refusal(lambda: stream.expect(2, None), "x is a generator, which can be read once", "epochs=2", "steps_per_epoch")
    stream.expect(1, None)
    stream.expect(2, 2)
    assert firsts(stream.epoch(2)) == [0, 1]
    with pytest.warns(LaminaWarning, match="x ran out of batches: 1 of 2 in this epoch"):
        assert firsts(stream.epoch(2)) == [2]
    with pytest.warns(LaminaWarning, match="x ran out of batches: none in this epoch"):
        assert firsts(stream.epoch(2)) == []
    assert stream.over
    spent = batches(1)
    assert firsts(Stream(spent).epoch()) == [0]
    refusal(lambda: firsts(Stream(spent).epoch(2)), "it has no more batches", "fit(make_batches)", "DataLoader")


def test_streams_without_batches():
    refusal(lambda: firsts(Stream(lambda: iter(())).epoch()), "x gave no batch")
    refusal(lambda: firsts(Stream(lambda: iter(())).epoch(5)), "x gave no batch")
    refusal(lambda: firsts(Stream(batches(0), name="validation_data").epoch()), "validation_data is a generator")
    refusal(lambda: firsts(Stream(lambda: 5).epoch()), "x() gave a int", "a generator")


def test_targets_beside_a_stream_are_refused():
    refusal(lambda: Stream(batches(), Y), "y cannot be given where x is a generator", "(x, y)")
    refusal(lambda: Stream([(X, Y)], None, Y), "sample_weight cannot be given where x is a list")
    refusal(lambda: arrays(batches(), Y), "x is a generator", "Its batches have to hold the targets")
    refusal(lambda: arrays([(X, Y)]), "x is a list, a stream of batches. An array is expected here")


def test_class_weights_of_a_stream():
    weights = {0: 0.5, 1: 2.0, 2: 3.0}
    for table in Stream(list(batches()), class_weight=weights).epoch():
        np.testing.assert_array_equal(table.sample_weight, class_weight_to_sample_weights(table.y, weights))
    refusal(
        lambda: firsts(Stream(batches(), class_weight={0: 1.0}).epoch()),
        "batch 1 of x: class_weight has no weight for class 1",
        error=LabelError,
    )
    refusal(lambda: firsts(Stream([(X, Y, Y)], class_weight=weights).epoch()), "given together", error=ArgumentError)
    refusal(lambda: Stream(batches(), class_weight="balanced"), "all rows at once", error=ArgumentError)


def test_wrong_batches_are_named():
    refusal(lambda: firsts(Stream(iter([(X, Y), (X, Y[:2])])).epoch()), "batch 1 of x: x has 4 rows and y has 2")
    refusal(
        lambda: firsts(Stream(iter([(X, Y, Y, Y)])).epoch()), "batch 0 of x is a tuple of 4", "(x, y, sample_weight)"
    )
    refusal(lambda: firsts(Stream(iter([(X[0], 1)])).epoch()), "batch 0 of x: y is the single value 1")
    refusal(lambda: firsts(Stream(iter([{"a": X}])).epoch()), "takes one tensor")


class Indexed(keras.utils.PyDataset):
    """A PyDataset of Keras's own, that notes when its hooks are called."""

    def __init__(self, length):
        super().__init__()
        self.length, self.called = length, []

    def __getitem__(self, index):
        return np.full((4, 2), index), np.full(4, index)

    @property
    def num_batches(self):
        return self.length

    def on_epoch_begin(self):
        self.called.append("begin")

    def on_epoch_end(self):
        self.called.append("end")


def test_py_datasets():
    source = Indexed(3)
    stream = Stream(source)
    assert stream.steps == 3
    firsts(stream.epoch())
    assert source.called == ["begin", "end"]
    endless = Stream(Indexed(None))
    assert endless.steps is None
    assert [firsts(endless.epoch(2)) for _ in range(2)] == [[0, 1], [2, 3]]


def test_py_datasets_are_shuffled_anew_each_epoch_and_alike_for_a_seed():
    def orders():
        set_random_seed(3)
        stream = Stream(Indexed(50))
        return [firsts(stream.epoch(shuffle=True)) for _ in range(2)]

    (first, second), again = orders(), orders()
    assert again == [first, second] and first != second
    assert sorted(first) == sorted(second) == list(range(50)) and first != list(range(50))


def test_torch_loaders():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    stream = Stream(torch.utils.data.DataLoader(data, batch_size=3))
    assert stream.steps == 2
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([table.x for table in stream.epoch()]), X)


def stream_threads():
    return [thread for thread in threading.enumerate() if thread.name == "lamina-stream"]


def test_the_thread_fetches_ahead_but_not_without_bound():
    pulled = []

    def source():
        for i in range(100):
            pulled.append(i)
            yield X

    epoch = Stream(source()).epoch(ahead=3)
    next(epoch)
    until = time.monotonic() + 5
    while len(pulled) < 4 and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.05)  # time for a fifth, which must not come
    assert len(pulled) == 4
    assert len(stream_threads()) == 1
    epoch.close()
    assert not stream_threads()


def test_the_thread_ends_with_the_epoch_and_when_the_consumer_leaves():
    stream = Stream(list(batches(50)))
    firsts(stream.epoch())
    assert not stream_threads()
    for _ in stream.epoch():
        break
    assert not stream_threads()
    assert firsts(stream.epoch()) == list(range(50))


def test_errors_of_the_source_arrive_with_its_own_lines():
    def source():
        yield X
        raise KeyError("broken")

    epoch = Stream(source()).epoch()
    next(epoch)
    with pytest.raises(KeyError, match="broken") as caught:
        next(epoch)
    assert any(entry.name == "source" for entry in caught.traceback)
    assert not stream_threads()


def test_numbers_are_what_keras_computes_with():
    """Keras casts what comes in to float32; ours stay small, and are equal when cast."""
    for dtype in (bool, "int64", "uint8", "float64"):
        value = (np.arange(6).reshape(2, 3) % 2).astype(dtype)
        theirs = np.asarray(keras.ops.convert_to_tensor(value, "float32"))
        np.testing.assert_array_equal(np.asarray(jax.numpy.asarray(numbers(value, "x", "float32"), "float32")), theirs)
