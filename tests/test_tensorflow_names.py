"""The names of TensorFlow that stand beside a Keras stack in programs: functions, images, files, datasets, the tape."""

from __future__ import annotations

import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import lamina
from lamina import compat
from lamina.compat.importer import VERSIONS
from lamina.errors import ArgumentError, CallError, DataError, LaminaError, LaminaWarning


@pytest.fixture
def tf(monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] in VERSIONS:
            monkeypatch.delitem(sys.modules, name)
    compat.install()
    yield importlib.import_module("tensorflow")
    compat.uninstall()


A = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")


def check(cases):
    """What the functions give and what is expected, in pairs; they are compiled as one program, which is quicker."""
    expected = []

    def run():
        pairs = cases()
        expected[:] = [known for _, known in pairs]
        return [found for found, _ in pairs]

    for number, (found, known) in enumerate(zip(jax.jit(run)(), expected, strict=True)):
        np.testing.assert_allclose(found, np.asarray(known), rtol=1e-5, atol=1e-6, err_msg=str(number))


def test_functions_of_tensors_compute_what_their_names_say(tf):
    cases = lambda: (  # noqa: E731
        (tf.reduce_mean(A), A.mean()), (tf.reduce_sum(A, axis=[0, 1]), A.sum()), (tf.reduce_max(A, 1), A.max(1)),
        (tf.reduce_sum(input_tensor=A, axis=0, keepdims=True, name="s"), A.sum(0, keepdims=True)),
        (tf.reduce_sum(A, reduction_indices=[1], keep_dims=True), A.sum(1, keepdims=True)),
        (tf.math.reduce_std(A), A.std()), (tf.math.reduce_variance(A, 0), A.var(0)), (tf.reduce_any(A > 4), True),
        (tf.reduce_logsumexp(A), np.log(np.exp(A).sum())), (tf.math.reduce_euclidean_norm(A), np.sqrt((A**2).sum())),
        (tf.abs(A), np.abs(A)), (tf.sqrt([4.0]), [2]), (tf.math.log1p([0.0]), [0]), (tf.math.rsqrt([4.0]), [0.5]),
        (tf.add([1, 2], [3, 4]), [4, 6]), (tf.multiply(x=2.0, y=3.0), 6), (tf.math.divide_no_nan(1.0, 0.0), 0),
        (tf.pow(2, 3), 8), (tf.math.squared_difference(5.0, 3.0), 4), (tf.math.floormod(-1, 3), 2),
        (tf.matmul(A, A, transpose_b=True), A @ A.T), (tf.tensordot(A, A.T, 1), A @ A.T), (tf.transpose(A), A.T),
        (tf.transpose(A[None], perm=[2, 0, 1]), A[None].transpose(2, 0, 1)), (tf.einsum("ij,ij->", A, A),
        (A * A).sum()),
        (tf.concat([A, A], axis=-1), np.concatenate([A, A], -1)), (tf.stack([A, A], axis=1), np.stack([A, A], 1)),
        (tf.unstack(A)[1], A[1]), (tf.tile([1, 2], [2]), [1, 2, 1, 2]), (tf.gather(A, [1, 0]), A[::-1]),
        (tf.gather(A, [[2], [0]], axis=1, batch_dims=1), [[3], [4]]), (tf.gather_nd(A, [[0, 2], [1, 0]]), [3, 4]),
        (tf.where(A > 0, A, 0), np.maximum(A, 0)),

        (tf.one_hot([1, 0], 2, on_value=5.0, off_value=-1.0), [[-1, 5], [5, -1]]), (tf.eye(2), np.eye(2)),
        (tf.one_hot([0, 1], depth=3, axis=0), [[1, 0], [0, 1], [0, 0]]), (tf.fill([2, 1], 7), [[7], [7]]),
        (tf.clip_by_value(A, -1, 3), A.clip(-1, 3)), (tf.clip_by_norm([3.0, 4.0], 1.0), [0.6, 0.8]),
        (tf.norm([3.0, 4.0]), 5), (tf.norm(A, ord=1, axis=1), np.abs(A).sum(1)),
        (tf.linalg.norm(A), np.sqrt((A**2).sum())),
        (tf.range(3), [0, 1, 2]), (tf.range(2, 8, 3), [2, 5]), (tf.range(start=1, limit=2, delta=0.5), [1, 1.5]),
        (tf.linspace(0.0, 1.0, 3), [0, 0.5, 1]), (tf.zeros_like(A), 0 * A),
        (tf.ones_like(A, dtype=tf.int32), 0 * A + 1),
        (tf.pad([[1]], [[1, 0], [0, 2]]), [[0, 0, 0], [1, 0, 0]]), (tf.reverse(A, axis=[0]), A[::-1]),
        (tf.pad([1, 2], [[0, 1]], "REFLECT"), [1, 2, 1]), (tf.repeat([1, 2], 2), [1, 1, 2, 2]),
        (tf.roll([1, 2, 3], 1, 0), [3, 1, 2]),
        (tf.cumsum([1, 2, 3]), [1, 3, 6]), (tf.cumsum([1, 2, 3], exclusive=True), [0, 1, 3]),
        (tf.cumsum([1, 2, 3], reverse=True), [6, 5, 3]),
        (tf.math.cumprod([1, 2, 3], exclusive=True, reverse=True), [6, 3, 1]),
        (tf.sort([3, 1, 2], direction="DESCENDING"), [3, 2, 1]), (tf.argsort([3, 1, 2]), [1, 2, 0]),
        (tf.argmin(A, 1), [1, 2]),
        (tf.math.top_k([1, 5, 3], k=2)[0], [5, 3]), (tf.math.in_top_k([1], [[0.1, 0.9]], 1), [True]),
        (tf.shape(A), [2, 3]),
        (tf.size(A), 6), (tf.rank(A), 2), (tf.split(A, 3, axis=1)[2], A[:, 2:]), (tf.split(A, [1, -1], 1)[1], A[:, 1:]),
        (tf.slice(A, [0, 1], [1, -1]), A[:1, 1:]), (tf.broadcast_to([1, 2], [2, 2]), [[1, 2], [1, 2]]),
        (tf.add_n([A, A]), 2 * A),
        (tf.math.count_nonzero([0, 2]), 1),
        (tf.linalg.inv([[2.0, 0.0], [0.0, 4.0]]), [[0.5, 0], [0, 0.25]]), (tf.linalg.diag([1, 2]), np.diag([1, 2])),
        (tf.nn.l2_normalize([3.0, 4.0], axis=0), [0.6, 0.8]), (tf.nn.l2_loss([3.0, 4.0]), 12.5),
        (tf.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 1.0]], logits=[[1.0, 1.0]]), [np.log(2)]),
        (tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=[[1.0, 1.0]]), [np.log(2)]),
        (tf.nn.sigmoid_cross_entropy_with_logits(labels=[1.0], logits=[0.0]), [np.log(2)]),
        (tf.nn.moments(A, axes=[0])[1], A.var(0)), (tf.nn.embedding_lookup(A, [1]), A[1:]),
        (tf.nn.bias_add(A, [1, 1, 1]), A + 1),
        (tf.dtypes.cast([1.5], tf.int32), [1]), (tf.expand_dims([1]), [[1]]), (tf.random.shuffle([1, 1]), [1, 1]),
        (tf.random.categorical([[0.0, -1e9]], 3), [[0, 0, 0]]),
    )  # fmt: skip
    check(cases)
    assert tf.where([False, True]).tolist() == [[1]] and tf.boolean_mask(A, A > 3).tolist() == [4, 5]
    assert tf.math.confusion_matrix([0, 1, 1], [0, 1, 0]).tolist() == [[1, 0], [1, 1]]
    assert tf.py_function(np.add, [1, 2], tf.int32) == 3
    assert abs(tf.random.truncated_normal((500,), seed=1)).max() <= 2
    dropped = tf.nn.dropout(tf.ones((1000,)), rate=0.5, seed=1)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert tf.TensorShape([None, 3]).as_list() == [None, 3] and tf.is_tensor(tf.ones(1)) and not tf.is_tensor(A)
    assert tf.function(len)([1]) == 1 and tf.function(autograph=False)(len) is len and tf.executing_eagerly()
    with pytest.raises(CallError, match=r"tf.reduce_sum has no argument 'axes'.*Did you mean 'axis'"):
        tf.reduce_sum(A, axes=1)
    with pytest.raises(CallError, match=r"tf.add needs y\. Its arguments are: x, y"):
        tf.add(1)


