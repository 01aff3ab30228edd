"""What can be known about a card without one: work of the networks, and where an epoch would wait.

usage: python benchmarks/card.py [--check]

Networks are built on PyTorch's meta device, which knows shapes and no numbers: `flop_counter` counts
the work of a forward pass and of a step, and a network that moves a tensor to another device, or
looks at a number, fails there. Then a training epoch runs on the same device, which stands for an
accelerator whose numbers the host cannot see without waiting: each `.item()`, `.cpu()`, `.tolist()`,
`bool()` and the like is counted with the place that asked, and so are copies from the host. On a
card, each of them lets the card run empty. With `--check`, the exit code is 1 if a training step
waits more often than `ALLOWED`, or copies anything from the host.
Cases are in the memory of the card, as they are where they fit. 'As on mps' is the same for tensors
that say not to be of CUDA.
What it cannot see: waiting inside of CUDA's own functions, memory, and seconds. PyTorch's counter
takes the backward pass of grouped convolutions (EfficientNet, ConvNeXt) for that of full ones, so
the work of a step is too high for these."""

import sys
import tempfile
import traceback
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from common import keep
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).resolve()
ALLOWED = 2  # fastai's Recorder reads the loss of each step, and then `StopAtNan` looks at it too
NETS = dict(
    lite0=dict(name="tf_efficientnet_lite0", size=(256, 256)),
    resnet34=dict(name="resnet34", size=(256, 256)),
    efficientnet_b3=dict(name="efficientnet_b3", size=(256, 256)),
    convnext_tiny=dict(name="convnext_tiny", size=(256, 256)),
    nearest=dict(decoder="nearest", name="resnet34", size=(256, 256)),
    classifier=dict(decoder="classifier", name="resnet18", size=(256, 256)),
    unet3d=dict(decoder="unet3d", size=(64, 64, 64), widths=[16, 32, 64, 128], norm="batch"),
    dilated3d=dict(decoder="dilated3d", size=(64, 64, 64)),
)


def net_on_meta(arch):
    "A network without numbers, and a batch of two for it"
    from seg_course.nets.build import build_unet, move_net

    is_3d = len(arch["size"]) == 3
    n_in = 1 if is_3d else 3
    net = move_net(build_unet(n_in=n_in, n_out=3, pretrained=False, **arch), "meta")
    return net.train(), torch.empty(2, n_in, *arch["size"], device="meta")


def work(arch):
    "Parameters, and work of a forward pass and of a step, for one sample"
    net, x = net_on_meta(arch)
    with FlopCounterMode(display=False) as forward:
        out = net(x)
    with FlopCounterMode(display=False) as step:
        outs = net(x)
        sum(o.sum() for o in outs).backward() if isinstance(outs, (list, tuple)) else (
            outs.sum().backward()
        )
    whole = out[0] if isinstance(out, (list, tuple)) else out
    return {
        "a sample": "x".join(map(str, arch["size"])),
        "M parameters": round(sum(p.numel() for p in net.parameters()) / 1e6, 1),
        "GFLOP forward": round(forward.get_total_flops() / 2e9, 2),
        "GFLOP a step": round(step.get_total_flops() / 2e9, 2),
        "output": "x".join(map(str, whole.shape[1:])),
    }


def who_asked():
    "The line that asked: the innermost one outside of PyTorch and of this file"
    for frame in reversed(traceback.extract_stack()):
        file = Path(frame.filename)
        if file != HERE and "torch" not in file.parts and "unittest" not in file.parts:
            return f"{file.parent.name}/{file.name}:{frame.lineno} in {frame.name}"
    return "?"


class Counts:
    "What an accelerator would have waited for, by the kind and the place"

    def __init__(self):
        self.waits, self.copies = Counter(), Counter()

    def wait(self, kind):
        self.waits[f"{kind}, {who_asked()}"] += 1

    def copy(self, tensor):
        self.copies[who_asked()] += tensor.nbytes


def _counted(name, real, answer, counts):
    "A method of a tensor; on the meta device it is counted and answers something plausible"

    def method(self, *args, **kw):
        if not self.is_meta:
            return real(self, *args, **kw)
        counts.wait(name)
        return answer(self)

    return method


def _counted_to(real, counts):
    "`Tensor.to`, with copies between the host and the meta device counted"

    def method(self, *args, **kw):
        asked = [*args, kw.get("device")]
        device = next((a for a in asked if isinstance(a, (str, torch.device))), None)
        device = device and torch.device(device).type
        if self.is_meta and device == "cpu":
            counts.wait("to")
            return torch.zeros(self.shape, dtype=self.dtype)
        if not self.is_meta and device == "meta":
            counts.copy(self)
        return real(self, *args, **kw)

    return method


def _host(tensor):
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


ANSWERS = dict(
    item=lambda t: 1.0 if t.is_floating_point() else 1,
    tolist=lambda t: _host(t).tolist(),
    numpy=lambda t: _host(t).numpy(),
    cpu=_host,
    __bool__=lambda t: True,
    __float__=lambda t: 1.0,
    __int__=lambda t: 1,
    __index__=lambda t: 1,
)


_Generator = torch.Generator


class MetaGenerator(torch.Generator):
    "A generator that says to be on the meta device, which has none"

    device = torch.device("meta")


