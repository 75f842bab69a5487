"""Training examples: slices of volumes, made coarse exactly as :mod:`degrade` does it.

Volumes are copied to a scratch folder one after the other and read from there slice by slice, so that
the whole set may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..acquisition.degrade import KINDS, degrade
from ..errors import InputError
from ..image.files import read
from ..image.intensity import Scaling, foreground, without_signal
from ..image.interpolate import basis_matrix
from ..image.volume import Volume
from ..progress import SILENT, Progress

# axes that are this much coarser than the finest one are not looked at as part of a plane
COARSER = 1.25
# slices with less foreground than this part of the fullest one of their volume teach nothing
SMALLEST_SLICE = 0.15
# pixels at the edge of a crop whose surroundings the network does not see
MARGIN = 4
SMALLEST_CROP = 16


@dataclass(frozen=True)
class DataSettings:
    """What examples are made of."""

    crop: int = 48
    """Side of the low-resolution crops in pixels."""
    kinds: str = "kspace"
    """Degradations, joined by ``+``; each example draws one."""
    lowest_scale: float = 1.0
    """Scales are drawn evenly from here …"""
    highest_scale: float = 4.0
    """… to here."""
    gamma: float = 1.5
    """Contrast is changed by an exponent between 1 / gamma and gamma in a third of the examples."""
    ramps: float = 0.02
    """Part of the examples that are plain ramps: a function of a flat slope must not be shifted."""
    jitter: float = 0.1
    """Standard deviation by which the scaling of the intensities is off, as a part of their own."""
    fine_crop: int = 0
    """Side of crops of the truth, in pixels, which then lose resolution as a whole; 0 for crops of the coarse slice (`crop`)."""
    darkest: float = -1e12
    """Intensities are cut off below this …"""
    brightest: float = 1e12
    """… and above this: the window of a CT."""

    def __post_init__(self) -> None:
        unknown = [k for k in self.kinds.split("+") if k not in KINDS or k == "interval"]
        if unknown:
            raise InputError(
                f"degradation {unknown[0]!r} cannot be trained on", "Join kspace, area, profile or bicubic by +"
            )
        if not 1 <= self.lowest_scale <= self.highest_scale:
            raise InputError(
                f"scales from {self.lowest_scale:g} to {self.highest_scale:g} are not valid",
                "Give numbers from 1 on, the lower one first",
            )
        if self.crop < SMALLEST_CROP or self.crop % 2:
            raise InputError(f"a crop of {self.crop} pixels is not valid", f"Give an even number from {SMALLEST_CROP}")
        if self.gamma < 1:
            raise InputError(f"gamma {self.gamma:g} is below 1", "Give 1 for no change of contrast")
        if self.fine_crop and self.fine_crop < SMALLEST_CROP * self.highest_scale:
            raise InputError(
                f"a fine_crop of {self.fine_crop} pixels leaves fewer than {SMALLEST_CROP} at a scale of {self.highest_scale:g}",
                f"Give {int(np.ceil(SMALLEST_CROP * self.highest_scale))} or more, or 0",
            )
        if not self.darkest < self.brightest:
            raise InputError(
                f"darkest {self.darkest:g} is not below brightest {self.brightest:g}",
                "Give the window of the intensities",
            )


@dataclass(frozen=True)
class Example:
    """A crop of a coarse slice, and what a spline through it misses.

    Parameters
    ----------
    slice
        float32, (crop, crop), in units of the foreground's standard deviation.
    rows, columns
        Positions of the fine pixels, in pixels of the crop.
    base, target
        The spline's values there and the true ones, float32, (len(rows), len(columns)).
    scale
        How many times finer the truth is.
    """

    slice: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    base: np.ndarray
    target: np.ndarray
    scale: float


@dataclass(frozen=True)
class Stack:
    """The slices of one volume in one orientation."""

    data: np.ndarray
    """(slice, row, column), a view of a file."""
    useful: np.ndarray
    """Slices with enough of the patient."""
    scaling: Scaling
    name: str


class SliceSet:
    """Slices of all volumes in every orientation in which they are sharp.

    Parameters
    ----------
    volumes
        Files, as :func:`volume_io.read` takes them, or volumes.
    folder
        Scratch folder; must exist as long as the set is used.
    window
        Intensities are cut off below and above; None for all.

    Raises
    ------
    InputError
        If a volume cannot be read, is constant, or too small.
    """

    def __init__(
        self,
        volumes: Sequence[str | Volume],
        folder: Path,
        progress: Progress = SILENT,
        window: tuple[float, float] | None = None,
    ) -> None:
        self.stacks: list[Stack] = []
        for volume, path in read_each(volumes, folder, progress):
            seen = volume if window is None else volume.replace(data=np.clip(volume.data, *window))
            self.stacks += stacks_of(seen, path)
        self.size = sum(len(s.useful) for s in self.stacks)
        """Examples of an epoch: one of each slice."""
        # large volumes have more to teach, but less in each slice
        weights = np.sqrt([len(s.useful) for s in self.stacks])
        self._chance = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> tuple[Stack, int]:
        """A stack and the number of one of its useful slices."""
        stack = self.stacks[rng.choice(len(self.stacks), p=self._chance)]
        return stack, int(rng.choice(stack.useful))


def read_each(volumes: Sequence[str | Volume], folder: Path, progress: Progress) -> Iterator[tuple[Volume, Path]]:
    """Volumes one after the other, each with the path of a file in `folder` that its voxels can be copied to."""
    for n, given in enumerate(volumes):
        yield read(given) if isinstance(given, str) else given, folder / f"{n}.npy"
        progress.update((n + 1) / len(volumes))


def stacks_of(volume: Volume, path: Path) -> list[Stack]:
    """Copy a volume to `path`, and the orientations in which it can be looked at."""
    if np.ptp(volume.data) == 0:
        raise InputError(f"{volume.name} is constant ({volume.data.flat[0]:g})", "Give an image with some contrast")
    # from 0 up, air at 0: that is where the magnitude of what cutting k-space leaves is folded
    lowest = without_signal(volume.data)
    np.save(path, np.maximum(volume.data, lowest) - np.float32(lowest))
    data = np.load(path, mmap_mode="r")
    inside = foreground(np.asarray(data))
    scaling = Scaling.standard(np.asarray(data))
    sharp = [s <= COARSER * min(volume.spacing) for s in volume.spacing]
    stacks = []
    for axis in range(3):
        plane = [a for a in range(3) if a != axis]
        if not all(sharp[a] for a in plane) or min(data.shape[a] for a in plane) < 2 * SMALLEST_CROP:
            continue
        area = inside.sum(axis=tuple(plane))
        useful = np.flatnonzero(area >= SMALLEST_SLICE * area.max())
        stacks.append(Stack(np.moveaxis(data, axis, 0), useful, scaling, volume.name))
    if not stacks:
        raise InputError(
            f"{volume.name} of {' × '.join(map(str, volume.shape))} voxels has no plane to learn from",
            f"Give volumes with at least {2 * SMALLEST_CROP} × {2 * SMALLEST_CROP} pixels in a sharp plane",
        )
    return stacks


def make_example(
    slices: SliceSet,
    settings: DataSettings,
    rng: np.random.Generator,
    most_points: int | None = None,
    multiple: int = 1,
) -> Example:
    """Draw a slice, change it as patients and scanners differ, make it coarse, and cut a crop out.

    Parameters
    ----------
    multiple
        With `fine_crop`, coarse slices are extended at their end to multiples of this, as the network wants them.
    """
    stack, number = slices.draw(rng)
    fine = np.array(stack.data[number], dtype=np.float32)
    for axis in (0, 1):
        if rng.random() < 0.5:
            fine = np.flip(fine, axis)
    if rng.random() < 0.5:
        fine = fine.T
    scaling = stack.scaling
    if rng.random() < settings.ramps:
        fine = ramp(fine.shape, rng)
        scaling = Scaling.standard(fine)
    elif rng.random() < 1 / 3:
        top = scaling.offset + 3 * scaling.scale
        gamma = settings.gamma ** rng.uniform(-1, 1)
        fine = (top * (fine / top) ** gamma).astype(np.float32)
        scaling = Scaling.standard(fine)
    # the spread of a whole volume is only roughly that of this slice
    scaling = Scaling(
        scaling.offset + scaling.scale * rng.normal(0, settings.jitter),
        scaling.scale * float(np.exp(rng.normal(0, settings.jitter))),
    )
    kind = str(rng.choice(settings.kinds.split("+")))
    scale = min(rng.uniform(settings.lowest_scale, settings.highest_scale), min(fine.shape) / SMALLEST_CROP)
    if settings.fine_crop:
        starts = [int(rng.integers(max(n - settings.fine_crop, 0) + 1)) for n in fine.shape]
        fine = fine[tuple(slice(s, s + settings.fine_crop) for s in starts)]
        scale = min(scale, min(fine.shape) / SMALLEST_CROP)
        # more pixels than the coarse slice has: all of it, and nothing of the edge is left out
        longest = int(np.ceil(max(fine.shape) / scale)) + 1
        return cut(fine, kind, scale, scaling, -(-longest // multiple) * multiple, rng, most_points, multiple)
    return cut(fine, kind, scale, scaling, settings.crop, rng, most_points)


def ramp(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """An image that rises evenly in a random direction, from 0 up, float32."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[: shape[0], : shape[1]]
    image = np.cos(angle) * y + np.sin(angle) * x
    return (image - image.min()).astype(np.float32)


