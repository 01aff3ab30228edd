"""The calls of `storm.py` that were written one by one: commands, run folders that were damaged, functions."""

# ruff: noqa: F403, F405
import gzip
import json
import os
import shutil
import struct
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch

from seg_course.all import *
from seg_course.files.behaviour import describe, resolve, steps
from seg_course.files.common import label_map, read_table
from seg_course.files.read import fit_label
from seg_course.train.runfolder import check_device
from seg_course.train.weights import check_arch

JOBS = []
NAN = float("nan")
NOISE = bytes(np.random.default_rng(0).integers(0, 256, 200, dtype=np.uint8))


@dataclass
class Job:
    "A call: `build` makes its input and returns a function to call, or the words of a command"

    group: str
    name: str
    build: object
    right: str = ""  # why it may return
    nobody: bool = False  # called by a user without rights
    python: bool = False  # Python's own error about the type of an argument is enough


def command(group, name, build, right="", nobody=False):
    "A command; `build()` makes the files and returns its words"
    JOBS.append(Job(group, name, build, right, nobody))


def calls(group, right=None, **functions):
    "Functions of a group: each is called as it is; `right`: name -> why it may return"
    for name, f in functions.items():
        JOBS.append(Job(group, name, lambda f=f: f, (right or {}).get(name, "")))


# ---------------------------------------------------------------- files


