"""The section of many scans: all volumes of the scene, or a folder, with a table of what becomes of each."""

from pathlib import Path

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..runs import dependencies
from ..runs.folder import FolderCase, FolderRuns
from ..runs.run import Run, State
from ..scene.inputs import InputProblem
from ..scene.segmentations import isLabelMap
from .choices import Choices, placeOf
from .notice import duration, sentence

addLibraryToPath()

from INRSuperResolutionLib.auto import AUTO  # noqa: E402
from INRSuperResolutionLib.methods import METHODS  # noqa: E402

STATES = {
    State.QUEUED: _("waiting"), State.EXPORTING: _("running"), State.WORKING: _("running"), State.IMPORTING: _("running"),
    State.DONE: _("done"), State.FAILED: _("failed"), State.CANCELLED: _("cancelled"),
}  # fmt: skip


class ManySection:
    """A collapsed section of the panel. Method, quality and output are those that the panel shows.

    Parameters
    ----------
    layout, place
        The layout of the panel, and where in it the section stands.
    choices
        Of the panel.
    logic
        Does the runs of the scene.
    """

    def __init__(self, layout, place: int, choices: Choices, logic) -> None:
        self._choices, self._logic = choices, logic
        self.items: list[Run | FolderCase] = []
        self._names: list[str] = []
        self._folders: list[FolderRuns] = []
        self.button = ctk.ctkCollapsibleButton()
        self.button.objectName = "manyButton"
        self.button.text = _("Many scans")
        self._build()
        layout.insertWidget(place, self.button)
        self.button.collapsed = True
        logic.listeners.append(self.onChanged)

    def _build(self) -> None:
        rows = qt.QVBoxLayout(self.button)
        starts, stops = qt.QHBoxLayout(), qt.QHBoxLayout()
        self.sceneButton = qt.QPushButton(_("All volumes of the scene"))
        self.sceneButton.toolTip = _("Each alone, by the method and for the output that are chosen above")
        self.sceneButton.connect("clicked(bool)", self.onScene)
        self.folderButton = qt.QPushButton(_("A folder…"))
        self.folderButton.toolTip = _(
            "All scans in files of a folder, to files in another one; what is there already is skipped"
        )
        self.folderButton.connect("clicked(bool)", self.onFolder)
        self.table = qt.QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels([_("Scan"), _("State"), _("Time left")])
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.cancelButton = qt.QPushButton(_("Cancel the selected one"))
        self.cancelButton.connect("clicked(bool)", self.onCancel)
        self.cancelAllButton = qt.QPushButton(_("Cancel all"))
        self.cancelAllButton.connect("clicked(bool)", self.onCancelAll)
        self.tellLabel = qt.QLabel()
        self.tellLabel.wordWrap = True
        starts.addWidget(self.sceneButton)
        starts.addWidget(self.folderButton)
        stops.addWidget(self.cancelButton)
        stops.addWidget(self.cancelAllButton)
        rows.addLayout(starts)
        rows.addWidget(self.table)
        rows.addLayout(stops)
        rows.addWidget(self.tellLabel)

    # ---- buttons -------------------------------------------------------------------------------

    def onScene(self, *_args) -> None:
        """Queue a run for each volume that is shown to the user and is no result of ours."""
        nodes = [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if isScan(n)]
        if not nodes:
            self.tellLabel.text = _("There is no volume in the scene.")
            return
        try:
            requests = [self._request(node) for node in nodes]
            self._begin()
            for node, request in zip(nodes, requests):
                self._take(self._logic.start(request), node.GetName())
        except InputProblem as problem:
            self.tellLabel.text = f"{sentence(problem.message)} {problem.advice}"

    def onFolder(self, *_args) -> None:
        """Ask for the two folders."""
        folder = qt.QFileDialog.getExistingDirectory(self.button, _("Folder with scans"), "")
        output = folder and qt.QFileDialog.getExistingDirectory(self.button, _("Folder for the results"), "")
        if output:
            self.startFolder(Path(folder), Path(output))

    def startFolder(self, folder: Path, output: Path) -> None:
        """Restore all scans of a folder."""
        p = self._choices.parameters
        method = p.method if p.method in METHODS else AUTO
        isChosen = method != AUTO
        try:
            if folder.resolve() == output.resolve():
                raise InputProblem(_("the folders are the same"), _("Choose another one for the results."))
            if isChosen:
                checkAlone(method)
            dependencies.ensure(METHODS[method].needs_torch if isChosen else True)
            row = {
                "method": method,
                "preset": self._choices.preset() if isChosen else "",
                "settings": ";".join(f"{k}={v}" for k, v in self._choices.changes().items()) if isChosen else "",
                "spacing": f"{p.spacing:g}" if p.outputMode == "spacing" else "",
            }
            changes = {
                "scale": [p.factor] if p.outputMode == "factor" else None,
                "slice_profile": p.sliceProfile,
                "slice_thickness": [p.sliceThickness] if p.sliceThickness and p.sliceProfile != "none" else None,
                "device": p.device,
                "seed": p.seed,
                "max_seconds": 60 * p.limitMinutes or None,
            }
            runs = FolderRuns(folder, output, row, changes, self.onChanged)
        except InputProblem as problem:
            self.tellLabel.text = f"{sentence(problem.message)} {problem.advice}"
            return
        self._begin()
        self._folders = [r for r in self._folders if not r.isEnded] + [runs]
        for case in runs.cases:
            self._take(case, case.name)

    def onCancel(self, *_args) -> None:
        """Stop the scan of the selected row."""
        row = self.table.currentRow()
        if 0 <= row < len(self.items):
            self._cancel(self.items[row])

    def onCancelAll(self, *_args) -> None:
        """Stop all of the table, those that wait first: else each would begin as the one before it ends."""
        for item in reversed(self.items):
            self._cancel(item)

    def stop(self) -> None:
        """The module is closed: nothing of a folder goes on. Runs of the scene are the logic's."""
        for runs in self._folders:
            runs.shutDown()

    def _cancel(self, item) -> None:
        if item.isEnded:
            return
        if isinstance(item, FolderCase):
            item.runs.cancel(item)
        else:
            self._logic.queue.cancel(item)

    # ---- the table -----------------------------------------------------------------------------

    def onChanged(self, item) -> None:
        """Show what has become of a scan."""
        if item in self.items:
            self._show(self.items.index(item))

    def _request(self, node):
        p = self._choices.parameters
        isChosen = p.method in METHODS
        method = p.method if isChosen else self._choices.methodFor((placeOf(node),), False).method
        checkAlone(method)
        return self._choices.request().replace(
            inputIDs=[node.GetID()], method=method, preset=self._choices.preset() if isChosen else "",
            settings=self._choices.changes() if isChosen else {}, segmentationID=None, segmentationOutput=False,
            roiID=None, outputID=None, register=False,
        )  # fmt: skip

    def _begin(self) -> None:
        """Rows of scans that have ended make room."""
        for row in reversed(range(len(self.items))):
            if self.items[row].isEnded:
                self.table.removeRow(row)
                del self.items[row], self._names[row]

    def _take(self, item, name: str) -> None:
        self.items.append(item)
        self._names.append(name)
        row = len(self.items) - 1
        self.table.setRowCount(row + 1)
        self.table.setItem(row, 0, qt.QTableWidgetItem(name))
        self._show(row)

    def _show(self, row: int) -> None:
        item = self.items[row]
        left = duration(item.secondsLeft) if item.secondsLeft is not None and not item.isEnded else ""
        for column, text in ((1, STATES[item.state]), (2, left)):
            cell = self.table.item(row, column)
            if cell is None:
                self.table.setItem(row, column, qt.QTableWidgetItem(text))
            elif cell.text() != text:
                cell.setText(text)
        if item.state is State.FAILED:
            self.table.item(row, 1).setToolTip(item.message)
        self._showCounts()

    def _showCounts(self) -> None:
        counts = {state: sum(i.state is state for i in self.items) for state in (State.DONE, State.FAILED)}
        failed = next((n for n, i in zip(self._names, self.items) if i.state is State.FAILED), None)
        text = _("{done} of {all} done").format(done=counts[State.DONE], all=len(self.items))
        if failed is not None:
            item = self.items[self._names.index(failed)]
            text += _(", {n} failed; {name}: {reason}").format(
                n=counts[State.FAILED], name=failed, reason=sentence(item.message)
            )
        self.tellLabel.text = text


def checkAlone(method: str) -> None:
    """Raise InputProblem for a method that one scan is not enough for."""
    if METHODS[method].min_inputs > 1:
        raise InputProblem(
            _("{title} needs several scans of a patient").format(title=METHODS[method].title),
            _("Choose a method for one scan, or recommended."),
        )


def isScan(node) -> bool:
    """Whether a volume is one that a user has loaded: no label map, none that is hidden, no result."""
    isOurs = node.GetAttribute("INRSuperResolution.Method") is not None
    return not isLabelMap(node) and not node.GetHideFromEditors() and not isOurs and node.GetImageData() is not None
