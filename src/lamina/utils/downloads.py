"""Files from the network: downloaded once, checked, and stored in Keras's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Literal

from lamina import _display
from lamina._files import private
from lamina._files.files import make_folder, replacing
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.converters import checked, one_of, short
from lamina.errors import ArgumentError, FileError
from lamina.utils.archives import OPENED, unpack

PIECE = 2**16
TIMEOUT = 60.0
"""Seconds without an answer after which a connection counts as broken."""
LENGTHS = {64: "sha256", 32: "md5"}
"""The algorithm that gives a hash of this many characters."""


@user_facing
def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str | os.PathLike[str] = "datasets",
    hash_algorithm: Literal["auto", "sha256", "md5"] = "auto",
    extract: bool = False,
    archive_format: Literal["auto", "tar", "zip"] | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Downloads a file unless the cache has it, and returns its path in the cache.

    The cache is Keras's: `cache_dir/cache_subdir/fname`, by default `~/.keras/datasets/fname`, or
    `$KERAS_HOME/datasets/fname` if that variable is set. If no file can be written there, the cache is in the system's
    folder for temporary files, and a warning says so. A download that is interrupted or does not fit its hash leaves no
    file behind. If no hash is given, the file's SHA-256 is printed, so that you can give it next time.

        path = keras.utils.get_file(origin="https://example.org/flowers.tgz", extract=True)

    Args:
        fname: the file's name in the cache; if None, the last part of the URL. For an archive, the name of the folder
            to which it is unpacked; if the name has a dot, as in "data.zip", the folder is "data_extracted".
        origin: the URL, which begins with https.
        untar: an older name of `extract`, for tar files only.
        md5_hash: an older name of `file_hash`, for MD5 only.
        file_hash: the SHA-256 or MD5 that the file must have.
        cache_subdir: the folder inside `cache_dir`; an absolute path replaces both.
        hash_algorithm: "sha256" or "md5"; "auto" chooses by the length of `file_hash`.
        extract: whether to unpack the file and return the folder's path. An existing folder is not changed, unless the
            file was downloaded again.
        archive_format: "tar" (also compressed), "zip", a list of these, or "auto" for both.
        cache_dir: the folder of the cache.
        force_download: whether to download the file again even if the cache has it.

    Raises:
        ArgumentError: the URL does not begin with https, or the name is not a file name.
        FileError: the file cannot be downloaded or written, does not fit its hash, or is not an archive that can be
            unpacked safely.
    """
    if not isinstance(origin, str) or not origin:
        raise ArgumentError(f'get_file(origin={origin!r}): expected a URL, such as "https://example.org/data.csv".')
    wanted = _hash_of(file_hash, md5_hash, hash_algorithm)
    formats = _formats("tar" if untar else archive_format)
    unpacked = extract or untar
    name = _name_of(fname, origin)
    stem = name.partition(".")[0]
    of_user = fname is not None and os.fspath(fname) != ""
    home = cache_dir or os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    folder = os.path.join(os.path.expanduser(os.fspath(home)), os.fspath(cache_subdir))
    dotted = of_user and "." in name
    target = os.path.join(folder, name if dotted or not unpacked else f"{name}_archive")
    cached = not force_download and os.path.exists(target)
    if os.path.exists(target) and not os.path.isfile(target):  # reading a pipe would wait for ever
        raise FileError(f"{target!r} is a folder, a pipe or a device; get_file has a file of that name. Remove it.")
    if cached and wanted is not None and (found := _hash_in(target, wanted[0])) != wanted[1]:
        print(f"{target} is downloaded again: its hash is {found}, expected {wanted[1]}.", flush=True)
        cached = False
    if not cached and cache_dir is None and not _takes_files(folder) and (spare := _spare_folder()):
        warn(f"no file can be written in {folder!r}, so the cache is {spare!r}: set KERAS_HOME to have it elsewhere.")
        return get_file(
            fname, origin, untar, md5_hash, file_hash, cache_subdir, hash_algorithm, extract, archive_format, spare,
            force_download,
        )  # fmt: skip
    if not cached:
        try:
            make_folder(folder)
        except FileError as error:
            told = f"{error}\nThe cache may be elsewhere: cache_dir=..., or the variable KERAS_HOME."
            raise type(error)(told) from None
        _download(origin, target, wanted)
    if not unpacked:
        return target
    place = os.path.join(folder, f"{stem}_extracted" if dotted else name)
    if not (cached and os.path.isdir(place)):
        unpack(target, place, formats)
    return place


def _takes_files(folder: str) -> bool:
    """Whether files can be written in a folder; a missing folder is created."""
    folder = os.path.abspath(folder)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _spare_folder() -> str | None:
    """The cache to use if the usual one is not writable: like Keras's, but in a folder that only this user can write.

    Otherwise a file that another user put into the folder for temporary files could pass for a download.
    """
    for name in (".keras", f".keras-{private.user()}"):
        with contextlib.suppress(OSError):
            private.make_folder(folder := Path(tempfile.gettempdir()) / name)
            return str(folder)
    return None