def plain_image(path="image.nii"):
    "A NIfTI image (20,24,16), not compressed, and its bytes"
    data = np.random.default_rng(0).normal(90, 15, (20, 24, 16)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return bytearray(Path(path).read_bytes())


def changed(name, at, kind, *values):
    "An image whose header has other values at one place"
    raw = plain_image()
    struct.pack_into("<" + kind, raw, at, *values)
    Path(name).write_bytes(raw)
    return name


def bit_flip(name="bitflip.nii.gz"):
    raw = bytearray(gzip.compress(bytes(plain_image())))
    raw[len(raw) // 2] ^= 16
    Path(name).write_bytes(raw)
    return name


def gzip_bomb(name="gzbomb.nii.gz"):
    "A file of 4 MB that unpacks to 4 GB"
    raw = plain_image()[:352]
    struct.pack_into("<8h", raw, 40, 3, 2000, 2000, 1000, 1, 1, 1, 1)
    struct.pack_into("<2h", raw, 70, 2, 8)
    block = bytes(1 << 24)
    with gzip.open(name, "wb", 1) as f:
        f.write(raw)
        for _ in range(4 * 10**9 >> 24):
            f.write(block)
    return name


def trailing(name="trailing.nii.gz"):
    "A compressed image with 200 MB of zeros behind it"
    with open(name, "wb") as f:
        f.write(gzip.compress(bytes(plain_image())))
        f.truncate(200 << 20)
    return name


def fifo(name="fifo.nii.gz"):
    os.mkfifo(name)
    return name


def large_values(name="f64_1e300.nii"):
    data = np.full((20, 24, 16), 1e300)
    nib.save(nib.Nifti1Image(data, np.eye(4)), name)
    return name


def noise(name, compressed=False):
    Path(name).write_bytes(gzip.compress(NOISE) if compressed else NOISE)
    return name


bad_images = {
    "random.nii": partial(noise, "random.nii"),
    "gzrandom.nii.gz": partial(noise, "gzrandom.nii.gz", True),
    "bitflip.nii.gz": bit_flip,
    "dim_huge.nii": partial(changed, "dim_huge.nii", 42, "3h", 32767, 32767, 32767),
    "dim_1e9.nii": partial(changed, "dim_1e9.nii", 42, "3h", 1000, 1000, 1000),
    "dim_neg.nii": partial(changed, "dim_neg.nii", 42, "h", -5),
    "dim_zero.nii": partial(changed, "dim_zero.nii", 42, "h", 0),
    "pix_inf.nii": partial(changed, "pix_inf.nii", 80, "f", np.inf),
    "slope_inf.nii": partial(changed, "slope_inf.nii", 112, "f", np.inf),
    "srow_nan.nii": partial(changed, "srow_nan.nii", 280, "f", NAN),
    "srow_inf.nii": partial(changed, "srow_inf.nii", 280, "f", np.inf),
    "srow_org_nan.nii": partial(changed, "srow_org_nan.nii", 292, "f", NAN),
    "gzbomb.nii.gz": gzip_bomb,
    "f64_1e300.nii": large_values,
    "fifo.nii.gz": fifo,
    "trailing.nii.gz": trailing,
    "srow_huge.nii": partial(changed, "srow_huge.nii", 280, "f", 1e30),
    "pix_huge.nii": partial(changed, "pix_huge.nii", 80, "f", 1e30),
}
fine_images = {
    "trailing.nii.gz": "gzip files may be padded with zeros, and the image is whole",
    "slope_inf.nii": "NIfTI: a scale that is no number means no scale",
    "dim_1e9.nii": "",
}


def read_one(make):
    path = make()
    return lambda: read_scan(path)


for image_name, make in bad_images.items():
    JOBS.append(
        Job(
            "read_scan",
            image_name,
            partial(read_one, make),
            fine_images.get(image_name, ""),
        )
    )


def data_set(where="set"):
    "Three cases in folders imagesTr and labelsTr"
    where = Path(where)
    rng = np.random.default_rng(0)
    for kind in ("imagesTr", "labelsTr"):
        (where / kind).mkdir(parents=True)
    for i in range(3):
        x = rng.normal(90, 15, (20, 24, 16)).astype(np.float32)
        y = np.zeros(x.shape, np.uint8)
        y[5:12, 5:12, 4:9] = 1
        nib.save(nib.Nifti1Image(x, np.eye(4)), where / f"imagesTr/c{i}.nii.gz")
        nib.save(nib.Nifti1Image(y, np.eye(4)), where / f"labelsTr/c{i}.nii.gz")
    facts = dict(labels={"0": "background", "1": "tumour"}, modality={"0": "MR"})
    (where / "dataset.json").write_text(json.dumps(facts))
    return where


def check_with(change):
    "`check` of a data set that `change` has changed"
    where = data_set()
    change(where)
    return ["check", where]


def say(text):
    "A change that writes dataset.json"
    content = text if isinstance(text, bytes) else text.encode()
    return lambda where: (where / "dataset.json").write_bytes(content)


def say_labels(labels, **more):
    return say(json.dumps(dict(labels=labels, modality={"0": "MR"}) | more))


def as_folder(where):
    (where / "dataset.json").unlink()
    (where / "dataset.json").mkdir()


def lock(*names):
    def change(where):
        for name in names:
            os.chmod(where / name, 0)

    return change


def odd_name(where):
    for kind in ("imagesTr", "labelsTr"):
        f = os.fsencode(where / kind / "c0.nii.gz")
        os.rename(f, f.replace(b"c0", b"c\xff\xfe"))


def with_image(make):
    def change(where):
        old = where / "imagesTr/c1.nii.gz"
        old.unlink()
        here = Path(make())
        here.rename(where / f"imagesTr/{here.name}")
        (where / "labelsTr/c1.nii.gz").rename(where / f"labelsTr/{here.name.split('.')[0]}.nii.gz")

    return change


background = {"0": "background", "1": "tumour"}
changes = {
    "dataset.json empty": say(""),
    "dataset.json lab_float": say_labels({"a": "b"}),
    "dataset.json lab_dup": say_labels({"0": "background", "1": "a", "2": "a"}),
    "dataset.json mod_list": say_labels(background, modality=["MR"]),
    "dataset.json mod_str": say_labels(background, modality="a"),
    "dataset.json deep": say("[" * 100000),
    "dataset.json random": say(NOISE),
    "dataset.json dir": as_folder,
    "dataset.json list": say("[]"),
    "dataset.json labels list": say_labels([1, 2]),
    "dataset.json labels null": say_labels(None),
    "dataset.json ending number": say_labels(background, file_ending=5),
    "dataset.json training number": say_labels(background, training=5),
    "dataset.json regions number": say_labels({"background": 0, "whole": [1, "x"]}),
    "file names that are no UTF-8": odd_name,
    "label is text": lambda where: (where / "labelsTr/c1.nii.gz").write_text("x"),
    "label missing": lambda where: (where / "labelsTr/c1.nii.gz").unlink(),
    "folder of labels missing": lambda where: shutil.rmtree(where / "labelsTr"),
}
for image_name in (
    "bitflip.nii.gz",
    "trailing.nii.gz",
    "fifo.nii.gz",
    "dim_zero.nii",
    "gzbomb.nii.gz",
    "srow_inf.nii",
):
    changes[image_name] = with_image(bad_images[image_name])
two_names = "two labels may have one name: files with 1 and with 2 are sound"
odd_but_right = {
    "dataset.json mod_str": "one channel needs no name",
    "dataset.json dir": "a folder is no description, so the layout is found by names",
    "dataset.json ending number": "what is not needed is not looked at",
    "dataset.json training number": "what is not needed is not looked at",
    "dataset.json lab_dup": two_names,
    "dataset.json mod_list": "the file that names channels as a list says the same",
    "file names that are no UTF-8": "cases may be called so",
    "trailing.nii.gz": fine_images["trailing.nii.gz"],
}
for name, change in changes.items():
    command("check", name, partial(check_with, change), odd_but_right.get(name, ""))
locked = {
    "dataset.json unreadable": ("dataset.json",),
    "image unreadable": ("imagesTr/c1.nii.gz",),
    "labels folder unreadable": ("labelsTr",),
    "folder unreadable": ("imagesTr",),
}
# `check` starts processes, and under /root another user cannot start Python
parents = Path(sys.executable).resolve().parents
if not all(folder.stat().st_mode & 1 for folder in parents):
    del locked["image unreadable"]
for name, files in locked.items():
    command("check", f"{name} (nobody)", partial(check_with, lock(*files)), nobody=True)
command("check", "proc", lambda: ["check", "/proc"])
command("check", "nothing there", lambda: ["check", "nowhere"])
command("check", "label map is no JSON", lambda: ["check", data_set(), "--labels", "{1"])
command("check", "label map of 300", lambda: ["check", data_set(), "--labels", '{"1": 300}'])


def table(text, name="t.csv"):
    data_set()
    Path(name).write_text(text)
    return ["check", name]


tables = {
    "csv empty": "",
    "csv without columns": "a,b\n1,2\n",
    "csv leads out": "case,image,label\na,../../x.nii.gz,\n",
    "csv absolute": "case,image,label\na,/etc/passwd,\n",
    "csv same case twice": "case,image\na,set/imagesTr/c0.nii.gz\na,set/imagesTr/c1.nii.gz\n",
    "csv case is a path": "case,image\n../a,set/imagesTr/c0.nii.gz\n",
    "csv without a row": "case,image,label\n",
}
for name, text in tables.items():
    command("check", name, partial(table, text))

# ---------------------------------------------------------------- run, new, fetch, score

short = ["-p", "epochs", "1", "-p", "batches", "5"]


def run_command(*words, before=lambda: None):
    before()
    return ["run", "hippocampus", *words, *short]


def file_of(name, content):
    return lambda: Path(name).write_bytes(content)


named = "a folder may be called so"
params = partial(run_command, "--params", "p.json")
command("run", "params_rand", partial(params, before=file_of("p.json", b'{"epoch\xb0":1}')))
command("run", "params_empty", partial(params, before=file_of("p.json", b"")))
command("run", "params_deep", partial(params, before=file_of("p.json", b"[" * 100000)))
command("run", "params_list", partial(params, before=file_of("p.json", b"[]")))
command("run", "params_unknown", partial(params, before=file_of("p.json", b'{"zz": 1}')))
command("run", "out_under_file", partial(run_command, "--out", "x/y", before=file_of("x", b"x")))
command("run", "out_is_file", partial(run_command, "--out", "x", before=file_of("x", b"x")))
command("run", "out_brace", partial(run_command, "--out", "a{b}"), named)
command("run", "out_brace2", partial(run_command, "--out", "a{}"), named)
command("run", "out_brace3", partial(run_command, "--out", "a{"), named)
command("run", "out_nul", partial(run_command, "--out", "a\0b"))
command("run", "out_long", partial(run_command, "--out", "a" * 400))
command("run", "out not writable (nobody)", partial(run_command, "--out", "/root/z"), nobody=True)
command("run", "cwd not writable (nobody)", run_command, nobody=True)
command("run", "epochs text", lambda: ["run", "hippocampus", "-p", "epochs", "x"])
command("run", "epochs negative", lambda: ["run", "hippocampus", "-p", "epochs", "-1"])
command("run", "no such lesson", lambda: ["run", "nothing"])
command("run", "no such data", lambda: ["run", "hippocampus", "--data", "nowhere"])
for name, word in dict(empty="", dot=".", dots="..", long="a" * 400, path="a/../../b").items():
    command("new", name, lambda word=word: ["new", word])
command("new", "nobody", lambda: ["new", "zz"], nobody=True)
command("new", "from nothing", lambda: ["new", "zz", "--from", "nothing"])


def fetch_to(place):
    Path("file").write_text("x")
    return ["fetch", "Task04_Hippocampus", "--to", place]


command("fetch", "tofile", partial(fetch_to, "file"))
command("fetch", "nobody", partial(fetch_to, "/root"), nobody=True)
command("fetch", "unknown", lambda: ["fetch", "Task99_Nothing"])


def score_of(*words, change=lambda: None):
    "`score` of three predictions that agree with the truth"
    where = data_set()
    shutil.copytree(where / "labelsTr", "preds")
    Path("file").write_text("x")
    change()
    return ["score", "preds", where, *words]


def huge_prediction():
    changed("preds/c0.nii", 42, "3h", 32767, 32767, 32767)
    os.unlink("preds/c0.nii.gz")


def other_values():
    for f in Path("preds").iterdir():
        a = nib.load(f)
        nib.save(nib.Nifti1Image(np.asarray(a.dataobj) * 255, a.affine), f)


def float_prediction():
    a = nib.load("preds/c0.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(a.dataobj) * 0.5, a.affine), "preds/c0.nii.gz")


command("score", "pred_huge", partial(score_of, change=huge_prediction))
command("score", "pred 0/255", partial(score_of, change=other_values), "said in a remark")
command("score", "pred of floats", partial(score_of, change=float_prediction))
command("score", "out_file_parent", partial(score_of, "--out", "file/s.csv"))
command("score", "out is a folder", partial(score_of, "--out", "preds"))
command("score", "empty7", partial(score_of, "--empty", "7"))
command("score", "empty_inf", partial(score_of, "--empty", "inf"))
command("score", "tol_neg", partial(score_of, "--tol-mm", "-1"))
command("score", "tol_nan", partial(score_of, "--tol-mm", "nan"))
command("score", "surface odd", partial(score_of, "--surface", "x"))
command("score", "label map odd", partial(score_of, "--label-map", "{"))
command("score", "out nobody", partial(score_of, "--out", "/root/s.csv"), nobody=True)
command("score", "no such folder", lambda: ["score", "nowhere", "nowhere"])

# ---------------------------------------------------------------- predict


def small_run(run="run"):
    "A run folder with a network that was never trained, and an image for it"
    from types import SimpleNamespace

    from seg_course.nets.build import build_unet

    arch = dict(name="resnet10t", n_in=3, n_out=2, size=(32, 32), depth=3, full_res=True)
    arch |= dict(widths=[8, 16, 32], encoder_kw=dict(channels=[16, 16, 32, 64]))
    torch.manual_seed(0)
    net = build_unet(pretrained=False, **arch)
    save_net(SimpleNamespace(model=net, arch=arch), Path(run) / "fold0")
    save_run(run, [normalise], {0: "background", 1: "a"}, (32, 32))
    write_json(f"{run}/post.json", [])
    plain_image("image.nii")
    return Path(run)


def predict_with(change=lambda run: None, image="image.nii"):
    run = small_run()
    change(run)
    return ["predict", run, image() if callable(image) else image, "out"]


def entry(file, *keys, **new):
    "A change of entries of a JSON file; `keys` lead to the object that is changed"

    def change(run):
        facts = json.loads((run / file).read_text())
        inner = facts
        for k in keys:
            inner = inner[k]
        inner.update(new)
        (run / file).write_text(json.dumps(facts))

    return change


def text(file, content):
    return lambda run: (run / file).write_text(content)


def pipe(file):
    def change(run):
        (run / file).unlink()
        os.mkfifo(run / file)

    return change


def weights(f):
    from safetensors.torch import load_file, save_file

    def change(run):
        file = run / "fold0/model.safetensors"
        tensors = load_file(file)
        save_file({k: f(v) for k, v in tensors.items()}, file)

    return change


def only_floats(f):
    return weights(lambda v: f(v) if v.is_floating_point() else v)


command("predict", "untouched", predict_with, "nothing was changed")
for name in (
    "srow_inf.nii",
    "srow_huge.nii",
    "slope_inf.nii",
    "pix_huge.nii",
    "dim_zero.nii",
    "srow_org_nan.nii",
    "bitflip.nii.gz",
    "gzbomb.nii.gz",
    "fifo.nii.gz",
):
    build = partial(predict_with, image=bad_images[name])
    command("predict", name, build, fine_images.get(name, ""))
for word in ("null", "5", "[]", "{}", ""):
    command("predict", f"run.json {word}", partial(predict_with, text("run.json", word)))
values = dict(
    recipe=[
        [{"step": "resample", "spacing": [0.002] * 3}, {"step": "normalise"}],
        [{"step": "normalise", "low": "a"}],
        [{"step": "normalise"}, {"step": "normalise"}],
        [{"step": "normalise", "low": 99, "high": 1}],
        [{"step": "nothing"}],
        "normalise",
    ],
    labels=[
        [],
        {"a": "b"},
        None,
        {"0": "b"},
        {"0": "b", "1": "x", "2": "y", "9": "q"},
        {"0": "b", "1": 5},
    ],
    size=[[], [0, 0], [-8, 8], "x", None, [30000, 30000], [4, 4, 4], [1.5, 2]],
    context=[-1, "a", None, 5, 10**6, 1.5],
    channels=[0, "a", None],
    tta=[5, None, ["q"], ["x"] * 9],
    swap=[{"x": 5}, 5],
    overlap=["a", None, 1.5, NAN],
    vote=["x", 5],
    end=["", ".txt", "/../../ESCAPED.nii.gz", 5],
    gate=["x", 7],
    pad=["x"],
    unknown=[1],
)
fine_values = {
    "unknown": "run.json may say more than `predict` needs",
    "tta": "the same flip nine times is the same mean",
}
for key, odd in values.items():
    for value in odd:
        name = f"run.json {key}={str(value)[:24]}"
        build = partial(predict_with, entry("run.json", **{key: value}))
        right = fine_values.get(key, "") if value in (1, ["x"] * 9) else ""
        command("predict", name, build, right)
command("predict", "run.json fifo", partial(predict_with, pipe("run.json")))
posts = {
    "obj": "{}",
    "number": "5",
    "earlier form": '{"fg_weight": 1.2, "rules": [["keep_largest", {}]]}',
    "no JSON": "[",
    "rule twice": '[{"rule": "keep_largest"}, {"rule": "keep_largest"}]',
    "decoder late": '[{"rule": "keep_largest"}, {"decoder": "threshold"}]',
    "unknown rule": '[{"rule": "nothing"}]',
    "unknown argument": '[{"rule": "keep_largest", "x": 1}]',
    "threshold 7": '[{"decoder": "threshold", "p": 7}]',
}
for name, content in posts.items():
    right = "a rule that is applied twice changes nothing more" if name == "rule twice" else ""
    build = partial(predict_with, text("post.json", content))
    command("predict", f"post.json {name}", build, right)
archs = dict(name=[5, None, "hf-hub:timm/resnet18", "nothing"], depth=[9, -1, "x"], n_out=[0, 9])
for key, odd in archs.items():
    for value in odd:
        build = partial(predict_with, entry("fold0/model.json", "arch", **{key: value}))
        command("predict", f"model.json arch.{key}={value}", build)
for value in (5, [5], ["nothing.safetensors"]):
    build = partial(predict_with, entry("fold0/model.json", checkpoints=value))
    command("predict", f"model.json checkpoints={value}", build)
command("predict", "weights nan", partial(predict_with, only_floats(lambda v: v * NAN)))
command("predict", "weights inf", partial(predict_with, only_floats(lambda v: v + np.inf)))
command("predict", "weights half", partial(predict_with, only_floats(lambda v: v.half())))
command("predict", "weights ints", partial(predict_with, only_floats(lambda v: v.int())))
command(
    "predict",
    "weights short",
    partial(predict_with, weights(lambda v: v[..., :1].clone() if v.ndim else v)),
)
command("predict", "weights text", partial(predict_with, text("fold0/model.safetensors", "x")))
command("predict", "no such run", lambda: ["predict", "nowhere", "nowhere", "out"])
command("predict", "no such image", partial(predict_with, image="nowhere.nii"))
command("predict", "out is a file", lambda: [*predict_with()[:3], "image.nii"])
command("predict", "device", lambda: [*predict_with(), "--device", "x"])
command("predict", "rle of volumes", lambda: [*predict_with(), "--rle", "x.csv"])

# ---------------------------------------------------------------- damaged run folders of a lesson

finished = None  # a run folder that a lesson left, made once


def tamper_with(pattern, change):
    shutil.copytree(finished, "run")
    file = sorted(f for f in Path("run").glob(pattern) if not f.name.startswith("origin"))[0]
    change(file)
    return ["run", "hippocampus", "--out", "run", *short]


def as_dir(file):
    file.unlink()
    file.mkdir()


damages = dict(
    empty=lambda f: f.write_bytes(b""),
    trunc=lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]),
    rand=lambda f: f.write_bytes(NOISE),
    list_=lambda f: f.write_bytes(b"[]"),
    obj=lambda f: f.write_bytes(b"{}"),
    nocol=lambda f: f.write_bytes(b"a,b\n1,2\n"),
    delete=lambda f: f.unlink(),
    dir=as_dir,
)
anew = "what the lesson writes is made anew"
tampered = {
    "params.json": "empty trunc rand list_",
    "cohort.csv": "empty rand nocol",
    "store/p000_left.json": "list_",
    "fold0/model.json": "empty trunc rand list_ obj",
    "fold0/history.csv": "delete empty rand nocol",
    "fold0/probs/*.npy": "empty dir",
    "ablation/*/model.json": "rand",
    "ablation/*/history.csv": "delete",
    "scores.csv": "dir",
    "submission/*.nii.gz": "dir",
    "submission.zip": "dir",
}
for pattern, kinds in tampered.items():
    for kind in kinds.split():
        command("tamper", f"{pattern} {kind}", partial(tamper_with, pattern, damages[kind]), anew)


def make_finished(work):
    "A run folder of the first lesson under `work`, made by the command itself"
    global finished
    import subprocess
    import sys

    words = ["run", "hippocampus", "--out", str(work / "finished"), *short]
    code = "import sys; from seg_course.out.cli import main; main(sys.argv[1:])"
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-c", code, *words], cwd=work, check=True, **quiet)
    finished = work / "finished"
    os.chmod(finished, 0o755)


# ---------------------------------------------------------------- functions

E = np.eye(4)
flat = np.diag([1, 1, 0, 1.0])


def scan_of(affine=E, shape=(1, 16, 24, 20), value=None):
    data = np.random.default_rng(0).normal(90, 15, shape).astype(np.float32)
    return Scan(data if value is None else np.full(shape, value, np.float32), affine)


scan = scan_of()
calls(
    "read",
    none=partial(read_scan, None),
    int_=partial(read_scan, 5),
    long=partial(read_scan, "a" * 400),
    label_none=partial(read_label, None, scan),
    cohort_none=partial(read_cohort, None),
    group_re=lambda: read_cohort(data_set(), group="("),
    folder=partial(read_scan, "."),
    label_map_list=lambda: read_label(data_set() / "labelsTr/c0.nii.gz", scan, [1]),
    label_of_another_grid=lambda: read_label(data_set() / "labelsTr/c0.nii.gz", scan_of(2 * E)),
    split=lambda: read_cohort(data_set(), split="x"),
    image_dir=lambda: read_cohort(data_set(), image_dir="x"),
    text_as_png=lambda: (Path("a.png").write_text("x"), read_scan("a.png")),
    text_as_mha=lambda: (Path("a.mha").write_text("x"), read_scan("a.mha")),
    text_as_mgz=lambda: (Path("a.mgz").write_text("x"), read_scan("a.mgz")),
    text_as_nrrd=lambda: (Path("a.nrrd").write_text("NRRD0004\n"), read_scan("a.nrrd")),
    text_as_dcm=lambda: (Path("a.dcm").write_text("x"), read_scan("a.dcm")),
    case_without_image=partial(read_case, pd.Series(dict(case="a"))),
)
calls(
    "to_grid",
    **{
        "nan affine": partial(to_grid, scan_of(E * NAN), scan),
        "order 7": partial(to_grid, scan, scan_of(E * 1.1), 7),
        "order x": partial(to_grid, scan, scan_of(E * 1.1), "x"),
        "singular": partial(to_grid, scan_of(flat), scan),
        "order 1.5": partial(to_grid, scan, scan_of(E * 1.1), 1.5),
        "fill text": partial(to_grid, scan, scan_of(E * 1.1), 1, "x"),
        "like None": partial(to_grid, scan, None),
    },
)
calls(
    "label_map",
    affine_zero=lambda: fit_label(Scan(np.zeros((1, 4, 8, 8), np.uint8), flat), scan),
    floatval=partial(label_map, {"1": 1.5}),
    text=partial(label_map, "{"),
    list_=partial(label_map, [1]),
    c300=partial(label_map, {1: 300}),
    neg=partial(label_map, {1: -1}),
)


def recipe(*kept):
    return lambda: apply_recipe(scan, [resolve(d, steps) for d in kept])


def of_step(step, **kw):
    return recipe(dict(step=step) | kw)


calls(
    "recipe",
    kw=of_step("normalise", x=1),
    spacing_tiny=of_step("resample", spacing=[0.001] * 3),
    spacing_inf=of_step("resample", spacing=[np.inf] * 3),
    spacing_str=of_step("resample", spacing="abc"),
    spacing_none=of_step("resample", spacing=None),
    spacing_neg=of_step("resample", spacing=[-1, 1, 1]),
    order=of_step("resample", spacing=[2, 2, 2], order=7),
    orient_dup=of_step("orient", codes="RRS"),
    orient_num=of_step("orient", codes=5),
    low_str=of_step("normalise", low="a"),
    low_above_high=of_step("normalise", low=99, high=1),
    win_nan=of_step("window", level=NAN, width=1),
    win_none=of_step("window"),
    win_zero=of_step("window", level=0, width=0),
    resize_huge=of_step("resize", shape=[5000] * 3),
    resize_str=of_step("resize", shape="abc"),
    resize_neg=of_step("resize", shape=[-1, 5, 5]),
    crop_about=of_step("crop_about"),
    crop_slices_all=of_step("crop_slices", first=100),
    unhash=of_step(["a"]),
    twice=partial(apply_recipe, scan, [normalise, normalise]),
    none=partial(apply_recipe, scan, None),
    number=partial(apply_recipe, scan, [5]),
    scan_none=partial(apply_recipe, None, [normalise]),
)


def cohort():
    return read_cohort(data_set())


def prepared(change=lambda store: None):
    "A store that `change` has changed, prepared once more"
    df = cohort()
    prepare(df, [normalise], "store", n_jobs=1)
    change(Path("store"))
    idx = prepare(df, [normalise], "store", n_jobs=1)
    return load_case("store", df.case[0]), len(idx)


def store_entry(file, change):
    return lambda: prepared(lambda store: change(store / file))


def json_entry(file, **new):
    def change(store):
        facts = json.loads((store / file).read_text())
        (store / file).write_text(json.dumps(facts | new))

    return lambda: prepared(change)


calls(
    "store",
    right=dict.fromkeys(
        "points_empty json_empty json_list json_obj json_rand json_norows json_rows_bad "
        "json_said image_short".split(),
        "the case is prepared anew",
    ),
    points_empty=store_entry("c0.pts.npy", damages["empty"]),
    json_empty=store_entry("c0.json", damages["empty"]),
    json_list=store_entry("c0.json", damages["list_"]),
    json_obj=store_entry("c0.json", damages["obj"]),
    json_rand=store_entry("c0.json", damages["rand"]),
    json_norows=json_entry("c0.json", rows=None),
    json_rows_bad=json_entry("c0.json", rows=["x"]),
    json_said=json_entry("c0.json", said=5),
    image_short=store_entry("c0.img.npy", damages["trunc"]),
)
dotted = "a case may be called so"
calls(
    "prepare",
    none=partial(prepare, None, [normalise], "s"),
    nocol=partial(prepare, pd.DataFrame(dict(a=[1])), [normalise], "s"),
    dots=lambda: prepare(cohort().assign(case=["..", "a", "b"]), [normalise], "s"),
    nancase=lambda: prepare(cohort().assign(case=[NAN, "a", "b"]), [normalise], "s"),
    long=lambda: prepare(cohort().assign(case=["a" * 400, "a", "b"]), [normalise], "s"),
    storefile=lambda: prepare(cohort(), [normalise], Path("set/imagesTr/c0.nii.gz")),
    dtype=lambda: prepare(cohort(), [normalise], "s", dtype="x"),
    recipe_none=lambda: prepare(cohort(), None, "s"),
    recipe_text=lambda: prepare(cohort(), ["normalise"], "s"),
    n_jobs=lambda: prepare(cohort(), [normalise], "s", n_jobs="x"),
    load_unknown=lambda: (prepare(cohort(), [normalise], "s"), load_case("s", "zz")),
    load_nowhere=partial(load_case, "nowhere", "c0"),
)
patients = pd.DataFrame(
    dict(case=list("abcdefgh"), group=list("abcdefgh"), ml=np.arange(8.0), fold=0)
)
calls(
    "folds",
    nstr=partial(make_folds, patients, "x"),
    nocol=partial(make_folds, patients, 2, "zz"),
    nogroup=partial(make_folds, patients.drop(columns="group"), 2),
    someNaN=partial(make_folds, patients.assign(ml=[NAN, *range(7)]), 2),
    infml=partial(make_folds, patients.assign(ml=[np.inf, *range(7)]), 2),
    nangroup=partial(make_folds, patients.assign(group=[NAN, *"bcdefgh"]), 2),
    bins0=partial(make_folds, patients, 2, bins=0),
    binsneg=partial(make_folds, patients, 2, bins=-1),
    strml=partial(make_folds, patients.assign(ml=list("abcdefgh")), 2),
    one_fold=partial(make_folds, patients, 1),
    too_many=partial(make_folds, patients, 9),
    none=partial(make_folds, None),
    hold_out_2=partial(hold_out, patients, 2.0),
    leaks=partial(check_leaks, patients.assign(group="a", fold=[0, 1] * 4)),
)


def unet(**kw):
    return partial(seg_unet, **(dict(name="resnet10t", pretrained=False, **tiny) | kw))


calls(
    "seg_unet",
    none=unet(name=None),
    n_in0=unet(n_in=0),
    n_out0=unet(n_out=0),
    n_outneg=unet(n_out=-2),
    n_out_str=unet(n_out="x"),
    size0=unet(size=(0, 0)),
    sizeneg=unet(size=(-8, 8)),
    sizef=unet(size=(8.5, 8)),
    size_int=unet(size=5),
    size_huge=unet(size=(60000, 60000)),
    depth=unet(depth=9),
    depthneg=unet(depth=-1),
    depth1=unet(depth=1),
    widths0=unet(widths=(0, 0, 0, 0)),
    widths_short=unet(widths=(8,)),
    kw=unet(encoder_kw=dict(foo=1)),
    kwlist=unet(encoder_kw=[1]),
    pre_int=unet(pretrained=5),
    ckpt=unet(pretrained="nothing.safetensors"),
    hub=unet(name="hf-hub:timm/resnet18"),
    unknown=unet(name="nothing"),
)
logits = torch.randn(2, 3, 8, 8)
truth = torch.randint(0, 3, (2, 8, 8))
calls(
    "loss",
    neg=partial(DiceCELoss(), logits, truth - 4),
    big=partial(DiceCELoss(), logits, truth + 8),
    l255=partial(DiceCELoss(), logits, truth * 0 + 255),
    floatT=partial(DiceCELoss(), logits, truth.float()),
    nan=partial(DiceCELoss(), logits * NAN, truth),
    none=partial(DiceCELoss(), None, truth),
    np_=partial(DiceCELoss(), logits.numpy(), truth),
    one=partial(DiceCELoss(), logits[:, :1], truth * 0),
    shapes=partial(DiceCELoss(), logits, truth[:, 1:]),
    wneg=partial(DiceCELoss, -1.0),
    wnan=partial(DiceCELoss, NAN),
    wstr=partial(DiceCELoss, "a"),
    kw=partial(DiceCELoss, foo=1),
    gammaneg=partial(DiceFocalLoss, gamma=-1),
    gamma_s=partial(DiceFocalLoss, gamma="x"),
    alpha_text=partial(DiceFocalLoss, alpha="abc"),
    alpha_short=partial(DiceFocalLoss(alpha=[1]), logits, truth),
    empty=partial(DiceCELoss(), logits[:0], truth[:0]),
    ignore_text=partial(DiceCELoss, ignore="x"),
    tversky_nan=partial(TverskyLoss, NAN, 1),
    tversky_zero=partial(TverskyLoss, 0, 0),
    deep_targ_none=partial(DeepLoss(DiceCELoss()), [logits] * 3, None),
    deep_two=partial(DeepLoss(DiceCELoss()), [logits] * 2, truth),
    right=dict(nan="a loss that is NaN stops the training, see StopAtNan"),
)
pred = np.zeros((4, 8, 8), int)
pred[1, 2:5, 2:5] = 1
targ = np.roll(pred, 1, 2)
mm = (1, 1, 1)
one_case = partial(case_scores, pred, targ, mm, [1], empty=1)
calls(
    "metric",
    sp1=partial(case_scores, pred, targ, 1.0, [1], empty=1),
    sphuge=partial(case_scores, pred, targ, (1e200, 1, 1), [1], empty=1),
    spneg=partial(case_scores, pred, targ, (-1, 1, 1), [1], empty=1),
    sptext=partial(case_scores, pred, targ, "abc", [1], empty=1),
    labels_none=partial(case_scores, pred, targ, mm, None, empty=1),
    labels_int=partial(case_scores, pred, targ, mm, 1, empty=1),
    labels_str=partial(case_scores, pred, targ, mm, "a", empty=1),
    labels_frac=partial(case_scores, pred, targ, mm, [1.5], empty=1),
    labels_empty=partial(case_scores, pred, targ, mm, [], empty=1),
    tolneg=partial(one_case, tol_mm=-1),
    tolnan=partial(one_case, tol_mm=NAN),
    empty7=partial(one_case, empty=7),
    surface=partial(one_case, surface="x"),
    ignore_text=partial(one_case, ignore="x"),
    ignore_nan=partial(one_case, ignore=NAN),
    ignore_scored=partial(one_case, ignore=1),
    obj=partial(case_scores, pred.astype(object), targ, mm, [1], empty=1),
    strm=partial(case_scores, pred.astype(str), targ.astype(str), mm, [1], empty=1),
    probs=partial(case_scores, pred * 0.5, targ, mm, [1], empty=1),
    none=partial(case_scores, None, targ, mm, [1], empty=1),
    plane=partial(case_scores, pred[1], targ[1], mm, [1], empty=1),
    dice_neg=partial(dice, [-1, 2, 3], empty=1),
    dice_odd=partial(dice, [5, 2, 3], empty=1),
    dice_text=partial(dice, "abc", empty=1),
    summary_empty=partial(summary, pd.DataFrame()),
    summary_none=partial(summary, None),
    summary_nolabel=partial(summary, pd.DataFrame(dict(case=["a"]))),
    summary_str=partial(summary, pd.DataFrame(dict(dice_1=["a"]))),
    zero_slices=partial(case_scores, pred[:0], targ[:0], mm, [1], empty=1),
    counts_lists=partial(counts, [[1, 2]], [[1, 2], [3, 4]], [1]),
    files_nowhere=partial(score_files, "nowhere", "nowhere", empty=1),
    files_map=lambda: score_files("set/labelsTr", data_set(), label_map="{", empty=1),
    files_jobs=lambda: score_files("set/labelsTr", data_set(), n_jobs=0, empty=1),
    files_empty=lambda: score_files("set/labelsTr", data_set(), empty="one"),
    case_dice=partial(CaseDice, empty=5),
    conventions=partial(conventions, [1, 2]),
    lesions=partial(find_lesions, pred, targ, "x"),
    vip_shapes=partial(vip_scores, pred, targ[1:], mm),
    paired=partial(paired_test, [1], [2]),
    by_column=partial(dice_by, pd.DataFrame(dict(dice=[1.0])), "zz"),
)


def load(case, bad=False):
    "Probabilities and truth of a case"
    q = np.random.default_rng(case).dirichlet([1, 1], (3, 8, 8)).transpose(3, 0, 1, 2)
    y = (q[1] > 0.5).astype(int)
    if bad:
        q[:, 0, 0, 0] = NAN
    return q, y


def fails(case):
    raise KeyError("x")


tune = partial(tune_post, [0, 1], load, empty=1)
probs = load(0)[0]
calls(
    "tune_post",
    none=partial(tune_post, None, load, empty=1),
    noload=partial(tune_post, [0], None, empty=1),
    nanprob=partial(tune_post, [0, 1], partial(load, bad=True), empty=1),
    one=partial(tune_post, [0], load, empty=1),
    cand_kw=partial(tune, candidates=[[partial(remove_small, x=1)]]),
    cand_t=partial(tune, candidates=["a"]),
    cand_none=partial(tune, candidates=None),
    cand_e=partial(tune, candidates=[]),
    groups=partial(tune, groups=["a"]),
    folds=partial(tune, folds=[1, 2, 3]),
    gain_nan=partial(tune, min_gain=NAN),
    score_str=partial(tune, score=lambda *a: "x"),
    score_nan=partial(tune, score=lambda *a: NAN),
    load_raises=partial(tune_post, [0, 1], fails, empty=1),
    dup=partial(tune_post, [0, 0], load, empty=1),
    seconds=partial(tune, seconds="x"),
    empty_text=partial(tune_post, [0, 1], load, empty="one"),
    no_case=partial(tune_post, [], load, empty=1),
    draw_neg=partial(draw_hysteresis, -1),
    right=dict(one="there are no other cases: nothing is chosen, and a warning says so"),
)


def kept(*rules):
    return partial(post_from_json, list(rules))


calls(
    "check_post",
    fgbool=kept(dict(decoder="decode", fg_weight=True)),
    rneg=kept(dict(rule="remove_small", min_px=-5)),
    dil_huge=kept(dict(rule="dilate", px=1e9)),
    hyst2=kept(dict(decoder="hysteresis", levels=[[9, 9, 9, 9]])),
    hyst3=kept(dict(decoder="hysteresis", levels=[[0.1, 0.5, 0.3, 0]], close=-1)),
    hyst4=kept(dict(decoder="hysteresis", close=100001)),
    hyst_number=partial(hysteresis, probs, levels=5),
    threshold_text=partial(threshold, probs, "x"),
    decode_labels=partial(decode, pred),
    decode_nan=partial(decode, probs * NAN),
    post_none=partial(apply_post, probs, None),
    post_text=partial(apply_post, probs, ["keep_largest"]),
    post_late=partial(apply_post, probs, [keep_largest, threshold]),
    post_twice=partial(apply_post, probs, [keep_largest, keep_largest]),
    right=dict(post_twice="a rule that is applied twice changes nothing more"),
    to_json_lambda=partial(post_to_json, [lambda msk: msk]),
    from_json_dict=partial(post_from_json, {"fg_weight": 1.2, "rules": []}),
    describe_text=partial(describe, "keep_largest", steps),
)


def image_file(name="i.nii.gz", shape=(8, 8, 4)):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), E), name)
    return Path(name)


