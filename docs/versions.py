"""The site of each version in a folder of its own, with a menu of the versions on each page.

MkDocs calls the functions `on_...`. The theme reads the menu from `versions.json`, in the form of the tool mike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lamina import __version__


def on_config(config: Any) -> Any:
    """Build into the folder of this version."""
    config.site_dir = str(Path(config.site_dir) / __version__)
    return config


def on_post_build(config: Any) -> None:
    """List the versions that are there, the newest first, and let the folder above them lead to that one."""
    above = Path(config.site_dir).parent
    versions = sorted((path.parent.name for path in above.glob("*/index.html")), key=numbers, reverse=True)
    listed = [{"version": each, "title": each, "aliases": []} for each in versions]
    (above / "versions.json").write_text(json.dumps(listed))
    (above / "index.html").write_text(
        f'<!doctype html><html lang="en"><title>Lamina</title>'
        f'<meta http-equiv="refresh" content="0; url={versions[0]}/index.html">'
        f'<a href="{versions[0]}/index.html">Lamina {versions[0]}</a></html>\n'
    )


def numbers(version: str) -> list[int]:
    """What a version is sorted by: 0.10 is newer than 0.9."""
    return [int(part) for part in version.split(".") if part.isdecimal()]
