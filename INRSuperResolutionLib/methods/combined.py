"""What was trained ahead (CycleINR) and what the scan itself teaches (the guided network), averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ..image.volume import Volume
from ..representation import Representation
from . import cycleinr, multicontrast
from .base import FitContext
from .cycleinr.settings import CycleINRSettings
from .multicontrast.settings import SelfSupervisedSettings

# the part of the fit that the scan's own teaching takes
FIRST_PART = 0.8


@dataclass(frozen=True)
class CombinedSettings:
    """Of the two methods, what one may want to change."""

    steps: int = SelfSupervisedSettings.steps
    """Training steps of the guided network on the scan itself."""
    crop: int = SelfSupervisedSettings.crop
    """Side of its crops in pixels."""
    mirrored: int = CycleINRSettings.mirrored
    """CycleINR averages over so many mirror images of the volume, 1 to 8."""


PRESETS = {
    "fast": CombinedSettings(),
    "balanced": CombinedSettings(steps=400, mirrored=4),
    "paper": CombinedSettings(steps=1000, mirrored=8),
}


def fit(volumes: Sequence[Volume], settings: CombinedSettings, context: FitContext) -> Representation:
    """Fit both to the same scans."""
    from .average import AverageRepresentation

    own = dataclasses.replace(SelfSupervisedSettings(), steps=settings.steps, crop=settings.crop)
    first = dataclasses.replace(context, progress=context.progress.part(0.0, FIRST_PART))
    rest = dataclasses.replace(context, progress=context.progress.part(FIRST_PART, 1.0))
    taught = multicontrast.fit_self_supervised(volumes, own, first)
    trained = cycleinr.fit("cycleinr")(volumes, CycleINRSettings(mirrored=settings.mirrored), rest)
    made = AverageRepresentation([taught, trained])
    told = [taught.provenance, trained.provenance]
    made.provenance.update(
        parameters=sum(t["parameters"] for t in told),
        steps=taught.provenance["steps"],
        stopped_by=taught.provenance["stopped_by"],
        weights=taught.provenance["weights"],
        members=[dict(t) for t in told],
        weights_of_inputs=trained.provenance["weights_of_inputs"],
    )
    return made
