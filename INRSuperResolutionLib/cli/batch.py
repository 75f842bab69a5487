"""``inrsr batch``: the cases of a manifest, on this machine or on a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, InrsrError, OutOfMemory
from .arguments import Commands, add_debug

if TYPE_CHECKING:
    from ..cohorts.case import Outcome
    from ..cohorts.manifest import Case


def add(commands: Commands) -> None:
    """The command and its arguments."""
    batch = commands.add_parser(
        "batch",
        help="restore the scans of many patients",
        description="Do the cases of a manifest, and go on where it was stopped: what is done, by job, inputs and weights, is skipped.",
    )
    batch.add_argument("manifest", metavar="MANIFEST.csv", help="columns: case, inputs; and as needed method, labels, mask, preset, spacing, like, settings")  # fmt: skip
    batch.add_argument(
        "--output", required=True, metavar="FOLDER", help="a folder a case, summary.html and summary.csv"
    )
    batch.add_argument("--resume", action="store_true", help="what is always done: only what is not done is done")
    batch.add_argument(
        "--plan",
        action="store_true",
        help="do nothing, but tell what 1,000 and 100,000 such cases take on which machine",
    )
    add_where(batch)
    add_debug(batch)
    batch.set_defaults(run=run_batch_command)


def add_where(parser: argparse.ArgumentParser) -> None:
    """Where and how the cases run."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="cases at a time (default: what cores and memory allow)"
    )
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a running Dask scheduler, whose workers see the same files"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="CPU threads of each case (default: %(default)d)"
    )
    parser.add_argument("--max-seconds", type=float, metavar="S", help="what each run may plan for, as of upscale")
    parser.add_argument(
        "--case-seconds", type=float, metavar="S", help="a case that takes longer fails, and the rest go on"
    )
    parser.add_argument(
        "--maps", action="store_true", help="also save what was added to a spline, and the uncertainty, of each result"
    )
    parser.add_argument("--progress", choices=("bar", "json", "none"), default="bar")


def run_batch_command(options: argparse.Namespace) -> None:
    """``inrsr batch``."""
    check_numbers(options)
    output = Path(options.output).absolute()
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist", "Make it first")
    from ..cohorts.manifest import read_manifest

    cases = read_manifest(Path(options.manifest), output, options.threads, options.max_seconds, options.maps)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file", "Name a folder")
    if options.plan:
        from ..cohorts.plan import table

        print("\n".join(table(cases, options.threads)))
        return
    output.mkdir(exist_ok=True)
    do_cases(cases, cases.names, output, options)


def check_numbers(options: argparse.Namespace) -> None:
    """Refuse numbers that are not positive."""
    for name in ("workers", "threads", "max_seconds", "case_seconds"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name.replace('_', '-')} {value:g} is not positive", "Give a number above 0")


def do_cases(
    cases: Sequence[Case],
    names: Sequence[str],
    output: Path,
    options: argparse.Namespace,
    also: Callable[[Outcome], None] | None = None,
) -> None:
    """Do cases, tell of them as they come (and let ``also`` know), and sum up. Raises what the worst failed case did."""
    from ..cohorts.capacity import usual_workers
    from ..cohorts.case import DONE
    from ..cohorts.coordinator import Clock, only_one, run_batch
    from ..cohorts.ledger import Ledger
    from ..cohorts.summary import Table, write_page, write_table

    clock = Clock(len(cases))
    workers = options.workers or usual_workers(cases, options.threads)
    with only_one(output), Ledger() as ledger:
        with Table(output / "summary.csv") as table:

            def told(outcome: Outcome) -> None:
                clock.count(outcome)
                ledger.add(outcome)
                table.add(outcome)
                if also is not None:
                    also(outcome)
                show(outcome, clock, options.progress)

            run_batch(cases, output, told, min(workers, len(cases)), options.scheduler, options.case_seconds)
        write_table(ledger.read(names), output / "summary.csv")
        bad = len(ledger) - ledger.states[DONE]
        write_page(ledger.read(names), cases, len(ledger), ledger.states[DONE], output / "summary.html")
    if options.progress == "json":
        print(json.dumps({"event": "result", "done": len(ledger) - bad, "failed": ledger.failed}))
    if ledger.first_bad is not None:
        kind = next((k for k in (InputError, OutOfMemory) if k.exit_code in ledger.codes), InrsrError)
        raise kind(
            f"{bad} of {len(ledger)} cases failed: {ledger.first_bad.case}: {ledger.first_bad.reason}",
            f"The rest is done; see {output / 'summary.csv'}",
        )


def show(outcome: Outcome, clock: object, style: str) -> None:
    """Tell of a case."""
    from ..cohorts.coordinator import Clock

    assert isinstance(clock, Clock)
    left = clock.seconds_left
    if style == "json":
        print(json.dumps({"event": "case", **outcome.to_dict()}))
        event = {"event": "progress", "stage": "batch", "fraction": clock.fraction, "seconds_left": left}
        print(json.dumps(event), flush=True)
    elif style == "bar":
        took = "there already" if outcome.again else "" if outcome.seconds is None else f"{outcome.seconds:.0f} s"
        rest = "" if left is None else f"; about {left / 60:.0f} min left"
        reason = f": {outcome.reason}" if outcome.reason else ""
        print(
            f"{clock.fraction:4.0%}  {outcome.case}  {outcome.state}  {took}{reason}{rest}", file=sys.stderr, flush=True
        )
