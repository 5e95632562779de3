"""The recipes of the page "ONNX", with the files and commands that stand there: nightly.

The tools come from the package registries into an environment of their own, and answer for 1,000 images of MNIST.
"""

import functools
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from test_serving_processes import CHROMIUM, serving

import lamina as keras

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "pages" / "guides" / "onnx.md").read_text()
FILE = re.compile(r'^```\w+ (?:title|write)="([\w.]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"
LOADED = f"""
import numpy as np


def load_data():
    with np.load({str(MNIST)!r}) as data:
        return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])
"""
"""In place of the dataset of Keras: what is downloaded elsewhere lies in this file, compressed in another way."""
ENVIRONMENT = ROOT / "out" / "recipes"

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def tools():
    """The Python of an environment with what the page names, and Playwright to use the browser."""
    packages = [*re.findall(r"pip install (\S+==[\w.]+)", PAGE), "numpy", "playwright"]
    assert len(packages) == 4
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed.txt"
    if not done.exists() or done.read_text() != PAGE:
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        subprocess.run(["npm", "install", *re.findall("npm install (.*?)`", PAGE)], cwd=ENVIRONMENT, check=True)
        done.write_text(PAGE)
    return python


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with the files of the page, the model that train.py makes, and 1,000 images."""
    if not MNIST.is_file():
        pytest.skip(f"there is no {MNIST}")
    folder = tmp_path_factory.mktemp("digits")
    (folder / "here.py").write_text(LOADED)
    for name, text in FILE.findall(PAGE):
        (folder / name).write_text(text.replace("keras.datasets.mnist.load_data()", "__import__('here').load_data()"))
    said = run(folder, sys.executable, "train.py")
    assert float(re.search(r"'accuracy': ([\d.]+)", said)[1]) > 0.975
    size = round((folder / "digits.onnx").stat().st_size / 1000)
    assert f"has 12 nodes and {size} kB" in PAGE and f"| `digits.onnx` | {size} kB |" in PAGE
    with np.load(MNIST) as data:
        images = data["x_test"][:1000, ..., None]
    np.save(folder / "images.npy", images.astype("float32"))
    Image.fromarray(images[0, ..., 0]).save(folder / "digit.png")
    return folder


def run(folder, *command, **settings):
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "KERAS_HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, timeout=900, check=False, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout if "input" in settings else done.stdout.decode()


def check(folder, answers):
    """The answers for the 1,000 images are those of `predict`."""
    wanted = keras.models.load_model(folder / "digits.keras").predict(np.load(folder / "images.npy"), verbose=0)
    assert answers.shape == wanted.shape
    print("largest difference", np.abs(answers - wanted).max())
    assert np.abs(answers - wanted).max() <= 1e-5


def test_onnxruntime(digits):
    session = onnxruntime.InferenceSession(digits / "digits.onnx")
    check(digits, session.run(None, {"image": np.load(digits / "images.npy")})[0])
    assert f"{len(onnx.load(digits / 'digits.onnx').graph.node)} nodes" in PAGE


def test_a_c_file(digits, tools):
    commands = re.findall(r"^(?:emx-onnx-cgen|gcc) .*", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        run(digits, *command.replace("emx-onnx-cgen", str(tools.with_name("emx-onnx-cgen"))).split())
    said = run(digits, "./digits", input=np.load(digits / "images.npy").tobytes())
    check(digits, np.frombuffer(said, np.float32).reshape(-1, 10))


def test_openvino(digits, tools):
    run(digits, tools, "with_openvino.py")
    check(digits, np.load(digits / "answers.npy"))


def test_int8_loses_little(digits):
    run(digits, sys.executable, "quantize.py")
    with np.load(MNIST) as data:
        x, y = data["x_test"][..., None].astype("float32"), data["y_test"]
    right = []
    for name in ("digits.onnx", "int8.onnx"):
        answers = onnxruntime.InferenceSession(digits / name).run(None, {"image": x})[0]
        right.append((answers.argmax(1) == y).mean())
        print(name, (digits / name).stat().st_size, right[-1])
    assert right[1] > right[0] - 0.005
    assert 3 * (digits / "int8.onnx").stat().st_size < (digits / "digits.onnx").stat().st_size


def test_a_web_page_and_an_image_that_is_dropped_into_the_form(digits, tools):
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    shutil.copytree(ENVIRONMENT / "node_modules", digits / "node_modules", dirs_exist_ok=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=digits)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages, serving(digits / "digits.keras") as (_, port):
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        here = Path(__file__).parent
        said = run(digits, tools, here / "onnx_browser.py", digits, CHROMIUM, pages.server_port, port)
        pages.shutdown()
    assert said.endswith("all of it\n") and "7" in said
    print(said)
    check(digits, np.load(digits / "browser.npy"))
