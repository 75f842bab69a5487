"""``inrsr benchmark lesions``: what is left of small lesions whose size, contrast and place are known.

Lesions are put into the smooth tissue of a volume (:mod:`evaluation.lesions`), slices of it are averaged into one, and restored. The same is done
without lesions, so that anatomy is not taken for one.

survived
    The result shows at least half of the local contrast that the slices themselves show (voxels as they are, no interpolation).
kept
    Local contrast in the result as a part of the true one: median, and the lowest tenth. Slices average, so that small
    lesions lose some in every method.
false_lesions
    Blobs as large as a slice is thick, with half of the smallest lesion's contrast, where the truth is smooth.

``multicontrast`` sees a second contrast in slices across another axis; half of the lesions are in both, as one that is in one contrast only
could be thought away.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..acquisition.degrade import degrade
from ..evaluation.lesions import Lesion, false_lesions, find_places, local_contrast, planted
from ..image.files import read
from ..image.intensity import foreground, robust_range
from ..image.interpolate import Sampler
from ..image.volume import Volume
from ..jobs.run import fit
from .arbitrary import DEFAULT_DATA
from .single import middle_of
from .tables import Row, print_tables

# volume, second contrast, slices averaged into one
CASES = {
    "ms19": ("ms19_flair", "ms19_t1", 4),
    "chest": ("ct_chest_lidc0314_D_0.78x0.78x1_crop", None, 3),
}
METHODS = ("cubic", "seco", "cycleinr", "combined", "multicontrast")
# the part of the volume, voxels
MIDDLE = (96, 96, 96)
# diameters in slices; contrasts as a part of the volume's range; how many of each, spheres and irregular ones in turn
SIZES = (0.5, 1.0, 1.5, 2.0, 3.0)
CONTRASTS = (0.15, -0.15, 0.3)
OF_EACH = 8
# between lesions, in slices
APART = 1.5
# of the lesion's contrast in the second scan: dark where it is bright, as in T1 and FLAIR
IN_SECOND = -0.5
SURVIVED = 0.5


def benchmark_lesions(options: argparse.Namespace) -> None:
    """Print a table for each case."""
    folder = Path(options.data) if options.data else DEFAULT_DATA
    methods = options.methods or METHODS
    print_tables({n: functools.partial(rows, folder, *case, methods) for n, case in CASES.items()}, options)


def rows(folder: Path, name: str, second: str | None, factor: int, methods: Sequence[str]) -> Iterator[Row]:
    """Methods × sizes."""
    clean = [middle_of(read(folder / f"{n}.nii.gz"), MIDDLE) for n in (name, second) if n]
    yield from of_volumes(clean, factor, methods)


def of_volumes(clean: Sequence[Volume], factor: int, methods: Sequence[str]) -> Iterator[Row]:
    """Rows of one volume, or one and a second contrast on its grid."""
    thickness = factor * clean[0].spacing[2]
    mask = foreground(clean[0].data)
    span = robust_range(clean[0].data)
    kinds = [(s * thickness, c * span, n % 2 == 1) for s in SIZES for c in CONTRASTS for n in range(OF_EACH)]
    lesions = find_places(clean[0], mask, kinds, APART * thickness, np.random.default_rng(0))
    with_lesions = [clean[0].replace(data=planted(clean[0].data, lesions, clean[0].spacing))]
    if len(clean) > 1:
        other = planted(clean[1].data, lesions[::2], clean[1].spacing, IN_SECOND)
        with_lesions.append(clean[1].replace(data=other))
    scans = [[thick(v, factor, axis) for v, axis in zip(group, (2, 0))] for group in (clean, with_lesions)]
    grid = clean[0].grid
    shown = [Sampler(group[0], 0)(grid) for group in scans]
    in_truth = contrasts(with_lesions[0].data - clean[0].data, lesions, clean[0].spacing)
    in_slices = contrasts(shown[1] - shown[0], lesions, clean[0].spacing)
    for method in methods:
        count = 2 if method == "multicontrast" else 1
        if count > len(clean):
            continue
        started = time.perf_counter()
        made = [fit(method, group[:count]).sample(grid)[0].data for group in scans]
        seconds = (time.perf_counter() - started) / 2
        left = contrasts(made[1] - made[0], lesions, clean[0].spacing)
        wrong = false_lesions(made[1], with_lesions[0].data, mask, lesions, thickness, clean[0].spacing)
        for size in SIZES:
            own = np.isclose([lesion.diameter for lesion in lesions], size * thickness)
            if not own.any():
                continue
            kept = left[own] / in_truth[own]
            yield {
                "method": method,
                "slices": size,
                "lesions": int(own.sum()),
                "survived": float(np.mean(left[own] / in_slices[own] >= SURVIVED)),
                "kept": float(np.median(kept)),
                "kept_lowest_tenth": float(np.quantile(kept, 0.1)),
                "false_lesions": wrong,
                "seconds": seconds,
            }


def contrasts(difference: np.ndarray, lesions: Sequence[Lesion], spacing: Sequence[float]) -> np.ndarray:
    """What the lesions add, in the difference of two volumes with and without them."""
    return np.array([local_contrast(difference, lesion, spacing) for lesion in lesions])


def thick(volume: Volume, factor: int, axis: int) -> Volume:
    """Slices averaged into one across an axis."""
    return degrade(volume, "area", [factor if a == axis else 1 for a in range(3)])
