"""Volumes that came from DICOM: the header's thickness, the place in the data tree, and derived series from the panel."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomfiles import STUDY, values, write_series
from scenes import affine_of, run_and_wait, small_volume, wait

from INRSuperResolutionLib import read

pytestmark = pytest.mark.usefixtures("warm_workers")


class Database:
    """As Slicer's ctkDICOMDatabase, of the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = {str(pydicom.dcmread(f).SOPInstanceUID): str(f) for f in sorted(folder.iterdir())}

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")

    def instanceValue(self, uid: str, tag: str) -> str:
        group, element = tag.split(",")
        return str(pydicom.dcmread(self.files[uid])[int(group, 16), int(element, 16)].value)


@pytest.fixture
def loaded(slicer, tmp_path_factory, monkeypatch):
    """A volume under its study and patient, as Slicer's DICOM module loads it, and the folder of the series."""
    folder = write_series(tmp_path_factory.mktemp("dicom") / "in", values(5, 24, 20) % 700)
    database = Database(folder)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    volume = read(folder)
    node = slicer.util.addVolumeFromArray(volume.data.T.astype(np.int16), name="CT")
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.affine))
    node.CreateDefaultDisplayNodes()
    node.SetAttribute("DICOM.instanceUIDs", " ".join(database.files))
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "Phantom")
    study = tree.CreateStudyItem(patient, "CT of the head")
    item = tree.GetItemByDataNode(node)
    tree.SetItemParent(item, study)
    for name, value in (("Modality", "CT"), ("SeriesNumber", "3"), ("FrameOfReferenceUID", "1.2.3")):
        tree.SetItemAttribute(item, "DICOM." + name, value)
    return node, folder, tree, study


def test_the_thickness_of_the_header_is_used(host, slicer, panel, loaded):
    panel.enter()
    p = panel._parameterNode
    assert panel.ui.thicknessSpinBox.text == "as the header says: 2 mm"
    p.method, p.sliceProfile = "cubic", "boxcar"
    (told,) = run_and_wait(host, panel).report["slices"]
    assert (told["thickness_mm"], told["thickness_source"]) == (pytest.approx(2.0), "header")
    p.sliceThickness = 3.0
    (told,) = run_and_wait(host, panel).report["slices"]
    assert (told["thickness_mm"], told["thickness_source"]) == (pytest.approx(3.0), "told")


def test_a_volume_without_a_header_says_so(slicer, panel):
    small_volume(slicer)
    panel.enter()
    ui, p = panel.ui, panel._parameterNode
    assert ui.thicknessSpinBox.text == "distance of the slices: 4 mm"
    p.sliceThickness, p.sliceProfile = 2.0, "none"
    assert not ui.thicknessSpinBox.enabled and panel.panel.choices.request().sliceThickness is None


def test_the_result_lies_in_the_study_and_keeps_what_export_needs(slicer, logic, loaded):
    node, _folder, tree, study = loaded
    (result,) = logic.process(node, "linear")
    item = tree.GetItemByDataNode(result)
    assert tree.GetItemParent(item) == study
    told = {n: tree.GetItemAttribute(item, n) for n in tree.GetItemAttributeNames(item)}
    assert told["DICOM.Modality"] == "CT" and told["DICOM.FrameOfReferenceUID"] == "1.2.3"
    assert told["DICOM.SeriesNumber"] == "1003" and "research use" in told["DICOM.SeriesDescription"]
    assert told["DICOM.ReferencedInstanceUIDs"] == node.GetAttribute("DICOM.instanceUIDs")
    assert result.GetAttribute("DICOM.instanceUIDs") is None, "it is another series than its input"
    assert tree.GetItemUID(item, "DICOM") == ""


