"""Makes the sample data of the Slicer module from the public 1 mm scans of one patient.

    python Testing/make_sample_data.py FOLDER

FOLDER holds ms07_t1 and ms07_flair. Four slices are averaged into one (T1 sagittal, FLAIR axial), as thick slices are
acquired; the brain is cropped, and the values are rounded to whole numbers. Prints the checksums that
`INRSuperResolutionModule/scene/sampledata.py` tells; also draws the thumbnail.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from INRSuperResolutionLib import Volume, read, write
from INRSuperResolutionLib.acquisition.degrade import degrade
from INRSuperResolutionLib.image.interpolate import Sampler

RESOURCES = Path(__file__).resolve().parents[1] / "INRSuperResolution" / "Resources"
# voxels of the 1 mm grid, around the brain; multiples of the slices that become one
CORNER, SIZE = np.array([23, 25, 14]), np.array([136, 168, 132])
# file, source, factors, and what the values are multiplied with, so that rounding is below the noise
SCANS = (
    ("BrainT1_sagittal4mm", "ms07_t1", (4, 1, 1), 0.5),
    ("BrainFLAIR_axial4mm", "ms07_flair", (1, 1, 4), 2.0),
)
THUMBNAIL = (260, 280)


def thick(volume: Volume, factors: tuple[int, int, int], gain: float) -> Volume:
    """The brain with thick slices, whole numbers from 0."""
    box = tuple(slice(c, c + s) for c, s in zip(CORNER, SIZE))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ CORNER
    made = degrade(Volume(volume.data[box], affine), "area", factors)
    return made.replace(data=np.rint(np.maximum(made.data * gain, 0)), dtype=np.dtype(np.int16))


def draw_thumbnail(volume: Volume) -> None:
    """A coronal plane through the thick axial slices."""
    from PIL import Image

    fine = Sampler(volume, 0)(volume.grid.with_spacing(1.0))
    plane = fine[:, fine.shape[1] // 2, ::-1].T
    low, high = 0, np.percentile(plane[plane > 0], 99.5)
    grey = Image.fromarray((255 * np.clip((plane - low) / (high - low), 0, 1)).astype(np.uint8))
    grey.thumbnail(THUMBNAIL)
    grey = grey.resize([round(n * min(t / s for t, s in zip(THUMBNAIL, grey.size))) for n in grey.size])
    canvas = Image.new("L", THUMBNAIL)
    canvas.paste(grey, tuple((t - s) // 2 for t, s in zip(THUMBNAIL, grey.size)))
    canvas.save(RESOURCES / "Icons" / "SampleBrain.png", optimize=True)


def main() -> None:
    folder = Path(sys.argv[1])
    for name, source, factors, gain in SCANS:
        made = thick(read(folder / f"{source}.nii.gz"), factors, gain)
        path = RESOURCES / "SampleData" / f"{name}.nrrd"
        write(made, path)
        print(path.name, made.shape, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    draw_thumbnail(made)


main()
