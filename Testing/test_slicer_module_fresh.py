"""The first hour of a new user: nothing is installed yet, and every way in ends well or in one message with the way out."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scenes import run_and_wait, small_volume, wait

PACKAGES = ("nibabel", "psutil", "safetensors", "scikit-image")
MISSING = {"torch", "numba", *PACKAGES}
FLAT = np.diag([-1.0, 1.0, 3.0, 1.0])


@pytest.fixture
def fresh(machine, slicer, monkeypatch):
    """A Slicer that was just installed, with a user in front of it."""
    monkeypatch.setattr(slicer.app, "_isTesting", False)
    machine.missing |= MISSING
    return machine


@pytest.fixture
def volume(slicer, panel):
    node = small_volume(slicer, shape=(4, 14, 12), matrix=FLAT)
    panel.enter()
    panel._parameterNode.method = "single-contrast"
    panel._parameterNode.settings = '{"epochs": 1, "width": 8}'
    return node


@pytest.fixture
def sequence(slicer, volume):
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "film")
    for time in range(2):
        made.SetDataNodeAtValue(volume, str(time))
    return made


class FalseProcess:
    """Stands in for the worker of a run: counts the starts; which work goes on is not the question here."""

    started = 0

    def __init__(self, onEvent, onLog, onFinished):
        self._onFinished = onFinished

    def start(self, jobPath):
        import qt

        type(self).started += 1
        qt.QTimer.singleShot(0, lambda: self._onFinished(7))

    def cancel(self):
        pass

    kill = cancel

    def waitForFinished(self, milliseconds):
        pass


class FalseWorker:
    """Stands in for the worker of sharp zoom."""

    started = 0

    def __init__(self):
        type(self).started += 1
        self.onNews = None

    def send(self, **command):
        pass

    def events(self):
        return ()

    def close(self):
        pass


@pytest.fixture
def work(panel, monkeypatch):
    """How often any work has been started."""
    monkeypatch.setattr(FalseProcess, "started", 0)
    monkeypatch.setattr(FalseWorker, "started", 0)
    panel.logic.queue._makeProcess = FalseProcess
    panel.zoomPanel.controller._makeWorker = FalseWorker
    return lambda: FalseProcess.started + FalseWorker.started


def told_by_panel(panel):
    return panel.ui.statusLabel.text


def told_by_call(call):
    from INRSuperResolution import InputProblem

    try:
        call()
    except InputProblem as problem:
        return str(problem)
    except RuntimeError:  # the false worker has been started, and has failed
        return ""
    return ""


def make_result(slicer, panel, volume):
    """A result whose representation is in the scene, as of a session before."""
    from INRSuperResolutionModule.scene.results import INPUTS_ROLE, REPRESENTATION_ROLE, addTextNode, textNode

    result = small_volume(slicer, "result", matrix=FLAT)
    result.SetAttribute("INRSuperResolution.Method", "single-contrast")
    keeper = addTextNode("function", textNode("AAAA"))
    result.SetNodeReferenceID(REPRESENTATION_ROLE, keeper.GetID())
    result.SetNodeReferenceID(INPUTS_ROLE, volume.GetID())
    panel._parameterNode.result = result
    return result


def press_run(slicer, panel, volume, sequence):
    panel.ui.runButton.click()
    return told_by_panel(panel)


def press_sample_again(slicer, panel, volume, sequence):
    make_result(slicer, panel, volume)
    panel.ui.resampleButton.click()
    return told_by_panel(panel)


def switch_zoom_on(slicer, panel, volume, sequence):
    panel.ui.zoomButton.collapsed = False
    panel.ui.zoomSelector.setCurrentNode(volume)
    panel.ui.zoomCheckBox.checked = True
    return panel.ui.zoomStatusLabel.text


def call_process(slicer, panel, volume, sequence):
    return told_by_call(lambda: panel.logic.process(volume, "single-contrast"))


def call_process_sequence(slicer, panel, volume, sequence):
    return told_by_call(lambda: panel.logic.processSequence(sequence, "single-contrast"))


def call_resample(slicer, panel, volume, sequence):
    result = make_result(slicer, panel, volume)
    return told_by_call(lambda: panel.logic.resample(result, spacing=[2.0]))


def press_run_for_a_sequence(slicer, panel, volume, sequence):
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.AddSynchronizedSequenceNode(sequence)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    panel._parameterNode.inputVolume = browser.GetProxyNode(sequence)
    panel._parameterNode.wholeSequence = True
    panel.ui.runButton.click()
    return told_by_panel(panel)


def run_after_reload(slicer, panel, volume, sequence):
    import SlicerHost

    panel.onReload()
    again = slicer.modules.INRSuperResolutionWidget
    again.logic.queue._makeProcess = FalseProcess
    try:
        again.ui.runButton.click()
        told = told_by_panel(again)
        SlicerHost.start().process_events(0.1)
        return told
    finally:
        again.cleanup()


DOORS = (
    press_run, press_sample_again, switch_zoom_on, call_process, call_process_sequence, call_resample,
    press_run_for_a_sequence, run_after_reload,
)  # fmt: skip


@pytest.fixture(params=DOORS, ids=lambda door: door.__name__)
def door(request, fresh, slicer, panel, volume, sequence, work):
    return lambda: request.param(slicer, panel, volume, sequence)


def make_result_of_dicom(slicer, panel, volume, monkeypatch):
    """A result whose input came from DICOM files that are still in the database."""

    class Database:
        def fileForInstance(self, uid):
            return f"{uid}.dcm"

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    result = make_result(slicer, panel, volume)
    result.SetAttribute("INRSuperResolution.SourceInstanceUIDs", "1.2 1.3")
    panel.panel.refresh()
    return result


def press_write_dicom(slicer, panel, volume, monkeypatch, folder):
    make_result_of_dicom(slicer, panel, volume, monkeypatch)
    monkeypatch.setitem(sys.modules["qt"].QFileDialog.answers, "getExistingDirectory", str(folder))
    panel.ui.dicomButton.click()
    return told_by_panel(panel)


def call_write_dicom(slicer, panel, volume, monkeypatch, folder):
    result = make_result_of_dicom(slicer, panel, volume, monkeypatch)
    return told_by_call(lambda: panel.logic.writeDicom(result, str(folder / "a.dcm")))


def begin_a_reader_study(slicer, panel, volume, monkeypatch, folder):
    section = panel.studySection
    section.pathEdit.text, section.readerEdit.text = str(folder / "study.json"), "anna"
    section.startButton.click()
    told = section.tellLabel.text
    return "" if "study.json" in told else told  # past the door it tells that there is no such study


# what is written or shown is there already, whatever made it
DOORS_WITHOUT_PYTORCH = (press_write_dicom, call_write_dicom, begin_a_reader_study)


@pytest.mark.parametrize("door", DOORS_WITHOUT_PYTORCH, ids=lambda door: door.__name__)
def test_what_needs_no_pytorch_asks_for_the_rest(
    fresh, host, slicer, panel, volume, work, door, monkeypatch, tmp_path_factory
):
    def try_it():
        return door(slicer, panel, volume, monkeypatch, tmp_path_factory.mktemp("out"))

    fresh.agrees = False
    told = try_it()
    assert is_readable(told) and "nothing was started" in told
    assert len(fresh.questions) == 1 and "PyTorch" not in fresh.questions[0] and "nibabel (4 MB)" in fresh.questions[0]
    fresh.agrees, fresh.online = True, False
    told = try_it()
    assert is_readable(told) and "could not be downloaded" in told
    assert work() == 0 and fresh.missing == MISSING
    fresh.online = True
    assert try_it() == ""
    assert fresh.missing == {"torch", "numba"} and len(fresh.questions) == 3
    if door is not begin_a_reader_study:
        wait(host, lambda: panel.logic.queue.active is None, 10)
        assert work() == 1, panel.logic.queue.runs[-1].asText()


def is_readable(text: str) -> bool:
    """One message in plain words: what, and the way out; nothing of Python's own."""
    isPlain = not any(word in text for word in ("Error", "Traceback", "None", "exit status", "Command"))
    return isPlain and text.count(". ") >= 1 and "ry again" in text


