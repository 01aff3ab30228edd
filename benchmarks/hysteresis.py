"""Multi-level hysteresis on maps of 1716x942: one map on one core, against the same steps with scipy and scikit-image; and a tuning of 200 settings on 50 maps.

usage: python benchmarks/hysteresis.py [maps settings]
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import sys
import tempfile
import time

import numpy as np
from common import keep, ratio, rounds
from scipy import ndimage
from skimage import measure, morphology

from seg_course.predict.hysteresis import hysteresis_map, stas_levels
from seg_course.predict.tune import draw_hysteresis, tune_post


def made_up(seed, shape=(942, 1716), cut=1.9):
    "(probabilities, truth) of targets from a few pixels to a tenth of the picture"
    rng = np.random.default_rng(seed)
    a, b, c = (
        ndimage.zoom(
            ndimage.gaussian_filter(rng.standard_normal([n // 6 for n in shape]), s), 6, order=1
        )
        for s in (2, 10, 4)
    )
    a, b, c = (
        np.pad(v, [(0, n - k) for n, k in zip(shape, v.shape)], "edge") / v.std() for v in (a, b, c)
    )
    z = 2 * b + c - 2 * cut
    return (1 / (1 + np.exp(-2.5 * (z + a)))).astype(
        np.float32
    ), z > 0  # as sharp as a trained network


def plain(prob, levels=stas_levels, close=9, min_px=150, next_px=1000, blank=1.0):
    "The same by scipy and scikit-image on the whole picture, true holes only"
    for drop, high, low, share in levels:
        lab, n = measure.label(prob >= drop, connectivity=2, return_num=True)
        i = np.arange(1, n + 1)
        if not n:
            m = np.zeros(prob.shape, bool)
            continue
        ok = (ndimage.maximum(prob, lab, i) > high) & (
            ndimage.mean(prob > 0.9 * high, lab, i) >= share
        )
        m = np.r_[False, ok][lab] & (prob > low)
        m = morphology.remove_small_objects(
            ndimage.binary_fill_holes(
                morphology.closing(m, morphology.footprint_rectangle((close, close)), mode="ignore")
            ),
            max_size=min_px - 1,
            connectivity=2,
        )
        if m.sum() >= next_px:
            break
    return m


def main(args):
    n_maps, n_set = (int(a) for a in args) if args else (50, 200)
    rows = {}
    p = made_up(0)[0]
    faint = p * np.float32(0.099 / p.max())
    never = dict(next_px=10**9, blank=1.0)  # every level has to work
    for name, q, kw in (
        ("a map, enough at the first level", p, {}),
        ("a map through all four levels", p, never),
        ("a faint map", faint, {}),
    ):
        assert (hysteresis_map(q, border="none", **kw) != plain(q, **kw)).mean() < 1e-6, name
        s = rounds(
            {
                "seg_course": lambda: hysteresis_map(q, **kw),
                "scipy and scikit-image": lambda: plain(q, **kw),
            },
            3,
        )
        rows[name] = {k: round(v, 4) for k, v in s.items()} | ratio(s, less=True)
    with tempfile.TemporaryDirectory() as tmp:
        for i in range(n_maps):
            q, t = made_up(i, cut=1.7 + 0.02 * i)
            np.save(f"{tmp}/{i}.npy", np.stack([1 - q, q])[:, None].astype(np.float16))
            np.save(f"{tmp}/{i}t.npy", t[None])

        def load(i):
            return np.load(f"{tmp}/{i}.npy"), np.load(f"{tmp}/{i}t.npy")

        t = time.time()
        tune_post(
            list(range(n_maps)),
            load,
            candidates=draw_hysteresis(n_set),
            folds=np.arange(n_maps) % 5,
            empty=1.0,
            n_jobs=2,
        )
        rows[f"tuning, {n_set} settings on {n_maps} maps, two cores"] = dict(
            seg_course=round(time.time() - t, 1)
        )
    keep("hysteresis", rows, unit="seconds")


if __name__ == "__main__":
    main(sys.argv[1:])
