"""What the theme leaves out for people who use a screen reader.

MkDocs calls `on_post_page`. With it, reference.css and assets/focus.js `axe` finds no serious fault in the pages.
"""

from __future__ import annotations

from typing import Any

SEARCH = 'data-md-component="search" role="dialog"'


def on_config(config: Any) -> Any:
    """Leave out the page that only a server shows."""
    config.theme.static_templates.discard("404.html")
    return config


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Give the dialog of the search a name."""
    return output.replace(SEARCH, f'{SEARCH} aria-label="Search"')
