"""Two contrasts of a real head without a download: the ICBM152 T1, and a T2 made from its tissue maps."""

from __future__ import annotations

import functools

import numpy as np

from ..errors import MissingError
from ..image.volume import Volume

# proton density, T1 and T2 (ms) at 3 T; Stanisz et al. 2005 (white and grey matter), CSF about as free water
TISSUES = {"white": (0.70, 1084.0, 69.0), "grey": (0.82, 1820.0, 99.0), "csf": (1.00, 4000.0, 2000.0)}
REPETITION_MS, ECHO_MS = 5000.0, 100.0


def load_anatomy() -> dict[str, Volume]:
    """The ICBM152 T1 and the synthetic T2, both 1 mm isotropic."""
    affine, brain, share = _template()
    t2 = np.sum([share[tissue] * spin_echo(*TISSUES[tissue]) for tissue in TISSUES], axis=0)
    return {"t1": Volume(1000 * brain / brain.max(), affine, name="t1"), "t2": Volume(1000 * t2, affine, name="t2")}


def load_tissues() -> dict[str, np.ndarray]:
    """How much of each voxel of the head is white matter, grey matter, and CSF; float32, 0 to 1."""
    return _template()[2]


@functools.cache
def _template() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The affine of the ICBM152 head, its T1, and its tissues."""
    try:
        from nilearn import datasets
    except ImportError as error:
        raise MissingError("the demo needs nilearn", "pip install 'inr-super-resolution[demo]'") from error
    t1, grey, white = (
        load(resolution=1)
        for load in (datasets.load_mni152_template, datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    brain, grey, white = (np.clip(np.asarray(image.dataobj, dtype=np.float32), 0, None) for image in (t1, grey, white))
    share = {"grey": grey, "white": white, "csf": np.where(brain > 0, np.clip(1 - grey - white, 0, 1), 0)}
    return np.asarray(t1.affine), brain, share


def spin_echo(density: float, t1: float, t2: float) -> float:
    """Signal of a spin echo: S = ρ (1 − exp(−TR / T1)) exp(−TE / T2)."""
    return density * (1 - np.exp(-REPETITION_MS / t1)) * np.exp(-ECHO_MS / t2)
