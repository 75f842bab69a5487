"""Small good files of every kind that is read, and ways to damage them; for :mod:`fuzz_reading`."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from dicomfiles import enhanced, save, slice_of, values
from phantoms import phantom
from pydicom.uid import RLELossless
from tinynetworks import random_weights

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib import METHODS, write
from INRSuperResolutionLib.image.volume import Volume
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.study.plan import Pair, Study
from INRSuperResolutionLib.study.session import Session
from INRSuperResolutionLib.study.store import write_study

WORDS = [b"-1", b"0", b"inf", b"nan", b"1e400", b"999999999", b"\xff", b"\0", b"(", b"none", b"99999999999999999999"]
VALUES = [
    None, -1, 0, 1, 10**9, 2**63, 1e300, 1e-300, float("nan"), float("inf"), "", "x", "\0", "\ud800", "auto", [], [[]], {},
    True, False, [1e9, 1, 1], ["a.nii"], "a.nii", 0.5, 3,
]  # fmt: skip


def good_nifti(folder: Path) -> list[Path]:
    """NIfTI-1 and 2, FreeSurfer; packed and not."""
    volume = Volume(np.arange(120.0).reshape(4, 5, 6), np.eye(4), dtype=np.dtype(np.int16))
    for name in ("a.nii", "a.nii.gz"):
        write(volume, folder / name, np.int16)
    nib.save(nib.MGHImage(volume.data, np.eye(4)), folder / "a.mgz")
    nib.save(nib.Nifti2Image(volume.data, np.eye(4)), folder / "two.nii")
    return [folder / name for name in ("a.nii", "a.nii.gz", "a.mgz", "two.nii")]


def good_itk(folder: Path) -> list[Path]:
    """NRRD and MetaImage, packed and not."""
    volume = Volume(np.arange(120.0).reshape(4, 5, 6), np.eye(4), dtype=np.dtype(np.int16))
    for name in ("a.nrrd", "a.mha"):
        write(volume, folder / name, np.int16)
    raw = volume.data.T.astype(np.int16).tobytes()
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {}\n{}Offset = 0 0 0\n"
        "ElementSpacing = 1 1 1\nDimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    packed = zlib.compress(raw)
    (folder / "raw.mha").write_bytes(head.format("False", "").encode() + raw)
    size = f"CompressedDataSize = {len(packed)}\n"
    (folder / "packed.mha").write_bytes(head.format("True", size).encode() + packed)
    nrrd = (
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 6\nendian: little\nencoding: raw\n"
        "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
    )
    (folder / "raw.nrrd").write_bytes(nrrd.encode() + raw)
    return [folder / name for name in ("a.nrrd", "a.mha", "raw.mha", "packed.mha", "raw.nrrd")]


def good_dicom(folder: Path) -> list[Path]:
    """One slice, several frames, and these compressed."""
    made = [save(slice_of(values()[0], 0.0, RescaleSlope=1, RescaleIntercept=0), folder / "slice.dcm")]
    frames = enhanced(values(), [0, 2.5, 5, 7.5, 10])
    made.append(save(frames, folder / "frames.dcm"))
    frames.compress(RLELossless, generate_instance_uid=False)
    return [*made, save(frames, folder / "rle.dcm")]


def good_functions(folder: Path) -> list[Path]:
    """Saved functions of several kinds."""
    volume = phantom((12, 11, 4), np.diag([1, 1, 3, 1.0]))
    other = Volume(phantom((4, 11, 12), seed=1).data, np.diag([3, 1, 1, 1.0]))
    inr = {"width": 16, "head_width": 8, "shared_layers": 2, "frequencies": 8, "batch": 400, "epochs": 1}
    small = {"width": 16, "epochs": 1, "volume_epochs": 1}
    made = []
    for method, settings in (
        ("linear", {}), ("sinc", {}), ("single-contrast", inr), ("siren", small),
        ("nexpr", {"weights": str(random_weights("nexpr", folder / "w.safetensors")), "check": False}),
        ("cycleinr", {"weights": str(random_weights("cycleinr", folder / "c.safetensors")), "check": False}),
        ("multicontrast", {"steps": 2, "crop": 12, "width": 8, "depth": 1}),
    ):  # fmt: skip
        volumes = [volume, other] if METHODS[method].min_inputs == 2 else [volume]
        made.append(folder / f"{method}.inr")
        inrsr.fit(method, volumes, settings=settings).save(made[-1])
    return made


def good_weights(folder: Path) -> list[Path]:
    """Weights of each kind of network; the name tells the method."""
    return [random_weights(m, folder / f"{m}.safetensors") for m in ("nexpr", "coordinate", "cycleinr", "edsr")]


def good_jobs(folder: Path) -> list[Path]:
    """Jobs of methods that take no time; their paths are relative to the folder."""
    write(phantom((10, 9, 4), np.diag([1, 1, 3, 1.0])), folder / "a.nii")
    write(phantom((10, 9, 4), np.diag([1, 1, 3, 1.0])).replace(data=np.ones((10, 9, 4))), folder / "m.nii")
    inrsr.fit("linear", [inrsr.read(folder / "a.nii")]).save(folder / "a.inr")
    jobs = {
        "scale": Job("upscale", ["a.nii"], ["o.nii"], method="linear", scale=[1.0, 1.0, 2.0], report="r.json"),
        "spacing": Job("upscale", ["a.nii"], ["o.nii.gz"], method="cubic", spacing=[1.0], representation="o.inr"),
        "like": Job("upscale", ["a.nii"], ["o.mha"], method="nearest", like="m.nii", slice_profile="boxcar"),
        "mask": Job(
            "upscale", ["a.nii"], ["o.nrrd"], method="siren", mask="m.nii", max_seconds=5.0,
            settings={"width": 8, "volume_epochs": 1}, slice_thickness=[2.0],
        ),
        "sample": Job("sample", ["a.inr"], ["o.nii"], scale=[2.0]),
    }  # fmt: skip
    for name, job in jobs.items():
        job.write(folder / f"{name}.job")
    return [folder / f"{name}.job" for name in jobs]


def good_studies(folder: Path) -> list[Path]:
    """A reader study with some answers."""
    pairs = tuple(Pair(str(n), (f"a{n}.nii", f"b{n}.nii")) for n in range(3))
    write_study(Study("s", ("a", "b"), ("noise", "sharpness"), pairs), folder / "a.study")
    session = Session(folder / "a.study", "anna")
    for key in (1, 5, 3):
        session.answer(key)
    return [folder / "a.study"]


GOOD = {
    "nifti": good_nifti,
    "itk": good_itk,
    "dicom": good_dicom,
    "inr": good_functions,
    "weights": good_weights,
    "job": good_jobs,
    "study": good_studies,
}


def changed(data: bytes, name: str, rng: np.random.Generator) -> bytes:
    """A damaged copy: bytes, words or lengths changed; of packed files often inside, of JSON often a value of it."""
    ending = name.rpartition(".")[2]
    if ending in ("job", "study") and rng.random() < 0.7:
        return json.dumps(changed_value(json.loads(data), rng)).encode()
    if ending in ("inr", "safetensors") and rng.random() < 0.8:
        return changed_header(data, rng)
    if ending in ("gz", "mgz") and rng.random() < 0.7:
        return gzip.compress(changed_bytes(gzip.decompress(data), rng))
    return changed_bytes(data, rng)


def changed_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes, words or lengths changed, most of them near the start."""
    mutant = bytearray(data)
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
    return bytes(mutant)


