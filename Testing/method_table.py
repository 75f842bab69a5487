"""Every hostile input through every method, and how that ends: ``python Testing/method_table.py [--kind NAME …]``.

Writes Documentation/hostile.md. Each run is a job of its own process, as the command line starts it. A result is right if
it is finite and lies where its input lies: near the straight line between its voxels, and within their range but for a
part of it. A refusal is right with an exit code of 2, 4 or 5, a message and a way out, and nothing left behind.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import multiprocessing
import os
import pkgutil
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import nibabel as nib
import numpy as np
import torch
from phantoms import oblique, phantom

import INRSuperResolutionLib
from INRSuperResolutionLib import METHODS, read
from INRSuperResolutionLib.auto import AUTO
from INRSuperResolutionLib.image.interpolate import resample
from INRSuperResolutionLib.jobs import worker
from INRSuperResolutionLib.jobs.job import Job

PAGE = Path(__file__).resolve().parents[1] / "Documentation" / "hostile.md"
HEAD = """# Hostile inputs through every method

Made by `python Testing/method_table.py`: each input was run through every method (in miniature: few steps, small volumes). *Right* means
finite, on the place of the input and near the straight line between its voxels; it says nothing about how good a method is. Refused
runs end with the exit code that is told, one line, and no file. What the readers refuse before any method is on
[its own page](reading.md).

