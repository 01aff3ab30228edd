"""(f) How reading, preparation, sampling and prediction grow with the cohort (x1, x4, x16) and with cores. Peak memory of all processes together beside them.

usage: python benchmarks/growth.py        phantoms; each line runs in a program of its own, whose worker processes are started within the clock: that weighs on few cases
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import keep
from memory import peak_of

SIZES, CORES = (25, 100, 400), sorted({1, os.cpu_count()})


def work(root, n, cores, to):
    "All steps on n cases with so many cores; writes JSON"
    os.sched_setaffinity(0, range(cores))
    import torch

    torch.set_num_threads(cores)
    from seg_course.batch.augment import rand_affine, rand_flip, rand_intensity
    from seg_course.batch.oversample import sampling_plan
    from seg_course.batch.source import BatchSource
    from seg_course.files.cohort import read_cohort
    from seg_course.files.read import read_scan
    from seg_course.look.check import check_cohort
    from seg_course.nets.unet2d import seg_unet
    from seg_course.predict.infer import predict_scan
    from seg_course.prepare.intensity import normalise
    from seg_course.prepare.recipe import apply_recipe
    from seg_course.prepare.store import prepare

    out = {}

    def clock(name, count, f):
        t = time.perf_counter()
        r = f()
        out[name] = round(count / (time.perf_counter() - t), 1)
        return r

    df = read_cohort(root).iloc[:n]
    recipe = [normalise]
    clock("cases checked a second", n, lambda: check_cohort(df, n_jobs=cores))
    with tempfile.TemporaryDirectory() as tmp:
        idx = clock("cases prepared a second", n, lambda: prepare(df, recipe, tmp, n_jobs=cores))
        src = BatchSource(
            tmp,
            idx,
            (64, 64),
            64,
            plan=sampling_plan((64, 64), fg_share=0.5),
            tfms=[rand_flip, rand_affine, rand_intensity],
            n_batches=200,
        )
        clock("samples a second", 200 * 64, lambda: [0 for _ in src])
        net = seg_unet("resnet18", pretrained=False, n_out=3, size=(64, 64)).eval()
        clock(
            "cases predicted a second",
            min(n, 50),
            lambda: [
                predict_scan([net], apply_recipe(read_scan(f), recipe), (64, 64))
                for f in df.image[:50]
            ],
        )
    Path(to).write_text(json.dumps(out))


def main():
    from seg_course.draw.phantom import phantoms

    rows = {}
    with tempfile.TemporaryDirectory() as tmp:
        root = phantoms["Task04_Hippocampus"](Path(tmp) / "ph", n=max(SIZES))
        for n, c in [(n, max(CORES)) for n in SIZES] + [(SIZES[1], c) for c in CORES[:-1]]:
            to = Path(tmp) / "out.json"
            p = subprocess.Popen(
                [sys.executable, __file__, str(root), str(n), str(c), str(to)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            top, _ = peak_of(p)
            key = f"{n} cases, {c} core{'s' * (c > 1)}"
            rows[key] = json.loads(to.read_text()) | {"peak MB": round(top)}
            print(key, rows[key], flush=True)
    keep("growth", rows)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]) if len(
        sys.argv
    ) > 1 else main()
