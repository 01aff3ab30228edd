"""AutoAugment, noise and flips on a batch of pictures and masks, against fastai's `aug_transforms` on the same batch; and stain sources.

usage: python benchmarks/augment.py [--device cuda]

fastai's transforms turn, zoom, warp, flip and change brightness: other work than AutoAugment, but the usual amount of it. Both move picture and mask.
"""

import sys
from functools import partial

import torch
from common import device_of, keep, ratio, rounds
from fastai.torch_core import TensorImage, TensorMask
from fastai.vision.augment import aug_transforms
from fasttransform import Pipeline

from seg_course.batch.augment import rand_flip, rand_noise
from seg_course.batch.autoaugment import rand_autoaugment
from seg_course.prepare.stain import rand_stain


def main(args):
    _, dev = device_of(args)
    rows, g = {}, torch.Generator(dev).manual_seed(0)
    ours = [
        partial(rand_flip, axis=-1),
        partial(rand_flip, axis=-2),
        partial(rand_autoaugment, p=1.0, rgb=True),
        partial(rand_noise, p=0.1),
    ]
    for bs, size in ((16, 256), (8, 512)):
        x, y = (
            torch.rand(bs, 3, size, size, device=dev),
            torch.randint(0, 2, (bs, size, size), device=dev),
        )
        theirs = Pipeline(aug_transforms(flip_vert=True, size=size))
        theirs.split_idx = 0

        def sync(f):
            def run():
                f()
                torch.cuda.synchronize() if dev != "cpu" else None

            return run

        def all_ours(x=x, y=y):
            for t in ours:
                x, y = t(x, y, g)

        s = rounds(
            dict(
                seg_course=sync(all_ours),
                fastai=sync(lambda: theirs((TensorImage(x.clone()), TensorMask(y.clone())))),
                **{"stains of all samples": sync(lambda: rand_stain(x, y, g, (0, 0.5, 0.5)))},
            ),
            5,
        )
        rows[f"{bs} pictures of {size}x{size}"] = {
            k: round(v * 1000, 1) for k, v in s.items()
        } | ratio(s, less=True, rivals=["fastai"])
    keep("augment", rows, unit="milliseconds a batch; AutoAugment with a chance of 1", device=dev)


if __name__ == "__main__":
    main(sys.argv[1:])
