"""The folder with programs on disk: JAX's persistent cache is on by default, and `stored.py` keeps its own there.

It lies in `$XDG_CACHE_HOME/lamina` (or `~/.cache/lamina`). `LAMINA_CACHE=off` turns it off, `LAMINA_CACHE=/folder`
moves it; a folder set through JAX itself stays. So that it holds at most 1 GiB, a process that writes to it deletes the
oldest entries, the first time and now and then.

A program in it is run, so each user has a folder of his own there, to which nobody else can write.
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
"""How many bytes the folder holds."""
LARGEST = 2**28
"""How many bytes an entry has at the most."""
OFTEN = 32
"""A process looks after the folder each time that it has written this part of the limit; several do at a time."""
ABANDONED = 3600.0
"""Seconds after which a file that is being written is taken for one whose process was killed."""
CHECKED = 16
"""How many bytes at the end of an entry are the checksum of the others."""
NAMES = re.compile(r".+-cache|[0-9a-f]{32}-part")
"""The names of entries, and of those that are being written."""

_own_folder = ""
_left_out: ContextVar[bool] = ContextVar("left_out", default=False)


@contextmanager
def left_out() -> Iterator[None]:
    """Within it programs are compiled anew and not kept: what the cache gave cannot be written again elsewhere."""
    before = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(before)


class Entries(CacheInterface):
    """The files of the cache, written as a whole. A damaged one counts as missing, and is written anew."""

    def __init__(self, folder: Path) -> None:
        self._path, self.writes, self.fails, self.said, self.written = folder, False, False, False, 0
        try:
            private.make_folder(folder)
        except OSError:  # `get` or `put` says it; XLA must not try to keep its own files for a GPU there
            jax.config.update("jax_persistent_cache_enable_xla_caches", "none")

    def get(self, key: str) -> bytes | None:
        """The program of that key; None where there is none, and where it is not this user's alone, which is said."""
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
        """Keep a program; a folder that cannot be written is said once."""
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
    """Delete the oldest entries in `folder` until the rest is within `limit` bytes; other files stay.

    JAX's own limit looks through the whole folder, under a lock for all processes, at every read and write.
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
    """Those of the folder that is in use, unless the user has chosen one through JAX."""
    folder: str | None = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    return entries_in(Path(folder)) if folder and folder == _own_folder else None


def use_persistent_cache() -> None:
    """Turn JAX's cache on disk on, unless the user has chosen already."""
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
