"""The fit of ``combined``: members first, then how much of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from ..cycleinr.fit import fit_volumes
from ..cycleinr.representation import SlicedScan, VolumetricRepresentation
from ..cycleinr.settings import CycleINRSettings
from ..multicontrast.guided.fit import fit_guided
from ..multicontrast.guided.representation import GuidedRepresentation
from ..plain.interpolation import SplineRepresentation
from .average import AverageRepresentation
from .left_out import LeftOut
from .settings import CombinedSettings

# the part of the fit that the scan's own teaching takes, and what both members take together
TAUGHT, FITTED = 0.8, 0.95
# interpolation is returned where it brings back what was left out better than the members by more than this (dB)
MARGIN_DB = 0.1
# less of the base than this is left out
LEAST_SHARE = 0.02
ORDERS = {"linear": 1, "cubic": 3}
Member = GuidedRepresentation | VolumetricRepresentation


def fit_combined(volumes: Sequence[Volume], settings: CombinedSettings, context: FitContext) -> Representation:
    """Fit the members, and weigh them for each scan by what they bring back of what was left out of it.

    Several scans guide each other, so that a scan cannot be judged alone: there the members count alike.
    """
    base = VolumetricRepresentation([SlicedScan(v, p, None) for v, p in zip(volumes, context.profiles)])
    left_out = LeftOut(base.scans[0].scan, context.seed) if len(volumes) == 1 else None
    members = fit_members(volumes, settings, context, left_out)
    told = {name: member.provenance for name, member in members.items()}
    made: Representation
    if left_out is None or not left_out.planes:
        made = AverageRepresentation(list(members.values()), np.full(len(members), 1 / len(members)))
    else:
        made = judged(volumes, base, members, left_out, context)
    first = next(iter(told.values()))
    made.provenance.update(
        parameters=sum(t["parameters"] for t in told.values()),
        steps=first["steps"],
        stopped_by=first["stopped_by"],
        weights=first["weights"],
        members=[{"method": name, **t} for name, t in told.items()],
    )
    return made


def fit_members(
    volumes: Sequence[Volume], settings: CombinedSettings, context: FitContext, left_out: LeftOut | None
) -> dict[str, Member]:
    """The members by name."""
    own = settings.of_members(judged=left_out is not None)
    members: dict[str, Member] = {}
    start = 0.0
    for (name, values), end in zip(own.items(), (TAUGHT, FITTED) if len(own) > 1 else (FITTED,)):
        part = dataclasses.replace(context, progress=context.progress.part(start, end))
        start = end
        found: Representation
        if isinstance(values, CycleINRSettings):
            found = fit_volumes(name, volumes, values, part)
        else:
            kept = dataclasses.replace(part, left_out=left_out.slices if left_out else ())
            found = fit_guided(volumes, values, kept)
        assert isinstance(found, (GuidedRepresentation, VolumetricRepresentation)), name
        members[name] = found
    return members


def judged(
    volumes: Sequence[Volume],
    base: VolumetricRepresentation,
    members: Mapping[str, Member],
    left_out: LeftOut,
    context: FitContext,
) -> Representation:
    """The mixture that brings back best what was left out of the one scan, or interpolation where that is better."""
    planes = left_out.planes
    coarse, grids = [p.coarse for p in planes], [p.grid for p in planes]
    images = {name: left_out.interpolated(order) for name, order in ORDERS.items()}
    start = base.restore_others(coarse, grids)
    found = {name: member.restore_others(coarse, grids) for name, member in members.items()}
    weights = left_out.mixture(start, list(found.values()))
    mixed = [b + sum(w * (own[n] - b) for w, own in zip(weights, found.values())) for n, b in enumerate(start)]
    figures = {name: left_out.psnr(f) for name, f in {**images, "spline": start, **found, "combined": mixed}.items()}
    alone = max(found, key=lambda name: figures[name])
    if figures[alone] >= figures["combined"]:  # the mixture must earn its place
        weights = np.array([float(name == alone) for name in found])
        figures["combined"] = figures[alone]
    best = max(ORDERS, key=lambda name: figures[name])
    made: Representation
    if figures["combined"] < figures[best] - MARGIN_DB:
        context.progress.warning(
            f"{volumes[0].name}: {best} interpolation brings back what was left out of the scan better than the methods do "
            f"({figures[best]:.1f} against {figures['combined']:.1f} dB) and is used instead"
        )
        made = SplineRepresentation(volumes, ORDERS[best])
    else:
        best = "combined"
        rest = 1 - float(weights.sum())
        parts: list[tuple[Representation, float]] = [
            (member, float(w)) for member, w in zip(members.values(), weights) if w > 0
        ]
        if rest > LEAST_SHARE or not parts:
            parts.append((base, rest))
        shares = np.array([w for _, w in parts])
        made = AverageRepresentation([member for member, _ in parts], shares / shares.sum())
    made.provenance["left_out"] = described(figures, dict(zip(members, weights.tolist())), best, left_out)
    return made


def described(
    figures: Mapping[str, float], weights: Mapping[str, float], best: str, left_out: LeftOut
) -> dict[str, Any]:
    """The evidence, JSON-ready."""
    return {
        "psnr_db": {name: round(f, 3) for name, f in figures.items()},
        "shares": {name: round(w, 3) for name, w in weights.items()},
        "taken": best,
        "slices": left_out.slices,
    }
