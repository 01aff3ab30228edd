"""Calls of `storm.py` that are made from signatures: every public function, with wrong input of several kinds.

Each required argument gets the same wrong value. The groups are the packages, as in `sig_files`. Functions that work on arrays,
tensors and networks do not check the type of every argument: Python's own `TypeError` or `AttributeError` counts as *python* there.
A function whose required arguments have a name of `USERS` is called by users with files, folders and tables, and has to say a line.
Of a generator the first item is taken, and a context is entered, since nothing happens before. Calls that rightly return something
are in `RIGHT`, with the reason.
"""

import inspect
from contextlib import AbstractContextManager
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
# function and kinds of wrong value, and why they are answered as they are
RIGHT = {
    ("few", "text empty"): "a helper for messages: a list of letters, or of nothing",
    ("together", "none text nan negative empty object shape"): "without torchrun, nothing is done",
    ("start_run", "text"): "a lesson of this name gets a new run folder",
    ("lite0_weights", "text"): "a file of this name is written",
    ("write_json", "text"): "a file of this name that contains a text",
    ("post_from_json", "empty"): "no rules: nothing is done to a mask",
    ("post_to_json", "empty"): "no rules: nothing is done to a mask",
    ("rle_encode", "shape"): "the code of a mask without pixels is ''",
    ("merge_organs", "shape"): "two maps without voxels make a map without voxels",
    ("split_series", "text"): "a path without a series",
}


def _right(name, kind):
    "Why a call may return something; '' if it may not"
    return next(
        (why for (f, kinds), why in RIGHT.items() if f == name and kind in kinds.split()), ""
    )


def _begin(f):
    "Call, and begin what would wait for its first use"
    result = f()
    if inspect.isgenerator(result):
        return next(result, None)
    if isinstance(result, AbstractContextManager) and hasattr(result, "gen"):
        return result.__enter__()
    return result


def _required(f):
    "Arguments without a default"
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(f).parameters.values()
    return [p for p in found if p.default is p.empty and p.kind not in kinds]


def _call(f, value):
    "A call in which each required argument is `value`"
    needed = _required(f)
    by_name = {p.name: value for p in needed if p.kind is p.KEYWORD_ONLY}
    call = partial(f, *[value for p in needed if p.name not in by_name], **by_name)
    return partial(_begin, call)


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
            right = _right(name, kind)
            jobs.append(Job(group, f"{name} {kind}", build, right=right, python=not for_users))
    return jobs
