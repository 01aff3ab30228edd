"""Chest CTs of full size: seconds to prepare one of 512x512x134 voxels on one core, and 63 of them in parallel with the peak memory of all processes together.

usage: python benchmarks/chest.py        one drawn chest, enlarged to full size, as NIfTI (as compressed as real ones) and as DICOM; 63 links to it are a cohort
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from common import keep
from memory import peak_of


def recipe_of(lesson):
    "The steps of preparation of a lesson"
    from seg_course.prepare.crop import crop_lungs
    from seg_course.prepare.intensity import window
    from seg_course.prepare.recipe import orient, resample, resize

    size, level = partial(resize, shape=[0, 256, 256]), -600
    if lesson == "vipcup":
        size, level = partial(resample, spacing=[3, 1.5, 1.5]), -400
    return [orient, crop_lungs, size, partial(window, level=level, width=1500)]


def draw(root, n=63):
    import nibabel as nib
    import numpy as np

    from seg_course.draw.anatomy import thorax
    from seg_course.draw.dicom import write_dicom
    from seg_course.files.scan import Scan

    rng = np.random.default_rng(0)
    hu, o = thorax(rng, (134, 128, 128), (3, 3, 3), tumours=[(40, False)])
    A = np.diag([-0.75, -0.75, 3, 1])
    big = np.clip(
        hu.repeat(4, 1).repeat(4, 2) + rng.normal(0, 15, (134, 512, 512)), -1024, 3071
    ).astype(np.int16)
    lab = o["tumour"].repeat(4, 1).repeat(4, 2).astype(np.uint8)
    for k, a in dict(imagesTr=big, labelsTr=lab).items():
        (root / "one" / k).mkdir(parents=True)
        nib.save(nib.Nifti1Image(a.T, A), root / f"one/{k}/c000.nii.gz")
    write_dicom(Scan(big[None], A), root / "dicom/CT", "c000")
    for k in ("imagesTr", "labelsTr"):
        (root / "many" / k).mkdir(parents=True)
        for i in range(n):
            os.symlink(root / f"one/{k}/c000.nii.gz", root / f"many/{k}/c{i:03}.nii.gz")


def work(root, recipe, cores, to):
    os.sched_setaffinity(0, range(cores))
    import torch

    torch.set_num_threads(cores)
    from seg_course.files.cohort import read_cohort
    from seg_course.prepare.store import prepare

    df = read_cohort(root)
    with tempfile.TemporaryDirectory() as tmp:
        t = time.perf_counter()
        prepare(df, recipe_of(recipe), tmp, n_jobs=cores)
        s = time.perf_counter() - t
    Path(to).write_text(
        json.dumps(
            {"cases": len(df), "seconds": round(s, 1), "seconds a case": round(s / len(df), 2)}
        )
    )


def main():
    rows = {}
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        draw(tmp)
        for key, root, recipe, cores in (
            ("one case, one core, lung", "one", "lung", 1),
            ("one case, one core, vipcup", "one", "vipcup", 1),
            (f"63 cases, {os.cpu_count()} cores, lung", "many", "lung", os.cpu_count()),
        ):
            to = tmp / "out.json"
            top, _ = peak_of(
                subprocess.Popen(
                    [sys.executable, __file__, str(tmp / root), recipe, str(cores), str(to)],
                    stdout=subprocess.DEVNULL,
                )
            )
            rows[key] = json.loads(to.read_text()) | {"peak MB": round(top)}
            print(key, rows[key], flush=True)
    keep("chest", rows)


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]) if len(sys.argv) > 1 else main()
