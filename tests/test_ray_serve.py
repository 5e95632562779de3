"""The example of the guide for Ray Serve: two replicas of the service on this machine. Nightly."""

import json
import re
import socket
import subprocess

import numpy as np
import pytest
from environments import OUTSIDE, ROOT, python_with

import lamina as keras
from lamina import layers

PAGE = (ROOT / "docs" / "pages" / "guides" / "serving.md").read_text()
(EXAMPLE,) = re.findall(r'^```python needs="ray"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
VERSION = re.search(r"ray (\d+\.\d+\.\d+)", PAGE).group(1)

ASK = """
import json, urllib.request
rows = json.load(open("rows.json"))

def ask(path, value=None):
    data = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()

answers = [json.loads(ask("/predict", rows))["predictions"] for _ in range(40)]
assert all(each == answers[0] for each in answers)
told = [line for _ in range(40) for line in ask("/metrics").splitlines()]
counts = {float(line.split()[1]) for line in told if line.startswith("lamina_rows_per_call_count")}
(deployment,) = serve.status().applications["default"].deployments.values()
states = {str(state): count for state, count in deployment.replica_states.items()}
print(json.dumps([answers[0], states, sorted(counts)]))
serve.shutdown()
"""
"""Both replicas are asked how many calls they have made: one client makes one call a request."""


def test_the_example_compiles():
    compile(EXAMPLE, "example", "exec")


@pytest.mark.nightly
def test_two_replicas_of_ray_serve_answer_what_predict_gives(tmp_path):
    python = python_with("ray-serve", "--editable", f"{ROOT}[serve]", f"ray[serve]=={VERSION}")
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2, "softmax")])
    model.save(tmp_path / "people.keras")
    rows = np.random.default_rng(0).normal(size=(5, 3)).round(3)
    (tmp_path / "rows.json").write_text(json.dumps(rows.tolist()))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begin = "import ray\nray.init(num_cpus=3, include_dashboard=False)\n"
    assert '"port": 8000' in EXAMPLE
    code = begin + EXAMPLE.replace('"port": 8000', f'"port": {port}') + ASK.replace("{PORT}", str(port))
    (tmp_path / "program.py").write_text(code)
    command = [python, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=OUTSIDE, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    answers, states, counts = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[[[")))
    np.testing.assert_allclose(answers, model.predict(rows, verbose=0), rtol=1e-5)
    assert list(states.values()) == [2] and "RUNNING" in str(states)
    assert len(counts) in (1, 2) and 0 < min(counts) < 40 and (len(counts) == 1 or sum(counts) == 40)