mask = np.zeros((4, 8, 8), np.uint8)


def write_to(name, msk=mask, before=lambda: None):
    image = image_file()
    before()
    return write_label(msk, image, name)


def folder_there():
    Path("d.nii.gz").mkdir()


def files_of(**kw):
    return lambda: predict_files(small_run(), "image.nii", "out", **kw)


def wrong_cases(**files):
    small_run()
    return predict_files("run", files, "out")


calls(
    "submit",
    ext=partial(write_to, "g.txt"),
    ext_none=partial(write_to, "g"),
    png_vol=partial(write_to, "g.png"),
    isdir=partial(write_to, "d.nii.gz", before=folder_there),
    parentfile=partial(write_to, "i.nii.gz/g.nii.gz"),
    of_float=partial(write_to, "g.nii.gz", mask * 0.5),
    other_shape=partial(write_to, "g.nii.gz", mask[1:]),
    chk_none=lambda: check_submission(None, dict(i=image_file()), [0]),
    chk_nofolder=lambda: check_submission("no", dict(i=image_file()), [0]),
    chk_labels=lambda: check_submission(".", dict(i=image_file()), "ab"),
    chk_images=partial(check_submission, ".", {}, [0]),
    zip_missing=lambda: zip_submission(".", "s.zip", dict(j=image_file()), [0]),
    zip_name=lambda: zip_submission(".", "s.tar", dict(i=image_file()), [0]),
    zip_labels=lambda: zip_submission(".", "s.zip", dict(i=image_file()), [5]),
    pf_values=files_of(values={1: 99999}),
    pf_values2=files_of(values={"a": 1}),
    pf_values3=files_of(values={999: 1}),
    pf_values4=files_of(values=[1]),
    pf_merge=files_of(values={1: 0}),
    pf_end=files_of(end=".txt"),
    pf_case=lambda: wrong_cases(**{"../x": "image.nii"}),
    pf_after=files_of(after="x"),
    pf_device=files_of(device="gpu"),
    contours_of_nifti=lambda: write_contours(mask, image_file(), "c.dcm", {1: "a"}),
)
square = np.zeros((1, 8, 8), np.uint8)
square[0, 2:5, 2:5] = 1
picture = scan_of(shape=(3, 1, 8, 8))


