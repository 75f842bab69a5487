"""``inrsr evaluate``: compare a result with a reference."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingError
from ..image.volume import Volume
from ..jobs.job import PROFILES
from ..json_text import json_text
from .arguments import Commands, add_debug


def add(commands: Commands) -> None:
    """The command and its arguments."""
    evaluate = commands.add_parser("evaluate", help="compare a result with a reference")
    evaluate.add_argument("result", metavar="RESULT")
    evaluate.add_argument("reference", metavar="REFERENCE")
    evaluate.add_argument("--mask", metavar="M", help="voxels that count (default: the foreground of the reference)")
    evaluate.add_argument("--lowres", metavar="L", help="the input: also prints the consistency with it")
    evaluate.add_argument(
        "--slice-profile", choices=PROFILES, default="none", help="of the input (default: %(default)s)"
    )
    evaluate.add_argument(
        "--slice-thickness", type=float, metavar="MM", help="of the input, where its header does not tell"
    )
    evaluate.add_argument(
        "--contrast",
        nargs=2,
        metavar=("RESULT2", "REFERENCE2"),
        help="another contrast: also prints the mutual-information error",
    )
    evaluate.add_argument(
        "--lpips",
        nargs="+",
        default=[],
        choices=("alex", "vgg", "squeeze"),
        help="also LPIPS by these networks (extra lpips)",
    )
    evaluate.add_argument("--csv", metavar="FILE", help="write the table, a row for each figure")
    evaluate.add_argument(
        "--sfrc-plot", metavar="FILE.png", help="draw the ring correlation of all patches, and where they disagree"
    )
    evaluate.add_argument(
        "--noise-plot",
        metavar="FILE.png",
        help="draw the noise of every slice of result and reference, along each axis",
    )
    segmented = evaluate.add_mutually_exclusive_group()
    segmented.add_argument(
        "--labels",
        nargs=2,
        metavar=("LABELS", "REFERENCE_LABELS"),
        help="segmentations of both: also prints Dice and NSD",
    )
    segmented.add_argument(
        "--segment", metavar="COMMAND", help="a command with {input} and {output} that segments both: also Dice and NSD"
    )
    evaluate.add_argument(
        "--tolerance", type=float, default=1.0, metavar="MM", help="of the NSD (default: %(default)g)"
    )
    evaluate.add_argument(
        "--artefacts",
        action="store_true",
        help="REFERENCE is the scan that RESULT was made from: prints bands, noise across the slices and what stands at the "
        "edges of the field of view, beside linear and cubic; needs no truth",
    )
    evaluate.add_argument("--json", action="store_true")
    add_debug(evaluate)
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> None:
    """``inrsr evaluate``."""
    if options.artefacts:
        run_artefacts(options)
        return
    from ..acquisition.forward_model import SliceProfile
    from ..acquisition.slice_axis import slice_axis
    from ..cohorts.summary import replace_text
    from ..evaluation.metrics import (
        compare,
        consistency,
        in_its_unit,
        mutual_information_error,
        shared_information,
        why_they_differ,
    )
    from ..evaluation.table import csv_text, difference_told, rows, text
    from ..image.files import read
    from ..image.intensity import foreground

    for path in (options.csv, options.sfrc_plot, options.noise_plot):
        if path and not Path(path).absolute().parent.is_dir():
            raise InputError(f"the folder {Path(path).absolute().parent} does not exist", "Make it first")

    def same_grid(path: str) -> Any:
        volume = read(path)
        if volume.shape != reference.shape or not np.allclose(volume.affine, reference.affine, atol=1e-3):
            raise InputError(f"{path} is not on the grid of {options.reference}", "Make it with --like REFERENCE")
        tell(volume)
        return volume

    def tell(volume: Any) -> None:
        for told in volume.warnings:
            print(f"inrsr: warning: {told}", file=sys.stderr)

    reference = read(options.reference)
    tell(reference)
    result = same_grid(options.result)
    mask = same_grid(options.mask).data > 0 if options.mask else foreground(reference.data)
    if not mask.any():
        raise InputError("the mask is empty on the grid of the reference", "Give another mask")
    images = result.data, reference.data, mask
    figures: dict[str, Any] = dict(compare(*images))
    figures["in_unit"] = in_its_unit(*images)
    figures["why"] = why_they_differ(*images)
    figures["nmi"] = shared_information(*images)
    low = read(options.lowres) if options.lowres else None
    if low is not None:
        if options.slice_thickness is not None:
            low = low.replace(slice_axis=slice_axis(low), slice_thickness=options.slice_thickness)
        figures["consistency_db"] = consistency(result, low, SliceProfile(options.slice_profile))
    if options.contrast:
        others = [same_grid(p).data for p in options.contrast]
        figures["mutual_information_error"] = mutual_information_error(
            (result.data, others[0]), (reference.data, others[1]), mask
        )
    if options.labels or options.segment:
        from ..evaluation.overlap import label_agreement, segmented_by

        if options.labels:
            maps = [read(p) for p in options.labels]
        else:
            maps = [segmented_by(options.segment, v) for v in (result, reference)]
        figures["labels"] = label_agreement(maps[0], maps[1], options.tolerance)
    measured = None if low is None else max(low.spacing)
    figures.update(by_slices(result, reference, mask, measured, options))
    figures["snli"] = noise_figures(result.data, reference.data, mask, options.noise_plot)
    table = list(rows(figures))
    if options.csv:
        replace_text(Path(options.csv), csv_text(table))
    if options.json:
        print(json_text(figures, indent=1))
        return
    print(text(table))
    if told := difference_told(figures["why"]):
        print(told)


def by_slices(
    result: Volume, reference: Volume, mask: np.ndarray, measured: float | None, options: argparse.Namespace
) -> dict[str, Any]:
    """VIF, sFRC and LPIPS across each axis.

    Parameters
    ----------
    measured
        The coarsest spacing of the scan that the result was made from, mm; None where it is not known.
    """
    from ..evaluation.fidelity import volume_information
    from ..evaluation.perceptual import network, volume_distance
    from ..evaluation.planes import on_one_scale
    from ..evaluation.ring_correlation import CT_THRESHOLD, MR_THRESHOLD, PATCH, scan_patches
    from ..image.intensity import is_ct

    for name in options.lpips:  # before minutes of work
        network(name)
    scaled = on_one_scale(result.data, reference.data, mask)
    threshold = CT_THRESHOLD if is_ct(reference.data) else MR_THRESHOLD
    limit = None if measured is None else 1 / (2 * measured)
    patches = [scan_patches(result.data, reference.data, mask, axis, reference.spacing, threshold) for axis in range(3)]
    if options.sfrc_plot:
        from ..evaluation.ring_pictures import draw

        draw(patches, result.data, reference.data, threshold, limit, Path(options.sfrc_plot))
    axes = [
        {
            "patches": len(p.agrees_to),
            "agrees_to_per_mm": p.told(),
            "altered": None if limit is None else p.below(limit),
            "worst_voxel": p.worst().tolist(),
        }
        for p in patches
    ]
    found: dict[str, Any] = {
        "vif": [volume_information(*scaled, mask, axis) for axis in range(3)],
        "sfrc": {"patch": PATCH, "threshold": threshold, "hallucination_per_mm": limit, "axes": axes},
    }
    if options.lpips:
        found["lpips"] = {n: [volume_distance(n, *scaled, mask, axis) for axis in range(3)] for n in options.lpips}
    return found


def run_artefacts(options: argparse.Namespace) -> None:
    """``inrsr evaluate --artefacts``."""
    from dataclasses import asdict

    from ..evaluation.artefacts import beside_interpolation, told
    from ..image.files import read

    figures = beside_interpolation(read(options.result), read(options.reference))
    plain = {
        name: {k: [float(x) for x in v] if isinstance(v, tuple) else float(v) for k, v in asdict(f).items()}
        for name, f in figures.items()
    }
    print(json_text(plain, indent=1) if options.json else told(figures))


def noise_figures(
    result: np.ndarray, reference: np.ndarray, mask: np.ndarray, plot: str | None
) -> dict[str, list[float]] | None:
    """SNLI of both images across each axis; None, with a note, where PyWavelets is missing and no plot is asked for."""
    from ..acquisition.noise import inconsistency, slice_noise
    from ..image.intensity import robust_range
    from ..pictures import figure_of

    span = robust_range(reference)
    try:
        noise = {
            name: [slice_noise(data, mask, axis) for axis in range(3)]
            for name, data in (("result", result), ("reference", reference))
        }
    except MissingError as error:
        if plot:
            raise
        print(f"SNLI left out: {error}", file=sys.stderr)
        return None
    if plot:
        figure = figure_of(12, 3)
        for axis, panel in enumerate(figure.subplots(1, 3)):
            for name, own in noise.items():
                panel.plot(100 * own[axis] / span, label=name)
            panel.set(xlabel=f"slice across {'ijk'[axis]}", ylabel="noise, % of the range")
        panel.legend()
        figure.savefig(plot, dpi=100)
    return {name: [inconsistency(n, span) for n in own] for name, own in noise.items()}
