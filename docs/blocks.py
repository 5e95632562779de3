"""Runs the programs of one page of Markdown and writes what they print, show and draw below each block.

The blocks of a page are one program: each goes on where the one before ended. What stands behind "python" changes that:

    write="train.py"     a file for a later command: it is written, and not run here
    file="train.py"      a program of its own with this name, which tracebacks show
    raises="ShapeError"  the block has to raise this error; its traceback is the output
    alt="What one sees"  the description of the pictures of the block; a block that draws needs it
    as="png"             the format of these pictures; otherwise SVG, and PNG where that is large
    needs="torch"        the block is compiled only where this package is missing
    quiet="True"         the output is not shown
    fresh="True"         begins the program of the page anew

In a block of "console", each line that begins with "$ " is a command, and its output is written below it.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import linecache
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import traceback
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FENCE = re.compile(r"^( *)```(python|console)(?: ([^\n]*))?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r'(\w+)="([^"]*)"')
OPTIONS = {"as", "file", "raises", "alt", "needs", "quiet", "fresh", "title", "write"}
PICTURES = (".svg", ".png")
LARGEST = 100_000
"""Bytes of a figure as SVG; a larger one, such as a cloud of points, is a PNG."""
DATA = Path(__file__).parent.parent / "examples" / "data"
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (7, 3),
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "docs",
}


class BlockError(Exception):
    """A block did not do what its page says."""


class Page(NamedTuple):
    """A page with its output, and its pictures by their names."""

    text: str
    pictures: dict[str, bytes]


class Output(NamedTuple):
    """What stands below a block."""

    printed: str = ""
    html: str = ""
    pictures: tuple[bytes, ...] = ()


def run_page(text: str, name: str) -> Page:
    """Run all blocks in an empty folder, in which `data` holds the tables of the examples."""
    pictures: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("data").symlink_to(DATA)
        program = Program(f"{name}.py")

        def run(found: re.Match[str]) -> str:
            nonlocal program
            indent, language, told, code = found.groups(default="")
            options = dict(OPTION.findall(told))
            place = f"{name}.md:{text.count(chr(10), 0, found.start()) + 1}"
            if unknown := set(options) - OPTIONS or re.sub(OPTION, "", told).strip():
                raise BlockError(f"{place}: unknown option {unknown}")
            code = textwrap.dedent(code)
            if language == "console":
                return textwrap.indent(f"```console\n{run_commands(code, place)}```", indent)
            if "write" in options:
                Path(options["write"]).write_text(code)
                return textwrap.indent(f'```python title="{options["write"]}"\n{code}```', indent)
            if options.get("fresh"):
                program = Program(f"{name}.py")
            here = Program(options["file"]) if "file" in options else program
            shown = code if options.get("quiet") != "True" or code.strip() else ""
            title = options.get("title", options.get("file", ""))
            parts = [f"```python title={title!r}\n{shown}```".replace("'", '"') if title else f"```python\n{shown}```"]
            output = run_block(code, options, here, place)
            if output.printed.strip() and not options.get("quiet"):
                wraps = " .wraps" * (not re.search("[│┃]", output.printed))  # a table would break
                parts.append(f"~~~~ {{ .text .output{wraps} }}\n{output.printed.rstrip()}\n~~~~")
            if output.html:
                parts.append(f'<div class="shown">{output.html}</div>')
            for picture in output.pictures:
                path = f"{name}-{len(pictures) + 1}{'.png' if picture[1:4] == b'PNG' else '.svg'}"
                pictures[path] = picture
                parts.append(f"![{options['alt']}]({path})")
            return textwrap.indent("\n\n".join(parts), indent)

        return Page(FENCE.sub(run, text), pictures)


class Program:
    """The names and lines of one program, as a module that Python, `inspect` and tracebacks find."""

    def __init__(self, file: str) -> None:
        self.file, self.lines = file, ""
        self.module = types.ModuleType("__main__")
        self.module.__dict__["__file__"] = file

    def run(self, code: str) -> Any:
        """Run the code, and return the value of its last line where that is an expression."""
        before = self.lines.count("\n")
        self.lines += code
        linecache.cache[self.file] = (len(self.lines), None, self.lines.splitlines(keepends=True), self.file)
        sys.modules["__main__"] = self.module
        Path(self.file).write_text(self.lines)
        tree = ast.increment_lineno(ast.parse(code, self.file), before)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, self.file, "exec"), self.module.__dict__)
        if last is not None:
            return eval(compile(ast.Expression(last.value), self.file, "eval"), self.module.__dict__)
        return None

    def told(self, error: BaseException) -> str:
        """The traceback as Python prints it, from the program's own first line on."""
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename != self.file:
            frames = frames.tb_next
        lines = traceback.format_exception(type(error), error, frames or error.__traceback__)
        return "".join(lines)


