"""Segmentations in the Slicer module: into a run and out of it, in SlicerHost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scenes import affine_of, assert_as_before, nonlinear_shift, run_and_wait, scene_ids, small_volume, wait, wait_for
from segments import (
    COLORS,
    NAMES,
    QUICK_SECO,
    SHAPE,
    by_simpleitk,
    exported,
    label_map_of,
    segmentation_of,
    small_labels,
)

pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.mark.parametrize("layers", [False, True])
def test_export_on_the_own_grid_is_exact(slicer, layers):
    volume, labels = small_volume(slicer), small_labels()
    labels[labels == 3] = 255
    node = segmentation_of(slicer, labels, affine_of(slicer, volume), layers=layers)
    before = scene_ids(slicer)
    # hidden segments count as well
    node.GetDisplayNode().SetSegmentVisibility("id1", False)
    node.GetDisplayNode().SetVisibility(False)
    found, overlap = exported(node, SHAPE, affine_of(slicer, volume))
    assert np.array_equal(found, small_labels()) and not overlap
    assert scene_ids(slicer) == before


def test_export_on_another_grid_equals_simpleitk(slicer, monkeypatch):
    """A finer segmentation on other axes, in slabs, on the oblique, left-handed grid of the volume."""
    from INRSuperResolutionModule.scene import segmentations

    monkeypatch.setattr(segmentations, "SLAB_VOXELS", 200)
    volume = small_volume(slicer)
    target = affine_of(slicer, volume)
    turn = np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]])
    source = np.eye(4)
    source[:3, :3] = turn @ np.diag([0.7, 0.6, 1.3])
    source[:3, 3] = (target @ [*(np.array(SHAPE[::-1]) - 1) / 2, 1])[:3] - source[:3, :3] @ [14, 16, 6]
    labels = np.random.default_rng(0).integers(0, 4, (13, 33, 29)).astype(np.uint8)
    found, _ = exported(segmentation_of(slicer, labels, source), SHAPE, target)
    expected = by_simpleitk(slicer, labels, source, SHAPE, target)
    assert (expected > 0).mean() > 0.4
    # two at most: a centre half way between two voxels
    assert (found != expected).sum() <= 2


def test_export_labels_follow_the_order_of_the_list_and_later_segments_win(slicer):
    volume, labels = small_volume(slicer), small_labels()
    affine = affine_of(slicer, volume)
    node = segmentation_of(slicer, labels, affine)
    segmentation = node.GetSegmentation()
    segmentation.SetSegmentIndex("id0", 2)  # Fat, Tumour, Bone
    found, _ = exported(node, SHAPE, affine)
    assert np.array_equal(found, np.array([0, 3, 1, 2])[labels])
    # a fourth one over all, in a layer of its own
    other = segmentation_of(slicer, np.ones(SHAPE, np.uint8), affine).GetSegmentation()
    segmentation.CopySegmentFromSegmentation(other, "id0", False)
    found, overlap = exported(node, SHAPE, affine)
    assert segmentation.GetNumberOfSegments() == 4 and overlap and (found == 4).all()


@pytest.mark.parametrize("which", ["segmentation", "volume", "both"])
def test_export_with_transforms(slicer, which):
    import vtk

    volume, labels = small_volume(slicer), small_labels()
    own = affine_of(slicer, volume)
    move = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
    # placed so that in the world, the segmentation lies on the volume's voxels
    grid = own if which in ("segmentation", "both") else move @ own
    node = segmentation_of(slicer, labels, grid)
    if which in ("segmentation", "both"):
        node.SetAndObserveTransformNodeID(transform.GetID())
    world = move @ own
    found, _ = exported(node, SHAPE, world)
    assert np.array_equal(found, labels)
    inside = vtk.vtkMatrix4x4()
    node.GetBinaryLabelmapInternalRepresentation("id0").GetImageToWorldMatrix(inside)
    assert np.array_equal(slicer.util.arrayFromVTKMatrix(inside), slicer.util.arrayFromVTKMatrix(slicer.util.vtkMatrixFromArray(grid)))  # fmt: skip


def test_export_with_a_nonlinear_transform(slicer):

    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    labels = small_labels()
    transform = nonlinear_shift(slicer)
    node = segmentation_of(slicer, labels, affine)
    node.SetAndObserveTransformNodeID(transform.GetID())
    volume = label_map_of(slicer, labels, affine)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    found, _ = exported(node, SHAPE, affine)
    assert np.array_equal(found[:, :, 3:], labels[:, :, :-3])
    from INRSuperResolutionModule.scene.inputs import pixelsAndPlace

    values, _ = pixelsAndPlace(volume)
    assert set(np.unique(values)) <= {0, 1, 2, 3}, "labels are not interpolated"


def test_export_of_surfaces(slicer):
    """A segmentation that has no voxels yet, as one that was made from models."""
    # large enough for surfaces, which are smoothed
    labels, affine = np.kron(small_labels(), np.ones((4, 4, 4), np.uint8)), np.eye(4)
    voxels = segmentation_of(slicer, labels, affine)
    voxels.CreateClosedSurfaceRepresentation()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    node.SetSourceRepresentationToClosedSurface()
    for n in range(3):
        segment = slicer.vtkSegment()
        segment.SetName(NAMES[n])
        segment.AddRepresentation("Closed surface", voxels.GetClosedSurfaceInternalRepresentation(f"id{n}"))
        node.GetSegmentation().AddSegment(segment)
    found, _ = exported(node, labels.shape, affine)
    assert (found == labels).mean() > 0.95
    shift = np.array([[1, 0, 0, 2], [0, 1, 0, -3], [0, 0, 1, 5], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    node.SetAndObserveTransformNodeID(transform.GetID())
    found, _ = exported(node, labels.shape, shift @ affine)
    assert (found == labels).mean() > 0.95
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap"), "the node is untouched"


def assert_same_grid(slicer, volume, segmentation):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    segmentation_id = segmentation.GetSegmentation().GetNthSegmentID(0)
    image = segmentation.GetBinaryLabelmapInternalRepresentation(segmentation_id)
    image.GetImageToWorldMatrix(matrix)
    assert image.GetDimensions() == volume.GetImageData().GetDimensions()
    corner = [*np.array(image.GetDimensions()) - 1, 1]
    for place in ([0, 0, 0, 1], corner):
        shift = (slicer.util.arrayFromVTKMatrix(matrix) - affine_of(slicer, volume)) @ place
        assert np.abs(shift).max() <= 1e-6


def test_segmentation_in_and_out(host, slicer, panel):
    volume, labels = small_volume(slicer), small_labels()
    node = segmentation_of(slicer, labels, affine_of(slicer, volume))
    node.GetDisplayNode().SetSegmentVisibility("id2", False)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), folder)
    before = scene_ids(slicer)
    panel.enter()
    p = panel._parameterNode
    p.method, p.segmentation = "seco", node
    p.settings = json.dumps(QUICK_SECO)
    run = run_and_wait(host, panel)
    assert run.state.value == "done", run.asText()
    result, made = run.nodes
    assert made.GetClassName() == "vtkMRMLSegmentationNode"
    assert made.GetName() == "T1 segmentation (SeCo-INR, 0.9 mm)"
    assert_same_grid(slicer, result, made)
    segments = [made.GetSegmentation().GetNthSegment(n) for n in range(made.GetSegmentation().GetNumberOfSegments())]
    assert [s.GetName() for s in segments] == list(NAMES)
    assert np.allclose([s.GetColor() for s in segments], COLORS)
    assert [s.GetLabelValue() for s in segments] == [1, 2, 3]
    # in the world: where the input's voxel centres lie, the result mostly says what the input said
    found, overlap = exported(made, SHAPE, affine_of(slicer, volume))
    assert not overlap and (found == labels).mean() > 0.8
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made)) == folder
    assert made.GetAttribute("INRSuperResolution.SegmentationID") == node.GetID()
    kinds = {slicer.mrmlScene.GetNodeByID(i).GetClassName() for i in scene_ids(slicer) - before}
    assert {"vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"} <= kinds
    assert "vtkMRMLLabelMapVolumeNode" not in kinds
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    # again from the same fit: the same segments on another grid
    again = wait_for(host, panel.logic.resample(result, spacing=[2.0]))
    assert again.state.value == "done", again.asText()
    coarse, coarse_segments = again.nodes
    assert_same_grid(slicer, coarse, coarse_segments)
    assert coarse_segments.GetSegmentation().GetNthSegment(2).GetName() == "Tumour"


def test_label_map_volume_in_with_its_colours(slicer, logic):
    volume, labels = small_volume(slicer), small_labels()
    labels[labels == 3] = 7
    node = label_map_of(slicer, labels, affine_of(slicer, volume))
    node.CreateDefaultDisplayNodes()
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "Organs")
    table.SetTypeToUser()
    table.SetNumberOfColors(8)
    table.SetColor(1, "Liver", 0.8, 0.3, 0.2, 1)
    table.SetColor(7, "Spleen", 0.4, 0.2, 0.5, 1)
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    _result, made = logic.process([volume], "seco", segmentation=node, settings=QUICK_SECO)
    segmentation = made.GetSegmentation()
    segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    assert [(s.GetLabelValue(), s.GetName()) for s in segments] == [(1, "Liver"), (2, "Class 2"), (7, "Spleen")]
    assert np.allclose(segments[2].GetColor(), (0.4, 0.2, 0.5), atol=1 / 255)


def test_automatic_classes_come_out_if_asked_for(slicer, logic):
    """That none come out if not asked for, the test of the result of every method sees."""
    volume = small_volume(slicer)
    # few grey values: thresholds between many take seconds to find
    slicer.util.updateVolumeFromArray(volume, 100.0 * (slicer.util.arrayFromVolume(volume) // 50))
    _result, made = logic.process(volume, "seco", settings=QUICK_SECO, segmentationOutput=True)
    segmentation = made.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert len(names) >= 2 and names == [f"Class {n + 1}" for n in range(len(names))]
    assert len({segmentation.GetNthSegment(n).GetColor() for n in range(len(names))}) == len(names)


def test_without_a_super_resolved_segmentation(slicer, logic):
    volume = small_volume(slicer)
    node = segmentation_of(slicer, small_labels(), affine_of(slicer, volume))
    results = logic.process(volume, "seco", segmentation=node, settings=QUICK_SECO, segmentationOutput=False)
    assert len(results) == 1
    assert results[0].GetAttribute("INRSuperResolution.SegmentationID") == node.GetID()


def test_region_and_transform_with_a_segmentation(slicer, logic):
    """The volume moved with its segmentation, and cut to a region: in the world, the labels stay where they are."""
    matrix = np.diag([1.0, 1.0, 4.0, 1.0])
    volume = small_volume(slicer, shape=(8, 30, 28), matrix=matrix)
    labels = np.zeros((8, 30, 28), np.uint8)
    labels[2:6, 10:20, 8:16] = 1
    node = segmentation_of(slicer, labels, matrix)
    move = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(move))
    for moved in (volume, node):
        moved.SetAndObserveTransformNodeID(transform.GetID())
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenter(*(move @ [12, 15, 16, 1])[:3])
    roi.SetSize(12, 12, 20)
    result, made = logic.process(volume, "seco", segmentation=node, settings=QUICK_SECO, roiID=roi.GetID(), scale=1.0)
    assert_same_grid(slicer, result, made)
    found, _ = exported(made, result.GetImageData().GetDimensions()[::-1], affine_of(slicer, result))
    expected, _ = exported(node, found.shape, affine_of(slicer, result))
    assert 0.05 < expected.mean() < 0.9 and (found == expected).mean() > 0.8
    assert node.GetParentTransformNode() is transform and made.GetParentTransformNode() is None


def test_labels_elsewhere_are_told_with_advice(slicer, logic):
    volume = small_volume(slicer)
    away = affine_of(slicer, volume)
    away[:3, 3] += 1000
    for node in (
        segmentation_of(slicer, small_labels(), away, name="Far"),
        label_map_of(slicer, small_labels(), away, name="Far map"),
    ):
        before = scene_ids(slicer)
        with pytest.raises(RuntimeError, match=rf"{node.GetName()}.* lies in T1.*choose no segmentation"):
            logic.process(volume, "seco", segmentation=node, settings=QUICK_SECO)
        assert_as_before(slicer, before)


def test_too_many_labels_and_other_methods_are_told(slicer, logic):
    volume = small_volume(slicer)
    many = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    node = label_map_of(slicer, many, affine_of(slicer, volume), name="Superpixels")
    with pytest.raises(RuntimeError, match=r"Superpixels has 600 labels in this image, at most 64.* Merge them"):
        logic.process(volume, "seco", segmentation=node, settings=QUICK_SECO)
    with pytest.raises(RuntimeError, match="uses no labels"):
        logic.process(volume, "linear", segmentation=node)
    with pytest.raises(RuntimeError, match="Tick Semantics"):
        logic.process(volume, "seco", settings={**QUICK_SECO, "semantics": False}, segmentationOutput=True)


def test_overlap_is_a_warning(slicer, logic):
    volume = small_volume(slicer)
    affine = affine_of(slicer, volume)
    node = segmentation_of(slicer, small_labels(), affine)
    other = segmentation_of(slicer, np.ones(SHAPE, np.uint8), affine).GetSegmentation()
    node.GetSegmentation().CopySegmentFromSegmentation(other, "id0", False)
    node.GetSegmentation().SetSegmentIndex(node.GetSegmentation().GetNthSegmentID(3), 0)
    logic.process(volume, "seco", segmentation=node, settings=QUICK_SECO)
    assert "Segments of Anatomy overlap" in logic.queue.runs[-1].warnings[0]


def test_deleted_segmentation(host, slicer, logic):
    from INRSuperResolution import Request

    volume = small_volume(slicer)
    node = segmentation_of(slicer, small_labels(), affine_of(slicer, volume))
    settings = {**QUICK_SECO, "volume_epochs": 100000}
    request = Request([volume.GetID()], "seco", settings=settings, segmentationID=node.GetID(), segmentationOutput=True)
    run, waiting = logic.start(request), logic.start(request)
    wait(host, lambda: run.stage == "fit" or run.isEnded)
    assert run.stage == "fit", run.asText()
    slicer.mrmlScene.RemoveNode(node)
    wait(host, lambda: run.isEnded, 10)
    for stopped in (run, waiting):
        assert stopped.state.value == "cancelled" and "Anatomy was deleted" in stopped.message
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    with pytest.raises(RuntimeError, match="the segmentation was deleted Choose another"):
        logic.process(volume, "seco", segmentationID=request.segmentationID)
