"""nnU-Net by its own `run_training`: planned, preprocessed, trained and predicted by its functions.

The trainer is its own; only the number of epochs is not: the rate falls as (1 - share)^0.9 by the
clock, which is its schedule over the epochs that fit, and the training stops when the clock says
so. The weights of the last step predict, with half overlap and mirror images, as they do there.
`bs` 0 is the batch as planned, for a card of 8 GB; a smaller one makes more steps of the minutes.
Unfair to it: it is made for 250,000 steps on a card, augments in one thread here, and starts from
nothing, on pictures too; after about a hundred steps one of the two labels of the hippocampus was
not found at all, and on ACDC fifteen minutes are 21 steps of its 3D plan, or 446 of its 2D plan,
which says that the minutes are too few for it, and no more. Unfair to others: it spends no minute
on validation."""

import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from entry import Clock, finish, n_labels, read_task, set_up

CHOICES = [
    dict(bs=2, lr=1e-2, config="auto"),
    dict(bs=2, lr=1e-3, config="auto"),
    dict(bs=0, lr=1e-2, config="auto"),
    dict(bs=2, lr=1e-2, config="2d"),
]


class TimeIsUp(Exception):
    "Ends a training"


def places(root, threads):
    "Folders and processes, which nnU-Net reads from the environment when it is imported"
    for name in ("raw", "preprocessed", "results"):
        (root / name).mkdir()
        os.environ[f"nnUNet_{name}"] = str(root / name)
    os.environ |= dict(nnUNet_n_proc_DA="1", nnUNet_def_n_proc=str(threads), nnUNet_compile="false")


def write_raw(task, root, n_out):
    "The data set as nnU-Net expects it; -> its dataset.json"
    folder, end = root / "raw" / "Dataset001_task", ".png" if task.is_pictures else ".nii.gz"
    for name, column, tail in (("imagesTr", "image", "_0000"), ("labelsTr", "label", "")):
        (folder / name).mkdir(parents=True)
        for case, file in zip(task.train.case, task.train[column]):
            (folder / name / f"{case}{tail}{end}").symlink_to(file)
    channels = ["R", "G", "B"] if task.is_pictures else ["MRI"]
    names = [task.names.get(str(c), f"label {c}") for c in range(1, n_out)]
    facts = dict(
        channel_names={str(i): c for i, c in enumerate(channels)},
        labels=dict(background=0) | {name: i for i, name in enumerate(names, 1)},
        numTraining=len(task.train),
        file_ending=end,
    )
    (folder / "dataset.json").write_text(json.dumps(facts))
    return facts


def plan(task, root):
    "Fingerprint, plans, preprocessing and the split; -> plans and the configuration"
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    extract_fingerprints([1], num_processes=task.threads, show_progress_bar=False)
    plan_experiments([1])
    folder = root / "preprocessed" / "Dataset001_task"
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    config = task.choice["config"]
    if config == "auto":
        config = "3d_fullres" if "3d_fullres" in plans["configurations"] else "2d"
    processes = (task.threads,)
    preprocess([1], configurations=(config,), num_processes=processes, show_progress_bar=False)
    split = [dict(train=task.fits.case.tolist(), val=task.inner.case.tolist())]
    (folder / "splits_final.json").write_text(json.dumps(split))
    if task.choice["bs"]:
        plans["configurations"][config]["batch_size"] = task.choice["bs"]
    return plans | dict(continue_training=False), config


def timed_trainer(task):
    "nnU-Net's trainer with a clock in place of a number of epochs"
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class TimedTrainer(nnUNetTrainer):
        # nnU-Net looks at the names of these arguments
        def __init__(self, plans, configuration, fold, dataset_json, device):
            super().__init__(plans, configuration, fold, dataset_json, device)
            self.initial_lr, self.num_epochs, self.steps = task.choice["lr"], 10**6, 0
            self.num_val_iterations_per_epoch = 0
            self.disable_checkpointing = True

        def on_train_start(self):
            super().on_train_start()
            self.begun, self.clock = time.time(), Clock(task)

        def train_step(self, batch):
            if self.clock.share >= 1:
                raise TimeIsUp
            rate = self.initial_lr * (1 - self.clock.share) ** 0.9
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.steps += 1
            return super().train_step(batch)

        def on_validation_epoch_end(self, val_outputs):
            "Nothing was validated"

        def on_epoch_end(self):
            self.current_epoch += 1

    return TimedTrainer


def predict(task, trainer):
    "Label maps by nnU-Net's predictor"
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(
        device=trainer.device, perform_everything_on_device=False, allow_tqdm=False
    )
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    images = [[f] for f in task.test.image]
    maps = [str(task.out / case) for case in task.test.case]  # the ending is added
    predictor.predict_from_files_sequential(images, maps)
    for file in task.out.glob("*.json"):
        file.unlink()


def main():
    task = read_task(CHOICES, ["nnunetv2"])
    with TemporaryDirectory() as tmp:
        root = Path(tmp)
        places(root, task.threads)
        set_up(task)
        import torch

        facts = write_raw(task, root, n_labels(task))
        plans, config = plan(task, root)
        os.environ["nnUNet_n_proc_DA"] = (
            "0"  # the planner does not take it, training augments itself
        )
        torch.manual_seed(task.seed)
        trainer = timed_trainer(task)(plans, config, 0, facts, device=torch.device("cpu"))
        try:
            trainer.run_training()
        except TimeIsUp:
            spent, trained = trainer.clock.spent(), time.time()
        predict(task, trainer)
        used = plans["configurations"][config]
        shape = dict(config=config, size=used["patch_size"], bs=used["batch_size"])
    finish(task, spent, trainer.begun, trained, steps=trainer.steps, **shape)


if __name__ == "__main__":
    main()
