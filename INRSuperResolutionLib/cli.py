"""The command line ``inrsr``: a thin client of jobs and their worker."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from . import __version__
from .client import run_in_worker
from .errors import InputError, InrsrError
from .job import DEVICES, PROFILE_CHOICES, Job
from .methods import METHODS
from .progress import Event
from .training.command import add_arguments as add_train_arguments
from .training.command import run_train

BAR_WIDTH = 28


class Parser(argparse.ArgumentParser):
    """Tells usage errors in one line, as all others."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message, f"See {self.prog} --help")


def make_parser() -> Parser:
    """The arguments of all commands."""
    parser = Parser(
        prog="inrsr",
        description="Super-resolution of medical images by implicit neural representations. For research use only.",
    )
    parser.add_argument("--version", action="version", version=f"inrsr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    methods = commands.add_parser("methods", help="list the methods")
    methods.add_argument("--json", action="store_true", help="with presets and settings, as JSON")
    methods.set_defaults(run=list_methods)

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
        help="how a slice averages the patient (default: %(default)s)",
    )
    upscale.add_argument("--register", action="store_true", help="register the inputs rigidly to the first one")
    upscale.add_argument("--seed", type=int, default=0)
    upscale.add_argument("--max-seconds", type=float, metavar="S", help="upper limit for the fit")
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

    degrade = commands.add_parser("degrade", help="simulate a low-resolution scan")
    degrade.add_argument("input", metavar="INPUT")
    degrade.add_argument("--output", required=True, metavar="OUT")
    degrade.add_argument("--kind", required=True, choices=("kspace", "area", "interval", "profile"))
    degrade.add_argument(
        "--factor",
        required=True,
        nargs="+",
        type=float,
        metavar="F",
        help="one for the axis across the slices, or three",
    )
    add_debug(degrade)
    degrade.set_defaults(run=run_degrade)

    evaluate = commands.add_parser("evaluate", help="compare a result with a reference")
    evaluate.add_argument("result", metavar="RESULT")
    evaluate.add_argument("reference", metavar="REFERENCE")
    evaluate.add_argument("--mask", metavar="M", help="voxels that count (default: the foreground of the reference)")
    evaluate.add_argument("--lowres", metavar="L", help="the input: also prints the consistency with it")
    evaluate.add_argument(
        "--slice-profile", choices=PROFILE_CHOICES[1:], default="none", help="of the input (default: %(default)s)"
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
    evaluate.add_argument("--json", action="store_true")
    add_debug(evaluate)
    evaluate.set_defaults(run=run_evaluate)

    train = commands.add_parser("train", help="train the weights of a method that needs them")
    add_train_arguments(train)
    add_debug(train)
    train.set_defaults(run=lambda options: run_train(options, dict(changes_of(options.set))))

    benchmark = commands.add_parser("benchmark", help="measure speed and quality on this machine")
    benchmark.add_argument(
        "name",
        metavar="NAME",
        help="arbitrary, coordinate, cycleinr, fit, inplane, multicontrast, nexpr, raster or seco",
    )
    benchmark.add_argument(
        "--data", metavar="FOLDER", help="folder with the volumes of the benchmark (default: ../shared/data)"
    )
    benchmark.add_argument(
        "--minutes", type=float, default=10.0, help="time for each slow method (default: %(default)g)"
    )
    benchmark.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="fit: networks of the paper to measure (default: multicontrast); others: methods (default: all)",
    )
    benchmark.add_argument(
        "--tables",
        nargs="+",
        metavar="TABLE",
        help="of coordinate, cycleinr, inplane, multicontrast, nexpr, seco: the tables to make (default: all)",
    )
    benchmark.add_argument(
        "--factors", nargs="+", type=int, default=[2], metavar="F", help="seco: factors in plane (default: 2)"
    )
    benchmark.add_argument("--output", metavar="FOLDER", help="where to draw the pictures of the tables")
    benchmark.add_argument(
        "--steps",
        type=int,
        default=1000,
        metavar="N",
        help="nexpr, coordinate: training of each variant (default: %(default)d)",
    )
    benchmark.add_argument("--json", action="store_true")
    add_debug(benchmark)
    benchmark.set_defaults(run=run_benchmark)
    return parser