def with_file(name, content, f, *args, **kw):
    "A function of a file with this content"

    def build():
        Path(name).write_text(content if isinstance(content, str) else json.dumps(content))
        return f(name, *args, **kw)

    return build


rle = with_file
coco = dict(images=[dict(id=1, file_name="a.png", width=8, height=8)], categories=[])
calls(
    "encoded",
    rle_odd=partial(rle_decode, "1 2 3", (8, 8)),
    rle_text=partial(rle_decode, "a b", (8, 8)),
    rle_beyond=partial(rle_decode, "60 90", (8, 8)),
    rle_zero=partial(rle_decode, "0 5", (8, 8)),
    rle_neg=partial(rle_decode, "5 -2", (8, 8)),
    rle_overlap=partial(rle_decode, "1 5 3 5", (8, 8)),
    rle_none=partial(rle_decode, None, (8, 8)),
    rle_shape=partial(rle_decode, "1 2", (8,)),
    encode_probs=partial(rle_encode, square[0] * 0.5),
    encode_none=partial(rle_encode, None),
    csv_noise=with_file("a.csv", "x", read_rle, picture),
    csv_columns=with_file("a.csv", "a,b\n1,2\n", read_rle, picture),
    csv_code=with_file("a.csv", "ImageId,EncodedPixels\na,1 x\n", read_rle, picture),
    csv_nowhere=partial(read_rle, "nowhere.csv#a", picture),
    coco_noise=with_file("a.json", "x", read_coco, picture),
    coco_list=with_file("a.json", [], read_coco, picture),
    coco_empty=with_file("a.json", {}, read_coco, picture),
    coco_no_image=with_file("a.json", dict(coco, annotations=[]), read_coco, picture),
    coco_annotation=with_file("a.json", dict(coco, annotations=[dict(id=1)]), read_coco, picture),
    coco_number=with_file("a.json", dict(coco, annotations=5), read_coco, picture),
    write_rle_none=partial(write_rle_csv, "a.csv", None),
    write_rle_empty=partial(write_rle_csv, "a.csv", {}),
    write_rle_nowhere=partial(write_rle_csv, "a.csv", dict(a="nowhere.png")),
    write_rle_volume=lambda: write_rle_csv("a.csv", dict(a=image_file())),
    write_rle_columns=partial(write_rle_csv, "a.csv", dict(a="nowhere.png"), columns=("a",)),
    write_coco_none=partial(write_coco, "a.json", None, {1: "a"}),
    write_coco_names=lambda: write_coco("a.json", {"a.png": image_file()}, None),
    write_coco_like=partial(write_coco, "a.json", {"a.png": "a.png"}, {1: "a"}, like="nowhere"),
    drawing_noise=with_file("a.json", "x", read_drawing, picture),
    drawing_xml=with_file("a.xml", "<a>", read_drawing, picture),
)


