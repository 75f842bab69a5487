"""Results of runs in the scene: values, place and provenance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scenes import affine_of, nonlinear_shift, quick_settings, run_and_wait, scene_ids, small_volume

from INRSuperResolutionLib.methods import METHODS

pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.mark.parametrize("method", METHODS)
def test_result_of_every_method(host, slicer, panel, tmp_path_factory, method):
    volumes = [small_volume(slicer), small_volume(slicer, "FLAIR", seed=5)]
    volumes[0].GetDisplayNode().SetAutoWindowLevel(False)
    volumes[0].GetDisplayNode().SetWindowLevel(77, 33)
    before = scene_ids(slicer)
    panel.enter()
    p = panel._parameterNode
    p.method, p.inputVolume, p.furtherContrasts = method, volumes[0], [volumes[1]]
    p.preset = "fast"
    p.settings = json.dumps(quick_settings(method, tmp_path_factory.mktemp("weights")))
    run = run_and_wait(host, panel)
    assert run.state.value == "done", run.asText()
    used = volumes[: METHODS[method].max_inputs]
    assert len(run.nodes) == len(used)
    assert run.secondsToFirstEvent <= 5
    result = run.nodes[0]
    # where the voxel centres must lie: the library's rule, written out; edges of the first voxel kept, mm
    inner, old = affine_of(slicer, result), affine_of(slicer, volumes[0])
    directions = old[:3, :3] / np.linalg.norm(old[:3, :3], axis=0)
    spacing = np.linalg.norm(old[:3, :3], axis=0).min()
    assert np.allclose(inner[:3, :3], directions * spacing, atol=1e-9)
    size = np.array(result.GetImageData().GetDimensions())
    centre_old = old @ [*(np.array(volumes[0].GetImageData().GetDimensions()) - 1) / 2, 1]
    assert np.abs(inner @ [*(size - 1) / 2, 1] - centre_old).max() <= 1e-6
    # and against SimpleITK, which computes in LPS by itself
    image = sitk.Image([int(n) for n in size], sitk.sitkFloat32)
    image.SetSpacing(list(result.GetSpacing()))
    image.SetOrigin([-inner[0, 3], -inner[1, 3], inner[2, 3]])
    image.SetDirection((np.diag([-1, -1, 1]) @ inner[:3, :3] / np.linalg.norm(inner[:3, :3], axis=0)).ravel().tolist())
    for corner in ([0, 0, 0], (size - 1).tolist()):
        lps = np.array(image.TransformIndexToPhysicalPoint([int(c) for c in corner]))
        assert np.abs(lps * [-1, -1, 1] - (inner @ [*corner, 1])[:3]).max() <= 1e-6
    assert result.GetDisplayNode().GetWindow() == 77 and result.GetDisplayNode().GetLevel() == 33
    assert result.GetAttribute("INRSuperResolution.Method") == method
    assert result.GetAttribute("INRSuperResolution.InputIDs").split() == [v.GetID() for v in used]
    assert result.GetName().startswith("T1 (")
    assert panel._parameterNode.result is result
    added = {slicer.mrmlScene.GetNodeByID(i).GetClassName() for i in scene_ids(slicer) - before}
    assert added <= {"vtkMRMLScalarVolumeNode", "vtkMRMLScalarVolumeDisplayNode", "vtkMRMLTextNode",
                     "vtkMRMLTextStorageNode"}  # fmt: skip
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_linear_result_equals_simpleitk(host, slicer, logic, data_folder):
    """A real thick-slice scan; values against SimpleITK's own linear interpolation."""
    path = data_folder / "clinical01_flair.nii.gz"
    node = host.load_volume(path, "FLAIR")
    (result,) = logic.process(node, "linear", spacing=2.0)
    affine = affine_of(slicer, result)
    reference = sitk.Image([int(n) for n in result.GetImageData().GetDimensions()], sitk.sitkFloat32)
    reference.SetSpacing(list(result.GetSpacing()))
    reference.SetOrigin([-affine[0, 3], -affine[1, 3], affine[2, 3]])
    reference.SetDirection((np.diag([-1, -1, 1]) @ affine[:3, :3] / result.GetSpacing()).ravel().tolist())
    expected = sitk.GetArrayFromImage(sitk.Resample(sitk.ReadImage(str(path), sitk.sitkFloat32), reference))
    ours = slicer.util.arrayFromVolume(result)
    inside = expected > 0  # at the rim, SimpleITK puts 0 where we repeat the edge
    assert inside.mean() > 0.3
    # whole grey levels: the file type of the input is an integer
    assert np.abs(ours - expected)[inside].max() <= 0.51 + 1e-3 * expected.max()


def test_transform_is_hardened_and_the_input_untouched(host, slicer, logic):
    volume = small_volume(slicer)
    turn = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    before = affine_of(slicer, volume)
    (result,) = logic.process(volume, "nearest", scale=1.0)
    assert np.allclose(affine_of(slicer, result), turn @ before, atol=1e-9)
    assert volume.GetParentTransformNode() is transform and np.array_equal(affine_of(slicer, volume), before)
    assert result.GetParentTransformNode() is None


def test_nonlinear_transform_is_hardened(slicer, logic):
    """A grid transform that shifts everything by 3 mm: the result is the input moved, the input is untouched."""

    volume = small_volume(slicer, shape=(8, 30, 30), matrix=np.diag([1.0, 1.0, 3.0, 1.0]))
    before = slicer.util.arrayFromVolume(volume).copy()
    transform = nonlinear_shift(slicer)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    nodes = scene_ids(slicer)
    (result,) = logic.process(volume, "nearest", scale=1.0)
    assert volume.GetParentTransformNode() is transform
    assert np.array_equal(slicer.util.arrayFromVolume(volume), before)
    assert all("copy" not in i for i in scene_ids(slicer) - nodes)
    # where the input's voxel 10, 15, 4 has gone: 3 mm along R
    place = np.linalg.inv(affine_of(slicer, result)) @ [13, 15, 12, 1]
    i, j, k = place[:3].round().astype(int)
    assert abs(slicer.util.arrayFromVolume(result)[k, j, i] - before[4, 15, 10]) < 1.0


def test_region_of_interest(slicer, logic):
    matrix = np.diag([1.0, 1.0, 4.0, 1.0])
    volume = small_volume(slicer, shape=(10, 40, 40), matrix=matrix)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenter(20, 20, 20)
    roi.SetSize(6, 6, 8)
    (result,) = logic.process(volume, "nearest", scale=1.0, roiID=roi.GetID())
    part = slicer.util.arrayFromVolume(result)
    i, j, k = (affine_of(slicer, result)[:3, 3] / [1, 1, 4]).round().astype(int)
    whole = slicer.util.arrayFromVolume(volume)
    n = part.shape
    assert np.array_equal(part, whole[k : k + n[0], j : j + n[1], i : i + n[2]])
    assert n[2] < 15 and i <= 17 and i + n[2] > 23
    roi.SetCenter(500, 0, 0)
    with pytest.raises(RuntimeError, match="outside"):
        logic.process(volume, "nearest", roiID=roi.GetID())


def test_like_another_volume(slicer, logic):
    volume, other = small_volume(slicer), small_volume(slicer, "Other", shape=(7, 8, 9))
    (result,) = logic.process(volume, "linear", likeID=other.GetID())
    assert result.GetImageData().GetDimensions() == (9, 8, 7)
    assert np.allclose(affine_of(slicer, result), affine_of(slicer, other), atol=1e-9)
