"""Runs that are cancelled or fail: what is told, and what is left behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from scenes import assert_as_before, long_run, run_and_wait, scene_ids, small_volume, wait

# from the click until the run has ended and its files are gone
CANCEL_SECONDS = 2.0


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

    from INRSuperResolutionModule.runs import run as run_module

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


def test_missing_weights_by_a_real_worker(host, slicer, panel):
    """Weights that are not there: the panel says which, and where others come from."""
    small_volume(slicer)
    panel.enter()
    before = scene_ids(slicer)
    p = panel._parameterNode
    p.method, p.settings = "nexpr", json.dumps({"weights": "not-there"})
    run = run_and_wait(host, panel)
    assert run.state.value == "failed"
    assert "There are no weights 'not-there'" in panel.ui.statusLabel.text and "nexpr" in panel.ui.statusLabel.text
    assert_as_before(slicer, before)


def test_broken_torch_by_a_real_worker(host, slicer, panel, tmp_path_factory, monkeypatch):
    """torch is installed but cannot be imported: only the worker notices."""
    broken = tmp_path_factory.mktemp("broken")
    (broken / "torch.py").write_text("raise ImportError('libtorch is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    small_volume(slicer)
    panel.enter()
    before = scene_ids(slicer)
    panel._parameterNode.method = "siren"
    run = run_and_wait(host, panel)
    assert run.state.value == "failed"
    assert "libtorch is broken" in panel.ui.statusLabel.text and "extension PyTorch" in panel.ui.statusLabel.text
    assert_as_before(slicer, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a file")
def test_full_disk_in_a_real_worker(host, slicer, panel):
    """A file size limit stands for the full disk; it is inherited by the worker, whose result is larger than the input."""
    import resource

    volume = small_volume(slicer, shape=(10, 60, 60))
    panel.enter()
    slicer.mrmlScene.Modified()
    before = scene_ids(slicer)
    p = panel._parameterNode
    p.method, p.inputVolume, p.outputMode, p.factor = "linear", volume, "factor", 3.0
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, old[1]))
    try:
        run = run_and_wait(host, panel)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert run.state.value == "failed", run.asText()
    text = panel.ui.statusLabel.text
    assert text.startswith("Cannot write the result: ") and "Free some space" in text
    assert_as_before(slicer, before)


def test_a_result_that_is_cut_short_is_no_success(slicer, logic, monkeypatch):
    from INRSuperResolutionModule.runs import run as run_module

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
