"""Sharp zoom works in a process of its own, and nothing in Slicer waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import Ticks, calmest, small_volume, wait

REPOSITORY = Path(__file__).resolve().parents[1]


def test_torch_is_never_loaded_in_slicers_own_process():
    """On, drawn, off: by a process of its own, as this one has loaded it for other tests."""
    program = """
import sys
sys.path.insert(0, "Testing")
import SlicerHost, numpy as np
host = SlicerHost.start()
host.load_module()
import slicer
from scenes import small_volume, wait
from INRSuperResolutionModule.zoom.panel import later
from INRSuperResolutionModule.zoom.controller import ZoomController
volume = small_volume(slicer, shape=(5, 30, 26), matrix=np.diag([-1.0, 1.0, 3.0, 1.0]))
slicer.util.setSliceViewerLayers(background=volume)
for logic in (slicer.app.layoutManager().sliceWidget(n).sliceLogic() for n in ("Red", "Yellow", "Green")):
    logic.GetSliceNode().SetDimensions(60, 40, 1)
    logic.FitSliceToAll(60, 40)
zoom = ZoomController(later)
zoom.start(volume)
wait(host, lambda: zoom.error or (zoom.views and all(v.isSharp for v in zoom.views.values())), 60)
print(zoom.error, [m for m in ("torch", "numba", "scipy", "nibabel", "skimage") if m in sys.modules], flush=True)
zoom.close()
"""
    environment = dict(os.environ, QT_QPA_PLATFORM="offscreen")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip().endswith("None []"), done.stdout + done.stderr


def test_the_worker_gets_on_while_slicer_is_idle(host, slicer):
    """The main loop holds Python's lock: what is done by a thread of Slicer's process would stand still."""
    from INRSuperResolutionModule.zoom.source import ZoomWorker
    from PySide6 import QtCore
    from SlicerHost import mainloop

    worker, loop, news = ZoomWorker(), QtCore.QEventLoop(), []
    worker.onNews = lambda: (news.extend(worker.events()), loop.quit())
    QtCore.QTimer.singleShot(120_000, loop.quit)
    try:
        mainloop.run(loop)  # nothing else happens
        assert [event["event"] for event in news] == ["ready"]
    finally:
        worker.close()


@pytest.mark.alone
def test_no_turn_of_the_main_loop_takes_long(host, slicer, panel):
    """From the first click on, after idle seconds too: PyTorch and the network are loaded elsewhere."""
    volume = small_volume(slicer, shape=(4, 40, 36), matrix=np.diag([-4.0, 4.0, 9.0, 1.0]))
    slicer.util.setSliceViewerLayers(background=volume)
    panel.ui.zoomSelector.setCurrentNode(volume)
    zoom = panel.zoomPanel.controller

    def longest() -> float:
        ticks = Ticks()
        panel.ui.zoomCheckBox.checked = False
        host.process_events(2)
        panel.ui.zoomCheckBox.checked = True
        wait(host, lambda: zoom.error or (zoom.views and all(v.isSharp for v in zoom.views.values())))
        assert zoom.error is None
        for view in zoom.views.values():
            x, y, z = view.sliceNode.GetFieldOfView()
            view.sliceNode.SetFieldOfView(x / 2, y / 2, z)
        host.process_events(0.5)
        return ticks.longest()

    assert calmest(longest, 0.05) <= 0.05


class DeafWorker:
    """Takes commands, and answers none."""

    def __init__(self):
        self.sent, self.onNews = [], None

    def send(self, **command):
        self.sent.append(command)

    def events(self):
        return ()

    def close(self):
        pass


@pytest.mark.alone
def test_a_large_volume_is_handed_over_in_pieces(host, slicer):
    from INRSuperResolutionModule.zoom.controller import ZoomController
    from INRSuperResolutionModule.zoom.panel import later

    array = np.random.default_rng(0).integers(0, 1000, (150, 512, 512), np.int16)
    volume = slicer.util.addVolumeFromArray(array, name="CT")
    worker = DeafWorker()
    zoom = ZoomController(later, makeWorker=lambda: worker)

    def longest() -> float:
        worker.sent.clear()
        ticks = Ticks()
        host.process_events(0.1)
        zoom.start(volume)
        wait(host, lambda: worker.sent)
        return ticks.longest()

    assert calmest(longest, 0.05) <= 0.05
    zoom.start(volume)  # given up half-way
    zoom.stop()
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    zoom.close()


def test_a_volume_that_cannot_be_handed_over_is_told(host, slicer, monkeypatch):
    import errno

    from INRSuperResolutionModule.zoom import controller
    from INRSuperResolutionModule.zoom.panel import later

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(controller, "write", full)
    zoom = controller.ZoomController(later, makeWorker=DeafWorker)
    zoom.start(small_volume(slicer))
    wait(host, lambda: zoom.error is not None, 5)
    assert "full" in zoom.error[0] and "Free some space" in zoom.error[1]
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    zoom.close()


def test_what_a_graphics_card_cannot_do_the_processor_does():
    import torch

    from INRSuperResolutionLib.jobs.zoom_worker import Encoder

    class OnCard:
        device = "mps"

        def move_to(self, device):
            self.device = device

        def code(self, _channel, number):
            if self.device != "cpu":
                raise NotImplementedError("The operator 'aten::made_up' is not implemented for the MPS device")
            return torch.full((1,), float(number))

    encoder = object.__new__(Encoder)
    encoder._representation, encoder._channel = OnCard(), 0
    assert encoder._encode(3) == [3.0]


def test_workers_may_fall_back_from_apples_gpu(slicer):
    from INRSuperResolutionModule.runs.process import workerEnvironment

    from INRSuperResolutionLib.jobs.client import worker_environment

    assert workerEnvironment().value("PYTORCH_ENABLE_MPS_FALLBACK") == "1"
    assert worker_environment(None)["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"


def test_a_volume_without_an_image_is_refused(slicer):
    from INRSuperResolutionModule.scene.inputs import InputProblem
    from INRSuperResolutionModule.zoom.controller import ZoomController
    from INRSuperResolutionModule.zoom.panel import later

    zoom = ZoomController(later, makeWorker=DeafWorker)
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(InputProblem, match="empty has no image"):
        zoom.start(empty)
    assert not zoom.isOn