def test_declined(fresh, slicer, door, work):
    fresh.agrees = False
    told = door()
    assert len(fresh.questions) == 1, "it asks once"
    question = fresh.questions[0]
    assert "PyTorch (200 MB" in question and "nibabel (4 MB): reads and writes images" in question
    assert "once from the internet" in question and "numba" not in question
    assert is_readable(told) and "nothing was started" in told
    assert work() == 0 and not fresh.requests and fresh.missing == MISSING


def test_offline(fresh, door, work):
    fresh.online = False
    told = door()
    assert is_readable(told) and "could not be downloaded" in told and "internet" in told
    assert len(fresh.questions) == 1 and work() == 0


def test_installed(fresh, slicer, host, door, work):
    """The next attempt, after a declined and an offline one, installs and starts; another one asks nothing."""
    fresh.agrees = False
    door()
    fresh.agrees, fresh.online = True, False
    door()
    fresh.online = True
    told = door()
    assert not any(word in told for word in ("ry again", "missing"))
    assert len(fresh.questions) == 3 and fresh.missing == {"numba"}
    host.process_events(0.1)
    assert work() >= 1
    count = len(fresh.requests)
    assert {r.partition(">=")[0] for r in fresh.requests} == {"torch", *PACKAGES} and count
    door()
    assert len(fresh.questions) == 3 and len(fresh.requests) == count


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        (None, "Still missing: PyTorch"),
        (RuntimeError("no build for this card"), "no build for this card"),
        (ValueError("Failed to get computation backend"), "Failed to get computation backend"),
        (ImportError("DLL load failed"), "DLL load failed"),
    ],
    ids=["nothing", "RuntimeError", "ValueError", "ImportError"],
)
def test_the_installer_of_pytorch_fails(fresh, host, slicer, panel, volume, work, gives, told):
    fresh.pytorch_gives = gives
    panel.ui.runButton.click()
    assert told in told_by_panel(panel) and "Restart Slicer and try again" in told_by_panel(panel)
    assert work() == 0 and fresh.missing == {"torch", "numba"}, "the other packages stay"
    fresh.pytorch_gives = "torch"
    panel.ui.runButton.click()
    host.process_events(0.1)
    assert work() == 1 and fresh.missing == {"numba"}


