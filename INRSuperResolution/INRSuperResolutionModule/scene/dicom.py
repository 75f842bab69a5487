"""What Slicer's DICOM database tells of a volume that was loaded from it."""

import math

import numpy as np
import slicer
from slicer.i18n import tr as _

from .inputs import InputProblem, affineOf

# as Slicer's DICOM module calls it, with the UIDs of all images of the volume
INSTANCES = "DICOM.instanceUIDs"
SLICE_THICKNESS = "0018,0050"


def instanceUIDs(node) -> list[str]:
    """The UIDs of the images that a volume was loaded from; none if it did not come from DICOM."""
    return (node.GetAttribute(INSTANCES) or "").split()


def sliceThickness(node, affine: np.ndarray | None = None) -> float | None:
    """The thickness of the slices in mm, as the header of the middle one tells; None where none does.

    `affine` is where the voxels lie with the transform of the volume, which may stretch them.
    """
    uids, database = instanceUIDs(node), _database()
    if not uids or database is None:
        return None
    try:
        told = float(database.instanceValue(uids[len(uids) // 2], SLICE_THICKNESS))
    except ValueError:
        return None
    if affine is not None:
        told *= float(np.linalg.norm(affine[:3, 2]) / np.linalg.norm(affineOf(node)[:3, 2]))
    return told if 0 < told < math.inf else None


def filesOf(uids: list[str], name: str) -> list[str]:
    """The files of images; raises InputProblem if one is not in the database (any more)."""
    database = _database()
    files = [database.fileForInstance(uid) for uid in uids] if database is not None else []
    if not files or not all(files):
        raise InputProblem(
            _("the DICOM files of {name} are not in Slicer's DICOM database").format(name=name),
            _("Import them with the module Add DICOM Data, and try again."),
        )
    return files


def _database():
    """None where Slicer runs without one."""
    return getattr(slicer, "dicomDatabase", None)
