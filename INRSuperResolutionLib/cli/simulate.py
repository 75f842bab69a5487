"""``inrsr simulate``: which method suits a scan, by what it brings back of slices that are left out of it."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from ..errors import InputError
from ..json_text import json_text
from .arguments import Commands, add_debug


def add(commands: Commands) -> None:
    """The command and its arguments."""
    simulate = commands.add_parser(
        "simulate",
        help="which method suits a scan",
        description="Cut slices of the scan itself into thick ones, restore them by each method, and rank the methods by it.",
    )
    simulate.add_argument("inputs", nargs="+", metavar="INPUT", help="scans with thick slices; each is judged alone")
    simulate.add_argument(
        "--methods", nargs="+", metavar="M", help="see inrsr methods (default: all that suit one scan)"
    )
    simulate.add_argument("--output", metavar="FOLDER", help="write scores.csv and a picture of each scan there")
    simulate.add_argument("--seed", type=int, default=0)
    simulate.add_argument("--json", action="store_true")
    add_debug(simulate)
    simulate.set_defaults(run=run_simulate)


def run_simulate(options: argparse.Namespace) -> None:
    """``inrsr simulate``."""
    from ..evaluation.simulate import USUAL, compare_methods, cut_further, draw
    from ..image.files import read
    from ..methods import get_method

    for method in options.methods or ():
        get_method(method).check_inputs(1)
    folder = Path(options.output) if options.output else None
    if folder is not None and not folder.absolute().parent.is_dir():
        raise InputError(f"the folder {folder.absolute().parent} does not exist", "Make it first")
    volumes = [read(path) for path in options.inputs]
    left_out = [cut_further(volume, options.seed) for volume in volumes]
    rows = []
    for number, (path, volume, own) in enumerate(zip(options.inputs, volumes, left_out), 1):
        scores = []

        def told(text: str, path: str = path) -> None:
            print(f"{path}: {text}", file=sys.stderr, flush=True)

        for score in compare_methods(volume, options.methods or USUAL, own, told, options.seed):
            scores.append(score)
            print(f"{path}: {score.method} {score.psnr:.2f} dB, {score.seconds:.0f} s", file=sys.stderr, flush=True)
        if not scores:
            raise InputError(f"{path}: none of the methods can be judged on it", "Give other --methods")
        scores.sort(key=lambda s: -s.psnr)
        rows += [
            {
                "input": path,
                "rank": rank,
                "method": s.method,
                "psnr_db": round(s.psnr, 3),
                "seconds": round(s.seconds, 1),
            }
            for rank, s in enumerate(scores, 1)
        ]
        if folder is not None:
            folder.mkdir(exist_ok=True)
            draw(own, scores, folder / f"{number}-{Path(path).name.split('.')[0]}.png")
    if folder is not None:
        with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if options.json:
        print(json_text(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['input']}  {row['rank']:2}.  {row['method']:16}  {row['psnr_db']:6.2f} dB  {row['seconds']:6.1f} s"
        )
