"""The museum of lesson honest_numbers: does the named test fail if the mistake is made again?

usage: python .ci/museum.py [NOTEBOOK ...]     (names like 44_nets.loss; all of them: two minutes)

Each mistake is planted into the exported cells of the notebook that tests it, in memory, and the cells are executed. Cells
before the named test may fail, too. The exit status is 1 if a named test passes in spite of its mistake, or is not there.
"""

import contextlib
import inspect
import io
import json
import sys
import traceback
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "nbs"

LOSSES = """
    whole = [rows.index[: len(rows) // 8 * 8] for _, rows in df.groupby("bin")]
    used = df.index.isin(np.concatenate(whole))
    return df[~inside & used].reset_index(drop=True), df[inside & used]""".lstrip("\n ")

# notebook, right code, mistake, test
MISTAKES = [
    (
        "44_nets.loss",
        "F.log_softmax(pred, 1).gather",
        "F.softmax(pred, 1).sigmoid().log().gather",
        "assert focal_loss(sure_logits(40.0), targ) < 1e-6",
    ),
    (
        "56_train.schedule",
        "self.learn.loss_func.helpers = math.cos(",
        "self.learn.loss_func.helpers = self.learn.loss_func.helpers * math.cos(",
        "test_close(got, meant, 1e-9)",
    ),
    (
        "35_batch.autoaugment",
        "= strength * unit\n",
        "= strength * unit * (x.shape[-1] / x.shape[-2] if name == 'TranslateY' else 1)\n",
        "test_eq(_move(img, lab, [name], [0.1])[1], lab.roll(pixels, axis))",
    ),
    (
        "25_prepare.split",
        "return df[~inside].reset_index(drop=True), df[inside]",
        LOSSES,
        "test_eq(sorted([*rest.case, *test.case]), names)",
    ),
    (
        "25_prepare.split",
        '_deal(df, _strata(df["bin"], n), n, seed)\n    check_leaks(df)',
        '_deal(df.assign(group=df.case), _strata(df["bin"], n), n, seed)',
        'test_eq(folds.groupby("group").fold.nunique().max(), 1)  # no patient on both sides',
    ),
    (
        "71_predict.post",
        "foreground = 1 - probs[0] >= np.float32(p)",
        "foreground = 1 - probs[0] >= np.float32(1 / (1 + np.exp(-p)))",
        "test_eq(threshold(voxel).item(), 2)  # exactly one half is enough",
    ),
    (
        "45_score.metric",
        "p, t, spacing = _as_picture(p, t, spacing)",
        "p, t, spacing = _as_picture(p, t, [1.0] * p.ndim)",
        'test_close(surface_scores(a, b, (2, 1, 1))["hd95_mm"], 6)',
    ),
    (
        "23_prepare.recipe",
        "return to_grid(scan, like, order)",
        "return to_grid(scan, like, 1)",
        "test_eq(np.unique(finer.data), [0, 1, 3])",
    ),
    (
        "67_predict.gate",
        'if by == "probability":\n                np.maximum',
        'if by == "never":\n                np.maximum',
        "test_eq(merge_organs([a, b]), likelier_wins)",
    ),
    (
        "33_batch.source",
        "g.manual_seed((self._seed(b) + ",
        "g.manual_seed((self._seed(0) + ",
        "test_eq(len({round(float(a.max()), 6) for a in one}), len(one))  # and each batch its own",
    ),
    (
        "12_files.cohort",
        None,  # it is a line of another room, see `forget_421`
        None,
        "test_eq(np.unique(read_case(mr)[1].data), range(8))  # 421 was read as 420",
    ),
    (
        "30_batch.patch",
        "centre = _along(start[:, axis], n) + 0.5",
        "centre = _along(0 * start[:, axis], n) + 0.5",
        "test_eq(part, whole[:, 1:3, 2:6, 3:7])",
    ),
]


def forget_421():
    "The layout of MM-WHS without the value that occurs in one file"
    from seg_course.files import layout

    right = inspect.getsource(layout._mmwhs)
    wrong = right.replace(" | {421: 2}", "")
    if wrong == right:
        raise ValueError("the layout of MM-WHS does not name 421 any more: mend this script")
    exec(wrong, layout.__dict__)
    layout.layouts["mmwhs"] = layout._mmwhs


def code_cells(notebook):
    "The code of a notebook, without cells that need data, time or an accelerator"
    text = (NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8")
    cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
    sources = ["".join(c["source"]) for c in cells]
    return [s for s in sources if not any(f"#| {flag}" in s for flag in ("data", "slow", "gpu"))]


def execute(source, names):
    "The line of a cell that fails, or None"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, "cell", "exec"), names)
    except Exception as e:
        frames = traceback.extract_tb(e.__traceback__)
        line = next(f.lineno for f in frames if f.filename == "cell" and f.name == "<module>")
        return source.splitlines()[line - 1].strip()
    return None


def what_happens(notebook, right, mistake, test):
    "What the named test says to the mistake"
    cells = code_cells(notebook)
    if right is None:
        forget_421()
    elif not any(right in s for s in cells if "#| export" in s):
        return "the code has changed: mend this script"
    names = {"__name__": "museum", "display": print}
    for source in cells:
        if right and "#| export" in source:
            source = source.replace(right, mistake)
        failed = execute(source, names)
        if test in source:
            return "fails, as it should" if failed and failed in test else f"NOT FOUND ({failed})"
    return "the test is not there"


if __name__ == "__main__":
    chosen = [m for m in MISTAKES if len(sys.argv) < 2 or m[0] in sys.argv[1:]]
    answers = [(m[0], m[3], what_happens(*m)) for m in chosen]
    for notebook, test, answer in answers:
        print(f"{notebook}: {test[:60]} -> {answer}")
    sys.exit(any(answer != "fails, as it should" for *_, answer in answers))
