"""One training on pictures of the competition's full size: 960x1728 pixels a sample, time and memory.

usage: python benchmarks/full_size.py [STEPS]      about fifteen minutes on one core

Eight drawings of STAS in the competition's own resolution (942x1716 pixels, 1 µm) train for STEPS steps of two whole
pictures, padded to 960x1728, and four more validate. The network is `DynamicUnet` on tf_efficientnet_lite0 from ImageNet weights where the machine has
them. `Dice` is the mean over the four pictures; `foreground` is the share of their pixels in the mask.
"""

import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from common import keep

from seg_course.all import (
    fit_fold,
    fold_sources,
    imagenet_weights,
    make_phantom,
    prepare,
    rand_colour,
    rand_flip,
    read_cohort,
    seg_learner,
    sound_cohort,
    window,
)

SIZE = (960, 1728)
ENCODER = "tf_efficientnet_lite0"


def cohort_of(folder):
    "Twelve drawings in full resolution, those of fold 0 validate"
    make_phantom("STAS", folder, n=13, um=1.0)
    cohort = sound_cohort(read_cohort(folder), drop=True)  # one drawing has a planted fault
    return cohort.assign(fold=[0] * 4 + [1] * (len(cohort) - 4))


def main(steps=60):
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        cohort = cohort_of(folder / "STAS")
        idx = prepare(cohort, [partial(window, level=127.5, width=255)], folder / "store")
        flips = [partial(rand_flip, axis=axis) for axis in (-1, -2)]
        dls = fold_sources(
            folder / "store",
            idx,
            cohort,
            0,
            SIZE,
            bs=2,
            val_bs=1,
            context=0,
            pad="reflect",
            val_share=None,
            tfms=[*flips, rand_colour],
            n_batches=steps // 4,
        )
        weights = imagenet_weights(ENCODER, folder / "imagenet.safetensors")
        learn = seg_learner(dls, ENCODER, 2, weights, empty=1.0)
        begun, worked = time.perf_counter(), time.process_time()
        history = fit_fold(learn, folder / "fold0", 4, 1e-3, encoder_lr=1.0, freeze_epochs=0)
        seconds = time.perf_counter() - begun
        worked = time.process_time() - worked
    row = {
        "steps": steps // 4 * 4,
        "seconds": round(seconds),
        "processor s": round(worked),
        "processor s a step, with validation": round(worked / (steps // 4 * 4), 1),
        "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "Dice": round(float(history.dice.iloc[-1]), 3),
        "foreground": round(float((idx.n_1 / (idx.ny * idx.nx)).mean()), 4),
    }
    keep("full_size", {f"{SIZE[0]}x{SIZE[1]}, batches of 2": row}, unit="one training")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
