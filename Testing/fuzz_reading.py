"""Damages good files at random and reads them: ``python Testing/fuzz_reading.py [--seconds S] [--reader NAME …]``.

Readers: nifti, itk, dicom, inr, weights, job, study; S seconds for each. Every read happens in a process of its own, so that a
crash, a hang and a wrong kind of error are seen and counted. Returns 1 if there is any, and keeps the files that did it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

# a process that is forked must not have threads
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import psutil
import torch
from fuzz_mutants import GOOD, changed

from INRSuperResolutionLib import InrsrError, read
from INRSuperResolutionLib.cli.upscale import tell_result
from INRSuperResolutionLib.jobs import worker
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.json_text import json_text
from INRSuperResolutionLib.methods.pretrained.trained_network import load_network
from INRSuperResolutionLib.methods.pretrained.weights import load_weights
from INRSuperResolutionLib.study.report import csv_of, table_of
from INRSuperResolutionLib.study.store import read_study

# seconds of work, and of waiting: other programs may keep the processor busy
HANGS_AFTER, WAITS_AFTER = 20.0, 120.0
RIGHT_CODES = (0, 2, 3, 4, 5)
LONGEST_MESSAGE = 1500
# damage of a job must not lead out of the folder
ELSEWHERE = re.compile(r'"/|\.\.|~')


def worked(job: Path) -> str:
    """Run a job file as the worker does; its results must be numbers, and nothing may be left beside them."""
    events: list[dict[str, object]] = []
    code = worker.work(str(job), events.append, worker.CancelSignal(), lambda: None)
    left = [p.name for p in Path().iterdir() if p.name.startswith(".")]
    if left:
        return f"WRONG: left {left}"
    if code:
        told = events[-1]
        if code not in RIGHT_CODES or not told["message"] or len(str(told["message"])) > LONGEST_MESSAGE:
            return f"WRONG: {code} {str(told['message'])[:300]}"
        return f"refused {code}"
    for event in events:
        json.loads(json_text(event))
        if event["event"] == "result":
            tell_result(event["report"])  # type: ignore[arg-type]
    for file in Path().glob("o.n*"):
        if not np.isfinite(read(file).data).all():
            return "WRONG: NaN"
    return "done"


def read_one(reader: str, path: Path) -> str:
    """How reading a file ends."""
    if reader == "job":
        return worked(path)
    if reader == "inr":
        outputs = [f"o.n{n}.nii" for n in range(2 if "multi" in path.name else 1)]
        job = Job("sample", [path.name], outputs, scale=[1.0, 1.0, 2.0])
        job.write("sample.json")
        return worked(Path("sample.json"))
    if reader == "weights":
        network = load_network(load_weights(str(path), path.name.partition(".")[0].partition("-")[2]))
        return "read" if network is not None else "WRONG: nothing"
    if reader == "study":
        study = read_study(path)
        return "read" if table_of(study) and csv_of(study) else "WRONG: nothing"
    return "read" if np.isfinite(read(path).data).all() else "WRONG: NaN"


def attempt(reader: str, path: Path, told: object) -> None:
    """Read one file in its folder, and tell how that ended."""
    warnings.simplefilter("ignore")
    os.chdir(path.parent)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
    try:
        end = read_one(reader, path)
    except InrsrError as error:
        end = f"refused {error.exit_code}" if error.exit_code in RIGHT_CODES else f"WRONG: {error!r}"
    except BaseException as error:
        end = f"WRONG: {type(error).__name__}: {error}"
    told.put(end)  # type: ignore[attr-defined]


def ends(process: multiprocessing.process.BaseProcess) -> bool:
    """Whether a process ends before it has worked for longer than one may, or waited for several times that."""
    until = time.monotonic() + WAITS_AFTER
    while time.monotonic() < until:
        process.join(1.0)
        if not process.is_alive():
            return True
        with contextlib.suppress(psutil.Error):
            spent = psutil.Process(process.pid).cpu_times()
            if spent.user + spent.system > HANGS_AFTER:
                return False
    return False


def fuzz(reader: str, seconds: float, seed: int) -> int:
    """Damage and read until the time is over, but 12 times at least; the number of wrong ends."""
    rng = np.random.default_rng(seed)
    fork = multiprocessing.get_context("fork")
    counts: collections.Counter[str] = collections.Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = fork.SimpleQueue()
        # in a process of its own, too: what torch has started here would be missing where this one is forked
        maker = fork.Process(target=lambda: names.put([p.name for p in GOOD[reader](folder)]))
        maker.start()
        files = [(name, (folder / name).read_bytes()) for name in names.get()]
        maker.join()
        there = {p.name for p in folder.iterdir()}
        until = time.monotonic() + seconds
        while time.monotonic() < until or sum(counts.values()) < 12:
            name, data = files[int(rng.integers(0, len(files)))]
            mutant = changed(data, name, rng)
            if reader == "job" and ELSEWHERE.search(mutant.decode("latin1")):
                continue
            path = folder / f"mutant-{name}"
            path.write_bytes(mutant)
            told = fork.SimpleQueue()
            process = fork.Process(target=attempt, args=(reader, path, told))
            process.start()
            if not ends(process):
                process.kill()
                process.join()
                end = "WRONG: hangs"
            else:
                end = f"WRONG: crashed {process.exitcode}" if told.empty() else told.get()
            counts[f"{name}: {end[:70]}"] += 1
            if end.startswith("WRONG"):
                wrong += 1
                kept = Path(tempfile.gettempdir()) / f"fuzz-{reader}-{seed}-{wrong}-{name}"
                kept.write_bytes(mutant)
                print(f"{end}: kept as {kept}", flush=True)
            for made in folder.iterdir():
                if made.name not in there:
                    shutil.rmtree(made) if made.is_dir() else made.unlink()
    for key, n in sorted(counts.items()):
        print(f"{reader} {n} {key}", flush=True)
    return wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each reader")
    parser.add_argument("--reader", nargs="+", choices=GOOD, default=list(GOOD))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("INRSuperResolutionLib.image.dicom")  # once, and not in each process
    importlib.import_module("INRSuperResolutionLib.jobs.run")
    return 1 if sum(fuzz(r, options.seconds, options.seed) for r in options.reader) else 0


if __name__ == "__main__":
    sys.exit(main())
