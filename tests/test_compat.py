"""The import hook, and `python -m lamina run`."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import textwrap
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import compat
from lamina.__main__ import main
from lamina._settings.strictness import strictness
from lamina.compat.importer import VERSIONS, AlreadyImportedError, Finder, UnknownModuleError
from lamina.errors import LaminaWarning, UnknownAttributeError, UnknownImportError


@pytest.fixture
def hook(monkeypatch):
    """The hook in a process that has not yet imported Keras."""
    for name in list(sys.modules):
        if name.partition(".")[0] in VERSIONS:
            monkeypatch.delitem(sys.modules, name)
    compat.install()
    yield
    compat.uninstall()


@pytest.fixture
def tf(hook):
    return importlib.import_module("tensorflow")


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("keras", "Sequential", lambda: lamina.Sequential),
        ("keras", "Input", lambda: lamina.Input),
        ("keras.layers", "Dense", lambda: lamina.layers.Dense),
        ("keras.models", "Sequential", lambda: lamina.Sequential),
        ("keras.callbacks", "EarlyStopping", lambda: lamina.callbacks.EarlyStopping),
        ("keras.utils", "to_categorical", lambda: lamina.utils.to_categorical),
        ("keras.optimizers.schedules", "ExponentialDecay", lambda: lamina.optimizers.schedules.ExponentialDecay),
        ("tensorflow.keras", "Sequential", lambda: lamina.Sequential),
        ("tensorflow.keras.layers", "Dropout", lambda: lamina.layers.Dropout),
        ("tensorflow.keras.losses", "BinaryCrossentropy", lambda: lamina.losses.BinaryCrossentropy),
        ("tf_keras.layers", "Dense", lambda: lamina.layers.Dense),
        ("tensorflow.python.keras.models", "Sequential", lambda: lamina.Sequential),
        ("tensorflow.python.keras.layers.core", "Dense", lambda: lamina.layers.Dense),
        ("tensorflow.python.keras.optimizer_v2.adam", "Adam", lambda: lamina.optimizers.Adam),
        ("tensorflow.keras.optimizers.legacy", "SGD", lambda: lamina.optimizers.SGD),
        ("keras.layers.core", "BatchNormalization", lambda: lamina.layers.BatchNormalization),
        ("keras.layers.normalization", "BatchNormalization", lambda: lamina.layers.BatchNormalization),
        ("keras.engine.topology", "Layer", lambda: lamina.Layer),
        ("keras.preprocessing.sequence", "pad_sequences", lambda: lamina.utils.pad_sequences),
        ("keras.utils.np_utils", "to_categorical", lambda: lamina.utils.to_categorical),
        ("keras._tf_keras.keras.layers", "Dense", lambda: lamina.layers.Dense),
        ("keras.src.layers", "Dense", lambda: lamina.layers.Dense),
        ("tensorflow.nn", "relu", lambda: lamina.activations.relu),
    ],
)
def test_every_spelling_of_an_import_finds_the_same_thing(hook, module, name, expected):
    scope: dict[str, object] = {}
    exec(f"from {module} import {name} as from_import\nimport {module} as whole", scope)
    assert scope["from_import"] is getattr(scope["whole"], name) is expected()


def test_submodules_are_attributes_without_an_import_of_their_own(tf):
    assert tf.keras.layers.Dense is lamina.layers.Dense
    assert tf.keras.layers.experimental.preprocessing.Dense is lamina.layers.Dense
    assert tf.keras.optimizers.schedules.ExponentialDecay is lamina.optimizers.schedules.ExponentialDecay
    assert tf.optimizers.Adam is lamina.optimizers.Adam
    assert tf.losses.MeanSquaredError is lamina.losses.MeanSquaredError
    assert tf.metrics.Mean is lamina.metrics.Mean
    assert tf.initializers.HeNormal is lamina.initializers.HeNormal
    assert importlib.import_module("keras").layers.__name__ == "keras.layers"


def test_names_that_lamina_learns_later_are_served_too(hook, monkeypatch):
    keras = importlib.import_module("keras")
    monkeypatch.setattr(lamina, "learnt_later", 1, raising=False)
    assert keras.learnt_later == 1


def test_a_star_import_brings_the_public_names(hook):
    scope: dict[str, object] = {}
    exec("from tensorflow.keras.layers import *", scope)
    assert scope["Dense"] is lamina.layers.Dense
    assert set(lamina.layers.__all__) <= scope.keys()


def test_a_star_import_brings_the_older_names_and_tells_those_that_are_used(hook, capsys):
    scope: dict[str, object] = {}
    exec("from tensorflow.keras.layers import *\nfrom keras.losses import *\ndef f(): return CuDNNGRU", scope)
    assert scope["CuDNNGRU"] is lamina.layers.GRU and scope["CuDNNLSTM"] is lamina.layers.LSTM
    assert scope["Convolution2D"] and scope["MSE"] is lamina.losses.mean_squared_error
    assert capsys.readouterr().err == "<string>:1: keras.layers.CuDNNGRU is now keras.layers.GRU.\n"


@pytest.mark.parametrize("name", VERSIONS)
def test_versions_can_be_parsed_and_the_module_says_what_it_is(hook, name):
    module = importlib.import_module(name)
    assert all(part.isdecimal() for part in module.__version__.split("."))
    assert repr(module) == f"<module {name!r} (Lamina {lamina.__version__})>"


def test_uninstall_gives_the_names_back(hook):
    importlib.import_module("keras.layers")
    compat.uninstall()
    assert not {"keras", "keras.layers"} & sys.modules.keys()
    assert not any(isinstance(finder, Finder) for finder in sys.meta_path)
    spec = importlib.util.find_spec("keras")
    assert spec is not None
    assert spec.origin is not None
    assert spec.origin.endswith("__init__.py")


def test_installing_twice_is_installing_once(hook):
    compat.install()
    assert sum(isinstance(finder, Finder) for finder in sys.meta_path) == 1
    assert isinstance(sys.meta_path[0], Finder)


def test_a_real_keras_in_use_is_not_replaced():
    importlib.import_module("keras")
    with pytest.raises(AlreadyImportedError, match=r"(?s)'keras' was imported.*Call install\(\) before the first"):
        compat.install()
    assert not any(isinstance(finder, Finder) for finder in sys.meta_path)


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("from keras.layers import dense", UnknownImportError, r"'dense' from 'keras.layers'. Did you mean 'Dense'?"),
        ("import keras; keras.layers.dense", UnknownAttributeError, "module 'keras.layers' has no attribute 'dense'."),
        ("import keras.layerz", UnknownModuleError, "no module named 'keras.layerz'. keras is Lamina here"),
        ("from keras.applications import VGG16", UnknownModuleError, "Use instead: a Sequential of your own"),
        (
            "import tensorflow as tf; tf.distribute",
            UnknownAttributeError,
            "Lamina's stand-in; use instead: jax.sharding",
        ),
        ("import tensorflow.lite", UnknownModuleError, r"use instead: model.export\('model.jax', format='jax'\)"),
        ("from tensorflow import feature_column", UnknownImportError, "from 'tensorflow'.*use instead: pandas, or the"),
        ("import tensorflow as tf; tf.data.TFRecordDataset", UnknownAttributeError, "Dataset.from_generator"),
        ("import tensorflow as tf; tf.math.polyval", UnknownAttributeError, "use instead: jax.numpy.polyval"),
        ("import tensorflow as tf; tf.math.reduce_meen", UnknownAttributeError, "Did you mean 'reduce_mean'"),
        (
            "import tensorflow as tf; tf.nn.one_hot",
            UnknownAttributeError,
            "module 'tensorflow.nn'.*use instead: jax.nn.one_hot",
        ),
        ("import tensorflow as tf; tf.random.set_sed(1)", UnknownAttributeError, "Did you mean 'set_seed'"),
        ("import tensorflow as tf; tf.load_op_library", UnknownAttributeError, "use instead: NumPy or jax.numpy"),
    ],
)
def test_what_is_not_served_says_what_to_use_instead(hook, line, error, message):
    with pytest.raises(error) as caught:
        exec(compile(line, "user.py", "exec"), {})
    assert re.search(message, " ".join(str(caught.value).split()))
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.filename for frame in frames] == [__file__, "user.py"]


def test_tensorflow_arrays_are_those_of_jax(tf):
    table = [[1.0, 5.0, 2.0], [7.0, 2.0, 0.5]]
    results = {
        "constant": (tf.constant(table), np.float32(table)),
        "constant of a shape": (tf.constant(2.5, shape=(2, 2)), np.full((2, 2), 2.5, "float32")),
        "constant reshaped": (tf.constant([1, 2, 3, 4], tf.float32, [2, 2]), np.float32([[1, 2], [3, 4]])),
        "convert_to_tensor": (tf.convert_to_tensor([1, 2], dtype=tf.float16), np.float16([1, 2])),
        "cast": (tf.cast([1.7, -1.7], tf.int32), np.int32([1, -1])),
        "cast to bool": (tf.cast([0.0, 2.0], tf.bool), np.array([False, True])),
        "reshape": (tf.reshape(table, [3, -1]), np.float32(table).reshape(3, 2)),
        "expand_dims": (tf.expand_dims(table, 0), np.float32([table])),
        "squeeze": (tf.squeeze([table]), np.float32(table)),
        "squeeze of one axis": (tf.squeeze([[table]], axis=[0]), np.float32([table])),
        "argmax of the first axis": (tf.argmax(table), np.int32([1, 0, 0])),
        "argmax": (tf.argmax(table, axis=1, output_type=tf.int32), np.int32([1, 0])),
        "ones": (tf.ones([2, 3]), np.ones((2, 3), "float32")),
        "zeros": (tf.zeros((2,), tf.int32), np.zeros(2, "int32")),
    }
    for name, (ours, expected) in results.items():
        assert isinstance(ours, jax.Array), name
        assert ours.dtype == expected.dtype, name
        np.testing.assert_array_equal(ours, expected, name)


def test_tensorflow_dtypes_can_be_compared_and_given_to_a_layer(tf):
    assert tf.float32 == np.ones(1, "float32").dtype == jnp.ones(1, jnp.float32).dtype
    assert tf.float32 == "float32"
    assert tf.bfloat16.name == "bfloat16"
    assert tf.keras.layers.Dense(3, dtype=tf.bfloat16).compute_dtype == "bfloat16"


@pytest.mark.parametrize("name", ["relu", "sigmoid", "softmax", "tanh", "elu", "selu", "gelu", "silu", "softplus"])
def test_tensorflow_activations_are_known_by_name_in_a_config(tf, name):
    layer = tf.keras.layers.Dense(3, activation=getattr(tf.nn, name))
    assert layer.get_config()["activation"] == name


def test_tensorflow_activations_have_its_arguments(tf):
    x = jnp.array([-2.0, 3.0], jnp.float32)
    np.testing.assert_allclose(tf.nn.leaky_relu(x, alpha=0.1), [-0.2, 3.0], rtol=1e-6)
    np.testing.assert_allclose(tf.nn.leaky_relu(x), [-0.4, 3.0], rtol=1e-6)
    np.testing.assert_allclose(tf.nn.swish(x), x / (1 + np.exp(-x)), rtol=1e-6)


def test_tensorflow_seed_repeats_what_lamina_draws_and_leaves_numpy_alone(tf):
    def draw(seed):
        tf.random.set_seed(seed)
        return np.asarray(tf.random.normal((1000,), mean=5.0, stddev=2.0)), np.asarray(tf.random.uniform([1000], -1, 1))

    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    normal, uniform = draw(3)
    assert np.random.rand() == expected
    np.testing.assert_array_equal(draw(3), (normal, uniform))
    assert (draw(4)[0] != normal).all()
    assert abs(normal.mean() - 5) < 0.25
    assert abs(normal.std() - 2) < 0.2
    assert -1 <= uniform.min() < -0.9 < 0.9 < uniform.max() < 1
    whole = tf.random.uniform((1000,), 0, 3, dtype=tf.int32, seed=1)
    assert set(whole.tolist()) == {0, 1, 2}


def test_tensorflow_lists_the_devices_of_jax(tf):
    found = tf.config.list_physical_devices("CPU")
    assert len(found) == len(jax.devices("cpu"))
    assert found[0] == ("/physical_device:CPU:0", "CPU")
    assert tf.config.experimental.list_physical_devices("CPU") == found
    assert len(tf.config.list_physical_devices("GPU")) == sum(d.platform == "gpu" for d in jax.devices())
    with pytest.warns(LaminaWarning, match="XLA_PYTHON_CLIENT_PREALLOCATE=false"):
        tf.config.experimental.set_memory_growth(found[0], True)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lamina", "run", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def script(folder, text: str):
    path = folder / "script.py"
    path.write_text(textwrap.dedent(text))
    return path


def test_run_gives_the_program_its_own_world_and_passes_its_exit_status(tmp_path):
    (tmp_path / "beside.py").write_text("value = 5")
    path = script(
        tmp_path,
        """
        import json, sys
        import keras, tensorflow as tf
        import beside
        print(json.dumps([sys.argv, sys.path[0], __name__, __file__, beside.value, keras.Sequential.__module__]))
        sys.exit(3)
        """,
    )
    done = command(path, "--epochs", "3", "--help")
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    argv = [str(path), "--epochs", "3", "--help"]
    assert json.loads(done.stdout) == [argv, str(tmp_path), "__main__", str(path), 5, lamina.Sequential.__module__]


def test_install_lets_pass_what_older_programs_rely_on_and_uninstall_sets_back_what_was(hook):
    assert lamina.config.non_finite() == "warn"
    compat.install()
    lamina.config.set_non_finite("raise")
    compat.uninstall()
    assert lamina.config.non_finite() == "raise"
    lamina.config.set_non_finite("stop")
    compat.install()
    assert strictness["non_finite"] == strictness["missing_class"] == "warn"
    compat.uninstall()
    assert lamina.config.non_finite() == "stop"
    compat.uninstall()
    assert lamina.config.non_finite() == "stop"
    with pytest.raises(TypeError, match="no argument 'lr'"):
        lamina.optimizers.SGD(lr=0.1)


def test_run_lets_an_old_program_train_as_it_did(tmp_path):
    path = script(
        tmp_path,
        """
        import numpy as np
        from tensorflow import keras
        x = np.eye(3)
        model = keras.Sequential([keras.layers.Dense(3, activation="softmax", input_shape=(3,))])
        model.compile(keras.optimizers.SGD(lr=0.5), "sparse_categorical_crossentropy")
        print(float(model.optimizer.lr))
        for _ in range(2):
            model.fit(x, np.arange(3), epochs=2, verbose=0, class_weight={0: 2.0})
        model = keras.Sequential([keras.layers.Dense(3)])
        model.compile(keras.optimizers.SGD(lr=1e38), "mse")
        print(model.fit(x, 1e38 * np.eye(3), epochs=2, verbose=0).history)
        """,
    )
    done = command(path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0.5", "{'loss': [inf, nan]}"]
    said = re.findall(r"script.py:(\d+): (?:LaminaWarning: )?(.*)", done.stderr)
    assert said == [
        ("6", "SGD(lr=) is now SGD(learning_rate=)."),
        ("9", "class_weight has weights only for class 0; other classes in y get the weight 1."),
        ("12", "the loss became inf in epoch 1, at step 1; training goes on."),
    ]


def test_run_takes_a_module_as_python_does(tmp_path, monkeypatch):
    package = tmp_path / "pack" / "age"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("from keras import layers")
    (package / "__init__.py").write_text("")
    (package / "beside.py").write_text("value = 5")
    (package / "program.py").write_text(
        textwrap.dedent(
            """
            import json, sys
            import tensorflow as tf
            from .beside import value
            from .. import layers
            main = sys.modules["__main__"]
            names = [__name__, __package__, __spec__.name, main.__file__, layers.__name__]
            print(json.dumps([sys.argv, sys.path[0], *names, tf.keras.Sequential.__module__, value]))
            sys.exit(4)
            """
        )
    )
    (package / "__main__.py").write_text("import sys; print(__name__, __package__, sys.argv)")
    monkeypatch.chdir(tmp_path)
    path = str(package / "program.py")
    done = command("-m", "pack.age.program", "--epochs", "3", "-m", "x")
    assert done.returncode == 4, done.stderr
    names = ["__main__", "pack.age", "pack.age.program", path, "keras.layers", lamina.Sequential.__module__]
    assert json.loads(done.stdout) == [[path, "--epochs", "3", "-m", "x"], str(tmp_path), *names, 5]
    assert command("-m", "pack.age").stdout == f"__main__ pack.age {[str(package / '__main__.py')]}\n"
    (package / "program.py").write_text("from .nothing import value")
    shown = command("-m", "pack.age.program").stderr
    assert re.findall(r'File "(.*)", line', shown) == [path] and "pack.age.nothing" in shown
    for missing, message in (
        ("pack.age.nothing", "No module named pack.age.nothing"),
        ("pack", "'pack' is a package and cannot be directly executed"),
    ):
        done = command("-m", missing)
        assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", [False, True])
@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver", "loky"])
def test_the_processes_that_a_program_starts_find_the_same_names(tmp_path, monkeypatch, way, module):
    path = script(
        tmp_path,
        """
        import multiprocessing, sys
        import joblib
        import tensorflow as tf
        from keras import layers

        def build(units):
            from tensorflow.keras import Sequential
            import keras
            return tf.keras.Sequential is Sequential, keras.layers is layers, layers.Dense(units)

        if __name__ == "__main__":
            if sys.argv[1] == "loky":
                print(joblib.Parallel(2)(joblib.delayed(build)(units) for units in (3, 4)))
            else:
                with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                    print(pool.map(build, [3, 4]))
        """,
    )
    monkeypatch.chdir(tmp_path)
    done = command(*(["-m", "script"] if module else [path]), way)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout == "[(True, True, Dense(3)), (True, True, Dense(4))]\n"


def test_run_shows_tracebacks_from_the_program_on(tmp_path):
    path = script(
        tmp_path,
        """
        from tensorflow import keras
        def build():
            return keras.layers.Dense(3, activatoin="relu")
        build()
        """,
    )
    done = command(path)
    assert done.returncode == 1
    assert re.findall(r'File "(.*)", line (\d+)', done.stderr) == [(str(path), "5"), (str(path), "4")]
    assert "Did you mean 'activation'?" in done.stderr


def test_the_two_programs_run_word_for_word(tmp_path):
    path = script(
        tmp_path,
        """
        import numpy
        import tensorflow as tf
        from tensorflow import keras
        from tensorflow.keras import layers

        tf.random.set_seed(1)
        model = keras.Sequential([
            layers.BatchNormalization(input_shape=[8]),
            layers.Dense(256, activation='relu'),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(256, activation='relu'),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation='sigmoid'),
        ])
        model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['binary_accuracy'])
        early_stopping = keras.callbacks.EarlyStopping(patience=5, min_delta=0.001, restore_best_weights=True)
        x = numpy.random.default_rng(0).normal(size=(2048, 8))
        y = x[:, 0] > 0
        history = model.fit(x, y, batch_size=512, epochs=4, validation_split=0.25, callbacks=early_stopping, verbose=0)
        print(sorted(history.history))
        print('learnt' if model.evaluate(x, y, verbose=0)[1] > 0.6 else 'not learnt')

        model = keras.Sequential([
            layers.Dense(1, activation="relu"),
            layers.Dense(2, activation="relu"),
            layers.Dense(3),
        ])
        print(model.layers)
        model(numpy.ones((3, 3)))
        print([tuple(weight.shape) for weight in model.weights])
        model.summary()
        """,
    )
    done = command(path)
    assert done.returncode == 0, done.stderr
    first, learnt, printed, weights, *summary = done.stdout.splitlines()
    assert first == "['binary_accuracy', 'loss', 'val_binary_accuracy', 'val_loss']"
    assert learnt == "learnt"
    assert printed.count("Dense") == 3
    assert weights == "[(3, 1), (1,), (1, 2), (2,), (2, 3), (3,)]"
    assert "Total params: 17" in "\n".join(summary)


def test_importing_lamina_leaves_imports_alone():
    code = "import lamina, sys; print('lamina.compat' in sys.modules, [type(f).__module__ for f in sys.meta_path])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
    assert "lamina" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--version"], 0, f"lamina {lamina.__version__}"),
        (["--help"], 0, "run a program that imports keras"),
        (["run", "--help"], 0, "as `python script.py` would"),
        (["run", "absent.py"], 2, r"'absent.py' does not exist \(looked from "),
        (["run", "."], 2, "'.' is a folder, not a program"),
        (["run"], 2, "required: script"),
        (["fly"], 2, "invalid choice: 'fly'"),
        ([], 0, r"(?s)usage: .* run .*show .*examples:\n  python -m lamina run train.py"),
        (["run", "--help"], 0, r"examples:\n  python -m lamina run train.py --epochs 3\n"),
        (["show", "--help"], 0, r"examples:\n  python -m lamina show model.keras\n"),
    ],
)
def test_the_command_line_explains_itself(monkeypatch, capsys, arguments, status, message):
    monkeypatch.setattr(sys, "argv", ["lamina", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    output = capsys.readouterr()
    assert re.search(message, output.out + output.err)
