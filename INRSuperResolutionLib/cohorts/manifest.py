"""The manifest of a batch: a CSV file, a row a case."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

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


class Manifest(Sequence[Case]):
    """The cases of a manifest, each made when it is asked for: a cohort of 100,000 rows takes a few megabytes.

    A row that is wrong becomes a case with a fault, so that the others are done all the same.

    Parameters
    ----------
    rows
        The fields of each, in the order of `header`.
    base
        The folder that paths are relative to.
    output
        The folder of the folders of results.
    common
        Fields that all jobs have.
    maps
        Whether to make maps of what is to be believed.
    """

    def __init__(
        self, header: list[str], rows: list[list[str]], base: Path, output: Path, common: Mapping[str, Any], maps: bool
    ) -> None:
        self._header, self._rows, self._base, self._output = header, rows, base, output
        self._common, self._maps = common, maps
        self._name = header.index("case")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> list[str]:
        """Of all cases."""
        return [row[self._name].strip() for row in self._rows]

    @overload
    def __getitem__(self, number: int) -> Case: ...
    @overload
    def __getitem__(self, number: slice) -> list[Case]: ...
    def __getitem__(self, number: int | slice) -> Case | list[Case]:
        if isinstance(number, slice):
            return [self._case(row) for row in self._rows[number]]
        return self._case(self._rows[number])

    def _case(self, row: list[str]) -> Case:
        name = row[self._name].strip()
        try:
            if len(row) > len(self._header):
                raise InputError("the row has more fields than the header", "Put fields that hold commas into quotes")
            told = dict(zip(self._header, row))
            return Case(name, _job_of(told, self._base, self._output / name, self._common, self._maps))
        except InrsrError as error:
            return Case(name, None, str(error))


def read_manifest(
    path: Path, output: Path, threads: int = 1, max_seconds: float | None = None, maps: bool = False
) -> Manifest:
    """The cases of a manifest; paths in it are relative to its folder.

    Parameters
    ----------
    threads, max_seconds
        Of each run.
    maps
        Whether to save what was added, and the uncertainty, beside each result.

    Raises
    ------
    InputError
        If the file is no such table, or two cases have one name.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            numbered = [(lines.line_num, row) for row in lines if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the manifest {path}: {error}", "Give a CSV file in UTF-8") from error
    if not numbered:
        raise InputError(f"{path} has no cases", f"Give a header ({', '.join(COLUMNS)}) and a row for each case")
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise InputError(f"{path}: column {unknown[0]!r} is not known", f"Known are {', '.join(COLUMNS)}")
    for needed in COLUMNS[:2]:
        if needed not in header:
            raise InputError(f"{path}: the column {needed} is missing", f"Known are {', '.join(COLUMNS)}")
    at, seen = header.index("case"), set()
    for number, row in numbered:
        name = row[at].strip() if at < len(row) else ""
        if not NAME.fullmatch(name):
            raise InputError(
                f"{path}, line {number}: case {name[:80]!r} is not valid",
                "Give each a name of up to 100 letters, digits, dots, _ and -",
            )
        if name.lower() in seen:
            raise InputError(f"{path}, line {number}: case {name} is there twice", "Give each its own name")
        seen.add(name.lower())
    common = {"threads": threads, "max_seconds": max_seconds}
    return Manifest(header, [row for _, row in numbered], path.parent, output, common, maps)


def _job_of(row: Mapping[str, str], base: Path, folder: Path, common: Mapping[str, Any], maps: bool) -> Job:
    def cell(name: str) -> str:
        return row.get(name, "").strip()

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
        report=str(folder / REPORT),
        **maps_of([folder / name for name in _names(inputs)] if maps else []),
        **common,
    )


def maps_of(results: Sequence[Path]) -> dict[str, Any]:
    """Where the maps of results go, as fields of a job."""
    return {kind: [str(p.with_name(f"{kind}-{p.name}")) for p in results] for kind in ("added", "uncertainty")}


def _names(inputs: list[str]) -> list[str]:
    """File names of the results: those of the inputs, numbered where two are the same."""
    names: list[str] = []
    for n, path in enumerate(inputs, 1):
        name = Path(path).name
        stem = next((name[: -len(e)] for e in ENDINGS if name.lower().endswith(e)), name)
        result = f"{stem}.nii.gz"
        names.append(f"{n}-{result}" if result in names else result)
    return names
