"""The two images of a pair, side by side in linked views with one window, and nothing that tells them apart."""

import slicer

from ..scene.compare import Comparison


class PairInViews:
    """Shows one pair at a time; `remove` leaves scene and views as they were."""

    def __init__(self) -> None:
        self._comparison = Comparison()
        self._nodes = []

    def show(self, volumes, window) -> None:
        """Show a left and a right volume of the library; `window` is the lowest and the highest value to show."""
        self.remove()
        # one display node: who changes the window of one changes that of the other
        display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
        display.SetSaveWithScene(False)
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*window)
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        for volume in volumes:
            # hidden before it comes into the scene: selectors of the panel would choose it
            node = slicer.vtkMRMLScalarVolumeNode()
            node.SetName(volume.name)
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            slicer.util.updateVolumeFromArray(node, volume.data.transpose(2, 1, 0).copy())
            node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.affine))
            node = slicer.mrmlScene.AddNode(node)
            node.SetAndObserveDisplayNodeID(display.GetID())
            self._nodes.append(node)
        self._comparison.start("sideBySide", *self._nodes)

    def remove(self) -> None:
        """Take the pair out of scene and views."""
        self._comparison.stop()
        displays = {node.GetDisplayNodeID() for node in self._nodes}
        for gone in (*(node.GetID() for node in self._nodes if node.GetScene() is not None), *displays):
            node = slicer.mrmlScene.GetNodeByID(gone) if gone else None
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._nodes = []
