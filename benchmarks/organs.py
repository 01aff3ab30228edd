"""Organs at full size: crop about the heart and adaptive window of a scan of 512x512x200 voxels, merge of four probability maps of that size, and the scores of 61 classes on 122x101x112 voxels.

usage: python benchmarks/organs.py

All on the cores that torch and NumPy take by themselves. The drawn chest is enlarged to full size; the 61 classes are blocks of 31x26x28 voxels, shifted by one. Memory is what a fresh process holds at most, the probabilities included.
"""

import json
import subprocess
import sys

import numpy as np
from common import keep, rounds
from memory import peak_of


def chest():
    "A scan of 512x512x200 voxels and the label map of its organs"
    from seg_course.draw.anatomy import thorax
    from seg_course.files.scan import Scan

    rng = np.random.default_rng(0)
    hu, o = thorax(rng, (100, 128, 128), (3, 3, 3), contrast=True)
    A = np.diag([-0.75, -0.75, 1.5, 1])

    def grow(a):
        return a.repeat(2, 0).repeat(4, 1).repeat(4, 2)

    big = grow(hu) + rng.integers(-15, 15, (200, 512, 512), dtype=np.int16)
    return Scan(big[None], A), Scan(grow(o["heart"]).astype(np.uint8)[None], A)


def prepare_one():
    from seg_course.prepare.crop import crop_about
    from seg_course.prepare.intensity import adaptive_window

    img, heart = chest()
    return {
        "crop 150x200x200 mm about the heart, then window": lambda: adaptive_window(
            crop_about(img, (150, 200, 200), heart), heart
        ),
        "window of the whole scan": lambda: adaptive_window(img, heart),
    }


def merge_four():
    from seg_course.predict.gate import merge_organs

    rng = np.random.default_rng(0)
    p = [rng.random((200, 512, 512), np.float32) for _ in range(4)]
    return {f"merge by {by}": lambda by=by: merge_organs(p, by) for by in ("probability", "order")}


def score_61():
    from seg_course.score.metric import case_scores

    z, y, x = np.ogrid[:122, :101, :112]
    t = z // 31 * 16 + y // 26 * 4 + x // 28
    t[t > 61] = 0
    p = np.roll(t, 1, 2)
    return {"scores of 61 classes": lambda: case_scores(p, t, (3, 3, 3), range(1, 62), empty=1.0)}


def main():
    rows = {}
    for f in (prepare_one, merge_four, score_61):
        p = subprocess.Popen(
            [sys.executable, __file__, f.__name__], stdout=subprocess.PIPE, text=True
        )
        top, _ = peak_of(p)
        got = json.loads(p.stdout.read().splitlines()[-1])
        for k, s in got.items():
            rows[k] = {"seconds": round(s, 2), "peak MB of the process": round(top)}
            print(k, rows[k], flush=True)
    keep("organs", rows)


if __name__ == "__main__":
    print(json.dumps(rounds(globals()[sys.argv[1]](), 2))) if len(sys.argv) > 1 else main()
