"""(c) Volumes a second, resampled to another spacing and windowed, against MONAI and TorchIO.

usage: python benchmarks/preparation.py       the rivals: pip install -e ".[bench]"

18 CT phantoms of 97x246x190 voxels of 2x1.2x1.2 mm go to 3x1.5x1.5 mm, in two processes of one thread each. `memory`: the image alone, from array to array,
linear or cubic; each rival gets it in his own order of axes, contiguous. `files`: image and label, from NIfTI files to a uint8 array of the window -1000..400 and its label on disk, everybody writing plain .npy.
The grids differ a little: outer borders coincide for ours and TorchIO's (which rounds the number of voxels down), the first centres for MONAI's.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from common import keep, missing, ratio, rounds
from joblib import Parallel, delayed

SHAPE, OLD, NEW, N = (97, 246, 190), (2, 1.2, 1.2), (3, 1.5, 1.5), 18


def scan(seed):
    "A smooth CT-like volume int16, a ball in it, and the affine"
    from scipy.ndimage import zoom

    rng = np.random.default_rng(seed)
    hu = zoom(
        rng.normal(-200, 400, (12, 30, 24)).astype(np.float32),
        np.array(SHAPE) / (12, 30, 24),
        order=1,
    )
    lab = (
        sum(((g - s / 2) / (0.2 * s)) ** 2 for g, s in zip(np.indices(SHAPE), SHAPE)) < 1
    ).astype(np.uint8)
    return hu.astype(np.int16), lab, np.diag([*OLD[::-1], 1.0])


def ours_memory(a, aff, order):
    from seg_course.files.scan import Scan
    from seg_course.prepare.recipe import resample

    return resample(Scan(a[None].astype(np.float32), aff), NEW, order).data


def ours_file(i, folder, order):
    from seg_course.prepare.intensity import window
    from seg_course.prepare.recipe import resample
    from seg_course.prepare.store import prepare

    # a folder a case: two processes would write one index
    out = folder / f"ours{i}"
    shutil.rmtree(out, ignore_errors=True)
    image, label = str(folder / f"{i}_img.nii"), str(folder / f"{i}_lab.nii")
    case = pd.DataFrame([dict(case=str(i), image=image, label=label)])
    recipe = [partial(resample, spacing=NEW, order=order), partial(window, level=-300, width=1400)]
    prepare(case, recipe, out, n_jobs=1)


def monai_memory(a, aff, order):
    from monai.data import MetaTensor
    from monai.transforms import Spacing

    return Spacing(NEW[::-1], mode=order if order == 3 else "bilinear")(
        MetaTensor(torch.from_numpy(a[None].astype(np.float32)), affine=torch.from_numpy(aff))
    ).numpy()


def monai_file(i, folder, order):
    from monai import transforms as T

    k = ["image", "label"]
    d = T.Compose(
        [
            T.LoadImaged(k, ensure_channel_first=True),
            T.Spacingd(k, NEW[::-1], mode=(order if order == 3 else "bilinear", "nearest")),
            T.ScaleIntensityRanged("image", -1000, 400, 0, 255, clip=True),
        ]
    )(dict(image=folder / f"{i}_img.nii", label=folder / f"{i}_lab.nii"))
    for n in k:
        np.save(folder / f"m{i}_{n}.npy", d[n].numpy().astype(np.uint8))


def torchio_memory(a, aff, order):
    import torchio as tio

    return tio.Resample(NEW[::-1], image_interpolation="bspline" if order == 3 else "linear")(
        tio.ScalarImage(tensor=torch.from_numpy(a[None].astype(np.float32)), affine=aff)
    ).numpy()


def torchio_file(i, folder, order):
    import torchio as tio

    s = tio.Compose(
        [
            tio.Resample(NEW[::-1], image_interpolation="bspline" if order == 3 else "linear"),
            tio.RescaleIntensity((0, 255), in_min_max=(-1000, 400)),
        ]
    )(
        tio.Subject(
            image=tio.ScalarImage(folder / f"{i}_img.nii"),
            label=tio.LabelMap(folder / f"{i}_lab.nii"),
        )
    )
    for n in ("image", "label"):
        np.save(folder / f"t{i}_{n}.npy", s[n].numpy().astype(np.uint8))


RIVALS = dict(
    seg_course=("seg_course", ours_memory, ours_file),
    MONAI=("monai", monai_memory, monai_file),
    TorchIO=("torchio", torchio_memory, torchio_file),
)
RAM = []


def start():  # in each process: one thread, and the volumes are there before the clock starts
    torch.set_num_threads(1)
    try:
        import SimpleITK as sitk

        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    except ImportError:
        pass
    if not RAM:
        a, _, aff = scan(0)
        RAM.append(dict(zyx=a, xyz=np.ascontiguousarray(a.T), aff=aff))


def from_memory(name, order):
    start()
    RIVALS[name][1](RAM[0]["zyx" if name == "seg_course" else "xyz"], RAM[0]["aff"], order)


def from_file(name, i, folder, order):
    start()
    RIVALS[name][2](i, folder, order)


def main():
    # by name: what the workers keep in memory stays there from call to call
    from preparation import from_file, from_memory

    rows = {}
    names = []
    for k, (pkg, *_) in RIVALS.items():
        try:
            __import__(pkg)
            names.append(k)
        except ImportError:
            missing(pkg)
    with tempfile.TemporaryDirectory() as tmp, Parallel(n_jobs=2) as par:
        d = Path(tmp)
        for i in range(N):
            a, lab, aff = scan(i)
            nib.save(nib.Nifti1Image(a.T, aff), d / f"{i}_img.nii")
            nib.save(nib.Nifti1Image(lab.T, aff), d / f"{i}_lab.nii")
        for order, what in ((1, "linear"), (3, "cubic")):
            for src, job in (
                ("memory", lambda k: par(delayed(from_memory)(k, order) for _ in range(N))),
                ("files", lambda k: par(delayed(from_file)(k, i, d, order) for i in range(N))),
            ):
                s = {k: N / v for k, v in rounds({k: lambda k=k: job(k) for k in names}, 2).items()}
                rows[f"{src}, {what}"] = {k: round(v, 2) for k, v in s.items()} | ratio(s)
                print(f"{src}, {what}", rows[f"{src}, {what}"], flush=True)
    keep("preparation", rows, unit="volumes a second")


if __name__ == "__main__":
    main()
