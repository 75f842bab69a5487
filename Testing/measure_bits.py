"""Prints a checksum of what every method makes of small volumes: the same before and after a change that is to keep behaviour.

    python Testing/measure_bits.py > before.txt      # at the old commit
    python Testing/measure_bits.py > after.txt       # at the new one; then: diff before.txt after.txt

Bits depend on the processor and on the builds of torch and numpy, so a table holds on one machine only: run both there.
Only what `CONTRACT.md` promises is used, so that the file runs with any layout of the library.
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import torch

import INRSuperResolutionLib as inrsr

PRESETS = {"single-contrast": "fast", "joint": "fast"}
# as few steps as show that the same numbers are drawn in the same order
SETTINGS = {
    "multicontrast": {"steps": 12},
    "single-contrast": {"epochs": 1},
    "joint": {"epochs": 1},
    **{name: {"epochs": 2} for name in ("seco", "siren", "relu-pe", "gauss", "mfn", "wire", "fr")},
}


def scans() -> list[inrsr.Volume]:
    """Two contrasts of one smooth, asymmetric object: one with thick sagittal slices, one with thick axial ones."""
    rng = np.random.default_rng(7)
    coarse = rng.normal(size=(9, 10, 8))
    spectrum = np.fft.fftn(coarse)
    fine = np.zeros((36, 40, 32), complex)
    fine[:9, :10, :8] = spectrum
    object_ = np.abs(np.fft.ifftn(fine))
    inside = (
        np.linalg.norm(np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in object_.shape), indexing="ij")), axis=0)
        < 0.95
    )
    first = (100 + 4e4 * object_) * inside
    second = 900 * np.exp(-first / first.max()) * inside
    thick_i = first.reshape(9, 4, 40, 32).mean(1)
    thick_k = second.reshape(36, 40, 8, 4).mean(3)
    affine = np.array([[0.9, 0.0, 0.0, -12.0], [0.0, 0.9, 0.0, 7.0], [0.0, 0.0, 0.9, 3.0], [0.0, 0.0, 0.0, 1.0]])
    places = []
    for axis in (0, 2):
        one = affine.copy()
        one[:3, 3] += 1.5 * one[:3, axis]
        one[:3, axis] *= 4
        places.append(one)
    return [inrsr.Volume(thick_i, places[0], name="first"), inrsr.Volume(thick_k, places[1], name="second")]


def main() -> int:
    """A line for each method: name, checksum of its samples on an even and on an oblique grid."""
    torch.set_num_threads(1)
    volumes = scans()
    even = inrsr.Grid.like(volumes[1]).with_spacing(0.9)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    oblique = inrsr.Grid((20, 22, 18), turned @ np.diag([1.1, 1.2, 1.3, 1.0]) @ even.affine)
    for name, method in inrsr.METHODS.items():
        given = volumes if method.min_inputs > 1 else volumes[1:]
        made = inrsr.fit(
            name,
            given,
            settings=SETTINGS.get(name),
            preset=PRESETS.get(name, ""),
            device="cpu",
            seed=3,
            slice_profile="boxcar" if name not in ("nearest", "linear", "cubic", "sinc") else "none",
        )
        found = hashlib.sha256()
        for grid in (even, oblique):
            for result in made.sample(grid):
                found.update(np.ascontiguousarray(result.data).tobytes())
        print(f"{name:16} {found.hexdigest()[:32]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
