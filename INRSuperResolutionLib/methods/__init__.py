"""All methods, by the name that the command line and job files use.

Importing this module does not import torch: a method's networks are imported by its fit.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, InrsrError, tells_of_memory
from ..representation import Representation, read_state
from . import combined, coordinate, cycleinr, multicontrast, nexpr, perimage
from .base import FitContext, Method
from .kinds import representation_from
from .plain.interpolation import InterpolationSettings, fit_spline
from .plain.zero_filling import fit_zero_filling

_PLAIN = {"fast": InterpolationSettings(), "balanced": InterpolationSettings(), "paper": InterpolationSettings()}

METHODS: dict[str, Method] = {
    "multicontrast": Method(
        "Multi-contrast INR",
        "Two or more scans of one patient with thick slices; best when the slices run in different directions.",
        multicontrast.fit,
        multicontrast.PRESETS,
        min_inputs=2,
        max_inputs=None,
        takes_mask=True,
    ),
    "self-supervised": Method(
        "Self-supervised, from the scan alone",
        "One scan with thick slices, or several that are thick in the same direction: their sharp planes teach the rest.",
        multicontrast.fit_self_supervised,
        multicontrast.SELF_SUPERVISED_PRESETS,
        max_inputs=None,
        takes_mask=True,
    ),
    "combined": Method(
        "Combined",
        "One scan with thick slices: what was trained ahead and what the scan itself teaches, averaged.",
        combined.fit,
        combined.PRESETS,
        max_inputs=None,
        takes_mask=True,
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
        takes_mask=True,
        is_baseline=True,
    ),
    "joint": Method(
        "Joint INR without heads",
        "Baseline of the multi-contrast paper: one coordinate network with an output for each scan.",
        multicontrast.fit_joint,
        multicontrast.INR_PRESETS,
        min_inputs=2,
        max_inputs=None,
        takes_mask=True,
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
    ),
    "arssr": Method(
        "ArSSR",
        "Baseline of the CycleINR paper: the same without attention and cycle loss.",
        cycleinr.fit("arssr"),
        cycleinr.presets("arssr"),
        max_inputs=None,
        is_baseline=True,
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


# systems of the papers' tables, and NExpR in three dimensions, for comparisons: no weights come with the library, so that the panel does not list them
COMPARED: dict[str, Method] = {
    "srgan": Method(
        "SRGAN",
        "For comparisons: a generative adversarial network for 2× (Ledig et al. 2017).",
        coordinate.fit("srgan"),
        coordinate.presets("srgan"),
        max_inputs=None,
        is_baseline=True,
    ),
    "lte": Method(
        "LTE",
        "For comparisons: local texture estimator (Lee and Jin 2022).",
        coordinate.fit("lte"),
        coordinate.presets("lte"),
        max_inputs=None,
        is_baseline=True,
    ),
    "srno": Method(
        "SRNO",
        "For comparisons: super-resolution neural operator (Wei and Zhang 2023).",
        coordinate.fit("srno"),
        coordinate.presets("srno"),
        max_inputs=None,
        is_baseline=True,
    ),
    "swinir": Method(
        "SwinIR",
        "For comparisons: a transformer of shifted windows for 2× (Liang et al. 2021).",
        coordinate.fit("swinir"),
        coordinate.presets("swinir"),
        max_inputs=None,
        is_baseline=True,
    ),
    "saint": Method(
        "SAINT",
        "For comparisons: slices from two networks of planes that are fused (Peng et al. 2020).",
        cycleinr.fit("saint"),
        cycleinr.presets("saint"),
        max_inputs=None,
        is_baseline=True,
    ),
    "nexpr3d": Method(
        "NExpR in three dimensions",
        "To be trained first: an explicit Fourier function across the slices, drawn at any height in milliseconds.",
        cycleinr.fit("nexpr3d"),
        cycleinr.presets("nexpr3d"),
        max_inputs=None,
    ),
}


def get_method(name: str) -> Method:
    """The method called `name`; raises InputError for an unknown one."""
    if name in COMPARED:
        return COMPARED[name]
    if name not in METHODS:
        raise InputError(f"method {name!r} is not known", f"Give one of {', '.join(METHODS)}")
    return METHODS[name]


def load_representation(path: str | Path) -> Representation:
    """Load an ``.inr`` file; raises InputError as :func:`representation.read_state`, and if its parts do not fit."""
    arrays, metadata = read_state(path)
    try:
        return representation_from(metadata, arrays)
    except InrsrError as error:
        raise type(error)(f"{path}: {error.message}", error.advice) from error
    # whatever the parts of a damaged file do to the code that joins them
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, AssertionError) as error:
        if tells_of_memory(str(error)):
            raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the parts of {path} do not fit each other: {type(error).__name__}: {reason}",
            "It is damaged: make it again",
        ) from error


__all__ = ["COMPARED", "METHODS", "FitContext", "Method", "get_method", "load_representation"]
