"""``inrsr study``: a blinded reader study, from pairs of images to its statistics."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..json_text import json_text
from .arguments import Commands, add_debug

if TYPE_CHECKING:
    from ..study.plan import Pair
    from ..study.session import Session


# what stands in the folder of --show
SHOWN = ("left.nii", "right.nii")


def add(commands: Commands) -> None:
    """The command, what can be done with a study, and their arguments."""
    study = commands.add_parser("study", help="a blinded reader study of two methods")
    actions = study.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=type(study))
    new = actions.add_parser("new", help="begin a study of pairs of images")
    new.add_argument("study", metavar="STUDY.json")
    new.add_argument(
        "pairs", metavar="PAIRS.csv",
        help="columns: case, and one for each of two methods, named by it, with the path of its image (relative to the file)",
    )  # fmt: skip
    new.add_argument("--questions", nargs="+", metavar="Q", help="what is compared (default: noise sharpness)")
    new.add_argument("--name", default="", help="of the study (default: that of its file)")
    new.add_argument("--seed", type=int, default=0, help="of the order and the sides")
    add_debug(new)
    new.set_defaults(run=run_new)
    read = actions.add_parser(
        "run", help="read: answer by the keys 1 to 5, saved one by one; goes on where it was left"
    )
    read.add_argument("study", metavar="STUDY.json")
    read.add_argument("--reader", required=True, metavar="NAME")
    read.add_argument(
        "--show", metavar="FOLDER", required=True,
        help="an empty folder: each pair appears there as left.nii and right.nii, to be opened in any viewer",
    )  # fmt: skip
    add_debug(read)
    read.set_defaults(run=run_reading)
    report = actions.add_parser("report", help="the statistics, unblinded")
    report.add_argument("study", metavar="STUDY.json")
    report.add_argument("--csv", metavar="FILE.csv", help="write each answer")
    report.add_argument("--imrmc", metavar="FILE.csv", nargs="+", help="write a file for each question, as iMRMC reads")
    report.add_argument("--json", action="store_true")
    add_debug(report)
    report.set_defaults(run=run_report)


def run_new(options: argparse.Namespace) -> None:
    """``inrsr study new``."""
    from ..study.blinded import check_pairs
    from ..study.plan import QUESTIONS, Study
    from ..study.store import write_study

    path, listed = Path(options.study), Path(options.pairs)
    if path.suffix != ".json":
        raise InputError(f"{path}: a study ends in .json", "Rename it")
    if path.exists():
        raise InputError(f"{path} exists", "A study is not replaced: choose another name, or delete it")
    methods, pairs = read_pairs(listed, path.absolute().parent)
    questions = tuple(options.questions or QUESTIONS)
    study = Study(options.name or path.stem, methods, questions, pairs, options.seed)
    check_pairs(study, path.absolute().parent)
    write_study(study, path)
    print(f"{path}: {len(pairs)} pairs, {', '.join(questions)}", file=sys.stderr)


def read_pairs(listed: Path, beside: Path) -> tuple[tuple[str, str], tuple[Pair, ...]]:
    """The two methods and the pairs of a CSV file; paths become relative to the folder `beside` where they can."""
    from ..study.plan import Pair

    try:
        with open(listed, newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read {listed}: {error}", "Give a CSV file in UTF-8") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    if len(head) != 3 or head[0] != "case":
        raise InputError(f"{listed} begins with {', '.join(head)[:80] or 'nothing'}", "Give case,METHOD,METHOD")
    pairs = []
    for n, row in enumerate(rows[1:], 2):
        if len(row) != 3 or not all(cell.strip() for cell in row):
            raise InputError(f"{listed}: line {n} has not three cells", "Give case and two paths")
        images = [(listed.absolute().parent / cell.strip()).resolve() for cell in row[1:]]
        first, second = (str(p.relative_to(beside.resolve())) if p.is_relative_to(beside.resolve()) else str(p) for p in images)  # fmt: skip
        pairs.append(Pair(row[0].strip(), (first, second)))
    return (head[1], head[2]), tuple(pairs)


def run_reading(options: argparse.Namespace) -> None:
    """``inrsr study run``: questions on stderr, answers a line each on stdin."""
    from ..study.blinded import write_blinded
    from ..study.plan import KEYS
    from ..study.session import Session

    folder = Path(options.show)
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist", "Make it first")
    others = sorted(p.name for p in folder.iterdir() if p.name not in SHOWN)
    if others or any((folder / p).is_symlink() for p in SHOWN):
        raise InputError(f"{folder} holds {(others or SHOWN)[0]}", "Give an empty folder: pairs are written there")
    session = Session(options.study, options.reader)
    print("; ".join(f"{n} {what}" for n, what in enumerate(KEYS, 1)) + "; b back, q quit", file=sys.stderr)
    shown = None
    while session.trial is not None:
        if session.trial != shown:
            shown = session.trial
            write_blinded(session.study, session.reader, shown, session.folder, folder)
            print(f"pair {shown + 1} of {session.count} is in {folder}", file=sys.stderr)
            session.pause()
        if not _answered(session):
            print(f"saved; {options.study} goes on with pair {session.trial + 1}", file=sys.stderr)
            return
    print("that was the last pair: thank you", file=sys.stderr)


def _answered(session: Session) -> bool:
    """Ask until a line is an answer; False where the reader stops."""
    while True:
        print(f"{session.question}? ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        told = line.strip().lower()
        if not line or told == "q":
            return False
        if told == "b":
            session.back()
            return True
        if told in ("1", "2", "3", "4", "5"):
            session.answer(int(told))
            return True
        print("1 to 5, b or q", file=sys.stderr)


def run_report(options: argparse.Namespace) -> None:
    """``inrsr study report``."""
    from ..study.report import csv_of, figures_of, imrmc_of, table_of
    from ..study.store import read_study

    study = read_study(options.study)
    if options.imrmc and len(options.imrmc) != len(study.questions):
        raise InputError(
            f"{len(options.imrmc)} files for {len(study.questions)} questions",
            f"Give one for each of {', '.join(study.questions)}",
        )
    texts = {options.csv: csv_of(study)} if options.csv else {}
    texts |= {path: imrmc_of(study, q) for path, q in zip(options.imrmc or [], study.questions)}
    for path, text in texts.items():
        if Path(path).resolve() == Path(options.study).resolve():
            raise InputError(f"{path} would be overwritten", "Choose another name")
        try:
            Path(path).write_text(text, "utf-8")
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}", "Choose another folder") from error
    print(json_text(figures_of(study), indent=1) if options.json else table_of(study))