def changed_header(data: bytes, rng: np.random.Generator) -> bytes:
    """A safetensors file of ours with values of its own header, or numbers of its arrays, changed."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    if rng.random() < 0.8:
        own = json.loads(header["__metadata__"]["inrsr"])
        header["__metadata__"]["inrsr"] = json.dumps(changed_value(own, rng))
    else:
        at = 4 * int(rng.integers(0, max(1, len(body) // 4)))
        body[at : at + 4] = np.float32(rng.choice([np.nan, np.inf, 1e38, -1e30, 0])).tobytes()
    if rng.random() < 0.1:  # an array is absent, or has another name
        names = [n for n in header if n != "__metadata__"]
        name = names[int(rng.integers(0, len(names)))]
        header["renamed"] = header.pop(name)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all that is in a JSON value; of long lists the first entries."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*path, key))


def changed_value(value: Any, rng: np.random.Generator) -> Any:
    """A copy of a JSON value with one or two values in it replaced, taken away, scaled or doubled."""
    value = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, 3))):
        found = [p for p in places(value) if p]
        if not found:
            break
        *way, last = found[int(rng.integers(0, len(found)))]
        parent = value
        for key in way:
            parent = parent[key]
        kind, old = rng.random(), parent[last]
        if kind < 0.2:
            del parent[last]
        elif kind < 0.35 and isinstance(old, (int, float)) and not isinstance(old, bool):
            parent[last] = old * rng.choice([-1, 2, 1000]).item()
        elif kind < 0.5 and isinstance(old, list):
            parent[last] = old * 2
        else:
            parent[last] = copy.deepcopy(VALUES[int(rng.integers(0, len(VALUES)))])
    return value
