"""Whether results agree with what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..acquisition.forward_model import SliceProfile
from ..image.volume import Volume
from ..progress import Progress
from .metrics import consistency, kspace_consistency

LOW_CONSISTENCY_DB = 30.0


def agreements(
    volumes: Sequence[Volume], results: Sequence[Volume], made: Mapping[str, Any], progress: Progress
) -> list[float | None]:
    """How well each result agrees with its input (dB), degraded as the provenance `made` tells; warns of low figures."""
    figures: list[float | None] = []
    for n, (volume, result) in enumerate(zip(volumes, results)):
        if made["registered_affines"]:
            volume = volume.replace(affine=np.array(made["registered_affines"][n]))
        if "kspace_inputs" in made and made["kspace_inputs"][n]:
            figure = kspace_consistency(result, volume)
        else:
            figure = consistency(result, volume, SliceProfile(made["slice_profile"][n]))
        if figure is not None and figure < LOW_CONSISTENCY_DB:
            progress.warning(
                f"{volume.name}: the result agrees with the input to {figure:.1f} dB only; compare them before use"
            )
        figures.append(figure)
        progress.update(1.0)
    return figures
