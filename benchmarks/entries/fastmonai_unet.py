"""fastMONAI: `MedDataBlock`, MONAI's UNet, `fit_flat_cos`; volumes only.

After fastMONAI's tutorial of multi-class segmentation (11e): z-scores, `PadOrCrop` to the largest
image (at most 96 voxels a side), turns of 5 degrees, batches of 4, DiceCE, ranger with a rate of
1e-2 or 1e-1, shape-based return to the grid of the file by its `inference`.
Unfair to it: the tutorial trains on a card with 224x224x128 voxels. Its epochs are counted from a
few timed steps, so it may end early or late; `train_s` says so. It is not made for pictures."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from entry import Clock, finish, n_labels, read_task, set_up, up_to, write_map

CHOICES = [dict(lr=1e-2, bs=4), dict(lr=1e-1, bs=4)]


def loaders(task, spacing, reorder):
    "The DataLoaders of the tutorial, with the split that is given; -> them and the size of an item"
    from fastai.vision.all import ColReader, ColSplitter, ImageBlock
    from fastMONAI.vision_all import (
        MedDataBlock,
        MedDataset,
        MedImage,
        MedMaskBlock,
        PadOrCrop,
        RandomAffine,
        ZNormalization,
    )
    from fastMONAI.vision_core import MedMask

    df = task.train.assign(is_valid=task.train.inner == 1)
    facts = MedDataset(img_list=task.fits.label.tolist(), dtype=MedMask, max_workers=1)
    largest = facts.get_size_statistics(target_spacing=spacing)["max"]
    size = [min(96, up_to(n, 16)) for n in largest]
    turn = RandomAffine(scales=0, degrees=5, isotropic=True)
    block = MedDataBlock(
        blocks=(ImageBlock(cls=MedImage), MedMaskBlock),
        splitter=ColSplitter(),
        get_x=ColReader("image"),
        get_y=ColReader("label"),
        item_tfms=[ZNormalization(), PadOrCrop(size), turn],
        apply_reorder=reorder,
        target_spacing=spacing,
    )
    return block.dataloaders(df, bs=task.choice["bs"], num_workers=0), size


def suggestion(task):
    "Spacing and order of axes that fastMONAI suggests"
    from fastMONAI.vision_all import MedDataset
    from fastMONAI.vision_core import MedMask

    facts = MedDataset(img_list=task.fits.label.tolist(), dtype=MedMask, max_workers=1)
    said = facts.get_suggestion()
    return said["target_spacing"], said.get("apply_reorder", True)


def seconds_of_epoch(learn, now):
    "Time two batches"
    from copy import deepcopy

    net = deepcopy(learn.model).train()
    for k in range(3):
        if k == 1:
            begun = now()
        x, y = learn.dls.one_batch()
        learn.loss_func(net(x), y).backward()
    step = (now() - begun) / 2
    return step * (len(learn.dls.train) + 0.5 * len(learn.dls.valid))


def build(task, dls):
    "The learner of the tutorial"
    from fastai.vision.all import Learner, ranger
    from fastMONAI.vision_all import CustomLoss
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet

    net = UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=n_labels(task),
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=2,
    )
    loss = DiceCELoss(to_onehot_y=True, include_background=True, softmax=True)
    return Learner(dls, net, loss_func=CustomLoss(loss_func=loss), opt_func=ranger)


def predict(learn, file, spacing, reorder, folder):
    "Labels (z,y,x) on the grid of a file"
    import nibabel as nib
    from fastMONAI.vision_inference import inference

    done = inference(learn, reorder, spacing, fn=file, save_path=folder)
    return np.asarray(nib.load(done).dataobj).T


def main():
    task = read_task(CHOICES, ["fastMONAI"])
    set_up(task)
    if task.is_pictures:
        raise SystemExit("fastMONAI is for volumes")
    from fastai.vision.all import set_seed

    set_seed(task.seed)
    spacing, reorder = suggestion(task)
    dls, size = loaders(task, spacing, reorder)
    learn = build(task, dls)
    budget = task.seconds()
    epochs = max(1, int(budget // seconds_of_epoch(learn, Clock(task).now)))
    begun, clock = time.time(), Clock(task)
    with learn.no_bar():
        learn.fit_flat_cos(epochs, task.choice["lr"])
    spent, trained = clock.spent(), time.time()
    with TemporaryDirectory() as tmp, learn.no_bar():
        for row in task.test.itertuples():
            labels = predict(learn, row.image, spacing, reorder, Path(tmp))
            write_map(task, row.case, labels)
    facts = dict(epochs=epochs, steps=epochs * len(dls.train), size=size)
    finish(task, spent, begun, trained, **facts)


if __name__ == "__main__":
    main()
