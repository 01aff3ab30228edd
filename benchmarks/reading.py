"""Reading, checking and counting against their peers, in one process.

usage: python benchmarks/reading.py        real cases are used where $SEG_COURSE_DATA has them, else phantoms of the same size
"""

import os
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from common import keep

from seg_course.draw.anatomy import thorax
from seg_course.draw.dicom import write_dicom, write_rtstruct
from seg_course.draw.phantom import phantoms
from seg_course.draw.tissue import nest
from seg_course.files.cohort import read_cohort
from seg_course.files.contours import read_rtstruct
from seg_course.files.dicom import read_dicom
from seg_course.files.scan import Scan
from seg_course.look.check import check_cohort
from seg_course.look.explore import mask_targets


def best(f, n=3):
    "Shortest of n runs, seconds"
    out = []
    for _ in range(n):
        t = time.perf_counter()
        f()
        out.append(time.perf_counter() - t)
    return min(out)


def decode(folder):
    "The pictures of a folder, one after the other, by pydicom alone"
    from pydicom import dcmread

    for f in sorted(Path(folder).iterdir()):
        yield dcmread(f).pixel_array


def decode_all(folder):
    "Each picture is decoded and forgotten"
    for _ in decode(folder):
        pass


def stack(folder):
    "The pictures as a volume: in the order of names, without places, units and checks"
    return np.stack(list(decode(folder)))


def main():
    warnings.simplefilter("ignore")
    base = os.environ.get("SEG_COURSE_DATA", "")

    def real(n):
        return base and (Path(base) / n).is_dir()

    with tempfile.TemporaryDirectory() as tmp:
        d = Path(tmp)
        out = {}
        hip = (
            Path(base) / "Task04_Hippocampus"
            if real("Task04_Hippocampus")
            else phantoms["Task04_Hippocampus"](d / "hip", n=200)
        )
        t = time.perf_counter()
        df = read_cohort(hip)
        bad = check_cohort(df, n_jobs=2)
        out["read and check, 2 processes started from nothing"] = dict(
            cases=len(df),
            data="real" if real("Task04_Hippocampus") else "phantom",
            faults=len(bad),
            seconds=round(time.perf_counter() - t, 2),
        )
        hu, o = thorax(
            np.random.default_rng(0), (134, 512, 512), (2, 0.75, 0.75), tumours=[(40, False)]
        )
        ct = Scan(hu[None], np.diag([-0.75, -0.75, 2, 1]))
        write_dicom(ct, d / "ct")
        times = {f.__name__: best(partial(f, d / "ct"), 9) for f in (read_dicom, decode_all, stack)}
        out["DICOM series 512x512x134"] = dict(
            seconds=round(times["read_dicom"], 3),
            pydicom_decodes_in=round(times["decode_all"], 3),
            decodes_and_stacks_in=round(times["stack"], 3),
            ratio=round(times["read_dicom"] / times["decode_all"], 2),
            ratio_to_a_stack=round(times["read_dicom"] / times["stack"], 2),
        )
        rois = {
            "GTV-1": "tumour",
            "Lung-Left": "lung_left",
            "Lung-Right": "lung_right",
            "Heart": "heart",
        }
        rs = write_rtstruct({n: o[k] for n, k in rois.items()}, ct, d / "rs.dcm")
        out["RTSTRUCT of four structures on 512x512x134"] = dict(
            seconds=round(
                best(lambda: read_rtstruct(rs, ct, {n: i for i, n in enumerate(rois, 1)})), 2
            )
        )
        if real("NSCLC-Radiomics"):
            p = Path(base) / "NSCLC-Radiomics/dicom_subset"
            img = read_dicom(p)
            f = next(p.glob("RT*"))
            out["RTSTRUCT of LUNG1-001, four structures on 512x512x37"] = dict(
                seconds=round(
                    best(
                        lambda: read_rtstruct(
                            f, img, {"Lung-Left": 1, "Lung-Right": 2, "Spinal-Cord": 3, "GTV-1": 4}
                        )
                    ),
                    2,
                )
            )
        rng = np.random.default_rng(0)
        m = np.zeros((1, 942, 1716), np.uint8)
        g = rng.random((1, 942, 1716), np.float32)
        for i in range(50):
            m[0][
                nest(
                    (942, 1716),
                    (60 + 90 * (i // 10) * 2 - (i // 10), 80 + 170 * (i % 10)),
                    rng.uniform(20, 3000),
                    rng,
                )
            ] = 1
        out["statistics of a 1716x942 mask"] = dict(
            targets=len(mask_targets(m, (1, 1, 1), g)),
            milliseconds=round(1000 * best(lambda: mask_targets(m, (1, 1, 1), g), 5), 1),
        )
        keep("reading", out)


if __name__ == "__main__":
    main()
