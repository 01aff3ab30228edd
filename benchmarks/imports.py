"""How long imports take, each the best of seven new processes, less the start of the interpreter.

usage: python benchmarks/imports.py

Python keeps what it compiled, here too where the environment forbids it: without, each new process
compiles this project again and not the installed fastai.
"""

import os
import subprocess
import sys
import time

from common import keep


def seconds(code):
    "Best of seven processes"
    keeps = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def once():
        t = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL, env=keeps
        )
        return time.perf_counter() - t

    return min(once() for _ in range(7))


if __name__ == "__main__":
    bare = seconds("pass")
    lib, everything, fastai = (
        seconds(c) - bare
        for c in (
            "import seg_course",
            "from seg_course.all import *",
            "from fastai.vision.all import *",
        )
    )
    keep(
        "imports",
        dict(
            imports={
                "seg_course": round(lib, 3),
                "seg_course.all": round(everything, 2),
                "fastai.vision.all": round(fastai, 2),
                "ratio": round(everything / fastai, 2),
            }
        ),
        unit="seconds",
    )
