"""What the panel says of a run before it starts."""

from __future__ import annotations

from scenes import affine_of, small_volume


def test_estimate_is_shown_before_the_run(slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "linear"
    assert "Takes about" in panel.ui.estimateLabel.text and "GB" in panel.ui.estimateLabel.text
    fast = panel.panel.estimate.guess()
    panel._parameterNode.outputMode, panel._parameterNode.spacing = "spacing", 0.1
    fine = panel.panel.estimate.guess()
    assert fine.memory_bytes > fast.memory_bytes + 10e6 and fine.seconds > fast.seconds


def test_estimate_warns_of_too_little_memory_and_says_what_would_fit(slicer, panel, monkeypatch):
    from INRSuperResolutionModule.runs import foresight

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    small_volume(slicer)
    panel.enter()
    panel.parent.show()
    p = panel._parameterNode
    p.method, p.outputMode, p.spacing = "linear", "spacing", 0.1
    monkeypatch.setattr(foresight, "available_memory", lambda: 10 << 30)
    panel.panel.refresh()
    assert "free" not in panel.ui.estimateLabel.text and not panel.ui.estimateIcon.visible
    monkeypatch.setattr(foresight, "available_memory", lambda: 340 << 20)
    panel.panel.refresh()
    text = panel.ui.estimateLabel.text
    assert panel.ui.estimateIcon.visible and "Only 0.3 GB are free" in text and "region of interest" in text
    p.spacing = float(text.split("spacing of ")[1].split()[0])
    assert "free" not in panel.ui.estimateLabel.text, "what is advised does not fit"
    p.spacing, p.region = 0.1, roi
    roi.SetCenter(*(affine_of(slicer, p.inputVolume) @ [5, 6, 2, 1])[:3])
    roi.SetSize(1, 1, 1)
    panel.panel.estimate.forget()
    panel.panel.refresh()
    assert "free" not in panel.ui.estimateLabel.text, "a region of interest needs less"


def test_an_unknown_duration_is_not_told(slicer, panel, monkeypatch):
    from INRSuperResolutionModule.runs import foresight

    from INRSuperResolutionLib.jobs.estimate import Estimate

    monkeypatch.setattr(foresight, "estimate", lambda *_: Estimate(None, 2 << 30))
    small_volume(slicer)
    panel.enter()
    assert panel.ui.estimateLabel.text == "Needs about 2.0 GB of memory." and panel.ui.runButton.enabled
