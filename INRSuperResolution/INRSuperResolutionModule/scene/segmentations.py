"""Segmentations → a label map on the grid of an input, and back into a segmentation with the same segments.

Slicer's own export (`vtkSlicerSegmentationsModuleLogic`) does a whole segmentation in one call and adds nodes to the
scene; here its resampling is called slab by slab, so that the panel stays responsive and the scene as it is.
"""

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from .inputs import InputProblem

LABEL_MAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
GEOMETRY = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
# resampled in 5 to 20 ms
SLAB_VOXELS = 1 << 19
# between the hues of one class and the next, so that no two of a few dozen are alike
GOLDEN_RATIO = 0.618


@dataclass
class SegmentLook:
    """What a segment is called and looks like; its voxels aside."""

    segmentID: str
    segment: slicer.vtkSegment
    """Name, colour, terminology and tags."""


def isLabelMap(node) -> bool:
    """Whether a chosen segmentation is a label map volume."""
    return node.IsA("vtkMRMLLabelMapVolumeNode")


def looksOf(node) -> dict[int, SegmentLook]:
    """The look of each label that `labelMapOf` gives the segments."""
    segmentation = node.GetSegmentation()
    return {n + 1: lookOf(segmentation, n) for n in range(segmentation.GetNumberOfSegments())}


def looksByLabel(node) -> dict[int, SegmentLook]:
    """The look of each label of a segmentation that this module has made, where labels may be missing."""
    segmentation = node.GetSegmentation()
    looks = (lookOf(segmentation, n) for n in range(segmentation.GetNumberOfSegments()))
    return {look.segment.GetLabelValue(): look for look in looks}


def lookOf(segmentation, n: int) -> SegmentLook:
    """The look of the n-th segment."""
    look = slicer.vtkSegment()
    look.DeepCopyMetadata(segmentation.GetNthSegment(n))
    return SegmentLook(segmentation.GetNthSegmentID(n), look)


def looksOfLabelMap(node, values: list[int]) -> dict[int, SegmentLook]:
    """The look of each label that has a name in the colour table of a label map volume."""
    colors = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    return {v: look for v in values if (look := lookInTable(colors, v)) is not None}


def lookInTable(colors, value: int) -> SegmentLook | None:
    """The look that a colour table gives to a label; None if it has none for it."""
    if colors is None or not 0 <= value < colors.GetNumberOfColors() or not colors.GetColorName(value):
        return None
    color = [0.0] * 4
    colors.GetColor(value, color)
    look = slicer.vtkSegment()
    look.SetName(colors.GetColorName(value))
    look.SetColor(color[:3])
    return SegmentLook("", look)


def lookOfClass(value: int) -> SegmentLook:
    """The look of a class that has no name."""
    look = slicer.vtkSegment()
    look.SetName(_("Class {n}").format(n=value))
    look.SetColor(colorsys.hsv_to_rgb(value * GOLDEN_RATIO % 1, 0.6, 0.9))
    return SegmentLook("", look)


def labelMapOf(node, shape: tuple[int, int, int], affine: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
    """The label map (k, j, i) of all segments, shown or hidden, on a grid; and whether any two overlap.

    Labels are 1…n in the order of the segments; where segments overlap, the later one counts. A parent transform is
    applied, the node untouched. Yields after every slab; complete with the last one.
    """
    segmentation, toWorld = node.GetSegmentation(), None
    transform = node.GetParentTransformNode()
    if transform is not None:
        toWorld = vtk.vtkGeneralTransform()
        transform.GetTransformToWorld(toWorld)
    if not segmentation.ContainsRepresentation(LABEL_MAP):
        segmentation, toWorld = voxelized(node, toWorld, imageOn(affine, shape)), None
    count = segmentation.GetNumberOfSegments()
    labels = np.zeros(shape, np.uint8 if count < 256 else np.uint16)
    layers = [(segmentation.GetLayerDataObject(n, LABEL_MAP), tableOf(segmentation, n, labels.dtype))
              for n in range(segmentation.GetNumberOfLayers(LABEL_MAP))]  # fmt: skip
    layers = [(image, table) for image, table in layers if image is not None and not image.IsEmpty()]
    overlap = False
    step = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        part = labels[start : start + step]
        moved = affine.copy()
        moved[:3, 3] += start * affine[:3, 2]
        grid = imageOn(moved, part.shape)
        for image, table in layers:
            found = table[np.clip(resampled(image, grid, toWorld, part.shape), 0, len(table) - 1)]
            overlap = overlap or bool(((part > 0) & (found > 0)).any())
            np.maximum(part, found, out=part)
            yield labels, overlap
    yield labels, overlap


def voxelized(node, toWorld, grid):
    """A copy of a segmentation in the world whose segments (surfaces, contours) have been made voxels of `grid`."""
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(node.GetSegmentation())
    if toWorld is not None:
        copy.ApplyNonLinearTransform(toWorld)
    copy.SetConversionParameter(GEOMETRY, slicer.vtkSegmentationConverter.SerializeImageGeometry(grid))
    if not copy.CreateRepresentation(LABEL_MAP):
        raise InputProblem(
            _("{name} cannot be turned into a label map").format(name=node.GetName()),
            _("Create its binary label map in the module Segmentations, or choose another segmentation."),
        )
    return copy


def tableOf(segmentation, layer: int, dtype) -> np.ndarray:
    """Value in the image of a layer → label; values of no segment, and beyond the table's end, → 0."""
    labels = {}
    for segmentID in segmentation.GetSegmentIDsForLayer(layer, LABEL_MAP):
        value = segmentation.GetSegment(segmentID).GetLabelValue()
        labels[value] = segmentation.GetSegmentIndex(segmentID) + 1
    table = np.zeros(max(labels, default=0) + 2, dtype)
    table[list(labels)] = list(labels.values())
    return table


def imageOn(affine: np.ndarray, shape: tuple[int, int, int]):
    """An empty image with a place in the world."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*shape[::-1])
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affine))
    return image


def resampled(image, grid, toWorld, shape: tuple[int, int, int]) -> np.ndarray:
    """The nearest voxels of an oriented image, 0 where it has none."""
    found = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        image, grid, found, False, False, toWorld
    )
    # as indices: a small type may not hold the length of a table
    return vtk_to_numpy(found.GetPointData().GetScalars()).reshape(shape).astype(np.intp)


def makeSegmentation(image, affine: np.ndarray, values: list[int], looks: dict[int, SegmentLook]):
    """A segmentation node, not yet in the scene: a segment for each label but 0, all in one shared label map."""
    shared = slicer.vtkOrientedImageData()
    shared.ShallowCopy(image)
    shared.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affine))
    node = slicer.vtkMRMLSegmentationNode()
    for value in values:
        if value == 0:
            continue
        look = looks.get(value) or lookOfClass(value)
        segment = slicer.vtkSegment()
        segment.DeepCopyMetadata(look.segment)
        segment.SetLabelValue(value)
        segment.AddRepresentation(LABEL_MAP, shared)
        segmentID = look.segmentID or node.GetSegmentation().GenerateUniqueSegmentID(segment.GetName())
        node.GetSegmentation().AddSegment(segment, segmentID)
    return node
