"""The Slicer module, driven as a user does, in SlicerHost (real MRML, real logics, real widgets)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scenes import affine_of, assert_as_before, nonlinear_shift, run_and_wait, scene_ids, small_volume, wait, wait_for

from INRSuperResolutionLib.methods import METHODS

REPOSITORY = Path(__file__).resolve().parents[1]
# the README promises cancel within 2 s; a shared machine gets a little more
CANCEL_SECONDS = 2.5


def slow_request(slicer, node):
    """A fit that would go on for minutes."""
    from INRSuperResolution import Request

    return Request(inputIDs=[node.GetID()], method="single-contrast", settings={"epochs": 100000, "width": 64})


def long_run(host, logic, slicer, node):
    """A run whose worker is fitting."""
    run = logic.start(slow_request(slicer, node))
    wait(host, lambda: run.stage == "fit" or run.isEnded)
    assert run.stage == "fit", run.asText()
    return run


# ---- what loads --------------------------------------------------------------------------------


def test_module_loads_without_heavy_imports():
    program = """
import sys, time
sys.path.insert(0, "Testing")
import SlicerHost, numpy, SimpleITK
host = SlicerHost.start()
before = time.perf_counter()
host.load_module()
took = time.perf_counter() - before
print([m for m in ("torch", "scipy", "skimage", "nibabel", "safetensors") if m in sys.modules], took, flush=True)
"""
    environment = dict(os.environ, QT_QPA_PLATFORM="offscreen")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60
    )
    heavy, _, seconds = done.stdout.rpartition(" ")
    assert heavy.strip() == "[]", done.stdout + done.stderr
    assert float(seconds) <= 0.3


# ---- the panel ---------------------------------------------------------------------------------


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
    names = {panel.panel.settingsForm._layout.itemAt(n).widget().objectName for n in range(22)}
    assert {"setting_width", "setting_learning_rate", "setting_mixed_precision"} <= names


def test_changed_settings_are_kept_and_used(slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "single-contrast"
    form = panel.panel.settingsForm
    form._widgets["width"].value = 32
    form._widgets["learning_rate"].text = "0,005"
    form._widgets["learning_rate"].editingFinished.emit()
    assert panel.panel.request().settings == {"width": 32, "learning_rate": 0.005}
    panel._parameterNode.preset = "paper"
    panel.ui.methodCombo.currentIndex = panel.ui.methodCombo.findData("linear")
    assert panel.panel.request().settings == {}, "another method has other settings"


def test_estimate_is_shown_before_the_run(slicer, panel):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "linear"
    assert "Takes about" in panel.ui.estimateLabel.text and "GB" in panel.ui.estimateLabel.text
    fast = panel.panel.estimate()
    panel._parameterNode.outputMode, panel._parameterNode.spacing = "spacing", 0.1
    fine = panel.panel.estimate()
    assert fine.memory_bytes > fast.memory_bytes + 10e6 and fine.seconds > fast.seconds


QUICK_COORDINATES = {"epochs": 2, "width": 16, "head_width": 16, "frequencies": 8}
QUICK_FIELD = {"epochs": 2, "volume_epochs": 1, "width": 32}
QUICK = {
    "nearest": {}, "linear": {}, "cubic": {}, "single-contrast": QUICK_COORDINATES, "joint": QUICK_COORDINATES,
    "multicontrast": QUICK_COORDINATES, "seco": QUICK_FIELD, "siren": QUICK_FIELD,
}  # fmt: skip


@pytest.mark.parametrize("method", QUICK)
def test_result_of_every_method(host, slicer, panel, method):
    volumes = [small_volume(slicer), small_volume(slicer, "FLAIR", seed=5)]
    volumes[0].GetDisplayNode().SetAutoWindowLevel(False)
    volumes[0].GetDisplayNode().SetWindowLevel(77, 33)
    before = scene_ids(slicer)
    panel.enter()
    p = panel._parameterNode
    p.method, p.inputVolume, p.furtherContrasts = method, volumes[0], [volumes[1]]
    p.preset, p.settings = "fast", json.dumps(QUICK[method])
    run = run_and_wait(host, panel)
    assert run.state.value == "done", run.asText()
    used = volumes[: METHODS[method].max_inputs]
    assert len(run.nodes) == len(used)
    assert run.secondsToFirstEvent <= 5
    result = run.nodes[0]
    # where the voxel centres must lie: the library's rule, written out; edges of the first voxel kept, mm
    inner, old = affine_of(slicer, result), affine_of(slicer, volumes[0])
    directions = old[:3, :3] / np.linalg.norm(old[:3, :3], axis=0)
    spacing = np.linalg.norm(old[:3, :3], axis=0).min()
    assert np.allclose(inner[:3, :3], directions * spacing, atol=1e-9)
    size = np.array(result.GetImageData().GetDimensions())
    centre_old = old @ [*(np.array(volumes[0].GetImageData().GetDimensions()) - 1) / 2, 1]
    assert np.abs(inner @ [*(size - 1) / 2, 1] - centre_old).max() <= 1e-6
    # and against SimpleITK, which computes in LPS by itself
    image = sitk.Image([int(n) for n in size], sitk.sitkFloat32)
    image.SetSpacing(list(result.GetSpacing()))
    image.SetOrigin([-inner[0, 3], -inner[1, 3], inner[2, 3]])
    image.SetDirection((np.diag([-1, -1, 1]) @ inner[:3, :3] / np.linalg.norm(inner[:3, :3], axis=0)).ravel().tolist())
    for corner in ([0, 0, 0], (size - 1).tolist()):
        lps = np.array(image.TransformIndexToPhysicalPoint([int(c) for c in corner]))
        assert np.abs(lps * [-1, -1, 1] - (inner @ [*corner, 1])[:3]).max() <= 1e-6
    assert result.GetDisplayNode().GetWindow() == 77 and result.GetDisplayNode().GetLevel() == 33
    assert result.GetAttribute("INRSuperResolution.Method") == method
    assert result.GetAttribute("INRSuperResolution.InputIDs").split() == [v.GetID() for v in used]
    assert result.GetName().startswith("T1 (")
    added = {slicer.mrmlScene.GetNodeByID(i).GetClassName() for i in scene_ids(slicer) - before}
    assert added <= {"vtkMRMLScalarVolumeNode", "vtkMRMLScalarVolumeDisplayNode", "vtkMRMLTextNode",
                     "vtkMRMLTextStorageNode"}  # fmt: skip
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_linear_result_equals_simpleitk(host, slicer, logic, data_folder):
    """A real thick-slice scan; values against SimpleITK's own linear interpolation."""
    path = data_folder / "clinical01_flair.nii.gz"
    node = host.load_volume(path, "FLAIR")
    (result,) = logic.process(node, "linear", spacing=2.0)
    affine = affine_of(slicer, result)
    reference = sitk.Image([int(n) for n in result.GetImageData().GetDimensions()], sitk.sitkFloat32)
    reference.SetSpacing(list(result.GetSpacing()))
    reference.SetOrigin([-affine[0, 3], -affine[1, 3], affine[2, 3]])
    reference.SetDirection((np.diag([-1, -1, 1]) @ affine[:3, :3] / result.GetSpacing()).ravel().tolist())
    expected = sitk.GetArrayFromImage(sitk.Resample(sitk.ReadImage(str(path), sitk.sitkFloat32), reference))
    ours = slicer.util.arrayFromVolume(result)
    inside = expected > 0  # at the rim, SimpleITK puts 0 where we repeat the edge
    assert inside.mean() > 0.3
    # whole grey levels: the file type of the input is an integer
    assert np.abs(ours - expected)[inside].max() <= 0.51 + 1e-3 * expected.max()


