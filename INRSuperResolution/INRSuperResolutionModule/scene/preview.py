"""The volume as it sharpens, in the slice views, while the run works.

The preview is a hidden node that is never saved; when the run ends, it goes and the views are as before.
"""

import slicer
from slicer.i18n import tr as _

from .results import LoadedImage, copyDisplay
from .views import ViewsAsTheyWere


class Preview:
    """Shows the previews of one run at a time."""

    def __init__(self) -> None:
        self._node = self._views = self._shown = None

    def show(self, image: LoadedImage, source) -> None:
        """Show a preview of the volume node `source`; one that is shown already is left."""
        if image is self._shown:
            return
        self._shown = image
        isNew = self._node is None or self._node.GetScene() is None
        if isNew:
            self._views = ViewsAsTheyWere()
            self._node = slicer.vtkMRMLScalarVolumeNode()
            self._node.SetName(_("{name} (preview)").format(name=source.GetName()))
            self._node.SetHideFromEditors(True)
            self._node.SetSaveWithScene(False)
            copyDisplay(source, self._node).SetSaveWithScene(False)
        self._node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(image.affine))
        self._node.SetAndObserveImageData(image.image)
        if isNew:
            self._node = slicer.mrmlScene.AddNode(self._node)
            slicer.util.setSliceViewerLayers(background=self._node)

    def remove(self) -> None:
        """Put the views back, and take the node out of the scene."""
        if self._node is not None and self._node.GetScene() is not None:
            self._views.restore()
            slicer.mrmlScene.RemoveNode(self._node.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = self._views = self._shown = None
