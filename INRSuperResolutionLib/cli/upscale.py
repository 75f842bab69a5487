"""``inrsr upscale`` and ``inrsr sample``: jobs that a worker does."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..jobs.bar import Bar, show_warning
from ..jobs.client import run_in_worker
from ..jobs.job import PROFILE_CHOICES, Job
from ..jobs.scratch import scratch_folder
from ..jobs.streams import tell
from ..progress import Event
from .arguments import Commands, add_output, add_run, changes_of


def add(commands: Commands) -> None:
    """Both commands and their arguments."""
    upscale = commands.add_parser(
        "upscale", help="restore thick-slice volumes", description="Restore volumes of one patient on a finer grid."
    )
    upscale.add_argument("method", metavar="METHOD", help="see inrsr methods")
    upscale.add_argument("inputs", nargs="+", metavar="INPUT", help="NIfTI, NRRD, MHA, or a folder with a DICOM series")
    add_output(upscale, required=False)
    upscale.add_argument(
        "--labels",
        nargs="+",
        metavar="LABELMAP",
        help="segmentation that guides seco: a label map, several probability maps, or auto",
    )
    upscale.add_argument("--mask", metavar="VOLUME", help="fit only where this is above 0 (default: the foreground)")
    upscale.add_argument("--preset", default="", help="fast, balanced or paper (default: the first of the method)")
    upscale.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting of the preset"
    )
    upscale.add_argument("--weights", metavar="NAME|FILE", help="trained weights, of methods that need them")
    upscale.add_argument(
        "--slice-profile",
        choices=PROFILE_CHOICES,
        default="auto",
        help="how a slice averages the patient: not at all (none), evenly (boxcar), most in its middle (gaussian), as the "
        "image itself shows (estimate), or as header and spacing say (auto; plain interpolation and preset paper: none)",
    )
    upscale.add_argument(
        "--slice-thickness",
        nargs="+",
        type=float,
        metavar="MM",
        help="thickness of the slices, one for all inputs or one for each (default: the header's, else their distance); "
        "below the distance with a gap, above it where slices overlap",
    )
    upscale.add_argument(
        "--register",
        action="store_true",
        help="register the inputs rigidly to the first one; the results then share its field of view",
    )
    upscale.add_argument(
        "--transforms",
        metavar="FOLDER",
        help="write the transforms that were found, as ITK .tfm: they take points of the first input to points of each other "
        "one (LPS mm), as for resampling; in 3D Slicer they move an input onto the first one",
    )
    upscale.add_argument("--seed", type=int, default=0)
    upscale.add_argument(
        "--max-seconds",
        type=float,
        metavar="S",
        help="upper limit for the run: the fit gets what reading, sampling and writing leave; what cannot end in time ends "
        "without a result",
    )
    upscale.add_argument(
        "--added",
        nargs="+",
        default=[],
        metavar="FILE",
        help="write what the method added: result minus the spline through the slice profile, one file for each output",
    )
    upscale.add_argument(
        "--uncertainty",
        nargs="+",
        default=[],
        metavar="FILE",
        help="write half the width of the 90 %% interval of each voxel, in the unit of the image, one file for each output",
    )
    upscale.add_argument(
        "--save-representation", metavar="FILE.inr", help="keep the continuous function, to sample it again"
    )
    add_run(upscale)
    upscale.set_defaults(run=run_upscale)

    sample = commands.add_parser(
        "sample", help="sample a saved representation again", description="Sample a saved representation on any grid."
    )
    sample.add_argument("representation", metavar="FILE.inr")
    add_output(sample, required=True)
    add_run(sample)
    sample.set_defaults(run=run_sample)


def run_upscale(options: argparse.Namespace) -> None:
    """``inrsr upscale``."""
    job = Job(
        task="upscale",
        method=options.method,
        inputs=options.inputs,
        outputs=options.output,
        labels_output=options.labels_output,
        probabilities_output=options.probabilities_output,
        preset=options.preset,
        settings={**changes_of(options.set), **({"weights": options.weights} if options.weights else {})},
        like=options.like,
        spacing=options.spacing,
        scale=options.scale,
        labels=options.labels,
        mask=options.mask,
        slice_profile=options.slice_profile,
        slice_thickness=options.slice_thickness,
        register=options.register,
        common_grid=options.common_grid,
        transforms=options.transforms,
        device=options.device,
        threads=options.threads,
        seed=options.seed,
        max_seconds=options.max_seconds,
        added=options.added,
        uncertainty=options.uncertainty,
        representation=options.save_representation,
        report=options.report,
    )
    run_with_progress(job, options.progress, options.skip_existing)


def run_sample(options: argparse.Namespace) -> None:
    """``inrsr sample``."""
    job = Job(
        task="sample",
        inputs=[options.representation],
        outputs=options.output,
        labels_output=options.labels_output,
        probabilities_output=options.probabilities_output,
        like=options.like,
        spacing=options.spacing,
        scale=options.scale,
        common_grid=options.common_grid,
        device=options.device,
        threads=options.threads,
        report=options.report,
    )
    run_with_progress(job, options.progress, options.skip_existing)


def run_with_progress(job: Job, style: str, skip_existing: bool = False) -> None:
    """Run a job in its worker, and tell of it as JSON lines on stdout, as a bar on stderr, or not at all."""
    if skip_existing and all(Path(p).is_file() for p in job.results()):
        if style == "bar":
            tell(f"{', '.join(job.results())}: there already, skipped")
        return
    if style == "json":
        with scratch_folder("preview-") as folder:
            job = replace(job, preview_folder=str(folder))
            run_in_worker(job, lambda event: tell(json.dumps(event), sys.stdout))
        return
    show: Callable[[Event], None] = Bar() if style == "bar" else show_warning
    report = run_in_worker(job, show)
    if style == "bar":
        tell_result(report)


def tell_result(report: Mapping[str, Any]) -> None:
    """What a run has made, on stderr."""
    from ..acquisition.slice_profile import describe_slices

    if report["choice"]:
        tell(f"inrsr: auto took {report['choice']['method']}: {report['choice']['why']}")
    for given, taken in zip(report["inputs"], report["slices"] or []):
        print(f"{given['path']}: {describe_slices(taken)}", file=sys.stderr)
    for output, agreement in zip(report["outputs"], report["consistency_db"] or [None] * len(report["outputs"])):
        told = "" if agreement is None else f", agrees with its input to {agreement:.1f} dB"
        tell(f"{output['path']}: {' × '.join(map(str, output['shape']))} voxels{told}")
