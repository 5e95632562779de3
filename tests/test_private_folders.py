"""The folder of compiled programs, and the substitute of ~/.keras: only what this user alone has put there counts."""

import os
import stat
import subprocess
import sys
import textwrap
import time
import warnings

import jax
import pytest

import lamina
from lamina._files import private
from lamina._programs import cache
from lamina._programs.cache import Entries, prune
from lamina.errors import FileError

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files")
pytestmark = POSIX


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.fixture
def entries(tmp_path):
    """A cache with one program."""
    before = jax.config.jax_persistent_cache_enable_xla_caches
    entries = Entries(tmp_path / "cache" / "programs-0")
    entries.put("lamina-1", b"program")
    assert entries.get("lamina-1") == b"program"
    yield entries
    jax.config.update("jax_persistent_cache_enable_xla_caches", before)


def said(run):
    """What `run` returns, and the lines that it says, at once."""
    begun = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run()
    assert time.monotonic() - begun < 5
    return found, [str(warning.message) for warning in caught]


def test_folders_and_files_are_this_users_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        entries = Entries(tmp_path / "new" / "cache" / "programs-0")
        entries.put("lamina-1", b"program")
    finally:
        os.umask(before)
    for folder in (entries._path, entries._path.parent, entries._path.parent.parent):
        assert mode(folder) == 0o700
    assert [mode(path) for path in entries._path.iterdir()] == [0o600]


