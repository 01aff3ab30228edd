"""Wrong input over all commands and functions: is every call answered by one clear line?

usage: python benchmarks/storm.py [GROUP ...] [--all]

Each call runs in a process of its own (a copy of this one), two at a time, with a limit of 60 seconds
(240 where a whole lesson runs, 20 where a call was made from a signature).
Its answer is a *line* (a `ValueError`, or exit code 1 or 2 and one line), *right* (it returned, and
the call says why that is right), *python* (Python's own error, which says what it expected and got;
for paths, and for arguments of functions on arrays and networks), *returned* (it returned, and nothing says that it should have),
*raw* (words of Python or of a library without a way out), a *traceback*, a *hang*, or *memory* (over
2 GB). One line for each call that was not answered well, `--all` for every call; the counts come
last. The exit code is 1 if there is any that was not.

`storm_calls.py` and `storm_newest.py` contain calls that were written one by one. `storm_signatures.py` makes calls from
the signatures of all public functions: each required argument is None, a text, NaN ... Groups can be
called alone, as `predict` or `sig_files`; counts of a group are kept in `results/storm.json`, where
those of the other groups stay.
"""

import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

os.environ |= dict(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore", MPLBACKEND="agg")

SECONDS, GIGABYTES = 60, 2
WHOLE_RUNS = dict(run=240, tamper=240)  # seconds for groups that run a whole lesson
GOOD = ("line", "right", "python")
KINDS = (*GOOD, "returned", "raw", "traceback", "hang", "memory", "broken")
RAW = re.compile(
    r"\[Errno|has no attribute|codec can't|not supported between|NoneType|enforce fail|SVD did not"
    r"|Expecting value|invalid literal|object is not|Singular matrix|unexpected keyword|positional arg"
    r"|list index|out of bounds|could not be broadcast|cannot reshape|loop with signature"
    r"|unsupported operand|Cannot work out file type|dimension must be|size mismatch|unhashable"
)

WAY_OUT = re.compile(
    r"(: |; |, |\()(correct|give|use|choose|delete|remove|train|get|name|write|finish|call|leave|set|run|check"
    r"|make|repair|ask|for boxes choose|build)\b| (is|are) expected|expected like|expected to be like"
)


def is_raw(text):
    "Words of Python, and nothing that says what to do"
    return not text or bool(RAW.search(text)) and not WAY_OUT.search(text)


def as_nobody():
    "Give up the rights of root in this process"
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.environ["HOME"] = "/nonexistent"


def answer_of(error):
    "(kind, text) of an exception"
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    if type(error) is ValueError or type(error).__module__.startswith("seg_course"):
        return ("raw" if is_raw(text) else "line"), text
    if isinstance(error, TypeError) and len(frames) <= 2 and "argument" in text:
        return "line", text  # Python's own, about the call itself
    if isinstance(error, MemoryError):
        return "memory", text
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    own = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "seg_course/" in f.filename]
    return "traceback", f"{type(error).__name__} {text[:150]} ({where}, {' '.join(own[-2:])})"


def limit(job):
    "Seconds for a call"
    return 20 if job.group.startswith("sig_") else WHOLE_RUNS.get(job.group, SECONDS)


def call_function(f, python):
    "(kind, text) of a call of a function; `python`: is Python's own error about a type enough?"
    try:
        result = f()
    except Exception as e:
        kind, text = answer_of(e)
        own = python and isinstance(e, (TypeError, AttributeError))
        # what is expected and what was given
        own = own or str(e).startswith("expected str, bytes or os.PathLike object")
        return ("python" if own and kind != "line" else kind), text
    return "returned", " ".join(repr(result).split())[:150]


def call_command(args, said):
    "(kind, text) of a command; `said`: file to which its output goes"
    from seg_course.out import cli

    try:
        cli.main([str(a) for a in args])
    except SystemExit as e:
        code = e.code
    sys.stdout.flush()
    sys.stderr.flush()
    lines = said.read_text(errors="replace").splitlines()
    words = [line for line in lines if line.startswith("seg_course: ")]
    if any(line.startswith("Traceback") for line in lines):
        return "traceback", " ".join(lines[-2:])
    if code == 0:
        return "returned", " ".join(lines[-2:])
    told = [line for line in lines if line.endswith("are faulty") or " not scored: " in line]
    if code == 1 and not words and told:  # the tables of `check` and `score`
        text = " ".join(" ".join(lines).split())
        return ("raw" if is_raw(text) else "line"), text
    if code not in (1, 2) or len(words) != 1:
        return "traceback", f"exit code {code}: {' '.join(words)}"
    return ("raw" if is_raw(words[0]) else "line"), words[0].removeprefix("seg_course: ")


