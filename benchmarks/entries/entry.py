"""What the entries share: their arguments, cases as arrays, a clock, and label maps as files.

An entry is a program that `league.py` describes. Those in this folder also take `--threads`,
`--choice` (settings as JSON, one of those that the entry lists with `--choices`) and `--all-in`:
without it, the minutes are those of training alone, and seconds of the rest are written down.
`--clock cpu` counts the seconds in which the process had a processor, so that a busy machine slows
nobody down; it is meant for one thread."""

import argparse
import json
import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from PIL import Image

BORN = time.time() - time.process_time()  # about when the process began
CLOCKS = dict(wall=time.perf_counter, cpu=time.process_time)


@dataclass
class Task:
    "What an entry has to do"

    train: pd.DataFrame  # case, image, label, patient, inner
    test: pd.DataFrame  # case, image
    names: dict  # label -> name, where the data set has names
    out: Path  # folder for label maps
    minutes: float  # of training
    seed: int
    threads: int
    choice: dict  # settings of this run
    all_in: bool  # are the minutes for everything?
    clock: str  # 'wall', or 'cpu'

    @property
    def is_pictures(self):
        return self.train.image.iloc[0].lower().endswith((".png", ".jpg", ".tif"))

    @property
    def fits(self):  # cases whose labels the network learns from
        return self.train[self.train.inner == 0]

    @property
    def inner(self):  # cases that choose among settings or epochs
        return self.train[self.train.inner == 1]

    def seconds(self):  # of training, from now on
        whole = 60 * self.minutes
        return 0.85 * whole - (time.time() - BORN) if self.all_in else whole


def _check_packages(needs):
    "Leave in one line where a package is missing"
    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not installed")


def read_task(choices, needs=()):
    """The task of the command line

    `choices` are the settings that are tried, the usual ones first; `needs` are packages."""
    _check_packages(needs)
    ask = argparse.ArgumentParser()
    for name in ("--train", "--test", "--out"):
        ask.add_argument(name, type=Path)
    ask.add_argument("--minutes", type=float, default=15)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--choice", type=json.loads, default=choices[0])
    ask.add_argument("--all-in", action="store_true")
    ask.add_argument("--choices", action="store_true", help="print the settings and leave")
    ask.add_argument("--clock", choices=list(CLOCKS), default="wall")
    args = ask.parse_args()
    if args.choices:
        print(json.dumps(choices))
        raise SystemExit
    as_text = dict(case=str, patient=str)
    train, test = (pd.read_csv(f, dtype=as_text) for f in (args.train, args.test))
    names = json.loads((args.train.parent / "labels.json").read_text())
    args.out.mkdir(parents=True, exist_ok=True)
    rest = args.out, args.minutes, args.seed, args.threads, args.choice, args.all_in, args.clock
    return Task(train, test, names, *rest)


def read_array(file):
    "A picture (1,Y,X,C), or a volume (Z,Y,X), as it is in its file"
    if file.endswith(".nii.gz") or file.endswith(".nii"):
        return np.asarray(nib.load(file).dataobj).T
    picture = np.asarray(Image.open(file))
    return picture[None]


def write_map(task, case, labels):
    "Write labels (Z,Y,X) on the grid of the image of a case"
    file = task.test.set_index("case").image[case]
    labels = np.asarray(labels, np.uint8)
    if task.is_pictures:
        Image.fromarray(labels[0]).save(task.out / f"{case}.png")
    else:
        affine = nib.load(file).affine
        nib.save(nib.Nifti1Image(labels.T, affine), task.out / f"{case}.nii.gz")


def n_labels(task):
    "Number of labels with background"
    return 1 + max(int(read_array(f).max()) for f in task.fits.label)


def as_grey(volume):
    "A volume scaled to 0..255 by its 0.5th and 99.5th percentile"
    low, high = np.percentile(volume, [0.5, 99.5])
    return (255 * np.clip((volume - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)


def as_slices(file):
    "Slices of a picture or a volume as uint8 pictures of three colours (n,Y,X,3)"
    data = read_array(file)
    if data.ndim == 4:
        return data[..., :3]
    return np.repeat(as_grey(data.astype(np.float32))[..., None], 3, -1)


def up_to(n, step):
    "The next multiple"
    return -(-int(n) // step) * step


def slice_size(slices, most=256):
    "Sides of a crop: the median side, up to a multiple of 32, at most `most` px"
    sides = np.median([s.shape[:2] for s in slices], 0)
    return [min(most, up_to(n, 32)) for n in sides]


class Clock:
    "Which share of the seconds of training has passed?"

    def __init__(self, task):
        self.seconds, self.now = task.seconds(), CLOCKS[task.clock]
        self.begun = {name: now() for name, now in CLOCKS.items()}
        self.start = self.now()

    @property
    def share(self):
        return (self.now() - self.start) / self.seconds

    def spent(self):
        "Seconds by the wall, and by the processor"
        spent = {name: round(now() - self.begun[name], 1) for name, now in CLOCKS.items()}
        return dict(train_s=spent["wall"], cpu_s=spent["cpu"])


def finish(task, clock_spent, begun, trained, **facts):
    "Write facts.json: seconds of each part, and what the entry says about itself"
    facts = dict(
        prepare_s=round(begun - BORN, 1),
        **clock_spent,
        predict_s=round(time.time() - trained, 1),
        choice=task.choice,
        **facts,
    )
    (task.out / "facts.json").write_text(json.dumps(facts))


def set_up(task):
    "Seed and threads of PyTorch"
    import torch

    torch.manual_seed(task.seed)
    np.random.seed(task.seed)
    torch.set_num_threads(task.threads)
    os.environ.setdefault("ALBUMENTATIONS_NO_TELEMETRY", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
