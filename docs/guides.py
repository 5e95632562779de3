"""Runs the programs of the guides in processes of their own while MkDocs reads the other pages.

MkDocs calls the functions `on_...`. A block that raises ends the build.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import processes
from blocks import FENCE

ROOT = Path(__file__).parent.parent
DONE = ROOT / "out" / "guides"
AT_A_TIME = max(1, min(4, len(os.sched_getaffinity(0))))
SECONDS = 600
running: dict[str, Future[dict[str, Any]]] = {}
pool = ThreadPoolExecutor(AT_A_TIME)


def on_files(files: Files, config: Any) -> Files:
    """Begin to run each page that has programs, the longest first."""
    texts = {file.src_uri: file.content_string for file in files.documentation_pages() if is_run(file)}
    found = {path: text for path, text in texts.items() if FENCE.search(text)}
    for path, text in sorted(found.items(), key=lambda item: -len(item[1])):
        running[path] = pool.submit(run, path, text)
    return files


def is_run(file: File) -> bool:
    """Pages that are written by hand, and the programs of the gallery."""
    return not file.generated_by or file.src_uri.startswith("gallery/")


def run(path: str, text: str) -> dict[str, Any]:
    """The page with its output, from a process of its own; or from `DONE` if nothing has changed since."""
    kept = DONE / f"{Path(path).stem}-{hashlib.sha256(f'{sources()}{text}'.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        made = ran(path, text)
        DONE.mkdir(parents=True, exist_ok=True)
        for older in DONE.glob(f"{Path(path).stem}-{'?' * 16}.json"):
            older.unlink()
        kept.write_text(made)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


@functools.cache
def sources() -> str:
    """What all pages depend on: the sources, the data, and the versions of what is installed."""
    files = [*sorted((ROOT / "src").rglob("*.py")), ROOT / "docs" / "blocks.py", *sorted(ROOT.glob("examples/data/*"))]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    installed = sorted(f"{each.name} {each.version}" for each in metadata.distributions())
    return f"{digest.hexdigest()} {installed}"


def ran(path: str, text: str) -> str:
    command = [sys.executable, str(Path(__file__).with_name("blocks.py")), Path(path).stem]
    try:
        status, said, complaints = processes.output(command, text, SECONDS)
    except subprocess.TimeoutExpired:
        raise PluginError(f"{path}: its programs were not done after {SECONDS} s") from None
    if status:
        raise PluginError(f"{path}:\n{complaints}")
    return said


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Put the output of the programs into the page, and its pictures beside it."""
    path = page.file.src_uri
    if path == "gallery/index.md":  # which shows the pictures of the others
        for other in running:
            if other.startswith("gallery/"):
                add_pictures(other, config, files)
    if path not in running:
        return markdown
    add_pictures(path, config, files)
    text: str = running.pop(path).result()["text"]
    return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text


def add_pictures(path: str, config: Any, files: Files) -> None:
    """Wait for the programs of a page, and add its pictures to the site."""
    for name, picture in running[path].result()["pictures"].items():
        there = Path(path).with_name(name).as_posix()
        if files.get_file_from_path(there) is None:
            files.append(File.generated(config, there, content=bytes.fromhex(picture)))


def on_shutdown() -> None:
    """After an error or Ctrl-C, begin no other page, and end those that run."""
    pool.shutdown(wait=False, cancel_futures=True)
    processes.kill_all()
