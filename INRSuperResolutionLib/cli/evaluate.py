"""``inrsr evaluate``: compare a result with a reference."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from ..errors import InputError, MissingError
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
    from ..evaluation.metrics import compare, consistency, mutual_information_error
    from ..image.files import read
    from ..image.intensity import foreground

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
    figures: dict[str, Any] = dict(compare(result.data, reference.data, mask))
    if options.lowres:
        low = read(options.lowres)
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
    figures["snli"] = noise_figures(result.data, reference.data, mask, options.noise_plot)
    if options.json:
        print(json_text(figures, indent=1))
        return
    for convention in ("clean", "reference"):
        f = figures[convention]
        print(f"{convention:9}  PSNR {f['psnr']:6.2f} dB   SSIM {f['ssim']:.4f}   RMSE {f['rmse']:.4f}")
    if figures.get("consistency_db") is not None:
        print(f"consistency with the input {figures['consistency_db']:.2f} dB")
    if options.contrast:
        print(f"mutual-information error {figures['mutual_information_error']:.4f} nats")
    for label, f in figures.get("labels", {}).items():
        print(f"label {label:3}  Dice {f['dice']:.4f}   NSD {f['nsd']:.4f} within {options.tolerance:g} mm")
    if figures["snli"]:
        print("SNLI, % of the range:  axis   result  reference")
        for axis, (own, other) in enumerate(zip(figures["snli"]["result"], figures["snli"]["reference"])):
            print(f"{'ijk'[axis]:>27}  {own:7.4f}  {other:9.4f}")


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
