"""MONAI: BasicUNet, SegResNet or DynUNet on its usual patches.

After MONAI's tutorials: the transforms of spleen_segmentation_3d and brats_segmentation_3d (median
spacing where it varies, z-scores, patches of at most 96 about foreground, flips, scale and shift
of intensities), a sliding window with half overlap, `Invertd` back to the grid of the file.
BasicUNet with the loss and the rates of challenge_baseline, SegResNet as for BraTS, DynUNet as in
the dynunet pipeline (SGD). The rates fall as a cosine by the clock.
Unfair to it: on pictures it starts from nothing, since the weights of its FlexibleUNet are a
download; no mirror images are averaged; on volumes it makes seven to ten steps a minute, which says
that the minutes are too few for it, and no more. Unfair to others: it may choose among
three networks."""

import math
import time

import numpy as np
import torch
from entry import Clock, finish, n_labels, read_array, read_task, set_up, up_to, write_map

CHOICES = [
    dict(net="basicunet", lr=1e-3),
    dict(net="basicunet", lr=1e-4),
    dict(net="segresnet", lr=1e-3),
    dict(net="segresnet", lr=1e-4),
    dict(net="dynunet", lr=1e-2),
    dict(net="dynunet", lr=1e-1),
]


def median_spacing(files):
    "mm of a voxel (x,y,z), or None where all files have the same one"
    import nibabel as nib

    spacing = np.array([nib.load(f).header.get_zooms()[:3] for f in files])
    return None if np.ptp(spacing, 0).max() < 0.05 else np.median(spacing, 0).round(3).tolist()


def whole(task, spacing, keys):
    "Transforms of whole images"
    from monai import transforms as T

    steps = [T.LoadImaged(keys, ensure_channel_first=True)]
    if task.is_pictures:
        steps.append(T.Lambdad("image", lambda x: x[:3]))
    if spacing:
        modes = ["bilinear", "nearest"][: len(keys)]
        steps.append(T.Spacingd(keys, pixdim=spacing, mode=modes))
    return [*steps, T.NormalizeIntensityd("image", channel_wise=True)]


def random(task, size):
    "Transforms of patches"
    from monai import transforms as T

    both, axes = ["image", "label"], range(len(size))
    crop = dict(label_key="label", spatial_size=size, pos=1, neg=1, num_samples=2)
    return [
        T.SpatialPadd(both, size),
        T.RandCropByPosNegLabeld(both, **crop, allow_smaller=True),
        *(T.RandFlipd(both, prob=0.5, spatial_axis=a) for a in axes),
        T.RandScaleIntensityd("image", factors=0.1, prob=1.0),
        T.RandShiftIntensityd("image", offsets=0.1, prob=1.0),
    ]


def patch_size(task, spacing):
    "The median size, up to a multiple of 16, at most 96 (a picture: 256)"
    shapes = np.array([read_array(f).shape for f in task.fits.label])[:, ::-1].astype(float)
    if spacing:
        import nibabel as nib

        shapes *= [nib.load(f).header.get_zooms()[:3] / np.array(spacing) for f in task.fits.image]
    sides = np.median(shapes, 0)[: 2 if task.is_pictures else 3]
    return [min(256 if task.is_pictures else 96, up_to(n, 16)) for n in sides]


def strides(size):
    "Strides and kernels of a DynUNet: a side is halved while it is 8 at least"
    size, out = np.array(size), [[1] * len(size)]
    while (size >= 16).any() and len(out) < 5:
        out.append([2 if n >= 16 else 1 for n in size])
        size = size // out[-1]
    return out


def build(name, dims, n_in, n_out, size):
    "A network of MONAI"
    from monai.networks import nets

    shape = dict(spatial_dims=dims, in_channels=n_in, out_channels=n_out)
    if name == "basicunet":
        return nets.BasicUNet(**shape, features=(32, 32, 64, 128, 256, 32), dropout=0.1)
    if name == "segresnet":
        depth = dict(init_filters=16, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1))
        return nets.SegResNet(**shape, **depth, dropout_prob=0.2)
    steps = strides(size)
    kernels = [[3] * dims] * len(steps)
    return nets.DynUNet(**shape, kernel_size=kernels, strides=steps, upsample_kernel_size=steps[1:])


def optimiser(net, name, lr):
    "Adam, or for DynUNet the SGD of its pipeline"
    if name == "dynunet":
        return torch.optim.SGD(
            net.parameters(), lr, momentum=0.99, weight_decay=3e-5, nesterov=True
        )
    return torch.optim.Adam(net.parameters(), lr, weight_decay=1e-5)


def endless(loader):
    "Batches without end"
    while True:
        yield from loader


def train(net, opt, loader, lr, clock):
    "Dice and cross-entropy, with rates that fall by the clock; -> steps"
    from monai.losses import DiceCELoss

    loss_fn = DiceCELoss(to_onehot_y=True, softmax=True)
    net.train()
    steps = 0
    while clock.share < 1:
        opt.param_groups[0]["lr"] = lr * (1 + math.cos(math.pi * clock.share)) / 2
        d = next(loader)
        opt.zero_grad()
        loss_fn(net(d["image"].as_tensor()), d["label"].as_tensor()).backward()
        opt.step()
        steps += 1
    return steps


@torch.no_grad()
def predict(net, file, tfm, size):
    "Labels (z,y,x) on the grid of a file"
    from monai.inferers import sliding_window_inference
    from monai.transforms import Invertd

    d = tfm(dict(image=file))
    logits = sliding_window_inference(d["image"][None], size, 4, net, overlap=0.5, mode="gaussian")
    d["pred"] = logits[0]
    back = Invertd("pred", tfm, orig_keys="image", nearest_interp=False, to_tensor=True)
    labels = back(d)["pred"].as_tensor().argmax(0).numpy()
    return labels.T if labels.ndim == 3 else labels.T[None]


def main():
    task = read_task(CHOICES, ["monai"])
    set_up(task)
    from monai.data import CacheDataset, DataLoader
    from monai.transforms import Compose
    from monai.utils import set_determinism

    set_determinism(task.seed)
    spacing = None if task.is_pictures else median_spacing(task.fits.image)
    size, n_out = patch_size(task, spacing), n_labels(task)
    tfms = Compose(whole(task, spacing, ["image", "label"]) + random(task, size))
    files = task.fits[["image", "label"]].to_dict("records")
    data = CacheDataset(files, tfms, num_workers=0, progress=False)
    bs = min(2, len(files))  # cases; two patches of each
    loader = endless(DataLoader(data, batch_size=bs, shuffle=True, num_workers=0, drop_last=True))
    name, lr = task.choice["net"], task.choice["lr"]
    net = build(name, len(size), 3 if task.is_pictures else 1, n_out, size)
    opt = optimiser(net, name, lr)
    begun, clock = time.time(), Clock(task)
    steps = train(net, opt, loader, lr, clock)
    spent, trained = clock.spent(), time.time()
    net.eval()
    tfm = Compose(whole(task, spacing, ["image"]))
    for row in task.test.itertuples():
        write_map(task, row.case, predict(net, row.image, tfm, size))
    finish(task, spent, begun, trained, steps=steps, size=size, spacing=spacing)


if __name__ == "__main__":
    main()
