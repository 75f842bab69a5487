"""Every way a run can fail, as a message for a clinician: what happened, and what to do."""

import errno
import re

from slicer.i18n import tr as _

from ..scene.inputs import InputProblem

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOW_CONSISTENCY_DB = 30.0


def ofException(error: BaseException) -> tuple[str, str]:
    """Message and advice for an error on this side of the worker."""
    if isinstance(error, InputProblem):
        return error.message, error.advice
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return _("the disk with the temporary folder is full"), _(
            "Free some space, or choose another temporary folder in Edit > Application Settings > Modules."
        )
    if isinstance(error, MemoryError):
        return _("Slicer is out of memory"), _("Choose a coarser spacing or a region of interest.")
    if isinstance(error, ValueError):
        return _("the result cannot be read: {error}").format(error=error), _(
            "Run again; if it happens again, press Copy report and tell us."
        )
    return f"{type(error).__name__}: {error}", _("Press Copy report and tell us.")


def ofDeath(code: int | None) -> tuple[str, str]:
    """Message and advice for a worker that ended without a word."""
    if code is None:
        return _("the background process was ended from outside, perhaps because memory ran out"), _(
            "Choose a coarser spacing, a region of interest or the quality fast, and run again."
        )
    return _("the background process ended with code {code}").format(code=code), _(
        "Open Log, press Copy report and tell us."
    )


def inSlicerWords(advice: str) -> str:
    """The worker's advice is written for the command line; say where the same is in the panel."""
    for said, here in (
        (
            "Check that the disk has room and the folder can be written to",
            _("Free some space, or choose another temporary folder in Edit > Application Settings > Modules."),
        ),
        ("or use --device cpu", _("or choose the device cpu under Advanced")),
        ("Use --device cpu, or auto", _("Choose the device auto or cpu under Advanced.")),
        ("Install it: pip install torch", _("Install it with the extension PyTorch, then run again.")),
        ("Run again with --debug and report what it prints", _("Open Log, press Copy report and tell us.")),
        (
            "Check that both show the same region, or use auto",
            _("Check that both show the same region, or choose no segmentation: then tissue classes are found."),
        ),
        (
            "Give whole numbers from 0; give probability maps as several volumes",
            _("Choose a label map with whole numbers from 0."),
        ),
        (
            "Leave out --set semantics=false",
            _("Tick Semantics under Advanced, or leave out the super-resolved segmentation."),
        ),
        (
            "if they are of one patient, --register or a transform may bring them together",
            _("if they are of one patient, tick Align contrasts under Advanced."),
        ),
        ("Please report it, with the output of --debug", _("Open Log, press Copy report and tell us.")),
    ):
        advice = advice.replace(said, here)
    return advice


def withNodeNames(message: str, names: dict[str, str]) -> str:
    """The worker knows the files of a run only: name the nodes that they were made from, paths aside."""
    message = re.sub(r"cannot write .*output\d+\.nii", _("cannot write the result"), message)
    for file, name in names.items():
        message = re.sub(rf"(?<![\w/\\]){file}(\.nrrd|\.nii)?(?!\.?\w)", lambda _match, name=name: name, message)
    return message


def ofConsistency(decibels: float | None) -> tuple[str, bool]:
    """What the consistency figure means, and whether it is a warning."""
    if decibels is None:
        return _("The agreement with the input cannot be told: the result does not resolve the input."), False
    if decibels < LOW_CONSISTENCY_DB:
        return _(
            "Low agreement with the input: {db:.1f} dB. The result may show what was not measured; "
            "compare it with the input before you use it."
        ).format(db=decibels), True
    return _("Agrees with the input to {db:.1f} dB (made thick again, it gives the input back).").format(
        db=decibels
    ), False
