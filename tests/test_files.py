"""A file that is written is whole: the old one or the new one, whatever goes wrong."""

import contextlib
import errno
import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
import threading

import keras
import numpy as np
import pytest

import lamina
from lamina._files import files
from lamina._saving import folders, guard
from lamina.errors import ArgumentError, FileError


def started(program):
    """A Python process that runs `program`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def saying(words):
    """The words as a pattern, wherever the lines of a message break."""
    return words.replace(" ", r"\s+")


def in_child(program):
    """What `program` prints in a process of its own."""
    with started(program) as child:
        return child.communicate()[0]


def test_a_file_is_made_and_replaced(tmp_path):
    path = tmp_path / "m.keras"
    files.write(path, b"old")
    assert path.read_bytes() == b"old"
    with files.replacing(str(path)) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["m.keras"]


def test_names_may_be_bytes_and_relative_and_long(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "é" * 120 + ".keras"  # 246 bytes: no room for an ending
    files.write(os.fsencode(name), b"x")
    assert os.listdir() == [name]


def test_permissions_are_those_of_the_old_file_or_of_the_umask(tmp_path):
    path = tmp_path / "m.keras"
    before = os.umask(0o027)
    try:
        files.write(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        files.write(path, b"2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "m.keras", tmp_path / "latest.keras"
    link.symlink_to(target)
    for content in (b"1", b"2"):  # first the link leads nowhere
        files.write(link, content)
        assert link.is_symlink() and target.read_bytes() == content
    assert os.listdir(tmp_path / "store") == ["m.keras"]


def interrupted(path, error):
    with files.replacing(path) as file:
        file.write(b"ne")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), OSError(errno.EIO, "I/O error"), SystemExit()])
def test_an_error_while_writing_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "m.keras"
    files.write(path, b"old")
    with pytest.raises(FileError if isinstance(error, OSError) else type(error)):
        interrupted(path, error)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m.keras"]


class Failing:
    """A function that fails when it is called for the `at`-th time."""

    def __init__(self, function, at, error):
        self.function, self.at, self.error, self.calls = function, at, error, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls == self.at and self.function is not os.close:
            raise self.error
        result = self.function(*args, **kwargs)
        if self.calls == self.at:
            raise self.error
        return result


ERRORS = [KeyboardInterrupt(), *(OSError(n, os.strerror(n)) for n in (errno.ENOSPC, errno.EIO, errno.EROFS))]


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "chmod", "stat", "close"])
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_whatever_call_fails_the_file_is_whole(tmp_path, monkeypatch, call, error):
    """The first call of this name fails, then the second, and so on until none is left that could fail."""
    path = tmp_path / "m.keras"
    for at in range(1, 20):
        path.write_bytes(b"old")
        failing = Failing(getattr(os, call), at, error)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                files.write(path, b"new")
                raised = None
            except BaseException as each:
                raised = each
        assert path.read_bytes() in (b"old", b"new")
        assert os.listdir(tmp_path) == ["m.keras"]
        if failing.calls < at:
            break
        if raised is not None and raised is not error:
            assert isinstance(raised, FileError) and raised.errno == error.errno
    assert at > 1 and raised is None and path.read_bytes() == b"new"


def test_a_full_disk_is_told_with_the_bytes(tmp_path):
    """A write beyond the process's limit on the size of files fails as one on a full disk does, after some bytes."""
    path = tmp_path / "m.keras"
    path.write_bytes(b"old")
    told = in_child(
        f"""
        import resource, errno
        from lamina._files import files
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        try:
            files.write({str(path)!r}, bytes(10_000))
        except OSError as error:
            print(type(error).__name__, error.errno == errno.EFBIG, error)
        """
    )
    assert told.startswith("FileError True cannot write") and "File too large" in told
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["m.keras"]


