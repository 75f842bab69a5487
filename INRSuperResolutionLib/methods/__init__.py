"""All methods, by the name that the command line and job files use.

Importing this module does not import torch: a method's networks are imported by its fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, InrsrError, tells_of_memory
from ..representation import Contrast, Representation, read_state
from . import coordinate, cycleinr, multicontrast, nexpr, perimage
from .base import FitContext, Method
from .plain.interpolation import InterpolationSettings, SplineRepresentation, fit_spline
from .plain.zero_filling import ZeroFillingRepresentation, fit_zero_filling

LONGEST_AXIS = 2**31
# what a report tells of every function
_REPORTED = (
    "method", "preset", "seed", "device", "parameters", "steps", "stopped_by", "settings", "slice_profile",
    "registered_affines",
)  # fmt: skip

_PLAIN = {"fast": InterpolationSettings(), "balanced": InterpolationSettings(), "paper": InterpolationSettings()}

METHODS: dict[str, Method] = {
    "multicontrast": Method(
        "Multi-contrast INR",
        "Two or more scans of one patient with thick slices; best when the slices run in different directions.",
        multicontrast.fit,
        multicontrast.PRESETS,
        min_inputs=2,
        max_inputs=None,
    ),
    "seco": Method(
        "SeCo-INR",
        "One scan and a segmentation of it (or none: tissue classes are found); restores a slice in its plane, too.",
        perimage.fit,
        perimage.SECO_PRESETS,
        takes_labels=True,
        in_plane=True,
    ),
    "single-contrast": Method(
        "Single-contrast INR",
        "Baseline of the multi-contrast paper: a coordinate network for each scan on its own.",
        multicontrast.fit_single,
        multicontrast.INR_PRESETS,
        max_inputs=None,
        is_baseline=True,
    ),
    "joint": Method(
        "Joint INR without heads",
        "Baseline of the multi-contrast paper: one coordinate network with an output for each scan.",
        multicontrast.fit_joint,
        multicontrast.INR_PRESETS,
        min_inputs=2,
        max_inputs=None,
        is_baseline=True,
    ),
    **{
        name: Method(
            title,
            f"Baseline of the SeCo-INR paper: {what}, fitted to one image.",
            perimage.fit,
            perimage.BASELINE_PRESETS[name],
            is_baseline=True,
            in_plane=True,
        )
        for name, title, what in (
            ("siren", "SIREN", "a network of sines"),
            ("relu-pe", "ReLU with Fourier features", "Gaussian Fourier features and ReLU layers"),
            ("gauss", "Gauss", "a network of Gaussian activations"),
            ("mfn", "MFN", "a multiplicative filter network"),
            ("wire", "WIRE", "a network of complex Gabor wavelets"),
            ("fr", "FR", "a SIREN with Fourier-reparameterised weights"),
        )
    },
    "nexpr": Method(
        "NExpR",
        "Trained ahead: an explicit function for each patch of a slice, drawn at any scale in milliseconds.",
        nexpr.fit,
        nexpr.PRESETS,
        max_inputs=None,
    ),
    "coordinate": Method(
        "Coordinate decoder",
        "Trained ahead: codes of a slice that a network decodes at any point, with a denoising loss.",
        coordinate.fit("coordinate"),
        coordinate.presets("coordinate"),
        max_inputs=None,
    ),
    "liif": Method(
        "LIIF",
        "Baseline of the NExpR and coordinate-decoder papers: local implicit image function.",
        coordinate.fit("liif"),
        coordinate.presets("liif"),
        max_inputs=None,
        is_baseline=True,
    ),
    "edsr": Method(
        "EDSR",
        "Baseline of the coordinate-decoder paper: the same encoder with a convolutional upsampler for 2×.",
        coordinate.fit("edsr"),
        coordinate.presets("edsr"),
        max_inputs=None,
        is_baseline=True,
    ),
    "cycleinr": Method(
        "CycleINR",
        "Trained ahead: makes slices between those of one thick-slice scan, at any factor.",
        cycleinr.fit("cycleinr"),
        cycleinr.presets("cycleinr"),
        max_inputs=None,
        point_samples=True,
    ),
    "arssr": Method(
        "ArSSR",
        "Baseline of the CycleINR paper: the same without attention and cycle loss.",
        cycleinr.fit("arssr"),
        cycleinr.presets("arssr"),
        max_inputs=None,
        is_baseline=True,
        point_samples=True,
    ),
    "sinc": Method(
        "Zero filling", "Baseline: k-space of each slice extended by zeros.", fit_zero_filling, _PLAIN,
        max_inputs=None, is_baseline=True, needs_torch=False,
    ),
    "nearest": Method(
        "Nearest neighbour", "Baseline: copies the nearest voxel.", fit_spline(0), _PLAIN,
        max_inputs=None, is_baseline=True, needs_torch=False,
    ),
    "linear": Method(
        "Linear interpolation", "Baseline: what most viewers draw.", fit_spline(1), _PLAIN,
        max_inputs=None, is_baseline=True, needs_torch=False,
    ),
    "cubic": Method(
        "Cubic B-spline interpolation", "Baseline: the strongest simple interpolation.", fit_spline(3), _PLAIN,
        max_inputs=None, is_baseline=True, needs_torch=False,
    ),
}  # fmt: skip


def get_method(name: str) -> Method:
    """The method called `name`; raises InputError for an unknown one."""
    if name not in METHODS:
        raise InputError(f"method {name!r} is not known", f"Give one of {', '.join(METHODS)}")
    return METHODS[name]


def load_representation(path: str | Path) -> Representation:
    """Load an ``.inr`` file; raises InputError as :func:`representation.read_state`, and if its parts do not fit."""
    arrays, metadata = read_state(path)
    try:
        return _made_of(arrays, metadata, path)
    except InrsrError:
        raise
    # whatever the parts of a damaged file do to the code that joins them
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, AssertionError) as error:
        if tells_of_memory(str(error)):
            raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the parts of {path} do not fit each other: {type(error).__name__}: {reason}",
            "It is damaged: make it again",
        ) from error


def _three(shape: Any) -> tuple[int, int, int]:
    i, j, k = map(int, shape)
    if not 1 <= min(i, j, k) <= max(i, j, k) < LONGEST_AXIS:
        raise ValueError(f"a shape of {shape}")
    return i, j, k


def _made_of(arrays: dict[str, np.ndarray], metadata: dict[str, Any], path: str | Path) -> Representation:
    kind = metadata["kind"]
    cls: type[Representation]
    if kind == SplineRepresentation.kind:
        cls = SplineRepresentation
    elif kind == ZeroFillingRepresentation.kind:
        cls = ZeroFillingRepresentation
    elif kind == "explicit":
        from .nexpr.representation import ExplicitRepresentation

        cls = ExplicitRepresentation
    elif kind == "decoded":
        from .coordinate.representation import DecodedRepresentation

        cls = DecodedRepresentation
    elif kind == "volumetric":
        from .cycleinr.representation import VolumetricRepresentation

        cls = VolumetricRepresentation
    elif kind == "fourier":
        from .multicontrast.inr import FourierRepresentation

        cls = FourierRepresentation
    elif kind == "field":
        from .perimage.field import FieldRepresentation

        cls = FieldRepresentation
    elif kind == "guided":
        from .multicontrast.guided import GuidedRepresentation

        cls = GuidedRepresentation
    else:
        raise InputError(f"{path} holds a representation of the unknown kind {kind!r}", "Use a newer version")
    contrasts = [
        Contrast(str(c["name"]), np.dtype(c["dtype"]).name, _three(c["shape"]), c["affine"])
        for c in metadata["contrasts"]
    ]
    if not all(c.grid.size for c in contrasts):  # makes every grid, which checks it
        raise ValueError("a contrast without voxels")
    representation = cls.from_state(contrasts, arrays, metadata["config"])
    representation.provenance = {**dict.fromkeys(_REPORTED), **metadata["provenance"]}
    return representation


__all__ = ["METHODS", "FitContext", "Method", "get_method", "load_representation"]