def add_output(parser: argparse.ArgumentParser, required: bool) -> None:
    """Where the results go, and on which grid."""
    parser.add_argument(
        "--output",
        nargs="+",
        default=[],
        required=required,
        metavar="OUT",
        help="one file for each input (NIfTI, NRRD, MHA)",
    )
    parser.add_argument("--labels-output", metavar="FILE", help="write the super-resolved label map (seco)")
    parser.add_argument(
        "--probabilities-output", metavar="FILE.nii.gz", help="write the class probabilities, as 4D NIfTI (seco)"
    )
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--like", metavar="VOLUME", help="take exactly the grid of this volume")
    grid.add_argument(
        "--spacing", nargs="+", type=float, metavar="MM", help="spacing of the results, one number or three"
    )
    grid.add_argument("--scale", nargs="+", type=float, metavar="F", help="times as many voxels, one number or three")


def add_run(parser: argparse.ArgumentParser) -> None:
    """How the worker runs."""
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--report", metavar="FILE.json", help="write a report with settings, times and consistency")
    parser.add_argument("--progress", choices=("bar", "json", "none"), default="bar")
    add_debug(parser)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """For our own faults."""
    parser.add_argument("--debug", action="store_true", help="print the traceback and the worker's log")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        options = make_parser().parse_args(arguments)
        options.run(options)
        return 0
    except InrsrError as error:
        if debug:
            print(getattr(error, "log", ""), file=sys.stderr)
            raise
        print(f"inrsr: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("inrsr: cancelled", file=sys.stderr)
        return 3
    except BrokenPipeError:  # `inrsr methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        print(
            f"inrsr: unexpected {type(error).__name__}: {error}. Please report it, with the output of --debug",
            file=sys.stderr,
        )
        return 1


def list_methods(options: argparse.Namespace) -> None:
    """``inrsr methods``."""
    import dataclasses

    if options.json:
        entries = [
            {
                "name": name,
                "title": m.title,
                "when": m.when,
                "baseline": m.is_baseline,
                "min_inputs": m.min_inputs,
                "max_inputs": m.max_inputs,
                "presets": {preset: dataclasses.asdict(settings) for preset, settings in m.presets.items()},
            }
            for name, m in METHODS.items()
        ]
        print(json.dumps(entries, indent=1))
        return
    width = max(map(len, METHODS))
    for name, m in METHODS.items():
        print(f"{name:{width}}  {m.title}. {m.when}")