def test_a_file_of_the_users_in_the_folder_that_was_named_stays(tmp_path):
    own = [tmp_path / name for name in ("thesis.txt", "data-cache", f"{'0' * 32}-part")]
    for file in own:
        file.write_bytes(bytes(1000))
        os.utime(file, (1, 1))
    text = """
        import numpy, lamina
        from lamina._programs import cache
        cache.LIMIT = 0
        model = lamina.Sequential([lamina.layers.Dense(3)])
        model.predict(numpy.ones((2, 2)), verbose=0)
        print(cache.entries()._path.name)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=120,
        env=os.environ | {"LAMINA_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == f"programs-{os.geteuid()}\n", done.stderr
    assert all(file.stat().st_size == 1000 for file in own) and (tmp_path / f"programs-{os.geteuid()}").is_dir()


def test_of_the_folder_of_programs_only_entries_are_deleted(entries):
    (entries._path / "notes.txt").write_bytes(bytes(1000))
    (entries._path / "folder-cache").mkdir()
    outside = entries._path.parent / "outside"
    outside.write_bytes(bytes(1000))
    (entries._path / "link-cache").symlink_to(outside)
    prune(entries._path, 0)
    assert {path.name for path in entries._path.iterdir()} == {"notes.txt", "folder-cache", "link-cache"}
    assert outside.stat().st_size == 1000


def pipe(file):
    file.unlink()
    os.mkfifo(file)


def linked(file):
    file.rename(file.with_name("other"))
    file.symlink_to("other")


def folder(file):
    file.unlink()
    file.mkdir()


def sparse(file):
    os.truncate(file, 60 * 2**30)


def socket(file):
    file.unlink()
    os.mknod(file, stat.S_IFSOCK | 0o600)


BAD_FILES = {
    "pipe": (pipe, "is not a plain file"),
    "link": (linked, "cannot be used"),
    "folder": (folder, "is not a plain file"),
    "socket": (socket, "cannot be used"),
    "60 GB of nothing": (sparse, "is the limit"),
    "written by anyone": (lambda file: file.chmod(0o666), "can be written by other users"),
    "written by the group": (lambda file: file.chmod(0o620), "can be written by other users"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_an_entry_that_others_could_have_made_is_one_line_and_made_anew(what, entries):
    harm, why = BAD_FILES[what]
    file = entries._file("lamina-1")
    harm(file)
    found, lines = said(lambda: [entries.get("lamina-1") for _ in range(3)])
    assert found == [None] * 3 and len(lines) == 1 and why in lines[0] and "LAMINA_CACHE" in lines[0]
    if what == "folder":
        return
    assert said(lambda: entries.put("lamina-1", b"anew")) == (None, [])
    assert entries.get("lamina-1") == b"anew" and mode(file) == 0o600


def test_an_entry_of_another_user_is_not_read(entries, monkeypatch):
    file = entries._file("lamina-1")
    owner = private.user()
    monkeypatch.setattr(private, "user", lambda: owner + 1)
    assert said(lambda: entries.get("lamina-1"))[0] is None
    monkeypatch.undo()
    if owner == 0:
        os.chown(file, 12345, 12345)
        found, lines = said(lambda: Entries(entries._path).get("lamina-1"))
        assert found is None and "belongs to another user" in lines[0]


BAD_FOLDERS = {
    "written by anyone": lambda path: path.chmod(0o777),
    "written by anyone, sticky": lambda path: path.chmod(0o1777),
    "written by the group": lambda path: path.chmod(0o770),
    "a link": lambda path: (path.rename(path.with_name("other")), path.symlink_to("other")),
    "a file": lambda path: (path.rename(path.with_name("other")), path.write_bytes(b"")),
    "a pipe": lambda path: (path.rename(path.with_name("other")), os.mkfifo(path)),
}


@pytest.mark.parametrize("what", BAD_FOLDERS)
def test_a_folder_that_others_could_have_filled_is_neither_read_nor_written(what, entries):
    BAD_FOLDERS[what](entries._path)
    before = sorted(path.name for path in entries._path.parent.rglob("*"))
    anew = Entries(entries._path)
    found, lines = said(lambda: (anew.get("lamina-1"), anew.put("lamina-2", b"program"), anew.get("lamina-2")))
    assert found == (None, None, None) and len(lines) == 1
    assert sorted(path.name for path in entries._path.parent.rglob("*")) == before
    assert jax.config.jax_persistent_cache_enable_xla_caches == "none"


def test_a_poisoned_entry_does_not_run(tmp_path):
    """Other users who may write to the folder have put a pickle in each place: it is not opened."""
    text = """
        import numpy, lamina
        model = lamina.Sequential([lamina.layers.Input((2,)), lamina.layers.Dense(3)])
        model.compile("sgd", "mse")
        model.fit(numpy.ones((2, 2)), numpy.ones((2, 3)), verbose=0)
    """

    def run():
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=120,
            env=os.environ | {"LAMINA_CACHE": str(tmp_path)},
        )  # fmt: skip

    assert run().stderr == ""
    held = tmp_path / f"programs-{os.geteuid()}"
    poison = b"cposix\nsystem\n(S'touch %s/ran'\ntR." % str(tmp_path).encode()
    for file in held.glob("lamina-*"):
        file.write_bytes(poison + cache._checksum(poison))
    held.chmod(0o777)
    done = run()
    assert not (tmp_path / "ran").exists() and done.returncode == 0
    assert done.stderr.count("LaminaWarning") == 1 and "can be written by other users" in done.stderr
    held.chmod(0o700)  # the test can fail: whoever may write as this user does run
    assert run().returncode == 0 and (tmp_path / "ran").exists()


def test_a_system_without_owners_reads_its_files(entries, monkeypatch):
    monkeypatch.delattr(os, "geteuid")
    entries._path.chmod(0o777)
    assert private.user() is None and entries.get("lamina-1") == b"program"


def test_a_link_to_nothing_is_told_as_such(tmp_path):
    (tmp_path / "model.keras").symlink_to(tmp_path / "gone" / "away.keras")
    with pytest.raises(FileError, match=r"it is a link to\s+.*gone"):
        lamina.models.load_model(tmp_path / "model.keras")
    model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
    with pytest.raises(FileError, match=r"Make it first:\s+os\.makedirs\('.*gone'\)"):
        model.save(tmp_path / "model.keras")
