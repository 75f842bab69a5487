"""Changes bytes of good files at random and reads them: ``python Testing/fuzz_reading.py [SECONDS] [SEED]``.

Every read happens in a process of its own, so that a crash, a hang and a wrong kind of error are seen and counted.
Returns 1 if there is any.
"""

from __future__ import annotations

import collections
import gzip
import importlib
import multiprocessing
import sys
import tempfile
import time
import warnings
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from dicomfiles import enhanced, save, slice_of, values, write_series
from pydicom.uid import RLELossless

from INRSuperResolutionLib import InrsrError, read, write
from INRSuperResolutionLib.image.volume import Volume

HANGS_AFTER = 20.0
WORDS = [b"-1", b"0", b"inf", b"nan", b"1e400", b"999999999", b"\xff", b"\0", b"(", b"none", b"99999999999999999999"]


def good_files(folder: Path) -> list[tuple[str, bytes]]:
    """Name and contents of what is changed; small, and of every format."""
    volume = Volume(np.arange(120.0).reshape(4, 5, 6), np.eye(4), dtype=np.dtype(np.int16))
    made = {}
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "a.mha"):
        write(volume, folder / name, np.int16)
        made[name] = (folder / name).read_bytes()
    nib.save(nib.MGHImage(volume.data, np.eye(4)), folder / "a.mgz")
    made["a.mgz"] = (folder / "a.mgz").read_bytes()
    nib.save(nib.Nifti2Image(volume.data, np.eye(4)), folder / "two.nii")
    made["two.nii"] = (folder / "two.nii").read_bytes()
    raw = volume.data.T.astype(np.int16).tobytes()
    head = "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {}\n{}Offset = 0 0 0\nElementSpacing = 1 1 1\nDimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    packed = zlib.compress(raw)
    made["raw.mha"] = head.format("False", "").encode() + raw
    made["packed.mha"] = head.format("True", f"CompressedDataSize = {len(packed)}\n").encode() + packed
    made["raw.nrrd"] = (
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 6\nendian: little\nencoding: raw\nspace: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
        + raw
    )
    made["slice.dcm"] = save(
        slice_of(values()[0], 0.0, RescaleSlope=1, RescaleIntercept=0), folder / "s.dcm"
    ).read_bytes()
    frames = enhanced(values(), [0, 2.5, 5, 7.5, 10])
    made["frames.dcm"] = save(frames, folder / "f.dcm").read_bytes()
    frames.compress(RLELossless, generate_instance_uid=False)
    made["rle.dcm"] = save(frames, folder / "r.dcm").read_bytes()
    return list(made.items())


def changed(data: bytes, name: str, rng: np.random.Generator) -> bytes:
    """Some bytes, words or lengths changed; half of the compressed files are changed inside."""
    inside = name.endswith(("gz", "mgz")) and rng.random() < 0.7
    mutant = bytearray(gzip.decompress(data) if inside else data)
    for _ in range(int(rng.integers(1, 5))):
        top = min(len(mutant), 1500) if rng.random() < 0.8 else len(mutant)
        at = int(rng.integers(0, max(1, top)))
        kind = rng.random()
        if kind < 0.4:
            mutant[at : at + 1] = bytes([int(rng.integers(0, 256))])
        elif kind < 0.7:
            word = WORDS[int(rng.integers(0, len(WORDS)))]
            mutant[at : at + len(word)] = word
        elif kind < 0.8:
            del mutant[at : at + int(rng.integers(1, 40))]
        elif kind < 0.9:
            mutant[at : at + 4] = np.array([rng.choice([-1, 0, 1 << 30, -(1 << 31)])], "<i4").tobytes()
        else:
            del mutant[at:]
    return gzip.compress(bytes(mutant)) if inside else bytes(mutant)


def attempt(path: str, told: object) -> None:
    """Read one file and tell how that ended."""
    warnings.simplefilter("ignore")
    try:
        volume = read(path)
        told.put("read" if np.isfinite(volume.data).all() else "WRONG: NaN")  # type: ignore[attr-defined]
    except InrsrError as error:
        told.put(f"refused {error.exit_code}" if error.exit_code in (2, 4) else f"WRONG: {error!r}")  # type: ignore[attr-defined]
    except BaseException as error:
        told.put(f"WRONG: {type(error).__name__}: {error}")  # type: ignore[attr-defined]


def main(seconds: float = 60, seed: int = 0) -> int:
    """Change and read until the time is over; the number of wrong ends."""
    rng = np.random.default_rng(seed)
    importlib.import_module("INRSuperResolutionLib.image.dicom")  # once, and not in each process
    fork = multiprocessing.get_context("fork")
    counts: collections.Counter[str] = collections.Counter()
    wrong = 0
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_series(folder / "series")
        files = good_files(folder)
        while time.monotonic() < until:
            name, data = files[int(rng.integers(0, len(files)))]
            mutant = changed(data, name, rng)
            path = folder / f"mutant-{name}"
            path.write_bytes(mutant)
            told = fork.SimpleQueue()
            process = fork.Process(target=attempt, args=(str(path), told))
            process.start()
            process.join(HANGS_AFTER)
            if process.is_alive():
                process.kill()
                end = "WRONG: hangs"
            else:
                end = "WRONG: crashed" if told.empty() else told.get()
            counts[f"{name}: {end[:70]}"] += 1
            if end.startswith("WRONG"):
                wrong += 1
                kept = Path(tempfile.gettempdir()) / f"inrsr-fuzz-{seed}-{wrong}-{name}"
                kept.write_bytes(mutant)
                print(f"{end}: kept as {kept}", flush=True)
    for key, n in sorted(counts.items()):
        print(f"{n:6} {key}")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(*(float(a) if n == 0 else int(a) for n, a in enumerate(sys.argv[1:]))) else 0)
