"""Training examples of CycleINR: blocks of volumes that lost slices, as :mod:`forward_model` describes slices.

Volumes are copied to a scratch folder and read from there block by block, so that the whole set may be larger
than the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.filters import threshold_multiotsu

from ..acquisition.forward_model import SliceProfile, averaged_basis, spline_through_profile
from ..errors import InputError
from ..image.intensity import Scaling, foreground
from ..image.interpolate import apply_along, basis_matrix, cubic_prefilter, weight_matrix
from ..image.volume import Volume
from ..methods.cycleinr.network import STRIDE, Told
from ..methods.cycleinr.representation import PADDING
from ..progress import SILENT, Progress
from .data import COARSER, SMALLEST_CROP, read_each

# slices at the ends of a block whose surroundings the network does not see
END_SLICES = 2
# pixels at the edge of a block, likewise
MARGIN = 3
# fewer slices along an axis cannot be left out and brought back
FEWEST_SLICES = 16
# part of the examples in which the intensities are changed by an exponent
CHANGED_CONTRAST = 1 / 3
# standard deviations of the blur of scans that are not sharp across the slices, in pixels: full widths at half
# maximum of 1.2 to 4.2 …
BLUR = (0.5, 1.8)
# … and distances of the thick slices that such scans may have been resampled from
RESAMPLED_FROM = (1.5, 4.0)
# how much larger or smaller warped copies of a volume show what is in it …
STRETCH = (1 / 1.15, 1.15)
# … the spline coefficients of how they are bent (standard deviation, voxels), and voxels between these
BEND = 6.0
CONTROLS = 20
# slices are as thick as they are far apart, or between these parts of that: with gaps, or overlapping
THICKNESS = (0.5, 1.25)
# highest standard deviation of the noise of slices (in that of the foreground), and of their differences in gain
NOISE, GAIN = 0.1, 0.015
# classes of tissue in synthetic contrasts, and the voxels that tell them
CLASSES = 5
OTSU_VOXELS = 200_000
# of synthetic contrasts, whose intensities are about 0 to 1: strength of the volume's own texture, of a smooth bias and of
# grain (standard deviations, the last one at most), and the most blur in pixels
TEXTURE, BIAS, GRAIN, SOFT = 0.4, 0.1, 0.04, 0.7
# a scan is dull along an axis where its changes from voxel to voxel change less by this than along the others
DULL = 0.8
# volumes with thick slices show anatomy, but only in a plane: they are drawn less often
THICK_SHARE = 0.25


@dataclass(frozen=True)
class BlockSettings:
    """What examples are made of."""

    crop: int = 32
    """Side of the blocks in plane, in pixels."""
    slices: int = 10
    """Slices of the coarse blocks."""
    lowest_scale: float = 1.5
    """Distances of the slices are drawn from here …"""
    highest_scale: float = 6.5
    """… to here, in pixels."""
    whole: float = 0.5
    """Part of the examples whose distance is a whole number; the others have one decimal in :mod:`paper_blocks`."""
    averaged: float = 0.85
    """Part of the examples whose slices are averages over their thickness, as scanners make them; the others are points."""
    untold: float = 0.3
    """Part of the averages that are taken for boxcars as thick as they are far apart, whatever they are: many files do
    not tell. Of the others, the profile is known."""
    ends: float = 0.15
    """Part of the examples that begin at an end of the field of view, beyond which nothing is seen."""
    noisy: float = 0.3
    """Part of the averages that are noisier than the truth, and whose gain differs from slice to slice."""
    synthetic: float = 0.0
    """Part of the examples whose classes of tissue are given other intensities at random, so that no contrast is foreign."""
    blurred: float = 0.25
    """Part of the examples that are blurred along the slices first, or averaged in thick slices and resampled, as many
    scans were: there the network must not add what even the truth does not show."""
    targets: int = 12
    """Fine slices of a block that are compared."""
    gamma: float = 1.5
    """Contrast is changed by an exponent between 1 / gamma and gamma in a third of the examples."""
    flips: bool = True
    """Turn the blocks round along each axis, and rows into columns, at random."""
    jitter: float = 0.1
    """Standard deviation by which the scaling of the intensities is off, as a part of their own."""
    warped: int = 0
    """Warped copies of each volume, besides itself, that examples are drawn from, where there are few patients. Only of
    volumes that are sharp along all axes."""

    def __post_init__(self) -> None:
        if not 1 <= self.lowest_scale <= self.highest_scale:
            raise InputError(
                f"scales from {self.lowest_scale:g} to {self.highest_scale:g} are not valid",
                "Give numbers from 1 on, the lower one first",
            )
        if self.crop < SMALLEST_CROP:
            raise InputError(f"a crop of {self.crop} pixels is not valid", f"Give {SMALLEST_CROP} or more")
        if self.crop % STRIDE:
            raise InputError(f"a crop of {self.crop} pixels is not valid", f"Give a multiple of {STRIDE}")
        if self.slices < PADDING + END_SLICES + 2:
            raise InputError(f"blocks of {self.slices} slices are too thin", f"Give {PADDING + END_SLICES + 2} or more")
        if self.gamma < 1:
            raise InputError(f"gamma {self.gamma:g} is below 1", "Give 1 for no change of contrast")
        if self.warped < 0:
            raise InputError(f"{self.warped} warped copies are not possible", "Give 0 for none, or more")
        shares = (self.averaged, self.untold, self.ends, self.noisy, self.synthetic, self.blurred, self.whole)
        if not all(0 <= share <= 1 for share in shares) or self.targets < 1:
            raise InputError("parts of the examples must lie between 0 and 1, and targets be at least 1")


@dataclass(frozen=True)
class BlockExample:
    """A block of coarse slices, and what a spline across them misses.

    Parameters
    ----------
    voxels
        float32, (slices, crop, crop), in units of the foreground's standard deviation.
    positions
        Fractional slice numbers of the fine slices, (m,).
    base, target
        The spline's values there and the true ones, float32, (m, crop, crop).
    told
        What the network is told of the slices: not always the truth.
    """

    voxels: np.ndarray
    positions: np.ndarray
    base: np.ndarray
    target: np.ndarray
    told: Told


@dataclass(frozen=True)
class Averaging:
    """How slices average: their profile, and their thickness (full width at half maximum) as a part of their distance."""

    profile: SliceProfile = SliceProfile("none")
    width: float = 0.0


POINTS = Averaging()
TOUCHING = Averaging(SliceProfile("boxcar"), 1.0)


@dataclass(frozen=True)
class Pile:
    """One volume, seen along one of its sharp axes."""

    data: np.ndarray
    """(slice, row, column), a view of a file. One column: the volume has thick slices, and this is one of them."""
    inside: np.ndarray
    """(row, column): how much of the patient lies there."""
    extent: tuple[int, int]
    """The first and the last slice with something of the patient."""
    scaling: Scaling
    name: str
    classes: np.ndarray
    """Intensities of the classes of tissue, and the lowest and the highest one, in order."""


class BlockSet:
    """All volumes along every axis in which they are sharp.

    Parameters
    ----------
    volumes
        Files, as :func:`volume_io.read` takes them, or volumes.
    folder
        Scratch folder; must exist as long as the set is used.
    warped
        See :class:`BlockSettings`.

    Raises
    ------
    InputError
        If a volume cannot be read, is constant, or has too few voxels.
    """

    def __init__(
        self, volumes: Sequence[str | Volume], folder: Path, progress: Progress = SILENT, warped: int = 0
    ) -> None:
        self.piles: list[Pile] = []
        weights: list[float] = []
        rng = np.random.default_rng(0)
        for volume, path in read_each(volumes, folder, progress):
            dull = dull_axis(volume)
            piles = piles_of(volume, path, dull)
            for n, copy in enumerate(warped_copies(volume, warped, rng, dull)):
                piles += piles_of(copy, path.with_stem(f"{path.stem}-{n}"), dull)
            thick = piles[0].data.shape[2] == 1
            weights += [(THICK_SHARE if thick else 1.0) / len(piles)] * len(piles)
            self.piles += piles
        self._chance = np.array(weights) / np.sum(weights)
        self.size = len(volumes)
        """Examples of an epoch: one of each volume."""

    def draw(self, rng: np.random.Generator) -> Pile:
        """One of the piles; every volume with the same chance, thick ones with less."""
        return self.piles[rng.choice(len(self.piles), p=self._chance)]


def is_isotropic(volume: Volume) -> bool:
    """Whether its voxels are about as long along all axes."""
    return max(volume.spacing) <= COARSER * min(volume.spacing)


def dull_axis(volume: Volume) -> int | None:
    """The axis of the thick slices that an isotropic volume was resampled from; None if it looks as sharp along all."""
    if not is_isotropic(volume) or min(volume.shape) < FEWEST_SLICES:
        return None
    inside = foreground(volume.data)

    def power(axis: int, order: int) -> float:
        """Of differences between neighbours along an axis, inside the patient."""
        change = np.diff(np.moveaxis(volume.data, axis, 0), order, 0)
        within = np.moveaxis(inside, axis, 0)[order // 2 :][: len(change)]
        return float(np.mean(change[within] ** 2))

    fineness = np.array([power(a, 2) / max(power(a, 1), 1e-12) for a in range(3)])
    dullest = int(np.argmin(fineness))
    return dullest if fineness[dullest] < DULL * np.delete(fineness, dullest).mean() else None


def piles_of(volume: Volume, path: Path, dull: int | None = None) -> list[Pile]:
    """Copy a volume to `path`, and the ways in which slices can be left out of it.

    Of a volume that is dull along one axis, only along this: there it was scanned in slices, and there scans like it will
    be made finer.
    """
    if np.ptp(volume.data) == 0:
        raise InputError(f"{volume.name} is constant ({volume.data.flat[0]:g})", "Give an image with some contrast")
    np.save(path, volume.data)
    data = np.load(path, mmap_mode="r")
    inside = foreground(volume.data)
    scaling = Scaling.standard(volume.data)
    classes = classes_of(volume)
    sharp = [a for a in range(3) if volume.spacing[a] <= COARSER * min(volume.spacing)]
    piles = []
    for axis in sharp if dull is None else [dull]:
        if data.shape[axis] < FEWEST_SLICES:
            continue
        others = [a for a in range(3) if a != axis]
        if all(a in sharp for a in others):
            if min(data.shape[a] for a in others) >= SMALLEST_CROP:
                slices_first = np.moveaxis(data, axis, 0), np.moveaxis(inside, axis, 0)
                piles.append(pile(*slices_first, scaling, volume.name, classes))
            continue
        # thick slices: each one is a pile of lines
        thick = next(a for a in others if a not in sharp)
        row = next((a for a in others if a in sharp), None)
        if row is None or data.shape[row] < SMALLEST_CROP:
            continue
        area = inside.sum(axis=(axis, row))
        for number in np.flatnonzero(area >= 0.3 * area.max()):
            plane = np.take(data, number, axis=thick)
            seen = np.take(inside, number, axis=thick)
            if axis > row:
                plane, seen = plane.T, seen.T
            piles.append(pile(plane[:, :, None], seen[:, :, None], scaling, volume.name, classes))
    if not piles:
        raise InputError(
            f"{volume.name} of {' × '.join(map(str, volume.shape))} voxels has no sharp axis to learn from",
            f"Give volumes with at least {SMALLEST_CROP} × {SMALLEST_CROP} pixels in a sharp plane",
        )
    return piles


def warped_copies(volume: Volume, count: int, rng: np.random.Generator, dull: int | None = None) -> Iterator[Volume]:
    """A volume turned to any side, stretched, and bent smoothly; nothing if its voxels are longer along one axis.

    One that is dull along an axis is turned about this, so that the copies are, too.
    """
    if not is_isotropic(volume):
        return
    spacing = np.array(volume.spacing)
    centre = (np.array(volume.shape) - 1) / 2
    voxels = np.stack(np.meshgrid(*(np.arange(n) - c for n, c in zip(volume.shape, centre)), indexing="ij"), -1)
    bends = [basis_matrix(np.arange(n) / CONTROLS + 1, n // CONTROLS + 4, 3) for n in volume.shape]
    # voxel indices are the image's world here, with axes in the order k, j, i
    image = sitk.GetImageFromArray(volume.data)
    for _ in range(count):
        if dull is None:
            turn = Rotation.random(random_state=rng)
        else:
            turn = Rotation.from_rotvec(rng.uniform(0, 2 * np.pi) * np.eye(3)[dull])
        matrix = turn.as_matrix() * np.exp(rng.uniform(*np.log(STRETCH)))
        moved = voxels @ (matrix * spacing / spacing[:, None] - np.eye(3)).T
        for axis in range(3):
            bend = rng.normal(0, BEND, [b.shape[1] for b in bends])
            for basis in bends:  # each takes the first axis away and appends that of the voxels
                bend = np.tensordot(bend, basis, (0, 1))
            moved[..., axis] += bend
        field = sitk.GetImageFromArray(np.ascontiguousarray(moved[..., ::-1]), isVector=True)
        data = sitk.Resample(
            image, sitk.DisplacementFieldTransform(field), sitk.sitkBSpline, float(volume.data.min()), sitk.sitkFloat32
        )
        yield Volume(sitk.GetArrayFromImage(data), volume.affine, name=volume.name)


def pile(data: np.ndarray, inside: np.ndarray, scaling: Scaling, name: str, classes: np.ndarray) -> Pile:
    """A pile, with where the patient (`inside`, (slice, row, column)) is in it."""
    seen = np.flatnonzero(inside.any(axis=(1, 2)))
    return Pile(data, inside.sum(axis=0), (int(seen[0]), int(seen[-1])), scaling, name, classes)


def make_block(piles: BlockSet, settings: BlockSettings, rng: np.random.Generator) -> BlockExample:
    """Draw a column of voxels, change it as patients and scanners differ, and leave slices out."""
    fine, extent = draw_column(piles, settings, rng)
    ratio = float(rng.uniform(settings.lowest_scale, settings.highest_scale))
    if rng.random() < settings.whole:
        ratio = float(max(2, round(ratio)))
    averaging = drawn_averaging(rng) if rng.random() < settings.averaged else POINTS
    return thin_out(fine, ratio, averaging, extent, settings, rng)


def draw_column(
    piles: BlockSet, settings: BlockSettings, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """A column of voxels (depth, crop, crop) in scaled intensities, float32; its first and last slice with the patient."""
    pile = piles.draw(rng)
    depth, *plane = pile.data.shape
    size = [min(settings.crop, n) for n in plane]
    # around a voxel of the patient: columns of air teach nothing
    shares = pile.inside.ravel() / pile.inside.sum()
    centre = np.unravel_index(int(rng.choice(len(shares), p=shares)), plane)
    start = [int(np.clip(c - rng.integers(s), 0, n - s)) for c, s, n in zip(centre, size, plane)]
    fine = np.array(
        pile.data[:, start[0] : start[0] + size[0], start[1] : start[1] + size[1]], dtype=np.float32, order="C"
    )
    extent = pile.extent
    for axis in range(3):
        if rng.random() < 0.5 and settings.flips:
            fine = np.flip(fine, axis)
            if axis == 0:
                extent = (depth - 1 - extent[1], depth - 1 - extent[0])
    if size[1] == 1:
        fine = np.repeat(fine, settings.crop, 2)
    if rng.random() < 0.5 and settings.flips:
        fine = fine.transpose(0, 2, 1)
    fine = np.pad(fine, [(0, 0), *((0, settings.crop - n) for n in fine.shape[1:])], mode="edge")
    if rng.random() < settings.blurred:
        if rng.random() < 0.5:
            fine = ndimage.gaussian_filter1d(fine, rng.uniform(*BLUR), axis=0, mode="nearest")
        else:
            fine = resampled(fine, rng.uniform(*RESAMPLED_FROM), rng.uniform())
    scaling = pile.scaling
    if rng.random() < settings.synthetic:
        fine = with_other_tissues(fine, pile.classes, rng)
        scaling = Scaling.standard(fine)
    elif rng.random() < CHANGED_CONTRAST and settings.gamma > 1:
        fine, scaling = with_contrast(fine, scaling, settings.gamma ** rng.uniform(-1, 1))
    scaling = Scaling(
        scaling.offset + scaling.scale * rng.normal(0, settings.jitter),
        scaling.scale * float(np.exp(rng.normal(0, settings.jitter))),
    )
    return scaling.apply(fine), extent


def drawn_averaging(rng: np.random.Generator) -> Averaging:
    """A profile, of slices that touch, or with gaps or overlapping."""
    width = 1.0 if rng.random() < 0.5 else float(rng.uniform(*THICKNESS))
    return Averaging(SliceProfile("boxcar" if rng.random() < 0.5 else "gaussian"), width)


def resampled(fine: np.ndarray, apart: float, offset: float) -> np.ndarray:
    """A column of voxels as if acquired in slices `apart` pixels thick, and resampled by a cubic spline.

    The first slice lies `offset` of that distance before the first voxel.
    """
    depth = len(fine)
    count = int(np.ceil((depth - 1) / apart + offset)) + 1
    at = (np.arange(count) - offset) * apart
    return apply_along(slices_of(fine, at, apart), weight_matrix(np.arange(depth) / apart + offset, count, 3), 0)


def slices_of(fine: np.ndarray, at: np.ndarray, width: float, profile: SliceProfile = TOUCHING.profile) -> np.ndarray:
    """Slices of a column of voxels (depth, rows, columns) at fractional voxels `at`, `width` voxels thick."""
    weights = averaged_basis(at, len(fine), profile, width) @ cubic_prefilter(len(fine))
    return apply_along(fine, weights.astype(np.float32), 0)


def with_contrast(fine: np.ndarray, scaling: Scaling, exponent: float) -> tuple[np.ndarray, Scaling]:
    """Intensities raised to a power between the darkest values and bright ones; and how they are scaled then."""
    low = scaling.offset - 3 * scaling.scale
    span = 6 * scaling.scale

    def bent(values: np.ndarray) -> np.ndarray:
        above = np.maximum((values - low) / span, 0)
        return low + span * above**exponent

    centre, right = bent(np.array([scaling.offset, scaling.offset + scaling.scale]))
    return bent(fine).astype(np.float32), Scaling(float(centre), float(max(right - centre, 1e-6)))


def classes_of(volume: Volume) -> np.ndarray:
    """Mean intensities of classes of tissue by Otsu's thresholds, with the lowest and the highest intensity around them."""
    values = volume.data.ravel()[:: max(1, volume.data.size // OTSU_VOXELS)]
    low, high = np.percentile(values, [0.5, 99.5])
    values = np.clip(values, low, high)
    if len(np.unique(values)) > CLASSES:
        classes = np.digitize(values, threshold_multiotsu(values, CLASSES, nbins=100))
        means = [float(values[classes == n].mean()) for n in range(CLASSES) if (classes == n).any()]
    else:
        means = list(np.unique(values))
    return np.unique([float(volume.data.min()), *means, float(volume.data.max())])


def with_other_tissues(fine: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Voxels whose classes of tissue have other intensities, with texture, a smooth bias, noise and blur; about 0 to 1.

    Between the means of two classes lie mixtures of them, as where a voxel holds both: so the new intensities are a
    broken line through the classes. After Billot et al. 2023 ("SynthSeg"), where contrasts are drawn at random, too.
    """
    made = np.interp(fine, classes, rng.uniform(0, 1, len(classes)))
    texture = (fine - classes[0]) / max(float(np.ptp(classes)), 1e-6)
    made += rng.normal(0, TEXTURE) * texture
    for axis, size in enumerate(fine.shape):
        slope = 1 + rng.normal(0, BIAS) * np.linspace(-1, 1, size)
        made *= slope.reshape([-1 if a == axis else 1 for a in range(3)])
    grain = ndimage.gaussian_filter(rng.standard_normal(fine.shape, np.float32), rng.uniform(0.5, 1.5))
    made += rng.uniform(0, GRAIN) * grain / max(float(grain.std()), 1e-6)
    return ndimage.gaussian_filter(made, rng.uniform(0, SOFT)).astype(np.float32)


def thin_out(
    fine: np.ndarray,
    ratio: float,
    averaging: Averaging,
    extent: tuple[int, int],
    settings: BlockSettings,
    rng: np.random.Generator,
) -> BlockExample:
    """Slices at distance `ratio` of a column of fine slices (depth, rows, columns), in scaled intensities.

    The middle of the block lies within `extent`. Beyond the ends of the column, and of the field of view, the outermost
    slices are repeated, as the network sees it in use.
    """
    depth, count = len(fine), settings.slices
    points = averaging.width == 0
    # the first of the slices that are seen, and where positions may be: beyond its centre, averages show something
    at_end = rng.random() < settings.ends and depth > (PADDING - END_SLICES + 1) * ratio
    seen, lowest = (PADDING, PADDING - (0.0 if points else 0.5)) if at_end else (0, END_SLICES)
    length = (count - 1) * ratio
    least, most = -END_SLICES * ratio, depth - 1 - length + END_SLICES * ratio
    first = float(np.clip(rng.uniform(*extent) - length / 2, least, max(least, most)))
    if points:
        first = float(round(first))  # whole steps keep measured slices as they are
    at = first + ratio * np.arange(seen, count)
    voxels = slices_of(fine, at, averaging.width * ratio, averaging.profile)
    if not points and rng.random() < settings.noisy:
        voxels = disturbed(voxels, rng)
    places = (np.arange(depth) - first) / ratio
    usable = np.flatnonzero((places >= lowest) & (places <= count - 1 - END_SLICES))
    if points:  # the spline returns measured slices exactly
        between = np.abs(places[usable] - np.round(places[usable])) > 1e-3
        usable = usable[between] if between.any() else usable
    chosen = rng.choice(usable, min(settings.targets, len(usable)), replace=False)
    positions = places[chosen]
    assumed = TOUCHING if not points and rng.random() < settings.untold else averaging
    weights = spline_weights(positions - seen, count - seen, assumed)
    return BlockExample(
        np.concatenate([np.repeat(voxels[:1], seen, 0), voxels]),
        positions.astype(np.float32),
        np.tensordot(weights, voxels, 1),
        fine[chosen],
        Told.of(ratio, assumed.profile, assumed.width),
    )


def disturbed(voxels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Slices with noise, and each with a gain of its own, as slices that were acquired interleaved have."""
    noise = rng.standard_normal(voxels.shape, np.float32) * np.float32(rng.uniform(0, NOISE))
    gains = 1 + rng.uniform(0, GAIN) * rng.standard_normal((len(voxels), 1, 1))
    darkest = voxels.min()
    return (darkest + (voxels - darkest) * gains.astype(np.float32) + noise).astype(np.float32)


def spline_weights(positions: np.ndarray, count: int, averaging: Averaging = POINTS) -> np.ndarray:
    """Slices → values at fractional slice numbers of the spline whose averages over the slices they are, float32."""
    solved = spline_through_profile(count, averaging.profile, averaging.width)
    return (basis_matrix(positions, count, 3) @ solved).astype(np.float32)
