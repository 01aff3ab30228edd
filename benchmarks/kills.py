"""60 kills: a run that is killed again and again leaves the same scores, weights and maps as one in peace.

usage: nice python benchmarks/kills.py [KILLS] [FOLDER]

`seg_course run hippocampus`, small, runs once in peace. Then the same command with other folders is
killed at random moments, most by SIGKILL and every fourth by SIGTERM, and started anew. After six
kills a run may finish, and the next folder begins, until the kills are spent. The files of each run
are compared with those of the first, byte by byte where the file holds no time. Nothing half may be
left, and no process. At last two processes work on one folder: the second says so and stops.
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

CODE = "import sys; from seg_course.out.cli import main; main(sys.argv[1:])"
SETTINGS = ["-p", "epochs", "2", "-p", "batches", "5"]
STAGES = {  # file or folder that is written -> what a run is at then
    "notebook.ipynb": "report",
    "submission": "submission",
    "ablation": "ablation",
    "fold0/probs_plain": "prediction",
    "fold0/probs": "prediction",
    "fold0": "training",
    "store": "preparation",
    "scores.csv": "tuning and scores",
    "post.json": "tuning and scores",
}


def start(out):
    env = dict(os.environ, PYTHONWARNINGS="ignore", OMP_NUM_THREADS="1")
    words = [sys.executable, "-c", CODE, "run", "hippocampus", "--out", str(out), *SETTINGS]
    pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen(words, env=env, **pipes)


def stage(out, begun):
    "What a run was at, by the newest file that it wrote since it was started"
    new = [(f.stat().st_mtime, name) for name in STAGES for f in _under(out / name)]
    new = [(when, name) for when, name in new if when > begun]
    return STAGES[max(new)[1]] if new else "start, and what is there already"


def _under(path):
    "A file, or the files of a folder"
    return [path] if path.is_file() else [f for f in path.glob("*") if f.is_file()]


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
    found = {str(f.relative_to(out)): digest(f) for f in whole}
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


def one_run(out, longest, kills, counts, faults):
    "Kill a run up to `kills` times and continue it, then let it end; how often it was killed"
    done = 0
    while True:
        process = start(out)
        begun = time.time()
        moment = random.uniform(2, longest) if done < kills else float("inf")
        while process.poll() is None and time.time() - begun < moment:
            time.sleep(0.02)
        if process.poll() is not None:
            break
        number = signal.SIGTERM if done % 4 == 3 else signal.SIGKILL
        counts[stage(out, begun), number.name] += 1
        said, alive = kill(process, number)
        done += 1
        if alive:
            faults.append(f"{alive} processes were left after {number.name}")
        # before the program has begun, the signal ends it without a word
        if number == signal.SIGTERM and said.strip() and "interrupted" not in said:
            faults.append(f"SIGTERM: {said.strip()[-200:]!r}")
    _, said = process.communicate()
    if process.returncode:
        faults.append(f"{out.name}: exit code {process.returncode}: {said.strip()[-300:]}")
    return done


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
    _, said = calm.communicate()
    longest = time.time() - begun
    assert not calm.returncode, said
    want, faults, counts, runs = marks(work / "calm"), leftovers(work / "calm"), Counter(), 0
    while kills > 0:
        out = work / f"run{runs}"
        killed = one_run(out, longest, min(6, kills), counts, faults)
        kills -= killed
        runs += 1
        print(f"{out.name}: killed {killed} times, then it ended", flush=True)
        got = marks(out)
        odd = [name for name in {*want, *got} if want.get(name) != got.get(name)]
        faults += [f"{out.name}: {name} differs" for name in sorted(odd)]
        faults += [f"{out.name}: {name} was left" for name in leftovers(out)]
    faults += filter(None, [two_at_once(work / "two")])
    odd = [name for name, content in marks(work / "two").items() if want.get(name) != content]
    faults += [f"two: {name} differs" for name in odd]
    by_stage = Counter()
    for (name, _), n in counts.items():
        by_stage[name] += n
    print("\n".join(faults))
    print("killed at:", json.dumps(by_stage))
    print(
        f"{sum(counts.values())} kills of {runs} runs, {len(want)} files compared in each, "
        f"{len(faults)} faults, {time.time() - begun:.0f} s"
    )
    return bool(faults)


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(main(int(words[0]) if words else 60, *words[1:2]))