def in_child(job, folder):
    "What the process of a call does"
    os.setsid()
    os.chdir(folder)
    said = folder / "said.txt"
    fd = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
    out = os.open("answer.json", os.O_WRONLY | os.O_CREAT)
    try:
        f = job.build()  # what is read or written is made now, for this call alone
        if job.nobody:
            os.chmod(folder, 0o755)
            as_nobody()
        is_command = isinstance(f, (list, tuple))
        kind, text = call_command(f, said) if is_command else call_function(f, job.python)
    except BaseException as e:
        kind, text = "broken", "".join(traceback.format_exception(e))[-700:]
    os.write(out, json.dumps([kind, text[:2000]]).encode())
    os._exit(0)


def finish(job, folder, usage, killed):
    "The answer of a call that has ended"
    kind, text = "traceback", "the process died"
    if (folder / "answer.json").exists() and (folder / "answer.json").stat().st_size:
        kind, text = json.loads((folder / "answer.json").read_text())
    job.gigabytes = usage.ru_maxrss / 1e6
    if killed:
        kind, text = "hang", f"over {limit(job)} s"
    elif job.gigabytes > GIGABYTES:
        kind, text = "memory", f"{job.gigabytes:.1f} GB; {text}"
    if kind == "returned" and job.right:
        kind = "right"
    job.kind, job.text = kind, text.replace(str(folder), "...")
    shutil.rmtree(folder, ignore_errors=True)


def run_all(jobs, work, at_once=2):
    "Run every call in a copy of this process"
    waiting, running = list(enumerate(jobs)), {}
    while waiting or running:
        while waiting and len(running) < at_once:
            i, job = waiting.pop(0)
            folder = work / f"call{i}"
            folder.mkdir()
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                in_child(job, folder)
            running[pid] = SimpleNamespace(job=job, folder=folder, begun=time.time())
        for pid, r in list(running.items()):
            late = time.time() - r.begun > limit(r.job)
            if late:
                os.killpg(pid, signal.SIGKILL)
            done, _, usage = os.wait4(pid, 0 if late else os.WNOHANG)
            if done:
                r.job.seconds = time.time() - r.begun
                try:
                    os.killpg(pid, signal.SIGKILL)  # a kernel that was left
                except ProcessLookupError:
                    pass
                finish(r.job, r.folder, usage, late)
                del running[pid]
                yield r.job
        time.sleep(0.005)


def import_early():
    "What a user without rights could not import, and what every call would import anew"
    import logging.config  # noqa: F401
    import multiprocessing.managers  # noqa: F401

    import monai.apps  # noqa: F401
    import nbclient  # noqa: F401
    import papermill  # noqa: F401


def known_calls(work, groups):
    "The calls of some groups, or all; a lesson is run only if a call needs what it leaves"
    import storm_calls
    import storm_newest  # noqa: F401  its calls join those of storm_calls
    import storm_signatures

    jobs = [*storm_calls.JOBS, *storm_signatures.all_calls()]
    jobs = [job for job in jobs if not groups or job.group in groups]
    if any(job.group == "tamper" for job in jobs):
        storm_calls.make_finished(work)
    if os.geteuid():
        print("not root: calls as another user are left out")
        jobs = [job for job in jobs if not job.nobody]
    return jobs


def write_counts(jobs, counts):
    "Keep the counts of the groups that were called, beside those of the others"
    from common import RESULTS, keep

    file = RESULTS / "storm.json"
    rows = json.loads(file.read_text())["rows"] if file.exists() else {}
    for group in dict.fromkeys(job.group for job in jobs):
        rows[group] = {kind: counts[group, kind] for kind in KINDS}
        rows[group]["longest s"] = round(max(j.seconds for j in jobs if j.group == group))
        rows[group]["most GB"] = round(max(j.gigabytes for j in jobs if j.group == group), 2)
    keep("storm", rows, unit="calls", note=summary(rows))


def summary(rows):
    "All calls in a sentence"
    n = {kind: sum(row[kind] for row in rows.values()) for kind in KINDS}
    bad = sum(n[kind] for kind in KINDS if kind not in GOOD)
    return f"{sum(n.values())} calls in all, {bad} not answered well."


def main(words):
    show, groups = "--all" in words, [w for w in words if not w.startswith("--")]
    warnings.simplefilter("ignore")
    begun = time.time()
    counts = Counter()
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp).resolve()
        os.chmod(work, 0o755)
        import_early()
        jobs = known_calls(work, groups)
        for job in run_all(jobs, work):
            counts[job.group, job.kind] += 1
            if show or job.kind not in GOOD:
                print(f"{job.kind:9} {job.group:10} {job.name:40} {job.text[:230]}", flush=True)
    write_counts(jobs, counts)
    bad = sum(n for (_, kind), n in counts.items() if kind not in GOOD)
    print(f"{len(jobs)} calls, {bad} not answered well, {time.time() - begun:.0f} s in all")
    return bool(bad)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main(sys.argv[1:]))
