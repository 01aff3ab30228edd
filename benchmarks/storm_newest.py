"""Calls of `storm.py` over what is new: ensembles, doubt, suspects, corrections, curves, rules, exports, and runs that are watched, stopped and extended."""

# ruff: noqa: F403, F405
import shutil
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from storm_calls import NAN, calls, command, data_set, entry, small_run

from seg_course.all import *
from seg_course.files.common import write_json
from seg_course.score.suspect import label_conflict
from seg_course.train.curve import next_gain


def held_run(run="run", change=lambda run: None):
    "A run folder whose fold 0 was never trained, its three cases, and the data"
    if not Path("set").exists():
        data_set("set")
    run = small_run(run)
    write_json(run / "params.json", dict(data=str(Path("set").resolve())))
    cases = pd.DataFrame(dict(case=["c0", "c1", "c2"], group=["a", "b", "c"], fold=[0, 0, 1]))
    cases.to_csv(run / "cohort.csv", index=False)
    cases.assign(dice_1=[0.7, 0.8, 0.9]).drop(columns=["group", "fold"]).to_csv(
        run / "scores.csv", index=False
    )
    change(run)
    return run


def over(*words, change=lambda run: None, more=lambda: None):
    "A command over a run folder `run`"
    held_run(change=change)
    more()
    return list(words)


def remove(name):
    def change(run):
        file = run / name
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    return change


def write(name, content):
    return lambda run: (run / name).write_text(content)


def two_runs(*words, change=lambda run: None):
    "A command over two run folders `run` and `other`"
    held_run("other")
    return over(*words, change=change)


def corrected(value=1, name="c0", shape=(20, 24, 16)):
    "A folder `mended` with a label file"
    Path("mended").mkdir()
    label = nib.Nifti1Image(np.full(shape, value, np.uint8), np.eye(4))
    nib.save(label, f"mended/{name}.nii.gz")


def correct(*words, **kw):
    data_set("set")
    corrected(**kw)
    return ["correct", *words]


sums = dict(a="case,dice_1\nx,.1\ny,.2\nz,.3\n", b="case,dice_1\nx,.2\ny,.3\nz,.5\n")


def tables(*words, **content):
    "A command over tables of scores `a.csv` and `b.csv`"
    for name, text in (sums | content).items():
        Path(f"{name}.csv").write_text(text)
    return list(words)


