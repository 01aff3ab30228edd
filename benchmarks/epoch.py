"""(a) Does the network wait for its batches? Seconds of an epoch with `BatchSource`, and of the same steps on one batch that is there already.

usage: python benchmarks/epoch.py [--device cuda]

On an accelerator an epoch is as long as that of MSD Task06 Lung: 15,767 slices of 256x256. On a CPU it is 320 slices. The network is `seg_unet` on ResNet34;
on an accelerator in bfloat16, with its encoder compiled.
"""

import sys
import tempfile
import time

import numpy as np
import pandas as pd
import torch
from common import device_of, keep
from fastai.data.core import DataLoaders

from seg_course.batch.augment import rand_affine, rand_flip, rand_intensity
from seg_course.batch.oversample import sampling_plan
from seg_course.batch.source import BatchSource
from seg_course.prepare.store import fg_points
from seg_course.train.learner import seg_learner


def main(args):
    dev = device_of(args)[1]
    gpu = dev != "cpu"
    total, bs, n = (15767, 64, 63) if gpu else (320, 8, 4)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as tmp:
        idx, left = [], total
        for i in range(n):
            z = left // (n - i)
            left -= z
            lab = np.zeros((z, 256, 256), np.uint8)
            lab[z // 2 : z // 2 + max(1, z // 8), 100:130, 100:130] = 1
            for k, a in dict(
                img=rng.integers(0, 256, (z, 1, 256, 256), np.uint8), lab=lab, pts=fg_points(lab)
            ).items():
                np.save(f"{tmp}/{i:03}.{k}.npy", a)
            idx += [dict(case=f"{i:03}", z=j, n_1=int(s.sum())) for j, s in enumerate(lab)]
        src = BatchSource(
            tmp,
            pd.DataFrame(idx),
            (256, 256),
            bs,
            plan=sampling_plan((256, 256), fg_share=0.5),
            tfms=[rand_flip, rand_affine, rand_intensity],
            device=dev,
        )
        print(src)
        learn = seg_learner(
            DataLoaders(src, src, device=torch.device(dev)),
            "resnet34",
            pretrained=False,
            compile=gpu,
            empty=1.0,
        )
        net = learn.model.train()
        opt = torch.optim.AdamW(net.parameters(), fused=True)
        fixed = src.one_batch()

        def step(x, y):
            with torch.autocast(dev, torch.bfloat16, enabled=gpu):
                loss = learn.loss_func(net(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()

        def clock(batches, f):
            for _ in range(2):
                step(*fixed)
            if gpu:
                torch.cuda.synchronize()
            t = time.perf_counter()
            for b in batches:
                f(*b)
            if gpu:
                torch.cuda.synchronize()
            return time.perf_counter() - t

        s = {
            "epoch": clock(src, step),
            "the same steps on one batch": clock([fixed] * len(src), step),
            "batches alone": clock(src, lambda *b: None),
        }
    keep(
        "epoch",
        {
            f"{total:,} slices of 256x256, {src.cases.tier}": {k: round(v, 2) for k, v in s.items()}
            | {
                "network busy, share of the epoch": round(
                    min(1, s["the same steps on one batch"] / s["epoch"]), 3
                )
            }
        },
        unit="seconds",
        device=dev,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
