"""The slices of a DICOM file: one, or the frames of a multi-frame file, each with its own place and rescale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InputError
from .dicom_header import first_item, is_given, number, numbers, positive, text
from .stack import Frame

# directions that are off by more than this are no rotation, but damaged
DIRECTION_TOLERANCE = 1e-2
GREY = ("MONOCHROME1", "MONOCHROME2")
# where frames, or files, at one position may differ
MARKS = (
    ("", "StackID"),
    ("FrameContentSequence", "StackID"),
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("MREchoSequence", "EffectiveEchoTime"),
    ("MRDiffusionSequence", "DiffusionBValue"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("SegmentIdentificationSequence", "ReferencedSegmentNumber"),
    ("", "ImageType"),
    ("", "EchoTime"),
    ("", "EchoNumbers"),
    ("", "TemporalPositionIdentifier"),
    ("", "TriggerTime"),
    ("", "DiffusionBValue"),
    ("", "AcquisitionNumber"),
    ("", "AcquisitionTime"),
)
FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")


def frames_of(dataset: Dataset, path: Path) -> list[Frame]:
    """The frames of a file, in its order; pixels are not needed.

    Raises
    ------
    InputError
        If it is a colour image, or does not tell where its frames lie or how large their pixels are.
    """
    photometric = text(dataset, "PhotometricInterpretation")
    if (number(dataset, "SamplesPerPixel") or 1) != 1 or (photometric and photometric not in GREY):
        raise InputError(f"{path} is a colour image ({photometric})", "Give a scalar volume")
    rows, columns = (int(number(dataset, k) or 0) for k in ("Rows", "Columns"))
    if rows < 1 or columns < 1:
        raise InputError(f"{path} has no image: {columns} × {rows} pixels", "The file may be cut off; get it again")
    count = int(number(dataset, "NumberOfFrames") or 1)
    if "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset:
        return _enhanced(dataset, path, (columns, rows), count)
    if is_given(dataset, "GridFrameOffsetVector"):
        return _dose(dataset, path, (columns, rows), count)
    if count > 1:
        raise InputError(
            f"{path} has {count} frames, and the functional groups that would tell where they lie are absent",
            "Export the series as single slices or as enhanced DICOM",
        )
    marks = {keyword: text(dataset, keyword) for sequence, keyword in MARKS if not sequence}
    return [_frame(path, 0, (columns, rows), _Groups([dataset]), marks)]


class _Groups:
    """Datasets of which the first one that has an attribute tells it."""

    def __init__(self, datasets: list[Dataset]) -> None:
        self._datasets = datasets

    def having(self, keyword: str) -> Dataset:
        """The dataset that tells this attribute, or an empty one."""
        return next((d for d in self._datasets if is_given(d, keyword)), Dataset())

    def numbers(self, keyword: str, count: int) -> list[float] | None:
        found = numbers(self.having(keyword), keyword)
        return found if len(found) == count else None


def _frame(path: Path, number_in_file: int, shape: tuple[int, int], groups: _Groups, marks: dict[str, str]) -> Frame:
    name = f"{path} frame {number_in_file + 1}" if number_in_file else str(path)
    position = groups.numbers("ImagePositionPatient", 3)
    orientation = groups.numbers("ImageOrientationPatient", 6)
    if position is None or orientation is None:
        missing = "ImagePositionPatient" if position is None else "ImageOrientationPatient"
        raise InputError(
            f"{name} does not tell where it lies: no valid {missing}", "Export the series again, or convert it"
        )
    axes = np.array(orientation).reshape(2, 3).T
    lengths = np.linalg.norm(axes, axis=0)
    if np.abs(lengths - 1).max() > DIRECTION_TOLERANCE or abs(axes[:, 0] @ axes[:, 1]) > DIRECTION_TOLERANCE:
        raise InputError(f"{name}: ImageOrientationPatient {orientation} is no orientation", "Export the series again")
    spacing = groups.numbers("PixelSpacing", 2)
    if spacing is None or min(spacing) <= 0:
        raise InputError(
            f"{name} does not tell how large its pixels are: no valid PixelSpacing", "Export the series again"
        )
    slope, intercept = rescale_of(groups.having("RescaleSlope"), groups.having("RescaleIntercept"), name)
    return Frame(
        path,
        number_in_file,
        shape,
        np.array(position),
        axes / lengths,
        (spacing[1], spacing[0]),  # DICOM tells the distance of rows first
        positive(groups.having("SliceThickness"), "SliceThickness"),
        positive(groups.having("SpacingBetweenSlices"), "SpacingBetweenSlices"),
        slope,
        intercept,
        {k: v for k, v in marks.items() if v},
    )


def rescale_of(slope_in: Dataset, intercept_in: Dataset, name: str) -> tuple[float, float]:
    """Slope and intercept from stored to real values; 1 and 0 where absent. Raises InputError for a slope that is none."""
    values = []
    for dataset, keyword, absent in ((slope_in, "RescaleSlope", 1.0), (intercept_in, "RescaleIntercept", 0.0)):
        value = number(dataset, keyword)
        if value is None and is_given(dataset, keyword):
            raise InputError(f"{name}: {keyword} {text(dataset, keyword)!r} is no number", "Export the series again")
        values.append(absent if value is None else value)
    if values[0] == 0:
        raise InputError(f"{name}: RescaleSlope is 0", "Export the series again")
    return values[0], values[1]


def _enhanced(dataset: Dataset, path: Path, shape: tuple[int, int], count: int) -> list[Frame]:
    """Frames with functional groups: their own come before the shared ones."""
    shared = first_item(dataset, "SharedFunctionalGroupsSequence")
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(own) != count:
        raise InputError(
            f"{path} has {count} frames, but functional groups for {len(own)}", "The file is damaged; export it again"
        )
    frames = []
    for n, groups in enumerate(own):

        def item(sequence: str, groups: Dataset = groups) -> Dataset:
            return first_item(groups, sequence) or first_item(shared, sequence) or Dataset()

        marks = {k: text(item(sequence), k) for sequence, k in MARKS if sequence}
        marks["FrameType"] = next((t for s in FRAME_TYPES if (t := text(item(s), "FrameType"))), "")
        places = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        values = [item("PixelValueTransformationSequence"), _rescale_alone(dataset)]
        frames.append(_frame(path, n, shape, _Groups([*map(item, places), *values]), marks))
    return frames


def _rescale_alone(dataset: Dataset) -> Dataset:
    """The rescale of a whole file, which some write beside the groups."""
    made = Dataset()
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if keyword in dataset:
            made[keyword] = dataset[keyword]
    return made


def _dose(dataset: Dataset, path: Path, shape: tuple[int, int], count: int) -> list[Frame]:
    """Planes of a radiotherapy dose: offsets along the normal of the first one (DICOM PS3.3 C.8.8.3.2)."""
    offsets = numbers(dataset, "GridFrameOffsetVector")
    if len(offsets) != count:
        raise InputError(
            f"{path} has {count} frames, but {len(offsets)} offsets", "The file is damaged; export it again"
        )
    scaling = number(dataset, "DoseGridScaling")
    if scaling is None or scaling <= 0:
        raise InputError(f"{path} does not tell the scale of its dose", "Export it again")
    first = _frame(path, 0, shape, _Groups([dataset]), {})
    normal = np.cross(first.axes[:, 0], first.axes[:, 1])
    # the first offset is 0, or (for axial planes) all of them are z coordinates
    start = offsets[0]
    return [
        Frame(
            path, n, shape, first.position + (offset - start) * normal, first.axes, first.spacing,
            first.thickness, first.distance, scaling, 0.0,
        )
        for n, offset in enumerate(offsets)
    ]  # fmt: skip
