"""`python -m lamina launch` starts the processes of a job on this machine, and ends them together."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lamina import _launch as launch

PROGRAM = """
import json, os, signal, sys, time
rank = int(os.environ["JAX_PROCESS_ID"])
if sys.argv[1] == "facts":
    names = "JAX_NUM_PROCESSES", "JAX_COORDINATOR_ADDRESS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS"
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    print(json.dumps([rank, sys.argv[2:], cores, *map(os.environ.get, names)]))
elif sys.argv[1] == "fail" and rank == 1:
    print("no rows", file=sys.stderr)
    sys.exit(7)
elif sys.argv[1] == "kill" and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
elif sys.argv[1] == "save":
    def save(number, frame):
        print("saved", rank, flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    signal.signal(signal.SIGINT, save)
if sys.argv[1] != "facts":
    print("pid", os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return str(path)


def command(*arguments):
    return [sys.executable, "-P", launch.__file__, "launch", *arguments]


def launched(*arguments, **environment):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


def facts(done):
    return sorted((json.loads(line.removeprefix("[1] ")) for line in done.stdout.splitlines()), key=lambda f: f[0])


def test_each_process_knows_its_rank_the_address_and_its_arguments(program):
    done = launched("-n", "2", program, "facts", "--epochs", "3", CUDA_VISIBLE_DEVICES="", XLA_FLAGS="--xla_dump_to=d")
    first, second = facts(done)
    assert done.returncode == 0 and (first[0], second[0]) == (0, 1)
    assert first[1] == second[1] == ["--epochs", "3"]
    assert first[3] == "2" and first[4] == second[4] and first[4].startswith("127.0.0.1:")
    assert first[6] == "--xla_dump_to=d"


def test_lines_of_other_ranks_than_0_begin_with_the_rank(program):
    done = launched("-n", "2", program, "facts", CUDA_VISIBLE_DEVICES="")
    assert sorted(line[:4] for line in done.stdout.splitlines()) == ["[0, ", "[1] "]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a process its cores")
def test_each_process_has_its_share_of_the_cores(program):
    first, second = facts(launched("-n", "2", program, "facts", CUDA_VISIBLE_DEVICES=""))
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    assert (first[2], second[2]) == ((cores[:half], cores[half:]) if half else (cores, cores))


def test_devices_per_process_are_parts_of_a_cpu_or_gpus(program):
    first, second = facts(launched("-n", "2", "--devices-per-process", "3", program, "facts", CUDA_VISIBLE_DEVICES=""))
    assert first[6].split()[-1] == "--xla_force_host_platform_device_count=3" == second[6].split()[-1]
    first, second = facts(
        launched("-n", "2", "--devices-per-process", "2", program, "facts", CUDA_VISIBLE_DEVICES="4,5,6,7")
    )
    assert (first[5], second[5]) == ("4,5", "6,7")
    first, second = facts(launched("-n", "2", program, "facts", CUDA_VISIBLE_DEVICES="a,b"))
    assert (first[5], second[5]) == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "visible", "words"),
    [
        (["-n", "0", "train.py"], "", "expected a whole number from 1 on, got '0'"),
        (["-n", "2", "train.py"], "", "'train.py' is not a file (looked from"),
        (["-n", "3", __file__], "0,1", "3 processes with 1 GPU each need 3 GPUs, and 2 are visible."),
        ([__file__], "", "the following arguments are required: -n"),
    ],
)
def test_wrong_arguments_start_nothing(arguments, visible, words):
    done = launched(*arguments, CUDA_VISIBLE_DEVICES=visible, JAX_PLATFORMS="")
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("how", "status"), [("fail", 7), ("kill", 137)])
def test_a_process_that_fails_ends_the_others_and_its_status_is_returned(program, how, status):
    began = time.monotonic()
    done = launched("-n", "3", program, how, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == status and time.monotonic() - began < 20
    assert f"Rank 1 ended with status {status}: the other processes are ended." in done.stderr
    if how == "fail":
        assert "[1] no rows\n" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_all_processes_once_and_they_save(program, number):
    started = subprocess.Popen(command("-n", "2", program, "save"), stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, start_new_session=True)  # fmt: skip
    assert started.stdout is not None
    for _ in range(2):
        assert "pid" in started.stdout.readline()
    started.send_signal(number)
    rest, _ = started.communicate(timeout=30)
    assert started.returncode == 128 + number and rest.count("saved") == 2


def test_a_process_that_does_not_end_in_time_is_killed():
    stubborn = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); rank = int(os.environ['R']);"
    )
    stubborn += " time.sleep(0.5); rank and sys.exit(3); time.sleep(60)"
    program = f"""
import os, sys
from lamina import _launch
_launch.GRACE = 0.5
environments = [{{**os.environ, "R": str(rank)}} for rank in range(2)]
sys.exit(_launch.run([sys.executable, "-c", {stubborn!r}], environments))
"""
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", program], timeout=50).returncode == 3
    assert time.monotonic() - began < 40


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_processes_die_with_the_launcher(program):
    started = subprocess.Popen(command("-n", "2", program, "sleep"), stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})  # fmt: skip
    assert started.stdout is not None
    pids = [int(started.stdout.readline().split()[-1]) for _ in range(2)]
    started.kill()
    started.communicate()
    until = time.monotonic() + 10
    while time.monotonic() < until and any(_runs(pid) for pid in pids):
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_command_replaces_itself_by_a_launcher_without_jax(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text("import os\nprint(open(f'/proc/{os.getppid()}/cmdline').read().split(chr(0))[1:3])\n"
                       "print('jaxlib' in open(f'/proc/{os.getppid()}/maps').read())\n")  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "lamina", "launch", "-n", "1", str(program)],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(["-P", launch.__file__]), "False"]


