"""Processes, and the programs on disk that they share."""

import functools
import os
import subprocess
import sys
import textwrap

import pytest
from small_models import ours

from lamina._programs.cache import Entries


def run_file(folder, text, *arguments, options=("-W", "error"), **environment):
    """Run a program as a user does, from a file; its standard output."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, *options, str(path), *arguments], capture_output=True, text=True, timeout=240, cwd=folder,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


START = """
    import multiprocessing
    import numpy as np
    import lamina as keras

    X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")

    def train(units):
        model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(X, Y, verbose=0)
        return model.predict(X, verbose=0).shape
"""


@pytest.mark.parametrize("way", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.nightly)])
@ours
def test_models_are_trained_in_the_processes_of_a_pool(keras, tmp_path, way):
    text = f"""{START}
    if __name__ == "__main__":
        with multiprocessing.get_context("{way}").Pool(2) as pool:
            print(pool.map(train, [3, 4, 5]))
    """
    assert run_file(tmp_path, text, LAMINA_CACHE=str(tmp_path / "cache")) == "[(8, 1), (8, 1), (8, 1)]\n"


@ours
def test_an_import_starts_no_thread_touches_no_file_and_leaves_jax_alone(keras, tmp_path):
    text = """
    import threading
    import lamina
    from jax._src.xla_bridge import backends_are_initialized
    lamina.Sequential([lamina.layers.Dense(3)])
    lamina.optimizers.Adam(0.1), lamina.losses.MeanSquaredError()
    print(threading.active_count(), backends_are_initialized())
    """
    assert run_file(tmp_path, text, LAMINA_CACHE=str(tmp_path / "cache")) == "1 False\n"
    assert not (tmp_path / "cache").exists()


@ours
def test_a_fork_of_a_process_that_has_used_jax_says_so_in_every_verb(keras, tmp_path):
    text = f"""{START}
    import os, signal, sys, warnings
    warnings.simplefilter("ignore")  # JAX's own, at the fork
    import jax.numpy as jnp

    layer, norm, adam = keras.layers.Dense(2), keras.layers.Normalization(), keras.optimizers.Adam()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    layer(X), model(X), model.fit(X, Y, verbose=0), model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)
    verbs = [
        lambda: train(3),
        lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]),
        lambda: model.fit(X, Y, verbose=0),
        lambda: model.evaluate(X, Y, verbose=0),
        lambda: model.predict(X, verbose=0),
        lambda: model.predict(X[:3], verbose=0),
        lambda: model.predict_on_batch(X),
        lambda: model.train_on_batch(X, Y),
        lambda: model.test_on_batch(X, Y),
        lambda: model(X),
        lambda: model(X, training=True),
        lambda: layer(X),
        lambda: keras.layers.Dense(1)(X),
        lambda: keras.layers.Dense(1).build((None, 4)),
        lambda: model.set_weights([0 * array for array in model.get_weights()]),
        lambda: norm.adapt(X),
        lambda: adam.apply(model.get_weights(), model.trainable_weights),
        lambda: keras.losses.MeanSquaredError()(Y, Y),
        lambda: model.metrics[0](Y, Y),
        lambda: keras.activations.relu(X),
        lambda: keras.initializers.HeNormal()((3, 3)),
        lambda: jnp.ones(3) + 1,
    ]

    def refused(verb):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.alarm(60)  # a hang ends here
        try:
            verb()
        except keras.errors.ProcessError as error:
            os._exit(7 if "multiprocessing.get_context('spawn')" in str(error) else 8)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
        os._exit(9)

    print([refused(verb) for verb in verbs])
    print(refused(lambda: (model.get_weights(), keras.utils.pad_sequences([[1]]), os._exit(5))))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map(keras.Sequential.count_params, [model]))
        try:
            pool.map(model.predict, [X])
        except keras.errors.ProcessError as error:
            print(error)
    model.fit(X, Y, verbose=0)
    """
    refusals, rest, weights, *error = run_file(tmp_path, text, options=()).splitlines()
    assert refusals == str([7] * 22)
    assert (rest, weights) == ("5", "[5]")
    assert "which was forked from one where JAX had run already" in error[0]


USE = """
    import sys
    import jax
    import numpy as np
    import lamina as keras

    misses = []
    listen = lambda event, **kwargs: misses.append(event) if event.endswith("/cache_misses") else None
    jax.monitoring.register_event_listener(listen)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4)), np.ones((8, 1))
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    model.predict(x[:2], verbose=0)
    print(len(misses))
