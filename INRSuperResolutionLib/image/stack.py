"""Slices with places of their own become one volume, or it is told why they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError

# slice positions that differ by less than this from even steps are rounding of the DICOM header (mm)
POSITION_TOLERANCE = 5e-3
# slices may lie off a straight line by this part of a pixel
MOST_ASIDE = 0.1
# a step this many times as long as those around it is a gap
GAP = 1.5
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice, and what its header tells of it; lengths in mm, directions and positions in LPS, as in DICOM."""

    file: Path
    number: int
    """Within the file, from 0."""
    shape: tuple[int, int]
    """Pixels along i (columns) and j (rows)."""
    position: np.ndarray
    """Centre of the first pixel, shape (3,)."""
    axes: np.ndarray
    """Unit vectors along i and j, shape (3, 2)."""
    spacing: tuple[float, float]
    """Between pixel centres along i and j."""
    thickness: float | None
    """None where the header does not tell a positive number."""
    distance: float | None
    """Between slices, as the header tells it; of use for a single slice only."""
    slope: float
    intercept: float
    marks: dict[str, str] = field(default_factory=dict)
    """What tells frames at the same position apart: echo, time point, stack …"""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"{self.file.name} frame {self.number + 1}" if self.number else self.file.name


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in their order along k, and where the volume lies (RAS mm); fields as of :class:`volume.Volume`."""

    frames: list[Frame]
    affine: np.ndarray
    slice_positions: np.ndarray | None
    slice_thickness: float | np.ndarray | None
    warnings: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        return *self.frames[0].shape, len(self.frames)


def make_stack(frames: Sequence[Frame], name: str) -> Stack:
    """Parallel slices, each at its true position (a tilted gantry becomes a shear).

    Raises
    ------
    InputError
        If they differ in size or orientation, lie at the same position, or off a straight line.
    """
    first = frames[0]
    for f in frames:
        if f.shape != first.shape or not np.allclose(f.axes * f.spacing, first.axes * first.spacing, atol=1e-4):
            raise InputError(
                f"{name}: {f.name} has another size or orientation than {first.name}",
                "Remove localisers from the folder, or split it into volumes",
            )
    normal = np.cross(first.axes[:, 0], first.axes[:, 1])
    if len(frames) == 1:
        return _single(first, normal)
    height = np.array([f.position @ normal for f in frames])
    ordered = [frames[n] for n in np.argsort(height, kind="stable")]
    _check_one_each(ordered, np.sort(height), name)
    origins = np.array([f.position for f in ordered])
    whole = origins[-1] - origins[0]
    along = whole / np.linalg.norm(whole)
    position = (origins - origins[0]) @ along
    steps = np.diff(position)
    aside = np.linalg.norm(origins - origins[0] - position[:, None] * along, axis=1).max()
    if steps.min() < POSITION_TOLERANCE or aside > MOST_ASIDE * min(first.spacing):
        raise InputError(
            f"{name}: slices lie {aside:.2f} mm off a straight line", "Resample the series to one orientation first"
        )
    even = np.abs(position - np.linspace(0, position[-1], len(position))).max() < POSITION_TOLERANCE
    step = position[-1] / (len(position) - 1) if even else float(np.median(steps))
    affine = _affine(ordered[0], along * step)
    widths = [f.thickness for f in ordered]
    known = [t for t in widths if t is not None]
    return Stack(
        ordered,
        affine,
        None if even else position / step,
        np.array(known) if len(known) == len(widths) else None,
        _gaps(ordered, steps),
    )


def _single(frame: Frame, normal: np.ndarray) -> Stack:
    step = frame.thickness or frame.distance
    told = () if step else (f"{frame.name} does not tell how thick its slice is: 1 mm is taken",)
    return Stack([frame], _affine(frame, normal * (step or 1.0)), None, frame.thickness, told)


def _affine(frame: Frame, step: np.ndarray) -> np.ndarray:
    lps = np.eye(4)
    lps[:3, :2] = frame.axes * frame.spacing
    lps[:3, 2], lps[:3, 3] = step, frame.position
    return RAS_FROM_LPS @ lps


def _check_one_each(ordered: list[Frame], height: np.ndarray, name: str) -> None:
    """Raise InputError if several slices lie at one position; tells in what they differ."""
    new = np.diff(height) > POSITION_TOLERANCE
    positions = 1 + int(new.sum())
    if positions == len(ordered):
        return
    differ = {}
    for key in dict.fromkeys(key for f in ordered for key in f.marks):
        values = sorted({f.marks.get(key, "none") for f in ordered})
        if len(values) > 1:
            differ[key] = values
    found = "; ".join(f"{key} {', '.join(v[:4])}{' …' if len(v) > 4 else ''}" for key, v in differ.items())
    volumes = len(ordered) / positions
    at = int(np.argmin(new))
    found = found or f"{ordered[at].name} and {ordered[at + 1].name} may be one slice that is there twice"
    raise InputError(
        f"{name}: several slices lie at the same position: {len(ordered)} slices at {positions} positions"
        + (f", {volumes:.0f} volumes in one" if volumes.is_integer() else "")
        + (f"; they differ in {found}" if differ else f"; {found}"),
        "Split repeats, echoes or time points into folders, one volume each",
    )


def _gaps(ordered: list[Frame], steps: np.ndarray) -> tuple[str, ...]:
    """A warning for each step that is too long for the slices on both sides of it."""
    widths = [f.thickness for f in ordered]
    known = [t for t in widths if t is not None]
    # where slices change their thickness, so do the steps
    scale = np.convolve(known, [0.5, 0.5], "valid") if len(known) == len(widths) else np.ones(len(steps))
    usual = float(np.median(steps / scale)) * scale
    told = []
    for n in np.flatnonzero(steps > GAP * usual):
        missing = round(steps[n] / usual[n]) - 1
        told.append(
            f"a gap of {steps[n]:.2f} mm between {ordered[n].name} and {ordered[n + 1].name}, where {usual[n]:.2f} mm are "
            f"usual: {missing or 1} slice{'s' if missing > 1 else ''} may be missing"
        )
    return (*told[:3], f"{len(told) - 3} more gaps between slices") if len(told) > 4 else tuple(told)
