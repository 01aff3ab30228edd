"""Do the mean of folds, RankSEG and a temperature gain anything on real scans? Paired, with intervals.

usage: python benchmarks/gains.py DATA WORK [--epochs 3] [--batches 40]
           about fifteen minutes on one core; the same command continues

DATA is a folder that `read_cohort` knows, WORK a folder for the networks. A fifth of the patients
is the test. The others are trained in three folds, by the plan with a fixed number of steps, and
once altogether with as many steps as the three folds have (`one long training`). Gains are of the
mean Dice of a case on the test: the three folds count as seeds where each of them is compared.
The temperature is the one with the smallest cross-entropy on the out-of-fold predictions; voxels
count where foreground has 1 %, or is true. Nothing is chosen on the test."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from common import keep
from scipy.optimize import minimize_scalar

from seg_course.all import (
    case_stats,
    dice,
    fit_plan,
    keep_plan,
    load_oof,
    load_run,
    make_folds,
    plan_learner,
    plan_recipe,
    predict_oof,
    predict_probs,
    prepare,
    read_cohort,
    save_plan_run,
    sound_cohort,
    start_run,
)
from seg_course.files.cohort import read_case
from seg_course.files.common import write_json
from seg_course.predict.rankseg import rank_dice
from seg_course.score.calibration import confidence_counts, reliability_table
from seg_course.score.metric import counts
from seg_course.score.verdict import verdict

FOLDS = 3


def trained(cohort, work, name, folds, epochs, args):
    "A run folder with some folds of a cohort, trained by the plan"
    run = start_run(name, work / name, dict(epochs=epochs))
    fixed = dict(epochs=epochs, batches=args.batches, n_folds=FOLDS, lr=5e-3)
    plan = keep_plan(run, cohort, **fixed)
    idx = prepare(cohort, plan_recipe(plan), run / "store")
    save_plan_run(plan, run)
    write_json(run / "post.json", [])
    for fold in folds:
        learn = plan_learner(plan, run, idx, cohort, fold, seed=fold)
        fit_plan(learn, plan, run / f"fold{fold}", seed=fold)
        predict_oof(run, cohort, fold)
    return run


def with_temperature(probs, t):
    "Probabilities whose logits are divided by a temperature"
    logits = np.log(np.maximum(probs, 1e-7)) / t
    odds = np.exp(logits - logits.max(0))
    return odds / odds.sum(0)


def fit_temperature(cases, load):
    "The temperature with the smallest cross-entropy"
    chosen = []
    for case in cases:
        probs, truth = load(case)
        counted = (probs[1:].max(0) >= 0.01) | (truth > 0)
        chosen.append((probs[:, counted], truth[counted]))
    probs = np.concatenate([p for p, _ in chosen], 1).astype(float)
    truth = np.concatenate([t for _, t in chosen]).astype(int)

    def entropy(t):
        right = with_temperature(probs, t)[truth, np.arange(len(truth))]
        return -np.log(np.maximum(right, 1e-12)).mean()

    return float(minimize_scalar(entropy, bounds=(0.2, 5), method="bounded").x)


def mean_dice(msk, truth):
    return float(np.mean(dice(counts(msk, truth, (1, 2)), empty=1.0)))


def answers(cohort, run, long):
    "Test case -> (probabilities of each fold and of the long training, truth)"
    nets = load_run(run)["nets"] + load_run(long)["nets"]
    model = load_run(run)
    found = {}
    for row in cohort.itertuples():
        img, truth = read_case(row)
        each = [predict_probs(model | dict(nets=[net]), img).data for net in nets]
        found[row.case] = each, truth.data[0]
    return found


def gain_row(a, b, **more):
    "Mean Dice of two ways, their difference, and its interval"
    word = verdict(a, b, margin=0)
    row = dict(before=np.mean(a), after=np.mean(b), gain=word["gain"])
    row |= dict(low=word["low"], high=word["high"])
    return {k: round(float(v), 4) for k, v in row.items()} | more | dict(cases=word["patients"])


def calibration_error(pairs):
    return reliability_table(sum(confidence_counts(p, t) for p, t in pairs)).attrs["ece"]


def measured(rest, load, test, t):
    "Rows of the table: gains and calibration errors"

    def score(pick, decoder):
        return np.array([mean_dice(decoder(pick(each)), truth) for each, truth in test.values()])

    likely = partial(np.argmax, axis=0)
    warm = partial(with_temperature, t=t)
    alone = [lambda each, k=k: each[k] for k in range(FOLDS)]
    picks = dict(ensemble=lambda each: np.mean(each[:FOLDS], 0), long=lambda each: each[FOLDS])
    folds = np.array([score(pick, likely) for pick in alone])
    plain = {name: score(pick, likely) for name, pick in picks.items()}
    ranked = {name: score(pick, rank_dice) for name, pick in picks.items()}
    rows = {"mean of three folds, against each": gain_row(folds, np.stack([plain["ensemble"]] * 3))}
    rows["mean of three folds, against one long training"] = gain_row(
        plain["long"], plain["ensemble"]
    )
    ranked_folds = np.array([score(pick, rank_dice) for pick in alone])
    rows["RankSEG, one fold"] = gain_row(folds, ranked_folds)
    for name, label in dict(ensemble="mean of three folds", long="one long training").items():
        rows[f"RankSEG, {label}"] = gain_row(plain[name], ranked[name])
        pick = picks[name]
        heated = score(lambda each: warm(pick(each)), rank_dice)
        rows[f"temperature, then RankSEG, {label}"] = gain_row(plain[name], heated)
    held = [load(case) for case in rest]
    before, after = ([mean_dice(f(p), y) for p, y in held] for f in (likely, rank_dice))
    rows["RankSEG, out of fold"] = gain_row(np.array(before), np.array(after))
    errors = {}
    for name, pick in {"one fold": alone[0], **picks}.items():
        pairs = [(pick(each), truth) for each, truth in test.values()]
        heated = [(warm(p), truth) for p, truth in pairs]
        errors[name] = [round(float(calibration_error(x)), 4) for x in (pairs, heated)]
    return rows, errors


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("data")
    ask.add_argument("work", type=Path)
    ask.add_argument("--epochs", type=int, default=3)
    ask.add_argument("--batches", type=int, default=40)
    args = ask.parse_args()
    cohort = sound_cohort(read_cohort(args.data))
    cohort["ml"] = case_stats(cohort).filter(like="ml_").sum(axis=1)
    cohort = make_folds(cohort, 5, "ml", seed=0)
    # the last fifth is the test; the others are dealt out anew
    is_test = cohort.fold == 4
    rest = make_folds(cohort[~is_test].reset_index(drop=True), FOLDS, "ml", seed=0)
    run = trained(rest, args.work, "folds", range(FOLDS), args.epochs, args)
    # its fold 1 is the test, from which nothing is learnt
    both = cohort.assign(fold=is_test.astype(int))
    long = trained(both, args.work, "long", [1], FOLDS * args.epochs, args)
    load = partial(load_oof, run=run, df=rest)
    t = fit_temperature(rest.case, load)
    rows, errors = measured(rest.case, load, answers(cohort[is_test], run, long), t)
    facts = dict(steps=args.epochs * args.batches, temperature=round(t, 3), errors=errors)
    note = f"{facts['steps']} steps a fold, temperature {t:.2f}; calibration errors before and after it: "
    note += ", ".join(f"{name} {a:.3f} and {b:.3f}" for name, (a, b) in errors.items())
    keep("gains", rows, unit="mean Dice of a case", note=note + ".", facts=facts)


if __name__ == "__main__":
    main()
