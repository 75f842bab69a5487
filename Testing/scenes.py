"""Helpers of the tests of the Slicer module: volumes in the scene, and waiting for runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from owntime import own_time

from INRSuperResolutionLib.methods import METHODS

# enough to see that a method goes all the way; each takes those that it knows
QUICK = {
    "epochs": 2, "volume_epochs": 1, "width": 16, "head_width": 16, "frequencies": 8, "class_epochs": 1,
    "class_width": 16, "steps": 4, "warmup": 1, "depth": 1, "average_flips": False, "check": False, "train_seconds": 1.0,
}  # fmt: skip


def small_volume(slicer, name="T1", shape=(5, 12, 10), seed=0, matrix=None):
    """A volume without symmetry, oblique and left-handed unless `matrix` is given."""
    k, j, i = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    array = (100 * i + 37 * j**2 + 61 * k + 20 * np.sin(5 * i + 3 * j * k) + seed).astype(np.float32)
    node = slicer.util.addVolumeFromArray(array, name=name)
    if matrix is None:
        turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.diag([-1.1, 0.9, 4.0])
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        matrix[:3, 3] = [-31.7, 12.3, 45.1]
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.CreateDefaultDisplayNodes()
    return node


def nonlinear_shift(slicer):
    """A thin-plate spline transform node that moves everything by 3 mm along R."""
    import vtk

    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in ((0, 0, 0), (29, 0, 0), (0, 29, 0), (0, 0, 21), (29, 29, 21)):
        points.InsertNextPoint(corner)
        moved.InsertNextPoint(corner[0] + 3, corner[1], corner[2])
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    spline.SetBasisToR()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetAndObserveTransformToParent(spline)
    return transform


def affine_of(slicer, node) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def calmest(measure: Callable[[], float], limit: float) -> float:
    """The first of up to three measured times within `limit`, or the least of them.

    What takes long by itself does so each time; a slow moment of the machine passes.
    """
    times = [measure()]
    while times[-1] > limit and len(times) < 3:
        times.append(measure())
    return min(times)


def wait(host, condition, seconds=180.0):
    """Let Qt work until `condition()`."""
    end = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < end, "it took too long"
        host.process_events(0.02)


def run_and_wait(host, panel):
    panel.ui.runButton.click()
    wait(host, lambda: panel.logic.queue.active is None)
    return panel.logic.queue.runs[-1]


def scene_ids(slicer) -> set[str]:
    return {
        n.GetID()
        for n in slicer.util.getNodesByClass("vtkMRMLNode")
        if not n.IsA("vtkMRMLColorNode") and not n.IsA("vtkMRMLScriptedModuleNode")
    }


def assert_as_before(slicer, before):
    assert scene_ids(slicer) == before
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def wait_for(host, run):
    wait(host, lambda: run.isEnded)
    return run


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


def quick_settings(method: str, folder: Path) -> dict:
    """Settings of any method that end a fit at once; for one that is trained ahead, tiny weights."""
    known = METHODS[method].settings("fast").__dataclass_fields__
    settings = {name: value for name, value in QUICK.items() if name in known}
    if method == "self-supervised":
        settings["weights"] = "none"  # it can learn from the scan alone
    elif "weights" in known:
        from tinynetworks import random_weights

        settings["weights"] = str(random_weights(method, folder / "tiny.safetensors"))
    return settings


class Ticks:
    """A timer of 5 ms in the GUI thread, and the longest time for which something of ours kept it from ticking, from the start on."""

    def __init__(self):
        import qt

        self._times = [own_time()]
        self._timer = qt.QTimer()
        self._timer.interval = 5
        self._timer.connect("timeout()", lambda: self._times.append(own_time()))
        self._timer.start()

    def longest(self) -> float:
        self._timer.stop()
        self._times.append(own_time())
        assert len(self._times) > 5, "it did not tick"
        return float(np.diff(self._times).max())
