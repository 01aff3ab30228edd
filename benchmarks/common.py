"""What all benchmarks share: fair timing of rivals in one process, and a JSON file with machine and versions beside the figures."""

import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(os.environ.get("BENCH_RESULTS") or Path(__file__).resolve().parent / "results")
PACKAGES = (
    "seg_course",
    "torch",
    "fastai",
    "timm",
    "monai",
    "torchio",
    "segmentation-models-pytorch",
    "nnunetv2",
    "batchgeneratorsv2",
    "scipy",
    "scikit-image",
    "connected-components-3d",
    "edt",
    "fill-voids",
    "numpy",
)


def _processor():
    "Name of the processor"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package):
    "Version of a package, or None"
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine():
    "Processor, cores, accelerator and versions"
    import torch

    versions = {package: _version(package) for package in PACKAGES}
    return dict(
        cpu=_processor(),
        cores=os.cpu_count(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        python=platform.python_version(),
        **{package: found for package, found in versions.items() if found},
    )


def rounds(rivals, n=3, warm=True):
    """Best seconds of each function: all of them in turn, `n` times, after a first round that does not count

    A noisy machine is noisy for all."""
    best = dict.fromkeys(rivals, float("inf"))
    for k in range(-warm, n):
        for name, f in rivals.items():
            t = time.perf_counter()
            f()
            s = time.perf_counter() - t
            if k >= 0:
                best[name] = min(best[name], s)
    return best


def device_of(args):
    "Arguments without `--device NAME`, and the name: 'cpu' unless told"
    args = list(args)
    if "--device" not in args:
        return args, "cpu"
    i = args.index("--device")
    return args[:i] + args[i + 2 :], args[i + 1]


def ratio(figures, less=False, rivals=None):
    """A row's last entry: ours against the best of the rivals (all others, unless named)

    `less`: small figures are good ones."""
    names = rivals or [name for name in figures if name != "seg_course"]
    theirs = [figures[name] for name in names if name in figures]
    if not theirs:
        return {}
    best = min(theirs) if less else max(theirs)
    value = figures["seg_course"] / best
    return dict(ratio=round(value, 2 if value >= 0.05 else 4))


def _shown(value):
    "A figure as a text"
    return f"{value:,.4g}" if isinstance(value, (int, float)) else str(value)


def keep(name, rows, **facts):
    "Print the figures and write them to `results/<name>.json`, or `<name>_gpu.json`"
    RESULTS.mkdir(parents=True, exist_ok=True)
    out = dict(date=time.strftime("%Y-%m-%d"), machine=machine(), **facts, rows=rows)
    end = "" if facts.get("device", "cpu") == "cpu" else "_gpu"
    (RESULTS / f"{name}{end}.json").write_text(json.dumps(out, indent=1) + "\n")
    width = max(len(row) for row in rows)
    for row, figures in rows.items():
        if isinstance(figures, dict):
            figures = "  ".join(f"{column} {_shown(v)}" for column, v in figures.items())
        print(f"{row:{width}}  {_shown(figures)}")


def missing(package):
    "Say that a rival is left out"
    print(
        f'{package} is not installed, so it is left out: pip install -e ".[bench]"', file=sys.stderr
    )
