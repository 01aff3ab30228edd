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


def machine():
    "Processor, cores, accelerator and versions"
    import torch

    cpu = (
        next(
            (
                line.split(":")[1].strip()
                for line in open("/proc/cpuinfo")
                if line.startswith("model name")
            ),
            platform.processor(),
        )
        if os.path.exists("/proc/cpuinfo")
        else platform.processor()
    )

    def v(p):
        try:
            return version(p)
        except PackageNotFoundError:
            return None

    return dict(
        cpu=cpu,
        cores=os.cpu_count(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        python=platform.python_version(),
        **{p: v(p) for p in PACKAGES if v(p)},
    )


def rounds(rivals, n=3, warm=True):
    "Best seconds of each function: all of them in turn, `n` times, after a first round that does not count; a noisy machine is noisy for all"
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
    "A row's last entry: ours against the best of the rivals (all others, unless named); `less`: small figures are good ones"
    theirs = [v for k, v in figures.items() if (k in rivals if rivals else k != "seg_course")]
    return (
        {"ratio": round(figures["seg_course"] / (min if less else max)(theirs), 2)}
        if theirs
        else {}
    )


def keep(name, rows, **facts):
    "Print the figures and write them to `results/<name>.json`, or `<name>_gpu.json`"
    RESULTS.mkdir(parents=True, exist_ok=True)
    out = dict(date=time.strftime("%Y-%m-%d"), machine=machine(), **facts, rows=rows)
    (RESULTS / f"{name}{'' if facts.get('device', 'cpu') == 'cpu' else '_gpu'}.json").write_text(
        json.dumps(out, indent=1) + "\n"
    )
    width = max(len(k) for k in rows)
    for k, v in rows.items():
        print(
            f"{k:{width}}  "
            + (
                "  ".join(
                    f"{a} {b:,.4g}" if isinstance(b, (int, float)) else f"{a} {b}"
                    for a, b in v.items()
                )
                if isinstance(v, dict)
                else f"{v:,.4g}"
            )
        )


def missing(package):
    "Say that a rival is left out"
    print(
        f'{package} is not installed, so it is left out: pip install -e ".[bench]"', file=sys.stderr
    )
