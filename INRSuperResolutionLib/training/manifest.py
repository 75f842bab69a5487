"""The volumes of a training as a CSV file: which, where they are from, and their checksums, so that it can be done again."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..image.files import sha256

COLUMNS = ("volume", "sha256", "source", "use")
TRAIN, VALIDATE = "train", "validate"


def read_volumes(given: Sequence[str], data: Path | None = None) -> tuple[list[str], list[str]]:
    """Volumes to train and to validate on, of arguments that are volumes or manifests (``.csv``).

    A manifest has the columns ``volume`` (a path), ``sha256``, ``source`` (for people), and ``use`` (``train``, where it is empty,
    or ``validate``). Each file is read once, piece by piece, to see that it is the one that is meant.

    Parameters
    ----------
    data
        The folder that paths in manifests are relative to; None: that of each manifest.

    Raises
    ------
    InputError
        If a manifest cannot be read, or a volume is missing or another one.
    """
    found: dict[str, list[str]] = {TRAIN: [], VALIDATE: []}
    for path in given:
        if Path(path).suffix.lower() == ".csv":
            for use, volume in _listed(Path(path), data):
                found[use].append(volume)
        else:
            found[TRAIN].append(path)
    if not found[TRAIN]:
        raise InputError("no volume to train on is named", "Give volumes, or a manifest that names some")
    return found[TRAIN], found[VALIDATE]


def _listed(path: Path, data: Path | None) -> list[tuple[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the manifest {path}: {error}", "Give a CSV file in UTF-8") from error
    if not rows or set(rows[0]) != set(COLUMNS):
        raise InputError(f"{path} is no manifest of a training", f"Give the columns {', '.join(COLUMNS)}, and rows")
    found = []
    for number, row in enumerate(rows, 2):
        use, volume = row["use"] or TRAIN, (data or path.parent) / (row["volume"] or "")
        if use not in (TRAIN, VALIDATE):
            raise InputError(f"{path}, line {number}: use {use!r} is not known", f"Give {TRAIN} or {VALIDATE}")
        try:
            there = sha256(str(volume))
        except OSError as error:
            raise InputError(
                f"cannot read {volume}, which {path} names: {error}", "Name its folder by --data"
            ) from error
        if there != row["sha256"]:
            raise InputError(
                f"{volume} is not the volume that {path} names: its SHA-256 is {there}, not {row['sha256']}",
                f"Get it from its source: {row['source']}",
            )
        found.append((use, str(volume)))
    return found