| input | right | refused |
|---|---|---|
"""
HANGS_AFTER = 180.0
# of the range of the input: how far a result may go beyond it, and lie off the straight line on average
MOST_BEYOND, MOST_OFF = 0.75, 0.4
SHAPE, AFFINE = (16, 14, 5), np.diag([1, 1, 4, 1.0])
FIELD = {"width": 16, "epochs": 3, "volume_epochs": 3}
GUIDED = {"steps": 4, "crop": 12}
INR = {
    "width": 16,
    "head_width": 8,
    "shared_layers": 2,
    "frequencies": 8,
    "batch": 400,
    "epochs": 40,
    "learning_rate": 3e-3,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "multicontrast": {**GUIDED, "width": 8, "depth": 1},
    "self-supervised": GUIDED,
    "combined": GUIDED,
    "cycleinr": {"mirrored": 1},
    "single-contrast": INR,
    "joint": INR,
    **dict.fromkeys(("seco", "siren", "relu-pe", "gauss", "mfn", "wire", "fr"), FIELD),
}
GOOD = phantom(SHAPE, AFFINE).data


def save(folder: Path, data: np.ndarray, affine: np.ndarray = AFFINE, name: str = "a.nii") -> None:
    """An input as it is, of any type."""
    image = nib.Nifti1Image(data, affine, dtype=data.dtype)
    image.header.set_xyzt_units("mm")
    nib.save(image, folder / name)


def spread(kind: type, low: float, high: float) -> np.ndarray:
    """The phantom over the range of a type."""
    part = (GOOD - GOOD.min()) / np.ptp(GOOD)
    return np.clip(low + part.astype(np.float64) * (high - low), low, high).astype(kind)


def holed(value: float, part: tuple[slice, ...] = (slice(3, 5),) * 3) -> np.ndarray:
    """The phantom with some voxels of another value."""
    data = GOOD.copy()
    data[part] = value
    return data


Changes = dict[str, Any]
# what makes the input in a folder; what differs in the job
KINDS: dict[str, Callable[[Path], Changes | None]] = {
    "a good volume": lambda f: save(f, GOOD),
    "some voxels NaN": lambda f: save(f, holed(np.nan)),
    "some voxels infinite": lambda f: save(f, holed(np.inf)),
    "constant": lambda f: save(f, np.full(SHAPE, 7.0, np.float32)),
    "all 0": lambda f: save(f, np.zeros(SHAPE, np.int16)),
    "one voxel of 1000 in 0": lambda f: save(f, np.pad(np.full((1, 1, 1), 1000, np.int16), ((7, 8), (6, 7), (2, 2)))),
    "noise": lambda f: save(f, np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)),
    "below 0 only": lambda f: save(f, GOOD - 2 * GOOD.max()),
    "intensities of 1e-30": lambda f: save(f, GOOD * np.float32(1e-30)),
    "intensities of 1e20": lambda f: save(f, GOOD * np.float32(1e20)),
    "a voxel of 1e30": lambda f: save(f, holed(1e30)),
    "whole range of 16 bits": lambda f: save(f, spread(np.int16, -(2**15), 2**15 - 1)),
    "whole range of 32 bits": lambda f: save(f, spread(np.int32, -(2**31), 2**31 - 1)),
    "labels above 2^24": lambda f: save(f, (1 << 25) + (GOOD > 90).astype(np.int32)),
    "one slice": lambda f: save(f, GOOD[:, :, :1]),
    "two slices": lambda f: save(f, GOOD[:, :, :2]),
    "one voxel": lambda f: save(f, GOOD[:1, :1, :1]),
    "2 × 2 × 2 voxels": lambda f: save(f, GOOD[:2, :2, :2]),
    "a line of voxels": lambda f: save(f, GOOD[:, :1, :1]),
    "four axes": lambda f: save(f, np.stack([GOOD] * 3, -1)),
    "oblique, mirrored and sheared": lambda f: save(f, GOOD, oblique((1, 1, 4), left_handed=True, shear=0.2)),
    "slices 400 mm apart": lambda f: save(f, GOOD, np.diag([1, 1, 400, 1.0])),
    "voxels of 0.1 µm": lambda f: save(f, GOOD, np.diag([1e-4, 1e-4, 4e-4, 1])),
    "voxels of 1 km": lambda f: save(f, GOOD, np.diag([1e6, 1e6, 4e6, 1])),
    "far from the scanner": lambda f: save(f, GOOD, np.array([[1, 0, 0, 1e7], [0, 1, 0, -1e7], [0, 0, 4, 1e7], [0, 0, 0, 1.0]])),
    "an empty mask": lambda f: (save(f, GOOD), save(f, GOOD * 0, name="m.nii"), {"mask": "m.nii"})[2],
    "a mask that misses": lambda f: (
        save(f, GOOD), save(f, np.ones(SHAPE, np.uint8), AFFINE + np.diag([0, 0, 0, 0.0]) + np.pad(np.full((3, 1), 900.0), ((0, 1), (3, 0))), "m.nii"),
        {"mask": "m.nii"})[2],
    "1000 times as many voxels": lambda f: (save(f, GOOD), {"scale": [1000.0, 1000.0, 1000.0]})[1],
    "voxels of 0.1 µm are wanted": lambda f: (save(f, GOOD), {"spacing": [1e-4]})[1],
    "coarser voxels": lambda f: (save(f, GOOD), {"scale": [0.5, 0.5, 0.5]})[1],
    "one voxel is wanted": lambda f: (save(f, GOOD), {"scale": [0.05, 0.05, 0.2]})[1],
    "a grid beside it": lambda f: (save(f, GOOD), save(f, GOOD, AFFINE + np.pad(np.full((3, 1), 500.0), ((0, 1), (3, 0))), "l.nii"), {"like": "l.nii"})[2],
    "a learning rate of 1e9": lambda f: (save(f, GOOD), {"settings": {"learning_rate": 1e9}})[1],
    "a learning rate of 10": lambda f: (save(f, GOOD), {"settings": {"learning_rate": 10.0}})[1],
    "a width of 1000000": lambda f: (save(f, GOOD), {"settings": {"width": 10**6}})[1],
    "an unknown setting": lambda f: (save(f, GOOD), {"settings": {"colour": "red"}})[1],
    "slices 1000 mm thick": lambda f: (save(f, GOOD), {"slice_profile": "boxcar", "slice_thickness": [1000.0]})[1],
    "1 ms of time": lambda f: (save(f, GOOD), {"max_seconds": 1e-3})[1],
}  # fmt: skip


def job_of(method: str, changes: Changes) -> dict[str, Any]:
    """The job of a method in miniature, with one slice into four."""
    inputs, outputs = ["a.nii"], ["o.nii"]
    if method != AUTO and METHODS[method].min_inputs > 1:
        inputs, outputs = [*inputs, "b.nii"], [*outputs, "p.nii"]
    grid = {} if {"scale", "spacing", "like"} & set(changes) else {"scale": [1.0, 1.0, 4.0]}
    settings = {**SETTINGS.get(method, {}), **changes.get("settings", {})}
    job = Job("upscale", inputs, outputs, method=method, device="cpu")
    return {**job.to_dict(), **grid, **changes, "settings": settings}


def judged(output: str, straight_from: str) -> str:
    """What is wrong with a result; empty if nothing is."""
    result, given = read(output), read(straight_from)
    low, high = float(given.data.min()), float(given.data.max())
    span = high - low or max(abs(high), 1.0)
    values = result.data.astype(np.float64)
    if values.min() < low - MOST_BEYOND * span or values.max() > high + MOST_BEYOND * span:
        return f"from {values.min():g} to {values.max():g}, the input from {low:g} to {high:g}"
    inner = given.replace(slice_positions=None)
    straight = resample(inner, result.grid, 1).data.astype(np.float64)
    off = float(np.abs(values - straight).mean()) / span
    return f"{off:.2f} of the range off the straight line" if off > MOST_OFF else ""


def attempt(folder: Path, method: str, kind: str, told: Any) -> None:
    """Run a job, and tell its exit code, what it said, and what is wrong with that."""
    warnings.simplefilter("ignore")
    os.chdir(folder)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
    changes = KINDS[kind](folder) or {}
    save(folder, 300 - GOOD, np.diag([1.1, 1.1, 3.9, 1]), "b.nii")
    before = sorted(p.name for p in folder.iterdir())
    (folder / "job.json").write_text(json.dumps(job_of(method, changes)))
    events: list[dict[str, Any]] = []
    code = worker.work("job.json", events.append, worker.CancelSignal(), lambda: None)
    (folder / "job.json").unlink()
    left = [p.name for p in folder.iterdir() if p.name not in before]
    said, wrong = "", ""
    if code == 0:
        wrong = judged("o.nii", "a.nii") if kind != "a grid beside it" else ""
        wrong = wrong or ("" if left in (["o.nii"], ["o.nii", "p.nii"], ["p.nii", "o.nii"]) else f"left {left}")
    else:
        said = str(events[-1]["message"])
        wrong = "" if code in (2, 4, 5) and said and not left else f"{said} {left}"
    told.put((code, said, wrong))


def outcome(method: str, kind: str) -> tuple[int, str, str]:
    """Exit code, message, and what is wrong (empty if nothing is) of one run, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        fork = multiprocessing.get_context("fork")
        told = fork.SimpleQueue()
        process = fork.Process(target=attempt, args=(Path(folder).resolve(), method, kind, told))
        process.start()
        process.join(HANGS_AFTER)
        if process.is_alive():
            process.kill()
            process.join()
            return -1, "", "hangs"
        return (-1, "", f"crashed ({process.exitcode})") if told.empty() else told.get()


