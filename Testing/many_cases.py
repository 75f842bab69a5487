"""What a coordinator costs: thousands of short cases over loopback.

    python Testing/many_cases.py --cases 5000

Each case reads, restores and writes a tiny volume within its Dask worker, not in a process of its own, so that what is left is
the overhead: time from one end to the next, less the time that cases took, per case; processor time of the coordinator with
its scheduler; its memory on the way; and how soon another thousand can be cancelled.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from phantoms import phantom

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cohorts.case import DONE, Outcome
from INRSuperResolutionLib.cohorts.coordinator import run_batch
from INRSuperResolutionLib.cohorts.ledger import Ledger
from INRSuperResolutionLib.cohorts.manifest import Case, read_manifest
from INRSuperResolutionLib.cohorts.summary import Table
from INRSuperResolutionLib.errors import Cancelled
from INRSuperResolutionLib.image.interpolate import resample

LOOKED_AT = (500, 1000, 2000, 3000, 4000, 5000)


def short(case: Case, running: str, limit: float | None) -> Outcome:
    """The work of a case without its process."""
    assert case.job is not None
    if not Path(running).exists():
        raise Cancelled()
    started = time.perf_counter()
    volume = inrsr.read(case.job.inputs[0])
    result = Path(case.job.outputs[0])
    result.parent.mkdir(parents=True, exist_ok=True)
    inrsr.write(resample(volume, volume.grid.with_spacing(1.0), 1), str(result))
    return Outcome(case.name, DONE, seconds=time.perf_counter() - started, outputs=case.job.outputs)


def main(count: int, workers: int, case_seconds: float) -> None:
    own = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="many-cases-") as place:
        folder = Path(place)
        inrsr.write(phantom((12, 11, 6), seed=0), folder / "scan.nii.gz")
        manifest = folder / "manifest.csv"
        manifest.write_text("case,inputs,method\n" + "".join(f"c{n},scan.nii.gz,linear\n" for n in range(count)))
        cases = read_manifest(manifest, folder / "out")
        (folder / "out").mkdir()
        busy: list[float] = []
        ends: list[float] = []
        processor = [0.0, 0.0]
        with Ledger() as ledger, Table(folder / "out" / "summary.csv") as table:

            def told(outcome: Outcome) -> None:
                ledger.add(outcome)
                table.add(outcome)
                busy.append(outcome.seconds or 0.0)
                ends.append(time.monotonic())
                if len(ends) in (100, count):
                    processor[len(ends) == count] = own.cpu_times().user + own.cpu_times().system
                if len(ends) in LOOKED_AT:
                    print(f"{len(ends):5} cases: {own.memory_info().rss / 2**20:.1f} MiB", flush=True)

            run_batch(cases, folder / "out", told, workers, do=short)
            assert len(ledger) == count and ledger.states == {DONE: count}
        wall = (ends[-1] - ends[100]) / (count - 101)
        overhead = wall * workers - float(np.mean(busy[101:]))
        print(
            f"{workers} workers: {1000 * wall:.1f} ms a case, of which a worker is busy {1000 * np.mean(busy[101:]):.1f}"
        )
        print(
            f"overhead of a worker: {1000 * overhead:.1f} ms a case, {overhead / case_seconds:.2%} of {case_seconds:g} s"
        )
        print(
            f"processor time of coordinator and scheduler: {1000 * np.diff(processor)[0] / (count - 100):.1f} ms a case"
        )
        asked: list[float] = []

        def stop(outcome: Outcome) -> None:
            asked.append(time.monotonic())
            if len(asked) == 500:
                raise Cancelled()

        try:
            run_batch(cases[:1000], folder / "out", stop, workers, do=short)
        except Cancelled:
            print(f"cancelled after 500 of 1000: everything has ended {time.monotonic() - asked[-1]:.2f} s later")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case-seconds", type=float, default=60.0, help="of a real case, to compare with")
    options = parser.parse_args()
    main(options.cases, options.workers, options.case_seconds)
