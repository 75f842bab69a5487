"""Scans of a BIDS dataset as cases, and their results as BIDS derivatives (bids-specification.readthedocs.io, 1.9)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..auto import AUTO
from ..errors import InputError
from ..image.files import read_grid
from ..jobs.job import Job
from .case import DONE, Outcome
from .manifest import REPORT, Case, maps_of
from .summary import replace_text

SUFFIXES = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "inplaneT1", "inplaneT2")
# a series whose slices lie further apart than so many times its pixels is restored
THICK = 1.5
# reports and thumbnails, which BIDS has no names for; validators leave hidden folders alone
HIDDEN = ".inrsr"
DESCRIPTION = "dataset_description.json"
README = """Scans with thick slices, restored on an isotropic grid by INR super-resolution (inrsr bids).

Each result has the name of its series with rec-sr; its JSON file says from which files it was made, with which method,
version, seed and weights, and how well it agrees with the series. summary.html shows all of them. For research use only.
"""
# entities that BIDS puts before rec
BEFORE_REC = ("sub", "ses", "task", "acq", "ce")
LABEL = re.compile(r"[A-Za-z0-9]+")


def find_cases(
    dataset: Path,
    output: Path,
    labels: Sequence[str] = (),
    method: str = AUTO,
    threads: int = 1,
    max_seconds: float | None = None,
    maps: bool = False,
) -> list[Case]:
    """A case for each session (or patient without sessions): its anatomical series with thick slices, restored together.

    Parameters
    ----------
    labels
        Of participants, with or without ``sub-``; none for all.

    Raises
    ------
    InputError
        If this is no BIDS dataset, a participant is not in it, or no series has thick slices.
    """
    if not (dataset / DESCRIPTION).is_file():
        raise InputError(f"{dataset} is no BIDS dataset: it has no {DESCRIPTION}", "Name the folder that holds it")
    patients = [_patient(dataset, label) for label in labels] or sorted(p for p in dataset.glob("sub-*") if p.is_dir())
    cases = []
    for folder in sorted({f for patient in patients for f in (*patient.glob("anat"), *patient.glob("ses-*/anat"))}):
        parts = folder.relative_to(dataset).parts
        name, faults, thick = "_".join(parts[:-1]), [], []
        for path in sorted(folder.glob("sub-*.nii*")):
            if _suffix(path) not in SUFFIXES:
                continue
            try:
                spacing = read_grid(path).spacing
            except (InputError, OSError) as error:
                faults.append(str(error))
                continue
            if max(spacing) > THICK * min(spacing):
                thick.append(path)
        if faults:
            cases.append(Case(name, None, faults[0]))
        elif thick:
            job = Job(
                task="upscale",
                method=method,
                inputs=[str(path.absolute()) for path in thick],
                outputs=[str(output / Path(*parts) / result_name(path)) for path in thick],
                threads=threads,
                max_seconds=max_seconds,
                report=str(output / HIDDEN / name / REPORT),
                **maps_of([output / HIDDEN / name / result_name(path) for path in thick] if maps else []),
            )
            cases.append(Case(name, job))
    if not cases:
        raise InputError(
            f"no anatomical series of {dataset} has slices thicker than {THICK:g} times its pixels",
            f"Looked for {', '.join(SUFFIXES)}",
        )
    return cases


def _patient(dataset: Path, label: str) -> Path:
    bare = label.removeprefix("sub-")
    folder = dataset / f"sub-{bare}"
    if not LABEL.fullmatch(bare) or not folder.is_dir():
        raise InputError(f"participant {label[:80]!r} is not in {dataset}", "Give labels of its sub-… folders")
    return folder


def _suffix(path: Path) -> str:
    return path.name.split(".")[0].rsplit("_", 1)[-1]


def result_name(path: Path) -> str:
    """``sub-1_run-2_T1w.nii.gz`` to ``sub-1_rec-sr_run-2_T1w.nii.gz``: ``rec``, not ``desc``, so that validators of raw data take it, too."""
    *entities, suffix = path.name.split(".")[0].split("_")
    told = dict(entity.partition("-")[::2] for entity in entities)
    told.pop("desc", None)
    told["rec"] = f"{told.get('rec', '')}sr"
    before = [key for key in BEFORE_REC if key in told]
    order = [*before, "rec", *(key for key in told if key not in (*before, "rec"))]
    return "_".join([*(f"{key}-{told[key]}" for key in order), f"{suffix}.nii.gz"])


def write_description(dataset: Path, output: Path) -> None:
    """What makes the folder a derivative dataset."""
    told = {
        "Name": "INR super-resolution",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "inr-super-resolution", "Version": __version__}],
        "DatasetLinks": {"raw": os.path.relpath(dataset, output)},
    }
    replace_text(output / DESCRIPTION, json.dumps(told, indent=2) + "\n")
    replace_text(output / "README", README)
    replace_text(output / ".bidsignore", "summary.csv\nsummary.html\n")


def write_sidecars(case: Case, outcome: Outcome, dataset: Path) -> None:
    """Beside each result of a case that is done, where it comes from and how it was made."""
    if outcome.state != DONE or case.job is None:
        return
    report = json.loads(Path(str(case.job.report)).read_text("utf-8"))
    for source, made, result, agreement in zip(
        case.job.inputs, report["inputs"], case.job.outputs, report["consistency_db"], strict=True
    ):
        told: dict[str, Any] = {
            "Description": "Super-resolution of a series with thick slices",
            "Sources": [_uri(path, dataset) for path in case.job.inputs],
            "RawSources": [_uri(source, dataset)],
            "SkullStripped": False,
            "SuperResolution": {
                "Method": report["method"],
                "Version": report["version"],
                "Seed": report["seed"],
                "SourceSHA256": made["sha256"],
                "Weights": report.get("weights"),
                "ConsistencyDB": agreement,
                "Seconds": report["seconds"]["total"],
            },
        }
        path = Path(result)
        replace_text(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), json.dumps(told, indent=2) + "\n")


def _uri(path: str, dataset: Path) -> str:
    return f"bids:raw:{Path(path).relative_to(dataset.absolute()).as_posix()}"
