"""The panel of the Slicer module, driven as a user does, in SlicerHost (real MRML, real logics, real widgets)."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from scenes import affine_of, run_and_wait, small_volume, wait
from segments import label_map_of, segmentation_of, small_labels

from INRSuperResolutionLib.auto import choose
from INRSuperResolutionLib.image.grid import Grid
from INRSuperResolutionLib.methods import METHODS

pytestmark = pytest.mark.usefixtures("warm_workers")


def test_run_is_disabled_with_the_reason(host, slicer, panel):
    assert not panel.ui.runButton.enabled
    assert "Load a volume" in panel.ui.runButton.toolTip
    volume = small_volume(slicer)
    panel.enter()
    assert panel._parameterNode.inputVolume is volume, "a single volume is chosen by itself"
    assert panel.ui.runButton.enabled
    panel._parameterNode.method = "multicontrast"
    assert not panel.ui.runButton.enabled
    assert "at least 2" in panel.ui.runButton.toolTip
    small_volume(slicer, "FLAIR")
    host.process_events()
    panel.ui.contrastsList.item(0).setCheckState(sys.modules["qt"].Qt.Checked)
    assert panel.ui.runButton.enabled
    assert [n.GetName() for n in panel._parameterNode.furtherContrasts] == ["FLAIR"]


def test_only_what_the_method_needs_is_shown(slicer, panel):
    small_volume(slicer), small_volume(slicer, "FLAIR")
    panel.enter()
    panel.parent.show()
    panel._parameterNode.method = "linear"
    assert not panel.ui.qualityCombo.visible and not panel.ui.spacingSpinBox.visible
    panel._parameterNode.method = "single-contrast"
    panel._parameterNode.outputMode = "spacing"
    assert panel.ui.qualityCombo.visible and panel.ui.spacingSpinBox.visible
    names = {panel.panel.options.settingsForm._layout.itemAt(n).widget().objectName for n in range(22)}
    assert {"setting_width", "setting_learning_rate", "setting_mixed_precision"} <= names


def test_bound_boxes_keep_their_limits(slicer, panel):
    """Slicer's wrapper takes the limits of a box from the annotation and forgets those of the UI file."""
    ui = panel.ui
    limits = {
        name: (getattr(ui, name).minimum, getattr(ui, name).maximum)
        for name in ("spacingSpinBox", "factorSpinBox", "seedSpinBox", "limitSpinBox", "thicknessSpinBox")
    }
    assert limits == {
        "spacingSpinBox": (0.1, 20.0), "factorSpinBox": (1.0, 16.0), "seedSpinBox": (0, 999999), "limitSpinBox": (0.0, 600.0),
        "thicknessSpinBox": (0.0, 100.0),
    }  # fmt: skip
    assert ui.limitSpinBox.text == "none"


