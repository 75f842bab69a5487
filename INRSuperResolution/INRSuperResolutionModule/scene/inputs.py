"""Scene → files of a job: the pixels and the place of a volume, hardened and cropped, the node untouched."""

from dataclasses import dataclass, field, replace

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

# slices kept around the region of interest, so that its edge is restored from both sides
MARGIN_VOXELS = 2


class InputProblem(RuntimeError):
    """Something that the user can put right: an input, or what is not installed."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(f"{message}. {advice}")
        self.message, self.advice = message, advice


@dataclass(frozen=True)
class Request:
    """What the user wants; nodes by their id, because a node may be deleted while the run waits."""

    inputIDs: list[str]
    method: str
    preset: str = ""
    settings: dict = field(default_factory=dict)
    spacing: list[float] | None = None
    scale: list[float] | None = None
    likeID: str | None = None
    """At most one of spacing, scale and likeID; with none, isotropic at the finest spacing of the inputs."""
    segmentationID: str | None = None
    """A segmentation or a label map volume of the input, for methods that it guides; None to let them find classes."""
    segmentationOutput: bool = False
    """Whether a super-resolved segmentation is wanted as well, from a method that makes one."""
    roiID: str | None = None
    outputID: str | None = None
    """An existing volume that the first result replaces; None for a new one."""
    sliceProfile: str = "auto"
    sliceThickness: float | None = None
    """Of the slices of all inputs, in mm; None for what the header tells, else their distance."""
    register: bool = False
    device: str = "auto"
    seed: int = 0
    maxSeconds: float | None = None
    frame: int | None = None
    """Which item of a sequence, where an input is a sequence node: then the results stay out of the scene."""
    dicomFolder: str | None = None
    """Where to write the input, a result, as a DICOM series derived from `dicomFiles`; then there is no other result."""
    dicomFiles: list[str] = field(default_factory=list)
    representationID: str | None = None
    """A text node with a representation, to sample it again: then the rest only tells the grid."""

    def nodes(self) -> list:
        """The input nodes; raises InputProblem if one is gone."""
        nodes = [slicer.mrmlScene.GetNodeByID(i) for i in self.inputIDs]
        if None in nodes:
            raise InputProblem(_("an input volume was deleted"), _("Choose the volumes again and press Run."))
        volumes = [n.GetNthDataNode(self.frame) if n.IsA("vtkMRMLSequenceNode") else n for n in nodes]
        for node, volume in zip(nodes, volumes):
            if volume is None:
                raise InputProblem(
                    _("{name} has no time point {n}").format(name=node.GetName(), n=self.frame + 1),
                    _("Untick it, or choose sequences of the same length."),
                )
        return volumes

    def replace(self, **changes) -> "Request":
        """A copy with some fields changed."""
        return replace(self, **changes)


def pixelsAndPlace(node) -> tuple[np.ndarray, np.ndarray]:
    """The array (k, j, i) and the affine (index → RAS mm, float64) of a scalar volume, its transform hardened.

    A linear transform only moves the affine. Others resample a copy, which never enters the scene.
    """
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise InputProblem(_("{name} has no image").format(name=node.GetName()), _("Load the volume again."))
    if node.GetImageData().GetNumberOfScalarComponents() != 1:
        raise InputProblem(_("{name} is a colour image").format(name=node.GetName()), _("Choose a scalar volume."))
    transform = node.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        # a label map takes the nearest voxel, other volumes are interpolated
        isLabelMap = node.IsA("vtkMRMLLabelMapVolumeNode")
        copy = slicer.vtkMRMLLabelMapVolumeNode() if isLabelMap else slicer.vtkMRMLScalarVolumeNode()
        copy.CopyContent(node)
        toWorld = vtk.vtkGeneralTransform()
        transform.GetTransformToWorld(toWorld)
        copy.ApplyTransform(toWorld)
        return slicer.util.arrayFromVolume(copy).copy(), affineOf(copy)
    affine = affineOf(node)
    if transform is not None:
        toWorld = vtk.vtkMatrix4x4()
        transform.GetMatrixTransformToWorld(toWorld)
        affine = slicer.util.arrayFromVTKMatrix(toWorld) @ affine
    return slicer.util.arrayFromVolume(node), affine


def affineOf(node) -> np.ndarray:
    """Index → RAS mm, without the parent transform."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def cropToRegion(
    array: np.ndarray, affine: np.ndarray, corners: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a volume that holds the points `corners` (RAS mm, n × 3), rounded out to whole voxels."""
    ijk = (np.linalg.inv(affine) @ np.c_[corners, np.ones(len(corners))].T)[:3]
    low = np.floor(ijk.min(axis=1)).astype(int) - MARGIN_VOXELS
    high = np.ceil(ijk.max(axis=1)).astype(int) + MARGIN_VOXELS + 1
    size = np.array(array.shape[::-1])
    if (high <= 0).any() or (low >= size).any():
        raise InputProblem(
            _("the region of interest lies outside {name}").format(name=name), _("Move it over the volume.")
        )
    low, high = np.maximum(low, 0), np.minimum(high, size)
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ low
    return array[low[2] : high[2], low[1] : high[1], low[0] : high[0]], moved


def cornersOf(roi) -> np.ndarray:
    """The eight corners of a region of interest in the world (RAS mm, 8 × 3)."""
    toWorld = vtk.vtkMatrix4x4()
    toWorld.DeepCopy(roi.GetObjectToWorldMatrix())
    half = np.array(roi.GetSize()) / 2
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    return (slicer.util.arrayFromVTKMatrix(toWorld) @ np.c_[signs * half, np.ones(8)].T).T[:, :3]


def inputArrays(request: Request) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels and place of every input, cropped to the region of interest."""
    volumes = [pixelsAndPlace(node) for node in request.nodes()]
    roi = slicer.mrmlScene.GetNodeByID(request.roiID) if request.roiID else None
    if request.roiID and roi is None:
        raise InputProblem(_("the region of interest was deleted"), _("Choose another one, or none."))
    if roi is None:
        return volumes
    corners = cornersOf(roi)
    return [cropToRegion(*v, corners, node.GetName()) for v, node in zip(volumes, request.nodes())]
