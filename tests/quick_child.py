"""`python quick_child.py FILE ARGUMENTS` runs a program as `python FILE ARGUMENTS` does, but compiles it quickly."""

import os
import runpy
import sys

from quick import quick_compiler

del sys.argv[0]
sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
with quick_compiler():
    runpy.run_path(sys.argv[0], run_name="__main__")
