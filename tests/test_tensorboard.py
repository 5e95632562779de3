"""TensorBoard's files, read with TensorBoard's own reader, hold what real Keras hands to `tf.summary`."""

import contextlib
import io
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.util.tensor_util import make_ndarray

import lamina
from lamina import layers
from lamina.callbacks import TensorBoard
from lamina.errors import ArgumentError, LaminaWarning, MissingPackageError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 3)).astype("float32"), rng.normal(size=(24, 1)).astype("float32")


def dense(library, rate=0.05):
    model = library.Sequential(
        [library.layers.Input((3,)), library.layers.Dense(4, "tanh", name="a"), library.layers.Dense(1, name="b")],
        name="stack",
    )
    model.compile(library.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


OURS, KERAS = dense(lamina), dense(keras)
START = OURS.get_weights()


def fitted(model, callback, **arguments):
    model.set_weights(START)
    model.optimizer.iterations.assign(0)
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[callback], **arguments)


class Summaries:
    """What stands in for `tensorflow.summary`: notes what real Keras hands to it."""

    def __init__(self):
        self.found, self.writers, self.records = {}, [], [lambda: True]

    def create_file_writer(self, folder):
        outer = self

        class Writer:
            @contextlib.contextmanager
            def as_default(self, step=None):
                outer.writers.append(folder)
                yield
                outer.writers.pop()

            def flush(self):
                pass

            close = flush

        return Writer()

    @contextlib.contextmanager
    def record_if(self, condition):
        self.records.append(condition)
        yield
        self.records.pop()

    def _note(self, kind, tag, value, step):
        if self.writers and (self.records[-1]() or not tag.startswith("batch_")):
            place = self.writers[-1].split("/")[-1], tag
            self.found.setdefault(place, []).append((kind, int(step), np.array(value)))

    def scalar(self, tag, value, step):
        self._note("scalars", tag, value, step)

    def histogram(self, tag, value, step):
        self._note("histograms", tag, value, step)

    def image(self, tag, value, step):
        self._note("images", tag, value, step)


def of_keras(folder, *, evaluates=False, **arguments):
    callback = keras.callbacks.TensorBoard(folder, write_graph=False, **arguments)
    callback._summary_module = summaries = Summaries()
    fitted(KERAS, callback, validation_data=(X[:16], Y[:16]))
    if evaluates:
        KERAS.evaluate(X, Y, batch_size=8, verbose=0, callbacks=[callback])
    return summaries.found


def read(folder):
    found = {}
    for part in ("train", "validation"):
        if (folder / part).exists():
            events = EventAccumulator(str(folder / part), size_guidance={TENSORS: 0})
            events.Reload()
            for tag in events.Tags()["tensors"]:
                kind = events.SummaryMetadata(tag).plugin_data.plugin_name
                # Files of one second are read by name, and so is the tenth file of a process before the ninth.
                of_tag = sorted(events.Tensors(tag), key=lambda event: event.wall_time)
                values = [(kind, event.step, make_ndarray(event.tensor_proto)) for event in of_tag]
                found[part, tag] = values
    return found


@pytest.mark.parametrize("every", ["epoch", "batch", 2])
def test_numbers_are_those_that_keras_writes(tmp_path, every):
    callback = TensorBoard(tmp_path, write_graph=False, update_freq=every)
    fitted(OURS, callback, validation_data=(X[:16], Y[:16]))
    OURS.evaluate(X, Y, batch_size=8, verbose=0, callbacks=callback)
    ours, theirs = read(tmp_path), of_keras(tmp_path / "keras", evaluates=True, update_freq=every)
    assert ours.keys() == theirs.keys()
    assert ("train", "epoch_learning_rate") in ours and ("validation", "evaluation_mae_vs_iterations") in ours
    assert (("train", "batch_loss") in ours) == (every != "epoch")
    for place, values in theirs.items():
        assert [(kind, step) for kind, step, _ in ours[place]] == [(kind, step) for kind, step, _ in values], place
        np.testing.assert_allclose([v for *_, v in ours[place]], [v for *_, v in values], rtol=1e-5, err_msg=str(place))


