"""What single attributes of a DICOM file say, whatever is written there, by pydicom."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ..errors import InputError

# first tags of files without the preamble: groups 0002 and 0008, in both byte orders
BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02\x00", b"\x00\x08\x00")


def is_dicom(path: Path) -> bool:
    """Whether a file starts as DICOM does, with the preamble or without."""
    with open(path, "rb") as stream:
        start = stream.read(132)
    return start[128:] == b"DICM" or (len(start) > 8 and start.startswith(BARE_STARTS))


def read_header(path: Path, pixels: bool = False) -> Dataset:
    """The dataset of a file, without its pixels unless they are asked for.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are looked at where they matter
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True)
            dataset.get("SOPClassUID")
            return dataset
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # pydicom raises whatever its decoding of a damaged element raises
        told = "is no DICOM file" if isinstance(error, InvalidDicomError) else f"cannot be read: {error}"
        raise InputError(f"{path} {told}", "The file may be damaged or cut off; get it again") from error


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text; empty where it is absent or cannot be decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = dataset.get(keyword)
    except Exception:
        return ""
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, (list, pydicom.multival.MultiValue)) else str(value)


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All numbers of an attribute; empty where it is absent, empty or holds anything but finite numbers."""
    if keyword not in dataset:
        return []
    try:
        # the bytes themselves: pydicom refuses or warns of what is no valid decimal string
        value = dataset.get_item(keyword).value
        if isinstance(value, bytes):
            vr = pydicom.datadict.dictionary_VR(keyword)
            value = value.decode("ascii").strip(" \0").split("\\") if vr in ("DS", "IS") else dataset.get(keyword)
        found = [float(v) for v in (value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value])]
    except Exception:
        return []
    return found if all(math.isfinite(v) for v in found) else []


def number(dataset: Dataset, keyword: str) -> float | None:
    """The only number of an attribute, or None."""
    found = numbers(dataset, keyword)
    return found[0] if len(found) == 1 else None


def positive(dataset: Dataset, keyword: str) -> float | None:
    """The only number of an attribute if it is above 0, else None."""
    found = number(dataset, keyword)
    return found if found is not None and found > 0 else None


def is_given(dataset: Dataset, keyword: str) -> bool:
    """Whether an attribute is there and not empty."""
    if keyword not in dataset:
        return False
    value = dataset.get_item(keyword).value
    return value is not None and str(value) != "" and len(value if hasattr(value, "__len__") else "1") > 0


def first_item(dataset: Dataset | None, keyword: str) -> Dataset | None:
    """The first item of a sequence; None where there is none."""
    if dataset is None or keyword not in dataset:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            items = dataset[keyword].value
        return items[0] if len(items) else None
    except Exception:
        return None