def test_transform_is_hardened_and_the_input_untouched(host, slicer, logic):
    volume = small_volume(slicer)
    turn = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
    volume.SetAndObserveTransformNodeID(transform.GetID())
    before = affine_of(slicer, volume)
    (result,) = logic.process(volume, "nearest", scale=1.0)
    assert np.allclose(affine_of(slicer, result), turn @ before, atol=1e-9)
    assert volume.GetParentTransformNode() is transform and np.array_equal(affine_of(slicer, volume), before)
    assert result.GetParentTransformNode() is None


def test_region_of_interest(slicer, logic):
    matrix = np.diag([1.0, 1.0, 4.0, 1.0])
    volume = small_volume(slicer, shape=(10, 40, 40), matrix=matrix)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenter(20, 20, 20)
    roi.SetSize(6, 6, 8)
    (result,) = logic.process(volume, "nearest", scale=1.0, roiID=roi.GetID())
    part = slicer.util.arrayFromVolume(result)
    i, j, k = (affine_of(slicer, result)[:3, 3] / [1, 1, 4]).round().astype(int)
    whole = slicer.util.arrayFromVolume(volume)
    n = part.shape
    assert np.array_equal(part, whole[k : k + n[0], j : j + n[1], i : i + n[2]])
    assert n[2] < 15 and i <= 17 and i + n[2] > 23
    roi.SetCenter(500, 0, 0)
    with pytest.raises(RuntimeError, match="outside"):
        logic.process(volume, "nearest", roiID=roi.GetID())