export = partial(over, "export", "run", "--out", "x", "--to")
commands = {
    "ensemble one": partial(over, "ensemble", "run", "--out", "e"),
    "ensemble itself": partial(over, "ensemble", "run", "run", "--out", "e"),
    "ensemble nowhere": partial(over, "ensemble", "run", "nowhere", "--out", "e"),
    "ensemble onto a run": partial(two_runs, "ensemble", "run", "other", "--out", "run"),
    "ensemble no folder above": partial(two_runs, "ensemble", "run", "other", "--out", "a/b/c"),
    "ensemble empty": partial(two_runs, "ensemble", "run", "other", "--out", "e", "--empty", "7"),
    "ensemble device": partial(two_runs, "ensemble", "run", "other", "--out", "e", "--device", "x"),
    "ensemble data": partial(two_runs, "ensemble", "run", "other", "--out", "e", "--data", "x"),
    "ensemble labels": partial(
        two_runs,
        *("ensemble", "run", "other", "--out", "e"),
        change=entry("run.json", labels={"0": "b", "1": "other"}),
    ),
    "ensemble cohort": partial(
        two_runs, "ensemble", "run", "other", "--out", "e", change=remove("cohort.csv")
    ),
    "doubt nowhere": lambda: ["doubt", "nowhere"],
    "doubt no cohort": partial(over, "doubt", "run", change=remove("cohort.csv")),
    "doubt no fold": partial(over, "doubt", "run", change=remove("fold0")),
    "doubt cohort cut": partial(over, "doubt", "run", change=write("cohort.csv", "case,fo")),
    "doubt no case": partial(over, "doubt", "run", change=write("cohort.csv", "case,fold\n")),
    "doubt unknown case": partial(
        over, "doubt", "run", change=write("cohort.csv", "case,fold\nq,0\n")
    ),
    "doubt fold of texts": partial(
        over, "doubt", "run", change=write("cohort.csv", "case,fold\nc0,a\nc1,b\n")
    ),
    "doubt empty": partial(over, "doubt", "run", "--empty", "0.5"),
    "doubt empty text": partial(over, "doubt", "run", "--empty", "x"),
    "doubt device": partial(over, "doubt", "run", "--device", "gpu"),
    "doubt data": partial(over, "doubt", "run", "--data", "nowhere"),
    "doubt figure": partial(over, "doubt", "run", "--figure", "a.xyz"),
    "doubt figure nowhere": partial(over, "doubt", "run", "--figure", "no/a.png"),
    "doubt out alone": partial(over, "doubt", "run", "--out", "maps"),
    "doubt images alone": partial(over, "doubt", "run", "--images", "image.nii"),
    "doubt images nowhere": partial(over, "doubt", "run", "--images", "no", "--out", "m"),
    "doubt out a file": partial(
        over, "doubt", "run", "--images", "image.nii", "--out", "image.nii"
    ),
    "doubt one network": partial(
        over,
        *("doubt", "run", "--images", "image.nii", "--out", "m"),
        change=entry("run.json", tta=[""]),
    ),
    "doubt params": partial(over, "doubt", "run", change=write("params.json", "[1]")),
    "doubt params data": partial(over, "doubt", "run", change=write("params.json", '{"data": 5}')),
    "suspects nowhere": lambda: ["suspects", "nowhere"],
    "suspects 0 slices": partial(over, "suspects", "run", "--slices", "0"),
    "suspects -1 slices": partial(over, "suspects", "run", "--slices", "-1"),
    "suspects out": partial(over, "suspects", "run", "--out", "no/s.csv"),
    "suspects out a folder": partial(over, "suspects", "run", "--out", "set"),
    "suspects no cohort": partial(over, "suspects", "run", change=remove("cohort.csv")),
    "suspects device": partial(over, "suspects", "run", "--device", "x"),
    "correct nowhere": lambda: ["correct", "nowhere", "mended", "--out", "v.csv"],
    "correct no folder": lambda: ["correct", data_set(), "nowhere", "--out", "v.csv"],
    "correct a stranger": partial(correct, "set", "mended", "--out", "v.csv", name="c9"),
    "correct a label": partial(correct, "set", "mended", "--out", "v.csv", value=7),
    "correct a shape": partial(correct, "set", "mended", "--out", "v.csv", shape=(4, 4, 4)),
    "correct below": partial(correct, "set", "mended", "--out", "set/v.csv"),
    "correct no place": partial(correct, "set", "mended", "--out", "no/v.csv"),
    "correct a folder": partial(correct, "set", "mended", "--out", "."),
    "correct pattern": partial(correct, "set", "mended", "--out", "v.csv", "--images", "{x}.nii"),
    "curve no lesson": lambda: ["curve", "nothing", "--minutes", "1"],
    "curve 0 minutes": lambda: ["curve", "template", "--minutes", "0"],
    "curve nan minutes": lambda: ["curve", "template", "--minutes", "nan"],
    "curve 0 seeds": lambda: ["curve", "template", "--minutes", "1", "--seeds", "0"],
    "curve no share": lambda: ["curve", "look_first", "--minutes", "1"],
    "curve setting": lambda: ["curve", "template", "--minutes", "1", "-p", "nothing=1"],
    "curve share": lambda: ["curve", "template", "--minutes", "1", "-p", "share=2"],
    "rules nowhere": lambda: ["rules", "nowhere"],
    "rules a file": lambda: (Path("x.txt").write_text("x"), ["rules", "x.txt"])[1],
    "rules no labels": lambda: (shutil.rmtree(data_set() / "labelsTr"), ["rules", "set"])[1],
    "rules run nowhere": lambda: ["rules", data_set(), "--run", "no/run"],
    "rules run a file": lambda: ["rules", data_set(), "--run", "set/dataset.json"],
    "rules pattern": lambda: ["rules", data_set(), "--images", "{x}.nii"],
    "export kind": partial(export, "tensorflow"),
    "export nowhere": lambda: ["export", "nowhere", "--to", "onnx", "--out", "x"],
    "export onto the run": partial(over, "export", "run", "--out", "run", "--to", "onnx"),
    "export onto a file": partial(over, "export", "run", "--out", "image.nii", "--to", "onnx"),
    "export slug": partial(export, "grand-challenge", "--slug", "a/b"),
    "export license": partial(export, "huggingface", "--license", "a\nb: c"),
    "export name": partial(export, "monai", "--name", "../up"),
    "export data": partial(export, "onnx", "--data", "nowhere"),
    "export with": partial(export, "onnx", "--with", "nowhere.py"),
    "export no weights": partial(export, "onnx", change=remove("fold0/model.safetensors")),
    "export no run.json": partial(export, "torch", change=remove("run.json")),
    "watch nowhere": lambda: ["watch", "nowhere"],
    "watch a file": partial(over, "watch", "image.nii"),
    "stop nowhere": lambda: ["stop", "nowhere"],
    "stop at rest": partial(over, "stop", "run"),
    "stop 0": partial(over, "stop", "run", "--epochs", "0"),
    "stop text": partial(over, "stop", "run", "--epochs", "x"),
    "stop note": partial(over, "stop", "run", change=write("fold0/training.json", "[]")),
    "extend nowhere": lambda: ["extend", "nowhere", "--minutes", "1"],
    "extend at rest": partial(over, "extend", "run", "--minutes", "1"),
    "extend nan": partial(over, "extend", "run", "--minutes", "nan"),
    "extend -1": partial(over, "extend", "run", "--minutes", "-1"),
    "sweep twice": lambda: ["sweep", "template", "-p", "bs=2,2"],
    "sweep range": lambda: ["sweep", "template", "-p", "minutes=1..2"],
    "sweep range down": lambda: [
        *("sweep", "template", "-p", "minutes=2..1", "--sampler", "optuna")
    ],
    "sweep trials": lambda: [
        *("sweep", "template", "-p", "minutes=1,2", "--sampler", "optuna", "--trials", "0")
    ],
    "sweep out a file": partial(over, "sweep", "template", "-p", "minutes=1", "--out", "image.nii"),
    "sweep minutes": lambda: ["sweep", "template", "-p", "seed=1", "--minutes", "-1"],
    "rank other cases": partial(tables, "rank", "a.csv", "b.csv", b="case,dice_1\nu,1\nv,1\nw,1\n"),
    "rank hole": partial(tables, "rank", "a.csv", "b.csv", b="case,dice_1\nx,\ny,.3\nz,.5\n"),
    "rank text": partial(tables, "rank", "a.csv", "b.csv", b="case,dice_1\nx,a\ny,b\nz,c\n"),
    "rank score": partial(tables, "rank", "a.csv", "b.csv", "--score", "nsd"),
    "rank figure": partial(tables, "rank", "a.csv", "b.csv", "--figure", "a.xyz"),
    "rank the same": partial(tables, "rank", "a.csv", "a.csv"),
    "compare a file": partial(over, "compare", "run", "image.nii"),
    "compare figure": partial(two_runs, "compare", "run", "other", "--figure", "a.xyz"),
    "compare html": partial(two_runs, "compare", "run", "other", "--html", "no/a.html"),
    "compare margin nan": partial(two_runs, "compare", "run", "other", "--margin", "nan"),
    "runs html": partial(over, "runs", ".", "--html", "no/a.html"),
    "doctor nowhere": lambda: ["doctor", "/proc/nothing"],
}
right = {
    "correct no place": "the folder is made",
    "ensemble no folder above": "the folder is made",
    "rules run nowhere": "the folder is made",
}
for name, build in commands.items():
    command("newest", name, build, right.get(name, ""))

