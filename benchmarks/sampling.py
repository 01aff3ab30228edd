"""(a) Oversampled, augmented samples a second, against the loaders of MONAI, TorchIO, fastai and nnU-Net.

usage: python benchmarks/sampling.py [2d64 2d256 3d96] [--device cuda]       the rivals: pip install -e ".[bench]"

Everybody gets the same volumes (noise with one ball of foreground each) in the format that suits him, prepared before the
clock starts, and makes batches of: a patch, aimed at foreground in half of the cases (2D: half of the slices hold foreground),
mirrored or not, turned by up to 15 degrees in the plane, scaled by .85 to 1.15, gamma and brightness changed, the mask moved along.
TorchIO has no brightness, so it does less. Each rival runs with 0, with 2 and with as many worker
processes as there are cores (16 at most); the best of them counts.
"""

import contextlib
import itertools
import os
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from common import device_of, keep, missing, ratio

from seg_course.batch.augment import rand_affine, rand_flip, rand_intensity
from seg_course.batch.oversample import sampling_plan
from seg_course.batch.source import BatchSource
from seg_course.prepare.store import fg_points

TASKS = {
    "2d64": dict(n=24, shape=(24, 96, 96), size=(64, 64), bs=64),
    "2d256": dict(n=8, shape=(20, 320, 320), size=(256, 256), bs=16),
    "3d96": dict(n=6, shape=(128, 140, 140), size=(96, 96, 96), bs=2),
}
WORKERS = sorted({0, 2, min(16, os.cpu_count())})


def volumes(n, shape, **_):
    "Noise with a ball of foreground in the middle slices: image float32 in 0..1, label uint8"
    rng = np.random.default_rng(0)
    grid = np.indices(shape)
    for _ in range(n):
        c = np.array(shape) * rng.uniform(0.35, 0.65, 3)
        lab = (sum(((g - k) / (0.18 * s)) ** 2 for g, k, s in zip(grid, c, shape)) < 1).astype(
            np.uint8
        )
        yield (rng.random(shape, np.float32) * 0.5 + lab * 0.4).clip(0, 1).astype(np.float32), lab


def ours(vols, size, bs, folder, device="cpu", memory="auto"):
    idx = []
    for i, (v, lab) in enumerate(vols):
        for k, a in dict(
            img=(v[:, None] * 255).astype(np.uint8), lab=lab, pts=fg_points(lab)
        ).items():
            np.save(folder / f"{i}.{k}.npy", a)
        idx += [dict(case=str(i), z=z, n_1=int(s.sum())) for z, s in enumerate(lab)]
    tfms = [
        partial(rand_flip, axis=-1),
        partial(rand_affine, degrees=15, scale=0.15, shift=0),
        rand_intensity,
    ]
    src = BatchSource(
        folder,
        pd.DataFrame(idx),
        size,
        bs,
        plan=sampling_plan(size, fg_share=0.5),
        context=0,
        tfms=tfms,
        n_batches=50,
        device=device,
        memory=memory,
    )
    return lambda workers: (len(y) for _ in itertools.count() for _, y in src)


