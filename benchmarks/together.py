"""(z) One training in two processes (torchrun, gloo) against the same training in one: losses, batches, share of foreground, seconds.

usage: python benchmarks/together.py       needs `pip install accelerate`; about two minutes on two cores

Eight phantoms of the hippocampus, boxes of 8x12x12, a small 3D U-Net, three epochs of 12 batches of 8. `loss` is the largest difference of the
validation loss between one process and two; `disjoint`: no row of a plan is drawn by both; `share`: boxes with foreground, both processes together.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import keep


def train(folder):
    "One process of a training: losses, rows of the batches, seconds, as JSON"
    import torch
    from fastai.data.core import DataLoaders

    from seg_course.all import BatchSource, sampling_plan, seg_learner
    from seg_course.train.together import together

    torch.set_num_threads(1)
    idx = pd.read_csv(Path(folder) / "store/index.csv", dtype=dict(case=str))
    cases = sorted(set(idx.case))
    size = (8, 12, 12)
    rows = []

    class Noted(BatchSource):
        def gathered(self):
            for where, x, y in super().gathered():
                shown = (y > 0).flatten(1).any(1).tolist()
                rows.append([self.epoch, where.tolist(), shown])
                yield where, x, y

    plan = sampling_plan(size, fg_share=0.75)
    own = dict(bs=8, plan=plan, n_batches=12, seed=1)
    source = Noted(Path(folder) / "store", idx[idx.case.isin(cases[:6])], size, **own)
    valid = BatchSource(Path(folder) / "store", idx[idx.case.isin(cases[6:])], size, bs=8)
    net = dict(n_out=3, pretrained=False, empty=1.0, decoder="unet3d", widths=(8, 16))
    learn = seg_learner(DataLoaders(source, valid), **net, seed=0)
    rows.clear()  # of the first looks
    begun = time.perf_counter()
    with together(learn), learn.no_bar(), learn.no_logging():
        learn.fit(3, 1e-3)
    out = dict(
        losses=[float(row[1]) for row in learn.recorder.values],
        dice=[float(row[2]) for row in learn.recorder.values],
        rows=rows,
        seconds=time.perf_counter() - begun,
        weights=float(sum(p.detach().double().abs().sum() for p in learn.model.parameters())),
    )
    name = f"{os.environ.get('WORLD_SIZE', 1)}_{os.environ.get('RANK', 0)}.json"
    (Path(folder) / name).write_text(json.dumps(out))


def start(folder, processes):
    "Run this file in one process, or in several"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes > 1 else []), __file__, str(folder)]
    subprocess.run(command, check=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    return [json.loads((folder / f"{processes}_{r}.json").read_text()) for r in range(processes)]


def main():
    from seg_course.all import make_phantom, normalise, prepare, read_cohort

    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        cohort = read_cohort(make_phantom("Task04_Hippocampus", folder / "ph", n=8, n_test=0))
        prepare(cohort, [normalise], folder / "store", n_jobs=1)
        (one,) = start(folder, 1)
        two = start(folder, 2)
    pairs = [(a, b) for a, b in zip(*(t["rows"] for t in two))]
    parts = [[a[1][i // 2] if i % 2 == 0 else b[1][i // 2] for i in range(8)] for a, b in pairs]
    share = np.mean([s for t in two for _, _, shown in t["rows"] for s in shown])
    single = np.mean([s for _, _, shown in one["rows"] for s in shown])
    rows = {
        "one process": dict(seconds=round(one["seconds"], 1), share=round(float(single), 4)),
        "two processes": dict(
            seconds=round(max(t["seconds"] for t in two), 1), share=round(float(share), 4)
        ),
        "loss": float(np.abs(np.array(one["losses"]) - np.array(two[0]["losses"])).max()),
        "dice": float(np.abs(np.array(one["dice"]) - np.array(two[0]["dice"])).max()),
        "disjoint, and together the one plan": float(parts == [row[1] for row in one["rows"]]),
        "weights of both alike": float(two[0]["weights"] == two[1]["weights"]),
    }
    keep("together", rows, unit="largest difference, or 1 for yes", losses=one["losses"])
    if rows["loss"] > 5e-3 or parts != [row[1] for row in one["rows"]] or share != single:
        sys.exit("two processes did not train as one does")
    if two[0]["weights"] != two[1]["weights"]:
        sys.exit("the processes ended with different weights")


if __name__ == "__main__":
    train(sys.argv[1]) if sys.argv[1:] else main()