def test_a_volume_that_is_replaced_does_not_pass_for_its_old_images(slicer, logic, loaded):
    node, _folder, tree, _study = loaded
    other = small_volume(slicer, "Replaced")
    other.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    item = tree.GetItemByDataNode(other)
    tree.SetItemUID(item, "DICOM", "1.2")
    tree.SetItemAttribute(item, "DICOM.Modality", "US")
    (result,) = logic.process(node, "linear", outputID=other.GetID())
    assert result is other and result.GetAttribute("DICOM.instanceUIDs") is None
    assert tree.GetItemUID(item, "DICOM") == "" and tree.GetItemAttribute(item, "DICOM.Modality") == "CT"
    # made from a result, it still says which images it goes back to
    (again,) = logic.process(result, "linear", spacing=2.0)
    assert again.GetAttribute("INRSuperResolution.SourceInstanceUIDs") == node.GetAttribute("DICOM.instanceUIDs")
    # and of a volume without DICOM, nothing
    (plain,) = logic.process(small_volume(slicer, "Plain"), "linear", outputID=other.GetID())
    assert plain.GetAttribute("INRSuperResolution.SourceInstanceUIDs") is None
    assert not [n for n in tree.GetItemAttributeNames(item) if n.startswith("DICOM.")]


def test_a_derived_series_from_the_panel(host, slicer, panel, loaded, inrsr, tmp_path_factory, monkeypatch):
    node, folder, _tree, _study = loaded
    panel.enter()
    panel._parameterNode.method = "linear"
    result = run_and_wait(host, panel).nodes[0]
    target = tmp_path_factory.mktemp("out")
    monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getExistingDirectory", lambda *_args: str(target))
    assert panel.ui.dicomButton.enabled
    slicer.mrmlScene.RemoveNode(node)  # the input is not needed any more
    panel.ui.dicomButton.click()
    run = panel.logic.queue.runs[-1]
    wait(host, lambda: run.isEnded)
    assert run.state.value == "done", run.asText()
    (made,) = target.iterdir()
    assert made.suffix == ".dcm" and str(made) in panel.ui.statusLabel.text
    again = read(made)
    assert np.abs(again.affine - affine_of(slicer, result)).max() <= 1e-4
    np.testing.assert_allclose(again.data.T, slicer.util.arrayFromVolume(result), atol=0.02)
    # as the command line writes it, from the same input
    assert inrsr("upscale", "linear", folder, "--output", target / "cli.dcm").returncode == 0
    ours, theirs = (pydicom.dcmread(sorted(f.iterdir())[0]) for f in (made, target / "cli.dcm"))
    own = {"InstanceCreationTime", "SeriesTime", "ContentTime", "PixelData", "SeriesInstanceUID", "SOPInstanceUID"}
    differing = {e.keyword for e in theirs if e.keyword not in ours or ours[e.keyword].value != e.value}
    assert ours.StudyInstanceUID == STUDY and ours.ImageType[0] == "DERIVED"
    assert differing <= own | {"ContributingEquipmentSequence"}
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_what_did_not_come_from_dicom_cannot_become_it(host, slicer, panel, loaded, monkeypatch, tmp_path):
    other = small_volume(slicer)
    panel.enter()
    panel._parameterNode.inputVolume, panel._parameterNode.method = other, "linear"
    run_and_wait(host, panel)
    assert not panel.ui.dicomButton.enabled and "DICOM database" in panel.ui.dicomButton.toolTip
    panel._parameterNode.inputVolume = loaded[0]
    run_and_wait(host, panel)
    slicer.dicomDatabase.files.clear()
    monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path))
    panel.ui.dicomButton.click()
    assert "not in Slicer's DICOM database" in panel.ui.statusLabel.text
    assert not list(tmp_path.glob("*.dcm"))


def test_an_existing_folder_of_others_is_left_alone(host, slicer, logic, loaded, tmp_path_factory):
    (result,) = logic.process(loaded[0], "linear")
    folder = tmp_path_factory.mktemp("out") / "mine.dcm"
    folder.mkdir()
    (folder / "letter.txt").write_text("keep")
    run = logic.writeDicom(result, str(folder))
    wait(host, lambda: run.isEnded)
    assert run.state.value == "failed" and "no series that was written here" in run.message
    assert [p.name for p in folder.iterdir()] == ["letter.txt"]