def test_like_another_volume(slicer, logic):
    volume, other = small_volume(slicer), small_volume(slicer, "Other", shape=(7, 8, 9))
    (result,) = logic.process(volume, "linear", likeID=other.GetID())
    assert result.GetImageData().GetDimensions() == (9, 8, 7)
    assert np.allclose(affine_of(slicer, result), affine_of(slicer, other), atol=1e-9)


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


def test_nonlinear_transform_is_hardened(slicer, logic):
    """A grid transform that shifts everything by 3 mm: the result is the input moved, the input is untouched."""

    volume = small_volume(slicer, shape=(8, 30, 30), matrix=np.diag([1.0, 1.0, 3.0, 1.0]))
    before = slicer.util.arrayFromVolume(volume).copy()
    transform = nonlinear_shift(slicer)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    nodes = scene_ids(slicer)
    (result,) = logic.process(volume, "nearest", scale=1.0)
    assert volume.GetParentTransformNode() is transform
    assert np.array_equal(slicer.util.arrayFromVolume(volume), before)
    assert all("copy" not in i for i in scene_ids(slicer) - nodes)
    # where the input's voxel 10, 15, 4 has gone: 3 mm along R
    place = np.linalg.inv(affine_of(slicer, result)) @ [13, 15, 12, 1]
    i, j, k = place[:3].round().astype(int)
    assert abs(slicer.util.arrayFromVolume(result)[k, j, i] - before[4, 15, 10]) < 1.0


# ---- cancel and failures -----------------------------------------------------------------------


def test_cancel_leaves_everything_as_before(host, slicer, logic):
    volume = small_volume(slicer)
    before = scene_ids(slicer)
    run = long_run(host, logic, slicer, volume)
    started = time.perf_counter()
    logic.queue.cancel(run)
    wait(host, lambda: run.isEnded, 10)
    assert time.perf_counter() - started <= CANCEL_SECONDS
    assert run.state.value == "cancelled"
    assert_as_before(slicer, before)


def test_killed_worker(host, slicer, logic):
    volume = small_volume(slicer)
    before = scene_ids(slicer)
    run = long_run(host, logic, slicer, volume)
    os.kill(logic.queue._process._pid, signal.SIGKILL)
    wait(host, lambda: run.isEnded, 10)
    assert run.state.value == "failed" and "memory" in run.message and run.advice
    assert_as_before(slicer, before)


def test_deleted_input(host, slicer, logic):
    volume = small_volume(slicer)
    run = long_run(host, logic, slicer, volume)
    slicer.mrmlScene.RemoveNode(volume)
    wait(host, lambda: run.isEnded, 10)
    assert run.state.value == "cancelled" and "T1 was deleted" in run.message
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_closed_scene(host, slicer, panel):
    volume = small_volume(slicer)
    panel.enter()
    run = long_run(host, panel.logic, slicer, volume)
    slicer.mrmlScene.Clear()
    wait(host, lambda: run.isEnded, 10)
    assert run.state.value == "cancelled" and "scene was closed" in run.message
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert not panel.ui.runButton.enabled and "scene was closed" in panel.ui.statusLabel.text


def test_quitting_ends_the_worker(host, slicer, logic):
    run = long_run(host, logic, slicer, small_volume(slicer))
    pid = logic.queue._process._pid
    logic.queue.shutDown()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    wait(host, lambda: run.isEnded, 5)


def test_full_disk_while_exporting(slicer, logic, monkeypatch):
    import errno

    from INRSuperResolutionModule import run as run_module

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(run_module, "write", full)
    volume = small_volume(slicer)
    before = scene_ids(slicer)
    with pytest.raises(RuntimeError, match=r"disk .* is full Free some space"):
        logic.process(volume, "linear")
    assert_as_before(slicer, before)


