"""Helpers of the tests of the Slicer module: segmentations in the scene."""

from __future__ import annotations

import numpy as np

# enough to see that SeCo-INR goes all the way
QUICK_SECO = {"epochs": 2, "volume_epochs": 1, "width": 32, "class_epochs": 1, "class_width": 16}
SHAPE = (5, 12, 10)
NAMES = ("Bone", "Fat", "Tumour")
COLORS = ((0.9, 0.8, 0.5), (0.2, 0.7, 0.1), (1.0, 0.0, 0.2))


def small_labels() -> np.ndarray:
    """Three regions without symmetry, (k, j, i)."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 1:6, 1:8] = 1
    labels[1:, 6:11, 2:9] = 2
    labels[2:4, 3:9, 4:6] = 3
    return labels


def segmentation_of(slicer, labels, affine, *, layers=False, name="Anatomy"):
    """A segmentation node with a segment for each label, in one layer or each in its own."""
    from vtk.util.numpy_support import numpy_to_vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()

    def image(values):
        made = slicer.vtkOrientedImageData()
        made.SetDimensions(*values.shape[::-1])
        made.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(affine))
        made.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
        return made

    shared = image(labels)
    for n, value in enumerate(v for v in np.unique(labels) if v):
        segment = slicer.vtkSegment()
        segment.SetName(NAMES[n])
        segment.SetColor(COLORS[n])
        segment.SetLabelValue(1 if layers else int(value))
        segment.AddRepresentation("Binary labelmap", image((labels == value).astype(np.uint8)) if layers else shared)
        node.GetSegmentation().AddSegment(segment, f"id{n}")
    return node


def label_map_of(slicer, labels, affine, name="Labels"):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, labels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    return node


def exported(node, shape, affine):
    """What goes to the worker."""
    from INRSuperResolutionModule.scene.segmentations import labelMapOf

    return list(labelMapOf(node, shape, affine))[-1]


def by_simpleitk(slicer, labels, source, shape, target):
    """`labels` on another grid, nearest neighbour, computed in LPS by SimpleITK."""
    import SimpleITK as sitk

    def place(image, affine):
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        lps = np.diag([-1, -1, 1])
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps @ affine[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin((lps @ affine[:3, 3]).tolist())
        return image

    reference = place(sitk.Image([int(n) for n in shape[::-1]], sitk.sitkUInt8), target)
    moved = sitk.Resample(
        place(sitk.GetImageFromArray(labels), source), reference, sitk.Transform(), sitk.sitkNearestNeighbor
    )
    return sitk.GetArrayFromImage(moved)
