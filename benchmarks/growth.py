"""(f) How reading, checking, preparation, sampling, prediction and scores grow with the cohort, and with cores.

usage: python benchmarks/growth.py [CASES ...]      (default: 100 1000 10000; about twenty minutes)

Cases are small phantoms of a hippocampus; files stand under many names, so that drawing them takes no hours. Each line runs in a program of its own, whose
worker processes are started within the clock: that weighs on few cases. Speeds are cases (or samples) a second of processor time, of all
processes together, so that other work on the machine does not count. Beside them stands the peak memory of all processes. Prediction is
timed on fifty cases, and scores on labels that are scored against themselves.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import psutil
from common import keep
from memory import peak_of

DRAWN = 100  # phantoms; all other cases are links to them
CORES = sorted({1, os.cpu_count()})


def worked():
    "Seconds of processor time that this process and its workers have used"
    me = psutil.Process()
    times = [p.cpu_times() for p in (me, *me.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def sample(store, idx):
    "Draw, gather and augment 200 batches of 64 slices; -> samples"
    from seg_course.batch.augment import rand_affine, rand_flip, rand_intensity
    from seg_course.batch.oversample import sampling_plan
    from seg_course.batch.source import BatchSource

    plan = sampling_plan((64, 64), fg_share=0.5)
    tfms = [rand_flip, rand_affine, rand_intensity]
    source = BatchSource(store, idx, (64, 64), 64, plan=plan, tfms=tfms, n_batches=200)
    return sum(len(x) for x, _ in source)


def predict(files, recipe):
    "Predict whole cases; -> how many"
    from seg_course.files.read import read_scan
    from seg_course.nets.unet2d import seg_unet
    from seg_course.predict.infer import predict_scan
    from seg_course.prepare.recipe import apply_recipe

    net = seg_unet("resnet18", pretrained=False, n_out=3, size=(64, 64)).eval()
    for file in files:
        predict_scan([net], apply_recipe(read_scan(file), recipe), (64, 64))
    return len(files)


def work(root, cores, to):
    "All steps on a cohort with so many cores; writes JSON"
    os.sched_setaffinity(0, range(cores))
    import monai.metrics  # the first score would load it  # noqa: F401
    import torch

    torch.set_num_threads(cores)
    from seg_course.files.cohort import read_cohort
    from seg_course.look.check import check_cohort
    from seg_course.prepare.intensity import normalise
    from seg_course.prepare.store import prepare
    from seg_course.score.metric import score_files

    speeds = {}

    def clock(name, count, f):
        begun = worked()
        got = f()
        speeds[f"{name} a second"] = round(count / (worked() - begun), 1)
        return got

    n = len(list(Path(root, "imagesTr").iterdir()))
    df = clock("cases found", n, partial(read_cohort, root))
    clock("checked", n, partial(check_cohort, df, n_jobs=cores))
    with tempfile.TemporaryDirectory() as store:
        idx = clock("prepared", n, partial(prepare, df, [normalise], store, n_jobs=cores))
        clock("samples", 200 * 64, partial(sample, store, idx))
    clock("predicted", 50, partial(predict, df.image[:50], [normalise]))
    labels = Path(root, "labelsTr")
    scored = partial(score_files, labels, labels, empty=1.0, n_jobs=cores)
    clock("scored", n, scored)
    Path(to).write_text(json.dumps(speeds))


def grow(drawn, root, n):
    "A cohort of `n` cases whose files are links to those that were drawn"
    for kind in ("imagesTr", "labelsTr"):
        (root / kind).mkdir(parents=True)
        files = sorted((drawn / kind).iterdir())
        for i in range(n):
            os.link(files[i % len(files)], root / kind / f"hippocampus_{i:05}.nii.gz")
    facts = json.loads((drawn / "dataset.json").read_text())
    for key in ("training", "test", "numTraining", "numTest"):
        facts.pop(key, None)
    (root / "dataset.json").write_text(json.dumps(facts))
    return root


def measured(root, cores, to):
    "Speeds and peak memory of one program"
    command = [sys.executable, __file__, "--work", str(root), str(cores), str(to)]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    top, _ = peak_of(program)
    return json.loads(to.read_text()) | {"peak MB": round(top)}


def main(sizes):
    from seg_course.draw.phantom import phantoms

    rows = {}
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        drawn = phantoms["Task04_Hippocampus"](tmp / "drawn", n=DRAWN)
        lines = [(n, max(CORES)) for n in sizes] + [(min(sizes), c) for c in CORES[:-1]]
        for n, cores in lines:
            root = tmp / f"cases{n}"
            if not root.exists():
                grow(drawn, root, n)
            name = f"{n:,} cases, {cores} core{'s' * (cores > 1)}"
            rows[name] = measured(root, cores, tmp / "out.json")
            print(name, rows[name], flush=True)
    keep("growth", rows, load=os.getloadavg())


if __name__ == "__main__":
    if "--work" in sys.argv:
        work(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main([int(n) for n in sys.argv[1:]] or [100, 1000, 10_000])