def trained(**kw):
    "The sources of a fold"
    df = cohort().assign(fold=[0, 1, 2])
    idx = prepare(df, [normalise], "store", n_jobs=1)
    given = dict(store="store", idx=idx, df=df, fold=0, size=(16, 16), bs=2, n_batches=2) | kw
    return fold_sources(**given)


def learner(sources=None, **kw):
    given = dict(name="resnet10t", pretrained=False, empty=1, **tiny) | kw
    return seg_learner(trained(**(sources or {})), **given)


def fit(folder="fold0", epochs=1, lr=1e-3, **kw):
    return fit_fold(learner(), folder, epochs, lr, **kw)


calls(
    "train",
    fold_empty=partial(trained, fold=7),
    fold_text=partial(trained, fold="x"),
    size_none=partial(trained, size=None),
    size_zero=partial(trained, size=(0, 16)),
    bs_zero=partial(trained, bs=0),
    bs_text=partial(trained, bs="x"),
    batches_neg=partial(trained, n_batches=-1),
    context_neg=partial(trained, context=-1),
    memory=partial(trained, memory="x"),
    device=partial(trained, device="x"),
    share=partial(trained, fg_share=2),
    share_and_rule=partial(trained, fg_share=0.5, rule=has_fg),
    rule_text=partial(trained, rule="x"),
    store_nowhere=partial(trained, store="nowhere"),
    tfms_text=partial(trained, tfms=["x"]),
    plan_share=partial(sampling_plan, (16, 16), 7),
    plan_size=partial(sampling_plan, 5, 0.5),
    plan_rule=partial(sampling_plan, (16, 16), rule=5),
    plan_labels=partial(sampling_plan, (16, 16), 0.5, labels="x"),
    empty_missing=partial(learner, empty=None),
    n_out=partial(learner, n_out=1),
    decoder=partial(learner, decoder="x"),
    decoder_3d=partial(learner, decoder="unet3d"),
    loss=partial(learner, loss_func="x"),
    fit_epochs=partial(fit, epochs=-1),
    fit_epochs_text=partial(fit, epochs="x"),
    fit_lr=partial(fit, lr=NAN),
    fit_lr_neg=partial(fit, lr=-1.0),
    fit_schedule=partial(fit, schedule="x"),
    fit_accumulate=partial(fit, accumulate=0),
    fit_keep=partial(fit, keep=-1),
    fit_file=lambda: (Path("f").write_text("x"), fit("f")),
    fit_one=lambda: fit_fold(
        seg_learner(
            trained(size=(32, 32), bs=1), name="resnet18", pretrained=False, empty=1, depth=5
        ),
        "f",
        1,
        1e-3,
    ),
    fit_none=partial(fit_fold, None, "f", 1, 1e-3),
    settings=partial(check_settings, folds=[9], n_folds=3),
    settings_neg=partial(check_settings, epochs=-1, bs=0),
    settings_text=partial(check_settings, lr="x"),
    device_name=partial(check_device, "gpu"),
    arch=partial(check_arch, dict(name=5), "x"),
    arch_none=partial(check_arch, None, "x"),
    load_nowhere=partial(load_net, "nowhere"),
    nets_nowhere=partial(load_nets, "nowhere"),
    join_none=partial(join_nets, "nowhere", None),
    join_nowhere=partial(join_nets, "nowhere", ["a"]),
    save_none=partial(save_net, None, "f"),
    run_nowhere=partial(load_run, "nowhere"),
    run_folds=lambda: load_run(small_run(), folds=[7]),
    run_device=lambda: load_run(small_run(), "gpu"),
    save_size=partial(save_run, "r", [normalise], {0: "b", 1: "a"}, 5),
    save_labels=partial(save_run, "r", [normalise], ["a"], (8, 8)),
    save_recipe=partial(save_run, "r", "x", {0: "b", 1: "a"}, (8, 8)),
    save_tta=partial(save_run, "r", [normalise], {0: "b", 1: "a"}, (8, 8), tta=["q"]),
    save_unknown=partial(save_run, "r", [normalise], {0: "b", 1: "a"}, (8, 8), zz=1),
    start=partial(start_run, "x", "a\0b"),
    keep=partial(keep_cohort, "nowhere", patients),
    history=partial(plot_history, "nowhere.csv"),
    right=dict(save_unknown="run.json may say more than `predict` needs"),
)
menu = {"reference": {}, "more": dict(a=1)}
calls(
    "out",
    pick_unknown=partial(pick_rows, "zz", menu),
    pick_none=partial(pick_rows, None, menu),
    pick_number=partial(pick_rows, 5, menu),
    pick_empty=partial(pick_rows, "all", {}),
    pick_usual=partial(pick_rows, "", menu, ["zz"]),
    table_nothing=partial(ablation_table, [], None, "."),
    table_history=partial(ablation_table, ["a"], lambda name, folder: None, "."),
    table_nowhere=partial(ablation_table, ["a"], lambda *a: pd.DataFrame(), "nowhere"),
    private_none=partial(check_private, None, {}),
    private_nowhere=partial(check_private, "nowhere", {}),
    private_images=partial(check_private, ".", None),
    private_list=partial(find_private, ".", ["a"]),
    private_image=partial(check_private, ".", dict(a="nowhere")),
    movie_name=partial(compare_movie, "m.txt", scan, {}),
    movie_empty=partial(compare_movie, "m.gif", scan, {}),
    movie_plane=partial(compare_movie, "m.gif", scan, dict(a=scan.data[0] > 0), plane="x"),
    slice_far=partial(draw_slice, scan, i=999),
    slice_plane=partial(draw_slice, scan, plane="x"),
    slice_shape=partial(draw_slice, scan, dict(a=mask)),
    lesson_none=lambda: __import__("seg_course.out.lesson", fromlist=["run_lesson"]).run_lesson(
        None
    ),
    oof_unknown=partial(load_oof, "zz", ".", patients),
    oof_fold=partial(predict_oof, "nowhere", patients, 0),
    gate_shape=partial(apply_gate, probs, np.zeros((9, 2))),
    table_columns=with_file("t.csv", "a\n1\n", read_table, "correct it", ["zz"]),
    phantom_name=partial(make_phantom, "nothing", "p"),
    phantom_arg=partial(make_phantom, "hippocampus", "p", zz=1),
    data_unknown=partial(data_path, "nothing"),
    data_nowhere=partial(data_path, "Task04_Hippocampus", "nowhere"),
    check_none=partial(check_cohort, None),
    check_nocol=partial(check_cohort, pd.DataFrame(dict(a=[1]))),
    stats_none=partial(case_stats, None),
    right=dict(
        table_nothing="no row was asked for: the table is empty",
        private_image="only folders of DICOM slices have headers",
        movie_empty="an image without labels is a movie, too",
    ),
)


