"""segmentation-models-pytorch and Albumentations, on pictures or slices.

After examples/camvid_segmentation_multiclass.ipynb of smp: its augmentation, DiceLoss, Adam,
CosineAnnealingLR stepped each batch down to 1e-5, ImageNet mean and standard deviation inside the
model. The encoder is that of this project's plan, since its ImageNet weights come as a package.
Pictures are also mirrored up and down; volumes are trained and predicted slice by slice.
Unfair to it: it sees a volume without neighbouring slices, and no mirror images are averaged.
Unfair to others: its schedule follows the clock, so it wastes no second of its minutes."""

import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
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

ENCODER = "tf_efficientnet_lite0"
CHOICES = [dict(lr=1e-3, bs=8), dict(lr=2e-4, bs=8)]


def augmentation(size, is_pictures):
    "That of the example"
    import albumentations as A

    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            *([A.VerticalFlip(p=0.5)] if is_pictures else []),
            A.Affine(scale=(0.5, 1.5), translate_percent=0.1, rotate=0, border_mode=0, p=1),
            A.PadIfNeeded(*size, border_mode=0),
            A.RandomCrop(*size),
            A.GaussNoise(p=0.2),
            A.Perspective(p=0.5),
            A.OneOf([A.CLAHE(p=1), A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.9),
            A.OneOf(
                [A.Sharpen(p=1), A.Blur(blur_limit=3, p=1), A.MotionBlur(blur_limit=3, p=1)], p=0.9
            ),
            A.OneOf([A.RandomBrightnessContrast(p=1), A.HueSaturationValue(p=1)], p=0.9),
        ]
    )


def build(n_out):
    "Unet with ImageNet weights, and the mean and the spread of ImageNet"
    import segmentation_models_pytorch as smp
    import torch

    from seg_course.nets.unet2d import lite0_weights, timm_encoder

    net = smp.Unet("tu-" + ENCODER, encoder_weights=None, in_channels=3, classes=n_out)
    with TemporaryDirectory() as tmp:
        ours = timm_encoder(ENCODER, 3, lite0_weights(Path(tmp) / "w.safetensors"))[0].net
    net.encoder.model.load_state_dict(ours.state_dict())
    # the weights were trained with these, which is what get_preprocessing_params returns for them
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.5] * 3, [0.5] * 3))
    return net, lambda x: (x.float() / 255 - mean) / std


def batches(images, labels, tfm, bs, seed):
    "Batches without end: all slices in a new order each epoch"
    import torch

    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - bs + 1, bs):
            some = [tfm(image=images[i], mask=labels[i]) for i in order[start : start + bs]]
            x = np.stack([d["image"] for d in some]).transpose(0, 3, 1, 2)
            yield torch.from_numpy(x), torch.from_numpy(np.stack([d["mask"] for d in some])).long()


def train(net, scale, loader, lr, clock):
    "Adam with a cosine that follows the clock; -> steps"
    import segmentation_models_pytorch as smp
    import torch

    loss_fn = smp.losses.DiceLoss(smp.losses.MULTICLASS_MODE, from_logits=True)
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    net.train()
    steps = 0
    while clock.share < 1:
        opt.param_groups[0]["lr"] = 1e-5 + (lr - 1e-5) * (1 + math.cos(math.pi * clock.share)) / 2
        x, y = next(loader)
        opt.zero_grad()
        loss_fn(net(scale(x)), y).backward()
        opt.step()
        steps += 1
    return steps


def predict(net, scale, picture):
    "Labels (Y,X) of a picture (Y,X,3) of any size"
    import torch

    ny, nx = picture.shape[:2]
    pad = ((0, up_to(ny, 32) - ny), (0, up_to(nx, 32) - nx), (0, 0))
    x = torch.from_numpy(np.pad(picture, pad).transpose(2, 0, 1)[None])
    with torch.no_grad():
        return net(scale(x)).argmax(1)[0, :ny, :nx].numpy()


def main():
    task = read_task(CHOICES, ["segmentation_models_pytorch", "albumentations"])
    set_up(task)
    images = [s for f in task.fits.image for s in as_slices(f)]
    labels = [s.astype(np.uint8) for f in task.fits.label for s in read_array(f)]
    net, scale = build(n_labels(task))
    tfm = augmentation(slice_size(images), task.is_pictures)
    tfm.set_random_seed(task.seed)
    loader = batches(images, labels, tfm, task.choice["bs"], task.seed)
    begun, clock = time.time(), Clock(task)
    steps = train(net, scale, loader, task.choice["lr"], clock)
    spent, trained = clock.spent(), time.time()
    net.eval()
    for row in task.test.itertuples():
        write_map(task, row.case, [predict(net, scale, s) for s in as_slices(row.image)])
    finish(task, spent, begun, trained, steps=steps, size=slice_size(images))


if __name__ == "__main__":
    main()
