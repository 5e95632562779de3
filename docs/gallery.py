"""The pages of the gallery, one for each program of examples/gallery, and the page that shows all of them.

MkDocs calls `on_files`, and docs/guides.py runs the programs. The docstring of a program begins with its title;
"Task:" and "Picture:" say under which task it is found, and what one sees.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = Path(__file__).parent.parent / "examples"


class Program(NamedTuple):
    """One program of the gallery."""

    name: str
    title: str
    text: str
    task: str
    picture: str
    code: str

    @property
    def layers(self) -> list[str]:
        """The layers that it uses."""
        return sorted(set(re.findall(r"\blayers\.([A-Z]\w+)", self.code)))


def programs() -> list[Program]:
    """All programs, by name."""
    return [program(path) for path in sorted((EXAMPLES / "gallery").glob("*.py"))]


def program(path: Path) -> Program:
    """What a file says of itself, and its code without that."""
    source = path.read_text()
    title, text, told = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")
    facts = dict(line.split(": ", 1) for line in told.splitlines())
    return Program(path.stem, title, text, facts["Task"], facts["Picture"], source.split('"""\n\n', 1)[1])


def page(found: Program) -> str:
    """The page of a program."""
    links = ", ".join(f"[`{name}`][lamina.layers.{name}]" for name in found.layers)
    return (
        f"# {found.title}\n\n{found.text}\n\n"
        f'```python title="examples/gallery/{found.name}.py" alt="{found.picture}" as="png"\n{found.code}```\n'
        + (f"\nLayers: {links}.\n" if links else "")
    )


def overview(found: list[Program]) -> str:
    """All pictures by task, and all layers with the programs that use them."""
    parts = ["---\nhide: [toc]\n---\n\n# Gallery", "Small programs with a picture each. Each runs in seconds."]
    for task in dict.fromkeys(each.task for each in found):
        cards = [card(each) for each in found if each.task == task]
        parts.append(f'## {task.capitalize()}\n\n<div class="cards" markdown>\n\n' + "\n\n".join(cards) + "\n\n</div>")
    rows = [
        f"| [`{layer}`][lamina.layers.{layer}] | "
        + ", ".join(f"[{each.title}]({each.name}.md)" for each in found if layer in each.layers)
        + " |"
        for layer in sorted({layer for each in found for layer in each.layers})
    ]
    parts.append("## By layer\n\n| Layer | Programs |\n| --- | --- |\n" + "\n".join(rows))
    larger = [(path.name, (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]) for path in
              sorted(EXAMPLES.glob("*.py"))]  # fmt: skip
    parts.append("## Larger programs\n\nThe folder `examples` of the repository has these:\n\n| File | What it does |")
    parts[-1] += "\n| --- | --- |\n" + "\n".join(f"| `{name}` | {' '.join(text.split())} |" for name, text in larger)
    return "\n\n".join(parts) + "\n"


def card(found: Program) -> str:
    """A picture with a title, which lead to the page of the program. The picture is made when the program runs."""
    return (
        f"<div markdown>\n[![{found.picture}]({found.name}-1.png)]({found.name}.md)\n\n"
        f"[{found.title}]({found.name}.md)\n</div>"
    )


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, behind the guides."""
    config.nav[2:2] = [{"Gallery": ["gallery/index.md", *(f"gallery/{each.name}.md" for each in programs())]}]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages."""
    from mkdocs.structure.files import File  # the tests read this file without MkDocs

    found = programs()
    files.append(File.generated(config, "gallery/index.md", content=overview(found)))
    for each in found:
        files.append(File.generated(config, f"gallery/{each.name}.md", content=page(each)))
    return files