class FalseProcess:
    """Says what a test wants said."""

    events: list[dict] = []  # noqa: RUF012
    code: int | None = 0

    def __init__(self, onEvent, onLog, onFinished):
        self._onEvent, self._onFinished = onEvent, onFinished

    def start(self, jobPath):
        import qt

        for event in self.events:
            self._onEvent(event)
        qt.QTimer.singleShot(0, lambda: self._onFinished(self.code))

    def cancel(self):
        pass

    kill = cancel

    def waitForFinished(self, milliseconds):
        pass


@pytest.mark.parametrize(
    ("event", "code", "told"),
    [
        ({"code": "memory", "message": "out of memory", "advice": "or use --device cpu"}, 4, "device cpu under Advanced"),
        ({"code": "missing", "message": "no PyTorch", "advice": "Install it: pip install torch"}, 5, "extension PyTorch"),
        ({"code": "missing", "message": "the weights are not here", "advice": "Get them"}, 5, "weights"),
        (None, 139, "ended with code 139"),
        (None, None, "memory"),
        (None, 0, "ended with code 0"),
    ],
)  # fmt: skip
def test_failures_are_told_with_advice(slicer, event, code, told):
    from INRSuperResolution import INRSuperResolutionLogic

    kind = type("Told", (FalseProcess,), {"code": code, "events": [{"event": "error", **event}] if event else []})
    logic = INRSuperResolutionLogic(makeProcess=kind)
    volume = small_volume(slicer)
    before = scene_ids(slicer)
    with pytest.raises(RuntimeError, match=told):
        logic.process(volume, "linear")
    assert_as_before(slicer, before)
    logic.close()


def test_without_torch_the_panel_says_what_to_do(slicer, panel, monkeypatch):
    from INRSuperResolutionModule import dependencies

    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "single-contrast"
    monkeypatch.setattr(dependencies, "hasTorch", lambda: False)
    panel.ui.runButton.click()
    assert "extension PyTorch" in panel.ui.statusLabel.text
    assert not panel.logic.queue.runs


def test_check_devices(host, slicer, panel, monkeypatch):
    panel.ui.checkDevicesButton.click()
    wait(host, lambda: panel.ui.checkDevicesButton.enabled)
    assert "PyTorch works on: CPU" in panel.ui.statusLabel.text
    from INRSuperResolutionModule import dependencies

    monkeypatch.setattr(dependencies, "CHECK", "raise ImportError('libtorch is broken')")
    panel.ui.checkDevicesButton.click()
    wait(host, lambda: panel.ui.checkDevicesButton.enabled)
    assert "libtorch is broken" in panel.ui.statusLabel.text and "extension PyTorch" in panel.ui.statusLabel.text


def test_low_agreement_is_a_warning(slicer):
    from INRSuperResolutionModule import messages

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


def test_a_result_that_is_cut_short_is_no_success(slicer, logic, monkeypatch):
    from INRSuperResolutionModule import run as run_module

    honest = run_module.loadImages

    def cut(report):
        path = Path(report["outputs"][0]["path"])
        path.write_bytes(path.read_bytes()[:-100])
        return honest(report)

    monkeypatch.setattr(run_module, "loadImages", cut)
    volume = small_volume(slicer)
    before = scene_ids(slicer)
    with pytest.raises(RuntimeError, match="cut short"):
        logic.process(volume, "linear")
    assert_as_before(slicer, before)


# ---- queue, preview, comparison, saving --------------------------------------------------------


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


@pytest.mark.parametrize("mode", ["sideBySide", "flicker", "checkerboard"])
def test_comparison_and_back(host, slicer, panel, mode):
    small_volume(slicer)
    panel.enter()
    panel._parameterNode.method = "linear"
    run = run_and_wait(host, panel)
    before = scene_ids(slicer)
    red, yellow = (slicer.util.getNode(f"vtkMRMLSliceCompositeNode{n}") for n in ("Red", "Yellow"))
    assert red.GetBackgroundVolumeID() == run.nodes[0].GetID()
    button = panel.panel._compareButtons[mode]
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
        # linear against linear: fields of both agree wherever the input reaches
        assert np.isclose(mixed, result, atol=0.5).mean() > 0.3
    button.click()
    assert scene_ids(slicer) == before
    assert red.GetBackgroundVolumeID() == run.nodes[0].GetID() and not red.GetForegroundVolumeID()


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
    panel.initializeParameterNode()
    assert panel._parameterNode.seed == 3 and panel._parameterNode.method == "single-contrast"
    assert panel._parameterNode.inputVolume.GetName() == volume.GetName()
    result = slicer.util.getNode(name)
    assert result.GetAttribute("INRSuperResolution.Seed") == "3"
    again = wait_for(host, panel.logic.resample(result, spacing=[2.0]))
    assert again.state.value == "done", again.asText()
    assert np.allclose(affine_of(slicer, again.nodes[0]), place, atol=1e-9)
    assert np.array_equal(slicer.util.arrayFromVolume(again.nodes[0]), values)


