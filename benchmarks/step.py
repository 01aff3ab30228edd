"""(b) Seconds of one training step: `seg_unet`, fastai's DynamicUnet as it comes, and Unet of segmentation-models-pytorch, each on the same timm encoder.

usage: python benchmarks/step.py [encoder ...] [--device cuda]       the rival: pip install -e ".[bench]"

A batch of 8 images of 3x256x256, random weights, channels_last, cross-entropy, fused AdamW; on an accelerator in bfloat16.
"""

import sys

import torch
import torch.nn.functional as F
from common import device_of, keep, missing, ratio, rounds

from seg_course.nets.unet2d import seg_unet

ENCODERS = ("resnet34", "efficientnet_b3", "tf_efficientnet_lite0")


def nets(name):
    "The rivals; all have two classes and all five levels of the encoder"
    out = dict(
        seg_course=seg_unet(name, pretrained=False),
        DynamicUnet=seg_unet(name, pretrained=False, widths=None, last_cross=True),
    )
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        missing("segmentation-models-pytorch")
        return out
    return out | dict(smp=smp.Unet("tu-" + name, encoder_weights=None, classes=2))


def step(net, x, y):
    "A function that trains one step"
    net = net.to(x.device, memory_format=torch.channels_last).train()
    opt = torch.optim.AdamW(net.parameters(), fused=True)

    def go():
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
            loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        if x.is_cuda:
            torch.cuda.synchronize()

    return go


def main(args):
    names, dev = device_of(args)
    rows = {}
    x = torch.rand(8, 3, 256, 256, device=dev).to(memory_format=torch.channels_last)
    y = (x[:, 0] > 0.5).long()
    for name in names or ENCODERS:
        torch.manual_seed(0)
        rivals = nets(name)
        size = {k: sum(p.numel() for p in n.parameters()) / 1e6 for k, n in rivals.items()}
        s = rounds({k: step(n, x, y) for k, n in rivals.items()}, 5)
        rows[name] = (
            {k: round(v, 4) for k, v in s.items()}
            | {f"{k} M parameters": round(v, 1) for k, v in size.items()}
            | ratio(s, less=True, rivals=("smp",))
        )
        print(name, rows[name], flush=True)
    keep("step", rows, unit="seconds a step", device=dev)


if __name__ == "__main__":
    main(sys.argv[1:])