def monai(vols, size, bs, folder, track=False):
    from monai import transforms as T
    from monai.data import CacheDataset, DataLoader, list_data_collate, set_track_meta

    set_track_meta(track)
    flat, keys = len(size) == 2, ["image", "label"]
    items = [
        dict(image=i[None], label=m[None])
        for v, lab in vols
        for i, m in (zip(v, lab) if flat else [(v, lab)])
    ]
    turn = np.pi / 12 if flat else (np.pi / 12, 0, 0)
    tf = T.Compose(
        [
            T.EnsureTyped(keys),
            T.RandCropByPosNegLabeld(
                keys, "label", size, pos=1, neg=1, num_samples=4 if flat else 2, allow_smaller=True
            ),
            T.RandFlipd(keys, prob=0.5, spatial_axis=-1),
            T.RandAffined(
                keys,
                prob=1,
                rotate_range=turn,
                scale_range=0.15,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            T.RandAdjustContrastd("image", prob=1, gamma=(0.74, 1.35)),
            T.RandScaleIntensityd("image", prob=1, factors=0.2),
            T.RandShiftIntensityd("image", prob=1, offsets=0.1),
        ]
    )
    ds = CacheDataset(items, tf, progress=False)
    weights = torch.tensor([float(x["label"].any()) for x in items])
    weights = torch.where(weights > 0, 0.5 / weights.sum(), 0.5 / (1 - weights).sum().clamp(min=1))

    def go(workers):
        sampler = torch.utils.data.WeightedRandomSampler(weights, 4000)
        return (
            len(b["image"])
            for _ in itertools.count()
            for b in DataLoader(
                ds,
                batch_size=max(1, bs // (4 if flat else 2)),
                sampler=sampler,
                num_workers=workers,
                collate_fn=list_data_collate,
                persistent_workers=False,
            )
        )

    return go


def torchio(vols, size, bs, folder):
    import torchio as tio

    flat = len(size) == 2
    subjects = [
        tio.Subject(
            image=tio.ScalarImage(tensor=torch.tensor(i)[None].clone()),
            label=tio.LabelMap(tensor=torch.tensor(m)[None].clone()),
        )
        for v, lab in vols
        for i, m in ([(a[None], b[None]) for a, b in zip(v, lab)] if flat else [(v, lab)])
    ]
    tf = tio.Compose(
        [  # its first axis is our z
            tio.RandomFlip(axes=(2,)),
            tio.RandomAffine(
                scales=(1, 1, 0.85, 1.15, 0.85, 1.15),
                degrees=(-15, 15, 0, 0, 0, 0),
                image_interpolation="linear",
            ),
            tio.RandomGamma(log_gamma=0.3),
        ]
    )
    ds = tio.SubjectsDataset(subjects, transform=tf)
    patch = (1, *size) if flat else size

    def go(workers):
        def patches():
            for _ in itertools.count():
                q = tio.Queue(
                    ds,
                    max_length=128 if flat else 12,
                    samples_per_volume=4,
                    sampler=tio.data.LabelSampler(patch, "label", {0: 0.5, 1: 0.5}),
                    num_workers=workers,
                )
                yield from (len(b["label"][tio.DATA]) for b in tio.SubjectsLoader(q, batch_size=bs))

        return patches()

    return go


def fastai(vols, size, bs, folder):
    if len(size) == 3:
        return None
    from fastai.vision.all import (
        CropPad,
        DataBlock,
        ImageBlock,
        MaskBlock,
        PILImageBW,
        aug_transforms,
    )
    from PIL import Image

    rows, fg = [], []
    for k, (v, lab) in enumerate(vols):
        for z, (i, m) in enumerate(zip(v, lab)):
            f = folder / f"f{k}_{z}.png"
            Image.fromarray((i * 255).astype(np.uint8)).save(f)
            Image.fromarray(m).save(folder / f"f{k}_{z}_m.png")
            rows.append(str(f))
            fg.append(bool(m.any()))
    fg = np.array(fg)
    w = np.where(fg, 0.5 / fg.sum(), 0.5 / (~fg).sum())
    block = DataBlock(
        (ImageBlock(PILImageBW), MaskBlock(codes=[0, 1])),
        get_y=lambda f: f.replace(".png", "_m.png"),
        splitter=lambda o: (list(range(len(rows))), [0]),
        item_tfms=CropPad(size),
        batch_tfms=aug_transforms(
            max_rotate=15,
            min_zoom=0.85,
            max_zoom=1.15,
            max_warp=0,
            p_affine=1,
            p_lighting=1,
            pad_mode="zeros",
        ),
    )

    def go(workers):
        dls = block.weighted_dataloaders(rows, w, bs=bs, num_workers=workers)
        return (len(y) for _ in itertools.count() for _, y in dls.train)

    return go


def nnunet(vols, size, bs, folder):
    os.environ.setdefault("nnUNet_preprocessed", str(folder))
    os.environ.setdefault("nnUNet_raw", str(folder))
    os.environ.setdefault("nnUNet_results", str(folder))
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import (
        NonDetMultiThreadedAugmenter,
    )
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.pseudo2d import (
        Convert2DTo3DTransform,
        Convert3DTo2DTransform,
    )
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    flat = len(size) == 2
    (folder / "nn").mkdir()
    for k, (v, lab) in enumerate(vols):
        at = np.argwhere(lab > 0)
        at = np.concatenate([np.zeros((len(at), 1), int), at], 1)
        with contextlib.redirect_stdout(None):
            nnUNetDatasetBlosc2.save_case(
                v[None],
                lab[None].astype(np.int16),
                dict(class_locations={1: at}),
                str(folder / "nn" / f"c{k}"),
            )
    warp = SpatialTransform(
        size[-2:],
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=0,
        p_rotation=1,
        rotation=(-np.pi / 12, np.pi / 12),
        p_scaling=1,
        scaling=(0.85, 1.15),
        p_synchronize_scaling_across_axes=1,
        bg_style_seg_sampling=False,
    )
    steps = [warp] if flat else [Convert3DTo2DTransform(), warp, Convert2DTo3DTransform()]
    tf = ComposeTransforms(
        [
            *steps,
            MultiplicativeBrightnessTransform((0.8, 1.2), False, 1),
            GammaTransform((0.74, 1.35), 0, False, 1, 1),
            MirrorTransform((1 if flat else 2,)),
        ]
    )

    def go(workers):
        dl = nnUNetDataLoader(
            nnUNetDatasetBlosc2(str(folder / "nn")),
            bs,
            size,
            size,
            LabelManager({"background": 0, "tumour": 1}, None),
            oversample_foreground_percent=0.5,
            transforms=tf,
        )
        it = (
            NonDetMultiThreadedAugmenter(dl, None, workers, 2 * workers, None)
            if workers
            else SingleThreadedAugmenter(dl, None)
        )

        def batches():
            try:
                for b in it:
                    yield len(b["data"])
            finally:
                if workers:
                    it._finish()

        return batches()

    return go


def rate(it, seconds):
    "Samples a second, after the first batches"
    for _ in range(3):
        next(it)
    n, t = 0, time.perf_counter()
    while time.perf_counter() - t < seconds:
        n += next(it)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    it.close()
    return n / (time.perf_counter() - t)


def main(tasks, device="cpu", seconds=float(os.environ.get("SECONDS_EACH", 5))):
    warnings.simplefilter("ignore")
    rows = {}
    for task in tasks:
        cfg = dict(TASKS[task])
        vols = list(volumes(**cfg))
        row, rivals = {}, {}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
            for name, make, pkg in (
                ("seg_course", partial(ours, device=device), None),
                ("MONAI", monai, "monai"),
                ("TorchIO", torchio, "torchio"),
                ("fastai", fastai, "fastai"),
                ("nnU-Net", nnunet, "nnunetv2"),
            ):
                folder = Path(tmp) / name
                folder.mkdir()
                try:
                    rivals[name] = make(vols, cfg["size"], cfg["bs"], folder)
                except ImportError:
                    missing(pkg)
            for _ in range(2):  # two rounds, each rival in turn: the better one counts
                for name, go in rivals.items():
                    for w in WORKERS if name != "seg_course" else [0]:
                        if go:
                            row[name] = max(row.get(name, 0), rate(go(w), seconds))
        rows[task] = {k: round(v, 1) for k, v in row.items()} | ratio(row)
        print(task, rows[task], flush=True)
    keep("sampling", rows, unit="samples/s", device=device)


if __name__ == "__main__":
    names, dev = device_of(sys.argv[1:])
    main(names or list(TASKS), dev)
