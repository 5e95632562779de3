"""While a file is taken apart nothing is opened, run, imported or asked for over the network."""

import subprocess
import sys

import hostile
import pytest

PROGRAM = """
import os, resource, sys
import jax
import lamina
from lamina._saving import folders, guard
from lamina.saving import load_model

FORBIDDEN = ("open", "import", "socket.", "subprocess.", "os.", "marshal.", "pickle.", "ctypes.", "shutil.",
             "tempfile.", "urllib.", "glob.", "code.__new__")
LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)
armed, seen = False, []

def hook(event, arguments):
    if armed and event.startswith(FORBIDDEN):
        seen.append(f"{event} {arguments!r:.200}")
        raise RuntimeError(event)

def arm(data):
    '''From here on the bytes are in memory. HDF5's C library opens files unseen by the hook, so no number is left.'''
    global armed
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, LIMITS[1]))
    armed = True
    return data

jax.jit(lambda x: x + 1)(jax.device_put(1.0))  # JAX looks for its plugins and imports parts of itself at first
sys.addaudithook(hook)
read_bytes, read_folder = guard.opened_bytes, folders.read
guard.opened_bytes = lambda path, where: arm(read_bytes(path, where))
folders.read = lambda *told: arm(read_folder(*told))

for path in sys.argv[1:]:
    seen.clear()
    try:
        said = f"opened {load_model(path).count_params()}"
    except lamina.errors.FileError as error:
        said = f"refused {error}"
    errors = []
    for armed in (armed, False):
        try:
            open("/dev/null").close()
        except (RuntimeError, OSError) as error:
            errors.append(str(error).partition(":")[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, LIMITS)
    print(*seen, *errors, *said.split())
"""
NOTHING_BUT_OURS = "open ('/dev/null', 'r', 524288) open [Errno 24] Too many open files "
"""That this test itself opened a file: the hook saw it, and without the hook there was no number for it."""
GENUINE = ["keras_file", "unzipped"]
HOSTILE = (
    "cve_2024_3660 cve_2025_1550 cve_2025_8747 cve_2025_9906 cve_2025_12058 cve_2025_49655 cve_2026_0897 "
    "cve_2026_1462 cve_2026_1669_external_storage cve_2026_12479 ghsa_hqp4_2352_xf5r zip_bomb_of_weights"
).split()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What the program says of each file."""
    folders = {name: tmp_path_factory.mktemp(name) for name in GENUINE + HOSTILE}
    paths = [str(getattr(hostile, name)(folder)) for name, folder in folders.items()]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not any((folder / "ran").exists() for folder in folders.values())
    return dict(zip(folders, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_file_is_opened_without_any_event(name, outcomes):
    assert outcomes[name] == NOTHING_BUT_OURS + "opened 5"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_without_any_event(name, outcomes):
    assert outcomes[name].startswith(NOTHING_BUT_OURS + "refused ")
