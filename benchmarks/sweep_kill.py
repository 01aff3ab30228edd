"""(x) A sweep that is killed in the middle (kill -9) and continued ends with the table of one that nobody disturbed.

usage: python benchmarks/sweep_kill.py [--engine dask://HOST:PORT]       about five minutes on two cores

A notebook of three cells trains a small network for a few steps on a phantom of eight cases. The sweep over it has twelve points: four learning rates,
three seeds. `same table`: scores, intervals and words of both tables agree, digit by digit. `prepared`: cases in the folder that the points share.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from common import keep

SETTINGS = """data = ""
out = ""
lr = 1e-3
seed = 0"""
WORK = """import json
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from seg_course.files.cohort import read_cohort
from seg_course.prepare.intensity import normalise
from seg_course.prepare.store import load_case, prepare

run = Path(out)
(run / "params.json").write_text(json.dumps(dict(lr=lr, seed=seed)))
cohort = read_cohort(data)
cohort["group"] = [case.split("_")[0] for case in cohort.case]
prepare(cohort, [normalise], run / "store", n_jobs=1)
cohort.to_csv(run / "cohort.csv", index=False)"""
TRAIN = """torch.manual_seed(seed)
conv = torch.nn.Conv2d
net = torch.nn.Sequential(conv(1, 8, 3, padding=1), torch.nn.ReLU(), conv(8, 3, 1))
opt = torch.optim.Adam(net.parameters(), lr)
cases = {case: load_case(run / "store", case) for case in cohort.case}
cases = {
    case: (torch.tensor(x / 255).float(), torch.tensor(np.asarray(y)).long())
    for case, (x, y) in cases.items()
}
for step in range(60):
    x, y = cases[cohort.case[step % len(cohort)]]
    opt.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
    opt.step()
rows = []
for case, (x, y) in cases.items():
    both = torch.softmax(net(x), 1)[:, 1:].sum(1)
    soft = 2 * (both * (y > 0)).sum() / (both.sum() + (y > 0).sum())
    rows.append(dict(case=case, dice_1=soft.item()))
pd.DataFrame(rows).to_csv(run / "scores.csv", index=False)"""


def notebook(folder):
    "A lesson of three cells"
    cells = [nbformat.v4.new_code_cell(code) for code in (SETTINGS, WORK, TRAIN)]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "tiny.ipynb")


def begin(folder, name, words):
    "Start the sweep in a process of its own"
    command = [sys.executable, "-m", "seg_course", "sweep", "tiny.ipynb"]
    command += ["-p", "lr=1e-4,1e-3,1e-2,1e-1", "--seeds", "3", "--data", "phantom", "--out", name]
    log = open(folder / f"{name}.log", "a")
    return subprocess.Popen([*command, "--json", *words], cwd=folder, stdout=log, stderr=log)


def done(folder, name):
    return len(list((folder / name).glob("*/point.json")))


def table(folder, name):
    "What the sweep printed at its end"
    text = (folder / f"{name}.log").read_text()
    return json.loads(text[text.rindex("\n[\n") :])


def main(words):
    from seg_course.draw.phantom import make_phantom

    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        notebook(folder)
        make_phantom("Task04_Hippocampus", folder / "phantom", n=8, n_test=0)
        begun = time.perf_counter()
        begin(folder, "undisturbed", words).wait()
        minutes = (time.perf_counter() - begun) / 60
        killed = begin(folder, "killed", words)
        while done(folder, "killed") < 5 and killed.poll() is None:
            time.sleep(0.2)
        time.sleep(2)  # into the sixth point
        assert killed.poll() is None, (folder / "killed.log").read_text()[-2000:]
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        before = done(folder, "killed")
        begin(folder, "killed", words).wait()
        tables = [table(folder, name) for name in ("undisturbed", "killed")]
        rows = {
            "undisturbed": dict(points=done(folder, "undisturbed"), minutes=round(minutes, 2)),
            "killed": dict(points=done(folder, "killed"), **{"done at the kill": before}),
            "same table": float(tables[0] == tables[1]),
            "prepared": float(len(list((folder / "killed/shared").iterdir()))),
        }
        keep("sweep_kill", rows, unit="points", table=tables[1])


if __name__ == "__main__":
    main(sys.argv[1:])
