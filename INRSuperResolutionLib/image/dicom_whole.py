"""Whether the slices of a DICOM series belong together, and whether all of them are there, as far as headers tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InputError
from .dicom_header import number, text
from .stack import Frame

# what all slices of a volume have in common, in words, and what to do where they have not
SAME = (
    ("PatientID", "of several patients", "Give a folder with the slices of one patient"),
    ("Units", "in several units", "Give slices in one unit"),
    ("RescaleType", "in several units", "Give slices in one unit"),
)
# slices of one volume may differ in these only by mistake, which single positions do not show
SAME_MARKS = (
    "EchoTime", "EchoNumbers", "EffectiveEchoTime", "DiffusionBValue", "TemporalPositionIdentifier",
    "TemporalPositionIndex",
)  # fmt: skip


def check_together(headers: Sequence[Dataset], files: Sequence[Path], name: str) -> None:
    """Raise InputError for slices of several patients or in several units, and for a localiser among slices."""
    for keyword, what, advice in SAME:
        values = sorted({v for h in headers if (v := text(h, keyword))})
        if len(values) > 1:
            raise InputError(f"{name}: its slices are {what} ({keyword} {', '.join(values[:4])})", advice)
    localisers = [f for f, h in zip(files, headers) if "LOCALIZER" in text(h, "ImageType").upper().split("\\")]
    if 0 < len(localisers) < len(files):
        raise InputError(f"{name}: {localisers[0].name} is a localiser among slices", "Take localisers away")


def told_of(headers: Sequence[Dataset], ordered: Sequence[Frame]) -> tuple[str, ...]:
    """Sentences about slices that are missing at an end, and about mixed ones; `ordered` by position."""
    told = []
    count = len(ordered)
    spaces = {v for h in headers if (v := text(h, "FrameOfReferenceUID"))}
    if len(spaces) > 1:
        told.append(f"its slices have {len(spaces)} frames of reference: their positions may not fit each other")
    for key in SAME_MARKS:
        values = sorted({f.marks[key] for f in ordered if f.marks.get(key)})
        if len(values) > 1:
            told.append(f"its slices differ in {key} ({', '.join(values[:4])}): they may be of several volumes")
    if len(headers) != count:  # several frames a file are counted there
        return tuple(told)
    expected = _expected(headers)
    first = _first_number(headers)
    if expected and expected % count:
        told.append(f"its header tells {expected} slices, {count} are there: some at an end may be missing")
    elif first and first > 1 and (first - 1) % count:
        told.append(f"the numbers of its slices begin with {first}: {first - 1} at an end may be missing")
    return tuple(told)


def _expected(headers: Sequence[Dataset]) -> int:
    """How many slices the headers tell; 0 where they do not, or tell of several acquisitions."""
    if len({text(h, "AcquisitionNumber") for h in headers}) > 1:
        return 0
    for keyword in ("NumberOfSlices", "ImagesInAcquisition"):
        values = {number(h, keyword) for h in headers}
        value = values.pop() if len(values) == 1 else None
        if value and value > 0:
            return int(value)
    return 0


def _first_number(headers: Sequence[Dataset]) -> int:
    """The lowest InstanceNumber of slices that are numbered without a gap; else 0."""
    numbers = np.sort([number(h, "InstanceNumber") or 0 for h in headers])
    return int(numbers[0]) if len(numbers) > 1 and (np.diff(numbers) == 1).all() else 0