class AnyGenerator(torch.Generator):
    "What makes generators: those of the meta device, or of any other"

    def __new__(cls, device="cpu"):
        is_meta = torch.device(device).type == "meta"
        return MetaGenerator() if is_meta else _Generator(device)


@contextmanager
def fake_card(kind):
    "The meta device as an accelerator, 'cuda' or 'mps'; yields the counts"
    counts = Counts()
    patches = [
        patch.object(torch.Tensor, name, _counted(name, getattr(torch.Tensor, name), f, counts))
        for name, f in ANSWERS.items()
    ]
    patches.append(patch.object(torch.Tensor, "to", _counted_to(torch.Tensor.to, counts)))
    patches.append(patch.object(torch, "Generator", AnyGenerator))
    is_cuda = property(lambda tensor: kind == "cuda" and tensor.is_meta)
    patches.append(patch.object(torch.Tensor, "is_cuda", is_cuda))
    for p in patches:
        p.start()
    try:
        yield counts
    finally:
        for p in reversed(patches):
            p.stop()


def write_store(folder, side, n=4):
    "A store of small cases; -> its index with folds"
    from seg_course.prepare.store import fg_points

    rng, rows = np.random.default_rng(0), []
    for i in range(n):
        label = np.zeros((side, side, side), np.uint8)
        label[4:9, 4:9, 4:9] = 1
        image = rng.integers(0, 256, (side, 1, side, side), np.uint8)
        for name, array in dict(img=image, lab=label, pts=fg_points(label)).items():
            np.save(folder / f"{i}.{name}.npy", array)
        for z, plane in enumerate(label):
            sizes = dict(ny=side, nx=side, n_1=int(plane.sum()))
            rows.append(dict(case=str(i), z=z, **sizes))
    return pd.DataFrame(rows)


def setups():
    "Trainings that are tried: patches, network and augmentation of slices and of boxes"
    from seg_course.batch.augment import rand_affine, rand_flip, rand_intensity, rand_warp

    flip = partial(rand_flip, axis=-1)
    return {
        "slices": dict(size=(32, 32), tfms=[flip, rand_affine, rand_intensity], name="resnet18"),
        "boxes": dict(size=(16, 16, 16), tfms=[flip, rand_warp, rand_intensity], name=""),
    }


def learner(folder, idx, setup):
    "A learner on the meta device, with the callbacks of a training"
    from fastai.data.core import DataLoaders

    from seg_course.batch.oversample import sampling_plan
    from seg_course.batch.source import BatchSource
    from seg_course.train.learner import seg_learner
    from seg_course.train.schedule import Ema, EpochCost, StopAtNan

    size = setup["size"]
    plan = sampling_plan(size, fg_share=0.5)
    common = dict(device="meta", memory="device", tfms=setup["tfms"], n_batches=6)
    source = BatchSource(folder, idx, size, 4, plan=plan, **common)
    net = dict(decoder="unet3d", widths=[8, 16]) if len(size) == 3 else {}
    cbs = [Ema(0.99), StopAtNan(), EpochCost()]
    dls = DataLoaders(source, source, device=torch.device("meta"))
    learn = seg_learner(dls, setup["name"] or None, empty=1.0, cbs=cbs, pretrained=False, **net)
    # the fused optimiser of PyTorch knows no meta device
    learn.opt_func = partial(learn.opt_func, opt=torch.optim.AdamW)
    return learn


def epoch(learn, counts):
    "Train for one epoch without validation; -> waits and copies of a step, with their places"
    from fastai.callback.core import Callback, CancelEpochException

    steps = []

    class Marks(Callback):
        "Counts at the end of each batch"

        order = 99

        def after_batch(self):
            steps.append((Counter(counts.waits), Counter(counts.copies)))

        def before_validate(self):
            raise CancelEpochException

    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=Marks())
    (waits, copies), (last_waits, last_copies) = steps[1], steps[-1]
    n = len(steps) - 2  # the first two steps set things up
    places = {k: v / n for k, v in (last_waits - waits).items()}
    return places, sum((last_copies - copies).values()) / n


def try_epoch(kind):
    "Waits of a step, by place, for each setup; -> rows"
    rows = {}
    for name, setup in setups().items():
        with tempfile.TemporaryDirectory() as tmp:
            idx = write_store(Path(tmp), 24)
            with fake_card(kind) as counts:
                learn = learner(tmp, idx, setup)
                found, copied = epoch(learn, counts)
        rows[f"{name}, as on {kind}"] = {
            "waits a step": round(sum(found.values()), 2),
            "kB copied a step": round(copied / 1e3, 1),
            "places": "; ".join(f"{v:g} {k}" for k, v in sorted(found.items())),
        }
    return rows


def main(check=False):
    rows = {name: work(arch) for name, arch in NETS.items()}
    rows |= try_epoch("cuda") | try_epoch("mps")
    keep("card", rows, unit="a sample of a batch; a step of a training")
    bad = [k for k, row in rows.items() if row.get("waits a step", 0) > ALLOWED]
    bad += [k for k, row in rows.items() if row.get("kB copied a step", 0) > 0]
    if bad:
        print(f"a step waits for the host, or for its copies: {bad}", file=sys.stderr)
    return int(check and bool(bad))


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv[1:]))
