"""``inrsr train``: arguments, and the checks before the first step."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..device import DEVICES, can_fork, resolve_device, usable_cores
from ..errors import InputError
from ..jobs.bar import duration
from ..methods.base import changed
from ..methods.multicontrast.settings import SELF_SUPERVISED, GuidedArchitecture
from ..methods.pretrained.networks import TRAINABLE
from ..progress import Event, Progress
from ..training.manifest import read_volumes
from .arguments import Commands, add_debug, changes_of

SECONDS_BETWEEN_LINES = 20.0
MOST_WORKERS = 8


def add(commands: Commands) -> None:
    """The command and its arguments."""
    parser = commands.add_parser("train", help="train the weights of a method that needs them")
    parser.add_argument("method", metavar="METHOD", help=", ".join((*TRAINABLE, SELF_SUPERVISED)))
    parser.add_argument("volumes", nargs="+", metavar="VOLUME", help="what to learn from, or a manifest (.csv: volume, sha256, source, use); never what is tested on")  # fmt: skip
    parser.add_argument("--data", metavar="FOLDER", help="where the volumes of manifests lie (default: beside each)")
    parser.add_argument("--output", required=True, metavar="WEIGHTS.safetensors")
    end = parser.add_mutually_exclusive_group()
    end.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="end after this many steps (default: 10000; with --preset paper, as the paper)",
    )
    end.add_argument("--minutes", type=float, metavar="M", help="end after this time")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside the output")
    parser.add_argument("--validate", nargs="+", default=[], metavar="VOLUME", help="volumes to look at on the way")
    parser.add_argument("--start", metavar="WEIGHTS", help="weights to start from, of any method with the same encoder")
    parser.add_argument(
        "--preset", default="fast", help="network and training: fast, or paper, as published (default: %(default)s)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting of network, training or data"
    )
    parser.add_argument("--half", action="store_true", help="write float16 weights: half the size")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that draw examples ahead (default: none, but up to 8 for a GPU)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quiet", action="store_true", help="no lines on the way")
    add_debug(parser)
    parser.set_defaults(run=lambda options: run_train(options, changes_of(options.set)))


def run_train(options: argparse.Namespace, changes: dict[str, str]) -> None:
    """Check the arguments, train, and say what came out."""
    if options.method not in (*TRAINABLE, SELF_SUPERVISED):
        known = ", ".join((*TRAINABLE, SELF_SUPERVISED))
        raise InputError(f"method {options.method!r} is not trained ahead", f"Give one of {known}")
    presets: Mapping[str, Any] = TRAINABLE.get(options.method, {"fast": GuidedArchitecture()})
    if options.preset not in presets:
        raise InputError(f"preset {options.preset!r} is not known", f"Give one of {', '.join(presets)}")
    output = Path(options.output)
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: a weights file ends in .safetensors", "Rename it")
    if not output.absolute().parent.is_dir():
        raise InputError(f"the folder {output.absolute().parent} does not exist", "Make it first")
    for name in ("steps", "minutes", "threads"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name} {value:g} is not positive", "Give a number above 0")
    if options.workers is not None and options.workers < 0:
        raise InputError(f"--workers {options.workers} is negative", "Give 0 for none, or more")
    options.volumes, listed = read_volumes(options.volumes, Path(options.data) if options.data else None)
    options.validate = [*options.validate, *listed]
    both = {str(Path(v).resolve()) for v in options.volumes} & {str(Path(v).resolve()) for v in options.validate}
    if both:
        raise InputError(f"{both.pop()} is trained and validated on", "Keep them apart")

    if options.method == SELF_SUPERVISED:
        run_train_guided(options, changes, output)
        return
    device = resolve_device(options.device)
    import torch

    from ..training.loop import Training
    from ..training.presets import training_preset

    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True  # all batches are of one shape
    preset = training_preset(options.method, options.preset)
    parts: list[Any] = [preset.architecture, preset.settings, preset.data]
    for name, value in changes.items():
        holders = [n for n, part in enumerate(parts) if name in {f.name for f in dataclasses.fields(part)}]
        if not holders:
            known = ", ".join(f.name for part in parts for f in dataclasses.fields(part))
            raise InputError(f"setting {name!r} is not known to the training of {options.method}", f"Known are {known}")
        parts[holders[0]] = changed(parts[holders[0]], {name: value}, options.method)
    architecture, settings, data = parts
    steps = options.steps or preset.steps if options.minutes is None else None
    training = Training(
        options.method,
        architecture,
        options.volumes,
        output,
        settings=settings,
        data=data,
        validation=options.validate,
        steps=steps,
        minutes=options.minutes,
        resume=options.resume,
        start=options.start,
        half=options.half,
        device=device,
        workers=usual_workers(device) if options.workers is None else options.workers,
        seed=options.seed,
        progress=Progress(None if options.quiet else Lines()),
    )
    told = training.run()
    if training.team.rank == 0:
        print(json.dumps({k: told[k] for k in ("method", "step", "seconds", "parameters", "last")}))


def run_train_guided(options: argparse.Namespace, changes: dict[str, str], output: Path) -> None:
    """The training of ``self-supervised``: a small network, on the CPU, without checkpoints."""
    for name in ("resume", "validate"):
        if getattr(options, name):
            raise InputError(f"--{name} is not there for {options.method}", "Leave it out: it trains within an hour")
    import torch

    from ..training.guided import GuidedTraining, train_guided

    if options.threads:
        torch.set_num_threads(options.threads)
    parts: list[Any] = [GuidedArchitecture(), GuidedTraining()]
    for name, value in changes.items():
        holder = 0 if name in {f.name for f in dataclasses.fields(parts[0])} else 1
        parts[holder] = changed(parts[holder], {name: value}, options.method)
    told = train_guided(
        options.volumes,
        output,
        minutes=options.minutes,
        steps=options.steps,
        architecture=parts[0],
        settings=parts[1],
        start=options.start,
        seed=options.seed,
        half=options.half,
        progress=Progress(None if options.quiet else Lines()),
    )
    print(json.dumps(told))


def usual_workers(device: str) -> int:
    """Processes that draw examples ahead: a GPU learns faster than one process draws, where a CPU has nothing to spare."""
    cores = usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's processes share them
    return max(0, min(MOST_WORKERS, cores - 1)) if device == "cuda" and can_fork() else 0


class Lines:
    """A line every few seconds on stderr."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def __call__(self, event: Event) -> None:
        if event["event"] == "estimate":
            print(f"all steps take about {duration(float(str(event['seconds'])))}", file=sys.stderr, flush=True)
        if event["event"] != "progress" or time.perf_counter() - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = time.perf_counter()
        metrics = event.get("metrics") or {}
        loss = metrics.get("loss") if isinstance(metrics, dict) else None
        told = f"  loss {loss:.4f}" if loss is not None else ""
        print(f"{event['stage']}: {float(str(event['fraction'])):.1%}{told}", file=sys.stderr, flush=True)
