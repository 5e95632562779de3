"""Environments of their own for the nightly tests, in out/, each made once: `make clean` removes them."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUTSIDE = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
"""What their processes begin with: the flags that these tests set are not those of every version of XLA."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DOCS = "docs-alone", "--editable", f"{ROOT}[docs]"
BROWSER = "browser", "axe-playwright-python", "numpy", "pillow", "playwright", "tritonclient[http]"
STREAMS = "streams", "torch>=2.9", "datasets>=4", "grain>=0.2.12", "tensorflow-cpu", "pyarrow>=18", "polars", "pytest"
STREAMS = *STREAMS, "pandas", "matplotlib", "--editable", str(ROOT)


def python_with(name, *packages):
    """The Python of the environment out/NAME, which has these packages."""
    folder, asked = ROOT / "out" / name, hashlib.sha256(" ".join(packages).encode()).hexdigest()
    made = folder / "made"
    if not made.exists() or made.read_text() != asked:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
        made.write_text(asked)
    return folder / "bin" / "python"
