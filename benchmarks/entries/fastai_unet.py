"""Stock fastai: `unet_learner` and `fine_tune`, on pictures or slices.

After fastai's tutorial of segmentation (docs.fast.ai, tutorial.vision: Camvid): batches of 8,
`aug_transforms`, `fine_tune` with its base rate of 2e-3, cross-entropy, all defaults of
`unet_learner`. The encoder is that of this project's plan, since its ImageNet weights come as a
package, as a sequence of its stages; pictures are also mirrored up and down.
Unfair to it: `unet_learner` has no encoder with skips of timm, so that this one was fitted to it;
it sees a volume without neighbouring slices, and no mirror images are averaged. Its epochs are
counted from a few timed steps, so it may end early or late; the column `processor` says so. Unfair
to others: its least is an epoch, frozen, and one more, which on ACDC takes 17 minutes instead of 3."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from entry import (
    Clock,
    as_slices,
    finish,
    n_labels,
    read_array,
    read_task,
    set_up,
    slice_size,
    up_to,
    write_map,
)
from PIL import Image
from torch import nn

CHOICES = [dict(lr=2e-3, bs=8), dict(lr=5e-3, bs=8)]
ENCODER = "tf_efficientnet_lite0"
STATS = [0.5] * 3, [0.5] * 3  # with which the weights were trained


def stages(pretrained=True):
    "The stages of the encoder one after the other, as fastai expects a body"
    from seg_course.nets.unet2d import lite0_weights, timm_encoder

    with TemporaryDirectory() as tmp:
        net = timm_encoder(ENCODER, 3, lite0_weights(Path(tmp) / "w.safetensors"))[0].net
    return nn.Sequential(net.conv_stem, net.bn1, *net.blocks)


def write_slices(task, folder):
    "Each slice as two PNG files; -> table of them"
    rows = []
    for row in task.train.itertuples():
        for z, (x, y) in enumerate(zip(as_slices(row.image), read_array(row.label))):
            image, label = folder / f"{row.case}_{z}.png", folder / f"{row.case}_{z}_label.png"
            Image.fromarray(x).save(image)
            Image.fromarray(y.astype(np.uint8)).save(label)
            rows.append(dict(image=image, label=label, is_valid=bool(row.inner)))
    return pd.DataFrame(rows)


def loaders(task, df, size, n_out):
    "DataLoaders of the tutorial, with crops in place of pictures of one size"
    from fastai.vision.all import (
        ColReader,
        ColSplitter,
        DataBlock,
        ImageBlock,
        MaskBlock,
        Normalize,
        RandomCrop,
        aug_transforms,
    )

    block = DataBlock(
        blocks=(ImageBlock, MaskBlock(codes=np.arange(n_out))),
        get_x=ColReader("image"),
        get_y=ColReader("label"),
        splitter=ColSplitter(),
        item_tfms=RandomCrop(tuple(size)),
        batch_tfms=[*aug_transforms(flip_vert=task.is_pictures), Normalize.from_stats(*STATS)],
    )
    return block.dataloaders(df, bs=task.choice["bs"], num_workers=0)


def seconds_of_epoch(learn, now):
    "Time two batches of a network of which all layers train"
    from copy import deepcopy

    net = deepcopy(learn.model).train().requires_grad_(True)
    x, y = learn.dls.one_batch()
    for k in range(3):
        if k == 1:
            begun = now()
        learn.dls.one_batch()
        learn.loss_func(net(x), y).backward()
    step = (now() - begun) / 2
    return step * (len(learn.dls.train) + 0.4 * len(learn.dls.valid))


@torch.no_grad()
def predict(net, picture):
    "Labels (Y,X) of a picture (Y,X,3) of any size"
    ny, nx = picture.shape[:2]
    pad = ((0, up_to(ny, 32) - ny), (0, up_to(nx, 32) - nx), (0, 0))
    x = np.pad(picture, pad).transpose(2, 0, 1)[None] / np.float32(255)
    x = (torch.from_numpy(x) - STATS[0][0]) / STATS[1][0]
    return net(x).argmax(1)[0, :ny, :nx].numpy()


def main():
    task = read_task(CHOICES)
    set_up(task)
    from fastai.vision.all import set_seed, unet_learner

    set_seed(task.seed)
    n_out = n_labels(task)
    with TemporaryDirectory() as tmp:
        df = write_slices(task, Path(tmp))
        size = slice_size([np.asarray(Image.open(f)) for f in df.image])
        dls = loaders(task, df, size, n_out)
        learn = unet_learner(dls, stages, n_out=n_out, cut=lambda body: body, normalize=False)
        budget = task.seconds()
        epochs = int(budget // seconds_of_epoch(learn, Clock(task).now))
        begun, clock = time.time(), Clock(task)
        with learn.no_bar():
            learn.fine_tune(max(1, epochs - 1), task.choice["lr"])
        spent, trained = clock.spent(), time.time()
    net = learn.model.eval()
    for row in task.test.itertuples():
        write_map(task, row.case, [predict(net, s) for s in as_slices(row.image)])
    steps = max(2, epochs) * len(dls.train)
    finish(task, spent, begun, trained, steps=steps, epochs=epochs, size=size)


if __name__ == "__main__":
    main()