"""


@ours
def test_a_damaged_program_on_disk_is_compiled_once_and_written_anew(keras, tmp_path):
    folder = tmp_path / "cache"
    run = functools.partial(run_file, tmp_path, USE, LAMINA_CACHE=str(folder))
    first = int(run())
    assert first > 3 and run() == "0\n"
    files = sorted(folder.glob("*/*"))
    assert len(files) == first
    for place, file in enumerate(files):
        whole = file.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        file.write_bytes([whole[:middle], b"", flipped, whole[:-1]][place % 4])
    assert int(run()) == first and run() == "0\n"
    assert sorted(folder.glob("*/*")) == files


@ours
def test_a_folder_that_cannot_be_written_is_one_line(keras, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/below"):
        text = f"""
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            {USE.replace("    ", "            ").strip()}
        print(*[warning.message for warning in caught])
        """
        misses, said = run_file(tmp_path, text, LAMINA_CACHE=str(tmp_path / folder)).splitlines()
        assert int(misses) > 3
        assert said.startswith("compiled programs are not kept for the next run") and "LAMINA_CACHE" in said


@ours
def test_a_folder_that_was_set_through_jax_stays_and_a_user_without_a_home_has_none(keras, tmp_path):
    text = """
    import pathlib
    import jax
    {0}
    import lamina
    {1}
    lamina.layers.Dense(3).build((None, 2))
    print(jax.config.jax_compilation_cache_dir)
    """
    set_by_user = f"jax.config.update('jax_compilation_cache_dir', {str(tmp_path / 'own')!r})"
    for lines in ((set_by_user, ""), ("", set_by_user)):
        said = run_file(tmp_path, text.format(*lines), LAMINA_CACHE=str(tmp_path / "ours"))
        assert said == f"{tmp_path / 'own'}\n" and not (tmp_path / "ours").exists()
    homeless = "def no_home(): raise RuntimeError\n    pathlib.Path.home = no_home"
    assert run_file(tmp_path, text.format(homeless, ""), LAMINA_CACHE="", XDG_CACHE_HOME="") == "None\n"


@ours
def test_threads_and_processes_that_write_at_once_leave_whole_programs(keras, tmp_path):
    text = """
    import pathlib, sys, threading
    from lamina._programs.cache import Entries

    entries, seen = Entries(pathlib.Path(sys.argv[1])), []

    def work(thread):
        for turn in range(50):
            key = f"key{turn % 5}"
            entries.put(key, key.encode() * 20_000)
            if turn % 7 == thread % 7:  # as if a process had been killed half-way
                entries._file(key).write_bytes(key.encode() * 10_000)
            seen.append(entries.get(key) in (None, key.encode() * 20_000))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    print(all(seen), len(seen), entries.fails)
    """
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(text))
    command = [sys.executable, "-W", "error", str(path), str(tmp_path / "cache")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [each.communicate(timeout=240)[0] for each in started] == ["True 400 False\n"] * 4
    entries = Entries(tmp_path / "cache")
    for number in range(5):
        entries.put(f"key{number}", b"last")
    assert {path.name for path in entries._path.iterdir()} == {f"key{number}-cache" for number in range(5)}
    assert {entries.get(f"key{number}") for number in range(5)} == {b"last"}
