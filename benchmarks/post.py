"""(e) Post-processing of a mask: connected components, holes and distances by every library at hand, and our three rules against MONAI's.

usage: python benchmarks/post.py       the rivals: pip install -e ".[bench]"

The mask: two lungs with holes and specks in 134x512x512 voxels. All results are compared before the clock starts.
A library that a rule of ours calls stands there `alone` too, and is no rival.
"""

import os

import numpy as np
import torch
from common import keep, missing, ratio, rounds
from scipy import ndimage

from seg_course.draw.anatomy import thorax
from seg_course.predict.post import fill_holes, keep_largest, remove_small


def mask():
    "Lungs of a phantom, with 2 % of holes and 300 specks"
    rng = np.random.default_rng(0)
    _, o = thorax(rng, (134, 512, 512), (2, 0.75, 0.75))
    m = (o["lung_left"] | o["lung_right"]).astype(np.uint8)
    m[rng.random(m.shape) < 0.02] = 0
    for z, y, x in rng.integers(5, 120, (300, 3)):
        m[z, y : y + 3, x : x + 3] = 1
    return m


def largest_scipy(m):
    lab, n = ndimage.label(m, np.ones((3, 3, 3)))
    return lab == np.bincount(lab.ravel())[1:].argmax() + 1


def largest_skimage(m):
    from skimage.measure import label

    lab = label(m, connectivity=3)
    return lab == np.bincount(lab.ravel())[1:].argmax() + 1


def largest_cc3d(m):
    import cc3d

    return cc3d.largest_k(m, k=1, connectivity=26) > 0


def largest_monai(m):
    from monai.transforms import KeepLargestConnectedComponent

    return KeepLargestConnectedComponent(connectivity=3)(torch.from_numpy(m)[None])[0].numpy() > 0


def fill_scipy(m):
    return ndimage.binary_fill_holes(m)


def fill_fill_voids(m):
    import fill_voids

    return fill_voids.fill(m) > 0


def fill_monai(m):
    from monai.transforms import FillHoles

    return FillHoles(connectivity=1)(torch.from_numpy(m)[None])[0].numpy() > 0


def distance_scipy(m):
    return ndimage.distance_transform_edt(m, sampling=(2, 0.75, 0.75))


def distance_edt(m):
    import edt

    return edt.edt(m, anisotropy=(2, 0.75, 0.75), parallel=os.cpu_count())


def distance_monai(m):
    from monai.transforms import DistanceTransformEDT

    return DistanceTransformEDT(sampling=(2, 0.75, 0.75))(torch.from_numpy(m)[None])[0].numpy()


def dust_skimage(m):
    from skimage.measure import label
    from skimage.morphology import remove_small_objects

    return remove_small_objects(label(m, connectivity=3), max_size=49) > 0


def dust_monai(m):
    from monai.transforms import RemoveSmallObjects

    return RemoveSmallObjects(min_size=50, connectivity=3)(torch.from_numpy(m)[None])[0].numpy() > 0


TASKS = {
    "largest component": dict(
        seg_course=keep_largest,
        **{"cc3d alone": largest_cc3d},
        scipy=largest_scipy,
        skimage=largest_skimage,
        MONAI=largest_monai,
    ),
    "components under 50 voxels": dict(
        seg_course=lambda m: remove_small(m, 50), skimage=dust_skimage, MONAI=dust_monai
    ),
    "holes": dict(
        seg_course=fill_holes,
        **{"fill-voids alone": fill_fill_voids},
        scipy=fill_scipy,
        MONAI=fill_monai,
    ),
    "distance to the border": dict(edt=distance_edt, scipy=distance_scipy, MONAI=distance_monai),
}


def main():
    m, rows = mask(), {}
    for task, rivals in TASKS.items():
        got = {}
        for k, f in list(rivals.items()):
            try:
                got[k] = np.asarray(f(m), np.float32)
            except ImportError:
                missing(k)
                del rivals[k]
        ref = next(iter(got.values()))
        for k, v in got.items():
            assert np.abs(v - ref).max() < 1e-2, f"{task}: {k} gives another result"
        s = rounds({k: lambda f=f: f(m) for k, f in rivals.items()}, 2)
        rows[task] = {k: round(v, 3) for k, v in s.items()} | (
            ratio(s, less=True, rivals=[k for k in s if k != "seg_course" and "alone" not in k])
            if "seg_course" in s
            else {}
        )
        print(task, rows[task], flush=True)
    keep("post", rows, unit="seconds a mask")


if __name__ == "__main__":
    main()