def unreadable():
    lock("imagesTr/c1.nii.gz")(data_set())
    return partial(read_scan, "set/imagesTr/c1.nii.gz")


JOBS.append(Job("read_scan", "unreadable (nobody)", unreadable, nobody=True))


# ---------------------------------------------------------------- regions that overlap

whole_and_core = dict(whole=[1, 2], core=[2])


def region_set(labels=None, order=(1, 2), where="set"):
    "The three cases with labels 1 and 2, and what dataset.json says about regions"
    where = data_set(where)
    for f in (where / "labelsTr").iterdir():
        stored = nib.load(f)
        m = np.asarray(stored.dataobj).copy()
        m[8:10, 8:10, 5:7] = 2
        nib.save(nib.Nifti1Image(m, stored.affine), f)
    labels = dict(background=0, **whole_and_core) if labels is None else labels
    facts = dict(labels=labels, channel_names={"0": "MR"})
    facts |= {} if order is None else dict(regions_class_order=order)
    (where / "dataset.json").write_text(json.dumps(facts))
    return where


fine_regions = {
    "as they are": "regions are read",
    "no order": "larger regions come first, so the order is plain",
    "single list": "a list of one value is that value",
    "ignore": "nnU-Net's ignore goes with regions",
}
odd_regions = {
    "as they are": {},
    "no order": dict(order=None),
    "single list": dict(labels=dict(background=0, a=[1], b=[2]), order=None),
    "ignore": dict(labels=dict(background=0, whole=[1, 2], core=2, ignore=3)),
    "order short": dict(order=[1]),
    "order long": dict(order=[1, 2, 3]),
    "order text": dict(order="12"),
    "order number": dict(order=5),
    "order of texts": dict(order=["1", "2"]),
    "order null in it": dict(order=[1, None]),
    "order hides": dict(order=[2, 2]),
    "order of no label": dict(order=[1, 7]),
    "order of floats": dict(order=[1.5, 2]),
    "smaller first": dict(labels=dict(background=0, core=[2], whole=[1, 2]), order=[2, 1]),
    "twice the same": dict(labels=dict(background=0, whole=[1, 2], again=[2, 1])),
    "label 0": dict(labels=dict(background=0, whole=[0, 1], core=[2])),
    "negative": dict(labels=dict(background=0, whole=[1, -2], core=[1])),
    "empty list": dict(labels=dict(background=0, whole=[1, 2], core=[])),
    "nested": dict(labels=dict(background=0, whole=[[1, 2], [2]], core=[2])),
    "null": dict(labels=dict(background=0, whole=[1, None], core=[2])),
    "a text": dict(labels=dict(background=0, whole=[1, 2], core="x")),
    "a dict": dict(labels=dict(background=0, whole=[1, 2], core={"a": 1})),
    "300": dict(labels=dict(background=0, whole=[1, 300], core=[2])),
    "label that no region has": dict(labels=dict(background=0, whole=[1, 3], core=[3])),
}
for name, kw in odd_regions.items():
    right = fine_regions.get(name, "")
    command("regions", name, lambda kw=kw: ["check", region_set(**kw)], right)
    if name == "label that no region has":
        right = "files of labels are opened by `check`"
    JOBS.append(
        Job("regions", f"read {name}", lambda kw=kw: partial(read_cohort, region_set(**kw)), right)
    )


