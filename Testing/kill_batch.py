"""Kill a batch of 24 real cases at random moments, resume it, and compare with one that was left in peace.

    python Testing/kill_batch.py --data ../shared/data --kills 10

A real Dask scheduler and two workers over loopback; coordinator, worker and scheduler are killed in turn (SIGKILL). Prints
each kill, and in the end whether all results have the checksums of the undisturbed run, whether anything was done twice, what
was left over, and the longest time without a new result while a batch ran. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daskcluster import DaskCluster, kill

import INRSuperResolutionLib as inrsr

SIDE = 20
CASES = 24
TARGETS = ("coordinator", "worker", "scheduler")
METHODS = ("linear", "cubic", "self-supervised")
# without a new result while all are alive: a stall
SECONDS_OF_STALL = 180
KEPT = (".inrsr-batch",)


def make_cases(data: Path, folder: Path) -> Path:
    """Small crops out of the middle of real volumes; none that results are judged on."""
    sources = [
        p
        for p in sorted([*data.glob("*.nii.gz"), *data.glob("*.nrrd")])
        if not p.name.startswith(("ms19_", "clinical04_"))
    ]
    lines = ["case,inputs,method,settings"]
    for n in range(CASES):
        path = sources[n % len(sources)]
        volume = inrsr.read(str(path))
        box = [slice(max(0, (s - SIDE) // 2), max(0, (s - SIDE) // 2) + SIDE) for s in volume.shape]
        grid = volume.grid.crop(tuple(box))
        inrsr.write(volume.replace(data=volume.data[tuple(box)], affine=grid.affine), folder / f"{n}.nii.gz")
        method = METHODS[n % 3]
        lines.append(f"c{n:02},{n}.nii.gz,{method},{'steps=20' if method == 'self-supervised' else ''}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def sums(output: Path) -> dict[str, str]:
    """Of all results."""
    found = sorted(output.glob("c*/*.nii.gz"))
    return {str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def done(output: Path) -> dict[Path, tuple[int, int]]:
    """Reports of finished cases; one that is written anew is another file."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in output.glob("c*/report.json")}


def command(manifest: Path, output: Path, cluster: DaskCluster) -> list[str]:
    return [sys.executable, "-m", "INRSuperResolutionLib", "batch", str(manifest), "--output", str(output),
            "--scheduler", cluster.address, "--progress", "none"]  # fmt: skip


def disturbed(manifest: Path, output: Path, cluster: DaskCluster, kills: int, rng: random.Random, usual: float) -> int:
    """Run to the end, with kills on the way; how many things were wrong."""
    wrong, left, longest = 0, kills, 0.0
    first: dict[Path, tuple[int, int]] = {}
    while True:
        batch = subprocess.Popen(command(manifest, output, cluster), stderr=subprocess.PIPE, text=True)
        moment = time.monotonic() + rng.uniform(0.1, 2.2) * usual / (kills + 1)
        last, count = time.monotonic(), len(first)
        while batch.poll() is None:
            time.sleep(0.05)
            for path, file in done(output).items():
                if first.setdefault(path, file) != file:
                    wrong += 1
                    first[path] = file
                    print(f"done twice: {path.parent.name}", flush=True)
            if len(first) > count:
                last, count = time.monotonic(), len(first)
            longest = max(longest, time.monotonic() - last)
            if time.monotonic() - last > SECONDS_OF_STALL:
                print("stalled", flush=True)
                batch.kill()
                batch.communicate()
                return wrong + 1
            if left and time.monotonic() > moment:
                target = TARGETS[left % 3]
                left -= 1
                print(f"kill {kills - left}: {target}, {count} of {CASES} done", flush=True)
                if target == "coordinator":
                    batch.kill()
                else:
                    kill(cluster.scheduler if target == "scheduler" else rng.choice(cluster.workers))
                moment = time.monotonic() + rng.uniform(0.1, 2.2) * usual / (kills + 1)
                cluster.revive()
        _, told = batch.communicate()
        if "Traceback" in told:
            wrong += 1
            print(told)
        cluster.revive()
        if batch.returncode == 0:
            print(f"{kills - left} kills; at most {longest:.0f} s without a new result", flush=True)
            return wrong + bool(left)


def main(data: Path, kills: int, seed: int) -> int:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="kill-batch-") as place:
        folder = Path(place)
        manifest = make_cases(data, folder)
        environment = {"OMP_NUM_THREADS": "1"}
        with DaskCluster(folder, 2, environment) as cluster:
            started = time.monotonic()
            calm = subprocess.run(command(manifest, folder / "calm", cluster), stderr=subprocess.PIPE, text=True)
            if calm.returncode != 0:
                raise RuntimeError(calm.stderr)
            usual = time.monotonic() - started
            print(f"undisturbed: {usual:.0f} s", flush=True)
            started = time.monotonic()
            wrong = disturbed(manifest, folder / "killed", cluster, kills, rng, usual)
            print(f"killed and resumed: {time.monotonic() - started:.0f} s", flush=True)
        wanted, found = sums(folder / "calm"), sums(folder / "killed")
        differ = [name for name in wanted if wanted[name] != found.get(name)]
        over = [str(p.relative_to(folder)) for p in (folder / "killed").rglob(".*") if p.name not in KEPT]
        print(f"{len(wanted)} results, {len(differ)} differ {differ}; left over: {over}")
        return 1 if wrong or differ or over or len(wanted) != CASES else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    sys.exit(main(options.data, options.kills, options.seed))
