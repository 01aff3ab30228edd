"""60 kills: a run that is killed again and again leaves the same scores, weights and maps as one in peace.

usage: nice python benchmarks/kills.py [KILLS] [FOLDER]

`seg_course run hippocampus`, small, runs once in peace, and how long each stage takes is noted. Then
the same command with other folders is killed in one stage after the other: the files that it writes
say which stage has begun, and the moment within the stage is random. Every fourth kill is by SIGTERM,
the others are by SIGKILL, and the same command continues. After six kills a run may finish, and the
next folder begins, until the kills are spent. The files of each run are compared with those of the
first, byte by byte where the file holds no time. Nothing half may be left, and no process. At last
two processes work on one folder: the second says so and stops. From 60 kills on, the figures are
written to `results/kills.json`.
"""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
from common import keep

CODE = "import sys; from seg_course.out.cli import main; main(sys.argv[1:])"
SETTINGS = ["-p", "epochs", "2", "-p", "batches", "5"]
STAGES = {  # files that are written -> what a run is at then
    "notebook.ipynb": "report",
    "submission/*": "submission",
    "ablation/*/*": "ablation",
    "fold0/probs_plain/*": "prediction",
    "fold0/probs/*": "prediction",
    "fold0/*": "training",
    "store/*": "preparation",
    "scores.csv": "tuning and scores",
    "post.json": "tuning and scores",
}

ORDER = "start,preparation,training,prediction,tuning and scores,ablation,submission,report".split(
    ","
)


def targets(n):
    "The stages in which run number `n` is killed: five in every run, and one of the others"
    extra = ("start", "ablation", "submission")[n % 3]
    every = {"preparation", "training", "prediction", "tuning and scores", "report"}
    return [name for name in ORDER if name in every | {extra}]


def start(out):
    env = dict(os.environ, PYTHONWARNINGS="ignore", OMP_NUM_THREADS="1")
    words = [sys.executable, "-c", CODE, "run", "hippocampus", "--out", str(out), *SETTINGS]
    pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(words, env=env, **pipes)


def stage(out, begun):
    "What a run was at, by the newest file that it wrote since it was started"
    files = [(f, name) for pattern, name in STAGES.items() for f in out.glob(pattern)]
    new = []
    for f, name in files:
        try:
            when = f.stat().st_mtime
        except FileNotFoundError:
            continue  # renamed since
        if f.is_file() and when > begun:
            new.append((when, name))
    return max(new)[1] if new else "start"


