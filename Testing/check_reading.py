"""Reads every file of pydicom's and nibabel's own test data, compares it with them, and prints the list.

``python Testing/check_reading.py [--folders]``: each line tells ``read`` (same values and place as by the library
itself) or ``refused`` with the reason; ``WRONG`` should never be there. Not a test, as the installed test data differ.
"""

from __future__ import annotations

import collections
import gzip
import sys
import tempfile
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pydicom.data

from INRSuperResolutionLib import InrsrError, Volume, read

TOOLS = {".py", ".txt", ".json", ".dump", ".icc", ".m", ".rst", ".bin", ".md"}


def main() -> int:
    """Print the list; returns the number of wrong ones."""
    warnings.simplefilter("ignore")
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for library, root in (("pydicom", Path(pydicom.data.__file__).parent), ("nibabel", Path(nib.__file__).parent)):
            for path in sorted(
                p for p in root.rglob("*") if p.is_file() and "data" in p.parts and "__pycache__" not in p.parts
            ):
                if path.suffix in TOOLS or path.name in ("README", ".gitignore", "urls.json", "hashes.json"):
                    continue
                verdict, why = judge(path, Path(scratch))
                counts[f"{library}: {verdict}"] += 1
                print(f"{library} {path.relative_to(root)}: {verdict}{f': {why}' if why else ''}")
    print("\n".join(f"{key} {n}" for key, n in sorted(counts.items())))
    return sum(n for key, n in counts.items() if key.endswith(("WRONG", "FAILED")))


def judge(path: Path, scratch: Path) -> tuple[str, str]:
    """``read``, ``refused`` or ``WRONG``, and why."""
    source = path
    if path.name.endswith(".dcm.gz"):
        source = scratch / path.name[:-3]
        source.write_bytes(gzip.decompress(path.read_bytes()))
    try:
        volume = read(source)
    except InrsrError as error:
        return "refused", str(error).replace(str(path.parent) + "/", "")
    except Exception as error:
        return "FAILED", f"{type(error).__name__}: {error}"
    if path.name.lower().endswith((".nii", ".nii.gz", ".mgz")):
        return same_as_nibabel(volume, source)
    return same_as_pydicom(volume, source)


def same_as_nibabel(volume: Volume, path: Path) -> tuple[str, str]:
    """Values and affine as nibabel has them."""
    image = nib.load(path)
    same = np.array_equal(volume.data, np.squeeze(image.get_fdata(dtype=np.float32)).reshape(volume.shape))
    unit = (
        {"meter": 1e3, "micron": 1e-3}.get(image.header.get_xyzt_units()[0], 1)
        if hasattr(image.header, "get_xyzt_units")
        else 1
    )
    place = np.allclose(volume.affine, np.diag([unit, unit, unit, 1]) @ image.affine, atol=1e-5)
    return ("read", "as nibabel") if same and place else ("WRONG", f"values {same}, place {place}")


def same_as_pydicom(volume: Volume, path: Path) -> tuple[str, str]:
    """Values as pydicom has them, or GDCM where pydicom lacks the decoder; first voxel where the header puts it."""
    dataset = pydicom.dcmread(path, force=True)
    first = (volume.affine[:3, 3] * [-1, -1, 1]).round(4)
    if "MOSAIC" in dataset.get("ImageType", ""):
        from nibabel.nicom.dicomwrappers import wrapper_from_file

        theirs = wrapper_from_file(path)
        same = np.array_equal(volume.data, theirs.get_data().transpose(1, 0, 2).astype(np.float32))
        return (
            ("read", "a mosaic, as nibabel")
            if same and np.allclose(first, theirs.affine[:3, 3], atol=1e-3)
            else ("WRONG", "")
        )
    try:
        stored = dataset.pixel_array
    except Exception:
        import SimpleITK as sitk

        stored, told = sitk.GetArrayFromImage(sitk.ReadImage(str(path))), "as GDCM"
        slope, intercept = 1.0, 0.0
    else:
        told = "as pydicom"
        scale = dataset
        groups = dataset.get("SharedFunctionalGroupsSequence") or dataset.get("PerFrameFunctionalGroupsSequence")
        if groups and "PixelValueTransformationSequence" in groups[0]:
            scale = groups[0].PixelValueTransformationSequence[0]
        slope, intercept = float(scale.get("RescaleSlope", 1)), float(scale.get("RescaleIntercept", 0))
        slope *= float(dataset.get("DoseGridScaling", 1))
    planes = stored.reshape(-1, *stored.shape[-2:]).astype(np.float64) * slope + intercept
    ours = volume.data.transpose(2, 1, 0)
    same = np.allclose(ours, planes, rtol=1e-6) or np.allclose(ours[::-1], planes, rtol=1e-6)
    at = dataset.get("ImagePositionPatient")
    place = at is None or len(ours) > 1 or np.allclose(first, np.array(at, float), atol=1e-3)
    return ("read", told) if same and place else ("WRONG", f"values {same}, place {place}")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
