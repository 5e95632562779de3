"""The drawing of `fit` on the page "How it works", and a page with the source of each file that it names.

MkDocs calls the functions `on_...`. The files stand in this list alone; one that does not exist ends the build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent / "src" / "lamina"
NOT_FOUND_BY_SEARCH = "---\nsearch: {exclude: true}\nhide: [toc]\n---\n\n"
ON_THE_HOST = """
The verb | models/sequential.py
    `fit` puts its arguments into a `DataRequest` (the data) and a `RunPlan` (epochs, callbacks).
The data | _data/source.py
    Arrays, frames and lists become one table of NumPy arrays. Streams become batches.
The checks | _checks/labels.py
    The targets are compared with the loss and the output before the first step.
The feed | _training/feeds.py
    A feed cuts each epoch into chunks of steps, and puts the rows of a chunk in their order.
The loop | _training/loop.py
    For each epoch and each chunk: run the program, take the logs, call the callbacks, keep the state.
The trainer | _training/trainer.py
    It hands the arrays of the model to the program, and hands them back.
The programs | _programs/programs.py
    They are kept by what they depend on, in memory and on disk. A new one is traced and compiled.
"""
IN_THE_PROGRAM = """
The chunk | _training/steps.py
    One loop on the device over the steps of a chunk. A step maps a `TrainState` and a batch to the next `TrainState`.
The pass | _layer/forward.py
    A copy of the stack holds the arrays of the step. Each layer's `call` gets the output of the one before.
The layer | layers/core.py
    `call` maps arrays to arrays, for example `x @ kernel + bias`.
The kernel | _kernels/matmul.py
    The formula of one operation. Which one is taken is decided here, while tracing.
The loss | losses/loss.py
    One number for the batch, with masks, sample weights and regularizers.
The gradient | _training/steps.py
    `jax.value_and_grad` of the pass and the loss with respect to the trained weights.
The optimizer | optimizers/optimizer.py
    New weights and new moments from the gradient. The learning rate is an array, so a new one compiles nothing.
The metrics | metrics/metric.py
    Sums that grow with each batch. They are read between two chunks.
"""
OTHERS = [
    "layers/regularization.py", "_kernels/pooling.py", "_kernels/native.py", "_checks/rules.py", "layers/__init__.py",
    "_layer/layer.py", "_settings/settings.py", "errors.py",
]  # fmt: skip
"""Files that the text of the page names."""


def boxes(text: str) -> list[tuple[str, str, str]]:
    """Name, file and sentences of each box."""
    found = re.findall(r"^(\S.*) \| (\S+)\n((?: {4}.*\n)+)", text, re.MULTILINE)
    return [(name, file, " ".join(told.split())) for name, file, told in found]


def named_files() -> list[str]:
    """Each file once."""
    return list(dict.fromkeys([file for _, file, _ in boxes(ON_THE_HOST + IN_THE_PROGRAM)] + OTHERS))


def drawing() -> str:
    """The boxes from data to gradient, each with a link to its file."""
    parts = []
    for title, text in (("Python, on the host", ON_THE_HOST), ("The compiled program, on the device", IN_THE_PROGRAM)):
        lines = [f"1. **{name}** [`{file}`]({page_of(file)})<br>{told}" for name, file, told in boxes(text)]
        parts.append('<div class="flow" markdown>\n\n' + f"**{title}**\n\n" + "\n".join(lines) + "\n\n</div>")
    return "\n\n".join(parts)


def page_of(file: str) -> str:
    return f"source/{file.removesuffix('.py').replace('/', '-')}.md"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the sources."""
    from mkdocs.structure.files import File  # the tests read this file without MkDocs

    for file in named_files():
        text = (PACKAGE / file).read_text()
        page = f"{NOT_FOUND_BY_SEARCH}# {file}\n\n~~~~~~ {{ .python .source }}\n{text}~~~~~~\n"
        files.append(File.generated(config, page_of(file), content=page))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Put the drawing where the page has a place for it, and links to sources where it names them."""
    if page.file.src_uri != "how-it-works.md":
        return markdown
    for file in OTHERS:
        markdown = markdown.replace(f"`{file}`", f"[`{file}`]({page_of(file)})")
    return markdown.replace("<!-- drawing -->", drawing())
