"""Scenes that are saved and loaded."""

from __future__ import annotations

import collections.abc
import json

import numpy as np
import pytest
from scenes import affine_of, run_and_wait, small_volume, wait_for
from segments import NAMES, QUICK_SECO, exported, segmentation_of, small_labels

pytestmark = pytest.mark.usefixtures("warm_workers")


def test_saved_scene_has_choices_provenance_and_representation(host, slicer, panel, tmp_path):
    volume = small_volume(slicer)
    panel.enter()
    p = panel._parameterNode
    p.method, p.seed = "single-contrast", 3
    p.settings = json.dumps({"epochs": 1, "width": 16, "head_width": 16, "frequencies": 8})
    run = run_and_wait(host, panel)
    assert run.state.value == "done", run.asText()
    name = run.nodes[0].GetName()
    (coarse,) = wait_for(host, panel.logic.resample(run.nodes[0], spacing=[2.0])).nodes
    assert np.allclose(coarse.GetSpacing(), 2.0)
    values, place = slicer.util.arrayFromVolume(coarse).copy(), affine_of(slicer, coarse)
    bundle = str(tmp_path / "saved.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear()
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    panel.enter()
    panel.parent.show()
    assert panel._parameterNode.seed == 3 and panel._parameterNode.method == "single-contrast"
    assert panel.panel.choices.request().settings == {"epochs": 1, "width": 16, "head_width": 16, "frequencies": 8}
    assert panel._parameterNode.inputVolume.GetName() == volume.GetName()
    result = slicer.util.getNode(name)
    assert result.GetAttribute("INRSuperResolution.Seed") == "3"
    # the panel goes on where it was: the result is chosen, and can be compared and sampled again
    assert panel._parameterNode.result.GetName().startswith("T1 (")
    panel._parameterNode.result = result
    assert panel.ui.resampleButton.visible and "dB" in panel.ui.consistencyLabel.text
    panel.ui.flickerButton.click()
    assert panel.panel.result.comparison.mode == "flicker"
    panel.ui.flickerButton.click()
    panel._parameterNode.outputMode, panel._parameterNode.spacing = "spacing", 2.0
    panel.ui.resampleButton.click()
    again = wait_for(host, panel.logic.queue.runs[-1])
    assert again.state.value == "done", again.asText()
    assert np.allclose(affine_of(slicer, again.nodes[0]), place, atol=1e-9)
    assert np.array_equal(slicer.util.arrayFromVolume(again.nodes[0]), values)


def test_saved_scene_keeps_every_choice(slicer, panel, tmp_path):
    """Each field of the parameter node, none at its default, comes back with the scene."""
    t1, flair, other = (small_volume(slicer, name) for name in ("T1", "FLAIR", "Other"))
    made = slicer.vtkMRMLScalarVolumeNode()
    made.SetName("Made")
    made.SetAttribute("INRSuperResolution.Method", "seco")
    made.SetAndObserveImageData(other.GetImageData())
    made = slicer.mrmlScene.AddNode(made)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Anatomy")
    panel.enter()
    chosen = {
        "inputVolume": t1, "furtherContrasts": [flair], "segmentation": segmentation, "region": roi, "likeVolume": other,
        "outputVolume": other, "result": made, "method": "seco", "preset": "paper", "settings": '{"width": 64}',
        "outputMode": "like", "spacing": 0.7, "factor": 3.5, "segmentationOutput": "no", "device": "cpu",
        "sliceProfile": "boxcar", "sliceThickness": 2.5, "register": True, "wholeSequence": True, "seed": 42, "limitMinutes": 2.5,
    }  # fmt: skip
    fresh = type(panel._parameterNode)(slicer.vtkMRMLScriptedModuleNode())
    fields = {name for name in vars(type(fresh)) if isinstance(getattr(type(fresh), name), property)}
    assert set(chosen) == fields, "name the new field here"

    def named(value):
        if isinstance(value, collections.abc.MutableSequence):  # Slicer's lists of nodes are no `list`
            return [named(v) for v in value]
        return value.GetName() if hasattr(value, "GetName") else value

    for name, value in chosen.items():
        assert named(getattr(fresh, name)) != named(value), f"{name} is at its default"
        setattr(panel._parameterNode, name, value)
    wanted = {name: named(value) for name, value in chosen.items()}
    bundle = str(tmp_path / "saved.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear()
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    panel.enter()
    assert {name: named(getattr(panel._parameterNode, name)) for name in chosen} == wanted


def test_saved_scene_keeps_the_segmentation(host, slicer, panel, tmp_path):
    volume = small_volume(slicer)
    node = segmentation_of(slicer, small_labels(), affine_of(slicer, volume))
    panel.enter()
    p = panel._parameterNode
    p.method, p.segmentation, p.segmentationOutput = "seco", node, "no"
    result, made = panel.logic.process(volume, "seco", segmentation=node, settings=QUICK_SECO)
    grid = result.GetImageData().GetDimensions()[::-1], affine_of(slicer, result)
    names, labels = (result.GetName(), made.GetName()), exported(made, *grid)[0]
    bundle = str(tmp_path / "saved.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear()
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    panel.initializeParameterNode()
    p = panel._parameterNode
    assert p.segmentation.GetName() == "Anatomy" and p.segmentationOutput == "no"
    assert panel.ui.segmentationSelector.currentNode() is p.segmentation
    assert not panel.ui.segmentationOutputCheckBox.checked
    result, made = (slicer.util.getNode(name) for name in names)
    assert [made.GetSegmentation().GetNthSegment(n).GetName() for n in range(3)] == list(NAMES)
    assert np.array_equal(exported(made, *grid)[0], labels)
    again = wait_for(host, panel.logic.resample(result, spacing=[2.0]))
    assert again.state.value == "done", again.asText()
    assert again.nodes[1].GetSegmentation().GetNthSegment(2).GetName() == "Tumour"
