"""Made lesions: put into a volume at places that are known, so that one can tell what a restoration leaves of them.

A lesion is a sphere, or some overlapping spheres (irregular), whose border is blurred over a voxel, added to smooth tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from ..image.volume import Volume

# of the ring around a lesion that it is compared with: begins this far off its border and is this wide, voxels of mean size
GAP, RING = 1.0, 2.0
# tissue is smooth where it varies by less than this part of the smallest contrast, as far as a lesion reaches
SMOOTH = 0.25
# a lesion lies where it stands out from the tissue: that varies by less than this part of its contrast
PLAIN = 0.6
# what counts as a lesion that is not there: a blob with this part of the smallest contrast
FALSE = 0.5
# tries to find a place, for each lesion
TRIES = 400
# spheres of an irregular lesion; how far they lie from its centre, and how large they are, of its radius
PARTS, AWAY, PART = 4, 0.55, 0.62


@dataclass(frozen=True)
class Lesion:
    """One of the made lesions.

    Parameters
    ----------
    centre
        mm from the centre of the first voxel along the axes.
    diameter
        mm; of an irregular lesion, that of the sphere around its parts, nearly.
    contrast
        What it adds, in the unit of the image.
    parts
        Spheres: (n, 4), offset from the centre and radius, mm.
    """

    centre: np.ndarray
    diameter: float
    contrast: float
    parts: np.ndarray


def shape_of(diameter: float, irregular: bool, rng: np.random.Generator) -> np.ndarray:
    """The spheres of a lesion, (n, 4)."""
    radius = diameter / 2
    if not irregular:
        return np.array([[0, 0, 0, radius]])
    directions = rng.standard_normal((PARTS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.column_stack([AWAY * radius * directions, np.full(PARTS, PART * radius)])


def depth(lesion: Lesion, shape: Sequence[int], spacing: Sequence[float], reach: float) -> tuple[tuple, np.ndarray]:
    """How far voxels lie within the lesion's border (mm, negative outside), in a box that reaches `reach` mm beyond it."""
    far = lesion.diameter / 2 + reach
    low = np.maximum(np.ceil((lesion.centre - far) / np.asarray(spacing)), 0).astype(int)
    high = np.minimum(np.floor((lesion.centre + far) / np.asarray(spacing)) + 1, shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high))
    at = np.stack(np.meshgrid(*(np.arange(a, b) * s for a, b, s in zip(low, high, spacing)), indexing="ij"), -1)
    inside = [part[3] - np.linalg.norm(at - lesion.centre - part[:3], axis=-1) for part in lesion.parts]
    return box, np.max(inside, axis=0)


def planted(data: np.ndarray, lesions: Sequence[Lesion], spacing: Sequence[float], sign: float = 1.0) -> np.ndarray:
    """The volume with the lesions added, `sign` times their contrast; float32."""
    found = data.astype(np.float32).copy()
    voxel = float(np.mean(spacing))
    for lesion in lesions:
        box, inside = depth(lesion, data.shape, spacing, voxel)
        found[box] += np.float32(sign * lesion.contrast) * np.clip(inside / voxel + 0.5, 0, 1).astype(np.float32)
    return found


def local_contrast(data: np.ndarray, lesion: Lesion, spacing: Sequence[float]) -> float:
    """Mean within the lesion minus mean of the ring around it."""
    voxel = float(np.mean(spacing))
    box, inside = depth(lesion, data.shape, spacing, (GAP + RING + 1) * voxel)
    core = np.clip(inside / voxel + 0.5, 0, 1)
    ring = (inside < -GAP * voxel) & (inside > -(GAP + RING) * voxel)
    values = data[box].astype(np.float64)
    return float((values * core).sum() / core.sum() - values[ring].mean())


def blobs(data: np.ndarray, diameter: float, spacing: Sequence[float]) -> np.ndarray:
    """The local contrast of a sphere of that size (mm) around each voxel."""
    voxel = float(np.mean(spacing))
    far = diameter / 2 + (GAP + RING) * voxel
    half = [int(far / s) for s in spacing]
    at = np.meshgrid(*(s * np.arange(-h, h + 1) for h, s in zip(half, spacing)), indexing="ij")
    inside = diameter / 2 - np.sqrt(sum(a**2 for a in at))
    core = np.clip(inside / voxel + 0.5, 0, 1)
    ring = ((inside < -GAP * voxel) & (inside > -(GAP + RING) * voxel)).astype(float)
    padded = np.pad(data.astype(np.float64), [(h, h) for h in half], mode="reflect")
    return fftconvolve(padded, core / core.sum() - ring / ring.sum(), mode="valid")


def roughness(data: np.ndarray, mask: np.ndarray, diameter: float, spacing: Sequence[float]) -> np.ndarray:
    """By how much a blob of that size stands out, as far as it reaches; infinity where it leaves the mask."""
    size = [2 * int(diameter / 2 / s) + 1 for s in spacing]
    found = ndimage.maximum_filter(np.abs(blobs(data, diameter, spacing)), size)
    return np.where(ndimage.minimum_filter(mask, size), found, np.inf)


def find_places(
    volume: Volume, mask: np.ndarray, kinds: Sequence[tuple[float, float, bool]], apart: float, rng: np.random.Generator
) -> list[Lesion]:
    """Lesions at random places of plain tissue, the largest first; those that find no place are left out.

    Parameters
    ----------
    mask
        bool: where lesions may lie.
    kinds
        Diameter (mm), contrast, whether irregular.
    apart
        Free space between borders, and to the ends of the volume, mm.
    """
    spacing = volume.spacing
    extent = (np.array(volume.shape) - 1) * np.array(spacing)
    rough = {d: roughness(volume.data, mask, d, spacing) for d in {d for d, _, _ in kinds}}
    found: list[Lesion] = []
    for diameter, contrast, irregular in sorted(kinds, key=lambda k: -k[0]):
        plain = np.argwhere(rough[diameter] <= PLAIN * abs(contrast))
        for _ in range(TRIES if len(plain) else 0):
            centre = (plain[rng.integers(len(plain))] + rng.uniform(-0.5, 0.5, 3)) * spacing
            room = np.minimum(centre, extent - centre).min() - diameter / 2 >= apart
            gaps = [np.linalg.norm(centre - o.centre) - (diameter + o.diameter) / 2 for o in found]
            if room and all(gap >= apart for gap in gaps):
                found.append(Lesion(centre, diameter, contrast, shape_of(diameter, irregular, rng)))
                break
    return found


def false_lesions(
    result: np.ndarray,
    truth: np.ndarray,
    mask: np.ndarray,
    lesions: Sequence[Lesion],
    diameter: float,
    spacing: Sequence[float],
) -> int:
    """How many blobs of that size the result has in tissue where the truth has none, away from all lesions.

    Parameters
    ----------
    result, truth
        With the lesions.
    """
    smallest = min(abs(lesion.contrast) for lesion in lesions)
    quiet = roughness(truth, mask, diameter, spacing) <= SMOOTH * smallest
    for lesion in lesions:
        box, inside = depth(lesion, truth.shape, spacing, 2 * diameter)
        quiet[box] &= inside < -diameter
    odd = quiet & (np.abs(blobs(result, diameter, spacing)) >= FALSE * smallest)
    return int(ndimage.label(odd, np.ones((3, 3, 3)))[1])
