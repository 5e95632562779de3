"""`python -m lamina run script.py`: runs a program written for Keras or tf.keras, unchanged, on Lamina."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence

import lamina
from lamina import compat
from lamina._base.frames import is_internal


def run(script: str, arguments: Sequence[str]) -> int:
    """Run a file as Python itself would, but with `keras` and `tensorflow` found here; returns the exit status."""
    compat.install()
    sys.argv = [script, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except (Exception, KeyboardInterrupt) as error:
        traceback = error.__traceback__
        while traceback is not None and is_internal(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lamina", description="The Keras Sequential model, on JAX.")
    parser.add_argument("--version", action="version", version=f"lamina {lamina.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="run")
    command = commands.add_parser(
        "run",
        help="run a program that imports keras or tensorflow.keras on Lamina",
        description="Runs a program as `python script.py` would, where `keras` and `tensorflow.keras` are Lamina.",
    )
    command.add_argument("script", help="the program's file")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="the program's own arguments, for its sys.argv")
    options = parser.parse_args()
    if not os.path.isfile(options.script):
        what = "is a folder, not a program" if os.path.isdir(options.script) else "does not exist"
        command.error(f"{options.script!r} {what} (looked from {os.getcwd()}).")
    return run(options.script, options.arguments)


if __name__ == "__main__":
    sys.exit(main())