def test_each_requirement_is_told_with_its_size_and_purpose(slicer):
    from INRSuperResolutionModule.runs import dependencies

    lines = dependencies.REQUIREMENTS.read_text("utf-8").splitlines()
    names = {line.partition(">=")[0] for line in lines if line and not line.startswith("#")}
    assert names == set(dependencies.ABOUT) - {"torch"}


def test_without_the_extension_pytorch(fresh, panel, volume, work):
    fresh.has_pytorch_extension = False
    panel.ui.runButton.click()
    assert "extension PyTorch in the Extensions Manager" in told_by_panel(panel)
    assert not fresh.questions and work() == 0


@pytest.mark.parametrize("name", ["torch", "nibabel"])
def test_too_old_a_version_is_as_none(machine, host, slicer, panel, volume, work, monkeypatch, name):
    monkeypatch.setattr(slicer.app, "_isTesting", False)
    machine.versions[name] = "1.13.1+cu117"
    machine.agrees = False
    panel.ui.runButton.click()
    assert len(machine.questions) == 1 and ("PyTorch" if name == "torch" else name) in machine.questions[0]
    assert work() == 0
    machine.agrees = True
    panel.ui.runButton.click()
    host.process_events(0.1)
    assert work() == 1 and machine.requests == [f"{name}>={'2.2' if name == 'torch' else '5.1'}"]


def test_interpolation_needs_no_pytorch(fresh, host, panel, volume, work):
    panel._parameterNode.method = "linear"
    panel.ui.runButton.click()
    host.process_events(0.1)
    assert "PyTorch" not in fresh.questions[0] and fresh.missing == {"torch", "numba"} and work() == 1


def test_a_second_click_while_packages_are_installed(fresh, slicer, panel, volume, work, monkeypatch):
    """The window that shows the installation lets the panel be used."""
    told, install = [], fresh.install

    def click_and_install(requirements):
        panel.ui.runButton.click()
        told.append(told_by_panel(panel))
        install(requirements)

    monkeypatch.setattr(fresh, "install", click_and_install, raising=False)
    panel.ui.runButton.click()
    assert told[0].startswith("Packages are being installed") and len(fresh.questions) == 1


def test_the_self_test_says_what_is_missing(fresh, slicer, monkeypatch):
    """With --testing Slicer installs nothing, and asks nothing."""
    import unittest

    from INRSuperResolution import INRSuperResolutionTest

    monkeypatch.setattr(slicer.app, "_isTesting", True)
    result = unittest.TestResult()
    INRSuperResolutionTest("test_LinearKeepsGeometry").run(result)
    ((_, trace),) = result.errors
    last = trace.strip().splitlines()[-1]
    assert "these Python packages are missing: nibabel, psutil, safetensors, scikit-image" in last
    assert "start it without --testing" in last and not fresh.requests


def test_the_panel_itself_needs_nothing(fresh, slicer, host, panel, work, raised_in_slots):
    """Opening, choosing, estimating, checking devices, opening sharp zoom: no package, no question, no work."""
    small_volume(slicer)
    panel.enter()
    assert "Takes about" in panel.ui.estimateLabel.text
    panel.ui.checkDevicesButton.click()
    assert "not installed yet" in told_by_panel(panel)
    panel.ui.zoomButton.collapsed = False
    host.process_events(0.05)
    assert not fresh.questions and work() == 0 and not raised_in_slots


def test_after_the_installation_a_real_run_succeeds(fresh, host, slicer, panel, volume):
    """Nothing is left in this process that keeps the worker from what is there."""
    panel._parameterNode.method = "linear"
    run = run_and_wait(host, panel)
    assert run.state.value == "done", run.asText()
    assert "nibabel" in " ".join(fresh.requests) and not any(m in sys.modules for m in ("PyTorchUtils",))


def test_without_a_main_window(host, slicer, monkeypatch, panel):
    """Slicer without its window has no layout manager: runs, results, charts and sharp zoom work all the same."""
    monkeypatch.setattr(host, "has_main_window", False)
    assert slicer.app.layoutManager() is None
    volume = small_volume(slicer, shape=(4, 14, 12), matrix=FLAT)
    panel.enter()
    panel._parameterNode.method = "linear"
    run = run_and_wait(host, panel)
    assert run.state.value == "done", run.asText()
    for button in panel.panel.result.compareButtons.values():
        button.click()
        button.click()
    panel.zoomPanel.controller._makeWorker = FalseWorker
    switch_zoom_on(slicer, panel, volume, None)
    wait(host, lambda: panel.zoomPanel.controller._source is not None, 5)
    panel.ui.zoomSplitSlider.value = 40
    panel.ui.zoomCheckBox.checked = False