def test_tensorflow_1_s_names_are_there_and_do_nothing_harmful(tf, capsys):
    v1 = importlib.import_module("tensorflow.compat.v1")
    assert v1.reduce_mean is tf.reduce_mean and tf.compat.v1 is v1 and v1.keras.layers.Dense is lamina.layers.Dense
    v1.disable_v2_behavior()
    settings = v1.ConfigProto(log_device_placement=True)
    settings.gpu_options.allow_growth = True
    with v1.Session(config=settings) as session:
        assert session.run(tf.constant(3)) == 3
    assert "XLA_PYTHON_CLIENT_PREALLOCATE=false" in capsys.readouterr().err
    graph, model = tf.get_default_graph(), tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model._make_predict_function()
    with graph.as_default(), tf.name_scope("here"):
        assert model.predict(np.ones((1, 2)), verbose=0).shape == (1, 1)
    adam = tf.train.AdamOptimizer(0.01, beta1=0.5)
    assert isinstance(adam, lamina.optimizers.Adam) and adam.beta_1 == 0.5
    v1.logging.set_verbosity(v1.logging.ERROR)
    assert tf.get_logger().level == v1.logging.ERROR
    assert not tf.test.is_built_with_cuda() or tf.test.gpu_device_name() == "/device:GPU:0"
    tf.debugging.assert_equal([1], [1])
    with pytest.raises(AssertionError):
        tf.debugging.assert_equal([1], [2])
    with pytest.raises(ValueError, match="not finite"):
        tf.debugging.check_numerics(np.array([np.nan]), "x")
    for call in (lambda: tf.config.run_functions_eagerly(True), lambda: tf.config.set_visible_devices([], "GPU"),
                 lambda: tf.config.threading.set_intra_op_parallelism_threads(1)):  # fmt: skip
        with pytest.warns(LaminaWarning):
            call()


