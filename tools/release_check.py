"""What is released is checked: the files, and a stack that trains, is saved and loaded where they are installed.

    make release-check      # in an environment of its own, made from the extra "release"

The workflows are read by zizmor. The sdist and the wheels are built twice and
are equal byte for byte. Each is read by twine, check-wheel-contents and validate-pyproject. The sdist builds the same
wheel. Then the wheel is installed into empty environments, of each Python there is with the newest JAX, and of the
newest Python with each older JAX, and runs the quickstart, `CHECK` and `TESTS`. dist/ then has the files, among them a
list of what an installation consists of, in the form of CycloneDX.
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
FAILED = "FAILED"
NOT_TO_BE_HAD = "not to be had"
DIST = ROOT / "dist"
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


def python_of(version: str) -> str | None:
    """A Python of this version that can make environments: one on the PATH, or one of pyenv's."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python{version}"), *map(str, sorted(kept.glob(f"{version}.*/bin/python{version}")))]
    for command in filter(None, found):
        if not subprocess.run([command, "-c", "import ensurepip"], capture_output=True).returncode:
            return command
    return None


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
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for file in (*files, *native[0]):
        shutil.copy(file, DIST)
    return wheel, source


def check_workflows() -> None:
    run("zizmor", "--offline", "--quiet", ".github/workflows")


def list_parts(inside: Path, wheel: Path) -> None:
    """Write what an installation of this wheel consists of: each package, its version and licence."""
    out = DIST / f"{wheel.name.removesuffix('-py3-none-any.whl')}.cdx.json"
    told: list[str | Path] = ["--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--output-file", out]
    run("cyclonedx-py", "environment", *told, inside)


def check_installed(python: str, jax: str, wheel: Path, source: Path, folder: Path) -> str:
    """Where the wheel is installed in an empty environment: what came of it, in one word."""
    inside = folder / f"env-{Path(python).name}-{jax}" / "bin" / "python"
    run(python, "-m", "venv", inside.parent.parent)
    pip: list[str | Path] = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        run(*pip, f"jax=={jax}.*")
    except subprocess.CalledProcessError:
        return NOT_TO_BE_HAD
    run(*pip, wheel)
    list_parts(inside, wheel)
    run(*pip, f"{wheel}[export]", "pytest", "hypothesis", "cloudpickle")
    files: list[str | Path] = [source / "tests" / f"test_{name}.py" for name in TESTS]
    try:
        run(inside, source / "examples" / "quickstart.py", cwd=folder)
        run(inside, "-c", CHECK, cwd=folder)
        run(inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, cwd=source)
    except subprocess.CalledProcessError:
        return FAILED
    shutil.rmtree(inside.parent.parent)
    return "passed"


def main() -> None:
    check_workflows()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, source = check_files(folder)
        pythons = {version: python_of(version) for version in PYTHONS}
        newest = [version for version in PYTHONS if pythons[version]][-1]
        rows = {}
        for version, command in pythons.items():
            for jax in reversed(JAXES):
                found = check_installed(command, jax, wheel, source, folder) if command else "untried"
                rows[f"Python {version}, JAX {jax}"] = found
                if version != newest and found != NOT_TO_BE_HAD:
                    break
    for row, found in rows.items():
        print(f"{row}: {found}")
    if FAILED in rows.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