def region_sources(change=None, attrs=whole_and_core):
    "The sources of a fold of a cohort with regions"
    df = read_cohort(region_set())
    df["fold"] = [0, 1, 1]
    df.attrs["regions"] = attrs
    idx = prepare(df, [normalise], "store", n_jobs=1)
    return fold_sources("store", idx, df, 0, (32, 32), bs=2, n_batches=1)


def region_learner(attrs=whole_and_core, **kw):
    dls = region_sources(attrs=attrs)
    arch = dict(name="resnet10t", pretrained=False, empty=1.0, **tiny)
    return lambda: seg_learner(dls, **arch | kw)


learners = {
    "as they are": {},
    "left aside": dict(regions={}, n_out=3),
    "unknown label": dict(regions=dict(whole=[1, 2], other=[7])),
    "single": dict(regions=dict(whole=[1, 2])),
    "hidden": dict(regions=dict(core=[2], whole=[1, 2])),
    "list": dict(regions=[1, 2]),
    "text": dict(regions="whole"),
    "number": dict(regions=5),
    "values text": dict(regions=dict(whole="12", core=[2])),
    "values floats": dict(regions=dict(whole=[1.0, 2.0], core=[2.0])),
    "label outside": dict(regions=dict(head=[1], again=[1])),
    "label left out": dict(attrs=None, regions=dict(one=[1], two=[1])),
    "label 2 in none": dict(attrs=dict(a=[1, 3], b=[3])),
    "n_out": dict(n_out=7),
    "loss for labels": dict(loss_func=DiceCELoss()),
    "loss of other regions": dict(loss_func=RegionLoss(dict(all=[1, 2], other=[1]))),
    "loss of pytorch": dict(loss_func=torch.nn.CrossEntropyLoss()),
    "deep loss for labels": dict(loss_func=DeepLoss(DiceFocalLoss())),
    "region loss without regions": dict(regions={}, n_out=3, loss_func=RegionLoss(whole_and_core)),
    "cohort says nonsense": dict(attrs="whole"),
    "cohort says a list": dict(attrs=[1]),
}
for name, kw in learners.items():
    right = "they go together" if name in ("as they are", "left aside") else ""
    JOBS.append(Job("regions", f"learner {name}", partial(region_learner, **kw), right))

