"""Many scans from the panel: all volumes of the scene, a folder, the table, and cancelling one."""

from __future__ import annotations

import pytest
from phantoms import phantom
from scenes import small_volume, wait

from INRSuperResolutionLib import read, write
from INRSuperResolutionLib.cohorts.coordinator import only_one

pytestmark = pytest.mark.usefixtures("warm_workers")


@pytest.fixture
def section(panel):
    panel.enter()
    panel.manySection.button.collapsed = False
    return panel.manySection


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for n in range(2):
        write(phantom((12, 11, 6), seed=n), folder / f"scan {n}.nii.gz")
    (folder / "broken.nii").write_bytes(b"no scan")
    (folder / "notes.txt").write_text("no scan")
    return folder


def column(section, number: int) -> list[str]:
    return [section.table.item(row, number).text() for row in range(section.table.rowCount)]


def ended(section) -> bool:
    return bool(section.items) and all(item.isEnded for item in section.items)


def test_all_volumes_of_the_scene_and_one_cancelled(host, slicer, panel, section):
    for n in range(3):
        small_volume(slicer, f"T{n}", seed=n)
    slicer.vtkMRMLScalarVolumeNode()
    panel.initializeParameterNode()
    panel._parameterNode.method = "linear"
    section.sceneButton.click()
    assert column(section, 0) == ["T0", "T1", "T2"] and column(section, 1)[1:] == ["waiting", "waiting"]
    section.table.selectRow(1)
    section.cancelButton.click()
    assert column(section, 1)[1] == "cancelled"
    wait(host, lambda: ended(section))
    assert column(section, 1) == ["done", "cancelled", "done"]
    assert section.tellLabel.text == "2 of 3 done"
    section.sceneButton.click()  # results are not restored again; what has ended makes room
    assert column(section, 0) == ["T0", "T1", "T2"]
    section.cancelAllButton.click()
    wait(host, lambda: ended(section))
    assert column(section, 1) == ["cancelled"] * 3


def test_a_folder_is_done_once_and_told_where_it_fails(host, slicer, panel, section, scans, tmp_path):
    small_volume(slicer)
    panel.initializeParameterNode()
    panel._parameterNode.method = "linear"
    panel._parameterNode.outputMode = "factor"
    output = tmp_path / "results"
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    section.startFolder(scans, output)
    assert column(section, 0) == ["broken", "scan_0", "scan_1"]
    section.startFolder(scans, output)
    assert "Another batch is at work" in section.tellLabel.text
    wait(host, lambda: ended(section))
    assert column(section, 1) == ["failed", "done", "done"]
    assert (
        section.tellLabel.text.startswith("2 of 3 done, 1 failed; broken: ") and "broken.nii" in section.tellLabel.text
    )
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    results = sorted(str(p.relative_to(output)) for p in output.rglob("*") if p.is_file())
    assert results == [".inrsr-batch", "scan_0/report.json", "scan_0/scan 0.nii.gz", "scan_1/report.json", "scan_1/scan 1.nii.gz"]  # fmt: skip
    assert read(output / "scan_0" / "scan 0.nii.gz").shape == (24, 22, 12)
    made = (output / "scan_0" / "report.json").stat().st_mtime_ns
    host.process_events()
    section.startFolder(scans, output)
    wait(host, lambda: ended(section))
    assert column(section, 1) == ["failed", "done", "done"]
    assert (output / "scan_0" / "report.json").stat().st_mtime_ns == made
    host.process_events()
    with only_one(output):
        pass


def test_one_of_a_folder_is_cancelled_and_closing_ends_all(host, slicer, panel, section, scans, tmp_path):
    small_volume(slicer)
    panel.initializeParameterNode()
    panel._parameterNode.method = "self-supervised"
    panel._parameterNode.settings = '{"steps": 1000000}'
    (scans / "broken.nii").unlink()
    section.startFolder(scans, tmp_path / "results")
    wait(host, lambda: column(section, 1)[0] == "running")
    section.table.selectRow(0)
    section.cancelButton.click()
    wait(host, lambda: column(section, 1) == ["cancelled", "running"])
    section.stop()
    wait(host, lambda: ended(section))
    assert column(section, 1) == ["cancelled", "cancelled"]
    assert [p.name for p in (tmp_path / "results").rglob("*")] == [".inrsr-batch"]


def test_what_cannot_start_is_told(slicer, panel, section, scans, tmp_path):
    section.sceneButton.click()
    assert section.tellLabel.text == "There is no volume in the scene."
    small_volume(slicer)
    panel.initializeParameterNode()
    section.startFolder(scans, scans)
    assert section.tellLabel.text.startswith("The folders are the same.")
    (tmp_path / "empty").mkdir()
    section.startFolder(tmp_path / "empty", tmp_path / "results")
    assert "has no scan" in section.tellLabel.text
    panel._parameterNode.method = "multicontrast"
    section.sceneButton.click()
    assert "needs several scans" in section.tellLabel.text
    assert section.items == []
