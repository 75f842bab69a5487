"""Sequences of volumes: a run for each time point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scenes import affine_of, assert_as_before, scene_ids, small_volume, wait
from segments import QUICK_SECO, segmentation_of, small_labels

pytestmark = pytest.mark.usefixtures("warm_workers")


def test_sequence(slicer, logic):
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    for n in range(3):
        volume = small_volume(slicer, f"t{n}", seed=100 * n)
        sequence.SetDataNodeAtValue(volume, str(n))
        slicer.mrmlScene.RemoveNode(volume)
    made = logic.processSequence(sequence, "nearest", scale=[1.0])
    assert [made.GetNthIndexValue(n) for n in range(3)] == ["0", "1", "2"]
    for n in range(3):
        ours, theirs = made.GetNthDataNode(n), sequence.GetNthDataNode(n)
        assert np.array_equal(slicer.util.arrayFromVolume(ours), slicer.util.arrayFromVolume(theirs))
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def played_sequence(slicer, count=3):
    """A sequence, its browser, and the volume in the scene that it fills, as Slicer loads one."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Perfusion")
    for n in range(count):
        volume = small_volume(slicer, f"t{n}", seed=100 * n)
        sequence.SetDataNodeAtValue(volume, str(n))
        slicer.mrmlScene.RemoveNode(volume)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.GetDisplayNode().SetAutoWindowLevel(False)
    proxy.GetDisplayNode().SetWindowLevel(77, 33)
    return sequence, browser, proxy


def test_sequence_in_the_panel(host, slicer, panel):
    """One tick more than for a single volume; the new sequence plays along with the old one."""
    sequence, browser, proxy = played_sequence(slicer)
    panel.enter()
    panel.parent.show()
    p = panel._parameterNode
    p.inputVolume, p.method = proxy, "linear"
    assert panel.ui.sequenceCheckBox.visible and panel.ui.sequenceCheckBox.text == "All 3 time points"
    one = panel.panel.estimate.guess().seconds
    panel.ui.sequenceCheckBox.click()
    assert panel.panel.estimate.guess().seconds == pytest.approx(3 * one)
    panel.ui.runButton.click()
    wait(host, lambda: panel.ui.statusLabel.text.startswith("Time point 1 of 3: "))
    assert not panel.ui.queueList.visible, "the other time points are no further entries of the queue"
    wait(host, lambda: panel.logic.queue.active is None)
    assert [r.state.value for r in panel.logic.queue.runs] == ["done"] * 3
    (made,) = (n for n in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if n is not sequence)
    assert made.GetNumberOfDataNodes() == 3 and made.GetName() in panel.ui.statusLabel.text
    assert made.GetAttribute("INRSuperResolution.Method") == "linear"
    shown = browser.GetProxyNode(made)
    assert shown.GetDisplayNode().GetWindow() == 77
    assert slicer.util.getNode("vtkMRMLSliceCompositeNodeRed").GetBackgroundVolumeID() == shown.GetID()
    # one slider moves both, and a time point of the result is finer than that of the input but as bright
    means = []
    for item in range(3):
        browser.SetSelectedItemNumber(item)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        means.append([slicer.util.arrayFromVolume(node).mean() for node in (proxy, shown)])
    assert np.allclose(np.diff(means, axis=0), 100, atol=5)
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_cancelled_sequence_leaves_the_scene_as_before(host, slicer, panel):
    _sequence, _browser, proxy = played_sequence(slicer)
    panel.enter()
    p = panel._parameterNode
    p.inputVolume, p.method, p.wholeSequence = proxy, "linear", True
    before = scene_ids(slicer)
    panel.ui.runButton.click()
    wait(host, lambda: panel.logic.queue.runs[0].isEnded)
    panel.ui.cancelButton.click()
    wait(host, lambda: panel.logic.queue.active is None)
    assert [r.state.value for r in panel.logic.queue.runs] == ["done", "cancelled", "cancelled"]
    assert panel.ui.statusLabel.text == "Cancelled."
    assert_as_before(slicer, before)


def test_sequence_with_a_segmentation(slicer, logic):
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Cine")
    for n in range(2):
        volume = small_volume(slicer, f"t{n}", seed=100 * n)
        affine = affine_of(slicer, volume)
        sequence.SetDataNodeAtValue(volume, str(n))
        slicer.mrmlScene.RemoveNode(volume)
    node = segmentation_of(slicer, small_labels(), affine)
    made = logic.processSequence(sequence, "seco", segmentation=node, settings=QUICK_SECO, scale=[1.0])
    assert made.GetNumberOfDataNodes() == 2
    assert all(run.report["labels"]["values"] == [0, 1, 2, 3] for run in logic.queue.runs)
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [node]
