"""Peak memory of reading one file of each kind, as a multiple of the array that is returned.

usage: python benchmarks/file_memory.py        (Linux: the peak of resident memory is set back through /proc/self/clear_refs)

Each file is read in a process of its own, after a small file of its kind, so that imports do not count. 'traced' is what
Python and NumPy allocated (tracemalloc), 'resident' what the process occupied, with the libraries in C; the larger of both
is the figure. 'stored' is the size of the voxels in the file before compression. The bound is 2.5 times the array, or
2.5 times what is stored if that is more: a label of 16 bits that becomes one of 8 bits is in memory as both for a moment.
"""

import gc
import json
import multiprocessing
import re
import sys
import tempfile
import tracemalloc
import warnings
from functools import partial
from pathlib import Path

import highdicom as hd
import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk
from common import keep
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage, RLELossless

from seg_course.draw.dicom import write_dicom, write_rtstruct
from seg_course.files.read import read_label, read_scan
from seg_course.files.scan import Scan

AFFINE = np.diag([0.8, 0.8, 2.5, 1])
SMALL, LARGE = (6, 40, 48), (100, 320, 320)
MOST = 2.5  # times the array, or what is stored


def volume(shape):
    "Noise of int16, (Z,Y,X)"
    return np.random.default_rng(0).integers(-1000, 1000, shape, np.int16)


def organ(shape):
    "A label map of two classes, uint8"
    z, y, x = np.ogrid[[slice(-1, 1, n * 1j) for n in shape]]
    radius = np.sqrt(z**2 + y**2 + x**2)
    return (radius < 0.7).astype(np.uint8) + (radius < 0.4)


def nifti(path, a, slope=None, kind=nib.Nifti1Image):
    image = kind(a.T, AFFINE)
    if slope:
        image.header.set_slope_inter(slope, 0)
    nib.save(image, path)


def mgh(path, a):
    nib.save(nib.MGHImage(a.T, AFFINE), path)


def slicer(path, a, encoding="gzip"):
    header = {"space": "RAS", "space directions": AFFINE[:3, :3], "space origin": [0, 0, 0]}
    nrrd.write(str(path), a.T, header | {"encoding": encoding})


def meta(path, a, packed=True):
    itk = sitk.GetImageFromArray(a)
    itk.SetSpacing((0.8, 0.8, 2.5))
    itk.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(itk, str(path), useCompression=packed)


def dicom(path, a, packed=False):
    files = write_dicom(Scan(a[None], AFFINE), path, "case")
    for file in files if packed else ():
        ds = dcmread(file)
        ds.compress(RLELossless)
        ds.save_as(file)


def item(**elements):
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def enhanced(path, a, packed=False):
    "All slices in one file"
    slices = [dcmread(f) for f in write_dicom(Scan(a[None], AFFINE), path, "case")]
    ds = slices[0].copy()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.NumberOfFrames = len(slices)
    place = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    ds.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(**{k: one[k].value for k in place})]) for one in slices
    ]
    ds.PixelData = b"".join(one.PixelData for one in slices)
    if packed:
        ds.compress(RLELossless)
    for file in path.iterdir():
        file.unlink()
    ds.save_as(path / "enhanced.dcm")


def seg(path, masks, folder):
    "A SEG file of two segments"
    code = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
    segments = [
        hd.seg.SegmentDescription(n, label, code, code, "MANUAL")
        for n, label in enumerate(masks, 1)
    ]
    hd.seg.Segmentation(
        [dcmread(f) for f in sorted(folder.iterdir())],
        np.stack(list(masks.values()), -1).astype(np.uint8),
        "BINARY",
        segments,
        series_instance_uid="1.2",
        series_number=9,
        sop_instance_uid="1.2.3",
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)


