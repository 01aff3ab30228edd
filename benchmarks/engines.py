"""(w) A long preparation on two warm Dask workers against joblib's own processes (loky): cases a minute.

usage: python benchmarks/engines.py [CASES]      `pip install -e ".[cluster]"`; about six minutes

Each case is a CT phantom of 160x320x320 voxels of 2x1.2x1.2 mm, which a recipe brings to 1.5 mm in cubic interpolation and windows. Both engines have
two processes of one thread, and are warm: each prepares eight cases before the clock starts. Twelve volumes
stand under many names. The engines take turns (loky, Dask, Dask, loky), so that a machine that slows
down is unfair to neither. The workers have no nanny: it sets `MALLOC_TRIM_THRESHOLD_`, which makes the allocator give
memory back after each large array, and costs a sixth of the speed (44.3 s by loky, 53.4 s by Dask, for 160 cases). `same`: the stores agree byte for byte.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from common import keep
from joblib import parallel_config

from seg_course.files.behaviour import engine
from seg_course.prepare.intensity import window
from seg_course.prepare.recipe import resample
from seg_course.prepare.store import prepare

TURNS = ("loky", "dask", "dask", "loky")
SHAPE, OLD, NEW = (160, 320, 320), (2, 1.2, 1.2), (1.5, 1.5, 1.5)


def draw(folder, n):
    "CT-like volumes with a ball in each, as NIfTI files"
    from scipy.ndimage import zoom

    rows = []
    grid = np.indices(SHAPE)
    ball = sum(((g - s / 2) / (0.2 * s)) ** 2 for g, s in zip(grid, SHAPE)) < 1
    affine = np.diag([*OLD[::-1], 1.0])
    for i in range(min(n, 12)):
        coarse = np.random.default_rng(i).normal(-200, 400, (16, 32, 32)).astype(np.float32)
        hu = zoom(coarse, np.array(SHAPE) / coarse.shape, order=1).astype(np.int16)
        row = dict(case=f"c{i:03}", image=folder / f"c{i:03}.nii", label=folder / f"c{i:03}_l.nii")
        nib.save(nib.Nifti1Image(hu.T, affine), row["image"])
        nib.save(nib.Nifti1Image(ball.T.astype(np.uint8), affine), row["label"])
        rows.append({name: str(value) for name, value in row.items()})
    return pd.DataFrame([rows[i % 12] | dict(case=f"c{i:03}") for i in range(n)])


def cluster():
    "A scheduler and two workers of one thread, as processes, and the address"
    address = "127.0.0.1:8797"
    commands = [
        ["scheduler", "--host", "127.0.0.1", "--port", "8797", "--no-show"],
        *[["worker", address, "--nthreads", "1", "--no-nanny"]] * 2,
    ]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes = []
    for kind, *words in commands:
        python = [sys.executable, "-m", f"distributed.cli.dask_{kind}"]
        processes.append(subprocess.Popen([*python, *words, "--no-dashboard"], **quiet))
        time.sleep(5)
    return processes, f"dask://{address}"


def digest(store):
    "One number for all arrays of a store"
    files = sorted(store.glob("*.npy"))
    return hashlib.sha1(b"".join(hashlib.sha1(f.read_bytes()).digest() for f in files)).hexdigest()


def main(n=230):
    os.environ["OMP_NUM_THREADS"] = "1"
    recipe = [partial(resample, spacing=NEW, order=3), partial(window, level=-300, width=1400)]
    seconds, digests = dict(loky=[], dask=[]), set()
    processes, address = cluster()
    try:
        with tempfile.TemporaryDirectory() as tmp:
            df = draw(Path(tmp), n)
            engines = dict(
                loky=partial(parallel_config, "loky", n_jobs=2), dask=partial(engine, address)
            )
            for turn, name in enumerate(TURNS):
                with engines[name]():
                    for cases, store in ((df.head(8), "warm"), (df, "store")):
                        folder = Path(tmp) / f"{store}{turn}"
                        begun = time.perf_counter()
                        prepare(cases, recipe, folder, n_jobs=None)
                        took = time.perf_counter() - begun
                seconds[name].append(took)
                digests.add(digest(folder))
                print(name, round(took, 1), flush=True)
                shutil.rmtree(folder)
    finally:
        for process in processes:
            process.terminate()
    rows = {
        "preparation": {f"{name}, s": round(sum(s) / len(s), 1) for name, s in seconds.items()}
        | dict(ratio=round(sum(seconds["loky"]) / sum(seconds["dask"]), 2)),
        "same": float(len(digests) == 1),
    }
    keep("engines", rows, unit="seconds; ratio: loky's over Dask's", cases=n, load=os.getloadavg())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