def changes_of(pairs: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a dict."""
    changes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"--set {pair!r} is not NAME=VALUE")
        changes[name.strip()] = value.strip()
    return changes


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
        register=options.register,
        device=options.device,
        threads=options.threads,
        seed=options.seed,
        max_seconds=options.max_seconds,
        representation=options.save_representation,
        report=options.report,
    )
    run_with_progress(job, options.progress)


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
        device=options.device,
        threads=options.threads,
        report=options.report,
    )
    run_with_progress(job, options.progress)


def run_with_progress(job: Job, style: str) -> None:
    """Run a job in its worker, and tell of it as JSON lines on stdout, as a bar on stderr, or not at all."""
    import tempfile

    if style == "json":
        with tempfile.TemporaryDirectory(prefix="inrsr-preview-") as folder:
            from dataclasses import replace

            run_in_worker(replace(job, preview_folder=folder), lambda event: print(json.dumps(event), flush=True))
        return
    show: Callable[[Event], None] = Bar() if style == "bar" else show_warning
    report = run_in_worker(job, show)
    if style == "bar":
        for output, agreement in zip(report["outputs"], report["consistency_db"] or [None] * len(report["outputs"])):
            told = "" if agreement is None else f", agrees with its input to {agreement:.1f} dB"
            print(f"{output['path']}: {' × '.join(map(str, output['shape']))} voxels{told}", file=sys.stderr)


def show_warning(event: Event) -> None:
    """Print a warning on stderr; nothing else."""
    if event["event"] == "warning":
        print(f"inrsr: warning: {event['message']}", file=sys.stderr)


class Bar:
    """A progress bar on a terminal; a line every few seconds elsewhere."""

    SECONDS_BETWEEN_LINES = 10.0

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last_line = time.perf_counter()

    def __call__(self, event: Event) -> None:
        if event["event"] == "progress":
            fraction = float(event["fraction"])  # type: ignore[arg-type]
            left = event.get("seconds_left")
            filled = round(fraction * BAR_WIDTH)
            text = f"{event['stage']:8} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {fraction:4.0%}"
            text += f"  {duration(float(left))} left" if left is not None else ""  # type: ignore[arg-type]
            if self._is_terminal:
                print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
            elif time.perf_counter() - self._last_line > self.SECONDS_BETWEEN_LINES:
                self._last_line = time.perf_counter()
                print(text, file=sys.stderr, flush=True)
            return
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr)
        show_warning(event)


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def run_degrade(options: argparse.Namespace) -> None:
    """``inrsr degrade``."""
    from .degrade import degrade
    from .volume_io import read, write_atomically

    write_atomically(degrade(read(options.input), options.kind, options.factor), options.output)


def run_evaluate(options: argparse.Namespace) -> None:
    """``inrsr evaluate``."""
    from .forward_model import SliceProfile
    from .intensity import foreground
    from .metrics import compare, consistency, mutual_information_error
    from .volume_io import read

    def same_grid(path: str) -> Any:
        volume = read(path)
        if volume.shape != reference.shape or not np.allclose(volume.affine, reference.affine, atol=1e-3):
            raise InputError(f"{path} is not on the grid of {options.reference}", "Make it with --like REFERENCE")
        return volume

    reference = read(options.reference)
    result = same_grid(options.result)
    mask = same_grid(options.mask).data > 0 if options.mask else foreground(reference.data)
    if not mask.any():
        raise InputError("the mask is empty on the grid of the reference", "Give another mask")
    figures: dict[str, Any] = dict(compare(result.data, reference.data, mask))
    if options.lowres:
        figures["consistency_db"] = consistency(result, read(options.lowres), SliceProfile(options.slice_profile))
    if options.contrast:
        others = [same_grid(p).data for p in options.contrast]
        figures["mutual_information_error"] = mutual_information_error(
            (result.data, others[0]), (reference.data, others[1]), mask
        )
    if options.labels or options.segment:
        from .overlap import label_agreement, segmented_by

        if options.labels:
            maps = [read(p) for p in options.labels]
        else:
            maps = [segmented_by(options.segment, v) for v in (result, reference)]
        figures["labels"] = label_agreement(maps[0], maps[1], options.tolerance)
    figures["snli"] = noise_figures(result.data, reference.data, mask, options.noise_plot)
    if options.json:
        print(json.dumps(figures, indent=1))
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


def noise_figures(
    result: np.ndarray, reference: np.ndarray, mask: np.ndarray, plot: str | None
) -> dict[str, list[float]] | None:
    """SNLI of both images across each axis; None, with a note, where PyWavelets is missing and no plot is asked for."""
    from .errors import MissingError
    from .intensity import robust_range
    from .noise import inconsistency, slice_noise
    from .pictures import figure_of

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


def run_benchmark(options: argparse.Namespace) -> None:
    """``inrsr benchmark``."""
    from pathlib import Path

    from .benchmarks import BENCHMARKS

    if options.name not in BENCHMARKS:
        raise InputError(f"benchmark {options.name!r} is not known", f"Give one of {', '.join(BENCHMARKS)}")
    if options.output:  # now, not when the first picture is ready hours later
        Path(options.output).mkdir(parents=True, exist_ok=True)
    BENCHMARKS[options.name](options)
