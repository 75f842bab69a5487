"""What Slicer's DICOM database tells of a volume that was loaded from it."""

import functools
import math

import numpy as np
import slicer
from slicer.i18n import tr as _

from .inputs import InputProblem, affineOf

# as Slicer's DICOM module calls it, with the UIDs of all images of the volume
INSTANCES = "DICOM.instanceUIDs"
SLICE_THICKNESS = "0018,0050"
# of a result: the images that it was made from; kept also where its input is deleted
SOURCE_INSTANCES = "INRSuperResolution.SourceInstanceUIDs"
# how names of DICOM attributes start in the subject hierarchy
PREFIX = "DICOM."


def instanceUIDs(node) -> list[str]:
    """The UIDs of the images that a volume was loaded from; none if it did not come from DICOM."""
    return (node.GetAttribute(INSTANCES) or "").split()


def sourceInstanceUIDs(result) -> list[str]:
    """The UIDs of the images that a result was made from; none if its input did not come from DICOM."""
    return (result.GetAttribute(SOURCE_INSTANCES) or "").split()


def tellDicom(source, node) -> None:
    """Give a result what Slicer's DICOM export asks for: the attributes of its input, as those of another series.

    A result that replaces a volume loses what told of that volume. A segmentation only says which images it belongs to.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    before, after = hierarchy.GetItemByDataNode(source), hierarchy.GetItemByDataNode(node)
    for name in hierarchy.GetItemUIDNames(after):
        hierarchy.RemoveItemUID(after, name)
    for name in hierarchy.GetItemAttributeNames(after):
        if name.startswith(PREFIX):
            hierarchy.RemoveItemAttribute(after, name)
    for name in (INSTANCES, SOURCE_INSTANCES):
        node.RemoveAttribute(name)
    uids = instanceUIDs(source) or sourceInstanceUIDs(source)
    if not uids:
        return
    told = {}
    if not node.IsA("vtkMRMLSegmentationNode"):
        names = [name for name in hierarchy.GetItemAttributeNames(before) if name.startswith(PREFIX)]
        told = {name: hierarchy.GetItemAttribute(before, name) for name in names}
        number, series = told.get(PREFIX + "SeriesNumber", ""), told.get(PREFIX + "SeriesDescription")
        told[PREFIX + "SeriesNumber"] = str(int(number) + 1000) if number.isdecimal() else "1000"
        told[PREFIX + "SeriesDescription"] = f"{series or source.GetName()}, super-resolution, research use"
        node.SetAttribute(SOURCE_INSTANCES, " ".join(uids))
    told[PREFIX + "ReferencedInstanceUIDs"] = " ".join(uids)
    for name, value in told.items():
        hierarchy.SetItemAttribute(after, name, value)


def sliceThickness(node, affine: np.ndarray | None = None) -> float | None:
    """The thickness of the slices in mm, as the header of the middle one tells; None where none does.

    `affine` is where the voxels lie with the transform of the volume, which may stretch them.
    """
    uids, database = instanceUIDs(node), _database()
    if not uids or database is None:
        return None
    try:
        told = _number(database, uids[len(uids) // 2], SLICE_THICKNESS)
    except ValueError:
        return None
    if affine is not None:
        told *= float(np.linalg.norm(affine[:3, 2]) / np.linalg.norm(affineOf(node)[:3, 2]))
    return told if 0 < told < math.inf else None


@functools.lru_cache(maxsize=64)
def _number(database, uid: str, tag: str) -> float:
    """A number of a header; kept, because the panel asks at every change, and the database may have to read the file.

    ValueError, which is not kept, where there is none.
    """
    return float(database.instanceValue(uid, tag))


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
