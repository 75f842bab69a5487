"""What the tables of the papers are measured on: the user's data, or small ones that come with a clone.

Without ``--data``: the ICBM152 head (T1, a T2 made of its tissue maps), and the same head as a CT (each tissue its density, with
noise), cut to its middle. These show that a table runs, and little else: an averaged head is smooth, and training and test slices are of the same
head (below and above one another).

``--data FOLDER``, for paper1: images, ``NAME_labels.*`` beside them; for paper2: ``SUBJECT_CONTRAST.*``, two contrasts a subject;
for the others: a folder for each data set, with folders ``train`` and ``test`` in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...image.files import read
from ...image.intensity import foreground, is_ct, middle
from ...image.volume import Volume
from ..anatomy import load_anatomy, load_tissues
from ..variants import USUAL_STEPS

# Hounsfield units of tissues, and the noise of the made CT (standard deviation)
DENSITIES = {"white": 30.0, "grey": 38.0, "csf": 8.0}
AIR, NOISE = -1000.0, 5.0
CT = "ct"
# slices between those of the training and of the test
APART = 6
# of a clone: pixels along a side, and steps of a training; of the user's data, all, and as many steps as other tables take
CLONE_SIZE, CLONE_STEPS = 96, 50


@dataclass(frozen=True)
class Plan:
    """How large the tables are.

    Parameters
    ----------
    folder
        The user's data; None for those of a clone.
    size
        Voxels along each side, at most: the middle is taken; 0 for all.
    slices
        Of each volume, in tables of slices.
    preset
        ``fast`` or ``paper``.
    steps
        Of each training.
    seconds
        Of each fit, at most.
    seeds
        Trainings of each network.
    """

    folder: Path | None
    size: int
    slices: int
    preset: str
    steps: int
    seconds: float | None
    seeds: int
    methods: Sequence[str] | None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Plan:
        """What the command line asks for; small where nothing is said and the data are those of a clone."""
        folder = Path(options.data) if options.data else None
        if folder is not None and not folder.is_dir():
            raise InputError(f"the folder {folder} does not exist", "Name a folder with images by --data")
        if options.preset not in ("fast", "paper"):
            raise InputError(f"preset {options.preset!r} is not known", "Give fast or paper")
        for name in ("size", "slices", "seeds", "steps"):
            value = getattr(options, name)
            if value is not None and value < (0 if name == "size" else 1):
                raise InputError(f"--{name} {value} is too small", "Give a larger number")
        size = options.size if options.size is not None else 0 if folder else CLONE_SIZE
        steps = options.steps or (USUAL_STEPS if folder else CLONE_STEPS)
        seconds = 60 * options.minutes if options.minutes is not None else None
        return cls(folder, size, options.slices, options.preset, steps, seconds, options.seeds, options.methods)


@dataclass(frozen=True)
class DataSet:
    """Volumes to learn from, and others to be measured on.

    Parameters
    ----------
    kind
        How its slices lose resolution in the NExpR paper: ``kspace`` for MR, ``bicubic`` for CT.
    """

    name: str
    train: tuple[Volume, ...]
    test: tuple[Volume, ...]
    kind: str

    def within(self, low: float, high: float) -> DataSet:
        """The same with intensities cut off below and above."""
        cut_off = [tuple(v.replace(data=np.clip(v.data, low, high)) for v in part) for part in (self.train, self.test)]
        return DataSet(self.name, cut_off[0], cut_off[1], self.kind)


def made_ct() -> Volume:
    """The ICBM152 head as a CT: the mean density of what a voxel holds, with noise."""
    shares = load_tissues()
    inside = np.sum(list(shares.values()), axis=0)
    data = AIR * (1 - inside) + np.sum([DENSITIES[tissue] * share for tissue, share in shares.items()], axis=0)
    noise = np.random.default_rng(0).normal(0, NOISE, data.shape)
    affine = load_anatomy()["t1"].affine
    return Volume((data + noise).astype(np.float32), affine, name="ct (made)")


def heads() -> dict[str, Volume]:
    """The volumes of a clone."""
    return {**load_anatomy(), CT: made_ct()}


def labels_of_head() -> Volume:
    """The tissues of the ICBM152 head: 0 outside, 1 CSF, 2 grey, 3 white matter."""
    shares = load_tissues()
    inside = np.sum(list(shares.values()), axis=0) > 0
    likeliest = 1 + np.argmax(np.stack([shares[t] for t in ("csf", "grey", "white")]), axis=0)
    return Volume(np.where(inside, likeliest, 0).astype(np.float32), load_anatomy()["t1"].affine, name="tissues")


def cut(volume: Volume, size: int, depth: int = 0) -> Volume:
    """The middle of what is seen, at most `size` pixels along the first two axes and `depth` slices; 0: all."""
    sizes = [size or n for n in volume.shape[:2]] + [depth or volume.shape[2]]
    return part_of(volume, middle(foreground(volume.data), sizes))


def part_of(volume: Volume, box: tuple[slice, ...]) -> Volume:
    """A box of a volume, where it was."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.affine[:3] @ [*(s.start or 0 for s in box), 1]
    return volume.replace(data=np.ascontiguousarray(volume.data[box]), affine=affine)


