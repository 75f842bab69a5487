"""The section "Sharp zoom" of the panel: widgets ↔ the zoom controller, which goes on in other modules."""

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.inputs import InputProblem
from ..scene.results import representationOf
from .controller import ZoomController
from .split import SplitLines
from .views import putLayersBack

# what the choices of "Drawn from" stand for; others are paths of files
SHIPPED_WEIGHTS, FILE, SAVED = "auto", "choose", "saved"


def later(milliseconds: int, function) -> None:
    """Qt's timer for the controller."""
    qt.QTimer.singleShot(int(milliseconds), function)


class ZoomPanel:
    """Connects the widgets of the section.

    Parameters
    ----------
    ui
        The named child widgets.
    makeController
        Makes the controller; a test may give its own worker.
    """

    def __init__(self, ui, makeController=ZoomController) -> None:
        self.ui = ui
        self.controller = makeController(later, self.refresh)
        self._splitLines = SplitLines(self.controller, self._onSplitDragged)
        self._isRefreshing = False
        ui.zoomButton.connect("contentsCollapsed(bool)", self._onCollapsed)
        ui.zoomCheckBox.connect("toggled(bool)", self.onToggled)
        ui.zoomSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onVolumeChanged)
        ui.zoomSourceCombo.connect("currentIndexChanged(int)", self._onSourceChanged)
        ui.zoomOpacitySlider.connect("valueChanged(int)", self._onOpacity)
        ui.zoomSplitSlider.connect("valueChanged(int)", self._onSplit)
        ui.zoomKeepButton.connect("clicked(bool)", self.onKeep)
        ui.zoomSaveButton.connect("clicked(bool)", self.onSave)
        scene = slicer.mrmlScene
        self._sceneTag = scene.AddObserver(scene.EndImportEvent, lambda *_: putLayersBack())
        self._fillSources()
        self.refresh()

    def close(self) -> None:
        """Switch off and end the worker."""
        slicer.mrmlScene.RemoveObserver(self._sceneTag)
        self._splitLines.remove()
        self.controller.close()

    def refresh(self, *_args) -> None:
        """Show what the controller says."""
        ui, zoom = self.ui, self.controller
        self._isRefreshing = True
        try:
            ui.zoomCheckBox.checked = zoom.isOn
        finally:
            self._isRefreshing = False
        done, of = zoom.progress
        ui.zoomProgressBar.visible = zoom.isOn and 0 < done < of
        ui.zoomProgressBar.maximum, ui.zoomProgressBar.value = max(of, 1), done
        for widget in (ui.zoomOpacitySlider, ui.zoomSplitSlider, ui.zoomKeepButton):
            widget.enabled = zoom.isOn
        ui.zoomSaveButton.enabled = zoom.isOn and of > 0
        if zoom.error is not None:
            message, advice = zoom.error
            self._tell(f"{message or _('the worker ended')}. {advice}".strip())
        elif zoom.saved is not None:
            done = _("Saved as {path}.") if "path" in zoom.saved else "{message}. {advice}"
            self._tell(done.format(**zoom.saved))
        elif zoom.isOn and of:
            self._tell(
                _("All slices are encoded.")
                if done == of
                else _("{n} of {of} slices are encoded.").format(n=done, of=of)
            )
        elif zoom.isOn:
            self._tell(_("Starting …"))
        else:
            self._tell("")

    def onToggled(self, isOn: bool) -> None:
        """On or off."""
        if self._isRefreshing:
            return
        if not isOn:
            self._splitLines.remove()
            self.controller.stop()
            return
        volume = self.ui.zoomSelector.currentNode()
        if volume is None:
            self.refresh()
            self._tell(_("Choose a volume."))
            return
        try:
            kind = self.ui.zoomSourceCombo.itemData(self.ui.zoomSourceCombo.currentIndex)
            if kind == SAVED:
                self.controller.start(volume, representation=representationOf(volume), channel=channelOf(volume))
            else:
                self.controller.start(volume, weights=kind)
        except InputProblem as problem:
            self.refresh()
            self._tell(f"{problem.message}. {problem.advice}")
            return
        self._onSplit(self.ui.zoomSplitSlider.value)

    def onKeep(self, *_args) -> None:
        """A volume of each sharp view."""
        kept = [
            n for n in (self.controller.keep(v.name) for v in list(self.controller.views.values())) if n is not None
        ]
        self._tell(
            _("Kept: {names}").format(names=", ".join(n.GetName() for n in kept)) if kept else _("No view is sharp.")
        )

    def onSave(self, *_args) -> None:
        """The function as a file, from which it can be drawn again at once."""
        button = self.ui.zoomSaveButton
        path = qt.QFileDialog.getSaveFileName(button, _("Save the function"), "", _("Functions (*.inr)"))
        if path:
            path = path if path.endswith(".inr") else path + ".inr"
            self._tell(_("The function is saved as soon as all slices are encoded."))
            self.controller.saveFunction(path)

    def _fillSources(self) -> None:
        combo, volume = self.ui.zoomSourceCombo, self.ui.zoomSelector.currentNode()
        self._isRefreshing = True
        combo.clear()
        combo.addItem(_("NExpR, shipped weights"), SHIPPED_WEIGHTS)
        combo.addItem(_("A file with weights, or with a function …"), FILE)
        if representationOf(volume) is not None:
            combo.addItem(_("The function that was saved with this result"), SAVED)
            combo.currentIndex = combo.count - 1
        self._isRefreshing = False

    def _onVolumeChanged(self, *_args) -> None:
        self._fillSources()
        if self.controller.isOn and self.ui.zoomSelector.currentNode() is not self.controller.volume:
            self.onToggled(True)

    def _onSourceChanged(self, *_args) -> None:
        if self._isRefreshing:
            return
        combo = self.ui.zoomSourceCombo
        if combo.itemData(combo.currentIndex) == FILE:
            path = qt.QFileDialog.getOpenFileName(
                combo, _("Weights or function"), "", _("Weights and functions (*.safetensors *.inr)")
            )
            self._isRefreshing = True
            if path:
                combo.addItem(Path(path).name, path)
            combo.currentIndex = combo.count - 1 if path else 0
            self._isRefreshing = False
        if self.controller.isOn:
            self.onToggled(True)

    def _onCollapsed(self, isCollapsed: bool) -> None:
        if not isCollapsed:
            self.controller.prepare()  # so that switching on is quick

    def _onOpacity(self, value: int) -> None:
        self.controller.opacity = value / 100

    def _onSplit(self, value: int) -> None:
        self.controller.split = value / 100
        self._splitLines.show()

    def _onSplitDragged(self) -> None:
        self.ui.zoomSplitSlider.value = round(100 * self.controller.split)

    def _tell(self, text: str) -> None:
        if self.ui.zoomStatusLabel.text != text:
            self.ui.zoomStatusLabel.text = text


def channelOf(result) -> int:
    """Which contrast of its representation a result is: the place among the results that share it."""
    keeper = representationOf(result)
    nodes = [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if representationOf(n) is keeper]
    return nodes.index(result)
