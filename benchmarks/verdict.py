"""(y) How often `compare` and `sweep` make a false claim, and how often they find a gain of .02: 500 draws each.

usage: python benchmarks/verdict.py [DRAWS]       about a minute

Drawn scores have the spread of the hippocampus scores: 40 patients, cases differ by .03, two trainings of the same settings by .012 in a case and, as a
whole, by `luck` from seed to seed. `compare`: two run folders, one seed each. `sweep`: two settings with three seeds each. Shares of better, equal, undecided, worse.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from common import keep

from seg_course.score.verdict import verdict
from seg_course.train.runs import compare_runs

N, CASES, OWN = 40, 0.03, 0.012
WORDS = ("better", "equal", "undecided", "worse")


def scores(rng, easy, luck, gain=0.0):
    "Scores of one training"
    return easy + gain + rng.normal(0, luck) + rng.normal(0, OWN, N)


def write_run(folder, name, dice, **settings):
    run = folder / name
    run.mkdir(exist_ok=True)
    (run / "params.json").write_text(json.dumps(settings))
    rows = dict(case=[f"p{i}" for i in range(N)], dice_1=dice)
    pd.DataFrame(rows).to_csv(run / "scores.csv", index=False)
    return run


def compared(rng, folder, luck, gain, lr):
    "The word of `compare` on two runs"
    easy = rng.normal(0.88, CASES, N)
    a = write_run(folder, "a", scores(rng, easy, luck), lr=1, seed=0)
    b = write_run(folder, "b", scores(rng, easy, luck, gain), lr=lr, seed=1)
    return compare_runs([a, b])["verdicts"].verdict[0]


def swept(rng, folder, luck, gain, lr):
    "The word of `sweep` on two settings with three seeds"
    easy = rng.normal(0.88, CASES, N)
    a, b = ([scores(rng, easy, luck, g) for _ in range(3)] for g in (0, gain))
    return verdict(np.array(a), np.array(b))["verdict"]


def main(draws=500):
    rows = {}
    with tempfile.TemporaryDirectory() as tmp:
        for name, f, luck, gain, lr in (
            ("compare, same settings, other seed", compared, 0.005, 0, 1),
            ("compare, other settings, no gain, luck 0", compared, 0, 0, 2),
            ("compare, other settings, no gain, luck .005", compared, 0.005, 0, 2),
            ("compare, gain .02, luck 0", compared, 0, 0.02, 2),
            ("compare, gain .02, luck .005", compared, 0.005, 0.02, 2),
            ("sweep, three seeds, no gain, luck .005", swept, 0.005, 0, 2),
            ("sweep, three seeds, gain .02, luck .005", swept, 0.005, 0.02, 2),
        ):
            rng = np.random.default_rng(0)
            words = [f(rng, Path(tmp), luck, gain, lr) for _ in range(draws)]
            rows[name] = {word: round(words.count(word) / draws, 3) for word in WORDS}
            print(name, rows[name], flush=True)
    keep("verdict", rows, unit="share of the draws", draws=draws)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