two = np.full((2, 2, 4, 4), 0.5, np.float32)
calls(
    "newest",
    spread_of_one=partial(spread_of, [two]),
    spread_of_shapes=lambda: spread_of([two, two[:, :1]]),
    spread_of_text=partial(spread_of, "ab"),
    doubt_truth=lambda: doubt_table(["a"], lambda case: (two, two[0, :1]), empty=1),
    doubt_one_value=lambda: doubt_table(["a"], lambda case: two, empty=1),
    doubt_bins=lambda: doubt_table(["a"], lambda case: (two, two[0]), empty=1, bins=0),
    suspects_truth=lambda: suspect_labels(["a"], lambda case: (two, two[0, :1])),
    suspects_negative=lambda: label_conflict(two, -np.ones((2, 4, 4), int)),
    suspects_floats=lambda: label_conflict(two, two[0]),
    thin_share=lambda: thin_index(pd.DataFrame(), pd.DataFrame(), 0, NAN),
    curve_seeds=lambda: learning_curve(print, "curve", 1, seeds=0),
    curve_train=lambda: learning_curve(None, "curve", 1),
    curve_margin=lambda: curve_words(curve_table("nowhere"), NAN),
    gain_one=partial(next_gain, [0.1]),
    gain_text=partial(next_gain, "ab"),
    ensemble_runs=lambda: make_ensemble(held_run(), "e"),
    ensemble_number=lambda: make_ensemble([1, 2], "e"),
    held_nowhere=partial(load_held, "nowhere"),
    rank_rule=lambda: rank_draws(pd.DataFrame(np.eye(3)), rule=5),
    shake_patients=lambda: shake_up(pd.DataFrame(np.eye(3)), 1, 1, patients=[1]),
    stop_fraction=lambda: stop_run(held_run(), 1.5),
    extend_text=lambda: extend_run(held_run(), "1"),
    watch_every=lambda: list(watch_run(held_run(), every=-1)),
)
