"""Writes Documentation/reading.md: each fault of the tests of reading, made and read, and how that ends.

``python Testing/reading_table.py``; ``test_reading_table.py`` sees to it that the page has every fault.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import test_reading_dicom as dicom
import test_reading_headers as headers
from dicomfiles import write_series

from INRSuperResolutionLib import InrsrError, read

PAGE = Path(__file__).resolve().parents[1] / "Documentation" / "reading.md"
HEAD = """# What is read, and what is refused

NIfTI (also as `.hdr` and `.img`), FreeSurfer (`.mgh`, `.mgz`), NRRD, MetaImage (each also with its values in a file beside it), a DICOM file (`.dcm`, also with several frames) and a folder with one DICOM
series. Reading comes before any method, so a fault ends in the same way with each of them: exit code 2 (4 where the file would not
fit the memory) and one line that tells the cause; no file is written.

## What is taken, and told as a warning

| file | what is taken |
|---|---|
| NIfTI whose sform and qform are both set and differ | the sform |
| NIfTI whose sform is zero or no affine, with a good qform | the qform |
| NIfTI with both codes 0 | voxel sizes, first axis from right to left (as nibabel); left and right may be swapped |
| NIfTI, NRRD, MetaImage in micron, cm or metre | turned to mm |
| NIfTI with one value per voxel that is said to hold vectors, matrices or colours | a plain image |
| NRRD without a space, or in one that is not the patient's (`scanner-xyz` …) | left-posterior-superior, as ITK takes it |
| NRRD with an axis without direction; MetaImage with words but no numbers for its directions | as ITK takes it |
| MetaImage without spacing | 1 mm |
| NRRD, MetaImage with more bytes than values | the first ones |
| DICOM with a step between slices that is 1.5 times the usual one | each slice at its own place; the gap is told in mm |
| DICOM whose headers tell more slices (ImagesInAcquisition, NumberOfSlices), or whose numbers do not begin with 1 | the slices that are there |
| DICOM slices of several echoes, b values, time points or frames of reference, at positions of their own | one volume |
| one DICOM slice without a thickness | 1 mm |

What is not told, because it is certain: NIfTI offsets within the header mean its end, damaged extensions do not matter, and whether a file is packed
is seen from its bytes, not its name; slices and frames are put in the order of their positions; each has its own rescale, type and
thickness; a thickness of 0, below 0, or that is no number counts as absent; bits above those stored are dropped; MONOCHROME1 changes no
value; Siemens mosaics are untiled (one; several are refused); files that are no images (reports, a DICOMDIR, text) do not matter.

Whole numbers are written in their own type, 64 bits as 32 where they fit, and stop at its limits. Label numbers are exact up to 64
bits through `nearest`, `seco --labels` and `evaluate --labels`. Results keep the sform and qform code of their input.

## Faults

Made by `python Testing/reading_table.py` from the tests.

| fault | exit code | what is said |
|---|---|---|
"""


def faults() -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """Name of each fault, and what makes it in an empty folder and returns what to read."""
    for name, (make, _) in dicom.faults().items():

        def series(folder: Path, make: Callable[[Path], object] = make) -> Path:
            write_series(folder / "series")
            make(folder / "series")
            return folder / "series"

        yield f"DICOM: {name}", series
    for name, (fields, _) in headers.NIFTI_FAULTS.items():
        yield f"NIfTI: {name}", lambda folder, fields=fields: headers.nifti(folder / "a.nii", **fields)
    yield from headers.ITK_FAULTS.items()


def outcome(make: Callable[[Path], Path]) -> tuple[int, str]:
    """Exit code and message of reading a fault."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            read(make(Path(scratch)))
        except InrsrError as error:
            told = error.message.replace(f"{scratch}/", "")
            return error.exit_code, re.sub(r"[\d.]+ GB are free", "… GB are free", told)
    return 0, "read"


def row(name: str, code: int, told: str) -> str:
    """A line of the table."""
    return f"| {name} | {code} | {told.replace('|', '/')} |"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(HEAD + "\n".join(row(name, *outcome(make)) for name, make in faults()) + "\n", "utf-8")
