"""`get_file` against a server on this machine: what is kept, what is checked, and what an archive can not do."""

import hashlib
import io
import os
import ssl
import stat
import tarfile
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
import trustme

import lamina
from lamina.errors import ArgumentError, FileError, LaminaWarning
from lamina.utils import get_file

DATA = bytes(range(256)) * 40
SHA = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `files`; "/moved/URL" leads to URL, and "/broken" ends too soon."""

    files = {}
    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved/"))
            self.end_headers()
        elif self.path == "/broken":
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA[:100])
        elif self.path in self.files:
            self.send_response(200)
            if self.path != "/unmeasured":
                self.send_header("Content-Length", str(len(self.files[self.path])))
            self.end_headers()
            self.wfile.write(self.files[self.path])
        else:
            self.send_error(404)

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    made.cert_pem.write_to_path(path := tmp_path_factory.mktemp("authority") / "ca.pem")
    return made, str(path)


@pytest.fixture(scope="module")
def address(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    server.handle_error = lambda *_: None  # a client that does not trust it
    # The handshake is left to the thread of each request, which closes the socket where it fails.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def home(authority, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", authority[1])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Handler, "files", {"/data.bin": DATA, "/unmeasured": DATA})
    Handler.asked.clear()
    return tmp_path / "home"


def held(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(call, *fragments, error=FileError):
    with pytest.raises(error) as caught:
        call()
    assert len(str(caught.value).splitlines()) <= 15
    told = " ".join(str(caught.value).split())
    for fragment in fragments:
        assert fragment in told
    return told


def read(path):
    return Path(path).read_bytes()


def test_a_file_is_downloaded_once(address, home, capsys):
    path = get_file(origin=f"{address}/data.bin")
    assert path == str(home / "datasets" / "data.bin") and read(path) == DATA
    told = capsys.readouterr().out
    assert f"Downloading data from {address}/data.bin" in told and SHA in told and "11/11" in told and "/KB" in told
    assert get_file(origin=f"{address}/data.bin") == path
    assert capsys.readouterr().out == "" and len(Handler.asked) == 1
    get_file(origin=f"{address}/data.bin", force_download=True)
    assert len(Handler.asked) == 2 and held(home) == ["datasets/data.bin"]


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"fname": "mine"}, "home/datasets/mine"), ({"cache_subdir": "a/b"}, "home/a/b/data.bin"),
        ({"cache_dir": "other"}, "other/datasets/data.bin"),
        ({"cache_dir": "other", "cache_subdir": ""}, "other/data.bin"),
    ],
)  # fmt: skip
def test_where_a_file_goes(address, tmp_path, arguments, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = get_file(origin=f"{address}/data.bin", **arguments)
    assert os.path.realpath(path) == str(tmp_path / place) and held(tmp_path) == [place]


def test_the_cache_is_that_of_keras(address, home, tmp_path, monkeypatch):
    """A file that Keras has downloaded is not downloaded again, and the other way round."""
    (home / "datasets").mkdir(parents=True)
    theirs = keras.utils.get_file(origin=f"{address}/data.bin", cache_dir=str(home))
    assert get_file(origin=f"{address}/data.bin", file_hash=SHA) == theirs and len(Handler.asked) == 1
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get_file(origin=f"{address}/data.bin") == str(tmp_path / ".keras" / "datasets" / "data.bin")


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_hash": SHA}, {"file_hash": SHA.upper()}, {"file_hash": MD5}, {"md5_hash": MD5},
        {"file_hash": SHA, "hash_algorithm": "sha256"}, {"file_hash": MD5, "hash_algorithm": "md5"},
    ],
)  # fmt: skip
def test_a_hash_is_checked(address, home, capsys, arguments):
    get_file(origin=f"{address}/data.bin", **arguments)
    assert "SHA-256" not in capsys.readouterr().out
    (home / "datasets" / "data.bin").write_bytes(b"old")
    path = get_file(origin=f"{address}/data.bin", **arguments)
    assert "is downloaded again" in capsys.readouterr().out and read(path) == DATA


def test_a_file_of_another_hash_is_not_kept(address, home):
    for wrong in (SHA[::-1], MD5[::-1]):
        refused(lambda w=wrong: get_file(origin=f"{address}/data.bin", file_hash=w), wrong, "Nothing was kept")
    assert held(home) == []
    (home / "datasets" / "data.bin").write_bytes(b"old")
    refused(lambda: get_file(origin=f"{address}/data.bin", file_hash=SHA[::-1]), "expected")
    assert (home / "datasets" / "data.bin").read_bytes() == b"old"


def test_a_connection_that_breaks_leaves_nothing(address, home):
    told = refused(lambda: get_file(origin=f"{address}/broken"), "the connection broke after 100 of 10,240 bytes")
    assert str(home / "datasets" / "broken") in told and held(home) == []


def test_a_file_of_unknown_size(address, capsys):
    assert read(get_file(origin=f"{address}/unmeasured")) == DATA
    assert "11/11" in capsys.readouterr().out


def test_offline_the_message_says_where_the_file_belongs(home):
    origin = "https://localhost:1/data.npz"
    told = refused(lambda: get_file(origin=origin, file_hash=SHA), "no connection", "put the file there yourself")
    assert str(home / "datasets" / "data.npz") in told and SHA in told
    (home / "datasets" / "data.npz").write_bytes(DATA)
    assert get_file(origin=origin, file_hash=SHA) == str(home / "datasets" / "data.npz")


def test_a_server_that_has_no_such_file(address):
    refused(lambda: get_file(origin=f"{address}/none.bin"), "the server answered 404 Not Found")


def test_a_server_that_no_one_vouches_for(address, monkeypatch, home):
    monkeypatch.delenv("SSL_CERT_FILE")
    refused(lambda: get_file(origin=f"{address}/data.bin"), "certificate verify failed")
    assert held(home) == []


def test_http_is_refused_with_the_https_spelling(address, home):
    told = "Write 'https://example.org/data.csv'"
    refused(lambda: get_file(origin="http://example.org/data.csv"), told, error=ArgumentError)
    refused(lambda: get_file(origin="file:///etc/passwd"), "begins with https", error=ArgumentError)
    refused(lambda: get_file("a", "/etc/passwd"), "begins with https", error=ArgumentError)
    insecure = address.replace("https", "http")
    refused(lambda: get_file("a", f"{address}/moved/{insecure}/data.bin"), "leads to", error=ArgumentError)
    assert held(home) == []
    assert read(get_file("a", f"{address}/moved/{address}/data.bin")) == DATA


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "expected a URL"), ({"origin": "https://example.org"}, "ends without the name"),
        ({"origin": "https://example.org/.."}, "ends without the name"),
        ({"fname": "../a", "origin": "https://example.org/a"}, "get_file('a', cache_dir='..', cache_subdir='')"),
        ({"fname": "..", "origin": "https://example.org/a"}, "without folders"),
        ({"origin": "https://example.org/a", "file_hash": "abc"}, "expected 64 characters (SHA-256) or 32 (MD5)"),
        ({"origin": "https://example.org/a", "hash_algorithm": "sha1"}, "'auto', 'sha256', 'md5', got 'sha1'"),
        ({"origin": "https://example.org/a", "extract": True, "archive_format": "rar"}, "'tar', 'zip', got 'rar'"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(arguments, told, home):
    refused(lambda: get_file(**arguments), told, error=ArgumentError)
    assert not home.exists()


def test_a_folder_that_cannot_be_made(address, tmp_path):
    (tmp_path / "file").write_text("")
    told = "a file stands where", "cache_dir=..., or the variable KERAS_HOME"
    refused(lambda: get_file(origin=f"{address}/data.bin", cache_dir=tmp_path / "file"), *told)


def test_where_the_cache_cannot_be_written_it_is_a_temporary_folder_as_in_keras(address, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with pytest.warns(LaminaWarning, match=r"so the cache is .*tmp/\.keras': set\s+KERAS_HOME"):
        path = get_file(origin=f"{address}/data.bin")
    assert path == str(tmp_path / "tmp" / ".keras" / "datasets" / "data.bin") and read(path) == DATA
    with pytest.warns(LaminaWarning):
        assert get_file(origin=f"{address}/data.bin") == path
    assert len(Handler.asked) == 1
    assert stat.S_IMODE((tmp_path / "tmp" / ".keras").stat().st_mode) == 0o700
    (tmp_path / "tmp" / ".keras").chmod(0o777)  # now other users could have put anything there
    with pytest.warns(LaminaWarning, match=f"keras-{os.geteuid()}"):
        own = get_file(origin=f"{address}/data.bin")
    assert own == str(tmp_path / "tmp" / f".keras-{os.geteuid()}" / "datasets" / "data.bin") and read(own) == DATA
    (tmp_path / "tmp" / f".keras-{os.geteuid()}").chmod(0o777)
    refused(lambda: get_file(origin=f"{address}/data.bin"), "the variable KERAS_HOME")


def test_a_file_that_is_there_is_read_from_a_folder_of_somebody_elses(address, home, monkeypatch):
    path = Path(get_file(origin=f"{address}/data.bin"))
    path.chmod(0o444)
    for folder in (path.parent, home):
        folder.chmod(0o555)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as of files of another user
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert get_file(origin=f"{address}/data.bin") == str(path) and read(path) == DATA
    assert len(Handler.asked) == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("more", [{}, {"file_hash": "0" * 64}, {"force_download": True}])
def test_what_stands_in_place_of_the_file_is_refused_at_once(make, more, address, home):
    (home / "datasets").mkdir(parents=True)
    make(home / "datasets" / "data.bin")
    refused(lambda: get_file(origin=f"{address}/data.bin", **more), "data.bin", "Remove it")


# Archives.


def tar(*members, mode="w:gz"):
    """A tar file of (name, content), (name, "symlink" or "hardlink", target), or (name, type)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, *what in members:
            info = tarfile.TarInfo(name)
            if len(what) == 2:
                info.type, info.linkname = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}[what[0]], what[1]
                file.addfile(info)
            elif isinstance(what[0], tuple):
                (info.type,) = what[0]
                file.addfile(info)
            else:
                info.size = len(what[0])
                file.addfile(info, io.BytesIO(what[0]))
    return buffer.getvalue()