def row(kind: str, ends: dict[str, tuple[int, str, str]]) -> str:
    """A line of the page: who is right, and who refuses with which words."""
    everybody = len(ends)
    right = [m for m, (code, _, _) in ends.items() if code == 0]
    refusals: dict[tuple[int, str], list[str]] = collections.defaultdict(list)
    for method, (code, said, _) in ends.items():
        if code != 0:
            said = said.replace(f"method {method}", "method …")
            said = said.replace(METHODS[method].title if method in METHODS else "\0", "…")
            # what depends on the machine, or on the method's own way to diverge
            said = re.sub(r"from [-+.\de]+ to [-+.\de]+(?=, its)", "from … to …", said)
            refusals[code, re.sub(r"[\d.]+ GB are free", "… GB are free", said)].append(method)

    def named(methods: list[str]) -> str:
        return "all" if len(methods) == everybody else ", ".join(methods)

    shown = [f"{named(m)} ({code}): {said.replace('|', '/')}" for (code, said), m in refusals.items()]
    return f"| {kind} | {named(right) or 'none'} | {'; '.join(shown)} |"


def written() -> dict[str, str]:
    """The lines of the page by kind, as far as it has them."""
    lines = PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []
    told = {line.split(" | ")[0].lstrip("| "): line for line in lines if line.startswith("| ")}
    return {kind: line for kind, line in told.items() if kind in KINDS}


def main() -> int:
    """Run the kinds that are asked for, and bring their lines of the page up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--method", nargs="+", choices=[AUTO, *METHODS], default=[AUTO, *METHODS])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for found in pkgutil.walk_packages(INRSuperResolutionLib.__path__, "INRSuperResolutionLib."):
        if not found.name.endswith(("__main__", ".demo")) and len(options.method) > 1:
            importlib.import_module(found.name)  # once, and not in each process
    rows, wrong = written(), 0
    for kind in options.kind:
        ends = {method: outcome(method, kind) for method in options.method}
        print(row(kind, ends), flush=True)
        if options.method == [AUTO, *METHODS]:
            rows[kind] = row(kind, ends)
            PAGE.write_text(HEAD + "".join(f"{rows[k]}\n" for k in KINDS if k in rows), "utf-8")
        for method, (code, _, fault) in ends.items():
            if fault:
                wrong += 1
                print(f"WRONG: {kind}, {method} ({code}): {fault}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main() else 0)


__all__ = ["KINDS", "PAGE", "outcome"]
