"""DICOM: a folder with one series, or one file; slices and frames alike, each at its true place in its true scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..errors import InputError
from .dicom_decoder import Decoder
from .dicom_frames import frames_of
from .dicom_header import is_dicom, number, read_header, text
from .dicom_mosaic import is_mosaic, read_mosaic
from .dicom_pixels import stored_values
from .dicom_whole import check_together, told_of
from .grid import Grid
from .stack import Frame, Stack, make_stack
from .volume import Volume

# the smallest of these that holds all values is the type of a series with whole numbers
TYPES = (np.uint8, np.int16, np.uint16, np.int32)


@dataclass(frozen=True)
class Series:
    """The image files of one series."""

    name: str
    files: list[Path]
    headers: list[Dataset]
    """Without pixels, one for each file."""


def read_dicom(path: Path) -> Volume:
    """Read the series; raises InputError unless there is just one, whole, and with a place in the patient."""
    series = find_series(path)
    if any(is_mosaic(h) for h in series.headers):
        return read_mosaic(series.files, series.name)
    _check_parts(series)
    stack = stack_of(series)
    data = np.empty(stack.shape, np.float32)
    kinds = []
    with Decoder() as decoder:
        for file in series.files:
            slices = [(k, f) for k, f in enumerate(stack.frames) if f.file == file]
            dataset = read_header(file, pixels=True)
            stored = stored_values(dataset, file, decoder)
            if "ModalityLUTSequence" in dataset:
                raise InputError(f"{file} has a look-up table for its values", "Convert it to rescaled values first")
            for k, frame in slices:
                data[:, :, k], kind = _rescaled(stored[frame.number].T, frame)
                kinds.append(kind)
    return Volume(
        data,
        stack.affine,
        slice_positions=stack.slice_positions,
        slice_thickness=stack.slice_thickness,
        dtype=_common_type(kinds),
        name=series.name,
        warnings=stack.warnings,
    )


def _check_parts(series: Series) -> None:
    """Raise InputError if a file that was split into parts (a concatenation) is not there whole."""
    parts: dict[str, list[int]] = {}
    for header in series.headers:
        if total := number(header, "InConcatenationTotalNumber"):
            parts.setdefault(text(header, "ConcatenationUID"), []).append(int(total))
    for totals in parts.values():
        if len(totals) != totals[0]:
            raise InputError(
                f"{series.name} has {len(totals)} of the {totals[0]} files that its frames were split into",
                "Get the series again",
            )


def grid_of_dicom(path: Path) -> Grid:
    """The grid of a series (even, over the same extent, where its slices are not); its pixels are not looked at."""
    series = find_series(path)
    if any(is_mosaic(h) for h in series.headers):
        return read_mosaic(series.files, series.name).grid
    stack = stack_of(series)
    empty = np.broadcast_to(np.float32(0), stack.shape)
    return Volume(empty, stack.affine, slice_positions=stack.slice_positions, name=series.name).grid


def stack_of(series: Series) -> Stack:
    """Where the slices of a series lie."""
    check_together(series.headers, series.files, series.name)
    frames = [f for file, header in zip(series.files, series.headers) for f in frames_of(header, file)]
    stack = make_stack(frames, series.name)
    return replace(stack, warnings=(*stack.warnings, *told_of(series.headers, stack.frames)))


# lowest and highest value of a slice with whole numbers, or None
Span = tuple[float, float] | None


def _rescaled(stored: np.ndarray, frame: Frame) -> tuple[np.ndarray, Span]:
    """The values of a slice in its own scale, and their span if they are whole numbers."""
    whole = stored.dtype.kind in "iu" and frame.slope.is_integer() and frame.intercept.is_integer()
    values = stored.astype(np.float64) * frame.slope + frame.intercept
    return values, (float(values.min()), float(values.max())) if whole else None


def _common_type(spans: Iterable[Span]) -> np.dtype:
    known: list[tuple[float, float]] = []
    for span in spans:
        if span is None:
            return np.dtype(np.float32)
        known.append(span)
    low, high = min(s[0] for s in known), max(s[1] for s in known)
    fitting = (t for t in TYPES if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return np.dtype(next(fitting, np.float32))


def find_series(path: Path) -> Series:
    """The image files of the one series in a folder, or of one file.

    Raises
    ------
    InputError
        If there is none, several, or a file among them that is empty, cut off or no DICOM.
    """
    if not path.is_dir():
        return Series(path.name, [path], [_image_header(path, required=True)])  # type: ignore[list-item]
    files, headers, others = [], [], []
    strangers: list[Path] = []
    for file in sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")):
        if not is_dicom(file):
            strangers.append(file)
            continue
        header = _image_header(file)
        if header is None:
            others.append(file)
        else:
            files.append(file)
            headers.append(header)
    for file in strangers:
        if files and _passes_for_slice(file, files):
            what = "is empty" if file.stat().st_size == 0 else "is no DICOM file"
            raise InputError(f"{file} {what}, but lies among slices", "Get it again, or take it away if it is no slice")
    series: dict[str, list[int]] = {}
    for n, header in enumerate(headers):
        series.setdefault(text(header, "SeriesInstanceUID"), []).append(n)
    if len(series) == 1:
        return Series(path.name, files, headers)
    if series:
        found = [f"{_title(headers[n[0]])} ({len(n)} files)" for n in series.values()]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise InputError(
            f"{path} has {len(series)} DICOM series: {', '.join(found[:5])}{more}",
            "Give a folder with the files of one series",
        )
    raise InputError(f"{path} has 0 DICOM series: {_contents(path, others)}", "Give the folder that holds the slices")


def series_of(files: list[Path]) -> Series:
    """These image files, as a series; raises InputError if one is no image, or they are of several series."""
    headers = [h for h in (_image_header(file, required=True) for file in files) if h is not None]
    count = len({text(h, "SeriesInstanceUID") for h in headers})
    if count != 1:
        raise InputError(f"{files[0]} and the other files are of {count} series", "Give the files of one series")
    return Series(files[0].parent.name, files, headers)


def _title(header: Dataset) -> str:
    return text(header, "SeriesDescription") or f"series {text(header, 'SeriesNumber') or 'without a name'}"


def _image_header(file: Path, required: bool = False) -> Dataset | None:
    """The header of an image; None for a report, a plan and the like."""
    header = read_header(file)
    if "Rows" in header:
        return header
    kind = _kind(header)
    if required or not kind or "Image Storage" in kind:
        what = "is cut off or has no image" if not kind or "Image Storage" in kind else f"is a {kind}, no image"
        raise InputError(f"{file} {what}: it tells no rows and columns", "Get it again")
    return None


def _kind(header: Dataset) -> str:
    """What a file is, in the words of the standard; a DICOMDIR tells it in its meta header only."""
    meta = getattr(header, "file_meta", None) or Dataset()
    return UID(text(header, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID")).name


def _passes_for_slice(file: Path, slices: list[Path]) -> bool:
    """Whether a file that is no DICOM is named as the slices are; text is none, whatever its name."""

    def ending(p: Path) -> str:
        return "" if p.suffix[1:].isdigit() else p.suffix.lower()

    if ending(file) not in {ending(p) for p in slices}:
        return False
    start = file.read_bytes()[:512] if file.stat().st_size < 1 << 30 else b"\0"
    is_text = bool(start) and not any(c < 9 or 13 < c < 32 for c in start)
    return ending(file) != "" or not is_text


def _contents(folder: Path, others: list[Path]) -> str:
    """What a folder without images holds, in words."""
    told: list[str] = []
    kinds = Counter(_kind(read_header(f)) for f in others)
    told += [f"{n} × {kind}" for kind, n in kinds.most_common(3)]
    rest: Any = [p for p in folder.iterdir() if p not in others]
    folders = sum(p.is_dir() for p in rest)
    endings = Counter(p.suffix.lower() or "no ending" for p in rest if p.is_file())
    told += [f"{n} files with {e}" if e == "no ending" else f"{n} {e} files" for e, n in endings.most_common(3)]
    if folders:
        told.append(f"{folders} folders")
    return "it holds " + ", ".join(told) if told else "it is empty"
