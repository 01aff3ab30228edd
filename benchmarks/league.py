"""The minutes league: frozen patients, two cores, a few minutes, anyone's program.

usage: python benchmarks/league.py DATA --entry NAME --command COMMAND [--minutes 15] [--cores 2]
       python benchmarks/league.py --table

DATA is a folder whose name is that of a split in `benchmarks/league`, or its name below
SEG_COURSE_DATA. COMMAND is any program; before it runs, these words in it are replaced:
    {train}    CSV with the columns case, image, label, patient and inner (1: one of the cases that
               entries may use to choose settings with); labels.json beside it has the names
    {test}     CSV with the columns case and image
    {out}      empty folder; a label map for each case of {test} is expected there, on the grid of
               the image, as CASE.nii.gz (for a picture: CASE.png)
    {minutes}  minutes of wall-clock time for everything: starting, reading, training, predicting
    {seed}     whole number
A program that is not back in time is stopped, and does not count. Each case that has no label map
scores 0. A result is a line of results/league.jsonl, with the score of each case, the seconds, the
machine, and its load at the start and the end. Fold 0 is the test; that makes a record comparable.
    python benchmarks/league.py DSB2018_stained --entry ours --command "python \\
        benchmarks/entries/ours.py --train {train} --test {test} --out {out} --minutes {minutes} \\
        --seed {seed} --all-in"
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from common import RESULTS, keep, machine

SPLITS = Path(__file__).resolve().parent / "league"
RAW = RESULTS / "league.jsonl"


def data_folder(data):
    "A folder by its path, or by its name below SEG_COURSE_DATA"
    for folder in (Path(data), Path(os.environ.get("SEG_COURSE_DATA", "data")) / data):
        if folder.is_dir():
            return folder.resolve()
    raise SystemExit(f"{data}: is no folder, and there is none of this name in SEG_COURSE_DATA")


def freeze_split(data):
    "Write the split of a data set: five folds of patients, stratified by the size of the targets"
    from seg_course.all import case_stats, find_patients, make_folds, read_cohort

    cohort = find_patients(read_cohort(data))
    cohort["ml"] = case_stats(cohort).filter(like="ml_").sum(axis=1).values
    folds = make_folds(cohort, 5, "ml")[["case", "group", "fold"]]
    SPLITS.mkdir(exist_ok=True)
    folds.rename(columns=dict(group="patient")).to_csv(SPLITS / f"{data.name}.csv", index=False)


def read_split(data):
    "The cases of a frozen split with their files; all of them have to be there"
    from seg_course.all import read_cohort

    file = SPLITS / f"{data.name}.csv"
    if not file.is_file():
        known = ", ".join(sorted(f.stem for f in SPLITS.glob("*.csv")))
        raise SystemExit(f"{data.name}: has no frozen split; there is one for {known}")
    split = pd.read_csv(file, dtype=dict(case=str, patient=str))
    cohort = read_cohort(data)
    missing = sorted(set(split.case) - set(cohort.case))
    if missing:
        raise SystemExit(f"{data}: {len(missing)} cases of the split are not there: {missing[:3]}")
    out = split.merge(cohort[["case", "image", "label"]], on="case")
    out.attrs["labels"] = cohort.attrs["labels"]
    return out


def write_task(split, fold, folder, inner=False):
    """Write train.csv, test.csv and labels.json; -> the cases of the test

    One fold is kept back as test, and the next one is `inner`. With `inner=True`, that one is the
    test, and the test proper takes no part: so settings are chosen."""
    n = split.fold.max() + 1
    is_test, is_inner = split.fold == fold, split.fold == (fold + 1) % n
    train = split.assign(inner=is_inner.astype(int))[~is_test]
    test = split[is_inner if inner else is_test]
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["case", "image", "label", "patient", "inner"]
    train[columns].to_csv(folder / "train.csv", index=False)
    test[["case", "image"]].to_csv(folder / "test.csv", index=False)
    names = {int(c): name for c, name in split.attrs["labels"].items()}
    (folder / "labels.json").write_text(json.dumps(names))
    return test.reset_index(drop=True)


def _few_cores(n):
    "What a process does before it starts: keep to n cores"
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))[:n]
    return lambda: os.sched_setaffinity(0, cores)


def _environment(cores):
    "Environment in which libraries start no more threads than there are cores"
    names = "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS".split()
    return os.environ | dict.fromkeys(names, str(cores)) | dict(CUDA_VISIBLE_DEVICES="")


def run_entry(command, cores, limit, pinned=True):
    """Run a command on some cores; -> seconds, load before and after, and how it ended

    What is not `pinned` moves to the core that is free, with as many threads."""
    load, begun = os.getloadavg()[0], time.perf_counter()
    before = _few_cores(cores) if pinned else None
    process = subprocess.Popen(
        command, env=_environment(cores), preexec_fn=before, start_new_session=True
    )
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        code = f"stopped after {limit:.0f} s"
    seconds = round(time.perf_counter() - begun, 1)
    return dict(seconds=seconds, load=[round(load, 2), round(os.getloadavg()[0], 2)], code=code)


def score_entry(maps, data, test):
    "Dice of each case and label; a case without a label map scores 0"
    from seg_course.all import score_files

    if not any(maps.iterdir()):
        raise SystemExit(f"{maps}: the entry wrote no label map")
    scores, notes = score_files(maps, data, empty=1.0, distances=False, n_jobs=1)
    if notes["faults"]:
        print(*notes["faults"], sep="\n", file=sys.stderr)
    dice = scores.set_index("case").filter(like="dice")
    return dice.reindex(test.case).fillna(0.0).round(4)


def keep_line(file, line):
    "Add a line of JSON to a file"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as f:
        f.write(json.dumps(line) + "\n")


def read_lines(file):
    "The lines of a file of JSON, or none"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def as_facts(dice):
    "Scores of the cases, and their mean, ready for JSON"
    each = dice.mean(axis=1)
    return dict(
        mean=round(float(each.mean()), 4),
        dice=dice.mean().round(4).to_dict(),
        cases=each.round(4).to_dict(),
    )


def filled(command, folder, minutes, seed):
    "A command as a list, with what it needs in place of the words in braces"
    words = dict(train=folder / "train.csv", test=folder / "test.csv", out=folder / "out")
    words |= dict(minutes=f"{minutes:g}", seed=seed)
    return [word.format(**words) for word in shlex.split(command)]


def play(data, args):
    "One entry of the league; -> its line"
    split = read_split(data)
    with TemporaryDirectory() as tmp:
        folder = Path(tmp)
        test = write_task(split, 0, folder)
        (folder / "out").mkdir()
        command = filled(args.command, folder, args.minutes, args.seed)
        ran = run_entry(command, args.cores, 60 * args.minutes)
        if ran["code"] != 0:
            raise SystemExit(f"{args.entry}: no result: {ran}")
        facts = as_facts(score_entry(folder / "out", data, test))
    return dict(
        date=time.strftime("%Y-%m-%d"),
        data=data.name,
        entry=args.entry,
        minutes=args.minutes,
        seed=args.seed,
        command=args.command,
        cores_used=args.cores,
        **ran,
        **facts,
        machine=machine(),
    )


def records():
    "Rows of the table: the entries of each data set, the best one first; results/league.json too"
    lines = sorted(read_lines(RAW), key=lambda d: (d["data"], d["minutes"], -d["mean"]))
    rows = {}
    for d in lines:
        name = f"{d['data']}, {d['entry']}, seed {d['seed']}"
        rows[f"{name}, {d['minutes']:g} min"] = dict(
            Dice=d["mean"],
            cases=len(d["cases"]),
            seconds=d["seconds"],
            cores=d["cores_used"],
            load=d["load"],
            date=d["date"],
        )
    return rows


def _arguments():
    ask = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ask.add_argument("data", nargs="?")
    ask.add_argument("--entry")
    ask.add_argument("--command")
    ask.add_argument("--minutes", type=float, default=15)
    ask.add_argument("--cores", type=int, default=2)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--table", action="store_true")
    ask.add_argument("--freeze", action="store_true", help="write a split; never again for a set")
    return ask.parse_args()


def main():
    args = _arguments()
    if args.table or not args.data:
        keep("league", records(), unit="Dice of a case of fold 0; minutes are for everything")
    elif args.freeze:
        freeze_split(data_folder(args.data))
    elif not (args.entry and args.command):
        raise SystemExit("an entry needs --entry NAME and --command COMMAND")
    else:
        line = play(data_folder(args.data), args)
        keep_line(RAW, line)
        print(line["mean"], line["dice"], f"{line['seconds']:.0f} s")


if __name__ == "__main__":
    main()
