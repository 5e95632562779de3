"""The examples of the page about tools, in environments of their own without real Keras: nightly.

The versions are those of the page's table. What a tool shows is looked at too: TensorBoard's server is asked for the
numbers, Chromium draws Netron's pages, and a server on this machine stands for that of the Hugging Face hub.
"""

import base64
import http.server
import json
import re
import socket
import subprocess
import threading
import time
import urllib.request

import pytest
from environments import CHROMIUM, OUTSIDE, ROOT, python_with

PAGE = (ROOT / "docs" / "pages" / "guides" / "tools.md").read_text()
BLOCK = re.compile(r'^```python(?: needs="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
VERSIONS = re.findall(r"^\| \[.*?\]\(.*?\) \| (\S+) (\S+) \|", PAGE, re.MULTILINE)
FIRST, *OTHERS = BLOCK.findall(PAGE)
NAMES = {
    "ray": "ray[tune]",
    "keras_tuner": "keras-tuner",
    "sklearn": "scikit-learn",
    "huggingface_hub": "huggingface-hub",
}
MORE = {"netron": ["playwright"], "keras_tuner": ["six"]}
TOOLS = list(dict.fromkeys(needs.split()[0] for needs, _ in OTHERS))


def program(tool):
    return "\n".join([FIRST[1], *(code for needs, code in OTHERS if needs.split()[0] == tool)])


def test_each_tool_of_the_table_has_an_example():
    assert [NAMES.get(tool, tool).partition("[")[0] for tool in TOOLS] == [name for name, _ in VERSIONS]
    for tool in TOOLS:
        compile(program(tool), tool, "exec")


@pytest.fixture(scope="module")
def python():
    """The Python of an environment with one tool."""

    def made(tool):
        name, versions = NAMES.get(tool, tool), dict(VERSIONS)
        packages = [f"{name}=={versions[name.partition('[')[0]]}", "pandas", "onnxruntime", *MORE.get(tool, [])]
        return python_with(f"tools-{tool}", "--editable", f"{ROOT}[onnx,sklearn,tensorboard]", *packages)

    return made


def run(python, code, folder, **told):
    (folder / "data").symlink_to(ROOT / "examples" / "data")
    (folder / "program.py").write_text(code)
    done = subprocess.run(
        [python, "program.py"], cwd=folder, env={**OUTSIDE, **told}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


EXPECTED = {
    "mlflow": r"params.epochs.*\n0 +2 +0\.[5-9].*\n\[\[0\.\d+\]\n \[0\.\d+\]\]\n\{'predictions': array\(\[\[0\.",
    "wandb": r"'epoch/accuracy': 0\.[5-9].*'epoch/loss': 0\.",
    "keras_tuner": r"\{'units': (8|16|24)\}\n\[\[0\.",
    "optuna": r"\{'units': \d+\}",
    "ray": r"\{'units': (8|16)\}",
    "shap": r"\(2, 6\)\n\(2, 6\)",
    "sklearn": r"'age': .*'hours-per-week': .*\n\[\[0\.\d",
}


@pytest.mark.nightly
@pytest.mark.parametrize("tool", EXPECTED)
def test_the_example_of_a_tool_runs_without_keras(tool, python, tmp_path):
    printed = run(
        python(tool),
        program(tool) + "import importlib.metadata as m\n"
        "assert not any(each.name in ('keras', 'tensorflow') for each in m.distributions())\n",
        tmp_path,
    )
    assert re.search(EXPECTED[tool], printed, re.DOTALL), printed


@pytest.mark.nightly
def test_files_of_weights_and_biases_load(python, tmp_path):
    """The files of `WandbModelCheckpoint` are models, one for each epoch."""
    run(python("wandb"), program("wandb"), tmp_path)
    load = "import lamina\nfor epoch in (1, 2):\n print(lamina.models.load_model(f'census-{epoch}.keras').built)\n"
    (tmp_path / "load.py").write_text(load)
    loaded = subprocess.run([python("wandb"), "load.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["True", "True"]


def answer(address):
    """What a server that is starting says, in the end."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5) as page:
                return page.read().decode()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(address)


@pytest.mark.nightly
def test_tensorboard_shows_the_curves_and_the_layers(python, tmp_path):
    run(python("tensorboard"), program("tensorboard"), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        python("tensorboard"),
        "-m",
        "tensorboard.main",
        "--logdir",
        "logs",
        "--port",
        str(port),
        "--load_fast=false",
    ]
    server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        data = f"http://127.0.0.1:{port}/data/plugin"
        assert "epoch_accuracy" in json.loads(answer(f"{data}/scalars/tags"))["train"]
        assert json.loads(answer(f"{data}/scalars/scalars?run=train&tag=epoch_loss"))[1][1] == 1
        tags = json.loads(answer(f"{data}/graphs/info"))["train"]["tags"]
        tag = next(name for name, told in tags.items() if told["conceptual_graph"])
        assert "dense" in answer(f"{data}/graphs/graph?run=train&tag={tag}&conceptual=true")
    finally:
        server.terminate()
        server.wait()


DRAW = """
from playwright.sync_api import sync_playwright

def _drawn(address):
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path={browser!r}, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://{{address[0]}}:{{address[1]}}/")
        page.get_by_text("Accept", exact=True).click()
        page.locator("g.nodes text").first.wait_for()
        return [name for name in ("Dense", "Gemm", "Sigmoid") if page.get_by_text(name, exact=True).count()]
"""


@pytest.mark.nightly
def test_netron_draws_both_files(python, tmp_path):
    code = program("netron").replace("netron.start(name, browse=False)", "_drawn(netron.start(name, browse=False))")
    assert "_drawn" in code
    draw = DRAW.format(browser=CHROMIUM)
    printed = run(python("netron"), draw + code + "netron.stop()\n", tmp_path)
    assert printed.split("census.")[1:] == ["keras ['Dense']\n", "onnx ['Gemm', 'Sigmoid']\n"]


COMMIT = "a" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    """The two addresses of the hub that `upload_folder` asks: how to send each file, and then their bytes."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            said = {"files": files}
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            said = {
                "commitUrl": f"http://{self.headers['Host']}/someone/census/commit/{'a' * 40}",
                "commitOid": "a" * 40,
            }
        else:
            said = {"type": "regular"}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *args):
        pass


@pytest.mark.nightly
def test_the_files_reach_a_hub(python, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.files = {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        told = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": "hf_test"}
        assert COMMIT in run(python("huggingface_hub"), program("huggingface_hub"), tmp_path, **told)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert sorted(server.files) == ["README.md", "model.keras", "model.onnx"]
    assert all(data == (tmp_path / "census" / name).read_bytes() for name, data in server.files.items())
