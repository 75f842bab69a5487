"""A reader study in the panel: by keyboard from start to end, stopped and gone on with, and nothing that unblinds."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import phantom
from scenes import scene_ids

from INRSuperResolutionLib import read, write
from INRSuperResolutionLib.study.plan import Pair, Study
from INRSuperResolutionLib.study.report import csv_of
from INRSuperResolutionLib.study.store import read_study, write_study

COUNT = 20


@pytest.fixture
def study(tmp_path):
    pairs = []
    for n in range(COUNT):
        for m, method in enumerate(("cubic", "seco")):
            volume = phantom((6, 5, 4), np.diag([1, 1, 2, 1.0]), seed=n)
            write(volume.replace(data=volume.data + m), tmp_path / f"{method}{n}.nii")
        pairs.append(Pair(f"p{n}", (f"cubic{n}.nii", f"seco{n}.nii")))
    write_study(Study("t", ("cubic", "seco"), ("noise", "sharpness"), tuple(pairs)), tmp_path / "s.json")
    return tmp_path / "s.json"


@pytest.fixture
def section(host, panel, study):
    """The section, open, with the study and a reader named."""
    panel.enter()
    panel.parent.show()
    made = panel.studySection
    made.button.collapsed = False
    made.pathEdit.text, made.readerEdit.text = str(study), "anna"
    panel.parent.activateWindow()
    host.process_events(0.05)
    yield made
    panel.parent.hide()


def press(host, panel, key: str) -> None:
    from PySide6.QtTest import QTest

    QTest.keyClick(panel.parent, key)
    host.process_events()


def test_twenty_pairs_by_keyboard_stopped_and_gone_on_with(host, slicer, panel, study, section):
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)  # made when it is first asked for
    before = scene_ids(slicer)
    keys = np.random.default_rng(0).integers(1, 6, 2 * COUNT).tolist()
    section.startButton.click()
    assert section.tellLabel.text == "Pair 1 of 20: noise?"
    for n, key in enumerate(keys):
        assert section.tellLabel.text == f"Pair {n // 2 + 1} of 20: {('noise', 'sharpness')[n % 2]}?"
        if n == 15:  # in the middle of a pair
            section.stop()
            assert scene_ids(slicer) == before
            section.startButton.click()
            assert section.tellLabel.text == "Pair 8 of 20: sharpness?"
        press(host, panel, str(key))
        assert [a.key for a in read_study(study).answers] == keys[: n + 1]
    assert section.tellLabel.text == "That was the last pair. Thank you."
    section.startButton.click()
    assert scene_ids(slicer) == before
    assert csv_of(read_study(study)).count("\n") == 1 + 2 * COUNT


def test_what_is_shown_tells_no_method_and_is_the_right_pair(slicer, panel, study, section):
    section.startButton.click()
    assert panel.ui.inputSelector.currentNode() is None  # not chosen as the input of a run
    made = read_study(study)
    for trial in range(4):
        nodes = [slicer.util.getNode(name) for name in ("left", "right")]
        for node, image in zip(nodes, made.images("anna", trial)):
            shown = slicer.util.arrayFromVolume(node)
            np.testing.assert_array_equal(shown, read(study.parent / image).data.transpose(2, 1, 0))
            assert node.GetStorageNode() is None and not node.GetSaveWithScene() and node.GetHideFromEditors()
            told = str(node) + section.tellLabel.text
            assert "cubic" not in told and "seco" not in told and f"p{made.trials['anna'][trial].pair}." not in told
        # linked: zoom, pan and slice; one window for both
        assert nodes[0].GetDisplayNodeID() == nodes[1].GetDisplayNodeID()
        for name, node in zip(("Red", "Yellow"), nodes):
            composite = slicer.util.getNode(f"vtkMRMLSliceCompositeNode{name}")
            assert composite.GetBackgroundVolumeID() == node.GetID() and composite.GetLinkedControl()
        section.onKey(3)
        section.onKey(3)
    section.stop()


def test_going_back_and_problems_are_told(slicer, panel, study, section):
    section.startButton.click()
    section.onKey(1)
    section.onKey(2)
    section.onKey(4)
    assert section.tellLabel.text == "Pair 2 of 20: sharpness?"
    section.onBack()
    section.onBack()
    assert section.tellLabel.text == "Pair 1 of 20: sharpness?"
    section.onKey(5)
    assert read_study(study).answered("anna")[0, "sharpness"].key == 5
    section.stop()
    section.pathEdit.text = str(study.with_name("none.json"))
    section.startButton.click()
    assert "does not exist" in section.tellLabel.text and not section.keyButtons[0].enabled
    section.pathEdit.text = str(study)
    section.readerEdit.text = ""
    section.startButton.click()
    assert "no name of a reader" in section.tellLabel.text


def test_an_image_that_has_gone_ends_the_session_and_leaves_nothing(slicer, panel, study, section):
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    before = scene_ids(slicer)
    for image in study.parent.glob("seco*.nii"):
        image.unlink()
    section.startButton.click()
    assert "does not exist" in section.tellLabel.text
    assert scene_ids(slicer) == before and read_study(study).answers == []


def test_closing_the_scene_ends_the_session(slicer, panel, study, section):
    section.startButton.click()
    section.onKey(1)
    slicer.mrmlScene.Clear()
    assert section.tellLabel.text == "" and not section.keyButtons[0].enabled
    assert len(read_study(study).answers) == 1
