"""The section of the run: its buttons, the queue, and what a run tells while it works and when it ends."""

import time

import qt
import slicer
from slicer.i18n import tr as _

from ..runs.run import Run, State
from ..runs.sequences import proxyOf, timePoint
from ..scene.chart import MetricsChart, metricsOf
from ..scene.inputs import InputProblem
from ..scene.preview import Preview
from .choices import Choices
from .notice import Notice, duration, sentence

STAGES = {
    "export": _("Preparing"), "start": _("Starting"), "read": _("Reading"), "register": _("Aligning"),
    "fit": _("Restoring"), "sample": _("Sampling"), "write": _("Writing"), "import": _("Loading"),
    "cancel": _("Cancelling"),
}  # fmt: skip
# where each stage begins in the whole run, for one bar that never runs backwards
STAGE_STARTS = {"read": 0.0, "register": 0.03, "fit": 0.08, "sample": 0.8, "write": 0.95, "import": 0.99}
# more often than the eye needs, a redraw only costs
SECONDS_BETWEEN_REDRAWS = 0.1


class RunSection:
    """Starts runs and shows them.

    Parameters
    ----------
    ui
        The named child widgets.
    logic
        Does the runs.
    beforeRun
        Called before a run starts.
    onStarted
        Called after it was started or queued.
    """

    def __init__(self, ui, choices: Choices, logic, status: Notice, beforeRun, onStarted) -> None:
        self.ui, self._choices, self._logic, self._status = ui, choices, logic, status
        self._beforeRun, self._onStarted = beforeRun, onStarted
        self.shown: Run | None = None
        self.preview, self.chart = Preview(), MetricsChart()
        self._lastRedraw = 0.0
        self._redrawTimer = qt.QTimer()
        self._redrawTimer.setSingleShot(True)
        self._redrawTimer.interval = int(1000 * SECONDS_BETWEEN_REDRAWS)
        self._redrawTimer.connect("timeout()", self.redraw)
        ui.queueList.connect("itemSelectionChanged()", self.redraw)
        ui.runButton.connect("clicked(bool)", self.onRun)
        ui.cancelButton.connect("clicked(bool)", self.onCancel)
        ui.chartButton.connect("clicked(bool)", self.onChart)
        ui.copyReportButton.connect("clicked(bool)", self.onCopyReport)

    def cleanUp(self) -> None:
        """Leave nothing of ours in the scene or the views."""
        self._redrawTimer.stop()
        self.preview.remove()
        self.chart.remove()

    # ---- buttons -------------------------------------------------------------------------------

    def showButton(self) -> None:
        """Whether a run can start, and if not, why."""
        problem = self._choices.problem()
        button = self.ui.runButton
        button.enabled = not problem
        isBusy = self._logic.queue.active is not None
        button.text = _("Add to queue") if isBusy else _("Run")
        button.toolTip = problem or _("Restore the volume in the background; you can go on working.")

    def onRun(self, *_args) -> None:
        """Start, or add to the queue."""
        if self._choices.problem():
            return
        request = self._choices.request()
        self._beforeRun()
        self._status.show("")  # what an attempt before has told
        try:
            if self._choices.sequence() is not None:
                self._logic.startSequence(request, self._onSequenceEnded)
            else:
                self._logic.start(request)
        except InputProblem as problem:
            self._status.showProblem(problem)
            return
        self._onStarted()

    def onCancel(self, *_args) -> None:
        """Stop the run that is selected in the queue, else the active one."""
        queue = self._logic.queue
        waiting = self._waiting()
        row = self.ui.queueList.currentRow
        chosen = waiting[row] if self.ui.queueList.visible and 0 <= row < len(waiting) else queue.active
        if chosen is not None:
            queue.cancel(chosen)

    def onChart(self, *_args) -> None:
        """Show how the fit converges, or has converged; a second click puts the views back."""
        if self.chart.isShown:
            self.chart.remove()
        elif self.shown is not None:
            self.chart.show(self.shown)
        self.redraw()

    def onCopyReport(self, *_args) -> None:
        """Put the report on the clipboard."""
        if self.shown is not None:
            slicer.app.clipboard().setText(self.shown.asText())

    # ---- what a run tells ----------------------------------------------------------------------

    def onRunChanged(self, run: Run) -> None:
        """Show the run; called very often, so the drawing is put off a little."""
        if self.shown is None or not run.isEnded or run is self.shown or self.shown.isEnded:
            isNew = run is not self.shown
            if isNew and (self.shown is None or self.shown.isEnded) and run.state is not State.QUEUED:
                self.shown = run
        if run.isEnded:
            self.preview.remove()
            if run.state is State.DONE and run.nodes:
                self.shown = run
                slicer.util.setSliceViewerLayers(background=run.nodes[0], foreground=None)
                if self._choices.parameters is not None:
                    self._choices.parameters.result = run.nodes[0]
        if run.isEnded or time.perf_counter() - self._lastRedraw > SECONDS_BETWEEN_REDRAWS:
            self.redraw()
        elif not self._redrawTimer.active:
            self._redrawTimer.start()

    def redraw(self, *_args) -> None:
        """Show the run and the queue as they are now."""
        self._lastRedraw = time.perf_counter()
        run, ui, queue = self.shown, self.ui, self._logic.queue
        waiting = self._waiting()
        isActive = bool(waiting)
        ui.cancelButton.enabled = isActive
        ui.progressBar.visible = isActive
        self._showQueue(waiting)
        if self._choices.parameters is not None:
            self.showButton()
        if run is None:
            return
        if isActive and run is queue.active:
            self._showProgress(run)
        elif run.isEnded:
            self._showEnd(run)
        ui.chartButton.visible = bool(metricsOf(run))
        ui.chartButton.text = _("Hide chart") if self.chart.isShown else _("Show chart")
        self.chart.update(run)
        log = "\n".join([*(f"! {w}" for w in run.warnings), *run.log])
        if log != ui.logText.plainText:
            ui.logText.plainText = log

    def _showProgress(self, run: Run) -> None:
        start = STAGE_STARTS.get(run.stage)
        if start is None:
            self.ui.progressBar.maximum = 0  # a bar that only says "working"
        else:
            later = [s for s in STAGE_STARTS.values() if s > start]
            self.ui.progressBar.maximum = 1000
            self.ui.progressBar.value = round(1000 * (start + run.fraction * (min(later, default=1.0) - start)))
        text = timePoint(run) + STAGES.get(run.stage, run.stage)
        text = text[0].upper() + text[1:]
        if run.stage in ("fit", "sample"):
            text += f" {run.fraction:.0%}"
        if run.secondsLeft is not None:
            text += _(", about {time} left").format(time=duration(run.secondsLeft))
        self._status.show(text + (f"\n{run.warnings[-1]}" if run.warnings else ""), isWarning=bool(run.warnings))
        if run.preview is not None:
            source = proxyOf(slicer.mrmlScene.GetNodeByID(run.request.inputIDs[0]))
            if source is not None:
                self.preview.show(run.preview, source)

    def _showEnd(self, run: Run) -> None:
        if run.state is State.DONE and run.request.dicomFolder:
            self._status.show("\n".join([run.message, *run.warnings[-1:]]), isWarning=bool(run.warnings))
        elif run.state is State.DONE:
            seconds = run.report["seconds"]["total"]
            text = _("Done in {time}: {names}").format(
                time=duration(seconds), names=", ".join(n.GetName() for n in run.nodes)
            )
            if run.warnings:
                text += "\n" + run.warnings[-1]
            if run.nodes:  # else it is a time point: the whole sequence tells when it is done
                self._status.show(text)
        elif run.state is State.CANCELLED:
            self._status.show(run.message)
        else:
            self._status.show(f"{sentence(run.message)} {sentence(run.advice)}".strip(), isWarning=True)

    def _onSequenceEnded(self, runs) -> None:
        if runs.node is not None:
            shown = proxyOf(runs.node)
            if shown is not None:
                slicer.util.setSliceViewerLayers(background=shown, foreground=None)
            self._status.show(_("Done: {name}").format(name=runs.node.GetName()))

    # ---- the queue -----------------------------------------------------------------------------

    def _waiting(self) -> list[Run]:
        """The active run and those that wait for it; of a sequence, its next time point only."""
        runs, sequences = [], []
        for run in self._logic.queue.runs:
            if not run.isEnded and (run.sequence is None or run.sequence not in sequences):
                runs.append(run)
                sequences.append(run.sequence)
        return runs

    def _showQueue(self, waiting: list[Run]) -> None:
        items = self.ui.queueList
        items.visible = len(waiting) > 1
        lines = []
        for run in waiting:
            source = slicer.mrmlScene.GetNodeByID(run.request.inputIDs[0])
            name = source.GetName() if source is not None else "?"
            state = _("waiting") if run.state is State.QUEUED else _("running")
            lines.append(f"{name}: {run.title} ({state})")
        if [items.item(n).text() for n in range(items.count)] != lines:
            items.clear()
            items.addItems(lines)
