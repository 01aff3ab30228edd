"""Damaged files: how many are refused, and is any of them read as other voxels without a word?

usage: python benchmarks/damage.py [FLIPS TRUNCATIONS]     (300 and 100 a format)

Ten small files of each format are drawn, with voxels that differ. Each trial flips one random bit of one file, or cuts it
at a random place, and reads it. 'same' means the same voxels in the same place: the damage was in a part that means
nothing. Formats without a checksum (raw NIfTI, DICOM, JSON) cannot know of every wrong bit; the others must.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pandas as pd
import SimpleITK as sitk
from common import keep
from PIL import Image

from seg_course.draw.dicom import write_dicom
from seg_course.files.read import read_label, read_scan
from seg_course.files.scan import Scan

AFFINE = np.diag([0.8, 0.8, 2.5, 1])
CHECKED = {"nii.gz", "nrrd", "mha", "mgz", "png"}  # formats with a checksum of the voxels


def nifti(path, voxels):
    nib.save(nib.Nifti1Image(voxels.T, AFFINE), path)


def mgh(path, voxels):
    nib.save(nib.MGHImage(voxels.T, AFFINE), path)


def slicer(path, voxels):
    header = {"space": "RAS", "space directions": AFFINE[:3, :3], "space origin": [0, 0, 0]}
    nrrd.write(str(path), voxels.T, header)


def meta(path, voxels):
    itk = sitk.GetImageFromArray(voxels)
    itk.SetSpacing((0.8, 0.8, 2.5))
    sitk.WriteImage(itk, str(path), useCompression=True)


def picture(path, voxels):
    Image.fromarray(voxels[:3].transpose(1, 2, 0).astype(np.uint8)).save(path)


def dicom(path, voxels):
    # one slice of a series is damaged
    write_dicom(Scan(voxels[None], AFFINE), path.parent, "case")[2].rename(path)


def outline(path, voxels):
    points = voxels[0, :6, :2].clip(0, 19).tolist()
    shape = dict(label="tumour", points=points, shape_type="polygon")
    path.write_text(json.dumps(dict(shapes=[shape], imageHeight=20, imageWidth=24)))


WRITE = {
    "nii.gz": nifti,
    "nii": nifti,
    "mgz": mgh,
    "nrrd": slicer,
    "mha": meta,
    "dcm": dicom,
    "png": picture,
    "json": outline,
}


def read(path):
    "Voxels and place of a file, as bytes"
    if path.suffix == ".json":
        image = Scan(np.zeros((1, 1, 20, 24), np.uint8), np.eye(4))
        return read_label(path, image, {"tumour": 1}).data.tobytes(), b""
    # a DICOM series is a folder
    scan = read_scan(path.parent if path.suffix == ".dcm" else path)
    return scan.data.tobytes(), scan.affine.round(4).tobytes()


def damaged(raw, rng, cut):
    "The bytes of a file with one wrong bit, or without their end"
    if cut:
        return raw[: rng.integers(len(raw))]
    out = bytearray(raw)
    out[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def outcome(path, truth):
    "What becomes of a damaged file"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            voxels, place = read(path)
        except ValueError as e:
            return "refused" if ": " in str(e) else "no way out"
        except Exception as e:
            print(f"{path.name}: {type(e).__name__}: {e}")
            return "traceback"
    if (voxels, place) == truth:
        return "same"
    if any(w.category is UserWarning for w in caught):
        return "warned"
    return "other voxels" if voxels != truth[0] else "other place"


def trials(folder, end, flips, cuts):
    "Counts of the outcomes for one format"
    rng = np.random.default_rng(0)
    found = []
    for i in range(10):
        path = folder / end / str(i) / f"case.{end}"
        path.parent.mkdir(parents=True)
        WRITE[end](path, rng.integers(0, 250, (6, 20, 24)).astype(np.int16))
        raw, truth = path.read_bytes(), read(path)
        for j in range((flips + cuts) // 10):
            path.write_bytes(damaged(raw, rng, j >= flips // 10))
            found.append(outcome(path, truth))
    return pd.Series(found).value_counts()


def main():
    flips, cuts = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (300, 100)
    columns = [
        "refused",
        "same",
        "warned",
        "no way out",
        "other place",
        "other voxels",
        "traceback",
    ]
    with tempfile.TemporaryDirectory() as tmp:
        rows = {end: trials(Path(tmp), end, flips, cuts) for end in WRITE}
    table = pd.DataFrame(rows).T.reindex(columns=columns).fillna(0).astype(int)
    table.insert(0, "checksum", [end in CHECKED for end in table.index])
    keep("damage", table.to_dict("index"))
    assert not table.traceback.any()
    assert not table.loc[table.checksum, "other voxels"].any()


if __name__ == "__main__":
    main()
