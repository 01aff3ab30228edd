"""This project as a user gets it: `plan_run` chooses everything, and `fit_plan` trains.

Unfair to it: the plan keeps a twentieth of the minutes back, and ends with a whole epoch.
Unfair to others: the few steps that it times first are not counted, as preparation is not, and its
prediction averages over mirror images, as it always does. It trains in bfloat16 where the processor
has it, as here, which the peers leave to their user."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from entry import CLOCKS, Clock, finish, read_task, set_up

# what is given to `plan_run`; the first is the plan by itself
CHOICES = [{}]


def cohort_of(task):
    "The cases that train and those that validate, as a cohort with folds 1 and 0"
    df = task.train.rename(columns=dict(patient="group"))
    df = df.assign(fold=1 - df.inner, label_map="").reset_index(drop=True)
    df.attrs = dict(labels={int(c): name for c, name in task.names.items()}, ignore=None)
    return df


def plan_by(clock):
    "Let the plan time its steps, and the training keep to its minutes, by a clock of `CLOCKS`"
    from types import SimpleNamespace

    import seg_course.plan.run
    import seg_course.train.resume

    now = CLOCKS[clock]
    seg_course.plan.run.time = SimpleNamespace(perf_counter=now)
    if clock != "wall":
        seg_course.train.resume.time = SimpleNamespace(time=now)


def main():
    task = read_task(CHOICES)
    set_up(task)
    plan_by(task.clock)
    from seg_course.all import (
        fit_plan,
        plan_learner,
        plan_recipe,
        plan_run,
        predict_files,
        prepare,
        save_plan_run,
    )
    from seg_course.files.common import write_json

    with TemporaryDirectory() as tmp:
        run, cohort = Path(tmp), cohort_of(task)
        minutes = task.seconds() / 60
        plan = plan_run(cohort, minutes, n_jobs=task.threads, **task.choice)
        idx = prepare(cohort, plan_recipe(plan), run / "store", n_jobs=task.threads)
        begun, clock = time.time(), Clock(task)
        learn = plan_learner(plan, run, idx, cohort, 0, seed=task.seed)
        history = fit_plan(learn, plan, run / "fold0", seed=task.seed)
        spent, trained = clock.spent(), time.time()
        save_plan_run(plan, run)
        write_json(run / "post.json", [])
        predict_files(run, dict(zip(task.test.case, task.test.image)), task.out)
    names = "dims spacing crop_mm size bs batches epochs lr encoder_lr encoder arch".split()
    steps = len(history) * plan["batches"]
    finish(task, spent, begun, trained, steps=steps, plan={k: plan[k] for k in names})


if __name__ == "__main__":
    main()
