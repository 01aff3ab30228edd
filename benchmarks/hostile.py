"""Run folders that somebody made to do harm: does `predict` execute, write or call anything?

usage: python benchmarks/hostile.py [FOLDER]

A small run folder is made, then copied and changed in one way after the other. A process of its own predicts with each of them
and is watched (`sys.addaudithook`): files that are opened for writing outside of OUT, programs, sockets, and classes that a
pickle names. One line a kind says what came back. Exit code 1 if anything was done, or if a folder was not refused in one line.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from common import keep

KINDS = {}


def kind(f):
    "Decorator: a way to change a run folder, a function of the folder"
    KINDS[f.__name__] = f
    return f


def change(file, *keys, **new):
    "Change entries of a JSON file; `keys` lead to the object that is changed"
    facts = json.loads(file.read_text())
    inner = facts
    for k in keys:
        inner = inner.setdefault(k, {})
    inner.update(new)
    file.write_text(json.dumps(facts))


class Evil:
    "A pickle that writes a file as soon as it is loaded"

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def evil_pickle(path):
    import torch

    torch.save(Evil(path.parent.parent / "EXECUTED"), path)
    return str(path)


@kind
def checkpoint_path(run):
    change(run / "fold0/model.json", "arch", "encoder_kw", checkpoint_path=evil_pickle(run / "x"))


@kind
def pretrained_cfg_file(run):
    cfg = dict(file=evil_pickle(run / "x"))
    change(run / "fold0/model.json", "arch", "encoder_kw", pretrained_cfg=cfg)


@kind
def pretrained_cfg_overlay_url(run):
    cfg = dict(url="http://127.0.0.1:9/x.pth")
    change(run / "fold0/model.json", "arch", "encoder_kw", pretrained_cfg_overlay=cfg)


@kind
def cache_dir(run):
    change(run / "fold0/model.json", "arch", "encoder_kw", cache_dir=str(run / "cache"))


@kind
def pretrained_true(run):
    change(run / "fold0/model.json", "arch", pretrained=True)


@kind
def pretrained_file(run):
    change(run / "fold0/model.json", "arch", pretrained=evil_pickle(run / "x"))


@kind
def name_hf_hub(run):
    change(run / "fold0/model.json", "arch", name="hf-hub:timm/resnet18")


@kind
def name_hf_hub_with_slashes(run):
    change(run / "fold0/model.json", "arch", name="hf-hub://timm/resnet18")


@kind
def name_local_dir(run):
    evil_pickle(run / "pytorch_model.bin")
    (run / "config.json").write_text('{"architecture": "resnet10t"}')
    change(run / "fold0/model.json", "arch", name=f"local-dir:{run}")


@kind
def classifier_as_way_in(run):
    arch = dict(decoder="classifier", name="resnet10t", checkpoint_path=evil_pickle(run / "x"))
    (run / "fold0/model.json").write_text(json.dumps(dict(arch=arch)))


@kind
def decoder_is_a_function(run):
    change(run / "fold0/model.json", "arch", decoder="os.system")


@kind
def gate_with_checkpoint(run):
    shutil.copytree(run / "fold0", run / "gate/fold0")
    checkpoint = evil_pickle(run / "x")
    change(run / "gate/fold0/model.json", "arch", "encoder_kw", checkpoint_path=checkpoint)
    change(run / "run.json", gate=0.5)


@kind
def first_with_checkpoint(run):
    shutil.copytree(run / "fold0", run / "first/fold0")
    shutil.copy(run / "run.json", run / "first/run.json")
    checkpoint = evil_pickle(run / "x")
    change(run / "first/fold0/model.json", "arch", "encoder_kw", checkpoint_path=checkpoint)
    change(run / "run.json", first=True)


@kind
def first_is_the_run_itself(run):
    (run / "first").symlink_to(run)
    change(run / "run.json", first=True)


@kind
def weights_are_a_pickle(run):
    evil_pickle(run / "fold0/model.safetensors")


@kind
def checkpoints_elsewhere(run):
    evil_pickle(run / "x.safetensors")
    change(run / "fold0/model.json", checkpoints=["../x.safetensors"])


@kind
def checkpoints_absolute(run):
    change(run / "fold0/model.json", checkpoints=[evil_pickle(run / "x.safetensors")])


@kind
def end_leads_out(run):
    change(run / "run.json", end="/../../ESCAPED.nii.gz")


@kind
def end_with_a_separator(run):
    change(run / "run.json", end="/../x.nii")


@kind
def step_is_a_function(run):
    change(run / "run.json", recipe=[{"step": "os.system", "command": "touch EXECUTED"}])


@kind
def step_with_a_path(run):
    change(run / "run.json", recipe=[{"step": "normalise", "path": "/etc/passwd"}])


@kind
def rule_is_a_function(run):
    (run / "post.json").write_text('[{"rule": "eval", "source": "1/0"}]')


@kind
def rule_without_end(run):
    (run / "post.json").write_text('[{"rule": "dilate", "px": 1e99}]')


@kind
def run_json_is_a_pickle(run):
    evil_pickle(run / "run.json")


@kind
def run_json_is_a_pipe(run):
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")


@kind
def weights_are_a_pipe(run):
    (run / "fold0/model.safetensors").unlink()
    os.mkfifo(run / "fold0/model.safetensors")


@kind
def brackets_without_end(run):
    (run / "run.json").write_text("[" * 10**6)


@kind
def huge_json(run):
    (run / "fold0/model.json").write_text('{"arch": "' + "x" * 10**8 + '"}')


@kind
def huge_network(run):
    change(run / "fold0/model.json", "arch", widths=[4096000] * 3)


@kind
def huge_patch(run):
    change(run / "run.json", size=[30000, 30000])


@kind
def huge_grid(run):
    recipe = [{"step": "resample", "spacing": [0.001, 0.001, 0.001]}, {"step": "normalise"}]
    change(run / "run.json", recipe=recipe)


@kind
def many_flips(run):
    change(run / "run.json", tta=["x"] * 10**5)


@kind
def fold_with_a_path(run):
    shutil.copytree(run / "fold0", run / "fold..")
    shutil.rmtree(run / "fold0")


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CALLS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "pickle.find_class",
)
NET = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "urllib.Request")
MOVES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")


def watched(work):
    "The process that is watched: predict with each run folder, and write down what it did"
    state = SimpleNamespace(on=False, out="", done=[])

    def outside(path):
        path = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        full = os.path.abspath(path)
        return path and not (full + "/").startswith((state.out + "/", "/dev/null"))

    def hook(event, args):
        if not state.on:
            return
        if event == "open" and isinstance(args[0], (str, bytes)):
            mode, flags = args[1] or "", args[2] or 0
            if (set(mode) & set("wax+") or flags & WRITING) and outside(args[0]):
                state.done.append(f"writes {args[0]}")
        elif event in MOVES and (outside(args[0]) or (len(args) > 1 and outside(args[1]))):
            state.done.append(f"{event} {args[0]}")
        elif event in CALLS + NET:
            state.done.append(f"{event} {args[:2]}")

    from seg_course.out import cli

    cli._set_talk(quiet=False, verbose=False)
    import seg_course.all  # noqa: F401  imports are no answer to a run folder

    sys.addaudithook(hook)
    for name in ["untouched", *KINDS]:
        state.out, state.done = str(work / f"out_{name}"), []
        (work / "said.txt").write_text("")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with open(work / "said.txt", "w") as said:
            sys.stderr, usual = said, sys.stderr
            signal.alarm(60)
            state.on = True
            try:
                cli.main(["predict", str(work / name), str(work / "image.nii.gz"), state.out])
            except SystemExit as e:
                code = e.code
            finally:
                state.on = False
                signal.alarm(0)
                sys.stderr = usual
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
        lines = (work / "said.txt").read_text().splitlines()
        lines = [line for line in lines if line.startswith(("seg_course", "Traceback"))]
        result = dict(code=code, done=state.done, said=lines, gb=round(grown, 2))
        with open(work / "results.jsonl", "a") as f:
            f.write(json.dumps(dict(name=name) | result) + "\n")


def make_run(run):
    "A run folder with a network that was never trained, and an image for it"
    import nibabel as nib
    import numpy as np
    import torch

    from seg_course.nets.build import build_unet
    from seg_course.prepare.intensity import normalise
    from seg_course.train.runfolder import save_run
    from seg_course.train.weights import save_net

    arch = dict(name="resnet10t", n_in=3, n_out=2, size=(32, 32), depth=3, full_res=True)
    arch |= dict(widths=[8, 16, 32], encoder_kw=dict(channels=[16, 16, 32, 64]))
    torch.manual_seed(0)
    net = build_unet(pretrained=False, **arch)
    save_net(SimpleNamespace(model=net, arch=arch), run / "fold0")
    save_run(run, [normalise], {0: "background", 1: "a"}, (32, 32))
    (run / "post.json").write_text("[]")
    image = np.random.default_rng(0).random((30, 30, 6)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), run.parent / "image.nii.gz")


def tree(work):
    "All files outside of the run folders and of OUT"
    return {f for f in work.iterdir() if not f.name.startswith(("out_", "said", "results"))}


def faults_of(name, result, made):
    "What is wrong with an answer"
    faults = list(result["done"])
    if made:
        faults.append(f"made {sorted(f.name for f in made)}")
    if result["gb"] > 2:
        faults.append(f"took {result['gb']} GB")
    want = 0 if name == "untouched" else 1
    if result["code"] != want or len(result["said"]) != want:
        faults.append(f"exit code {result['code']}, {len(result['said'])} lines")
    return faults


def main(work):
    make_run(work / "untouched")
    for name, f in KINDS.items():
        shutil.copytree(work / "untouched", work / name)
        f(work / name)
    before = tree(work)
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONWARNINGS="ignore")
    command = [sys.executable, __file__, "--watched", str(work)]
    code = subprocess.run(command, env=env, cwd=work).returncode
    results = [json.loads(line) for line in open(work / "results.jsonl")]
    bad = 0 if code == 0 and len(results) == len(KINDS) + 1 else 1
    made = tree(work) - before
    for result in results:
        faults = faults_of(result["name"], result, made)
        bad += bool(faults)
        said = " ".join(result["said"]).replace(str(work), "...")
        print(
            f"{'BAD ' if faults else 'ok  '}{result['name']:28} {'; '.join(faults) or said[:170]}"
        )
    print(f"{len(results) - 1} hostile run folders of {len(KINDS)}, {bad} faults, exit code {code}")
    hostile = [r for r in results if r["name"] != "untouched"]
    row = {
        "tried": len(hostile),
        "refused in one line": sum(r["code"] == 1 and len(r["said"]) == 1 for r in hostile),
        "did something": sum(bool(r["done"]) for r in hostile),
        "files made outside of OUT": len(made),
        "over 2 GB": sum(r["gb"] > 2 for r in hostile),
    }
    keep("hostile", {"run folders": row})
    return bad


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watched"]:
        watched(Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as tmp:
            folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tmp)
            folder.mkdir(parents=True, exist_ok=True)
            sys.exit(1 if main(folder.resolve()) else 0)