def zipped(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content, *mode in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.external_attr = name, (mode[0] if mode else 0o100644) << 16
            file.writestr(info, content)
    return buffer.getvalue()


FILES = [("set/a.txt", b"a"), ("set/b/c.txt", b"c")]


@pytest.mark.parametrize(
    ("made", "arguments"),
    [
        (tar(*FILES), {"extract": True}), (tar(*FILES, mode="w"), {"untar": True}),
        (tar(*FILES, mode="w:bz2"), {"extract": True, "archive_format": "tar"}),
        (tar(*FILES, mode="w:xz"), {"extract": True, "archive_format": ["zip", "tar"]}),
        (zipped(*FILES), {"extract": True}), (zipped(*FILES), {"extract": True, "archive_format": "zip"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("fname", "archive", "folder"),
    [
        (None, "set.tgz_archive", "set.tgz"), ("mine", "mine_archive", "mine"), ("my.tgz", "my.tgz", "my_extracted"),
    ],
)  # fmt: skip
def test_archives_are_unpacked_where_keras_unpacks_them(address, home, made, arguments, fname, archive, folder):
    Handler.files["/set.tgz"] = made
    path = get_file(fname, f"{address}/set.tgz", **arguments)
    assert path == str(home / "datasets" / folder)
    assert held(home / "datasets") == sorted([archive, f"{folder}/set/a.txt", f"{folder}/set/b/c.txt"])
    assert keras.utils.get_file(fname, f"{address}/set.tgz", cache_dir=str(home), **arguments) == path
    os.remove(os.path.join(path, "set", "a.txt"))
    assert get_file(fname, f"{address}/set.tgz", **arguments) == path
    assert not os.path.exists(os.path.join(path, "set", "a.txt")) and len(Handler.asked) == 1


def test_a_new_archive_goes_over_the_old_files(address, home):
    Handler.files["/set.tgz"] = tar(*FILES)
    path = get_file("set", f"{address}/set.tgz", extract=True)
    with open(os.path.join(path, "mine.txt"), "w") as mine:
        mine.write("mine")
    Handler.files["/set.tgz"] = tar(("set/a.txt", b"new"), ("set/d/e.txt", b"e"))
    get_file("set", f"{address}/set.tgz", extract=True, force_download=True)
    assert held(home / "datasets" / "set") == ["mine.txt", "set/a.txt", "set/b/c.txt", "set/d/e.txt"]
    assert read(os.path.join(path, "set", "a.txt")) == b"new"


def test_what_is_no_archive_or_a_broken_one(address, home):
    refused(
        lambda: get_file(origin=f"{address}/data.bin", extract=True), "it is not a tar or zip. Leave extract=True out"
    )
    no_format = {"extract": True, "archive_format": None}
    refused(lambda: get_file(origin=f"{address}/data.bin", **no_format), "archive_format names none")
    whole = tar(("a", os.urandom(50_000)), ("b", b"2"))
    Handler.files["/half.tgz"] = whole[: len(whole) // 2]
    refused(lambda: get_file(origin=f"{address}/half.tgz", extract=True), "is damaged", "Delete it")
    assert held(home) == ["datasets/data.bin_archive", "datasets/half.tgz_archive"]
    assert sorted(os.listdir(home / "datasets")) == ["data.bin_archive", "half.tgz_archive"]


def test_an_archive_that_is_larger_than_the_disk(address, monkeypatch):
    Handler.files["/set.tgz"], Handler.files["/set.zip"] = tar(*FILES), zipped(*FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=0))
    for name in ("set.tgz", "set.zip"):
        refused(lambda n=name: get_file(origin=f"{address}/{n}", extract=True), "bytes more, and 0 are free")


def check_refused(address, home, archive, *fragments):
    """The archive is refused, and nothing is written but itself."""
    Handler.files["/evil.tgz"] = archive
    refused(lambda: get_file("evil.tgz", f"{address}/evil.tgz", extract=True), "is refused", *fragments)
    assert held(home.parent) == ["home/datasets/evil.tgz"]
    assert os.listdir(home / "datasets") == ["evil.tgz"]


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/tmp/escaped", "..", "a\\..\\..\\escaped"])
def test_cve_2024_55459_no_file_is_written_outside_the_cache(address, home, name):
    check_refused(address, home, tar(("good.txt", b"1"), (name, b"evil")), "outside the folder")


@pytest.mark.parametrize(
    "archive",
    [
        zipped(("good.txt", "1"), ("../escaped", "evil")), zipped(("/tmp/escaped", "evil")),
        zipped(("a/../../escaped", "evil")), tar(("set/../../../escaped", b"evil"), mode="w"),
    ],
)  # fmt: skip
def test_cve_2025_12060_no_archive_is_extracted_outside_its_folder(address, home, archive):
    check_refused(address, home, archive, "outside the folder")


DEEP = "d" * 200
"""Folders of this name, one in the other and each with a short link to it, made a path too long to be resolved."""


@pytest.mark.parametrize(
    "members",
    [
        [("out", "symlink", "../.."), ("out/escaped", b"evil")],
        [("out", "symlink", "/tmp"), ("out/escaped", b"evil")],
        [("up", "symlink", "."), ("out", "symlink", "up/../.."), ("escaped", b"1")],
        [("set/in", "symlink", "../.."), ("escaped", b"1")],
        [("in", "symlink", "set"), ("in/file", b"evil")],
        [("set/in", "symlink", "b"), ("SET/IN/file", b"evil")],
        [("hard", "hardlink", "../../../secret")],
        [("in", "symlink", "set"), ("hard", "hardlink", "in/../../secret")],
        [("pipe", (tarfile.FIFOTYPE,))],
        [("device", (tarfile.CHRTYPE,))],
        [
            *((("/".join([DEEP] * depth) + "/" + "abc"[depth - 1]), "symlink", DEEP) for depth in (1, 2, 3)),
            ("escape", "symlink", "/".join(["a", "b", "c", *[".."] * 6])), ("escape/escaped", b"evil"),
        ],
    ],
)  # fmt: skip
def test_cve_2025_12638_no_link_leads_outside(address, home, members):
    check_refused(address, home, tar(*members))


def test_links_that_stay_inside_are_kept(address, home):
    Handler.files["/set.tgz"] = tar(*FILES, ("set/b/link", "symlink", "../a.txt"), ("hard", "hardlink", "set/a.txt"))
    path = get_file("set", f"{address}/set.tgz", extract=True)
    assert read(os.path.join(path, "set", "b", "link")) == b"a"
    assert read(os.path.join(path, "hard")) == b"a"


def test_a_zip_with_a_link_is_refused(address, home):
    check_refused(address, home, zipped(("link", "/etc/passwd", 0o120777)), "is a link")


def test_a_zip_with_a_password_is_refused(address, home):
    locked = bytearray(zipped(("a", "1")))
    for place in (6, locked.index(b"PK\1\2") + 8):
        locked[place] |= 1
    check_refused(address, home, bytes(locked), "is encrypted")


def test_the_files_of_utils_are_not_its_names():
    assert not hasattr(lamina.utils, "downloads") and not hasattr(lamina.utils, "archives")
