"""The continuous function that every method ends in: sample it anywhere, save it, load it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .errors import InputError
from .image.grid import Grid
from .image.mark import INTERPOLATIONS, mark_of
from .image.volume import Volume, whole_numbers
from .json_text import json_text, parse_json
from .progress import SILENT, Progress

FORMAT = "inrsr-representation/3"
# settings that a network's arrays show: none can be larger than their largest axis, or more than there are arrays
SIZES = ("width", "head_width", "class_width", "features", "latent", "wide", "frequencies", "phases", "patch", "factor")
COUNTS = (
    "blocks", "wide_blocks", "hidden", "hidden_layers", "class_layers", "layers", "convolutions", "shared_layers",
    "depth", "products",
)  # fmt: skip
MOST_CONTRASTS = 1000
# kinds that hold nothing learned
INTERPOLATING = ("spline", "zero-filling")


@dataclass(frozen=True)
class Contrast:
    """What is remembered of an input volume: its name, file type, grid (shape; affine, RAS, row by row), NIfTI codes."""

    name: str
    dtype: str
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    codes: tuple[int, int] | None = None

    @classmethod
    def of(cls, volume: Volume) -> Contrast:
        """The description of `volume`; uneven slices are described by their even grid."""
        grid = volume.grid
        return cls(
            volume.name,
            np.dtype(volume.dtype).name,
            grid.shape,
            tuple(tuple(row) for row in grid.affine.tolist()),
            volume.codes,
        )

    @property
    def grid(self) -> Grid:
        """Its grid."""
        return Grid(self.shape, np.array(self.affine))


class Representation(ABC):
    """A continuous image of one or more contrasts of one patient.

    Parameters
    ----------
    contrasts
        One for each channel of the function, in the order of the inputs.
    provenance
        JSON-ready: how it was made (method, settings, seed, version, inputs, …).
    """

    kind: ClassVar[str]
    tile_voxels: ClassVar[int] = 1 << 21

    def __init__(self, contrasts: Sequence[Contrast], provenance: Mapping[str, Any] | None = None) -> None:
        self.contrasts = tuple(contrasts)
        self.provenance: dict[str, Any] = dict(provenance or {})

    @property
    def mark(self) -> str:
        """What files of its values say of how they were made."""
        method = self.provenance.get("method") or self.kind
        if self.kind in INTERPOLATING and method not in INTERPOLATIONS:  # a method that took interpolation instead
            method = (self.provenance.get("left_out") or {}).get("taken", "cubic")
        return mark_of(method)

    @abstractmethod
    def evaluate(self, grid: Grid, channels: Sequence[int]) -> np.ndarray:
        """Values of some channels at the centres of `grid` (a tile, at most `tile_voxels` centres).

        float32, shape (len(channels), \\*grid.shape), in the intensity scale of the inputs.
        """

    def probabilities(self, grid: Grid) -> np.ndarray:
        """Class probabilities at the centres of `grid`; float32, (classes, i, j, k).

        Raises
        ------
        InputError
            If the function was fitted without a segmentation.
        """
        raise InputError(
            f"{self.contrasts[0].name} was fitted without a segmentation", "Use the method seco, with semantics"
        )

    def most_likely(self, probabilities: np.ndarray, grid: Grid) -> Volume:
        """The label map of :meth:`probabilities` on `grid`: the label of the likeliest class."""
        labels = np.array(self.provenance["labels"])[probabilities.argmax(axis=0)]
        smallest = np.min_scalar_type(int(labels.max()))
        return Volume(
            labels,
            grid.affine,
            dtype=np.dtype(smallest),
            name=f"{self.contrasts[0].name} labels",
            exact=whole_numbers(labels),
            codes=self.contrasts[0].codes,
            mark=self.mark,
        )

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON-ready configuration from which :meth:`from_state` makes the function again."""

    @classmethod
    @abstractmethod
    def from_state(
        cls, contrasts: Sequence[Contrast], arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> Representation:
        """The inverse of :meth:`state`."""

    def tiles(self, grid: Grid) -> Iterator[tuple[slice, slice, slice]]:
        """Boxes in which `grid` is evaluated; those that suit the function best."""
        return grid.tiles(self.tile_voxels)

    def sample(self, grid: Grid | Sequence[Grid], progress: Progress = SILENT) -> list[Volume]:
        """The contrasts at voxel centres, tile by tile.

        Parameters
        ----------
        grid
            One for all contrasts, or one for each.

        Returns
        -------
        One volume for each contrast, in the intensity scale of its input.
        """
        grids = [grid] * len(self.contrasts) if isinstance(grid, Grid) else list(grid)
        if len(grids) != len(self.contrasts):
            raise InputError(
                f"{len(grids)} grids for {len(self.contrasts)} contrasts", "Give one grid, or one for each"
            )
        # contrasts on one and the same grid are evaluated together: they may share most of the work
        groups: dict[int, list[int]] = {}
        for channel, g in enumerate(grids):
            groups.setdefault(id(g), []).append(channel)
        total = sum(g.size for g in grids)
        done = 0
        # in the order of the files, so that no copy is made to write them
        values = [np.empty(g.shape, np.float32, order="F") for g in grids]
        for channels in groups.values():
            shared = grids[channels[0]]
            for box in self.tiles(shared):
                tile = self.evaluate(shared.crop(box), channels)
                for channel, v in zip(channels, tile):
                    values[channel][box] = v
                done += v.size * len(channels)
                progress.update(done / total)
        return [
            Volume(v, g.affine, dtype=np.dtype(c.dtype), name=c.name, codes=c.codes, mark=self.mark)
            for v, g, c in zip(values, grids, self.contrasts)
        ]

    def release(self) -> None:  # noqa: B027  # most have nothing to give
        """Forget what can be computed again and is not saved, to make room."""

    def save(self, path: str | Path) -> None:
        """Write the ``.inr`` file: safetensors with the metadata as JSON in its header; never pickle."""
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        path = Path(path)
        if path.suffix != ".inr":
            raise InputError(f"{path}: a representation file ends in .inr", "Rename it")
        arrays, config = self.state()
        metadata = {
            "format": FORMAT,
            "kind": self.kind,
            "contrasts": [asdict(c) for c in self.contrasts],
            "config": config,
            "provenance": self.provenance,
        }
        beside = path.with_name(f".inrsr-{os.getpid()}.tmp")
        try:
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, beside, {"inrsr": json_text(metadata)})
            os.replace(beside, path)
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"cannot write {path}: {error}", "Check that the disk has room and the folder can be written to"
            ) from error
        finally:
            beside.unlink(missing_ok=True)


