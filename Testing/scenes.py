"""Helpers of the tests of the Slicer module: volumes in the scene, and waiting for runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


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


def wait(host, condition, seconds=60.0):
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
