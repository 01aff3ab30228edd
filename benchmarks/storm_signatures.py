"""Calls of `storm.py` that are made from signatures: every public function, with wrong input of several kinds.

Each required argument gets the same wrong value. A `TypeError` that Python raises about the call itself counts as a line.
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


def _required(f):
    "Names of the arguments without a default"
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
        own = getattr(f, "__module__", "").startswith("seg_course")
        if name in LEFT_OUT or not own or not inspect.isroutine(f) or not _required(f):
            continue
        for kind, value in WRONG.items():
            jobs.append(Job("signature", f"{name} {kind}", partial(_call, f, value)))
    return jobs
