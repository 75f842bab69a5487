"""The section "Sharp zoom" of the panel, and the split line in a view."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from scenes import small_volume, wait


@pytest.fixture
def volume(slicer):
    matrix = np.diag([-1.0, 1.0, 3.0, 1.0])
    node = small_volume(slicer, shape=(6, 30, 26), matrix=matrix)
    manager = slicer.app.layoutManager()
    for name in ("Red", "Yellow", "Green"):
        logic = manager.sliceWidget(name).sliceLogic()
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(node.GetID())
        logic.GetSliceCompositeNode().SetForegroundVolumeID(None)
        logic.GetSliceNode().SetDimensions(120, 90, 1)
        logic.FitSliceToAll(120, 90)
    return node


def views(panel):
    return panel.zoomPanel.controller.views.values()


def test_on_and_off(host, slicer, volume, panel):
    ui = panel.ui
    assert not ui.zoomOpacitySlider.enabled
    assert ui.zoomSelector.currentNode() is volume
    count = slicer.mrmlScene.GetNumberOfNodes()
    ui.zoomButton.collapsed = False
    ui.zoomCheckBox.checked = True
    wait(host, lambda: ui.zoomStatusLabel.text == "All slices are encoded.")
    wait(host, lambda: all(v.isSharp for v in views(panel)))
    red = next(v for v in views(panel) if v.name == "Red")
    ui.zoomOpacitySlider.value = 40
    assert red.compositeNode.GetForegroundOpacity() == pytest.approx(0.4)
    columns = red.node.GetImageData().GetDimensions()[0]
    ui.zoomSplitSlider.value = 50
    wait(host, lambda: red.node.GetImageData().GetDimensions()[0] < columns)
    ui.zoomKeepButton.click()
    assert ui.zoomStatusLabel.text == "Kept: T1 Red, T1 Yellow, T1 Green"
    ui.zoomCheckBox.checked = False
    assert red.compositeNode.GetForegroundVolumeID() is None
    assert slicer.mrmlScene.GetNumberOfNodes() == count + 2 * 3  # the kept volumes with their displays
    assert not ui.zoomKeepButton.enabled


def test_a_function_is_saved_and_chosen(host, slicer, volume, panel, monkeypatch, tmp_path):
    import qt

    ui, path, combo = panel.ui, tmp_path / "mine.inr", panel.ui.zoomSourceCombo
    dialogs = {"getSaveFileName": lambda *_: str(path.with_suffix("")), "getOpenFileName": lambda *_: ""}
    monkeypatch.setattr(qt, "QFileDialog", type("", (), dialogs))
    assert not ui.zoomSaveButton.enabled
    ui.zoomCheckBox.checked = True
    wait(host, lambda: ui.zoomStatusLabel.text == "All slices are encoded.")
    ui.zoomSaveButton.click()
    wait(host, lambda: ui.zoomStatusLabel.text == f"Saved as {path}.")
    combo.currentIndex = combo.findData("choose")
    assert combo.currentIndex == 0, "the dialog was cancelled"
    monkeypatch.setattr(qt, "QFileDialog", type("", (), {"getOpenFileName": lambda *_: str(path)}))
    combo.currentIndex = combo.findData("choose")
    assert combo.currentText == "mine.inr"
    wait(host, lambda: ui.zoomStatusLabel.text == "All slices are encoded.")
    wait(host, lambda: all(v.isSharp for v in views(panel)))


def test_without_a_volume_it_says_so(slicer, panel):
    panel.ui.zoomCheckBox.checked = True
    assert panel.ui.zoomStatusLabel.text == "Choose a volume."
    assert not panel.ui.zoomCheckBox.checked


def test_the_split_line_is_dragged(host, slicer):
    from INRSuperResolutionModule.zoom.split import SplitLine

    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(True)
    window.SetSize(200, 100)
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    interactor.SetSize(200, 100)
    interactor.SetInteractorStyle(None)  # it would grab the mouse
    places, seen_by_view = [], []
    for event in ("LeftButtonPressEvent", "MouseMoveEvent"):
        interactor.AddObserver(event, lambda _o, e: seen_by_view.append(e))
    line = SplitLine(renderer, interactor, lambda place: (places.append(place), line.show(place)))
    line.show(0.5)

    def mouse(x, event):
        interactor.SetEventPosition(x, 50)
        interactor.InvokeEvent(event)

    mouse(150, "LeftButtonPressEvent")  # elsewhere: it is the view's
    mouse(160, "MouseMoveEvent")
    assert places == [] and len(seen_by_view) == 2
    mouse(103, "LeftButtonPressEvent")
    mouse(140, "MouseMoveEvent")
    mouse(500, "MouseMoveEvent")
    mouse(60, "MouseMoveEvent")
    mouse(60, "LeftButtonReleaseEvent")
    mouse(20, "MouseMoveEvent")
    assert places == [0.7, 1.0, 0.3]
    assert len(seen_by_view) == 3
    line.remove()
    assert renderer.GetViewProps().GetNumberOfItems() == 0
    mouse(60, "LeftButtonPressEvent")
    assert not line.isHeld
