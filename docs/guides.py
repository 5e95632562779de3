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
from blocks import FENCE

ROOT = Path(__file__).parent.parent
DONE = ROOT / "out" / "guides"
AT_A_TIME = max(1, min(4, len(os.sched_getaffinity(0))))
SECONDS = 600
running: dict[str, Future[dict[str, Any]]] = {}
pool = ThreadPoolExecutor(AT_A_TIME)


def on_files(files: Files, config: Any) -> Files:
    """Begin to run each page that has programs, the longest first."""
    texts = {file.src_uri: file.content_string for file in files.documentation_pages() if not file.generated_by}
    found = {path: text for path, text in texts.items() if FENCE.search(text)}
    for path, text in sorted(found.items(), key=lambda item: -len(item[1])):
        running[path] = pool.submit(run, path, text)
    return files


def run(path: str, text: str) -> dict[str, Any]:
    """The page with its output, from a process of its own, or from `DONE` where nothing has changed."""
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
    """What all pages depend on: the source of the package, of the machinery, and what is installed."""
    files = [*sorted((ROOT / "src").rglob("*.py")), ROOT / "docs" / "blocks.py", *sorted(ROOT.glob("examples/data/*"))]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    installed = sorted(f"{each.name} {each.version}" for each in metadata.distributions())
    return f"{digest.hexdigest()} {installed}"


def ran(path: str, text: str) -> str:
    command = [sys.executable, str(Path(__file__).with_name("blocks.py")), Path(path).stem]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        raise PluginError(f"{path}:\n{done.stderr}")
    return done.stdout


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Put the output of the programs into the page, and its pictures beside it."""
    if page.file.src_uri not in running:
        return markdown
    made = running.pop(page.file.src_uri).result()
    for name, picture in made["pictures"].items():
        path = Path(page.file.src_uri).with_name(name).as_posix()
        files.append(File.generated(config, path, content=bytes.fromhex(picture)))
    text: str = made["text"]
    return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text


def on_build_error(error: Exception) -> None:
    """Begin no other page."""
    pool.shutdown(wait=False, cancel_futures=True)
