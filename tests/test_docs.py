"""The machinery of the docs: programs of a page are run, and the built site has no dead link."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def load(name):
    """A module of the folder docs, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


blocks, checked, processes = load("blocks"), load("checked"), load("processes")


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """A program of a page is the main module while it runs."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def page(text):
    return blocks.run_page(textwrap.dedent(text), "page")


def test_what_a_block_prints_stands_below_it_and_the_next_block_goes_on():
    made = page("""
        ```python
        x = 2
        print("x is", x)
        ```
        Text.
        ```python
        x + 1
        ```
        """).text
    assert "~~~~ { .text .output .wraps }\nx is 2\n~~~~" in made
    assert made.index("x is 2") < made.index("Text.") < made.index("~~~~ { .text .output .wraps }\n3\n~~~~")


def test_a_table_is_not_wrapped():
    assert "~~~~ { .text .output }\n│ a │\n~~~~" in page('```python\nprint("│ a │")\n```').text


def test_a_block_that_raises_ends_the_build_with_its_place():
    with pytest.raises(blocks.BlockError, match=r"(?s)page\.md:3: .*ZeroDivisionError"):
        page("""
            Text.
            ```python
            1 / 0
            ```
            """)


def test_an_error_that_a_block_has_to_raise_is_its_output():
    made = page("""
        ```python file="train.py" raises="ZeroDivisionError"
        a = 0
        1 / a
        ```
        """).text
    assert 'title="train.py"' in made
    assert 'Traceback (most recent call last):\n  File "train.py", line 2, in <module>\n    1 / a' in made


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ('```python raises="ValueError"\n1\n```', "raised no ValueError"),
        ('```python rises="ValueError"\n1\n```', "unknown option"),
        ("```python\nimport matplotlib.pyplot as p\np.plot([1])\n```", "needs alt"),
        ("```console\n$ python -c 'import sys; sys.exit(3)'\n```", r"\$ python"),
    ],
)
def test_a_block_that_is_not_as_its_page_says_ends_the_build(code, complaint):
    with pytest.raises(blocks.BlockError, match=complaint):
        page(code)


def test_a_figure_is_a_picture_with_its_description():
    made = page('```python alt="A line"\nimport matplotlib.pyplot as p\np.plot([1, 2])\n```')
    assert "![A line](page-1.svg)" in made.text and "<svg" in made.pictures["page-1.svg"].decode()


def test_a_command_has_its_output_below_it():
    assert "$ python -c 'print(1 + 1)'\n2\n```" in page("```console\n$ python -c 'print(1 + 1)'\n```").text


LEAVES = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)']).pid)"


def test_a_command_that_leaves_a_process_behind_does_not_hold_up_its_page():
    began = time.monotonic()
    made = page(f'```console\n$ python -c "{LEAVES}"\n```').text
    os.kill(int(re.findall(r"^\d+$", made, re.MULTILINE)[0]), signal.SIGKILL)
    assert time.monotonic() - began < 15


def test_what_a_page_leaves_running_is_ended_with_it():
    began = time.monotonic()
    status, said, complaints = processes.output([sys.executable, "-c", LEAVES], "", 20)
    assert (status, complaints) == (0, "") and time.monotonic() - began < 15
    while is_alive(int(said)):
        assert time.monotonic() - began < 15


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] not in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_page_that_takes_too_long_is_ended():
    with pytest.raises(subprocess.TimeoutExpired):
        processes.output([sys.executable, "-c", "import time; time.sleep(30)"], "", 0.5)
    assert not processes.running


def test_a_program_without_its_package_is_compiled_alone():
    made = page('```python needs="no_such_package"\nimport no_such_package\n```').text
    assert ".output" not in made
    with pytest.raises(SyntaxError):
        page('```python needs="no_such_package"\nimport\n```')


def test_classes_of_a_page_are_found_by_inspect_and_pickle():
    made = page("""
        ```python
        class A:
            size = 7
        ```
        ```python
        import inspect, pickle

        print(inspect.getsource(A), pickle.loads(pickle.dumps(A())).size)
        ```
        """).text
    assert "size = 7\n 7" in made


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="none.html">', "none.html leads nowhere"),
        ('<a href="#none">', "#none leads nowhere"),
        ('<a href="other.html#none">', "other.html#none leads nowhere"),
        ('<script src="https://example.com/a.js">', "loads https://example.com/a.js"),
        ('<link rel="stylesheet" href="//example.com/a.css">', "loads //example.com/a.css"),
        ('<img src="none.png" alt="A">', "loads none.png"),
        ('<img src="data:image/png;base64,">', "has no description"),
    ],
)
def test_a_fault_of_the_site_is_found(tmp_path, html, fault):
    (tmp_path / "other.html").write_text('<p id="here"><a href="page.html">')
    (tmp_path / "page.html").write_text('<a href="other.html#here"><a href="https://example.com">' + html)
    assert [line for line in checked.faults(tmp_path) if fault in line] == checked.faults(tmp_path) != []


def test_a_style_sheet_loads_nothing_from_elsewhere(tmp_path):
    (tmp_path / "a.css").write_text("a {background: url(data:image/png;base64,)} @import 'https://example.com/b.css';")
    assert checked.faults(tmp_path) == ["a.css: loads https://example.com/b.css"]


def test_each_file_of_the_drawing_of_fit_exists():
    inside = load("inside")
    assert len(inside.boxes(inside.ON_THE_HOST)) == 7 and len(inside.boxes(inside.IN_THE_PROGRAM)) == 8
    assert [file for file in inside.named_files() if not (inside.PACKAGE / file).is_file()] == []
    assert inside.drawing().count("](source/") == 15


def test_the_gallery_has_twenty_programs_that_say_what_one_sees():
    gallery = load("gallery")
    found = gallery.programs()
    assert len(found) >= 20
    assert all(each.title and each.text and each.picture and len(each.code) < 2500 for each in found)
    assert {each.task for each in found} == {
        "classification",
        "images",
        "regression",
        "text",
        "time series",
        "training",
    }
    overview = gallery.overview(found)
    assert all(f"({each.name}.md)" in overview for each in found) and "| [`LSTM`][lamina.layers.LSTM] |" in overview


def test_a_program_of_the_gallery_runs_and_draws():
    gallery = load("gallery")
    (schedules,) = (each for each in gallery.programs() if each.name == "schedules")
    made = blocks.run_page(gallery.page(schedules), "schedules")
    assert list(made.pictures) == ["schedules-1.png"] and ".output" not in made.text


def test_what_differs_from_keras_is_found(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    names = load("names")
    layers = dict(names.compared("layers"))
    assert layers["LSTM"] == "" and "quantization_config" in layers["Dense"]
    assert dict(names.compared(""))["KerasTensor"].startswith("not there. Use instead: ")
    page = names.names_page()
    assert "[`LSTM`][lamina.layers.LSTM]" in page and page.count("\n| ") > 1000


def test_a_default_that_differs_is_told(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    names = load("names")

    def theirs(units, axis=-1, name="a"): ...
    def ours(units, axis=1): ...

    place = type("place", (), {"f": staticmethod(ours)})
    assert names.difference(theirs, place, "f") == "`axis=1`, in Keras `-1`; no argument `name`"


def test_the_search_has_a_name_for_screen_readers():
    accessible = load("accessible")
    made = accessible.on_post_page(f"<div {accessible.SEARCH}>", None, None)
    assert made == f'<div {accessible.SEARCH} aria-label="Search">'
