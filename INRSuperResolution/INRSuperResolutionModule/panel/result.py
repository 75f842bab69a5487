"""What can be done with a result: its agreement with the input, comparison, sampling again."""

import re
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..runs import messages
from ..scene.compare import Comparison
from ..scene.dicom import sourceInstanceUIDs
from ..scene.inputs import InputProblem
from ..scene.marks import ViewMarks
from ..scene.results import consistencyOf, representationOf, sourceOf
from .choices import Choices
from .notice import Notice

WRITE_DICOM = _(
    "Write the result as a new series of the same patient and study, marked as derived and for research use."
)
NOT_FROM_DICOM = _("Only a result whose input was loaded from Slicer's DICOM database can become a DICOM series.")


class ResultSection:
    """The section of the chosen result, of this session or of a saved scene.

    Parameters
    ----------
    ui
        The named child widgets.
    logic
        Samples again.
    """

    def __init__(self, ui, choices: Choices, logic, status: Notice) -> None:
        self.ui, self._choices, self._logic, self._status = ui, choices, logic, status
        self._consistency = Notice(ui.consistencyLabel, ui.consistencyIcon)
        self.comparison = Comparison()
        self.marks = ViewMarks()
        self._isReleasing = False
        ui.resampleButton.connect("clicked(bool)", self.onResample)
        ui.dicomButton.connect("clicked(bool)", self.onWriteDicom)
        ui.markCheckBox.connect("toggled(bool)", self.marks.show)
        self.compareButtons = {
            "sideBySide": ui.sideBySideButton, "flicker": ui.flickerButton, "checkerboard": ui.checkerboardButton
        }  # fmt: skip
        for mode, button in self.compareButtons.items():
            button.connect("toggled(bool)", lambda on, mode=mode: self.onCompare(mode, on))

    def show(self) -> None:
        """What can be done with the chosen result; also after it was loaded with a scene."""
        ui, result = self.ui, self._choices.result()
        ui.resultButton.visible = bool(resultsInScene())
        self.marks.show(ui.markCheckBox.checked)
        for widget in (ui.consistencyRow, ui.compareRow, ui.moreRow, ui.markCheckBox):
            widget.visible = result is not None
        if result is None:
            return
        self._consistency.show(*messages.ofConsistency(consistencyOf(result)))
        ui.resampleButton.visible = representationOf(result) is not None
        isFromDicom = bool(sourceInstanceUIDs(result))
        ui.dicomButton.enabled = isFromDicom
        ui.dicomButton.toolTip = WRITE_DICOM if isFromDicom else NOT_FROM_DICOM

    def stopComparing(self) -> None:
        """End the comparison; the views are as before it."""
        self.comparison.stop()
        self._releaseButtons()

    def onCompare(self, mode: str, on: bool) -> None:
        """One comparison at a time; a second click ends it."""
        if self._isReleasing:
            return
        if not on:
            if self.comparison.mode == mode:
                self.comparison.stop()
            return
        self._releaseButtons(mode)
        after = self._choices.result()
        before = sourceOf(after) if after is not None else None
        if before is None or after is None:
            self._releaseButtons()
            self._status.show(_("The input or the result is no longer in the scene."), isWarning=True)
            return
        self.comparison.start(mode, before, after)

    def onResample(self, *_args) -> None:
        """Sample the representation of the shown result on the grid under Output."""
        result = self._choices.result()
        if result is None:
            return
        grid = self._choices.request()
        self._status.show("")  # what an attempt before has told
        try:
            self._logic.resample(result, spacing=grid.spacing, scale=grid.scale, likeID=grid.likeID, device=grid.device)
        except InputProblem as problem:
            self._status.showProblem(problem)

    def onWriteDicom(self, *_args) -> None:
        """Write the shown result as a derived series into a new folder, in a folder that the user chooses."""
        result = self._choices.result()
        if result is None:
            return
        parent = qt.QFileDialog.getExistingDirectory(self.ui.dicomButton, _("Folder for the new DICOM series"), "")
        if not parent:
            return
        self._status.show("")  # what an attempt before has told
        try:
            self._logic.writeDicom(result, str(Path(parent) / f"{fileName(result.GetName())}.dcm"))
        except InputProblem as problem:
            self._status.showProblem(problem)

    def _releaseButtons(self, but: str = "") -> None:
        self._isReleasing = True
        for mode, button in self.compareButtons.items():
            if mode != but:
                button.checked = False
        self._isReleasing = False


def fileName(name: str) -> str:
    """The name of a node as that of a file, on every system."""
    return re.sub(r"[^\w.,() -]", "_", name).strip(" .") or "result"


def resultsInScene() -> list:
    """All volumes that this module has made."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [v for v in volumes if v.GetAttribute("INRSuperResolution.Method") is not None]
