"""The folder with compiled programs on disk. JAX's persistent cache uses it by default, and `stored.py` too.

It is `$XDG_CACHE_HOME/lamina` or `~/.cache/lamina`. `LAMINA_CACHE=off` turns it off, `LAMINA_CACHE=/folder` moves it,
and a folder that was set through JAX is kept. A process that writes to the folder deletes its oldest entries from time
to time, so that it holds at most 1 GiB.

Programs from the folder are executed, so each user has a folder there to which nobody else can write.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import jax
from jax._src import compilation_cache
from jax._src.compilation_cache_interface import CacheInterface

from lamina._files import private
from lamina._messages.tracebacks import warn

LIMIT = 2**30
"""The most bytes in the folder."""
LARGEST = 2**28
"""The most bytes of an entry."""
OFTEN = 32
"""A process prunes the folder whenever it has written 1/32 of the limit."""
ABANDONED = 3600.0
"""After this number of seconds, the process that writes an unfinished file is taken as killed."""
CHECKED = 16
"""The number of bytes of the checksum at the end of an entry."""
NAMES = re.compile(r".+-cache|[0-9a-f]{32}-part")
"""The names of entries, and of unfinished files."""

_own_folder = ""
_left_out: ContextVar[bool] = ContextVar("left_out", default=False)


@contextmanager
def left_out() -> Iterator[None]:
    """Compile programs in the block without the cache, because a program from the cache cannot be serialized again."""
    before = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(before)


class Entries(CacheInterface):
    """The files of the cache. A file appears only when it is complete; a damaged one counts as missing."""

    def __init__(self, folder: Path) -> None:
        self._path, self.writes, self.fails, self.said, self.written = folder, False, False, False, 0
        try:
            private.make_folder(folder)
        except OSError:  # `get` or `put` says it; XLA must not try to keep its own files for a GPU there
            jax.config.update("jax_persistent_cache_enable_xla_caches", "none")

    def get(self, key: str) -> bytes | None:
        """Read a program by its key. Returns None if there is none, or, with a warning, if others can write it."""
        if _left_out.get():
            return None
        try:
            entry = private.read(self._path, self._file(key).name, LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._say(error, "a compiled program is not read but made anew")
            return None
        value, checksum = entry[:-CHECKED], entry[-CHECKED:]
        return value if checksum == _checksum(value) else None

    def put(self, key: str, value: bytes) -> None:
        """Store a program. Warn once if the folder cannot be written."""
        if self.fails or _left_out.get() or len(value) + CHECKED > LARGEST:
            return
        part = self._path / f"{uuid.uuid4().hex}-part"
        try:
            private.make_folder(self._path)
            try:
                private.write(self._path, part.name, value + _checksum(value))
                part.replace(self._file(key))
            finally:
                part.unlink(missing_ok=True)
            self.written += len(value)
            if self.written * OFTEN >= LIMIT or not self.writes:
                self.writes, self.written = True, 0
                prune(self._path, LIMIT * 3 // 4)
        except OSError as error:
            self.fails = True
            self._say(error, "compiled programs are not kept for the next run")

    def _say(self, error: OSError, what: str) -> None:
        if self.said:
            return
        self.said = True
        why = error.strerror if isinstance(error, private.NotPrivateError) else f"cannot be used ({error.strerror})"
        place = str(error.filename or self._path)
        warn(f"{what}: {place!r} {why}. Set LAMINA_CACHE to another folder, or to off.")

    def _file(self, key: str) -> Path:
        return self._path / f"{key}-cache"


def _checksum(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=CHECKED).digest()


def prune(folder: Path, limit: int) -> None:
    """Delete the oldest entries in `folder` until the rest has at most `limit` bytes. Other files stay.

    JAX's own limit would scan the whole folder at every read and write, under a lock for all processes.
    """
    files, now = [], time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if NAMES.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
            except FileNotFoundError:  # another process has just deleted it
                continue
    over = sum(size for _, size, _ in files) - limit
    for at, size, path in sorted(files):
        if over <= 0:
            break
        if path.endswith("-part") and now - at < ABANDONED:
            continue
        Path(path).unlink(missing_ok=True)
        over -= size


entries_in = functools.cache(Entries)


def entries() -> Entries | None:
    """The entries of the folder in use; None if the user has set a folder through JAX."""
    folder: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    return entries_in(Path(folder)) if folder and folder == _own_folder else None


def use_persistent_cache() -> None:
    """Turn on JAX's cache on disk, unless the user has configured it."""
    place = os.environ.get("LAMINA_CACHE", "")
    if place.lower() in ("off", "0", "no", "false") or jax.config.jax_compilation_cache_dir:  # type: ignore[attr-defined]
        return
    try:
        folder = Path(place or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamina").absolute()
    except RuntimeError:  # this user has no home
        return
    folder /= f"programs-{os.environ.get('USERNAME', '') if private.user() is None else private.user()}"
    global _own_folder
    _own_folder = str(folder)
    jax.config.update("jax_compilation_cache_dir", _own_folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    of_jax = compilation_cache.get_file_cache  # writes in place, and never again what is damaged

    def cache_in(path: str) -> tuple[CacheInterface, str] | None:
        return (entries_in(folder), path) if path == str(folder) else of_jax(path)

    compilation_cache.get_file_cache = cache_in
