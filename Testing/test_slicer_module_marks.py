"""Results in the scene say that they were made, and by what; on request the views say so, too."""

from __future__ import annotations

import pytest
from scenes import QUICK, run_and_wait, small_volume

import INRSuperResolutionLib as inrsr

pytestmark = pytest.mark.usefixtures("warm_workers")


def edge_texts(host) -> dict[str, str]:
    """At the upper edge of each slice view."""
    import vtk

    manager = host.layout_manager
    views = {name: manager.sliceWidget(name).sliceView() for name in manager.sliceViewNames()}
    return {name: v.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge) or "" for name, v in views.items()}


def made(host, slicer, panel, method):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = method
    run = run_and_wait(host, panel)
    assert run.nodes, run.asText()
    return run.nodes[0]


def test_views_that_show_a_result_say_so(host, slicer, panel):
    result = made(host, slicer, panel, "cubic")
    told = f"Interpolated, not AI, research use: cubic, inrsr {inrsr.__version__}"
    assert result.GetAttribute("INRSuperResolution.Mark") == result.GetDescription() == told
    box = panel.ui.markCheckBox
    assert not box.checked and set(edge_texts(host).values()) == {""}
    other = small_volume(slicer, "FLAIR")
    slicer.util.setSliceViewerLayers(background=result)
    box.click()
    assert set(edge_texts(host).values()) == {told}
    slicer.util.setSliceViewerLayers(background=other, foreground=result, foregroundOpacity=0)
    assert set(edge_texts(host).values()) == {""}
    slicer.util.setSliceViewerLayers(foregroundOpacity=0.5)
    assert set(edge_texts(host).values()) == {told}
    slicer.util.getNode("vtkMRMLSliceCompositeNodeRed").SetForegroundVolumeID(None)
    assert edge_texts(host) == {"Red": "", "Yellow": told, "Green": told}
    panel.exit()
    assert edge_texts(host)["Green"] == told, "it stays while other modules are used"
    slicer.mrmlScene.Clear()
    assert set(edge_texts(host).values()) == {""}


def test_a_checkerboard_is_marked_as_its_result(host, slicer, panel):
    result = made(host, slicer, panel, "linear")
    panel.ui.markCheckBox.click()
    panel.ui.checkerboardButton.click()
    assert set(edge_texts(host).values()) == {result.GetAttribute("INRSuperResolution.Mark")}
    panel.ui.markCheckBox.click()
    assert set(edge_texts(host).values()) == {""}


def test_what_networks_made_is_called_ai(slicer, host, panel):
    small_volume(slicer)
    panel.enter()
    from INRSuperResolution import Request

    node = slicer.util.getNode("T1")
    run = panel.logic.start(Request(inputIDs=[node.GetID()], method="siren", settings={"epochs": QUICK["epochs"]}))
    from scenes import wait_for

    wait_for(host, run)
    assert run.nodes[0].GetAttribute("INRSuperResolution.Mark").startswith("AI-generated, research use: siren")
