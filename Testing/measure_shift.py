"""How far a run's results lie from their inputs: python Testing/measure_shift.py REPORT.json

Each result is made thick again and registered to its input as the run had placed it. Registered as
they are, a sharp volume and a thick-slice one would tell more of the estimator's interpolation
than of a shift. The figure of cubic interpolation, which cannot be shifted, shows the estimator's error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from INRSuperResolutionLib.acquisition.forward_model import SliceProfile, observe
from INRSuperResolutionLib.image.files import read
from INRSuperResolutionLib.image.grid import coarse_axes
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.image.registration import rigid_motion
from INRSuperResolutionLib.image.volume import Volume


def shift_of(field: Volume, source: Volume, profile: SliceProfile) -> np.ndarray:
    """Translation (mm, RAS) at the centre of `source` that registers `field`, made thick again, to it."""
    seen = source.replace(data=observe(field, source, profile, coarse_axes(source, field.grid)))
    motion = rigid_motion(seen, source)
    centre = source.affine @ np.append((np.array(source.shape) - 1) / 2, 1)
    return (motion @ centre - centre)[:3]


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    placed = report["registered_affines"] or [None] * len(report["inputs"])
    for n, (told, made) in enumerate(zip(report["inputs"], report["outputs"])):
        source, result = read(told["path"]), read(made["path"])
        if placed[n] is not None:
            source = source.replace(affine=np.array(placed[n]))
        ours = shift_of(result, source, SliceProfile(report["slice_profile"][n]))
        cubic = shift_of(resample(source, result.grid, 3), source, SliceProfile("none"))
        print(f"{told['path']}: result {np.round(ours, 3)} mm, cubic {np.round(cubic, 3)} mm")


if __name__ == "__main__":
    main()