def test_changed_settings_are_kept_and_used(slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "single-contrast"
    form = panel.panel.options.settingsForm
    form._widgets["width"].value = 32
    form._widgets["learning_rate"].text = "0,005"
    form._widgets["learning_rate"].editingFinished.emit()
    assert panel.panel.choices.request().settings == {"width": 32, "learning_rate": 0.005}
    panel._parameterNode.preset = "paper"
    panel.ui.methodCombo.currentIndex = panel.ui.methodCombo.findData("linear")
    assert panel.panel.choices.request().settings == {}, "another method has other settings"


def test_weights_of_ones_own(slicer, panel, monkeypatch):
    import qt

    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "nexpr"
    edit = panel.panel.options.settingsForm._widgets["weights"]
    (button,) = (b for b in edit.parent().children() if isinstance(b, qt.QToolButton))
    monkeypatch.setattr(qt, "QFileDialog", type("", (), {"getOpenFileName": lambda *_: "/mine/w.safetensors"}))
    button.click()
    assert panel.panel.choices.request().settings == {"weights": "/mine/w.safetensors"}
    monkeypatch.setattr(qt, "QFileDialog", type("", (), {"getOpenFileName": lambda *_: ""}))
    button.click()
    assert panel.panel.choices.request().settings == {"weights": "/mine/w.safetensors"}, "the dialog was cancelled"


def test_a_new_user_is_led_to_the_better_method(slicer, panel):
    """Three clicks after loading two scans: open the module (two), Run; a fourth, the tick, gives the better one."""
    small_volume(slicer)
    small_volume(slicer, "FLAIR", (12, 5, 10), matrix=np.diag([1.1, 4.0, 0.9, 1.0]))
    panel.enter()
    assert panel.ui.runButton.enabled and "tick them" in panel.ui.whenLabel.text
    panel.ui.contrastsList.item(0).setCheckState(sys.modules["qt"].Qt.Checked)
    assert panel.panel.choices.methodName() == "multicontrast" and "tick them" not in panel.ui.whenLabel.text
    assert panel.ui.runButton.enabled


@pytest.mark.parametrize("isDark", [False, True])
def test_an_unticked_box_is_seen(host, slicer, panel, isDark):
    """In a dark palette, too, where Qt alone draws it darker than the dark list."""
    from PySide6.QtGui import QColor, QImage, QPalette

    small_volume(slicer)
    small_volume(slicer, "FLAIR", (12, 5, 10), matrix=np.diag([1.1, 4.0, 0.9, 1.0]))
    panel.enter()
    before, palette = host.qt_application.palette(), QPalette()
    for role, shades in (("Window", "#efefef #353535"), ("Base", "#ffffff #2a2a2a"), ("Text", "#000000 #ffffff")):
        palette.setColor(getattr(QPalette, role), QColor(shades.split()[isDark]))
    host.qt_application.setPalette(palette)
    try:
        panel.parent.show()
        host.process_events(0.05)
        panel.panel.refresh()
        host.process_events(0.05)
        items = panel.ui.contrastsList
        row = items.visualItemRect(items.item(0))
        image = items.viewport().grab().toImage().convertToFormat(QImage.Format_Grayscale8)
        shades = [image.pixelColor(x, row.center().y()).value() for x in range(row.left(), row.left() + 18)]
    finally:
        host.qt_application.setPalette(before)
    assert np.ptp(shades) > 100, shades


def test_recommended_is_what_the_command_line_would_choose(slicer, panel):
    volume = small_volume(slicer)
    panel.enter()
    p, choices = panel._parameterNode, panel.panel.choices
    scan = Grid((10, 12, 5), affine_of(slicer, volume))
    assert choices.recommended() == choose([scan])
    p.outputMode, p.factor = "factor", 1.0
    assert choices.methodName() == choose([scan], scan).method == "cubic"


def test_seco_asks_for_a_segmentation(host, slicer, panel):
    label_map_of(slicer, small_labels(), np.eye(4), name="Labels")
    volume = small_volume(slicer)
    panel.enter()
    panel.parent.show()
    p, ui = panel._parameterNode, panel.ui
    assert p.inputVolume is volume, "a label map is no input"
    assert not ui.segmentationSelector.visible, "the recommended method takes none"
    p.method = "seco"
    assert ui.segmentationSelector.visible and ui.segmentationOutputCheckBox.visible
    assert ui.segmentationSelector.noneDisplay == "Tissue classes found automatically"
    assert ui.segmentationSelector.currentNode() is None
    assert not ui.segmentationOutputCheckBox.checked and panel.panel.choices.request().segmentationID is None
    node = segmentation_of(slicer, small_labels(), affine_of(slicer, volume))
    assert ui.segmentationSelector.nodeCount() == 2, "the segmentation and the label map"
    p.segmentation = node
    assert ui.segmentationSelector.currentNode() is node
    assert ui.segmentationOutputCheckBox.checked, "on by itself when there is a segmentation"
    request = panel.panel.choices.request()
    assert request.segmentationID == node.GetID() and request.segmentationOutput
    ui.segmentationOutputCheckBox.click()
    assert p.segmentationOutput == "no" and not panel.panel.choices.request().segmentationOutput
    # the method for several contrasts takes no segmentation
    p.method = "multicontrast"
    small_volume(slicer, "FLAIR")
    host.process_events()
    assert ui.contrastsList.visible
    ui.contrastsList.item(0).setCheckState(sys.modules["qt"].Qt.Checked)
    assert panel.panel.choices.methodName() == "multicontrast"
    assert not ui.segmentationSelector.visible and not ui.segmentationOutputCheckBox.visible
    request = panel.panel.choices.request()
    assert request.segmentationID is None and not request.segmentationOutput


def test_a_segmentation_without_segments_is_no_choice(slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "seco"
    panel._parameterNode.segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    assert not panel.ui.runButton.enabled and "Empty has no segments" in panel.ui.runButton.toolTip
    panel._parameterNode.segmentation = None
    assert panel.ui.runButton.enabled
    panel._parameterNode.settings = json.dumps({"semantics": False})
    assert panel.ui.runButton.enabled
    panel._parameterNode.segmentationOutput = "yes"
    assert not panel.ui.runButton.enabled and "tick Semantics" in panel.ui.runButton.toolTip


def test_settings_of_seco_are_all_in_the_form(slicer, panel):

    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "seco"
    form = panel.panel.options.settingsForm
    fields = METHODS["seco"].presets["fast"].__dataclass_fields__
    assert set(form._widgets) == set(fields) and "dimensions" in fields
    # own, inherited from SirenSettings, and from FieldSettings
    for name, text in (
        ("penalty", "Weight of the penalty"),
        ("omega", "hidden layers"),
        ("batch", "Pixels in one step"),
    ):
        assert text in form._widgets[name].toolTip
    assert form._widgets["dimensions"].text == "auto" and "slices: a network" in form._widgets["dimensions"].toolTip
    form._widgets["dimensions"].text = "volume"
    form._widgets["dimensions"].editingFinished.emit()
    assert panel.panel.choices.request().settings == {"dimensions": "volume"}


def test_every_method_can_be_shown(slicer, panel):

    small_volume(slicer), small_volume(slicer, "FLAIR")
    panel.enter()
    panel.ui.contrastsList.item(0).setCheckState(sys.modules["qt"].Qt.Checked)
    panel.parent.show()
    for name, method in METHODS.items():
        panel._parameterNode.method = name
        request = panel.panel.choices.request()
        assert request.method == name and panel.ui.runButton.enabled, panel.ui.runButton.toolTip
        assert set(panel.panel.options.settingsForm._widgets) == set(method.presets["fast"].__dataclass_fields__)
        assert request.settings == {} and "memory" in panel.ui.estimateLabel.text
        assert panel.ui.segmentationSelector.visible == method.takes_labels


def test_check_devices(host, slicer, panel, monkeypatch):
    panel.ui.checkDevicesButton.click()
    wait(host, lambda: panel.ui.checkDevicesButton.enabled)
    assert "PyTorch works on: CPU" in panel.ui.statusLabel.text
    from INRSuperResolutionModule.runs import dependencies

    monkeypatch.setattr(dependencies, "CHECK", "raise ImportError('libtorch is broken')")
    panel.ui.checkDevicesButton.click()
    wait(host, lambda: panel.ui.checkDevicesButton.enabled)
    assert "libtorch is broken" in panel.ui.statusLabel.text and "extension PyTorch" in panel.ui.statusLabel.text


def test_low_agreement_is_a_warning(slicer):
    from INRSuperResolutionModule.runs import messages

    text, isWarning = messages.ofConsistency(21.34)
    assert isWarning and "21.3 dB" in text and "compare" in text
    text, isWarning = messages.ofConsistency(45.0)
    assert not isWarning and "45.0 dB" in text


def test_report_for_the_clipboard(host, slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "linear"
    run_and_wait(host, panel)
    panel.ui.copyReportButton.click()
    text = slicer.app.clipboard().text()
    assert "state: done" in text and '"method": "linear"' in text


def test_queue_runs_one_after_the_other(host, slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "linear"
    panel.ui.runButton.click()
    assert panel.ui.runButton.text == "Add to queue"
    panel.ui.runButton.click()
    panel.ui.runButton.click()
    runs = panel.logic.queue.runs
    panel.logic.queue.cancel(runs[2])
    wait(host, lambda: panel.logic.queue.active is None)
    assert [r.state.value for r in runs] == ["done", "done", "cancelled"]
    assert panel.ui.runButton.text == "Run"
