"""The site as its readers see it: in Chromium, on paper, and with torch installed. In the nightly tests."""

import json
import re
import subprocess

import pytest
from environments import BROWSER, CHROMIUM, DOCS, OUTSIDE, ROOT, STREAMS, python_with

pytestmark = pytest.mark.nightly
PAGES = ROOT / "docs" / "pages"


def test_no_page_of_the_site_is_too_wide_or_shuts_a_reader_out(tmp_path):
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    build = [python_with(*DOCS), "-m", "mkdocs", "build", "--strict", "--config-file", ROOT / "mkdocs-site.yml"]
    subprocess.run([*build, "--site-dir", tmp_path / "site"], cwd=ROOT, check=True, env=OUTSIDE)
    command = [python_with(*BROWSER), ROOT / "tests" / "site_pages.py", tmp_path / "site", CHROMIUM]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=3600, check=True)
    assert done.stdout == "all of it\n"


def test_the_page_about_torch_runs_with_torch():
    """Without it, `make docs` compiles these blocks, and does not run them."""
    needing = [path for path in sorted(PAGES.rglob("*.md")) if 'needs="torch"' in path.read_text()]
    assert needing
    for path in needing:
        command = [python_with(*STREAMS), ROOT / "docs" / "blocks.py", path.stem]
        done = subprocess.run(
            command, input=path.read_text(), stdout=subprocess.PIPE, text=True, check=True, env=OUTSIDE
        )
        printed = re.findall(r"^\d[\d.e-]*$", json.loads(done.stdout)["text"], re.MULTILINE)
        right, apart = map(float, printed)
        assert right > 0.9 and apart < 1e-4