def _name_of(fname: str | os.PathLike[str] | None, origin: str) -> str:
    """The file's name in the cache."""
    name = "" if fname is None else os.fsdecode(fname)
    if name and (name in (".", "..") or {"/", "\\", "\0"} & set(name)):
        raise ArgumentError(
            f"get_file(fname={name!r}): expected the name of a file, without folders. These go to cache_dir and "
            f"cache_subdir: get_file({os.path.basename(name)!r}, cache_dir={os.path.dirname(name)!r}, cache_subdir='')."
        )
    name = name or os.path.basename(urllib.parse.urlsplit(origin).path)
    if name in ("", ".", ".."):
        raise ArgumentError(f"get_file(origin={origin!r}): the URL ends without the name of a file. Give fname=...")
    return name


def _formats(given: str | Sequence[str] | None) -> list[str]:
    formats = list(OPENED) if given == "auto" else [given] if isinstance(given, str) else list(given or ())
    return [checked("get_file", "archive_format", one_of(*OPENED), each) for each in formats]


def _hash_of(file_hash: str | None, md5_hash: str | None, algorithm: str) -> tuple[str, str] | None:
    """The algorithm and the hash that the file must have; None if none is given."""
    checked("get_file", "hash_algorithm", one_of("auto", *LENGTHS.values()), algorithm)
    given, algorithm = (md5_hash, "md5") if file_hash is None else (file_hash, algorithm)
    if given is None:
        return None
    if not isinstance(given, str) or len(given) not in LENGTHS:
        raise ArgumentError(
            f"get_file(file_hash={short(given)}): expected 64 characters (SHA-256) or 32 (MD5), in hexadecimal."
        )
    return LENGTHS[len(given)] if algorithm == "auto" else algorithm, given.lower()


def _hash_in(path: str, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to another URL if that also begins with https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        try:
            _require_https(newurl, f"{req.full_url} leads to")
        except ArgumentError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str, said: str) -> None:
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "http":
        raise ArgumentError(f"{said} {url!r}, which others on the network can change. Write 'https://{rest}'.")
    if scheme.lower() != "https":
        raise ArgumentError(f"{said} {url!r}; expected a URL that begins with https://. A local file needs none.")


def _download(origin: str, target: str, wanted: tuple[str, str] | None) -> None:
    """Download the URL to the file `target`, if the content fits the hash."""
    _require_https(origin, "get_file was given")
    print(f"Downloading data from {origin}", flush=True)
    sums = {name: hashlib.new(name, usedforsecurity=False) for name in {"sha256", wanted[0] if wanted else "sha256"}}
    opener = urllib.request.build_opener(_Redirects)
    try:
        with opener.open(origin, timeout=TIMEOUT) as response, _bar(response) as progress:
            size, done = _size_of(response), 0
            progress.begin()
            with replacing(target, size) as file:
                while piece := response.read(PIECE):
                    file.write(piece)
                    done += len(piece)
                    for each in sums.values():
                        each.update(piece)
                    progress.update(-(-done // 1000))
                if size is not None and done != size:
                    raise EOFError(f"the connection broke after {done:,} of {size:,} bytes")
                if wanted is not None and (found := sums[wanted[0]].hexdigest()) != wanted[1]:
                    raise FileError(
                        f"{origin} is not the file that was expected: its {wanted[0]} is {found}, expected {wanted[1]}."
                        " Nothing was kept."
                    )
            progress.end()
    except FileError:
        raise
    except (OSError, HTTPException, EOFError) as error:
        raise _unreached(origin, target, error, wanted) from error
    if wanted is None:
        print(f"Its SHA-256 is {sums['sha256'].hexdigest()}. Give it as file_hash, and it is checked.", flush=True)


def _size_of(response: HTTPResponse) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _bar(response: HTTPResponse) -> _display.Progress:
    size = _size_of(response)
    return _display.Progress("auto", steps=None if size is None else max(-(-size // 1000), 1), unit="KB")


def _unreached(origin: str, target: str, error: Exception, wanted: tuple[str, str] | None) -> FileError:
    """The error for a failed download, with the path where the file belongs."""
    match error:
        case urllib.error.HTTPError():
            error.close()
            why = f"the server answered {error.code} {error.reason}"
        case urllib.error.URLError():
            why = f"there is no connection to the server ({error.reason})"
        case _:
            why = str(error) or type(error).__name__
    checksum = f" Its {wanted[0]} is {wanted[1]}." if wanted else ""
    return FileError(
        f"cannot download {origin}: {why}.\n"
        f"Or put the file there yourself: download it on another machine, and save it here as {target!r}.{checksum}"
    )