def test_a_full_disk_is_told_with_the_bytes_that_are_missing(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    monkeypatch.setattr(os, "fsync", Failing(os.fsync, 1, OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(FileError, match=saying(r"disk is full\. The file needs 12,345 bytes, and [\d,]+ are free in")):
        files.write(path, bytes(12345))
    monkeypatch.setattr(os, "fsync", Failing(os.fsync, 1, OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(FileError, match=saying("needs more than 100,000 bytes")), files.replacing(path) as file:
        file.write(bytes(100_000))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere/m.keras", r"the folder '.*/nowhere' does not exist\. Make it first: os\.makedirs\('nowhere'\)"),
        ("~/m.keras", r"Write os\.path\.expanduser\('~/m\.keras'\)"),
        ("a_file/m.keras", "a file stands where a folder is needed"),
        ("a_folder", "there is a folder of that name"),
        ("a_pipe", "a device or a pipe, not a file"),
        ("a_loop", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
        ("", "expected the name of a file"),
        ("a\0b", "expected the name of a file"),
        (None, "expected the name of a file"),
        (3, "expected the name of a file"),
    ],
)
def test_a_wrong_place_is_told(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_bytes(b"1")
    (tmp_path / "a_folder").mkdir()
    os.mkfifo(tmp_path / "a_pipe")
    (tmp_path / "a_loop").symlink_to("a_loop")
    before = sorted(os.listdir())
    with pytest.raises((FileError, ArgumentError), match=saying(words)):
        files.write(name, b"x")
    assert sorted(os.listdir()) == before


def test_errors_are_those_of_python_too(tmp_path, monkeypatch):
    """`except FileNotFoundError` around a save or a load of Keras's goes on working."""
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "nowhere" / "m", b"")
    for name in ("m", "nowhere/m"):
        with pytest.raises(FileNotFoundError):
            guard.file_bytes(str(tmp_path / name))
    monkeypatch.setattr(os, "open", Failing(os.open, 1, PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        files.write(tmp_path / "m", b"")
    monkeypatch.setattr(os, "open", Failing(os.open, 1, PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        guard.file_bytes(str(tmp_path / "m"))


def test_a_file_that_is_read_only_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    path.write_bytes(b"old")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # a superuser could write it
    with pytest.raises(FileError, match=r"the file is read-only|Permission denied"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"


def test_an_error_that_is_not_about_the_file_stays_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), files.replacing(tmp_path / "m"):
        os.listdir(tmp_path / "elsewhere")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_goes_with_the_next_file(tmp_path):
    program = f"""
        from lamina._files import files
        with files.replacing({str(tmp_path / "a.keras")!r}) as file:
            file.write(b"half")
            print("ready", flush=True)
            input()
        """
    with started(program) as child:
        assert child.stdout.readline() == "ready\n"
        (left,) = os.listdir(tmp_path)
        files.write(tmp_path / "b.keras", b"x")
        assert sorted(os.listdir(tmp_path)) == [left, "b.keras"]  # its process lives
        child.kill()
    files.write(tmp_path / "b.keras", b"x")
    assert os.listdir(tmp_path) == ["b.keras"]


def test_only_what_was_left_goes(tmp_path):
    """A name that is ours, but leads elsewhere or is not a file, harms nothing; names that look alike stay."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    ours = ".m.0123456789abcdef.lamina-part"
    for name in (f"{ours}x", f"x{ours}", ".m.lamina-part", "m.lamina-part"):
        (folder / name).write_bytes(b"the user's")
    (folder / ours).symlink_to(outside)
    os.mkfifo(folder / ours.replace("0", "1"))
    files.sweep(str(folder))
    assert outside.read_bytes() == b"precious"
    assert len([name for name in os.listdir(folder) if not files.PART.fullmatch(name)]) == 4


def test_a_file_that_was_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    real = os.open

    def swept(part, *mode):
        descriptor = real(part, *mode)
        monkeypatch.setattr(os, "open", real)
        os.unlink(part)
        return descriptor

    monkeypatch.setattr(os, "open", swept)
    files.write(tmp_path / "m", b"x")
    assert (tmp_path / "m").read_bytes() == b"x"


def test_a_disk_without_locks_keeps_what_was_left(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    left = tmp_path / ".m.0123456789abcdef.lamina-part"
    left.write_bytes(b"perhaps another process is at it")
    monkeypatch.setattr(files.fcntl, "flock", refused)
    files.write(tmp_path / "m", b"x")
    assert sorted(os.listdir(tmp_path)) == [left.name, "m"]


def test_two_processes_and_two_threads_at_one_path_leave_one_whole_file(tmp_path):
    path = tmp_path / "m.keras"
    program = f"""
        import threading
        from lamina._files import files
        def save(letter):
            for _ in range(60):
                files.write({str(path)!r}, letter * 20_000)
        threads = [threading.Thread(target=save, args=[letter]) for letter in (b"LETTER", b"letter")]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """
    programs = [program.replace("LETTER", each).replace("letter", each.lower()) for each in "AB"]
    seen = set()
    with contextlib.ExitStack() as children:
        both = [children.enter_context(started(each)) for each in programs]
        while any(child.poll() is None for child in both):
            if path.exists():
                content = path.read_bytes()
                assert len(content) == 20_000 and len(set(content)) == 1
                seen.add(content[:1])
    assert [child.returncode for child in both] == [0, 0]
    assert os.listdir(tmp_path) == ["m.keras"] and len(seen) > 1


KILLS = """
    import os, random, re, signal, sys, time
    from lamina._files import files
    from lamina._saving import folders, guard

    os.chdir({folder!r})

    def keep_saving():
        for number in range(10**9):
            digit = b"%d" % (number % 10)
            files.write("m", digit * 300_000)
            folders.write("f", dict.fromkeys("abc", digit * 100_000), re.compile("[abc]"))

    def read(*names):
        content = b"".join(open(name, "rb").read() for name in names if os.path.exists(os.path.dirname(name) or name))
        assert len(content) in (0, 300_000) and len(set(content)) < 2, (names, len(content), set(content))

    left = 0
    for _ in range({times}):
        child = os.fork()
        if not child:
            keep_saving()
        time.sleep(random.random() * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        read("m")
        read("f/a", "f/b", "f/c")
        parts = {{name.removesuffix("-folder") for name in os.listdir()}} - {{"m", "f"}}
        assert len(parts) <= 1, parts
        left += len(parts)
    files.write("m", b"")
    assert set(os.listdir()) <= {{"f", "m"}}
    print("left", left)
    """


@pytest.mark.parametrize("times", [20, pytest.param(2000, marks=pytest.mark.nightly)])
def test_a_kill_at_any_instant_leaves_whole_files(tmp_path, times):
    told = in_child(KILLS.format(folder=str(tmp_path), times=times))
    assert told.startswith("left ") and int(told.split()[1]) > 0


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OLD, NEW = {"config.json": b"1", "assets/a.txt": b"1"}, {"config.json": b"2", "weights": b"2"}
KNOWN, ABC = re.compile(r"config\.json|assets/(a\.txt)?|weights"), re.compile("[abc]")
NAMES = re.compile(r"config\.json|weights|assets/[ab]?")


@pytest.fixture(params=[True, False], ids=["exchange", "no exchange"])
def with_exchange(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(folders, "_exchange", lambda *_: False)
    return request.param


def test_a_folder_is_made_and_replaced_as_a_whole(tmp_path, with_exchange):
    path = tmp_path / "m.keras"
    folders.write(path, OLD, KNOWN)
    assert contents(path) == OLD
    path.chmod(0o705)
    folders.write(path, NEW, KNOWN)
    assert contents(path) == NEW and stat.S_IMODE(path.stat().st_mode) == 0o705
    assert os.listdir(tmp_path) == ["m.keras"]


def test_an_empty_folder_and_a_link_to_one_are_replaced(tmp_path, with_exchange):
    (tmp_path / "store").mkdir()
    (tmp_path / "latest").symlink_to("store")
    folders.write(tmp_path / "latest", NEW, KNOWN)
    assert (tmp_path / "latest").is_symlink() and contents(tmp_path / "store") == NEW


def test_a_folder_with_files_of_the_users_own_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileError, match=saying(r"holds other files, such as 'thesis\.tex'")):
        folders.write(tmp_path, NEW, KNOWN)
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}
    with pytest.raises(FileError, match=saying("a file has the name that the folder would get")):
        folders.write(tmp_path / "thesis.tex", NEW, KNOWN)
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize("call", ["open", "fsync", "mkdir", "rename", "stat", "chmod", "close", "makedirs", "walk"])
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_whatever_call_fails_the_folder_is_whole(tmp_path, monkeypatch, with_exchange, call, error):
    path = tmp_path / "m.keras"
    for at in range(1, 40):
        shutil.rmtree(path, ignore_errors=True)
        folders.write(path, OLD, KNOWN)
        failing = Failing(getattr(os, call), at, error)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                folders.write(path, NEW, KNOWN)
                raised = None
            except BaseException as each:
                raised = each
        assert contents(path) in (OLD, NEW)
        assert os.listdir(tmp_path) == ["m.keras"]
        if failing.calls < at:
            break
    assert raised is None and contents(path) == NEW


def test_who_reads_a_folder_while_it_is_replaced_gets_the_old_or_the_new(tmp_path):
    path = tmp_path / "m.keras"
    versions = [dict.fromkeys(("config.json", "weights", "assets/a", "assets/b"), b"%d" % i) for i in range(2)]
    folders.write(path, versions[0], NAMES)
    done = threading.Event()

    def keep_writing():
        while not done.is_set():
            for each in versions:
                folders.write(path, each, NAMES)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        for _ in range(300):
            assert folders.read(str(path), lambda: contents(path)) in versions
    finally:
        done.set()
        writer.join()
    with pytest.raises(ZeroDivisionError):
        folders.read(str(path), lambda: 1 / 0)


def test_saving_as_a_folder_makes_those_above_it_as_keras_does(tmp_path):
    for library in (lamina, keras):
        model = library.Sequential([library.Input((2,)), library.layers.Dense(1)])
        model.save(tmp_path / library.__name__ / "runs" / "m", zipped=False)
        assert (tmp_path / library.__name__ / "runs" / "m" / "config.json").is_file()
        with pytest.raises(FileNotFoundError):
            model.save(tmp_path / library.__name__ / "nowhere" / "m.keras")


def test_two_writers_of_one_folder_leave_one_whole_folder(tmp_path, with_exchange):
    path, errors = tmp_path / "m.keras", []

    def save(number):
        try:
            for _ in range(40):
                folders.write(path, dict.fromkeys("abc", number), ABC)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=[b"%d" % i]) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if with_exchange:
        assert errors == []
    assert contents(path) in [dict.fromkeys("abc", b"%d" % i) for i in range(2)]
    folders.write(path, OLD, ABC)
    assert os.listdir(tmp_path) == ["m.keras"]


def test_new_folders_are_made_with_those_above_them(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    files.make_folder(tmp_path / "a" / "b")
    files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert sorted(synced) == [str(tmp_path), str(tmp_path / "a")]
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=saying("a file stands where a folder is needed")):
        files.make_folder(tmp_path / "file" / "c")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"os\.path\.expanduser"):
        files.make_folder("~/runs")
    assert not os.path.exists("~")


def test_the_parts_of_weights_are_replaced_as_one_set(tmp_path):
    """The numbers go to and fro, real Keras reads each set, and what is not of the set is empty, gone or the user's."""
    name = tmp_path / "m.weights.json"
    (tmp_path / "m_00005.weights.h5").write_bytes(b"the user's own")
    sizes = []
    for turn in range(4):
        model = lamina.Sequential([lamina.Input((8,)), lamina.layers.Dense(40), lamina.layers.Dense(3 + turn % 2)])
        model.save_weights(name, max_shard_size=1.3e-6)
        theirs = keras.Sequential([keras.Input((8,)), keras.layers.Dense(40), keras.layers.Dense(3 + turn % 2)])
        theirs.load_weights(name)
        assert all(map(np.array_equal, theirs.get_weights(), model.get_weights()))
        again = lamina.Sequential([lamina.Input((8,)), lamina.layers.Dense(40), lamina.layers.Dense(3 + turn % 2)])
        again.load_weights(name)
        assert all(map(np.array_equal, again.get_weights(), model.get_weights()))
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
    assert (tmp_path / "m_00005.weights.h5").read_bytes() == b"the user's own"
    assert len(set(sizes[1:])) < 4 and max(sizes) < 2 * min(sizes)
