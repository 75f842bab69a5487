"""What the views show: preview, comparison, chart; and that they are as before afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scenes import affine_of, assert_as_before, run_and_wait, scene_ids, slow_request, small_volume, wait

pytestmark = pytest.mark.usefixtures("warm_workers")


def test_preview_is_shown_and_leaves_no_trace(host, slicer, panel):
    """A fit that goes on until a preview has come, then is cancelled."""
    volume = small_volume(slicer)
    panel.enter()
    slicer.util.setSliceViewerLayers(background=volume)
    before = scene_ids(slicer)
    composite = slicer.util.getNode("vtkMRMLSliceCompositeNodeRed")
    run = panel.logic.start(slow_request(slicer, volume))
    wait(host, lambda: composite.GetBackgroundVolumeID() != volume.GetID() or run.isEnded)
    shown = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID())
    assert shown.GetName() == "T1 (preview)" and not shown.GetSaveWithScene(), run.asText()
    # the preview lies where the input lies: half a voxel of the coarse grid at most aside
    bounds = np.zeros((2, 6))
    shown.GetRASBounds(bounds[0])
    volume.GetRASBounds(bounds[1])
    assert np.abs(bounds[0] - bounds[1]).max() <= 4
    panel.logic.queue.cancel(run)
    wait(host, lambda: run.isEnded)
    assert_as_before(slicer, before)
    assert composite.GetBackgroundVolumeID() == volume.GetID()


def check_fields(slicer, mixed, result, run):
    """Every voxel of a checkerboard is the result's, or the input's as SimpleITK puts it there; both on half of it."""
    source = slicer.mrmlScene.GetNodeByID(run.request.inputIDs[0])
    grid, image = (sitk_image(slicer, node) for node in (run.nodes[0], source))
    extrapolated = -1e6
    moved = sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, extrapolated))
    inside = moved != extrapolated
    theirs, ours = np.isclose(mixed, moved, atol=1e-2), np.isclose(mixed, result, atol=1e-2)
    assert (theirs | ours)[inside].all()
    # where the two differ, the field says which one is shown
    differ = inside & ~np.isclose(moved, result, atol=2e-2)
    assert differ.mean() > 0.2
    assert 0.3 < theirs[differ].mean() < 0.7


def sitk_image(slicer, node) -> sitk.Image:
    """The volume of a node, in LPS."""
    image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(node))
    affine = np.diag([-1, -1, 1, 1]) @ affine_of(slicer, node)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


@pytest.mark.parametrize("mode", ["sideBySide", "flicker", "checkerboard"])
def test_comparison_and_back(host, slicer, panel, mode):
    small_volume(slicer, shape=(6, 24, 22))
    panel.enter()
    panel._parameterNode.method = "nearest"  # unlike the slice views, so that the two can be told apart
    run = run_and_wait(host, panel)
    before = scene_ids(slicer)
    red, yellow = (slicer.util.getNode(f"vtkMRMLSliceCompositeNode{n}") for n in ("Red", "Yellow"))
    assert red.GetBackgroundVolumeID() == run.nodes[0].GetID()
    button = panel.panel.result.compareButtons[mode]
    button.click()
    if mode == "sideBySide":
        assert red.GetBackgroundVolumeID() == run.request.inputIDs[0]
        assert yellow.GetBackgroundVolumeID() == run.nodes[0].GetID()
        assert red.GetLinkedControl() and yellow.GetLinkedControl()
    elif mode == "flicker":
        seen = set()
        wait(host, lambda: seen.add(red.GetForegroundOpacity()) or seen == {0.0, 1.0}, 5)
    else:
        board = slicer.mrmlScene.GetNodeByID(red.GetBackgroundVolumeID())
        mixed, result = slicer.util.arrayFromVolume(board), slicer.util.arrayFromVolume(run.nodes[0])
        check_fields(slicer, mixed, result, run)
    button.click()
    assert scene_ids(slicer) == before
    assert red.GetBackgroundVolumeID() == run.nodes[0].GetID() and not red.GetForegroundVolumeID()


def test_chart_of_loss_and_mutual_information(host, slicer, panel):
    """Both in one plot, live; hidden, not saved, and gone without a trace with the second click."""
    from INRSuperResolutionModule.runs.run import Run

    volume = small_volume(slicer)
    panel.enter()
    panel.parent.show()
    before, layout = scene_ids(slicer), slicer.app.layoutManager().layout
    run = panel.panel.run.shown = Run(panel.panel.choices.request().replace(inputIDs=[volume.GetID()]), "INR")
    run.metrics = [(1.0, {"loss": 0.5}), (2.0, {"loss": 0.25, "mutual_information": 0.8})]
    panel.panel.run.redraw()
    assert panel.ui.chartButton.visible
    panel.ui.chartButton.click()
    run.metrics.append((3.0, {"loss": 0.125, "mutual_information": 0.9}))
    panel.panel.run.redraw()
    (chart,) = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert chart.GetNumberOfPlotSeriesNodes() == 2 and not chart.GetSaveWithScene() and chart.GetHideFromEditors()
    drawn = {}
    for n in range(2):
        series = chart.GetNthPlotSeriesNode(n)
        table = series.GetTableNode().GetTable()
        columns = [table.GetColumnByName(name) for name in (series.GetXColumnName(), series.GetYColumnName())]
        drawn[series.GetName()] = [tuple(c.GetValue(row) for c in columns) for row in range(table.GetNumberOfRows())]
    assert drawn == {
        "loss": [(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)],
        "mutual information (nats)": [(2.0, 0.8), (3.0, 0.9)],
    }
    plots = slicer.modules.plots.logic()
    assert slicer.app.layoutManager().layout == plots.GetLayoutWithPlot(layout)
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlotChartID() == chart.GetID()
    panel.ui.chartButton.click()
    assert scene_ids(slicer) == before and slicer.app.layoutManager().layout == layout