def picture(path, a, mode=None):
    # a volume of 10 million voxels is a picture of as many pixels
    side = int(np.sqrt(a.size // 3) if mode == "RGB" else np.sqrt(a.size))
    shape = (side, side, 3) if mode == "RGB" else (side, side)
    a = a.ravel()[: np.prod(shape)].reshape(shape)
    Image.fromarray(a.astype(np.uint8) if a.dtype != np.uint16 else a, mode).save(path)


def images():
    "Name -> (end of the file's name, function that writes an image from an array of int16)"
    return {
        "nii, int16": ("a.nii", nifti),
        "nii.gz, int16": ("a.nii.gz", nifti),
        "nii.gz, scl_slope": ("a.nii.gz", lambda p, a: nifti(p, a, 0.5)),
        "nii.gz, float32": ("a.nii.gz", lambda p, a: nifti(p, a.astype(np.float32))),
        "nii.gz, float64": ("a.nii.gz", lambda p, a: nifti(p, a.astype(np.float64))),
        "mgz, float32": ("a.mgz", lambda p, a: mgh(p, a.astype(np.float32))),
        "nrrd, raw": ("a.nrrd", lambda p, a: slicer(p, a, "raw")),
        "nrrd, gzip": ("a.nrrd", slicer),
        "nrrd, text": ("a.nrrd", lambda p, a: slicer(p, a, "text")),
        "mha": ("a.mha", lambda p, a: meta(p, a, False)),
        "mha, compressed": ("a.mha", meta),
        "DICOM series": ("series", dicom),
        "DICOM series, RLE": ("series", lambda p, a: dicom(p, a, True)),
        "DICOM, one file": ("series", enhanced),
        "DICOM, one file, RLE": ("series", lambda p, a: enhanced(p, a, True)),
        "png, grey": ("a.png", picture),
        "png, RGB": ("a.png", lambda p, a: picture(p, a, "RGB")),
        "png, 16 bits": ("a.png", lambda p, a: picture(p, a.astype(np.uint16))),
        "jpg, RGB": ("a.jpg", lambda p, a: picture(p, a, "RGB")),
        "tif, RGB": ("a.tif", lambda p, a: picture(p, a, "RGB")),
    }


def labels():
    "Name -> (end of the file's name, function that writes a label from an array of uint8)"
    kinds = (np.uint8, np.int16, np.int64, np.float32, np.float64)
    out = {
        f"label nii.gz, {kind.__name__}": (
            "l.nii.gz",
            lambda p, a, kind=kind: nib.save(
                nib.Nifti1Image(a.T.astype(kind), AFFINE, dtype=kind), p
            ),
        )
        for kind in kinds
    }
    return out | {
        "label nii, float32": ("l.nii", lambda p, a: nifti(p, a.astype(np.float32))),
        "label nii.gz, values over 255": (
            "l.nii.gz",
            lambda p, a: nifti(p, a.astype(np.int16) * 410),
        ),
        "label nrrd, text": ("l.nrrd", lambda p, a: slicer(p, a, "text")),
        "label seg.nrrd": ("l.seg.nrrd", slicer),
        "label mha, float32": ("l.mha", lambda p, a: meta(p, a.astype(np.float32))),
        "label mgz, float32": ("l.mgz", lambda p, a: mgh(p, a.astype(np.float32))),
        "label png": ("l.png", picture),
        "label RTSTRUCT": ("rs.dcm", None),
        "label SEG": ("seg.dcm", None),
    }


def label_image(shape, end):
    "(label map, image on its grid)"
    mask = organ(shape)
    if not end.endswith("png"):
        return mask, Scan(mask[None], AFFINE)
    side = int(np.sqrt(mask.size))
    flat = mask.ravel()[: side**2].reshape(1, 1, side, side)
    return mask, Scan(flat, np.diag([-1.0, -1, 1, 1]))


def write(folder, name, shape):
    "Write a file of one kind, of this shape"
    folder.mkdir()
    if name in images():
        end, put = images()[name]
        put(folder / end, volume(shape))
        return
    end, put = labels()[name]
    mask, image = label_image(shape, end)
    masks = {"organ": mask > 0, "core": mask > 1}
    if end == "seg.dcm":
        seg(folder / end, masks, write_dicom(image, folder / "series", "case")[0].parent)
    elif end == "rs.dcm":
        write_rtstruct(masks, image, folder / end)
    else:
        put(folder / end, mask)


def reader(folder, name, shape):
    "Function that reads this file"
    if name in images():
        return partial(read_scan, folder / images()[name][0])
    end = labels()[name][0]
    image = label_image(shape, end)[1]
    values = {0: 0, 1: 1, 2: 2, 410: 1, 820: 2}
    classes = {"organ": 1, "core": 2} if end.endswith("dcm") else values
    return partial(read_label, folder / end, image, classes)


# bytes of a stored number, as a multiple of those of the array
STORED = {"int16": 2, "int64": 8, "float32": 4, "float64": 8, "values over 255": 2}


def stored(name):
    "Size of what is stored before compression, as a multiple of the array"
    if not name.startswith("label"):
        return 2 if "float64" in name else 1
    return next((n for kind, n in STORED.items() if kind in name), 1)


def resident(key):
    "Memory of this process, bytes"
    return 1024 * int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def figures(folder, name):
    "Peak memory of reading, as multiples of the array"
    warnings.simplefilter("ignore")
    reader(folder / "small", name, SMALL)()
    read = reader(folder / "large", name, LARGE)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    size = read().data.nbytes
    peak = resident("VmHWM") - before
    tracemalloc.start()
    read()
    traced = tracemalloc.get_traced_memory()[1]
    return {
        "array, MB": round(size / 1e6, 1),
        "traced": round(traced / size, 2),
        "resident": round(peak / size, 2),
        "peak": round(max(peak, traced) / size, 2),
        "stored": stored(name),
    }


def apart(f, *args):
    "The result of a function in a process of its own, with everything imported"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(f, args)


def main():
    rows = {}
    wanted = sys.argv[1:]
    for name in (*images(), *labels()):
        if wanted and not any(word in name for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as tmp:
            for size, shape in (("small", SMALL), ("large", LARGE)):
                apart(write, Path(tmp) / size, name, shape)
            rows[name] = apart(figures, Path(tmp), name)
    if wanted:
        print(json.dumps(rows, indent=1))
        return
    keep("file_memory", rows)
    over = [name for name, row in rows.items() if row["peak"] > MOST * row["stored"]]
    assert not over, f"more than {MOST} times what is stored: {', '.join(over)}"
    more = [name for name, row in rows.items() if row["peak"] > MOST]
    print(f"more than {MOST} times the array: {', '.join(more) or 'none'}")


if __name__ == "__main__":
    main()