def cut(
    fine: np.ndarray,
    kind: str,
    scale: float,
    scaling: Scaling,
    crop: int,
    rng: np.random.Generator,
    most_points: int | None = None,
    multiple: int | None = None,
) -> Example:
    """A random crop of a slice made coarse; crops that reach beyond it repeat its edge, or only up to a `multiple` of pixels."""
    volume = Volume(fine[..., None], np.eye(4))
    coarse = degrade(volume, kind, (scale, scale, 1))
    image = scaling.apply(coarse.data[..., 0])
    wanted = scaling.apply(fine)
    # the liveliest of a few tries: crops of air teach nothing
    starts = [[int(rng.integers(max(n - crop, 0) + 1)) for n in image.shape] for _ in range(3)]
    start = max(starts, key=lambda s: float(image[s[0] : s[0] + crop, s[1] : s[1] + crop].std()))
    positions, places, weights = [], [], []
    for axis in (0, 1):
        step, offset = coarse.affine[axis, axis], coarse.affine[axis, 3]
        at = (np.arange(fine.shape[axis]) - offset) / step
        low = start[axis] + (MARGIN if start[axis] else 0) - 0.5
        stop = start[axis] + crop
        high = min(stop - MARGIN if stop < image.shape[axis] else stop, image.shape[axis]) - 0.5
        seen = np.flatnonzero((at >= low) & (at < high))
        if most_points is not None and len(seen) > most_points:
            first = int(rng.integers(len(seen) - most_points + 1))
            seen = seen[first : first + most_points]
        places.append(seen)
        # beyond the outermost centres the edge's value is taken, as everywhere in the library
        positions.append((np.clip(at[seen], 0, image.shape[axis] - 1) - start[axis]).astype(np.float32))
        weights.append(basis_matrix(at[seen], image.shape[axis], 3).astype(np.float32))
    spline = ndimage.spline_filter(image, 3, np.float32, "mirror")
    base = weights[0] @ spline @ weights[1].T
    window = image[start[0] : start[0] + crop, start[1] : start[1] + crop]
    window = np.pad(window, [(0, -n % multiple if multiple else crop - n) for n in window.shape], mode="edge")
    return Example(window, positions[0], positions[1], base, wanted[np.ix_(*places)], scale)
