"""The job file: everything that determines a run, as validated JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from ..device import DEVICES
from ..errors import InputError
from ..image.grid import as_triple
from ..methods.base import LARGEST_SEED
from .paths import check_nothing_overwritten, check_path

SCHEMA = "inrsr-job/1"
TASKS = ("upscale", "sample", "derive")
RUN_ID = r"[A-Za-z0-9_-]{0,64}"
SMALLEST, LARGEST = 1e-4, 1e4
PROFILES = ("none", "boxcar", "gaussian")
PROFILE_CHOICES = ("auto", *PROFILES, "estimate")


@dataclass(frozen=True)
class Job:
    """One run: restore volumes (`upscale`), sample a saved representation again (`sample`) or write a result that is
    there as a DICOM series (`derive`).

    All paths are strings. At most one of `like`, `spacing` and `scale` is set; with none of them the
    result is isotropic at the finest spacing of the inputs.
    """

    task: str
    """``upscale``, ``sample`` or ``derive``."""
    inputs: list[str]
    """Volumes; for ``sample``, one ``.inr`` file; for ``derive``, one result."""
    outputs: list[str]
    """One file for each contrast; may be empty when only the representation is wanted."""
    method: str = ""
    """A name in :data:`methods.METHODS`; what made the result, for ``derive``; empty for ``sample``."""
    preset: str = ""
    """A preset of the method; empty for its first one."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Single settings of the method that differ from the preset."""
    like: str | None = None
    """A volume whose grid the results take."""
    spacing: list[float] | None = None
    """Spacing of the results in mm, one number or three."""
    scale: list[float] | None = None
    """How many times as many voxels along each axis, one number or three."""
    labels: list[str] | None = None
    """Segmentation that guides the fit: one label map, several probability maps, or ``["auto"]``."""
    labels_output: str | None = None
    """Where to save the super-resolved label map."""
    probabilities_output: str | None = None
    """Where to save the class probabilities (4D NIfTI)."""
    mask: str | None = None
    """A volume; the fit uses voxels where it is above 0."""
    slice_profile: str = "auto"
    """``auto``, ``none``, ``boxcar``, ``gaussian`` or ``estimate``."""
    slice_thickness: list[float] | None = None
    """Thickness of the slices in mm, one for all inputs or one for each; None for the header's, else their distance."""
    register: bool = False
    """Whether to register the inputs rigidly to the first one."""
    common_grid: bool | None = None
    """Whether all results lie on one grid, in the frame and field of view of the first input; None: if they are registered."""
    transforms: str | None = None
    """An existing folder for the transforms that the registration finds; see :meth:`transform_files`."""
    device: str = "auto"
    threads: int | None = None
    """CPU threads; None for all cores that the process may use."""
    seed: int = 0
    max_seconds: float | None = None
    """An upper limit for the run: the fit gets what the rest leaves. None for the method's own schedule."""
    added: list[str] = field(default_factory=list)
    """Where to save what the method added to the spline through the slice profile; one for each output, or none."""
    uncertainty: list[str] = field(default_factory=list)
    """Where to save half the width of the 90 % interval of each voxel; one for each output, or none."""
    representation: str | None = None
    """Where to save the representation (``.inr``)."""
    report: str | None = None
    """Where to save the report (``.json``)."""
    preview_folder: str | None = None
    """An existing folder for previews; None for none."""
    dicom_files: list[str] | None = None
    """The images of the DICOM series that the result was made from (``derive`` only)."""
    run_id: str = ""
    """Names the run's temporary folders, so that who started the worker can clear them if it is killed."""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"job: task {self.task!r} is not known", f"Use {', '.join(TASKS)}")
        if not self.inputs:
            raise InputError("job: there is no input", "Name at least one file")
        if self.task == "derive" and not (len(self.inputs) == len(self.outputs) == 1 and self.dicom_files):
            raise InputError(
                "job: a derived series needs one input, one output and dicom_files", "Correct the job file"
            )
        if self.task == "upscale" and self.outputs and len(self.outputs) != len(self.inputs):
            raise InputError(
                f"{len(self.outputs)} outputs for {len(self.inputs)} inputs", "Name one output for each input"
            )
        for name in ("added", "uncertainty"):
            maps = getattr(self, name)
            if maps and (self.task != "upscale" or len(maps) != len(self.outputs)):
                raise InputError(
                    f"{len(maps)} files for {name} beside {len(self.outputs)} outputs", "Name one for each output"
                )
            for path in maps:
                if is_dicom_output(path):
                    raise InputError(f"{path}: a map is no DICOM series", "Name a NIfTI, NRRD or MHA file")
        if not self.results():
            raise InputError("nothing would be written", "Name an output")
        for path in [*self.sources(), *self.results(), *([self.preview_folder] if self.preview_folder else [])]:
            check_path(path)
        if not re.fullmatch(RUN_ID, self.run_id):
            raise InputError(f"job: run_id {self.run_id[:80]!r} is not valid", "Use up to 64 letters, digits, _ and -")
        written = [str(Path(p).resolve()) for p in self.results()]
        if len(set(written)) != len(written):
            raise InputError("two results have the same file name", "Give each its own")
        check_nothing_overwritten(self.results(), self.sources())
        if sum(v is not None for v in (self.like, self.spacing, self.scale)) > 1:
            raise InputError("more than one of like, spacing and scale is given", "Keep one")
        if self.transforms is not None and not (self.register and len(self.inputs) > 1):
            raise InputError("there are no transforms to write", "Give --register and more than one input")
        if self.device not in DEVICES:
            raise InputError(f"device {self.device!r} is not known", f"Give one of {', '.join(DEVICES)}")
        if self.slice_profile not in PROFILE_CHOICES:
            raise InputError(
                f"slice profile {self.slice_profile!r} is not known", f"Give one of {', '.join(PROFILE_CHOICES)}"
            )
        if self.slice_thickness is not None:
            thickness = self.slice_thickness
            told = " ".join(f"{v:g}" for v in thickness)
            if len(thickness) not in (1, len(self.inputs)):
                raise InputError(
                    f"{len(thickness)} slice thicknesses for {len(self.inputs)} inputs",
                    "Give one for all, or one for each",
                )
            if not all(math.isfinite(v) and v > 0 for v in thickness):
                raise InputError(f"slice thickness {told} is not valid", "Give positive millimetres")
            if self.slice_profile == "none":
                raise InputError(
                    "point samples have no slice thickness", "Leave out the thickness, or the profile none"
                )
        if self.threads is not None and self.threads < 1:
            raise InputError(f"{self.threads} threads cannot work", "Give at least 1")
        if not 0 <= self.seed < LARGEST_SEED:
            raise InputError(f"seed {self.seed} is not valid", f"Give a whole number from 0 to {LARGEST_SEED - 1}")
        if self.spacing is not None:
            check_range(self.spacing, "the spacing", "mm")
        if self.scale is not None:
            check_range(self.scale, "the scale", "times")
        if self.max_seconds is not None and not 0 < self.max_seconds < math.inf:
            raise InputError(f"{self.max_seconds:g} seconds are not enough", "Give a positive number")

    def results(self) -> list[str]:
        """All files that the run will write."""
        others = (self.labels_output, self.probabilities_output, self.representation, self.report)
        return [*self.outputs, *self.added, *self.uncertainty, *(p for p in others if p), *self.transform_files()]

    def transform_files(self) -> list[str]:
        """The files of the transforms: ``NUMBER-NAME-to-FIRST.tfm`` for each input but the first one."""
        if self.transforms is None:
            return []
        names = [Path(p).name.split(".")[0] for p in self.inputs]
        folder = Path(self.transforms)
        return [str(folder / f"{n}-{name}-to-{names[0]}.tfm") for n, name in enumerate(names[1:], 2)]

    def sources(self) -> list[str]:
        """All files and folders that the run will read; weights only where they are given as a file."""
        weights = self.settings.get("weights")
        files = [weights] if isinstance(weights, str) and weights.endswith(".safetensors") else []
        others = [*(p for p in (self.mask, self.like) if p), *(self.dicom_files or [])]
        return [*self.inputs, *self.label_files(), *others, *files]

    def label_files(self) -> list[str]:
        """The files of the segmentation; none for ``auto``."""
        return [] if self.labels in (None, ["auto"]) else list(self.labels or [])

    @property
    def is_guided(self) -> bool:
        """Whether a segmentation is given, or wanted."""
        return bool(self.labels or self.labels_output or self.probabilities_output)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the schema's name."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        InputError
            For another schema, an unknown or missing field, or a value of the wrong type.
        """
        values = dict(values)
        schema = values.pop("schema", None)
        if schema != SCHEMA:
            raise InputError(f"job: schema {schema!r} is not {SCHEMA!r}", "Make the job file with this version")
        known = {f.name: f for f in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(f"job: {name[:80]!r} is not known", f"Known are {', '.join(known)}")
        for name, f in known.items():
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and name not in values:
                raise InputError(f"job: {name!r} is missing", "Correct the job file")
        hints = get_type_hints(cls)
        for name, value in values.items():
            if not _is_a(value, hints[name]):
                shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:80]}…"
                raise InputError(f"job: {name} = {shown} is not of type {known[name].type}", "Correct the job file")
        return cls(**values)

    @classmethod
    def read(cls, path: str | Path) -> Job:
        """Read a job file; raises InputError as :meth:`from_dict`, and for a file that is no JSON object."""
        try:
            values = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"cannot read the job file {path}: {error}", "Make it with this version") from error
        if not isinstance(values, dict):
            raise InputError(f"{path} is no job file", "It must hold one JSON object")
        return cls.from_dict(values)

    def write(self, path: str | Path) -> None:
        """Write the job file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1), "utf-8")


def check_range(values: list[float], what: str, unit: str) -> None:
    """Raise InputError unless these are one number or three, of a size that makes sense."""
    for value in as_triple(values, what):
        if not SMALLEST <= value <= LARGEST:
            raise InputError(f"{what} {value:g} is not valid", f"Give {SMALLEST:g} to {LARGEST:g} {unit}")


def _is_a(value: object, hint: Any) -> bool:
    """Whether a JSON value fits a field's type hint (str, int, float, bool, list, dict, or None)."""
    import types
    import typing

    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(value, p) for p in parts)
    if origin is list:
        return isinstance(value, list) and all(_is_a(v, parts[0]) for v in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, float) or (isinstance(value, int) and _is_a(value, int) and abs(value) < 2**63)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def is_dicom_output(path: str | Path) -> bool:
    """Whether a result is to be a folder with a DICOM series: its name ends in .dcm."""
    return Path(path).suffix.lower() == ".dcm"
