"""Let atheris look for inputs of a reader: `python tests/fuzzing.py (hdf5|json|zip) FOLDER RUNS`.

FOLDER has the genuine files to begin with, and gets those that reach new lines of the reader.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lamina._saving", "zipfile", "json"]):
    from test_fuzz import check_hdf5, check_json, check_zip


def main(kind, folder, runs):
    check = {"hdf5": check_hdf5, "json": check_json, "zip": lambda data: check_zip(data, Path(folder).parent)}[kind]
    limits = ["-rss_limit_mb=2048", "-timeout=20", "-max_len=30000", "-print_final_stats=1", "-seed=1"]
    atheris.Setup([sys.argv[0], f"-runs={runs}", *limits, f"-artifact_prefix={folder}-", folder], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
