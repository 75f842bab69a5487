"""Ends runs by signals at random times: ``python Testing/signals_at_random.py [--count N] [--seed N]``.

Each run of ``inrsr upscale`` gets SIGINT, SIGTERM or SIGKILL at some time between its start and a little after its usual
end, imports included. Afterwards the old result must be there as it was, or a complete new one; nothing may be left beside
it, nor in the temporary folder after the next run; no traceback is told; the exit code is 3, or 0 for a run that was
through. Returns 1 if anything of this is not so.
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from phantoms import phantom

from INRSuperResolutionLib import read, write
from INRSuperResolutionLib.jobs import scratch

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
OLD = b"old"
# a killed command's worker ends by itself
WORKER_GONE_AFTER = 30.0
# Python itself, before its first line of ours, ends as the system has it
BY_PYTHON = {signal.SIGINT: (-signal.SIGINT, 130), signal.SIGTERM: (-signal.SIGTERM, 143)}


class Place:
    """A folder with an input, an old result, and a folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.input, self.output, self.temporary = folder / "a.nii", folder / "out" / "o.nii", folder / "tmp"
        self.shape = (12, 11, 16)
        write(phantom((12, 11, 8), np.diag([1, 1, 2, 1.0])), self.input)
        self.output.parent.mkdir()
        self.temporary.mkdir()

    def start(self, method: str = "siren") -> subprocess.Popen[str]:
        """A run that fits for a moment."""
        command = [sys.executable, "-m", "INRSuperResolutionLib", "upscale", method, str(self.input), "--output"]
        command += [str(self.output), "--progress", "none"]
        if method == "siren":
            command += ["--set", "width=32", "--set", "volume_epochs=100"]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def ours(self) -> list[str]:
        """What is ours in the temporary folder; torch keeps a cache there, too."""
        return [p.name for p in self.temporary.iterdir() if p.name.startswith(scratch.PREFIX)]

    def wrong_with_results(self, code: int) -> str:
        """What is wrong with the folder of results after a run; empty if nothing is."""
        names = [p.name for p in self.output.parent.iterdir()]
        if names != ["o.nii"]:
            return f"results: {names}"
        if self.output.read_bytes() == OLD:
            return "no result" if code == 0 else ""
        if read(self.output).shape != self.shape:
            return "a result that is not whole"
        return ""  # who is killed in the last moment has its result, too


def one(place: Place, number: signal.Signals, after: float) -> tuple[str, str]:
    """How a run ends that gets a signal after so many seconds, and what is wrong with that."""
    place.output.write_bytes(OLD)
    process = place.start()
    try:
        _, told = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    code = process.returncode
    until = time.monotonic() + WORKER_GONE_AFTER
    while (wrong := place.wrong_with_results(code)) and number == signal.SIGKILL and time.monotonic() < until:
        time.sleep(0.1)
    how = f"{number.name}: {code}"
    if wrong:
        return how, wrong
    if "Traceback" in told and not (number == signal.SIGINT and "INRSuperResolutionLib" not in told):
        return how, f"a traceback: {told[-600:]}"
    if code not in ((-signal.SIGKILL, 0) if number == signal.SIGKILL else (0, 3, *BY_PYTHON[number])):
        return how, f"exit code {code}: {told[-300:]}"
    if code == 3 and told.strip() != "inrsr: cancelled":
        return how, f"it told {told[-300:]!r}"
    return how, ""


def main(count: int, seed: int) -> int:
    """Send so many signals; the number of runs that ended wrong."""
    rng = np.random.default_rng(seed)
    ends: collections.Counter[str] = collections.Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        started = time.monotonic()
        process = place.start()
        told = process.communicate(timeout=120)
        if process.returncode != 0:
            raise RuntimeError(told)
        usual = time.monotonic() - started
        for n in range(count):
            number = SIGNALS[n % 3]
            after = float(rng.uniform(0, 1.1 * usual))
            how, fault = one(place, number, after)
            ends[how] += 1
            if fault:
                wrong += 1
                print(f"{how} after {after:.2f} s of {usual:.2f} s: {fault}", flush=True)
        place.start("nearest").communicate(timeout=120)
        if place.ours():
            wrong += 1
            print(f"left in the temporary folder: {place.ours()}")
    print(f"a run takes {usual:.1f} s; " + "; ".join(f"{k} × {n}" for k, n in sorted(ends.items())))
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.exit(1 if main(options.count, options.seed) else 0)
