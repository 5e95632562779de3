"""What is released is checked: the files, and a stack that trains, is saved and loaded where they are installed.

    make release-check      # in an environment of its own, made from the extra "release"

The sdist and the wheels are built twice and are equal byte for byte. Each is read by twine, check-wheel-contents and
validate-pyproject. The sdist builds the same wheel. Then the wheel is installed into an empty environment of each
Python on the PATH and of each JAX that this Python can have, and runs the quickstart, `CHECK` and `TESTS`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONS = "3.11", "3.12", "3.13", "3.14"
JAXES = "0.10", "0.11", "0.12"
TESTS = "stored threads errors_of_blocks random launch".split()
"""Files of tests that need no Keras."""
TOLD = {**os.environ, "SOURCE_DATE_EPOCH": "1735689600", "LAMINA_CACHE": "off"}
CHECK = """
import numpy as np, lamina as keras
x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=2, verbose=0)
model.save("model.keras")
again = keras.models.load_model("model.keras")
np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
"""


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    subprocess.run([str(word) for word in command], check=True, cwd=cwd, env=TOLD)


def built(source: Path, out: Path, *kinds: str) -> list[Path]:
    """The files that `python -m build` makes of a folder."""
    run(sys.executable, "-m", "build", *kinds, "--outdir", out, source)
    return sorted(out.iterdir())


def same(first: list[Path], second: list[Path]) -> None:
    for one, other in zip(first, second, strict=True):
        if (one.name, one.read_bytes()) != (other.name, other.read_bytes()):
            sys.exit(f"{one.name}: built twice, the files differ.")


def manylinux(wheel: Path, out: Path) -> list[Path]:
    """The native wheel with the tag of the oldest glibc that it runs on; oneDNN and OpenMP stay outside."""
    run("auditwheel", "repair", "--exclude", "libdnnl.so.3", "--exclude", "libgomp.so.1", "--wheel-dir", out, wheel)
    return sorted(out.iterdir())


def check_files(folder: Path) -> tuple[Path, Path]:
    """The wheel of lamina and the folder of its unpacked sdist."""
    files = built(ROOT, folder / "1", "--sdist", "--wheel")
    same(files, built(ROOT, folder / "2", "--sdist", "--wheel"))
    wheel, sdist = sorted(files, key=lambda file: file.suffix != ".whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = folder / sdist.name.removesuffix(".tar.gz")
    if list(source.rglob("native")):
        sys.exit("The sdist of lamina holds native/.")
    same([wheel], built(source, folder / "3", "--wheel"))
    native = [
        manylinux(built(ROOT / "native", folder / f"native-{turn}", "--wheel")[0], folder / f"many-{turn}")
        for turn in (1, 2)
    ]
    same(*native)
    if "-linux_" in native[0][0].name:
        sys.exit(f"{native[0][0].name} runs on no system but this one.")
    run("twine", "check", "--strict", *files, *native[0])
    run("check-wheel-contents", wheel)
    run("validate-pyproject", "pyproject.toml", "native/pyproject.toml")
    return wheel, source


def check_installed(python: str, jax: str, wheel: Path, source: Path, folder: Path) -> str:
    """Where the wheel is installed in an empty environment: what came of it, in one word."""
    inside = folder / f"env-{Path(python).name}-{jax}" / "bin" / "python"
    run(python, "-m", "venv", inside.parent.parent)
    pip: list[str | Path] = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        run(*pip, f"jax=={jax}.*")
    except subprocess.CalledProcessError:
        return "not to be had"
    run(*pip, wheel, "pytest", "hypothesis", "cloudpickle")
    run(inside, source / "examples" / "quickstart.py", cwd=folder)
    run(inside, "-c", CHECK, cwd=folder)
    files: list[str | Path] = [source / "tests" / f"test_{name}.py" for name in TESTS]
    run(inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, cwd=source)
    shutil.rmtree(inside.parent.parent)
    return "passed"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, source = check_files(folder)
        rows = []
        for version in PYTHONS:
            command = shutil.which(f"python{version}")
            works = command and not subprocess.run([command, "-c", "import ensurepip"], capture_output=True).returncode
            for jax in JAXES:
                found = check_installed(command, jax, wheel, source, folder) if command and works else "untried"
                rows.append(f"Python {version}, JAX {jax}: {found}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
