"""The one JSON file of a study: read, changed by one process at a time, and replaced by a complete new one only."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..jobs.scratch import lock
from .plan import Study

PATIENCE_SECONDS = 20.0


def read_study(path: str | Path) -> Study:
    """Read a study; raises InputError for what is none."""
    path = Path(path)
    try:
        return Study.from_dict(json.loads(path.read_text("utf-8")))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.advice) from error
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", "Make it with inrsr study new") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path}: {error}", "It is damaged or no study") from error


def write_study(study: Study, path: str | Path) -> None:
    """Write a study; what was there is replaced by the complete new one. Raises InputError where it cannot be written."""
    path = Path(path)
    beside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(beside, "w", encoding="utf-8") as stream:
            json.dump(study.to_dict(), stream, indent=1, allow_nan=False)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Choose another folder") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def change_study(path: str | Path, change: Callable[[Study], object]) -> Study:
    """Change the study in a file as it is now, and save it; readers may work at the same time.

    Returns
    -------
    The study as it was saved.
    """
    path = Path(path)
    try:
        held = open(path.with_name(f".{path.name}.lock"), "a+b")  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"cannot write beside {path}: {error.strerror}", "Choose another folder") from error
    with held:
        until = time.monotonic() + PATIENCE_SECONDS
        while lock(held) is False:
            if time.monotonic() > until:
                raise InputError(f"{path} is used by another program", "Close it")
            time.sleep(0.02)
        study = read_study(path)
        change(study)
        study.check()
        write_study(study, path)
    return study
