"""Dice for minutes: this project beside its peers, on the same cases, cores and minutes.

usage: python benchmarks/quality.py DATA [DATA ...] [--contestants ours,smp_unet] [--minutes 5 15]
           [--seeds 3] [--folds 0] [--threads 2] [--clock wall] [--choose]
       python benchmarks/quality.py --retire ours
       python benchmarks/quality.py --report

A contestant is a program in `benchmarks/entries`; its first lines say after which documentation it
is set up, and what is unfair to whom. All get the split of `benchmarks/league` as files: a fifth of
the patients is the test, and of the rest, the same fifth is kept for choosing among epochs and
settings, so that all learn from the same cases. Minutes are those of training, by the wall clock
or, where others work on the machine, by the processor's (`--clock cpu --threads 1`); preparation
and prediction are timed beside them. The maps that come back are on the original grid,
and one scorer scores all. With `--choose`, each setting of a contestant is first trained for the
same minutes and scored on the inner cases, and the best one takes part; without it, the first one.
DATA is a folder, or a name below SEG_COURSE_DATA. Contestants of one seed run one after the other.
Each run is a line of `results/quality.jsonl`, with machine, versions, and load at start and end; a
line that is there is not run again, until `--retire` says that its contestant has changed. A peer
whose packages are missing is left out.
`pip install -e ".[bench]"` and `pip install albumentations fastMONAI` bring them; `--python`
names the interpreter of an environment of their own."""

import argparse
import ast
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from common import RESULTS, keep, machine
from league import (
    as_facts,
    data_folder,
    keep_line,
    read_lines,
    read_split,
    run_entry,
    score_entry,
    write_task,
)

HERE = Path(__file__).resolve().parent
RAW = RESULTS / "quality.jsonl"
CONTESTANTS = dict(
    ours="seg_course",
    smp_unet="smp",
    fastai_unet="fastai",
    monai_net="MONAI",
    fastmonai_unet="fastMONAI",
    nnunet="nnU-Net",
)
PICTURES = ("DSB2018_stained", "EBHI-Seg")  # of which fastMONAI knows nothing
KEY = "data contestant minutes fold seed threads clock choice stage".split()


def key_of(line):
    "What makes a run the same run"
    return json.dumps([line[k] for k in KEY])


