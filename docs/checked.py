"""Checks the built site: each link and each #anchor leads somewhere, and nothing is loaded from elsewhere.

MkDocs calls `on_post_build`. What is wrong ends the build.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
LINKS_THAT_LOAD = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}
IN_STYLE = re.compile(r"(?:@import\s+|url\()[\"']?([^\"')\s;]+)")


class Parsed(HTMLParser):
    """The ids of a page, where it links to, what it loads, and its pictures that have no description."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.undescribed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.ids |= {told[name] for name in ("id", "name") if name in told and tag != "meta"}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        if tag == "link" and set(told.get("rel", "").split()) & LINKS_THAT_LOAD:
            self.loaded.append(told.get("href", ""))
        if tag in LOADED and LOADED[tag] in told:
            self.loaded.append(told[LOADED[tag]])
        if tag == "img" and not told.get("alt"):
            self.undescribed.append(told.get("src", ""))


def faults(site: Path) -> list[str]:
    """A line for each fault of the pages and style sheets in a folder."""
    pages = {path.resolve(): Parsed(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [
            f"{name}: {link} leads nowhere" for link in page.links if not leads_somewhere(link, path, site, pages)
        ]
        found += [f"{name}: loads {link}" for link in page.loaded if not is_there(link, path, site)]
        found += [f"{name}: the picture {link} has no description" for link in page.undescribed]
    for path in sorted(site.rglob("*.css")):
        for link in IN_STYLE.findall(path.read_text(encoding="utf-8")):
            if not is_there(link, path, site):
                found.append(f"{path.relative_to(site)}: loads {link}")
    return found


def leads_somewhere(link: str, path: Path, site: Path, pages: dict[Path, Parsed]) -> bool:
    """Whether a link within the site has a page, and its anchor an element. Links to other sites are not followed."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme in ("http", "https", "mailto")
    target = file_of(parts.path, path, site) if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if parts.fragment and target in pages:
        return unquote(parts.fragment) in pages[target].ids
    return target.exists()


def file_of(address: str, path: Path, site: Path) -> Path:
    """The file of an address, which begins at the folder of its page."""
    return (path.parent / unquote(address)).resolve()


def is_there(link: str, path: Path, site: Path) -> bool:
    """Whether something that a page loads is a file of the site, or stands in the page itself."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme == "data"
    return not parts.path or file_of(parts.path, path, site).exists()


def on_post_build(config: Any) -> None:
    """End the build where the site has a fault."""
    if found := faults(Path(config.site_dir)):
        sys.exit("\n".join(["The site has faults:", *found]))