def run_block(code: str, options: dict[str, str], program: Program, place: str) -> Output:
    """What a block prints, shows and draws; an error that it should not raise, or does not raise, ends the build."""
    if any(importlib.util.find_spec(each) is None for each in options.get("needs", "").split()):
        compile(code, place, "exec")
        return Output()
    expected, printed, value = options.get("raises"), io.StringIO(), None
    before = pictures_there()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), printed_warnings(printed):
        try:
            value = program.run(code)
        except Exception as error:
            if expected not in {kind.__name__ for kind in type(error).__mro__}:
                raise BlockError(f"{place}: {program.told(error)}") from None
            printed.write(program.told(error))
            expected = None
    if expected is not None:
        raise BlockError(f"{place}: the block raised no {expected}")
    saved = (path.read_bytes() for path, time in pictures_there().items() if before.get(path) != time)
    pictures = (*figures(options.get("as", "svg")), *saved)
    html = value._repr_html_() if hasattr(value, "_repr_html_") and not pictures else ""
    html = re.sub("<style scoped>.*?</style>", "", html, flags=re.DOTALL)  # that of pandas counts for the whole page
    if value is not None and not html and not pictures:
        printed.write(f"{value!r}\n")
    if pictures and "alt" not in options:
        raise BlockError(f'{place}: the block draws, so it needs alt="..."')
    return Output(printed.getvalue(), html, pictures)


@contextlib.contextmanager
def printed_warnings(printed: io.StringIO) -> Iterator[None]:
    """Warnings as Python prints them, without the line of the source, which stands above them."""

    def show(message: Any, category: type[Warning], filename: str, line: int, *rest: Any) -> None:
        printed.write(f"{Path(filename).name}:{line}: {category.__name__}: {message}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # as Python does, outside of the program itself
        warnings.showwarning = show
        yield


def pictures_there() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(Path().glob("*")) if path.suffix in PICTURES}


def figures(kind: str) -> list[bytes]:
    """The open figures of pyplot, which are then closed. What the block returns is not shown beside them."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    from matplotlib import pyplot

    made = []
    for number in pyplot.get_fignums():
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, format="svg", metadata={"Date": None})
        if kind == "png" or file.tell() > LARGEST:
            file = io.BytesIO()
            pyplot.figure(number).savefig(file, format="png", dpi=160)
        made.append(file.getvalue())
    pyplot.close("all")
    return made


def run_commands(text: str, place: str) -> str:
    """The commands, each with its output; one that fails ends the build."""
    made = []
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for line in text.splitlines():
        made.append(line)
        if line.startswith("$ "):
            command = shlex.split(line[2:], comments=True)
            environment = {**os.environ, "PATH": path, "PYTHONWARNINGS": "default"}
            with tempfile.TemporaryFile("w+") as said:  # a process that it leaves would hold a pipe
                done = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
                said.seek(0)
                printed = said.read()
            if done.returncode:
                raise BlockError(f"{place}: {line}\n{printed}")
            made += printed.rstrip().splitlines()
    return "\n".join(made) + "\n"


def main() -> None:
    """Read a page from the standard input, and write it with its output, as JSON, to the standard output."""
    os.environ |= {"COLUMNS": "80", "KERAS_BACKEND": "jax", "MPLBACKEND": "agg", "NO_COLOR": "1"}
    import matplotlib

    matplotlib.rcParams.update(STYLE)
    said = sys.stdout
    try:
        page = run_page(sys.stdin.read(), sys.argv[1])
    except BlockError as error:
        sys.exit(str(error))
    pictures = {name: picture.hex() for name, picture in page.pictures.items()}
    said.write(json.dumps({"text": page.text, "pictures": pictures}))


if __name__ == "__main__":
    main()