region_logits = torch.randn(2, 2, 8, 8)
calls(
    "regions",
    loss_channels=partial(RegionLoss(whole_and_core), logits, truth),
    loss_none=partial(RegionLoss, None),
    loss_text=partial(RegionLoss, "whole"),
    loss_empty=partial(RegionLoss, {}),
    loss_hidden=partial(RegionLoss, dict(core=[2], whole=[1, 2])),
    loss_zero=partial(RegionLoss, dict(all=[0, 1], core=[1])),
    loss_weight=partial(RegionLoss, whole_and_core, -1.0),
    loss_weight_text=partial(RegionLoss, whole_and_core, "a"),
    loss_targ_none=partial(RegionLoss(whole_and_core), region_logits, None),
    loss_targ_float=partial(RegionLoss(whole_and_core), region_logits, truth.float()),
    loss_shape=partial(RegionLoss(whole_and_core), region_logits, truth[:, 1:]),
    dice_none=partial(RegionDice, None, empty=1),
    dice_hidden=partial(RegionDice, dict(core=[2], whole=[1, 2]), empty=1),
    dice_empty=partial(RegionDice, whole_and_core, empty=7),
    scores_values=partial(case_scores, pred, targ, mm, dict(whole=["a"]), empty=1),
    scores_fraction=partial(case_scores, pred, targ, mm, dict(whole=[1.5]), empty=1),
    scores_none=partial(case_scores, pred, targ, mm, dict(whole=[]), empty=1),
    files_regions_text=lambda: score_files("set/labelsTr", region_set(), regions="x", empty=1),
    files_regions_list=lambda: score_files("set/labelsTr", region_set(), regions=[1], empty=1),
    files_regions_hidden=lambda: score_files(
        "set/labelsTr", region_set(), regions=dict(core=[2], whole=[1, 2]), empty=1
    ),
)


def region_run(model=whole_and_core, run="run", **facts):
    "A run folder of a network for two regions that was never trained, and an image for it"
    from types import SimpleNamespace

    from seg_course.nets.build import build_unet

    arch = dict(name="resnet10t", n_in=3, n_out=2, size=(32, 32), depth=3, full_res=True)
    arch |= dict(widths=[8, 16, 32], encoder_kw=dict(channels=[16, 16, 32, 64]))
    torch.manual_seed(0)
    net = build_unet(pretrained=False, **arch)
    save_net(SimpleNamespace(model=net, arch=arch, regions=model), Path(run) / "fold0")
    labels = facts.pop("labels", {"0": "background", "1": "whole", "2": "core"})
    save_run(run, [normalise], {0: "background", 1: "a"}, (32, 32))
    entry("run.json", labels=labels, **facts)(Path(run))
    write_json(f"{run}/post.json", [])
    plain_image("image.nii")
    return ["predict", run, "image.nii", "out"]


predicted = {
    "as they are": {},
    "said twice": dict(regions=whole_and_core),
    "two labels": dict(labels={"0": "b", "1": "a"}),
    "four labels": dict(labels={str(c): str(c) for c in range(4)}),
    "run.json others": dict(regions=dict(a=[1, 2], b=[1])),
    "run.json null": dict(regions=None),
    "run.json list": dict(regions=[1]),
    "run.json text": dict(regions="x"),
    "run.json hidden": dict(regions=dict(core=[2], whole=[1, 2])),
    "run.json huge": dict(regions={str(c): [c + 1] for c in range(99)}),
    "swap": dict(swap={"x": [[1, 2]]}),
    "model.json list": dict(model=[1]),
    "model.json text": dict(model="x"),
    "model.json hidden": dict(model=dict(core=[2], whole=[1, 2])),
    "model.json three": dict(model=dict(a=[1, 2], b=[2], c=[3])),
    "model.json values": dict(model=dict(a=["x"], b=[2])),
    "model.json 0": dict(model=dict(a=[0, 1], b=[1])),
    "model.json null": dict(model=dict(a=None, b=[1])),
    "model.json large": dict(model=dict(a=[10**12, 1], b=[1])),
}
for name, kw in predicted.items():
    right = "nothing was changed" if name in ("as they are", "said twice") else ""
    command("regions", f"predict {name}", partial(region_run, **kw), right)
command("regions", "score", lambda: ["score", region_set() / "labelsTr", "set"], "all is the same")

# ---------------------------------------------------------------- commands over runs


def with_run(*words):
    "A command with a run folder `run` that has no scores"
    small_run()
    return list(words)


commands = {
    "plan nowhere": lambda: ["plan", "nowhere"],
    "plan a file": lambda: (Path("x.txt").write_text("x"), ["plan", "x.txt"])[1],
    "plan unknown setting": lambda: ["plan", data_set(), "-p", "nothing=1"],
    "plan minutes 0": lambda: ["plan", data_set(), "--minutes", "0"],
    "plan minutes nan": lambda: ["plan", data_set(), "--minutes", "nan"],
    "plan minutes text": lambda: ["plan", data_set(), "--minutes", "x"],
    "plan device": lambda: ["plan", data_set(), "--device", "x"],
    "plan group": lambda: ["plan", data_set(), "--group", "("],
    "plan pattern": lambda: ["plan", data_set(), "--images", "{x}.nii"],
    "runs nowhere": lambda: ["runs", "nowhere"],
    "runs empty": lambda: (Path("e").mkdir(), ["runs", "e"])[1],
    "runs unscored": partial(with_run, "runs", "."),
    "runs sort": partial(with_run, "runs", ".", "--sort", "nothing"),
    "compare one": partial(with_run, "compare", "run"),
    "compare itself": partial(with_run, "compare", "run", "run"),
    "compare nowhere": partial(with_run, "compare", "run", "nowhere"),
    "compare margin": partial(with_run, "compare", "run", "run", "--margin", "-1"),
    "rank nowhere": lambda: ["rank", "nowhere.csv"],
    "rank one": lambda: (Path("a.csv").write_text("case,dice_1\nx,1\n"), ["rank", "a.csv"])[1],
    "rank no scores": lambda: (Path("a.csv").write_text("a,b\n1,2\n"), ["rank", "a.csv"])[1],
    "rank labels nowhere": lambda: ["rank", ".", "--labels", "nowhere"],
    "rank labels many": lambda: ["rank", ".", ".", "--labels", "nowhere"],
    "sweep no lesson": lambda: ["sweep", "nothing", "-p", "lr=1,2"],
    "sweep no setting": lambda: ["sweep", "hippocampus", "-p", "nothing=1,2"],
    "sweep no values": lambda: ["sweep", "hippocampus", "-p", "lr"],
    "sweep seeds": lambda: ["sweep", "hippocampus", "-p", "lr=1e-3,1e-2", "--seeds", "0"],
    "sweep folds": lambda: ["sweep", "hippocampus", "-p", "lr=1e-3,1e-2", "--folds", "x"],
    "sweep sampler": lambda: ["sweep", "hippocampus", "-p", "lr=1e-3,1e-2", "--sampler", "x"],
    "check nothing given": lambda: ["check"],
    "unknown command": lambda: ["nothing"],
    "unknown option": lambda: ["check", "x", "--nothing"],
}
for name, build in commands.items():
    command("over_runs", name, build)