def test_images_are_changed_as_their_functions_say(tf, tmp_path):
    x = np.arange(24, dtype="uint8").reshape(1, 4, 2, 3)
    floats = x.astype("float32") / 255
    assert (
        tf.image.resize(x, [2, 2]).dtype == "float32" and tf.image.resize(x, (8, 4), method="nearest").dtype == "uint8"
    )
    np.testing.assert_array_equal(tf.image.resize(x, (8, 4), "nearest"), x.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(tf.image.resize(np.ones((4, 4, 1)), (2, 2), preserve_aspect_ratio=True), 1)
    assert tf.image.resize_with_pad(x, 4, 6).shape == (1, 4, 6, 3)
    cases = lambda: (  # noqa: E731
        (tf.image.flip_left_right(x), x[:, :, ::-1]), (tf.image.flip_up_down(x), x[:, ::-1]),
        (tf.image.rot90(x[0]), np.rot90(x[0])), (tf.image.convert_image_dtype(x, tf.float32), floats),
        (tf.image.convert_image_dtype(floats, tf.uint8), x), (tf.image.adjust_brightness(floats, 0.5), floats + 0.5),
        (tf.image.adjust_contrast(floats, 0.0), np.broadcast_to(floats.mean((1, 2), keepdims=True), x.shape)),
        (tf.image.grayscale_to_rgb(x[..., :1]), x[..., :1].repeat(3, -1)),
        (tf.image.central_crop(x[0], 0.5), x[0, 1:3, 0:2]),
        (tf.image.rgb_to_grayscale(floats), floats @ np.array([[0.2989], [0.587], [0.114]])),
        (tf.image.crop_to_bounding_box(x, 1, 0, 2, 1), x[:, 1:3, :1]), (tf.image.transpose(x[0]), x[0].swapaxes(0, 1)),
    )  # fmt: skip
    check(cases)
    standard = np.asarray(tf.image.per_image_standardization(x))
    assert abs(standard.mean()) < 1e-5 and abs(standard.std() - 1) < 1e-4
    flipped = {tf.image.random_flip_left_right(x, seed=seed).tobytes() == x.tobytes() for seed in range(12)}
    assert flipped == {True, False}
    assert tf.image.random_crop(x[0], (2, 2, 3), seed=1).shape == (2, 2, 3)
    assert abs(np.asarray(tf.image.random_brightness(floats, 0.2, seed=1)) - floats).max() <= 0.2
    assert tf.image.random_contrast(floats, 0.5, 1.5, seed=1).shape == x.shape
    with pytest.raises(ArgumentError, match="resize\\(method='area'\\)"):
        tf.image.resize(x, (2, 2), tf.image.ResizeMethod.AREA)
    path = tmp_path / "one.png"
    Image.fromarray(x[0]).save(path)
    pixels = tf.io.decode_image(tf.io.read_file(str(path)), channels=3)
    np.testing.assert_array_equal(pixels, x[0])
    assert tf.io.decode_png(tf.io.read_file(path), channels=1).shape == (4, 2, 1)


def test_files_are_handled_as_python_does(tf, tmp_path):
    gfile = tf.io.gfile
    gfile.makedirs(tmp_path / "a" / "b")
    with gfile.GFile(tmp_path / "a" / "t.txt", "w") as file:
        file.write("ä")
    tf.io.write_file(str(tmp_path / "a" / "u.bin"), b"12")
    assert gfile.exists(tmp_path / "a") and gfile.isdir(tmp_path / "a" / "b")
    assert gfile.glob(str(tmp_path / "a" / "*.txt")) == [str(tmp_path / "a" / "t.txt")]
    gfile.copy(tmp_path / "a" / "t.txt", tmp_path / "v.txt")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        gfile.copy(tmp_path / "a" / "t.txt", tmp_path / "v.txt")
    gfile.rename(tmp_path / "v.txt", tmp_path / "w.txt")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        gfile.rename(tmp_path / "w.txt", tmp_path / "a" / "t.txt")
    assert sorted(gfile.listdir(tmp_path / "a")) == ["b", "t.txt", "u.bin"]
    assert [sorted(files) for _, _, files in gfile.walk(tmp_path / "a")] == [["t.txt", "u.bin"], []]


def _listed(dataset):
    return jax.tree.map(lambda part: np.asarray(part).tolist(), list(dataset))


def test_a_dataset_does_what_tensorflow_s_does(tf, tmp_path):
    Dataset = tf.data.Dataset
    numbers = Dataset.range(6)
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("")
    for dataset, expected in (
        (numbers.filter(lambda n: n % 2 == 0), [0, 2, 4]),
        (numbers.map(lambda n: n * 2, num_parallel_calls=2).take(2), [0, 2]),
        (numbers.skip(4).concatenate(Dataset.range(2)), [4, 5, 0, 1]), (Dataset.range(1, 6, 2), [1, 3, 5]),
        (numbers.batch(4), [[0, 1, 2, 3], [4, 5]]), (numbers.batch(4, drop_remainder=True), [[0, 1, 2, 3]]),
        (Dataset.from_tensors([1, 2]), [[1, 2]]), (Dataset.from_tensor_slices({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (Dataset.zip((numbers.take(2), Dataset.range(5))), [(0, 0), (1, 1)]), (numbers.take(2).enumerate(3), [(3, 0),
        (4, 1)]),
        (Dataset.zip(numbers.take(1), numbers.take(1)), [(0, 0)]), (numbers.take(2).repeat(2), [0, 1, 0, 1]),
        (numbers.take(2).flat_map(lambda n: Dataset.from_tensors(n).repeat(n + 1)), [0, 1, 1]),
        (Dataset.range(2).interleave(lambda n: Dataset.from_tensors(n).repeat(3), cycle_length=2), [0, 1, 0, 1, 0, 1]),
        (Dataset.range(3).interleave(lambda n: Dataset.range(n, n + 3), 2, 2), [0, 1, 1, 2, 2, 3, 2, 3, 4]),
        (numbers.window(2).flat_map(lambda w: w.batch(2)), [[0, 1], [2, 3], [4, 5]]),
        (numbers.window(3, shift=2, drop_remainder=True).flat_map(lambda w: w.batch(3)), [[0, 1, 2], [2, 3, 4]]),
        (numbers.window(2, 1, 3, drop_remainder=True).flat_map(lambda w: w.batch(2)), [[0, 3], [1, 4], [2, 5]]),
        (numbers.window(4).flat_map(lambda w: w.batch(4)), [[0, 1, 2, 3], [4, 5]]),
        (numbers.batch(4).unbatch(), [0, 1, 2, 3, 4, 5]),
        (Dataset.from_generator(lambda: ((n, [n]) for n in range(2)), output_types=(tf.int32, tf.int32)), [(0, [0]),
        (1, [1])]),
        (numbers.cache().prefetch(tf.data.AUTOTUNE).take(1), [0]),
        (numbers.with_options(tf.data.Options()).take(1), [0]),
        (numbers.apply(lambda each: each.take(1)), [0]), (numbers.shuffle(1), [0, 1, 2, 3, 4, 5]),
    ):  # fmt: skip
        assert _listed(dataset) == expected
        if dataset.cardinality() >= 0:
            assert len(dataset) == len(expected)
    pairs = Dataset.zip((numbers, numbers)).window(2, drop_remainder=True)
    assert next((_listed(x), _listed(y)) for x, y in pairs) == ([0, 1], [0, 1])
    names = Dataset.list_files(str(tmp_path / "*.txt"), shuffle=False)
    assert list(names) == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    assert set(Dataset.list_files(str(tmp_path / "*.txt"))) == set(names)
    assert sorted(_listed(numbers.shuffle(6, seed=1))) == [0, 1, 2, 3, 4, 5]
    assert numbers.reduce(np.int64(0), lambda total, n: total + n) == 15
    assert int(Dataset.from_tensors(3).get_single_element()) == 3
    assert next(iter(Dataset.from_tensor_slices((A, A))))[0].numpy().tolist() == A[0].tolist()
    assert next(Dataset.from_tensor_slices(A).as_numpy_iterator()).dtype == "float32"
    assert tf.data.experimental.cardinality(numbers) == 6
    with pytest.raises(CallError, match=r"Write padded_batch\(8\), and put a Masking layer first"):
        Dataset.range(3).ragged_batch(8)
    with pytest.raises(DataError, match="the same number of rows, got 1, 2"):
        Dataset.from_tensor_slices(([1], [1, 2]))


def test_the_tape_gives_the_gradients_of_its_block(tf, monkeypatch):
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,)), tf.keras.layers.BatchNormalization()])
    x, y = tf.constant(A), tf.constant([[1.0, 0.0], [0.0, 1.0]])
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        loss = tf.reduce_mean(tf.square(y - y_pred))
        double = loss * 2
    weights = model.trainable_variables
    found = tape.gradient(loss, weights)

    def objective(values):
        kept = [weight.value for weight in model.non_trainable_variables]
        return jnp.mean((y - model.stateless_call(values, kept, x, training=True)[0]) ** 2)

    expected = jax.grad(objective)([weight.value for weight in weights])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(double, weights[0]), 2 * expected[0], rtol=1e-4, atol=1e-6)
    moved = model.layers[1].moving_mean.numpy()
    assert moved.any() and not isinstance(
        model.layers[1].moving_mean.array, jax.core.Tracer
    )  # by the block itself, once
    v, steep = tf.Variable(3.0), tf.constant(2.0)
    with tf.GradientTape() as outer:
        outer.watch(steep)
        with tf.GradientTape() as inner:
            cube = v * v * v * steep
        slope = inner.gradient(cube, v)
    assert float(slope) == 54 and float(outer.gradient(slope, v)) == 36
    assert outer.gradient(slope, {"a": [steep]})["a"][0] == 27
    with tf.GradientTape() as tape:
        several = v * tf.constant([1.0, 2.0])
    assert float(tape.gradient(several, v, output_gradients=tf.constant([1.0, 10.0]))) == 21
    assert float(tape.gradient(several * 2, v)) == 6
    with pytest.raises(CallError, match="recorded nothing yet"):
        tf.GradientTape().gradient(several, v)
    names = {"tf": tf, "v": v}
    exec("with tf.GradientTape() as tape:\n    loss = v * v", names)
    with pytest.raises(CallError, match="the source of the with block is not there"):
        names["tape"].gradient(names["loss"], v)

    def early():
        with tf.GradientTape() as tape:
            loss = v * v
            if loss > 0:
                return tape.gradient(loss, v)

    assert early() == 6

    def late():
        with tf.GradientTape() as tape:
            loss = v * v
            if loss < 0:
                return loss
        return tape.gradient(loss, v)

    with pytest.raises(CallError, match="'return' outside function"):
        late()