def test_lines_of_unbuffered_programs_do_not_mix(program):
    """With PYTHONUNBUFFERED, as in many containers, `print` writes a line and its end apart."""
    text = "import os\nfor i in range(2000): print(os.environ['JAX_PROCESS_ID'] * 40)"
    Path(program).write_text(text)
    lines = launched("-n", "3", program, PYTHONUNBUFFERED="1").stdout.splitlines()
    assert sorted(set(lines)) == ["0" * 40, "[1] " + "1" * 40, "[2] " + "2" * 40] and len(lines) == 6000


@pytest.fixture
def signals(monkeypatch):
    """The launcher sets handlers of signals; those of pytest come back. It does not fork here, where JAX has run."""
    monkeypatch.setattr(sys, "platform", "as elsewhere")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_launcher_in_this_process(program, capfd, monkeypatch, signals):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PYTHONUNBUFFERED", "")
    assert launch.main(["launch", "-n", "2", "--devices-per-process", "2", program, "facts", "x"]) == 0
    lines = sorted(capfd.readouterr().out.splitlines())
    assert [line[:4] for line in lines] == ["[0, ", "[1] "] and all("device_count=2" in line for line in lines)
    assert launch.main(["launch", "-n", "2", program, "fail"]) == 7
    said = capfd.readouterr().err
    assert "[1] no rows" in said and "Rank 1 ended with status 7: the other processes are ended." in said


def test_a_signal_reaches_all_and_its_number_is_returned(program, capfd, monkeypatch, signals):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    timer = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGTERM])
    timer.start()
    assert launch.main(["launch", "-n", "2", program, "save"]) == 128 + signal.SIGTERM
    assert {line for line in capfd.readouterr().out.splitlines() if "saved" in line} == {"saved 0", "[1] saved 1"}


def test_wrong_arguments_in_this_process(capsys, monkeypatch):
    for arguments in (["-n", "0", __file__], ["-n", "1", "train.py"]):
        with pytest.raises(SystemExit, match="2"):
            launch.main(["launch", *arguments])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    with pytest.raises(SystemExit, match="2"):
        launch.main(["launch", "-n", "3", __file__])
    assert "3 processes with 1 GPU each need 3 GPUs, and 2 are visible." in capsys.readouterr().err
