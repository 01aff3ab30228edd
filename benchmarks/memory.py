"""Peak memory of a whole run (all its processes together) over the number of cases.

usage: SEG_COURSE_DATA=... python benchmarks/memory.py 50 200        (Linux: shared pages are counted once, from /proc/PID/smaps_rollup)
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import keep


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
        time.sleep(0.3)
    return top, one


def peak(n):
    "Peaks of a short run on n cases, MB"
    with tempfile.TemporaryDirectory() as tmp:
        p = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from seg_course.out.cli import main; main()",
                "run",
                "hippocampus",
                "--out",
                f"{tmp}/run",
                "-p",
                "max_cases",
                str(n),
                "-p",
                "epochs",
                "1",
                "-p",
                "batches",
                "20",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        top, one = peak_of(p)
        if p.returncode:
            sys.exit(f"the run on {n} cases failed")
        return {"all processes, MB": round(top), "largest process, MB": round(one)}


if __name__ == "__main__":
    keep("memory", {f"{n} cases": peak(int(n)) for n in sys.argv[1:] or ("50", "200")})
