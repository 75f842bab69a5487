"""The volume as it sharpens, in the slice views, while the run works.

The preview is a hidden node that is never saved; when the run ends, it goes and the views are as before.
"""

import numpy as np
import SimpleITK as sitk
import slicer

from .results import copyDisplay
from .views import ViewsAsTheyWere


class Preview:
    """Shows the previews of one run at a time."""

    def __init__(self) -> None:
        self._node = None
        self._views = None
        self._shown = None

    def show(self, path, source) -> None:
        """Show the preview file `path` of the volume node `source`; a file that is shown already is left."""
        if path == self._shown:
            return
        try:
            image = sitk.ReadImage(str(path))
        except RuntimeError:
            return  # the run has just ended and its folder is gone
        self._shown = path
        if self._node is None or self._node.GetScene() is None:
            self._views = ViewsAsTheyWere()
            node = slicer.vtkMRMLScalarVolumeNode()
            node.SetName("Preview")
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            copyDisplay(source, node).SetSaveWithScene(False)
            self._node = slicer.mrmlScene.AddNode(node)
            setImage(self._node, image)
            slicer.util.setSliceViewerLayers(background=self._node)
            return
        setImage(self._node, image)

    def remove(self) -> None:
        """Put the views back, and take the node out of the scene."""
        if self._node is not None and self._node.GetScene() is not None:
            self._views.restore()
            slicer.mrmlScene.RemoveNode(self._node.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = self._views = self._shown = None


def setImage(node, image) -> None:
    """The pixels and the place (LPS → RAS) of a SimpleITK image."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine))
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayFromImage(image))
