"""How long imports take: the best of seven new processes, in turn, less the interpreter's start.

usage: python benchmarks/imports.py

Python keeps what it compiled, here too where the environment forbids it: without, each new process
compiles this project again and not the installed fastai.
"""

import os
import subprocess
import sys
from functools import partial

from common import keep, ratio, rounds

IMPORTS = {
    "interpreter": "pass",
    "seg_course alone": "import seg_course",
    "seg_course": "from seg_course.all import *",
    "fastai": "from fastai.vision.all import *",
}


def run(code):
    "A new process that keeps what it compiles"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=env)


if __name__ == "__main__":
    seconds = rounds({name: partial(run, code) for name, code in IMPORTS.items()}, 7)
    bare = seconds.pop("interpreter")
    row = {name: round(s - bare, 3) for name, s in seconds.items()}
    row |= ratio(row, less=True, rivals=["fastai"])
    keep("imports", {"seg_course.all, fastai.vision.all": row}, unit="seconds")
