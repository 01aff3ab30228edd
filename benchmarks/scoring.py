"""(e) Scores of a case on 512x512x134 voxels: Dice, HD95, mean surface distance and NSD, ours against MONAI's own functions and DeepMind's package.

usage: python benchmarks/scoring.py       the rivals: pip install -e ".[bench]"

The masks: a tumour of 150 ml, a whole label map with two organs of 3 litres (lungs), and a tumour that is predicted in the
other lung; the other predictions are shifted by two voxels in the plane. All results are compared before the clock starts.
DeepMind's surfaces are surface elements, so it stands against our `surface='surfel'`.
"""

import warnings

import numpy as np
import torch
from common import keep, missing, ratio, rounds

from seg_course.score.challenge import find_lesions, slice_rule, vip_scores
from seg_course.score.metric import case_scores

SHAPE, SPACING = (134, 512, 512), (3.0, 0.75, 0.75)


def ball(c, ml, ax=(1, 1, 1)):
    "Ellipsoid of `ml` around the voxel `c`; the order of the axes is (z,y,x)"
    r = np.cbrt(3000 * ml / (4 * np.pi * np.prod(ax)))
    return (
        sum(
            (
                ((v - m) * s / a) ** 2
                for v, m, s, a in zip(np.ogrid[tuple(map(slice, SHAPE))], c, SPACING, ax)
            )
        )
        < r * r
    )


def masks():
    "name -> (prediction, truth, labels)"
    tumour, lung = (
        ball((67, 256, 140), 150).astype(np.uint8),
        [ball((67, 256, x), 3000, (1.4, 1, 0.8)).astype(np.uint8) for x in (140, 380)],
    )
    organs = lung[0] + 2 * lung[1]

    def shift(m):
        return np.roll(m, (2, 2), (1, 2))

    return {
        "tumour of 150 ml": (shift(tumour), tumour, [1]),
        "two organs of 3 litres": (shift(organs), organs, [1, 2]),
        "tumour in the wrong lung": (np.roll(tumour, 240, 2), tumour, [1]),
    }


def monai_scores(p, t, labels):
    "The four scores by MONAI's own functions, on the whole volume"
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    P, T = (torch.stack([torch.from_numpy(a == c) for c in labels])[None] for a in (p, t))
    kw = dict(include_background=True, spacing=SPACING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = (
            compute_dice(P, T, include_background=True),
            compute_hausdorff_distance(P, T, percentile=95, **kw),
            compute_average_surface_distance(P, T, symmetric=True, **kw),
            compute_surface_dice(P, T, [1.0] * len(labels), **kw),
        )
    return np.array([g[0].tolist() for g in got]).T


def deepmind_scores(p, t, labels):
    "The four scores by DeepMind's package"
    import surface_distance as sd

    out = []
    for c in labels:
        d = sd.compute_surface_distances(t == c, p == c, SPACING)
        w = d["surfel_areas_gt"], d["surfel_areas_pred"]
        msd = (
            (d["distances_gt_to_pred"] * w[0]).sum() + (d["distances_pred_to_gt"] * w[1]).sum()
        ) / (w[0].sum() + w[1].sum())
        out.append(
            [
                sd.compute_dice_coefficient(t == c, p == c),
                sd.compute_robust_hausdorff(d, 95),
                msd,
                sd.compute_surface_dice_at_tolerance(d, 1),
            ]
        )
    return np.array(out)


def ours(p, t, labels, **kw):
    s = case_scores(p, t, SPACING, labels, empty=1.0, **kw)
    return np.array([[s[f"{k}_{c}"] for k in ("dice", "hd95_mm", "msd_mm", "nsd")] for c in labels])


def main():
    rows = {}
    for name, (p, t, labels) in masks().items():
        for kind, kw, rivals in (
            ("voxels", {}, {"MONAI": monai_scores}),
            ("surface elements", dict(surface="surfel"), {"DeepMind": deepmind_scores}),
        ):
            fs = dict(seg_course=lambda: ours(p, t, labels, **kw))
            ref = fs["seg_course"]()
            for k, f in rivals.items():
                try:
                    got = f(p, t, labels)
                except ImportError:
                    missing(k)
                    continue
                assert np.abs(got - ref).max() < 1e-3, (
                    f"{name}: {k} gives another result {got} than {ref}"
                )
                fs[k] = lambda f=f: f(p, t, labels)
            s = rounds(fs, 2, warm=False)
            rows[f"{name}, {kind}"] = {k: round(v, 3) for k, v in s.items()} | ratio(s, less=True)
            print(name, kind, rows[f"{name}, {kind}"], flush=True)
        m = p == 1, t == 1
        s = rounds(
            {
                "VIP Cup": lambda: vip_scores(*m, SPACING),
                "runner-up's script": lambda: slice_rule(*m),
                "lesions": lambda: find_lesions(*m, SPACING),
            },
            2,
        )
        rows[f"{name}, conventions (first label)"] = {k: round(v, 3) for k, v in s.items()}
        print(name, rows[f"{name}, conventions (first label)"], flush=True)
    keep("scoring", rows, unit="seconds a case")


if __name__ == "__main__":
    main()
