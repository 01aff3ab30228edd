"""Peak memory of a whole run (all its processes together) of a lesson over the number of cases.

usage: SEG_COURSE_DATA=... python benchmarks/memory.py [hippocampus hippocampus3d ...] [50 200]

One epoch of 20 batches, without tables of trials. Linux: shared pages are counted once, from
/proc/PID/smaps_rollup.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import keep

MORE = dict(hippocampus3d=dict(ablate="none"))  # settings of a lesson, besides those of all


def children(pid):
    "The process and all below it"
    try:
        kids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for k in kids for p in children(int(k)))]


def pss(pid):
    "Memory of a process, MB; shared pages by share"
    try:
        return (
            int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
            / 1000
        )
    except (OSError, TypeError):
        return 0


def peak_of(p):
    "Peak of a running program with all its children, MB, and of its largest single process"
    top = one = 0
    while p.poll() is None:
        m = [pss(q) for q in children(p.pid)]
        top, one = max(top, sum(m)), max(one, *m, 0)
        time.sleep(0.5)
    return top, one


def peak(lesson, n):
    "Peaks of a short run of a lesson on n cases, MB"
    settings = dict(max_cases=n, epochs=1, batches=20) | MORE.get(lesson, {})
    with tempfile.TemporaryDirectory() as tmp:
        words = ["run", lesson, "--out", f"{tmp}/run"]
        for name, value in settings.items():
            words += ["-p", name, str(value)]
        code = "from seg_course.out.cli import main; main()"
        p = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdout=subprocess.DEVNULL,
        )
        top, one = peak_of(p)
        if p.returncode:
            sys.exit(f"the run of {lesson} on {n} cases failed")
        return {"all processes, MB": round(top), "largest process, MB": round(one)}


def main(words):
    if "SEG_COURSE_DATA" not in os.environ:
        sys.exit("SEG_COURSE_DATA is not set: without it, the lessons draw a few cases")
    sizes = [int(w) for w in words if w.isdigit()] or [50, 200]
    lessons = [w for w in words if not w.isdigit()] or ["hippocampus", "hippocampus3d"]
    rows = {f"{name}, {n} cases": peak(name, n) for name in lessons for n in sizes}
    keep("memory", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
