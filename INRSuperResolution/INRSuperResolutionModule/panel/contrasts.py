"""The list of further contrasts of the patient, to be ticked ↔ parameter node."""

import qt
import slicer

from ..library import addLibraryToPath
from .choices import Choices, takesMore

addLibraryToPath()

from INRSuperResolutionLib.methods import METHODS  # noqa: E402

VISIBLE_CONTRASTS = 4


class Contrasts:
    """Lists all other scalar volumes, the chosen ones ticked.

    Parameters
    ----------
    ui
        The named child widgets.
    onChanged
        Called after a tick has gone into the parameter node.
    """

    def __init__(self, ui, choices: Choices, onChanged) -> None:
        self.ui, self._choices, self._onChanged = ui, choices, onChanged
        self._isShowing = False
        # in dark styles, boxes that are not ticked cannot be seen on the background of a list
        ui.contrastsList.viewport().setAutoFillBackground(False)
        ui.contrastsList.connect("itemChanged(QListWidgetItem*)", self._take)

    def show(self) -> None:
        """Show what the parameter node and the scene say."""
        self._isShowing = True
        letEmptyBoxesBeSeen(self.ui.contrastsList)
        try:
            self._list()
            self._tick()
        finally:
            self._isShowing = False
        method = METHODS[self._choices.methodName()]
        # another contrast may change which method is recommended
        asksForMore = takesMore(method) or self._choices.parameters.method not in METHODS
        for widget in (self.ui.contrastsList, self.ui.contrastsListLabel):
            widget.visible = asksForMore and (self.ui.contrastsList.count > 0 or method.min_inputs > 1)

    def _list(self) -> None:
        current = self._choices.parameters.inputVolume
        nodes = [
            node
            for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            if node.GetClassName() == "vtkMRMLScalarVolumeNode" and node is not current
            and not node.GetHideFromEditors() and node.GetAttribute("INRSuperResolution.Method") is None
        ]  # fmt: skip
        items = self.ui.contrastsList
        shown = [(items.item(n).data(qt.Qt.UserRole), items.item(n).text()) for n in range(items.count)]
        wanted = [(node.GetID(), node.GetName()) for node in nodes]
        if shown != wanted:
            items.clear()
            for nodeID, name in wanted:
                item = qt.QListWidgetItem(name)
                item.setData(qt.Qt.UserRole, nodeID)
                items.addItem(item)
            items.setFixedHeight(min(items.count, VISIBLE_CONTRASTS) * max(items.sizeHintForRow(0), 1) + 6)

    def _tick(self) -> None:
        chosen = {node.GetID() for node in self._choices.parameters.furtherContrasts if node is not None}
        items = self.ui.contrastsList
        for n in range(items.count):
            item = items.item(n)
            isChosen = item.data(qt.Qt.UserRole) in chosen
            item.setCheckState(qt.Qt.Checked if isChosen else qt.Qt.Unchecked)

    def _take(self, *_args) -> None:
        if self._isShowing or self._choices.parameters is None:
            return
        items = [self.ui.contrastsList.item(n) for n in range(self.ui.contrastsList.count)]
        ticked = [i.data(qt.Qt.UserRole) for i in items if i.checkState() == qt.Qt.Checked]
        self._choices.parameters.furtherContrasts = [slicer.mrmlScene.GetNodeByID(i) for i in ticked]
        self._onChanged()


def letEmptyBoxesBeSeen(items) -> None:
    """Qt draws them a little darker than the window, which nobody sees in a dark palette: let it start from the text."""
    palette = items.palette
    text = palette.color(qt.QPalette.Text)
    if palette.color(qt.QPalette.Window) != text:
        palette.setColor(qt.QPalette.Window, text)
        items.setPalette(palette)