# ---- speed -------------------------------------------------------------------------------------


def test_gui_stays_responsive(host, slicer, panel, data_folder):
    """No gap of more than 50 ms between the ticks of a timer while a job runs; the rare outlier of a busy machine aside."""
    import qt

    host.load_volume(data_folder / "clinical01_flair.nii.gz", "FLAIR")
    panel.enter()
    panel._parameterNode.method = "linear"
    ticks = []
    timer = qt.QTimer()
    timer.interval = 5
    timer.connect("timeout()", lambda: ticks.append(time.thread_time()))
    timer.start()
    run = run_and_wait(host, panel)
    timer.stop()
    assert run.state.value == "done", run.asText()
    # the thread's own CPU time between two ticks: what this thread did, not what others on the machine do
    assert np.diff(ticks).max() <= 0.05


def test_gui_stays_responsive_while_previews_come(host, slicer, panel, data_folder):
    import qt

    volume = host.load_volume(data_folder / "clinical01_flair.nii.gz", "FLAIR")
    panel.enter()
    ticks = []
    timer = qt.QTimer()
    timer.interval = 5
    timer.connect("timeout()", lambda: ticks.append(time.thread_time()))
    timer.start()
    run = panel.logic.start(slow_request(slicer, volume))
    wait(host, lambda: run.preview is not None or run.isEnded, 90)
    host.process_events(0.3)
    panel.logic.queue.cancel(run)
    wait(host, lambda: run.isEnded)
    timer.stop()
    assert run.state.value == "cancelled", run.asText()
    assert np.diff(ticks).max() <= 0.05


def test_transfer_of_a_large_volume(slicer, tmp_path):
    """512 × 512 × 300, to a file and back, as the module does it."""
    from INRSuperResolutionModule import transfer

    array = np.zeros((300, 512, 512), np.int16)
    affine = np.diag([0.5, 0.5, 1.0, 1.0])
    started = time.perf_counter()
    for _path in transfer.write(array, affine, tmp_path / "there"):
        pass
    affine[0, 2] = 0.3  # sheared: goes as NIfTI, which is what comes back
    for path in transfer.write(array, affine, tmp_path / "back"):
        pass
    reader = transfer.NiftiReader(path)
    back = np.empty(reader.shape[::-1], reader.dtype)
    for _ in reader.readInto(back):
        pass
    assert time.perf_counter() - started <= 3


@pytest.mark.parametrize("sheared", [False, True])
@pytest.mark.parametrize("kind", ["int16", "uint8", "float32", "float64"])
def test_transfer_keeps_values_and_place(slicer, tmp_path, kind, sheared):
    from INRSuperResolutionModule import transfer

    import INRSuperResolutionLib as inrsr

    array = (np.random.default_rng(0).random((4, 5, 6)) * 100).astype(kind)
    affine = np.array([[-0.8, 0.6, 0, -3.1], [0.6, 0.8, 0, 20.3], [0, 0, 4.0, 7.7], [0, 0, 0, 1]])
    if sheared:
        affine[1, 2] = 0.9
    for path in transfer.write(array, affine, tmp_path / "x"):
        pass
    volume = inrsr.read(path)
    assert np.array_equal(volume.data, array.T.astype(np.float32))
    assert np.allclose(volume.affine, affine, rtol=0, atol=1e-5 if sheared else 1e-12)


def test_self_test_of_the_module(slicer):
    import unittest

    from INRSuperResolution import INRSuperResolutionTest

    result = unittest.TestResult()
    INRSuperResolutionTest("runTest").run(result)
    assert result.wasSuccessful(), result.errors + result.failures
