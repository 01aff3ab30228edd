"""(d) Seconds for the probabilities of one volume of 97x246x190 voxels, against MONAI's sliding window around the same network.

usage: python benchmarks/inference.py [--device cuda]

2D: MONAI's SliceInferer with windows of 192x192 that overlap by half, against whole slices as `predict_scan` takes them: a part of the gain is pixels that are not
computed twice. `2D, one window` gives MONAI whole slices too. Also with four flips.
3D: boxes of 48x96x96 with Gaussian weights on a part of 48x144x144, where `predict_scan` calls MONAI's window itself: what is compared there is the handling of flips.
"""

import sys

import numpy as np
import torch
from common import device_of, keep, ratio, rounds
from monai.inferers import SliceInferer, sliding_window_inference
from monai.networks.nets import BasicUNet

from seg_course.files.scan import Scan
from seg_course.nets.unet2d import seg_unet
from seg_course.predict.infer import predict_scan


def main(args):
    dev, rows = device_of(args)[1], {}
    torch.manual_seed(0)
    scan = Scan(torch.rand(1, 97, 246, 190).numpy(), np.diag([1.2, 1.2, 2, 1]))
    part = scan.new(data=scan.data[:, :48, :144, :144])
    flat = (
        seg_unet("resnet18", n_in=1, pretrained=False, size=(192, 192))
        .eval()
        .to(dev, memory_format=torch.channels_last)
    )
    box = BasicUNet(3, 1, 2, (16, 16, 32, 64, 128, 16)).eval().to(dev)
    slices = SliceInferer(
        roi_size=(192, 192),
        spatial_dim=0,
        sw_batch_size=16,
        overlap=0.5,
        sw_device=dev,
        device="cpu",
    )
    whole = SliceInferer(
        roi_size=(256, 192), spatial_dim=0, sw_batch_size=16, overlap=0, sw_device=dev, device="cpu"
    )

    @torch.inference_mode()
    def theirs(infer, flips, of=scan):
        x = torch.from_numpy(np.ascontiguousarray(of.data))[None]
        return sum(
            infer(x.flip(f) if f else x).softmax(1).flip(f) if f else infer(x).softmax(1)
            for f in flips
        ) / len(flips)

    four = ("", "x", "y", "xy")
    axes = {"": [], "x": [-1], "y": [-2], "xy": [-1, -2]}

    def boxes(v):
        return sliding_window_inference(
            v, (48, 96, 96), 1, box, 0.5, mode="gaussian", sw_device=dev, device="cpu"
        )

    for name, ours, other in (
        (
            "2D",
            lambda: predict_scan([flat], scan, (192, 192), context=0),
            lambda: theirs(lambda v: slices(v, flat), [()]),
        ),
        (
            "2D, one window",
            lambda: predict_scan([flat], scan, (192, 192), context=0),
            lambda: theirs(lambda v: whole(v, flat), [()]),
        ),
        (
            "2D, four flips",
            lambda: predict_scan([flat], scan, (192, 192), context=0, tta=four),
            lambda: theirs(lambda v: slices(v, flat), [axes[f] for f in four]),
        ),
        ("3D", lambda: predict_scan([box], part, (48, 96, 96)), lambda: theirs(boxes, [()], part)),
        (
            "3D, four flips",
            lambda: predict_scan([box], part, (48, 96, 96), tta=four),
            lambda: theirs(boxes, [axes[f] for f in four], part),
        ),
    ):
        s = rounds(
            dict(seg_course=ours, MONAI=other), 1 if "four" in name else 2, warm="four" not in name
        )
        rows[name] = {k: round(v, 2) for k, v in s.items()} | ratio(s, less=True)
        print(name, rows[name], flush=True)
    keep("inference", rows, unit="seconds a volume", device=dev)


if __name__ == "__main__":
    main(sys.argv[1:])
