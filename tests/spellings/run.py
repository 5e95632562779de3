"""Runs programs as `lamina run` does, in one process; prints as JSON what each wrote to stderr, or its error."""

import contextlib
import io
import json
import os
import sys
import warnings

from lamina import compat
from lamina.__main__ import run


def show(message, category, filename, lineno, file=None, line=None):
    print(f"{os.path.basename(filename)}:{lineno}: {category.__name__}: {message}", file=sys.stderr)


def main(paths):
    warnings.showwarning = show
    done = {}
    for path in paths:
        told, printed = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(printed):
            try:
                status = run(path, [], False)
            except SystemExit as ended:
                status = ended.code
            finally:
                compat.uninstall()
        done[path] = {"status": status, "stderr": told.getvalue().splitlines(), "stdout": printed.getvalue()}
    print(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1:])