class Holder:
    """What a trainer of one's own keeps in attributes."""

    def gradient(self, tf, v):
        with tf.GradientTape() as tape:
            self.loss = v * v * v
        return tape.gradient(self.loss, v)


def test_the_target_of_a_tape_may_be_an_attribute_an_item_or_an_expression(tf):
    v, kept, holder = tf.Variable(3.0), {}, Holder()
    assert holder.gradient(tf, v) == 27 and float(holder.loss) == 27
    with tf.GradientTape(persistent=True) as tape:
        losses = {"a": v * v, "b": [v * 5]}
        kept["c"] = v * 7
        inside = tape.gradient(tf.reduce_sum(losses["a"]) * 2, v)
        after = losses["a"] + 1
    assert inside == 12
    assert tape.gradient(losses["a"], v) == 6
    assert tape.gradient(target=losses["b"][0], sources=[v]) == [5]
    assert tape.gradient(kept["c"], v) == 7 and float(kept["c"]) == 21
    assert tape.gradient(tf.reduce_mean(losses["b"][0]) + after, v) == 11

    def helper(loss):
        return tape.gradient(loss, v)

    assert helper(after) == 6
    with pytest.raises(CallError, match="an array that the with block computes"):
        helper(losses["a"])


def test_strings_are_those_of_tensorflow(tf):
    """The examples of TensorFlow's documentation, and what it says of letters beyond ASCII."""
    s = tf.strings
    assert s.lower("CamelCase STÄ") == "camelcase stÄ" and s.lower("Ä", encoding="utf-8") == "ä"
    assert s.upper(np.array(["a", "ö"])).tolist() == ["A", "ö"] and s.strip([" a ", b"b\n"]).tolist() == ["a", "b"]
    assert s.length(["Hello", "\U0001f642"]).tolist() == [5, 4]
    assert s.length(["Hello", "\U0001f642"], unit="UTF8_CHAR").tolist() == [5, 1]
    assert s.substr(["ten", "eleven"], 1, 2).tolist() == ["en", "le"]
    assert (
        s.regex_replace("Text with tags.<br /><b>contains html</b>", "<[^>]+>", " ")
        == "Text with tags.  contains html "
    )
    assert s.regex_replace(["aba"], "a", "c", replace_global=False).tolist() == ["cba"]
    assert s.regex_replace("ab", r"(a)(b)", r"\2\1") == "ba"
    assert s.regex_full_match(["TF lib", "TF"], ".*lib").tolist() == [True, False]
    assert s.split("a b  c").tolist() == ["a", "b", "c"]
    assert [part.tolist() for part in s.split(["hello world", "a,b"], sep=",")] == [["hello world"], ["a", "b"]]
    assert s.join(["abc", "def"]) == "abcdef"
    assert s.join([["abc", "123"], ["def", "456"]], separator=" ").tolist() == ["abc def", "123 456"]
    assert s.reduce_join([["abc", "123"], ["def", "456"]]) == "abc123def456"
    assert s.reduce_join([["abc", "123"], ["def", "456"]], axis=0).tolist() == ["abcdef", "123456"]
    assert s.to_number("1.55") == np.float32(1.55) and s.to_number(["3", "4"], tf.int32).tolist() == [3, 4]
    texts = tf.expand_dims(np.array(["a", "b"]), -1)
    assert texts.shape == (2, 1) and tf.squeeze(texts).tolist() == tf.reshape(texts, [-1]).tolist() == ["a", "b"]
    with pytest.raises(LaminaError, match=r"use instead: Python's str"):
        s.unicode_split("a", "UTF-8")


def test_a_model_takes_a_variable_and_the_tape_its_gradient(tf):
    """The image that makes an output large, by steps of its gradient."""
    model = tf.keras.Sequential(
        [tf.keras.layers.Dense(3, activation="tanh", input_shape=(2,)), tf.keras.layers.Dense(2)]
    )
    start = np.float32([[0.3, -0.2]])
    x = tf.Variable(start)
    with tf.GradientTape() as tape:
        tape.watch(x)
        top = model(x)[:, 0]
    weights = [weight.value for weight in model.weights]
    expected = jax.grad(lambda x: model.stateless_call(weights, [], x)[0][0, 0])(start)
    np.testing.assert_allclose(tape.gradient(top, x), expected, rtol=1e-5)
    assert np.abs(expected).min() > 0
