"""The classes of representations, by the kind that an ``.inr`` file names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ..representation import Contrast, Representation

LONGEST_AXIS = 2**31
# what a report tells of every function
_REPORTED = (
    "method", "preset", "seed", "device", "parameters", "steps", "stopped_by", "settings", "slice_profile",
    "registered_affines",
)  # fmt: skip


def representation_class(kind: str) -> type[Representation]:
    """The class of this kind; its networks are imported only now.

    Raises
    ------
    InputError
        For a kind that this version does not know.
    """
    if kind == "spline":
        from .plain.interpolation import SplineRepresentation

        return SplineRepresentation
    if kind == "zero-filling":
        from .plain.zero_filling import ZeroFillingRepresentation

        return ZeroFillingRepresentation
    if kind == "explicit":
        from .nexpr.representation import ExplicitRepresentation

        return ExplicitRepresentation
    if kind == "decoded":
        from .coordinate.representation import DecodedRepresentation

        return DecodedRepresentation
    if kind == "volumetric":
        from .cycleinr.representation import VolumetricRepresentation

        return VolumetricRepresentation
    if kind == "fourier":
        from .multicontrast.inr import FourierRepresentation

        return FourierRepresentation
    if kind == "field":
        from .perimage.field import FieldRepresentation

        return FieldRepresentation
    if kind == "guided":
        from .multicontrast.guided import GuidedRepresentation

        return GuidedRepresentation
    if kind == "average":
        from .combined.average import AverageRepresentation

        return AverageRepresentation
    raise InputError(f"the kind of representation {kind!r} is not known", "Use a newer version")


def representation_from(metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Representation:
    """The function that the metadata (kind, contrasts, config, provenance) and arrays of a file describe."""
    contrasts = [
        Contrast(
            str(c["name"]),
            np.dtype(c["dtype"]).name,
            _three(c["shape"]),
            c["affine"],
            _codes(c.get("codes")),
        )
        for c in metadata["contrasts"]
    ]
    if not all(c.grid.size for c in contrasts):  # makes every grid, which checks it
        raise ValueError("a contrast without voxels")
    representation = representation_class(metadata["kind"]).from_state(contrasts, arrays, metadata["config"])
    for name, kind in (("registered_affines", list), ("labels", list), ("slices", list), ("weights", dict)):
        if not isinstance(metadata["provenance"].get(name), (kind, type(None))):
            raise TypeError(f"provenance: {name}")
    from ..acquisition.slice_profile import describe_slices  # scipy, which a panel does not need to list the methods

    for told in metadata["provenance"].get("slices") or []:
        describe_slices(told)  # as whoever samples it will be told
    choice = metadata["provenance"].get("choice")
    if choice is not None and not all(isinstance(choice[name], str) for name in ("method", "why")):
        raise TypeError("provenance: choice")
    representation.provenance = {**dict.fromkeys(_REPORTED), **metadata["provenance"]}
    return representation


def _codes(codes: Any) -> tuple[int, int] | None:
    """The codes of qform and sform, which a header must hold."""
    if codes is None:
        return None
    q_code, s_code = (int(c) for c in codes)
    if not 0 <= min(q_code, s_code) <= max(q_code, s_code) < 1 << 15:
        raise ValueError(f"codes {codes}")
    return q_code, s_code


def _three(shape: Any) -> tuple[int, int, int]:
    i, j, k = map(int, shape)
    if not 1 <= min(i, j, k) <= max(i, j, k) < LONGEST_AXIS:
        raise ValueError(f"a shape of {shape}")
    return i, j, k