def test_weights_are_written_as_histograms_and_images(tmp_path):
    fitted(OURS, TensorBoard(tmp_path, histogram_freq=1, write_images=True))
    ours = read(tmp_path)
    theirs = of_keras(tmp_path / "keras", histogram_freq=1, write_images=True)
    theirs = {place: values for place, values in theirs.items() if place[0] == "train"}
    assert ours.keys() - {("train", "keras")} == theirs.keys()
    assert sum("histogram" in tag for _, tag in ours) == 4
    assert sum("image" in tag for _, tag in ours) == 3  # one number makes no image
    for (part, tag), values in theirs.items():
        for (kind, step, found), (kept, at, value) in zip(ours[part, tag], values, strict=True):
            assert (kind, step) == (kept, at)
            if kind == "histograms":
                assert found[:, 2].sum() == value.size
                np.testing.assert_allclose(
                    (found[0, 0], found[-1, 1]), (value.min(), value.max()), rtol=1e-5, atol=1e-7
                )
            if kind == "images":
                width, height, png = found
                assert (int(width), int(height)) == (value.shape[2], value.shape[1])
                pixels = np.asarray(Image.open(io.BytesIO(png)), "float32")
                np.testing.assert_allclose(pixels, value[0, ..., 0].clip(0, 1) * 255, atol=1)


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((5,), (1, 5, 1, 1)), ((5, 3), (1, 3, 5, 1)), ((1, 3, 2, 6), (6, 3, 2, 1)), ((3, 3, 2, 4), (3, 3, 2, 4))],
)
def test_kernels_become_the_images_of_keras(shape, drawn):
    from lamina.callbacks.tensorboard import _images

    weight, theirs = np.arange(np.prod(shape), dtype="float32").reshape(shape), Summaries()
    callback = keras.callbacks.TensorBoard(write_graph=False)
    callback._summary_module = theirs
    theirs.writers.append("train")
    callback._log_weight_as_image(weight, "w", 0)
    assert _images(weight).shape == drawn
    np.testing.assert_array_equal(_images(weight), theirs.found["train", "w"][0][2])
    assert _images(np.zeros((3, 3, 2, 5))) is None and _images(np.zeros((2, 3, 3, 2, 5))) is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_that_are_short_or_not_finite_end_no_training(tmp_path, dtype):
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2, dtype=dtype)])
    model.compile("sgd", "mse")
    files = TensorBoard(tmp_path, histogram_freq=1, write_images=True)
    files.set_model(model)
    for fill in (1.0, np.nan):
        model.layers[0].kernel.assign(np.where(np.eye(3, 2) > 0, fill, 0.5))
        files.on_epoch_end(0, {"loss": float("nan"), "note": "words", "names": np.array(["a"])})
    files.on_train_end()
    found = read(tmp_path)
    assert {"epoch_loss", "epoch_learning_rate"} == {tag for _, tag in found if tag.startswith("epoch")}
    histograms = found["train", f"{model.layers[0].kernel.path}/histogram"]
    assert [each[:, 2].sum() for *_, each in histograms] == [6, 4]


def test_tensorboard_reads_the_stack(tmp_path):
    fitted(OURS, TensorBoard(tmp_path))
    [(kind, step, config)] = read(tmp_path)["train", "keras"]
    assert (kind, step) == ("graph_keras_model", 0)
    graph = keras_model_to_graph_def(json.loads(config.item()))
    assert [node.name for node in graph.node if "input" not in node.name] == ["stack/a", "stack/b"]
    assert [*graph.node[-1].input] == ["stack/a"]


def test_the_page_for_graphs_opens_on_the_layers(tmp_path):
    """TensorBoard opens the page on the graph of a run, and shows an error if there is none."""
    fitted(OURS, TensorBoard(tmp_path))
    [events] = (tmp_path / "train").glob("events.*")
    [graph] = [each.graph_def for each in EventFileLoader(str(events)).Load() if each.HasField("graph_def")]
    nodes = [node for node in GraphDef.FromString(graph).node if node.op != "InputLayer"]
    assert [(node.op, node.name) for node in nodes] == [("Dense", "a"), ("Dense", "b")]
    assert [*nodes[1].input] == ["a"]


def test_the_speed_is_written(tmp_path):
    fitted(OURS, TensorBoard(tmp_path, write_steps_per_second=True, update_freq=2))
    found = read(tmp_path)
    for tag, steps in (("epoch_steps_per_second", [0, 1]), ("batch_steps_per_second", [2, 4, 6])):
        assert [step for _, step, _ in found["train", tag]] == steps
        assert all(value > 0 for *_, value in found["train", tag])


def test_the_profiler_records_the_batches(tmp_path):
    callback, seen = TensorBoard(tmp_path, profile_batch="2,4"), []
    watch = lamina.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append((callback._lamina_steps, callback._lamina_traces))
    )
    watch.every_batch = False
    OURS.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=[callback, watch])
    assert seen[0] == (1, True) and (4, False) in seen
    [file] = (tmp_path / "train" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert file.stat().st_size > 1000
    with pytest.warns(LaminaWarning, match="records nothing: .*[Pp]rofile"):
        OURS.fit(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path / a, profile_batch=1) for a in "ab"])


