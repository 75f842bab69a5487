"""The manifest of a batch: a CSV file, a row a case."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..auto import AUTO
from ..errors import InputError, InrsrError
from ..jobs.job import Job

COLUMNS = ("case", "inputs", "method", "labels", "mask", "preset", "spacing", "like", "settings")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REPORT = "report.json"
ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh")


@dataclass(frozen=True)
class Case:
    """One row.

    Parameters
    ----------
    name
        Also the name of its folder.
    job
        What is to be done; None where the row says nothing that can be done.
    fault
        Why not; empty for a row that is right.
    """

    name: str
    job: Job | None
    fault: str = ""


def read_manifest(path: Path, output: Path, threads: int = 1, max_seconds: float | None = None) -> list[Case]:
    """The cases of a manifest; paths in it are relative to its folder.

    A row that is wrong becomes a case with a fault, so that the others are done all the same.

    Raises
    ------
    InputError
        If the file is no such table, or two cases have one name.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the manifest {path}: {error}", "Give a CSV file in UTF-8") from error
    if not rows:
        raise InputError(f"{path} has no cases", f"Give a header ({', '.join(COLUMNS)}) and a row for each case")
    unknown = [name for name in rows[0] if name not in (*COLUMNS, None)]  # None: fields beyond the header
    if unknown:
        raise InputError(f"{path}: column {unknown[0]!r} is not known", f"Known are {', '.join(COLUMNS)}")
    for needed in COLUMNS[:2]:
        if needed not in rows[0]:
            raise InputError(f"{path}: the column {needed} is missing", f"Known are {', '.join(COLUMNS)}")
    cases: dict[str, Case] = {}
    for number, row in enumerate(rows, 2):
        name = (row["case"] or "").strip()
        if not NAME.fullmatch(name):
            raise InputError(
                f"{path}, line {number}: case {name[:80]!r} is not valid",
                "Give each a name of up to 100 letters, digits, dots, _ and -",
            )
        if name.lower() in cases:
            raise InputError(f"{path}, line {number}: case {name} is there twice", "Give each its own name")
        try:
            cases[name.lower()] = Case(name, _job_of(row, path.parent, output / name, threads, max_seconds))
        except InrsrError as error:
            cases[name.lower()] = Case(name, None, str(error))
    return list(cases.values())


def _job_of(row: Mapping[str, str | None], base: Path, folder: Path, threads: int, max_seconds: float | None) -> Job:
    if None in row:
        raise InputError("the row has more fields than the header", "Put fields that hold commas into quotes")

    def cell(name: str) -> str:
        return (row.get(name) or "").strip()

    def paths(name: str) -> list[str]:
        return [str((base / part.strip()).absolute()) for part in cell(name).split(";") if part.strip()]

    inputs = paths("inputs")
    if not inputs:
        raise InputError("no inputs are given", "Name at least one file")
    settings = {}
    for pair in (part.strip() for part in cell("settings").split(";") if part.strip()):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise InputError(f"setting {pair!r} is not name=value", "Correct the row")
        settings[key.strip()] = value.strip()
    try:
        spacing = [float(part) for part in cell("spacing").replace(";", " ").split()] or None
    except ValueError as error:
        raise InputError(
            f"spacing {cell('spacing')!r} is not a number", "Give millimetres, one number or three"
        ) from error
    labels, mask, like = paths("labels"), paths("mask"), paths("like")
    return Job(
        task="upscale",
        method=cell("method") or AUTO,
        inputs=inputs,
        outputs=[str(folder / name) for name in _names(inputs)],
        preset=cell("preset"),
        settings=settings,
        labels=["auto"] if cell("labels") == "auto" else labels or None,
        mask=mask[0] if mask else None,
        like=like[0] if like else None,
        spacing=spacing,
        threads=threads,
        max_seconds=max_seconds,
        report=str(folder / REPORT),
    )


def _names(inputs: list[str]) -> list[str]:
    """File names of the results: those of the inputs, numbered where two are the same."""
    names: list[str] = []
    for n, path in enumerate(inputs, 1):
        name = Path(path).name
        stem = next((name[: -len(e)] for e in ENDINGS if name.lower().endswith(e)), name)
        result = f"{stem}.nii.gz"
        names.append(f"{n}-{result}" if result in names else result)
    return names
