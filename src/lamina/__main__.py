"""`python -m lamina` lists the commands.

`python -m lamina run script.py` runs a program written for Keras or tf.keras, unchanged, on Lamina.

`python -m lamina run -m package.module` runs a module, as `python -m` does.

`python -m lamina show FILE` prints what a file of a model, of weights or of a run's state holds, without loading it;
`--picture stack.svg` draws its stack.

`python -m lamina serve FILE` answers requests for a model's predictions over HTTP.

`python -m lamina launch -n 4 train.py` starts the processes of a job on this machine.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence

import lamina
from lamina import _launch as launch
from lamina import _saving as saving
from lamina import compat
from lamina._messages.tracebacks import is_internal
from lamina.compat.importer import Arguments
from lamina.serving import command as serving


def run(program: str, arguments: Sequence[str], module: bool) -> int:
    """Run a file or a module as Python does, but import `keras` and `tensorflow` from Lamina.

    Returns the exit status.
    """
    compat.install()
    sys.argv = Arguments([program, *arguments])
    try:
        if module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            if not sys.flags.safe_path:
                sys.path[0] = os.path.dirname(os.path.realpath(program))
            runpy.run_path(program, run_name="__main__")
    except (Exception, KeyboardInterrupt) as error:
        traceback = error.__traceback__
        while traceback is not None and is_internal(traceback.tb_frame.f_code.co_filename):
            traceback = traceback.tb_next
        if traceback is None and isinstance(error, ImportError):  # the program was not found
            print(f"{sys.executable}: {error}", file=sys.stderr)
            return 1
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lamina",
        description="The Keras Sequential model, on JAX.",
        epilog="examples:\n  python -m lamina run train.py --epochs 3\n  python -m lamina show model.keras\n\n"
        "`python -m lamina COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lamina {lamina.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="run | show | serve | launch")
    command = commands.add_parser(
        "run",
        help="run a program that imports keras or tensorflow.keras on Lamina",
        description="Runs a program as `python script.py` would, where `keras` and `tensorflow.keras` are Lamina.",
        epilog="examples:\n  python -m lamina run train.py --epochs 3\n  python -m lamina run -m package.train",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("-m", dest="module", action="store_true", help="the program is a module, as for `python -m`")
    command.add_argument("script", help="the program's file, or the module's name")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="the program's own arguments, for its sys.argv")
    shown = commands.add_parser(
        "show",
        help="print what a file of a model, of weights or of a run's state holds",
        description="Prints what a file holds, without loading it: layers, shapes, dtypes, bytes, versions, how the\n"
        "model is compiled, SHA-256. The exit status is 1 for a file that is refused.",
        epilog="examples:\n  python -m lamina show model.keras\n"
        "  python -m lamina show model.keras --picture stack.svg",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shown.add_argument("file", help="a .keras, .h5, .weights.h5, .weights.json or .safetensors file, or a folder")
    shown.add_argument("--picture", metavar="STACK.SVG", help="also draw the stack; .png and .pdf need matplotlib")
    serving.add_to(commands)
    launch.add_to(commands)
    options = parser.parse_args()
    if options.command is None:
        parser.print_help()
        parser.exit()
    if options.command == "show":
        if not os.path.exists(options.file):
            shown.error(f"{options.file!r} does not exist (looked from {os.getcwd()}).")
        return saving.show.show(options.file, options.picture)
    if options.command == "serve":
        return serving.serve(options)
    if options.command == "launch":
        return launch.replace_this_process(sys.argv[1:])
    if not options.module and not os.path.isfile(options.script):
        what = "is a folder, not a program" if os.path.isdir(options.script) else "does not exist"
        command.error(f"{options.script!r} {what} (looked from {os.getcwd()}).")
    return run(options.script, options.arguments, options.module)


if __name__ == "__main__":
    sys.exit(main())