def digest(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def table(path):
    "A table without the columns that measure time or memory"
    df = pd.read_csv(path)
    timed = [c for c in df if re.search("seconds|busy|memory", str(c))]
    return df.drop(columns=timed).to_csv(index=False)


def marks(out):
    "What a run came to: file -> content"
    whole = [
        *out.glob("fold*/*.safetensors"),
        *out.glob("ablation/*/*.safetensors"),
        *out.glob("fold*/probs*/*.npy"),
        *out.glob("store/*.npy"),
        *out.glob("submission/*"),
        out / "post.json",
        out / "run.json",
        out / "scores.csv",
        out / "ablation.csv",
    ]
    found = {str(f.relative_to(out)): digest(f) for f in whole if f.is_file()}
    for f in (*out.glob("fold*/history.csv"), *out.glob("ablation/*/history.csv")):
        found[str(f.relative_to(out))] = table(f)
    return found


def leftovers(out):
    "Files of a run that are half, or that nobody needs any more"
    hidden = [f for f in out.rglob("*") if f.name.startswith(".")]
    extra = [*out.glob("failed.ipynb"), *out.rglob("*.part*"), *out.rglob("resume*")]
    return sorted({str(f.relative_to(out)) for f in hidden + extra})


def kill(process, number):
    "End a run; by SIGKILL its kernel, which it cannot take with it, goes too"
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    if number == signal.SIGKILL and random.random() < 0.5:
        for child in children:  # as when a machine goes down; else the kernel notices by itself
            try:
                child.kill()
            except psutil.NoSuchProcess:
                pass
    _, said = process.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    return said, len(alive)


def spans(process, out):
    "Seconds of each stage of a run in peace"
    begun, seen = time.time(), Counter()
    last = begun
    while process.poll() is None:
        time.sleep(0.05)
        now = time.time()
        seen[stage(out, begun)] += now - last
        last = now
    return seen


def reaches(process, out, begun, target):
    "Wait until a run is in a stage; False if it went past, or ended"
    while process.poll() is None:
        now = ORDER.index(stage(out, begun))
        if now >= ORDER.index(target):
            return now == ORDER.index(target)
        time.sleep(0.02)
    return False


def kill_in(process, out, begun, seconds, number, counts, faults):
    "Kill a run within the next `seconds`; False if it ended before"
    time.sleep(random.uniform(0, seconds))
    if process.poll() is not None:
        return False
    counts[stage(out, begun), number.name] += 1
    said, alive = kill(process, number)
    if alive:
        faults.append(f"{alive} processes were left after {number.name}")
    # before the program has begun, the signal ends it without a word
    if number == signal.SIGTERM and said.strip() and "interrupted" not in said:
        faults.append(f"SIGTERM: {said.strip()[-200:]!r}")
    return True


def one_run(out, names, seconds, counts, faults):
    "Kill a run in some stages and continue it, then let it end"
    process, begun = start(out), time.time()
    for name in names:
        number = signal.SIGTERM if sum(counts.values()) % 4 == 3 else signal.SIGKILL
        if not reaches(process, out, begun, name):
            continue
        if kill_in(process, out, begun, 0.9 * seconds[name], number, counts, faults):
            process, begun = start(out), time.time()
    _, said = process.communicate()
    if process.returncode:
        faults.append(f"{out.name}: exit code {process.returncode}: {said.strip()[-300:]}")


def two_at_once(out):
    "What a second process says of a folder in which another works; '' if it does what it must"
    first = start(out)
    while not (out / ".lock").exists():
        time.sleep(0.1)
    second = start(out)
    _, said = second.communicate()
    first.communicate()
    good = second.returncode == 1 and "another process is at work" in said
    return "" if good and not first.returncode else f"two at once: {said.strip()[-200:]}"


def main(kills=60, folder=None):
    random.seed(0)
    work = Path(folder or tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    begun = time.time()
    calm = start(work / "calm")
    seconds = spans(calm, work / "calm")
    _, said = calm.communicate()
    assert not calm.returncode, said
    print("seconds of the stages:", {k: round(v, 1) for k, v in seconds.items()}, flush=True)
    want, faults, counts, runs = marks(work / "calm"), leftovers(work / "calm"), Counter(), 0
    while sum(counts.values()) < kills:
        out = work / f"run{runs}"
        before = sum(counts.values())
        one_run(out, targets(runs)[: kills - before], seconds, counts, faults)
        runs += 1
        print(f"{out.name}: killed {sum(counts.values()) - before} times", flush=True)
        got = marks(out)
        odd = [name for name in {*want, *got} if want.get(name) != got.get(name)]
        faults += [f"{out.name}: {name} differs" for name in sorted(odd)]
        faults += [f"{out.name}: {name} was left" for name in leftovers(out)]
    faults += filter(None, [two_at_once(work / "two")])
    odd = [name for name, content in marks(work / "two").items() if want.get(name) != content]
    faults += [f"two: {name} differs" for name in odd]
    print("\n".join(faults))
    kinds = ("SIGKILL", "SIGTERM")
    rows = {name: {kind: counts[name, kind] for kind in kinds} for name in ORDER}
    note = (
        f"{sum(counts.values())} kills of {runs} runs, {len(want)} files compared in each, "
        f"{len(faults)} faults."
    )
    print(note, json.dumps(rows), f"{time.time() - begun:.0f} s")
    if kills >= 60:
        keep("kills", rows, unit="times that a run was killed in a stage", note=note)
    return bool(faults)


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(int(words[0]) if words else 60, *words[1:2]))
