"""A file that is written is whole: the old one or the new one, whatever goes wrong."""

import errno
import os
import stat

import pytest

from lamina._saving import files
from lamina.errors import FileError


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


@pytest.mark.parametrize("call", ["open", "fsync", "replace", "fchmod", "stat", "close"])
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