def read_state(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metadata of an ``.inr`` file.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another kind or version.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", "Check the path")
    try:
        with safe_open(path, framework="np") as file:
            metadata = parse_json((file.metadata() or {}).get("inrsr", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, ValueError, TypeError, RecursionError, SafetensorError) as error:
        raise InputError(f"cannot read {path}: {error}", "It is damaged or no .inr file") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{path} has no header of ours", "It is damaged or no .inr file")
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} has the format {metadata.get('format')!r}, not {FORMAT!r}", "Make it again with this version"
        )
    reason = _what_is_damaged(arrays, metadata)
    if reason:
        raise InputError(f"{path}: {reason}", "It is damaged: make it again")
    return arrays, metadata


def _what_is_damaged(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str | None:
    """What is wrong with the parts of every ``.inr`` file; None if nothing is."""
    for name, kind in (("kind", str), ("contrasts", list), ("config", dict), ("provenance", dict)):
        if not isinstance(metadata.get(name), kind):
            return f"{name} is missing"
    if not 1 <= len(metadata["contrasts"]) <= MOST_CONTRASTS:
        # a newer kind may have none: it is refused for its kind
        return None if not metadata["contrasts"] else f"{len(metadata['contrasts'])} contrasts"
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
            return f"the array {name} holds values that are no numbers"
    shapes = [a.shape for a in arrays.values()]
    for settings in _settings_in(metadata["config"]):
        reason = absurd_size(settings, shapes)
        if reason:
            return f"a network with {reason}, which its arrays do not have"
    return None


def _settings_in(config: Any) -> Iterator[Mapping[str, Any]]:
    """All dicts in a configuration, it included."""
    if isinstance(config, dict):
        yield config
        for value in config.values():
            yield from _settings_in(value)
    elif isinstance(config, list):
        for value in config:
            yield from _settings_in(value)


def absurd_size(settings: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]) -> str | None:
    """The setting of a network, as text, that cannot be true of arrays of these shapes; None if all can.

    A hostile or damaged file must not have a network made of it that fills the memory, or takes for ever.
    """
    largest = max((n for shape in shapes for n in shape), default=0)
    for name, value in settings.items():
        if name in (*SIZES, *COUNTS) and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            return f"{name} = {str(value)[:40]}"
        if (name in SIZES and value > max(16, 2 * largest)) or (name in COUNTS and value > max(16, len(shapes))):
            return f"{name} = {str(value)[:40]}"
    return None


def pack_volumes(volumes: Sequence[Volume]) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Volumes as arrays (for safetensors) and JSON-ready places; inverse of :func:`unpack_volumes`."""
    arrays = {f"volume{n}": v.data for n, v in enumerate(volumes)}
    arrays.update({f"exact{n}": v.exact for n, v in enumerate(volumes) if v.exact is not None})
    places = []
    for v in volumes:
        even = v.slice_positions is None
        thickness = None if v.slice_thickness is None else np.asarray(v.slice_thickness).tolist()
        places.append(
            {
                "affine": v.affine.tolist(),
                "slice_positions": None if even else np.asarray(v.slice_positions).tolist(),
                "slice_thickness": thickness,
                "slice_axis": v.slice_axis,
                "dtype": np.dtype(v.dtype).name,
                "name": v.name,
            }
        )
    return arrays, places


def unpack_volumes(arrays: Mapping[str, np.ndarray], places: Sequence[Mapping[str, Any]]) -> list[Volume]:
    """Volumes from :func:`pack_volumes`."""
    volumes = []
    for n, place in enumerate(places):
        thickness = place["slice_thickness"]
        volumes.append(
            Volume(
                arrays[f"volume{n}"],
                np.array(place["affine"]),
                slice_positions=place["slice_positions"],
                slice_thickness=np.array(thickness) if isinstance(thickness, list) else thickness,
                slice_axis=place.get("slice_axis"),
                dtype=np.dtype(place["dtype"]),
                name=place["name"],
                exact=arrays.get(f"exact{n}"),
            )
        )
    return volumes