def test_embeddings_go_to_the_projector(tmp_path):
    model = lamina.Sequential([layers.Input((2,)), layers.Embedding(5, 3, name="words"), layers.Flatten()])
    model.compile("sgd", "mse")
    labels = {"words": "labels.tsv"}
    callback = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=labels)
    model.fit(np.ones((4, 2), "int32"), np.ones((4, 6)), verbose=0, callbacks=callback)
    assert labels == {"words": "labels.tsv"}
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_name: "words"' in config and 'metadata_path: "labels.tsv"' in config
    assert f'tensor_path: "{tmp_path.joinpath("train", "words.tsv").relative_to(tmp_path)}"' in config
    table = np.loadtxt(tmp_path / "train" / "words.tsv", delimiter="\t")
    np.testing.assert_allclose(table, model.layers[0].embeddings.numpy(), rtol=1e-6)
    model.load_weights(tmp_path / "train" / "keras_embedding.ckpt-0.weights.h5")
    with pytest.raises(ArgumentError, match=r"no Embedding 'word'\. Did you mean 'words'"):
        TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": "x"}).set_model(model)
    one = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata="all.tsv")
    one.set_model(model)
    assert 'metadata_path: "all.tsv"' in (tmp_path / "projector_config.pbtxt").read_text()


def test_many_batches_are_still_trained_in_one_call(tmp_path):
    calls = []

    class Counting(TensorBoard):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, {**logs, "two": np.array([1.0, 2.0])})

    watch = lamina.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: calls.append(batch))
    watch.every_batch = False
    OURS.fit(X, Y, batch_size=2, verbose=0, callbacks=[Counting(tmp_path), watch])
    assert len(calls) < 6
    assert {("train", "epoch_two/0"), ("train", "epoch_two/1")} <= read(tmp_path).keys()
    assert not Counting("logs").every_batch
    assert type("Each", (TensorBoard,), {"on_train_batch_end": lambda self, batch, logs=None: None})().every_batch


def test_a_run_that_goes_on_has_the_numbers_of_one_that_was_not_stopped(tmp_path):
    def run(folder, dies):
        model = dense(lamina)
        model.set_weights(START)
        files = TensorBoard(tmp_path / folder, update_freq=1, write_steps_per_second=True)

        def die(batch, logs):
            if dies and files._lamina_steps == 4:
                raise KeyboardInterrupt

        model.fit(
            X, Y, batch_size=8, epochs=2, verbose=0, checkpoint=lamina.callbacks.Checkpoint(tmp_path / "run", every=1),
            callbacks=[files, lamina.callbacks.LambdaCallback(on_train_batch_begin=die)],
        )  # fmt: skip
        return read(tmp_path / folder)

    with pytest.raises(KeyboardInterrupt):
        run("a", dies=True)
    found = run("a", dies=False)
    steps = [[step for _, step, _ in found["train", tag]] for tag in ("batch_loss", "epoch_loss")]
    assert steps == [[1, 2, 3, 4, 5, 6], [0, 1]]
    assert all(0 < value < 1e6 for *_, value in found["train", "epoch_steps_per_second"])


def test_a_callback_can_be_used_again_and_pickled(tmp_path):
    callback = TensorBoard(tmp_path)
    fitted(OURS, callback)
    fitted(OURS, pickle.loads(pickle.dumps(callback)))
    assert len(list((tmp_path / "train").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"log_dir": 3}, "name of a folder"),
        ({"update_freq": "epochs"}, '"epoch", "batch" or a number'),
        ({"update_freq": 0}, '"epoch", "batch" or a number'),
        ({"profile_batch": (3, 2)}, "the first and the last"),
        ({"profile_batch": -1}, "the first and the last"),
        ({"profile_batch": "a,b"}, "the first and the last"),
        ({"histogram_freq": -1}, "at least 0"),
        ({"embeddings_metadata": 3}, "dict of such names"),
        ({"write_grads": True}, "gradients do not leave"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ArgumentError) as caught:
        TensorBoard(**arguments)
    assert words in str(caught.value)


def test_without_the_package_there_is_one_sentence(monkeypatch):
    monkeypatch.delitem(sys.modules, "lamina.callbacks.event_files", raising=False)
    monkeypatch.delattr("lamina.callbacks.event_files", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"pip install tensorboard"):
        TensorBoard()


def test_tensorboard_does_not_take_lamina_for_tensorflow():
    """It keeps what it finds at its first use, also after `uninstall`."""
    code = """if True:
        import lamina.compat
        lamina.compat.install()
        from tensorboard.compat import tf
        assert tf.compat.as_bytes("a") == b"a" and "tensorboard" in tf.io.__name__, tf
        lamina.compat.uninstall()
        assert tf.compat.as_str_any("a") == "a"
    """
    subprocess.run([sys.executable, "-c", code], check=True)
