"""Writes README.md and ratios.png from `results/*.json`.

usage: python benchmarks/report.py
"""

import json

import matplotlib

matplotlib.use("agg")
from pathlib import Path

import matplotlib.pyplot as plt
from common import PACKAGES, RESULTS

HERE = Path(__file__).resolve().parent

TITLES = dict(
    quality="Dice for minutes",
    league="The minutes league",
    sampling="(a) Oversampled, augmented samples",
    epoch="(a) An epoch",
    step="(b) Training step",
    decoder="(b) Dice of the decoders",
    preparation="(c) Preparation",
    inference="(d) Sliding window and flips",
    window3d="(d) 3D networks in a sliding window",
    chest="Chest CTs of full size",
    organs="Organs at full size",
    scoring="Scores of a case",
    post="(e) Post-processing",
    hysteresis="(e) Hysteresis and its tuning",
    augment="Augmentation of pictures",
    growth="(f) Growth with cohort and cores",
    engines="Dask beside loky",
    together="One training on two processes",
    memory="Memory of a whole run",
    file_memory="Memory of reading, a kind of file a row",
    plan="Planned runs: nobody chose a setting",
    gains="What folds, RankSEG and a temperature gain on the hippocampus",
    verdict="Claims of `compare` and `sweep` that are false",
    sweep_kill="A sweep that is killed",
    reading="Reading",
    damage="Damaged files",
    hostile="Hostile run folders",
    storm="Wrong input",
    kills="Kills",
    imports="Imports",
    card="Before a card is there",
)
HEAD = """# Benchmarks

Written by `python benchmarks/report.py` from the files in `results/`; do not edit. Each script is one row of figures and runs alone; rivals work in the same process
and the same minute, in turn, on the same data, and the best of their rounds counts. `pip install -e ".[bench]"` installs them.
`ratio` is ours divided by the best rival of the line: of samples or volumes a second, above 1 is good; of seconds, below 1. What a script compares, and where the comparison is unfair to someone, stands in its first lines.

![how many times as fast as the best rival](ratios.png)
"""

TEXTS = dict(
    plan="""One fold, grouped by patient; predictions on the original grid, without post-processing, `OMP_NUM_THREADS=1`. The nodules of
LIDC are in the middle of their crops, which a network may learn instead of the nodules.""",
    gains="""40 test cases that no network saw; gains are paired, *low* to *high* is their 95 % interval over patients (and folds, where each is
compared). The long training has as many steps as the three folds together, and all cases of theirs.""",
    verdict="""Scores are drawn with the spread of those of the hippocampus, 40 cases, and judged as `compare` judges two runs and `sweep` two
settings. *Luck* is the standard deviation of what a seed does to all cases alike. With one seed on each side, luck is taken for a gain:
only several seeds tell them apart, which `compare` says.""",
    sweep_kill="""Twelve points on drawn cases. One sweep is killed with `kill -9` and continued; 1 is for yes. The cases are prepared once for
all points.""",
    growth="""Per second of processor time, the start of the worker processes included, on a machine with much other work. A hundred cases
are worked on in one process, more of them in two workers. If a case costs the same among 1,000 and among 10,000, the start of the workers
costs 4 s in the preparation and 14 s in the scores, whose workers load PyTorch and MONAI, and a case 11 ms and 15 ms; in one process,
without workers, it costs 8 ms and 11 to 13 ms. The samples include the start of their source, which looks at each case once. The peak is that of all processes together.""",
    together="""The same training on one process and on two, joined by gloo, on the same two cores.""",
    quality="""![Dice against minutes of training](quality.png)

The same cases, patient-grouped folds, threads and minutes for all; `cpu min` are minutes in which a process had a processor, which is
fair on a busy machine. Settings are those of the peers' own documentation, see `entries/`; where nothing was chosen on inner cases
(`--choose`), a peer has the first of its settings. A line is the mean over its seeds, and a line of this project with settings in its name
is a trial, not the plan. The gain is ours minus theirs over the cases of both, and its interval draws patients, and seeds where there
are several: the luck of a single seed, about .01 on each side here, is not in it. The plan's decoder for pictures was chosen after
trials on fold 0 of both sets of pictures, so that this fold can flatter it; other folds took no part in that choice. Of the
hippocampus, patients are unknown (195 adults; the files do not say whose), so its folds separate cases.""",
    league="""Frozen patients (`league/*.csv`, fold 0 is the test), two cores, 15 minutes by the wall clock for everything from start to
label maps. Any program may enter, and `league.py` says how; to beat a record, run its command with your program in its place.
The plan's decoder for pictures was chosen after trials on fold 0, so it can flatter the record on EBHI-Seg.""",
    card="""Networks and training steps on PyTorch's meta device, which has shapes and no numbers. A *wait* is a place where the host
would look at a number of the accelerator, and the accelerator would run empty. PyTorch's counter takes the gradient of a grouped
convolution for that of a full one (34 times the forward pass instead of 3 for 32 groups). So the step of `lite0`, `efficientnet_b3` and
`convnext_tiny`, which have such convolutions, is overstated: about three times the forward pass is right.""",
    hostile="""`predict` on run folders that were changed to do harm, in a process that is watched (files written outside of OUT, programs,
connections, pickled classes). With the checks of `model.json` and those of timm left out, some folders run programs and call the
internet, so the watch is awake.""",
    storm="""Calls with wrong input, each in a process of its own with a limit of time and memory. A *line* is one clear line (a `ValueError`, or
an exit code 1 or 2 and one line); *right* is a call that returned, and the script says why it may. Whatever is in another column
is to be mended. The groups `sig_` are made of the signatures of all public functions: each required argument is None, a text,
NaN and so on. There *python* is Python's own error, which says what it expected and got: for paths, and for functions on arrays and
networks.""",
    kills="""A small run of the first lesson is killed (by SIGKILL, and every fourth time by SIGTERM) and continued by the same command, again
and again. The files of each run that ends are compared with those of a run in peace: weights, prepared cases, probabilities, label maps,
scores, settings and histories. A second process on the same folder has to say so and stop.""",
)