def data_sets(plan: Plan) -> list[DataSet]:
    """Those of the folder, or the heads of a clone: their lower slices teach, the upper ones are measured."""
    if plan.folder is None:
        found = []
        for name, head in heads().items():
            whole = cut(head, plan.size, plan.size)
            half = whole.shape[2] // 2
            below = part_of(whole, (slice(None), slice(None), slice(0, half - APART // 2)))
            above = part_of(whole, (slice(None), slice(None), slice(half + APART // 2, whole.shape[2])))
            found.append(DataSet(f"icbm152 {name}", (below,), (above,), "bicubic" if name == CT else "kspace"))
        return found
    sets = []
    for folder in sorted(p for p in plan.folder.iterdir() if (p / "train").is_dir() and (p / "test").is_dir()):
        train, test = (
            tuple(cut(read(f), plan.size, plan.size) for f in images(folder / part)) for part in ("train", "test")
        )
        if train and test:
            kind = "bicubic" if all(is_ct(v.data) for v in test) else "kspace"
            sets.append(DataSet(folder.name, train, test, kind))
    if not sets:
        raise InputError(
            f"{plan.folder} has no data sets", "Make a folder for each, with images in the folders train and test in it"
        )
    return sets


def images(folder: Path) -> list[Path]:
    """The images of a folder, labels aside."""
    return sorted(p for p in folder.iterdir() if p.name[0] != "." and "_labels" not in p.name)


def pairs(plan: Plan) -> dict[str, list[Volume]]:
    """Two registered contrasts of each subject."""
    if plan.folder is None:
        anatomy = load_anatomy()
        t1 = cut(anatomy["t1"], plan.size, plan.size)
        box = middle(foreground(anatomy["t1"].data), t1.shape)
        return {"icbm152": [t1, part_of(anatomy["t2"], box)]}
    found: dict[str, list[Path]] = {}
    for path in images(plan.folder):
        found.setdefault(path.name.split(".")[0].rsplit("_", 1)[0], []).append(path)
    subjects = {name: [read(p) for p in files[:2]] for name, files in found.items() if len(files) > 1}
    if not subjects:
        raise InputError(f"{plan.folder} has no pairs", "Name the files SUBJECT_CONTRAST, two for each subject")
    made = {}
    for name, (first, second) in subjects.items():
        if first.shape != second.shape:
            raise InputError(f"the contrasts of {name} differ in shape", "Resample them to one grid first")
        box = middle(foreground(first.data), [plan.size or n for n in first.shape])
        made[name] = [part_of(first, box), part_of(second, box)]
    return made
