"""Before and after: side by side in linked views, flickering, or as a checkerboard."""

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _

from .results import ATTRIBUTE, copyDisplay, markOf
from .views import ViewsAsTheyWere

FLICKER_MILLISECONDS = 600
TILES = 8
MODES = ("off", "sideBySide", "flicker", "checkerboard")


class Comparison:
    """Shows an input and its result together; `stop` leaves the views as they were."""

    def __init__(self) -> None:
        self.mode = "off"
        self._views = None
        self._board = None
        self._timer = qt.QTimer()
        self._timer.interval = FLICKER_MILLISECONDS
        self._timer.connect("timeout()", self._flip)

    def start(self, mode: str, before, after) -> None:
        """Show `before` and `after` in one of `MODES`."""
        self.stop()
        if mode == "off" or before is None or after is None:
            return
        self.mode, self._views = mode, ViewsAsTheyWere()
        if mode == "sideBySide":
            self._showSideBySide(before, after)
        elif mode == "flicker":
            slicer.util.setSliceViewerLayers(background=before, foreground=after, foregroundOpacity=0.0)
            self._timer.start()
        else:
            self._board = makeCheckerboard(before, after)
            slicer.util.setSliceViewerLayers(background=self._board, foreground=None)

    def stop(self) -> None:
        """End the comparison."""
        self._timer.stop()
        if self._views is not None:
            self._views.restore()
        if self._board is not None and self._board.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(self._board.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(self._board)
        self.mode, self._views, self._board = "off", None, None

    def _showSideBySide(self, before, after) -> None:
        manager = slicer.app.layoutManager()
        if manager is None:  # Slicer without its window: nobody looks
            return
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
        left, right = (manager.sliceWidget(name) for name in ("Red", "Yellow"))
        # across the slices: there a thick-slice scan looks worst
        for widget, volume in ((left, before), (right, after)):
            logic = widget.sliceLogic()
            composite = logic.GetSliceCompositeNode()
            composite.SetLinkedControl(False)
            composite.SetBackgroundVolumeID(volume.GetID())
            composite.SetForegroundVolumeID(None)
            logic.GetSliceNode().SetOrientation(acrossSlices(before))
            logic.FitSliceToBackground()
        right.sliceLogic().GetSliceNode().SetSliceOffset(left.sliceLogic().GetSliceNode().GetSliceOffset())
        for widget in (left, right):
            widget.sliceLogic().GetSliceCompositeNode().SetLinkedControl(True)

    def _flip(self) -> None:
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            composite.SetForegroundOpacity(0.0 if composite.GetForegroundOpacity() > 0.5 else 1.0)


def acrossSlices(node) -> str:
    """A slice orientation that cuts the acquired slices: coronal, but sagittal for coronal scans."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    spacing = np.linalg.norm(affine, axis=0)
    thick = int(np.argmax(np.round(spacing, 3) + np.array([0, 0, 1e-6])))
    return "Sagittal" if np.abs(affine[:, thick]).argmax() == 1 else "Coronal"


def makeCheckerboard(before, after):
    """A temporary volume on the grid of `after` with fields of both in turn."""
    toWorld = vtk.vtkMatrix4x4()
    after.GetIJKToRASMatrix(toWorld)
    toBefore = vtk.vtkMatrix4x4()
    before.GetRASToIJKMatrix(toBefore)
    both = vtk.vtkMatrix4x4()
    # the result stands in the world where the input's own transform has put it
    if before.GetParentTransformNode() is not None:
        toLocal = vtk.vtkMatrix4x4()
        before.GetParentTransformNode().GetMatrixTransformFromWorld(toLocal)
        vtk.vtkMatrix4x4.Multiply4x4(toBefore, toLocal, toBefore)
    vtk.vtkMatrix4x4.Multiply4x4(toBefore, toWorld, both)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(before.GetImageData())
    reslice.SetResliceTransform(asTransform(both))
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent(after.GetImageData().GetExtent())
    reslice.SetOutputScalarType(after.GetImageData().GetScalarType())
    reslice.Update()
    image = vtk.vtkImageData()
    image.DeepCopy(reslice.GetOutput())
    board = slicer.vtkMRMLScalarVolumeNode()
    board.SetName(_("Checkerboard"))
    board.SetHideFromEditors(True)
    board.SetSaveWithScene(False)
    board.SetAttribute(ATTRIBUTE + "Mark", markOf(after))
    board.SetIJKToRASMatrix(toWorld)
    board.SetAndObserveImageData(image)
    mixed, result = slicer.util.arrayFromVolume(board), slicer.util.arrayFromVolume(after)
    # fields of the same size along every axis, in millimetres
    spacing = np.array(after.GetSpacing())[::-1]
    tile = (np.array(result.shape) * spacing).max() / TILES
    fields = [(np.arange(n) * step // tile).astype(int) for n, step in zip(result.shape, spacing)]
    odd = (fields[0][:, None, None] + fields[1][None, :, None] + fields[2][None, None, :]) % 2 == 1
    mixed[odd] = result[odd]
    copyDisplay(after, board).SetSaveWithScene(False)
    return slicer.mrmlScene.AddNode(board)


def asTransform(matrix):
    """A linear transform of a matrix."""
    transform = vtk.vtkTransform()
    transform.SetMatrix(matrix)
    return transform
