"""One slice view that shows sharp frames: its geometry, its hidden volume, and its layers put back afterwards."""

import json
from dataclasses import dataclass, field

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

ATTRIBUTE = "INRSuperResolution.SharpZoom"
# on a composite node: its own foreground, as long as a frame is in its place; saved with the scene, unlike the frame
LAYERS_BEFORE = "INRSuperResolution.LayersBefore"
ALPHA = 0


def matrixOf(vtkMatrix) -> np.ndarray:
    """A vtkMatrix4x4 as an array."""
    return slicer.util.arrayFromVTKMatrix(vtkMatrix)


def putLayersBack() -> None:
    """After a scene was loaded that had been saved with frames shown: the frames are gone, so back to what was before."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        before = composite.GetAttribute(LAYERS_BEFORE)
        shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
        if before is None or (shown is not None and shown.GetAttribute(ATTRIBUTE)):
            continue
        setLayers(composite, *json.loads(before))
        composite.RemoveAttribute(LAYERS_BEFORE)


def setLayers(composite, volumeID: str | None, opacity: float, compositing: int) -> None:
    """The foreground of a view, as one change; a volume that is gone is left out."""
    isGone = volumeID and slicer.mrmlScene.GetNodeByID(volumeID) is None
    with slicer.util.NodeModify(composite):
        composite.SetForegroundVolumeID(None if isGone else volumeID)
        composite.SetForegroundOpacity(opacity)
        composite.SetCompositing(compositing)


@dataclass
class Asked:
    """A frame that the worker draws."""

    key: tuple
    toWorld: np.ndarray
    """Its pixels (column, row, 0, 1) → RAS mm."""
    isCoarse: bool
    when: float
    isOutdated: bool = False
    """Whether something beside the view's place has changed since."""
    changed: set[int] = field(default_factory=set)
    """Slices that have been encoded since."""


class ZoomView:
    """A slice view.

    Parameters
    ----------
    sliceNode, compositeNode
        Of the view.
    """

    def __init__(self, sliceNode, compositeNode) -> None:
        self.sliceNode, self.compositeNode = sliceNode, compositeNode
        self.name = sliceNode.GetLayoutName()
        self.isPending = self.isSharp = self.isStepAside = False
        self.seconds = 0.0
        """How long the last full pass took."""
        self.lastEvent = -1e9
        self.drawnKey = None
        """What the frame that is shown was drawn for; None if there is none, a coarse one, or one that is outdated."""
        self.asked: Asked | None = None
        """The frame that is on its way."""
        self.slices = range(0)
        self.isStale = False
        """Whether slices of the frame have come since it was drawn."""
        self._node = None
        self._values = None
        self._before = None
        self.isChanging = False

    # ---- geometry ------------------------------------------------------------------------------

    def size(self) -> tuple[int, int]:
        """Columns and rows of the view in pixels."""
        return tuple(self.sliceNode.GetDimensions()[:2])

    def pixelToWorld(self) -> np.ndarray:
        """Pixel (column, row, 0) → RAS, 4 × 4."""
        return matrixOf(self.sliceNode.GetXYToRAS())

    def key(self) -> tuple:
        """What a frame depends on."""
        return (*self.size(), *self.pixelToWorld().ravel().tolist())

    def forgetDrawn(self) -> None:
        """The frames that are shown and on their way are no longer true."""
        self.drawnKey = None
        if self.asked is not None:
            self.asked.isOutdated = True

    # ---- what is shown -------------------------------------------------------------------------

    @property
    def node(self):
        """The volume node with the frame, or None."""
        return self._node

    def shows(self, volumeID: str) -> bool:
        """Whether the view shows this volume, and nobody else has taken the foreground since."""
        return self.compositeNode.GetBackgroundVolumeID() == volumeID and not self.isStepAside

    def show(self, values: np.ndarray, pixelToWorld: np.ndarray, display, opacity: float) -> None:
        """Put a frame (rows, columns) into the view's foreground; `pixelToWorld` is of its own pixels."""
        with slicer.util.NodeModify(self._node) if self._node is not None else _Nothing():
            self._put(values, pixelToWorld, display)
        if self._before is None:
            c = self.compositeNode
            self._before = (c.GetForegroundVolumeID(), c.GetForegroundOpacity(), c.GetCompositing())
            self._setLayers(self._node.GetID(), opacity, ALPHA, json.dumps(self._before))

    def setOpacity(self, opacity: float) -> None:
        """Of the frame, against the original below it."""
        if self._before is not None:
            self._setLayers(self._node.GetID(), opacity, ALPHA, json.dumps(self._before))

    def hide(self) -> None:
        """Give the view its own foreground back; the volume node stays for later."""
        before, self._before = self._before, None
        self.isSharp, self.drawnKey = False, None
        if before is not None:
            self._setLayers(*before, None)

    def remove(self) -> None:
        """As before the view was taken."""
        self.hide()
        if self._node is not None and self._node.GetScene() is not None:
            self._node.SetAndObserveDisplayNodeID(None)
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = self._values = None

    def isTakenByOthers(self) -> bool:
        """Whether somebody has chosen another foreground while the frame was shown; then the choice stands."""
        if self._before is None or self.isChanging:
            return False
        if self.compositeNode.GetForegroundVolumeID() == self._node.GetID():
            return False
        self._before = None
        self.compositeNode.RemoveAttribute(LAYERS_BEFORE)
        return True

    # ---- inside --------------------------------------------------------------------------------

    def _setLayers(self, volumeID, opacity: float, compositing: int, remembered: str | None) -> None:
        self.isChanging = True
        try:
            self.compositeNode.SetAttribute(LAYERS_BEFORE, remembered)
            setLayers(self.compositeNode, volumeID, opacity, compositing)
        finally:
            self.isChanging = False

    def _put(self, values: np.ndarray, pixelToWorld: np.ndarray, display) -> None:
        if self._values is None or self._values.shape != values.shape:
            self._values = np.empty(values.shape, np.float32)
            image = vtk.vtkImageData()
            image.SetDimensions(values.shape[1], values.shape[0], 1)
            image.GetPointData().SetScalars(numpy_to_vtk(self._values.ravel()))
        else:
            image = self._node.GetImageData()
        self._values[:] = values
        isNew = self._node is None
        if isNew:
            self._node = slicer.vtkMRMLScalarVolumeNode()
            self._node.SetName(_("Sharp zoom {view}").format(view=self.name))
            self._node.SetAttribute(ATTRIBUTE, self.name)
            self._node.SetHideFromEditors(True)
            self._node.SetSaveWithScene(False)
            # an id that no other node ever has, also in a scene that was saved meanwhile and has kept the id only
            self._node.SetSingletonTag(f"SharpZoom{self.name}")
        self._node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(pixelToWorld))
        if self._node.GetImageData() is not image:
            self._node.SetAndObserveImageData(image)
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        if isNew:
            self._node = slicer.mrmlScene.AddNode(self._node)
            self._node.SetAndObserveDisplayNodeID(display.GetID())


class _Nothing:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass
