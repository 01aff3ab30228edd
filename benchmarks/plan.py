"""A planned run: how good is a network whose settings nobody chose?

usage: python benchmarks/plan.py DATA [DATA ...] [--minutes 15] [--fold 0] [--seed 42] [--fixed JSON]

DATA is a folder that `read_cohort` knows. Patients are found in the names of the cases, the plan is made and timed here, one fold is trained and predicts its own cases as
`seg_course predict` does, and each label is scored case by case on the original grid (a label on neither side counts 1). The JSON line has the plan's main values beside the
scores, and an interval of the mean (bootstrap over patients). Rows of other data stay in `results/plan.json`."""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from common import RESULTS, keep


def interval(values, patients, n=2000):
    "95 % interval of the mean, by drawing patients with replacement"
    rng = np.random.default_rng(0)
    names = np.unique(patients)
    rows = [np.flatnonzero(patients == name) for name in names]
    means = []
    for _ in range(n):
        drawn = rng.integers(0, len(rows), len(rows))
        means.append(values[np.concatenate([rows[i] for i in drawn])].mean())
    return np.percentile(means, [2.5, 97.5]).round(4).tolist()


def planned(data, minutes, fold, seed, run, fixed):
    "Plan, train, predict and score one fold of a data set"
    from seg_course.all import (
        case_stats,
        fit_plan,
        guess_groups,
        make_folds,
        plan_learner,
        plan_recipe,
        plan_run,
        predict_files,
        prepare,
        read_cohort,
        save_plan_run,
        score_files,
        sound_cohort,
    )
    from seg_course.files.common import write_json

    cohort = sound_cohort(read_cohort(data, group=guess_groups(read_cohort(data).case)[0]))
    began = time.perf_counter()
    plan = plan_run(cohort, minutes, **fixed)
    planning = time.perf_counter() - began
    stats = case_stats(cohort)
    cohort["ml"] = stats.filter(like="ml_").sum(axis=1)
    cohort = make_folds(cohort, plan["n_folds"], "ml", seed=seed)
    idx = prepare(cohort, plan_recipe(plan), run / "store")
    began, worked = time.perf_counter(), time.process_time()
    learn = plan_learner(plan, run, idx, cohort, fold, seed=seed)
    fit_plan(learn, plan, run / f"fold{fold}", seed=seed)
    training = time.perf_counter() - began
    worked = time.process_time() - worked
    save_plan_run(plan, run)
    write_json(run / "post.json", [])
    held = cohort[cohort.fold == fold]
    predict_files(run, dict(zip(held.case, held.image)), run / "maps")
    scores, _ = score_files(run / "maps", data, empty=1.0, distances=False)
    dice = scores.set_index("case").filter(like="dice").loc[held.case]
    each = dice.mean(axis=1).values
    return dict(
        minutes=minutes,
        fold=fold,
        seed=seed,
        fixed=fixed,
        dice=dice.mean().round(4).to_dict(),
        mean=round(float(each.mean()), 4),
        interval=interval(each, held.group.values),
        cases=len(held),
        planning_s=round(planning, 1),
        training_min=round(training / 60, 2),
        processor_min=round(worked / 60, 2),
        plan={
            k: plan[k] for k in ("dims", "spacing", "crop_mm", "size", "bs", "batches", "epochs")
        },
    )


if __name__ == "__main__":
    ask = argparse.ArgumentParser()
    ask.add_argument("data", nargs="+")
    ask.add_argument("--minutes", type=float, default=15)
    ask.add_argument("--fold", type=int, default=0)
    ask.add_argument("--seed", type=int, default=42)
    ask.add_argument("--fixed", type=json.loads, default={}, help="planned values that are given")
    args = ask.parse_args()
    old = RESULTS / "plan.json"
    rows = json.loads(old.read_text())["rows"] if old.is_file() else {}  # other data stays
    for data in args.data:
        with TemporaryDirectory() as folder:
            given = args.minutes, args.fold, args.seed, Path(folder), args.fixed
            rows[Path(data).name] = planned(data, *given)
        print(json.dumps(rows[Path(data).name]), flush=True)
    keep("plan", rows)
