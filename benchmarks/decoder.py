"""(b) What the lean decoder costs in Dice: the same data, encoder, batches, loss and schedule; only the decoder differs.

usage: SEG_COURSE_DATA=... python benchmarks/decoder.py [hippocampus nuclei] [--seeds 2]       real data; a seed takes 20 minutes on two cores
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import keep, missing
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper

from seg_course.batch.augment import rand_affine, rand_flip, rand_intensity
from seg_course.files.cohort import read_cohort
from seg_course.look.explore import case_stats
from seg_course.nets.loss import DiceCELoss
from seg_course.nets.unet2d import lite0_weights, seg_unet, timm_encoder
from seg_course.prepare.intensity import normalise, window
from seg_course.prepare.split import make_folds
from seg_course.prepare.store import prepare
from seg_course.score.metric import CaseDice
from seg_course.train.learner import fold_sources

tfms = [partial(rand_flip, axis=-1), rand_affine, rand_intensity]
TASKS = dict(
    hippocampus=dict(
        folder="Task04_Hippocampus",
        cases=60,
        recipe=[normalise],
        size=(64, 48),
        bs=16,
        n_batches=80,
        epochs=3,
        lr=3e-3,
        n_out=3,
        context=1,
        name="resnet10t",
        kw=dict(
            full_res=True, depth=4, encoder_kw=dict(channels=(32, 64, 128, 256), stem_width=16)
        ),
        pretrained=False,
    ),
    nuclei=dict(
        folder="DSB2018_stained",
        cases=80,
        recipe=[partial(window, level=127.5, width=255)],
        size=(256, 256),
        bs=8,
        n_batches=32,
        epochs=3,
        lr=1e-3,
        n_out=2,
        context=0,
        name="tf_efficientnet_lite0",
        kw={},
        pretrained=True,
    ),
)


def smp_unet(name, n_in, n_out, weights):
    "Unet of segmentation-models-pytorch with the same encoder and weights"
    import segmentation_models_pytorch as smp

    net = smp.Unet("tu-" + name, encoder_weights=None, in_channels=n_in, classes=n_out)
    if weights:
        net.encoder.model.load_state_dict(timm_encoder(name, n_in, weights)[0].net.state_dict())
    return net


def fit(task, decoder, seed, store, idx, df, weights):
    "Mean Dice per case on the held-out fold"
    t = TASKS[task]
    torch.manual_seed(seed)
    dls = fold_sources(
        store,
        idx,
        df,
        0,
        t["size"],
        t["bs"],
        context=t["context"],
        tfms=tfms,
        n_batches=t["n_batches"],
        fg_share=0.85 if task == "hippocampus" else None,
        seed=seed,
    )
    n_in, kw = dls.one_batch()[0].shape[1], t["kw"] | dict(pretrained=weights)
    if decoder == "smp":
        net = smp_unet(t["name"], n_in, t["n_out"], weights)
    else:
        net = seg_unet(
            t["name"],
            n_in,
            t["n_out"],
            t["size"],
            **kw,
            **(dict(widths=None, last_cross=True) if decoder == "DynamicUnet" else {}),
        )
    learn = Learner(
        dls,
        net.to(memory_format=torch.channels_last),
        loss_func=DiceCELoss(),
        metrics=CaseDice(empty=1.0),
        opt_func=partial(OptimWrapper, opt=partial(torch.optim.AdamW, fused=True)),
    )
    with learn.no_bar():
        learn.fit_one_cycle(t["epochs"], t["lr"])
    return float(learn.recorder.values[-1][-1])


def main(args):
    seeds = int(args.pop(args.index("--seeds") + 1)) if "--seeds" in args else 1
    base = Path(os.environ.get("SEG_COURSE_DATA", "data"))
    rows = {}
    for task in [a for a in args if a in TASKS] or TASKS:
        t = TASKS[task]
        df = case_stats(read_cohort(base / t["folder"]).iloc[: t["cases"]])
        df = make_folds(df.assign(fg=df.filter(like="ml_").sum(axis=1)), 5, "fg")
        with tempfile.TemporaryDirectory() as tmp:
            idx = prepare(df, t["recipe"], tmp + "/store")
            weights = lite0_weights(tmp + "/w.safetensors") if t["pretrained"] else False
            for decoder in ("seg_course", "DynamicUnet", "smp"):
                if decoder == "smp" and t["kw"]:
                    continue  # its Unet has no full-resolution level
                try:
                    got = [
                        fit(task, decoder, s, tmp + "/store", idx, df, weights)
                        for s in range(seeds)
                    ]
                except ImportError:
                    missing("segmentation-models-pytorch")
                    continue
                rows[f"{task}, {decoder}"] = dict(
                    dice=", ".join(f"{d:.4f}" for d in got), mean=round(float(np.mean(got)), 4)
                )
                print(task, decoder, got, flush=True)
    keep("decoder", rows, unit="mean Dice per held-out case", seeds=seeds)


if __name__ == "__main__":
    main(sys.argv[1:])
