"""``inrsr bids``: a BIDS App over the batch."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .arguments import Commands, add_debug
from .batch import add_where, check_numbers, do_cases


def add(commands: Commands) -> None:
    """The command and its arguments."""
    bids = commands.add_parser(
        "bids",
        help="restore the thick-slice series of a BIDS dataset",
        description="A BIDS App: restore the anatomical series with thick slices of each session, as BIDS derivatives.",
    )
    bids.add_argument("dataset", metavar="BIDS_DIR")
    bids.add_argument("output", metavar="OUTPUT_DIR")
    bids.add_argument("level", choices=("participant", "group"), help="restore, or sum up what is restored")
    bids.add_argument("--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL")
    bids.add_argument("--method", default="auto", help="see inrsr methods (default: %(default)s)")
    add_where(bids)
    add_debug(bids)
    bids.set_defaults(run=run_bids)


def run_bids(options: argparse.Namespace) -> None:
    """``inrsr bids``."""
    check_numbers(options)
    from ..cohorts.bids import find_cases, write_description, write_sidecars
    from ..cohorts.case import Outcome, finished
    from ..cohorts.summary import write_page, write_table

    dataset, output = Path(options.dataset).absolute(), Path(options.output).absolute()
    if output == dataset:
        raise InputError(f"{output} is the dataset itself", "Name another folder, such as derivatives/inrsr in it")
    cases = find_cases(
        dataset,
        output,
        options.participant_label,
        options.method,
        options.threads,
        options.max_seconds,
        options.maps,
    )
    named = {case.name: case for case in cases}
    if options.level == "group":
        there = [finished(case.name, case.job) for case in cases if case.job is not None]
        outcomes = [outcome for outcome in there if outcome is not None]
        if not outcomes:
            raise InputError(f"{output} holds no results", "Run the level participant first")
        write_table(outcomes, output / "summary.csv")
        told_of = [named[outcome.case] for outcome in outcomes]
        write_page(outcomes, told_of, len(outcomes), len(outcomes), output / "summary.html")
        return
    output.mkdir(parents=True, exist_ok=True)
    write_description(dataset, output)

    def told(outcome: Outcome) -> None:
        write_sidecars(named[outcome.case], outcome, dataset)

    do_cases(cases, list(named), output, options, told)