def choices_of(contestant, python):
    "The settings that a contestant lists, the usual ones first; none if it cannot run here"
    command = [python, HERE / "entries" / f"{contestant}.py", "--choices"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        print(f"{contestant} is left out: {ran.stderr.strip()[-300:]}", file=sys.stderr)
        return []
    return json.loads(ran.stdout.splitlines()[-1])


def commit():
    "The version of this project that runs"
    command = ["git", "-C", HERE, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def command_of(line, folder, python):
    "The command of a run"
    words = [python, HERE / "entries" / f"{line['contestant']}.py"]
    files = dict(train="train.csv", test="test.csv", out="out")
    for name, file in files.items():
        words += [f"--{name}", folder / file]
    for name in ("minutes", "seed", "threads", "clock"):
        words += [f"--{name}", line[name]]
    return [str(w) for w in (*words, "--choice", json.dumps(line["choice"]))]


def run_one(line, data, split, python):
    "Train, predict and score one contestant once; -> the whole line"
    with TemporaryDirectory() as tmp:
        folder = Path(tmp)
        test = write_task(split, line["fold"], folder, inner=line["stage"] == "choose")
        limit = 60 * (10 * line["minutes"] + 20)  # training is held to its minutes; see `train_s`
        pinned = line["clock"] == "wall"  # others work on the machine, and may be on that core
        ran = run_entry(command_of(line, folder, python), line["threads"], limit, pinned)
        if ran["code"] != 0:
            return line | ran
        facts = json.loads((folder / "out" / "facts.json").read_text())
        (folder / "out" / "facts.json").unlink()
        scores = as_facts(score_entry(folder / "out", data, test))
    about = dict(date=time.strftime("%Y-%m-%d %H:%M"), commit=commit(), machine=machine())
    return line | ran | facts | scores | about


def run_or_read(line, data, split, python):
    "A run that is in the file already, or a new one"
    for old in read_lines(RAW):
        if key_of(old) == key_of(line):
            return old
    print(*line.values(), flush=True)
    line = run_one(line, data, split, python)
    if "mean" in line:  # what failed is tried again next time
        keep_line(RAW, line)
    shown = "mean dice train_s cpu_s steps load seconds code".split()
    print({k: line[k] for k in shown if k in line}, flush=True)
    return line


def retire(contestant):
    "Keep the lines of a contestant that has changed, but out of the table; it is run again"
    lines = read_lines(RAW)
    for line in lines:
        if line["contestant"] == contestant and line["stage"] == "test":
            line["stage"] = "before"
    RAW.write_text("".join(json.dumps(line) + "\n" for line in lines))


def choose(line, choices, data, split, python):
    "The setting with the best Dice on the inner cases"
    if len(choices) == 1:
        return choices[0]
    trial = line | dict(stage="choose", seed=0)
    got = [run_or_read(trial | dict(choice=c), data, split, python) for c in choices]
    return max(got, key=lambda d: d.get("mean", -1))["choice"]


def compete(data, args, minutes, fold):
    "All contestants on one data set and fold: one after the other for each seed"
    split = read_split(data)
    choices = {c: choices_of(c, args.python) for c in args.contestants}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for contestant, known in choices.items():
            if not known:
                continue
            line = dict(data=data.name, contestant=contestant, minutes=minutes, fold=fold)
            line |= dict(seed=seed, threads=args.threads, clock=args.clock)
            line |= dict(choice=known[0], stage="test")
            if args.choose:
                line["choice"] = choose(line, known, data, split, args.python)
            if args.choice is not None:
                line["choice"] = args.choice
            run_or_read(line, data, split, args.python)


def tests():
    "The runs that were tested, a row each"
    lines = [d for d in read_lines(RAW) if d["stage"] == "test" and "mean" in d]
    return pd.DataFrame(lines)


def case_scores(runs):
    "Dice of each case: rows are seeds, columns are cases of all folds; NaN where a fold was not run"
    rows = {}
    for run in runs.itertuples():
        rows.setdefault(run.seed, {}).update(run.cases)
    return pd.DataFrame(rows).T


def drawn(rng, scores):
    """Dice of each case, a mean over seeds that are drawn with replacement; a single one stays

    Cases of a fold share their draw, from the seeds that ran that fold."""
    known = ~np.isnan(scores)
    out = np.empty(scores.shape[1])
    for ran in np.unique(known, axis=1).T:
        cases = (known == ran[:, None]).all(0)
        seeds = rng.choice(np.flatnonzero(ran), ran.sum())
        out[cases] = scores[seeds][:, cases].mean(0)
    return out


def interval(ours, theirs, patients, n=5000):
    """95 % interval of a mean gain

    Scores are arrays (seeds, cases). Patients are drawn with replacement, the same ones for both,
    and the seeds of each: with one seed, its luck is not in the interval."""
    rng = np.random.default_rng(0)
    of_patient = [np.flatnonzero(patients == name) for name in np.unique(patients)]
    gains = []
    for draw in rng.integers(0, len(of_patient), (n, len(of_patient))):
        rows = np.concatenate([of_patient[i] for i in draw])
        gains.append((drawn(rng, ours) - drawn(rng, theirs))[rows].mean())
    return np.percentile(gains, [2.5, 97.5]).round(3).tolist()


def compared(ours, theirs, data):
    "Gain of this project over a peer on the cases of both, and its interval"
    a, b = case_scores(ours), case_scores(theirs)
    cases = a.columns.intersection(b.columns)
    a, b = a[cases], b[cases]
    split = pd.read_csv(HERE / "league" / f"{data}.csv", dtype=str).set_index("case")
    patients = split.patient[cases].values
    return round(float((a.mean() - b.mean()).mean()), 4), interval(a.values, b.values, patients)


def row_of(runs, ours, data):
    "A row of the table: one contestant with one setting, all its seeds"
    row = dict(
        Dice=round(float(case_scores(runs).mean().mean()), 4),
        cases=len(case_scores(runs).columns),
        trainings=", ".join(f"{m:.3f}" for m in runs.sort_values(["seed", "fold"])["mean"]),
        steps=int(runs.steps.mean()),
        minutes=round(float(runs.train_s.mean() / 60), 1),
        processor=round(float(runs.cpu_s.mean() / 60), 1),
        load=f"{min(map(min, runs.load)):.1f} to {max(map(max, runs.load)):.1f}",
    )
    if runs.contestant.iloc[0] == "ours" or not len(ours):
        return row
    gain, ends = compared(ours, runs, data)
    return row | {"seg_course's gain": gain, "95 %": f"{ends[0]} to {ends[1]}"}


def _as_words(choice):
    "Settings, which are JSON, as they are shown"
    return choice[1:-1].replace('"', "")


def table(runs):
    "Rows of the report"
    rows = {}
    cell = ["data", "minutes", "threads", "clock"]
    for (data, minutes, threads, clock), group in runs.groupby(cell):
        ours = group[(group.contestant == "ours") & (group.choice.astype(str) == "{}")]
        keys = [group.contestant, group.choice.map(json.dumps)]
        for (contestant, choice), some in group.groupby(keys, sort=False):
            shown = "" if choice == "{}" else f" {_as_words(choice)}"
            where = f"{minutes:g} {clock} min, {threads} thread{'s' * (threads > 1)}"
            name = f"{data}, {where}, {CONTESTANTS[contestant]}{shown}"
            rows[name] = row_of(some, ours, data)
    return rows


def _plan_or_peer(runs):
    "Runs of peers, and of this project those without trial settings: nothing is chosen on the test"
    return runs[(runs.contestant != "ours") | (runs.choice.astype(str) == "{}")]


def _best_of_minutes(runs):
    "The runs of one contestant: of each number of minutes, those of the best setting"
    parts = []
    for _, some in runs.groupby("minutes"):
        settings = some.choice.map(json.dumps)
        parts.append(some[settings == some.groupby(settings)["mean"].mean().idxmax()])
    return pd.concat(parts)


def _plot_data(ax, name, runs):
    "One data set: a small dot for a seed, a large one for the mean"
    for contestant, label in CONTESTANTS.items():
        some = runs[runs.contestant == contestant]
        if not len(some):
            continue
        some = _best_of_minutes(some)
        colour = f"C{list(CONTESTANTS).index(contestant)}"
        means = some.groupby("minutes")["mean"].mean()
        ax.plot(means.index, means, "o-", label=label, color=colour)
        ax.plot(some.minutes, some["mean"], ".", ms=5, alpha=0.5, color=colour)
    low, high = runs["mean"].min(), runs["mean"].max()
    room = max(0.02, 0.1 * (high - low))
    ax.set(title=name, xlim=(0, 1.15 * runs.minutes.max()), ylim=(low - room, high + room))
    ax.set(xlabel="minutes of training", ylabel="Dice of a case")
    ax.legend(fontsize=7)


def plot(runs, file):
    "Dice against minutes, a panel a data set; the plan as it is, the best setting of each peer"
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    runs = _plan_or_peer(runs)
    names = sorted(runs.data.unique())
    axes = plt.subplots(1, len(names), figsize=(3.6 * len(names), 3), dpi=80, squeeze=False)[1][0]
    for ax, name in zip(axes, names):
        _plot_data(ax, name, runs[runs.data == name])
    axes[0].figure.tight_layout()
    axes[0].figure.savefig(file)


def _best_setting(runs):
    "Of a peer's runs, the setting and minutes with the best mean among those with most cases"
    groups = [some for _, some in runs.groupby([runs.choice.map(json.dumps), runs.minutes])]
    most = max(len(case_scores(some).columns) for some in groups)
    whole = [some for some in groups if len(case_scores(some).columns) == most]
    return max(whole, key=lambda some: case_scores(some).mean().mean())


def _sooner(ours, peer, data):
    "The shortest runs of this project that are as good as a peer's on the cases of both, as text"
    name, minutes = CONTESTANTS[peer.contestant.iloc[0]], peer.minutes.iloc[0]
    scores = case_scores(peer)
    begin = f"{data}, {name} after {minutes:g} min: {scores.mean().mean():.3f}"
    for sooner, some in ours[ours.minutes < minutes].groupby("minutes"):
        n = len(case_scores(some).columns.intersection(scores.columns))
        gain, ends = compared(some, peer, data) if n else (-1, ())
        if gain >= 0:
            return f"{begin}; {sooner:g} min: {gain:+.3f} ({ends[0]:+.3f} to {ends[1]:+.3f}), {n} cases"
    return f"{begin}; not reached in fewer minutes"


def reached(runs):
    "The fewest minutes of those that were run after which this project is as good as a peer's best"
    out = []
    for (data, threads, clock), group in runs.groupby(["data", "threads", "clock"]):
        ours = group[group.contestant == "ours"]
        for _, some in group[group.contestant != "ours"].groupby("contestant"):
            peer = _best_setting(some)
            if (ours.minutes < peer.minutes.iloc[0]).any():
                out.append(_sooner(ours, peer, data))
    if not out:
        return ""
    begin = (
        "The best mean of a peer, and of the minutes that were run here, the fewest with a gain of 0 "
        "or more over it, with the 95 % interval of the gain"
    )
    return f"\n\n{begin}:\n\n- " + "\n- ".join(out)


def tried():
    "What was tried on inner cases, so that the best setting takes part"
    lines = [d for d in read_lines(RAW) if d["stage"] == "choose" and "mean" in d]
    cells = {}
    for d in lines:
        cell = f"{d['data']}, {d['minutes']:g} min, {CONTESTANTS[d['contestant']]}"
        setting = _as_words(json.dumps(d["choice"]))
        cells.setdefault(cell, []).append(f"{setting} ({d['mean']:.3f})")
    if not cells:
        return ""
    said = "; ".join(f"{cell}: {' / '.join(settings)}" for cell, settings in cells.items())
    return f"\n\nTried on inner cases (one training each): {said}."


def unfair(contestants):
    "What the first lines of each contestant say about fairness"
    out = []
    for name in contestants:
        about = ast.get_docstring(ast.parse((HERE / "entries" / f"{name}.py").read_text()))
        said = " ".join(about.split("Unfair to", 1)[1].split())
        out.append(f"*{CONTESTANTS[name]}*: unfair to {said}")
    return "\n\n" + "\n\n".join(out)


def missing(runs):
    "Which contestants have no run where others have one"
    out = []
    for (data, minutes), some in runs.groupby(["data", "minutes"]):
        volumes = {"fastmonai_unet"} if data in PICTURES else set()
        lost = [c for c in CONTESTANTS if c not in {*some.contestant, *volumes}]
        if lost:
            names = ", ".join(CONTESTANTS[c] for c in lost)
            out.append(f"{data}, {minutes:g} min: {names}")
    return "\n\nNot run: " + "; ".join(out) + "." if out else ""


def report():
    "results/quality.json, which `report.py` reads, and quality.png"
    runs = tests()
    if not len(runs):
        raise SystemExit(f"{RAW}: has no runs yet")
    note = missing(runs) + tried() + reached(_plan_or_peer(runs))
    note += unfair(c for c in CONTESTANTS if c in set(runs.contestant))
    unit = "Dice of a case; the gain is the mean over the same cases"
    keep("quality", table(runs), unit=unit, note=note)
    plot(runs, HERE / "quality.png")


def _arguments():
    ask = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ask.add_argument("data", nargs="*")
    ask.add_argument("--contestants", type=lambda s: s.split(","), default=list(CONTESTANTS))
    ask.add_argument("--minutes", type=float, nargs="+", default=[15])
    ask.add_argument("--folds", type=int, nargs="+", default=[0])
    ask.add_argument("--seeds", type=int, default=1)
    ask.add_argument("--first-seed", type=int, default=0)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    ask.add_argument("--choose", action="store_true", help="choose settings on inner cases first")
    ask.add_argument("--choice", type=json.loads, help="settings for all contestants, as JSON")
    ask.add_argument("--python", default=sys.executable)
    ask.add_argument("--retire", choices=list(CONTESTANTS), help="its lines are of an old version")
    ask.add_argument("--report", action="store_true")
    return ask.parse_args()


def main():
    args = _arguments()
    odd = set(args.contestants) - set(CONTESTANTS)
    if odd:
        raise SystemExit(f"{sorted(odd)}: choose contestants among {sorted(CONTESTANTS)}")
    if args.retire:
        retire(args.retire)
    for data in args.data:
        for fold in args.folds:
            for minutes in args.minutes:
                compete(data_folder(data), args, minutes, fold)
    if args.report:
        report()


if __name__ == "__main__":
    main()