def better(unit):
    return 1 if unit and unit.endswith("second") or unit == "samples/s" else -1


def cell(value):
    "A value in a cell of a table"
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {cell(v)}" for name, v in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(map(cell, value)) + "]"
    if isinstance(value, float) and value < 1e3:
        return f"{value:,g}"
    if isinstance(value, (int, float)):
        return f"{value:,.0f}"
    return str(value)


def table(rows):
    "Rows as a Markdown table"
    rows = {name: r if isinstance(r, dict) else dict(value=r) for name, r in rows.items()}
    columns = list(dict.fromkeys(c for r in rows.values() for c in r))
    if "ratio" in columns:
        columns = [c for c in columns if c != "ratio"] + ["ratio"]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, r in rows.items():
        lines.append(f"| {name} | {' | '.join(cell(r.get(c)) for c in columns)} |")
    return "\n".join(lines)


def main():
    out, bars = [HEAD], {}
    for stem, title in TITLES.items():
        for f in (RESULTS / f"{stem}.json", RESULTS / f"{stem}_gpu.json"):
            if not f.exists():
                continue
            d = json.loads(f.read_text())
            m = d["machine"]
            where = m["gpu"] if f.stem.endswith("gpu") else f"{m['cpu']}, {m['cores']} cores"
            unit = d.get("unit")
            text = f"{TEXTS[stem]} {d.get('note', '')}".rstrip() + "\n\n" if stem in TEXTS else ""
            out.append(
                f"## {title}\n\n`python benchmarks/{stem}.py`, {d['date']}, {where}{f'; {unit}' if unit else ''}\n\n{text}{table(d['rows'])}\n"
            )
            for k, r in d["rows"].items():
                if unit and isinstance(r, dict) and "ratio" in r:
                    bars[f"{stem}: {k}" + ("" if f.stem == stem else ", GPU")] = r[
                        "ratio"
                    ] ** better(unit)
            versions = {p: m[p] for p in PACKAGES if p in m}
    out.append("## Versions\n\n" + ", ".join(f"{p} {v}" for p, v in versions.items()))
    (HERE / "README.md").write_text("\n".join(out) + "\n")
    fig, ax = plt.subplots(figsize=(8, 0.28 * len(bars) + 1), dpi=80)
    names = list(bars)[::-1]
    ax.barh(
        names,
        [bars[n] for n in names],
        color=["#4c72b0" if bars[n] >= 1 else "#c44e52" for n in names],
    )
    ax.axvline(1, color="k", lw=1)
    ax.set_xscale("log")
    for i, n in enumerate(names):
        ax.text(bars[n] * 1.03, i, f"{bars[n]:.3g}x", va="center", fontsize=8)
    ax.set(
        xlabel="times as fast as the best rival (log scale)",
        xlim=(min(0.5, *bars.values()) * 0.8, max(bars.values()) * 4),
    )
    ax.set_xticks(
        t := [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100, 200) if t < max(bars.values()) * 1.5],
        [f"{k:g}" for k in t],
    )
    ax.set_xticks([], minor=True)
    fig.tight_layout()
    fig.savefig(HERE / "ratios.png")


if __name__ == "__main__":
    main()
