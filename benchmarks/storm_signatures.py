"""Calls of `storm.py` that are made from signatures: every public function, with wrong input of several kinds.

Each required argument gets the same wrong value. The groups are the packages, as in `sig_files`. Functions that work on arrays,
tensors and networks do not check the type of every argument: Python's own `TypeError` or `AttributeError` counts as *python* there.
A function whose required arguments have a name of `USERS` is called by users with files, folders and tables, and has to say a line.
"""

import inspect
from functools import partial

import numpy as np
from storm_calls import Job

WRONG = dict(
    none=None,
    text="no such thing",
    nan=float("nan"),
    negative=-1,
    empty=[],
    object=object(),
    shape=np.zeros((2, 0)),
)
# they take anything, by design, or wait for a user
LEFT_OUT = {"browse", "browse_stain", "browse_thresholds", "Registry", "Scan"}
# arguments that are files, folders, runs and tables
USERS = set(
    "path folder file run runs df cohort store preds truth images image name lesson out rows st stats "
    "scores table faults faulty kept plan data patients cases load".split()
)


def _required(f):
    "Arguments without a default"
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(f).parameters.values()
    return [p for p in found if p.default is p.empty and p.kind not in kinds]


def _call(f, value):
    "A call in which each required argument is `value`"
    needed = _required(f)
    by_name = {p.name: value for p in needed if p.kind is p.KEYWORD_ONLY}
    return partial(f, *[value for p in needed if p.name not in by_name], **by_name)


def all_calls():
    "A call for each public function and each kind of wrong value"
    import seg_course.all as surface

    jobs = []
    for name in surface.__all__:
        f = getattr(surface, name)
        module = getattr(f, "__module__", "")
        own = module.startswith("seg_course")
        if name in LEFT_OUT or not own or not inspect.isroutine(f) or not _required(f):
            continue
        group = f"sig_{module.split('.')[1]}"
        for_users = bool(USERS & {p.name for p in _required(f)})
        for kind, value in WRONG.items():
            build = partial(_call, f, value)
            jobs.append(Job(group, f"{name} {kind}", build, python=not for_users))
    return jobs
