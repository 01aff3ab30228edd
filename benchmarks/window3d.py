"""(d) Seconds for the probabilities of one volume of 64x192x192 voxels with the 3D networks, against MONAI's sliding window around the same network.

usage: python benchmarks/window3d.py [--device cuda] [--overlap .25]

Boxes of 48x96x96 with Gaussian weights, overlapping by a quarter of a side, as they are and averaged over four flips. `predict_scan` slides once and shows each box
four times; the rival slides once a flip. So what is compared is the handling of flips, and all that `predict_scan` does around MONAI's window.
"""

import sys

import numpy as np
import torch
from common import device_of, keep, ratio, rounds
from monai.inferers import sliding_window_inference

from seg_course.files.scan import Scan
from seg_course.nets.build import build_unet
from seg_course.nets.build import move_net as to_device
from seg_course.predict.infer import predict_scan

box, axes = (48, 96, 96), {"": [], "x": [-1], "y": [-2], "xy": [-1, -2]}


def main(args):
    args, dev = device_of(args)
    overlap = float(args[args.index("--overlap") + 1]) if "--overlap" in args else 0.25
    torch.manual_seed(0)
    rows, scan = {}, Scan(torch.rand(1, 64, 192, 192).numpy(), np.diag([1.0, 1, 2, 1]))
    nets = {
        d: to_device(build_unet(d, n_in=1, n_out=2, size=box, pretrained=False), dev).eval()
        for d in ("unet3d", "dilated3d")
    }

    @torch.inference_mode()
    def theirs(net, flips):
        x = torch.from_numpy(scan.data)[None]

        def slide(v):
            return sliding_window_inference(
                v, box, 1, net, overlap, mode="gaussian", sw_device=dev, device="cpu"
            )

        return sum(slide(x.flip(axes[f])).softmax(1).flip(axes[f]) for f in flips) / len(flips)

    small = Scan(scan.data[:, :48, :96, :96], scan.affine)
    for name, net in nets.items():
        predict_scan([net], small, box)  # the first call allocates and chooses kernels
        for kind, flips in (("", ("",)), (", four flips", tuple(axes))):

            def ours():
                return predict_scan([net], scan, box, tta=flips, overlap=overlap)

            s = rounds(
                dict(seg_course=ours, MONAI=lambda: theirs(net, flips)),
                1 if kind else 2,
                warm=dev != "cpu",
            )
            rows[name + kind] = {k: round(v, 2) for k, v in s.items()} | ratio(s, less=True)
            print(name + kind, rows[name + kind], flush=True)
    keep("window3d", rows, unit="seconds a volume", device=dev, overlap=overlap)


if __name__ == "__main__":
    main(sys.argv[1:])
