"""The panel: widgets ↔ parameter node, and what a run tells → widgets."""

import json
import time

import qt
import slicer
from slicer.i18n import tr as _

from . import dependencies, foresight, messages
from .chart import MetricsChart, metricsOf
from .compare import Comparison
from .inputs import InputProblem, Request
from .library import addLibraryToPath
from .preview import Preview
from .results import consistencyOf, representationOf, sourceOf
from .run import Run, State
from .segmentations import isLabelMap
from .sequences import browserOf, proxyOf, sequenceOf, timePoint
from .settingsform import SettingsForm

addLibraryToPath()

from INRSuperResolutionLib.jobs.estimate import Estimate  # noqa: E402
from INRSuperResolutionLib.jobs.job import DEVICES, PROFILE_CHOICES  # noqa: E402
from INRSuperResolutionLib.methods import METHODS  # noqa: E402

STAGES = {
    "export": _("Preparing"), "start": _("Starting"), "read": _("Reading"), "register": _("Aligning"),
    "fit": _("Restoring"), "sample": _("Sampling"), "write": _("Writing"), "import": _("Loading"),
    "cancel": _("Cancelling"),
}  # fmt: skip
# where each stage begins in the whole run, for one bar that never runs backwards
STAGE_STARTS = {"read": 0.0, "register": 0.03, "fit": 0.08, "sample": 0.8, "write": 0.95, "import": 0.99}
OUTPUT_MODES = {
    "isotropic": _("Isotropic, at the finest spacing"),
    "spacing": _("Chosen spacing"),
    "factor": _("Times as many voxels"),
    "like": _("Like another volume"),
}
QUALITIES = {"fast": _("Fast"), "balanced": _("Balanced"), "paper": _("As in the paper")}
PROFILES = {
    "auto": _("Decide from the inputs"), "none": _("Point samples"), "boxcar": _("Even over the slice"),
    "gaussian": _("Bell-shaped"), "estimate": _("Estimate from the image"),
}  # fmt: skip
DEVICE_NAMES = {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("NVIDIA GPU"), "mps": _("Apple GPU")}
# more often than the eye needs, a redraw only costs
SECONDS_BETWEEN_REDRAWS = 0.1
VISIBLE_CONTRASTS = 4


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return _("{n} s").format(n=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 90:
        return _("{n} min").format(n=minutes)
    return _("{h} h {m} min").format(h=minutes // 60, m=minutes % 60)


def recommendedMethod(inputCount: int) -> str:
    """The first method that works on so many inputs; a baseline only if no other does."""
    fitting = [n for n, m in METHODS.items() if takes(m, inputCount)]
    return next((n for n in fitting if not METHODS[n].is_baseline), fitting[0])


def takes(method, inputCount: int) -> bool:
    """Whether a method works on so many inputs."""
    return method.min_inputs <= inputCount and (method.max_inputs is None or inputCount <= method.max_inputs)


class Panel:
    """Connects the widgets of the UI file with the logic.

    Parameters
    ----------
    ui
        The named child widgets.
    logic
        Does the runs.
    """

    def __init__(self, ui, logic) -> None:
        self.ui, self.logic = ui, logic
        self.parameters = None
        self.shown: Run | None = None
        self.preview, self.comparison, self.chart = Preview(), Comparison(), MetricsChart()
        self._isRefreshing = False
        self._estimateKey, self._estimate = None, None
        self._devices: dict = {}
        self._torchCheck = None
        self._lastRedraw = 0.0
        self._redrawTimer = qt.QTimer()
        self._redrawTimer.setSingleShot(True)
        self._redrawTimer.interval = int(1000 * SECONDS_BETWEEN_REDRAWS)
        self._redrawTimer.connect("timeout()", self._redraw)
        self.settingsForm = SettingsForm(ui.settingsForm, self._takeSettings)
        self._fillBoxes()
        self._connect()

    # ---- setting up ----------------------------------------------------------------------------

    def _fillBoxes(self) -> None:
        ui = self.ui
        ui.methodCombo.addItem(_("Recommended"), "")
        for isBaseline in (False, True):
            if isBaseline:
                ui.methodCombo.insertSeparator(ui.methodCombo.count)
            for name, method in METHODS.items():
                if method.is_baseline == isBaseline:
                    ui.methodCombo.addItem(method.title, name)
                    ui.methodCombo.setItemData(ui.methodCombo.count - 1, method.when, qt.Qt.ToolTipRole)
        for box, values in (
            (ui.outputModeCombo, OUTPUT_MODES),
            (ui.deviceCombo, {d: DEVICE_NAMES[d] for d in DEVICES}),
            (ui.profileCombo, {p: PROFILES[p] for p in PROFILE_CHOICES}),
        ):
            for value, text in values.items():
                box.addItem(text, value)

    def _connect(self) -> None:
        ui = self.ui
        self._boxes = {
            "method": ui.methodCombo, "preset": ui.qualityCombo, "outputMode": ui.outputModeCombo,
            "device": ui.deviceCombo, "sliceProfile": ui.profileCombo,
        }  # fmt: skip
        for box in self._boxes.values():
            box.connect("currentIndexChanged(int)", self._takeBoxes)
        ui.segmentationOutputCheckBox.connect("toggled(bool)", self._takeSegmentationOutput)
        ui.contrastsList.connect("itemChanged(QListWidgetItem*)", self._takeContrasts)
        ui.queueList.connect("itemSelectionChanged()", self._redraw)
        ui.runButton.connect("clicked(bool)", self.onRun)
        ui.cancelButton.connect("clicked(bool)", self.onCancel)
        ui.resampleButton.connect("clicked(bool)", self.onResample)
        ui.chartButton.connect("clicked(bool)", self.onChart)
        ui.copyReportButton.connect("clicked(bool)", self.onCopyReport)
        ui.checkDevicesButton.connect("clicked(bool)", self.onCheckDevices)
        self._compareButtons = {
            "sideBySide": ui.sideBySideButton, "flicker": ui.flickerButton, "checkerboard": ui.checkerboardButton
        }  # fmt: skip
        for mode, button in self._compareButtons.items():
            button.connect("toggled(bool)", lambda on, mode=mode: self.onCompare(mode, on))

    def setParameters(self, parameters) -> None:
        """Show another parameter node; None while the scene is closed."""
        self.parameters = parameters
        self.refresh()

    def cleanUp(self) -> None:
        """Leave nothing of ours in the scene or the views."""
        self._redrawTimer.stop()
        self.preview.remove()
        self.comparison.stop()
        self.chart.remove()
        for button in self._compareButtons.values():
            button.checked = False

    # ---- parameter node → widgets --------------------------------------------------------------

    def refresh(self, *_args) -> None:
        """Show what the parameter node and the scene say."""
        if self.parameters is None or self._isRefreshing:
            return
        self._isRefreshing = True
        try:
            self._showContrasts()
            self._showChoices()
        finally:
            self._isRefreshing = False
        self._showEstimate()
        self._showRunButton()

    def _showChoices(self) -> None:
        ui, p = self.ui, self.parameters
        name = self.methodName()
        method = METHODS[name]
        ui.methodCombo.setItemText(0, _("Recommended: {title}").format(title=METHODS[self._recommended()].title))
        if [ui.qualityCombo.itemData(n) for n in range(ui.qualityCombo.count)] != list(method.presets):
            ui.qualityCombo.clear()
            for preset in method.presets:
                ui.qualityCombo.addItem(QUALITIES.get(preset, preset), preset)
        for field, box in self._boxes.items():
            index = box.findData(getattr(p, field))
            box.currentIndex = max(index, 0)
        # who has not looked at the methods may not know either that one more click gives the better one
        canAdd = p.method not in METHODS and len(self.inputs()) == 1 and ui.contrastsList.count > 0
        hint = _("If there are further contrasts of the same patient, tick them: they restore each other.")
        ui.whenLabel.text = f"{method.when} {hint}" if canAdd else method.when
        hasSettings = bool(dataclassFields(method))
        ui.qualityCombo.visible = ui.qualityComboLabel.visible = hasSettings
        for mode, widgets in (
            ("spacing", (ui.spacingSpinBox, ui.spacingSpinBoxLabel)),
            ("factor", (ui.factorSpinBox, ui.factorSpinBoxLabel)),
            ("like", (ui.likeSelector, ui.likeSelectorLabel)),
        ):
            for widget in widgets:
                widget.visible = p.outputMode == mode
        takesMore = method.max_inputs is None or method.max_inputs > 1
        # another contrast may change which method is recommended
        asksForMore = takesMore or p.method not in METHODS
        for widget in (ui.contrastsList, ui.contrastsListLabel):
            widget.visible = asksForMore and (ui.contrastsList.count > 0 or method.min_inputs > 1)
        for widget in (
            ui.segmentationSelector, ui.segmentationSelectorLabel,
            ui.segmentationOutputCheckBox, ui.segmentationOutputCheckBoxLabel,
        ):  # fmt: skip
            widget.visible = method.takes_labels
        ui.segmentationOutputCheckBox.checked = self.wantsSegmentation()
        ui.settingsWidget.visible = hasSettings
        for widget in (ui.registerCheckBox, ui.registerCheckBoxLabel):
            widget.visible = takesMore
        self.settingsForm.show(method.settings(self.preset()), self.changes())
        whole = sequenceOf(p.inputVolume)
        for widget in (ui.sequenceCheckBox, ui.sequenceCheckBoxLabel):
            widget.visible = whole is not None
        if whole is not None:
            ui.sequenceCheckBox.text = _("All {n} time points").format(n=whole.GetNumberOfDataNodes())
        for widget in (ui.outputSelector, ui.outputSelectorLabel):
            widget.enabled = self.sequence() is None
        if self.sequence() is not None:
            ui.segmentationOutputCheckBox.checked = False
        ui.segmentationOutputCheckBox.enabled = self.sequence() is None
        self._showResult()

    def _showContrasts(self) -> None:
        """All other scalar volumes, the chosen ones ticked."""
        chosen = {node.GetID() for node in self.parameters.furtherContrasts if node is not None}
        current = self.parameters.inputVolume
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
        for n in range(items.count):
            item = items.item(n)
            isChosen = item.data(qt.Qt.UserRole) in chosen
            item.setCheckState(qt.Qt.Checked if isChosen else qt.Qt.Unchecked)

    def _showEstimate(self) -> None:
        guess = self.estimate()
        if guess is None:
            self.ui.estimateLabel.text = self.problem()
            self._showIcon(self.ui.estimateIcon, False)
            return
        memory = foresight.gigabytes(guess.memory_bytes)
        if guess.seconds is None:
            text = _("Needs about {memory} of memory.").format(memory=memory)
        else:
            text = _("Takes about {time}, needs about {memory} of memory.").format(
                time=duration(guess.seconds), memory=memory
            )
        warning = foresight.memoryWarning(self.request(), guess, self._onGPU())
        self.ui.estimateLabel.text = f"{text} {warning}".strip()
        self._showIcon(self.ui.estimateIcon, bool(warning))

    def _showRunButton(self) -> None:
        problem = self.problem()
        button = self.ui.runButton
        button.enabled = not problem
        isBusy = self.logic.queue.active is not None
        button.text = _("Add to queue") if isBusy else _("Run")
        button.toolTip = problem or _("Restore the volume in the background; you can go on working.")

    # ---- widgets → parameter node --------------------------------------------------------------

    def _takeBoxes(self, *_args) -> None:
        if self._isRefreshing or self.parameters is None:
            return
        p = self.parameters
        values = {field: box.itemData(box.currentIndex) for field, box in self._boxes.items()}
        changed = values["method"] != p.method or values["preset"] != p.preset
        for field, value in values.items():
            if value is not None and value != getattr(p, field):
                setattr(p, field, value)
        if changed and p.settings != "{}":
            p.settings = "{}"  # another method or preset has other settings
        self.refresh()

    def _takeContrasts(self, *_args) -> None:
        if self._isRefreshing or self.parameters is None:
            return
        items = [self.ui.contrastsList.item(n) for n in range(self.ui.contrastsList.count)]
        ticked = [i.data(qt.Qt.UserRole) for i in items if i.checkState() == qt.Qt.Checked]
        self.parameters.furtherContrasts = [slicer.mrmlScene.GetNodeByID(i) for i in ticked]
        self.refresh()

    def _takeSegmentationOutput(self, isWanted: bool) -> None:
        if not self._isRefreshing and self.parameters is not None:
            self.parameters.segmentationOutput = "yes" if isWanted else "no"

    def _takeSettings(self) -> None:
        if self.parameters is not None:
            self.parameters.settings = json.dumps(self.settingsForm.changes())
            self.refresh()

    # ---- what the choices mean -----------------------------------------------------------------

    def inputs(self) -> list:
        """The chosen volumes; the first is the main one."""
        # Slicer keeps read values, so a list may still hold a node that was deleted
        nodes = [self.parameters.inputVolume, *self.parameters.furtherContrasts]
        first, *rest = [n if n is not None and n.GetScene() is not None else None for n in nodes]
        return [first, *(n for n in rest if n is not None and n is not first)] if first is not None else []

    def sequence(self):
        """The sequence that is to be restored whole; None for a single volume."""
        return sequenceOf(self.parameters.inputVolume) if self.parameters.wholeSequence and self.inputs() else None

    def _recommended(self) -> str:
        return recommendedMethod(max(1, len(self.inputs())))

    def methodName(self) -> str:
        """The chosen method; the recommended one if none was chosen."""
        name = self.parameters.method
        return name if name in METHODS else self._recommended()

    def preset(self) -> str:
        """The chosen preset; the first one of the method if it does not have that."""
        presets = METHODS[self.methodName()].presets
        return self.parameters.preset if self.parameters.preset in presets else next(iter(presets))

    def changes(self) -> dict:
        """What differs from the preset; changes of another method's settings do not count."""
        known = METHODS[self.methodName()].presets[self.preset()].__dataclass_fields__
        return {n: v for n, v in json.loads(self.parameters.settings or "{}").items() if n in known}

    def usedInputs(self) -> list:
        """The inputs that the method uses: a method for one volume leaves further contrasts alone."""
        method = METHODS[self.methodName()]
        return self.inputs()[: method.max_inputs]

    def segmentation(self):
        """The chosen segmentation; None if there is none, or the method takes none."""
        return self.parameters.segmentation if METHODS[self.methodName()].takes_labels else None

    def wantsSegmentation(self) -> bool:
        """Whether a super-resolved segmentation is wanted: as chosen, else if one is given."""
        choice = self.parameters.segmentationOutput
        isWanted = self.segmentation() is not None if choice == "auto" else choice == "yes"
        return METHODS[self.methodName()].takes_labels and isWanted and self.sequence() is None

    def problem(self) -> str:
        """Why the run cannot start; empty if it can."""
        p = self.parameters
        inputs = self.inputs()
        if not inputs:
            return _("Load a volume and choose it under Inputs.")
        method = METHODS[self.methodName()]
        if len(inputs) < method.min_inputs:
            return _("{title} needs at least {n} scans of the patient: tick further contrasts, or choose another method.")\
                .format(title=method.title, n=method.min_inputs)  # fmt: skip
        for node in inputs:
            if node.GetImageData() is None:
                return _("{name} has no image.").format(name=node.GetName())
        if p.outputMode == "like" and p.likeVolume is None:
            return _("Choose the volume whose voxels the result should have, under Output.")
        segmentation = self.segmentation()
        if segmentation is not None and not isLabelMap(segmentation) and \
                segmentation.GetSegmentation().GetNumberOfSegments() == 0:  # fmt: skip
            return _("{name} has no segments.").format(name=segmentation.GetName())
        if p.outputVolume is not None and p.outputVolume in inputs:
            return _("The output is one of the inputs, which would be overwritten: choose another.")
        try:
            settings = method.settings(self.preset(), self.changes())
        except ValueError as error:
            return str(error)
        if self.wantsSegmentation() and not settings.semantics:
            return _("Without semantics there is no segmentation: tick Semantics under Advanced, or untick the "
                     "super-resolved segmentation.")  # fmt: skip
        return ""

    def request(self) -> Request:
        """The choices as a request."""
        p, segmentation, sequence = self.parameters, self.segmentation(), self.sequence()
        inputs = self.usedInputs()
        if sequence is not None:
            # contrasts that are played along with it go in time point by time point, others with every one
            browser = browserOf(inputs[0])
            inputs = [sequenceOf(n) if browserOf(n) is browser else n for n in inputs]
        return Request(
            inputIDs=[node.GetID() for node in inputs],
            method=self.methodName(),
            preset=self.preset(),
            settings=self.changes(),
            spacing=[p.spacing] if p.outputMode == "spacing" else None,
            scale=[p.factor] if p.outputMode == "factor" else None,
            likeID=p.likeVolume.GetID() if p.outputMode == "like" and p.likeVolume else None,
            segmentationID=segmentation.GetID() if segmentation is not None else None,
            segmentationOutput=self.wantsSegmentation(),
            roiID=p.region.GetID() if p.region else None,
            outputID=p.outputVolume.GetID() if p.outputVolume and sequence is None else None,
            sliceProfile=p.sliceProfile,
            register=p.register and len(self.usedInputs()) > 1,
            device=p.device,
            seed=p.seed,
            maxSeconds=60 * p.limitMinutes or None,
        )

    def estimate(self) -> Estimate | None:
        """Time and memory of the run as chosen; None while it cannot start."""
        if self.problem():
            return None
        request = self.request()
        key = repr(request)
        if key != self._estimateKey:
            self._estimateKey, self._estimate = key, foresight.estimateOf(request, self._onGPU())
        return self._estimate

    def _onGPU(self) -> bool:
        device = self.parameters.device
        return device in ("cuda", "mps") or (device == "auto" and bool(self._devices.get("cuda")))

    # ---- buttons -------------------------------------------------------------------------------

    def onRun(self, *_args) -> None:
        """Start, or add to the queue."""
        if self.problem():
            return
        request = self.request()
        self.comparison.stop()
        self._releaseCompareButtons()
        try:
            dependencies.ensure(METHODS[request.method].needs_torch)
        except InputProblem as problem:
            self._showStatus(f"{sentence(problem.message)} {problem.advice}", isWarning=True)
            return
        if self.sequence() is not None:
            self.logic.startSequence(request, self._onSequenceEnded)
        else:
            self.logic.start(request)
        self.refresh()

    def _onSequenceEnded(self, runs) -> None:
        if runs.node is not None:
            shown = proxyOf(runs.node)
            if shown is not None:
                slicer.util.setSliceViewerLayers(background=shown, foreground=None)
            self._showStatus(_("Done: {name}").format(name=runs.node.GetName()))

    def onCancel(self, *_args) -> None:
        """Stop the run that is selected in the queue, else the active one."""
        queue = self.logic.queue
        waiting = self._waiting()
        row = self.ui.queueList.currentRow
        chosen = waiting[row] if self.ui.queueList.visible and 0 <= row < len(waiting) else queue.active
        if chosen is not None:
            queue.cancel(chosen)

    def onResample(self, *_args) -> None:
        """Sample the representation of the shown result on the grid under Output."""
        result = self.result()
        if result is not None:
            grid = self.request()
            self.logic.resample(result, spacing=grid.spacing, scale=grid.scale, likeID=grid.likeID, device=grid.device)

    def result(self):
        """The result that is chosen, of this session or of a saved scene."""
        node = self.parameters.result if self.parameters is not None else None
        return node if node is not None and node.GetScene() is not None else None

    def onCompare(self, mode: str, on: bool) -> None:
        """One comparison at a time; a second click ends it."""
        if self._isRefreshing:
            return
        if not on:
            if self.comparison.mode == mode:
                self.comparison.stop()
            return
        self._releaseCompareButtons(mode)
        after = self.result()
        before = sourceOf(after) if after is not None else None
        if before is None or after is None:
            self._releaseCompareButtons()
            self._showStatus(_("The input or the result is no longer in the scene."), isWarning=True)
            return
        self.comparison.start(mode, before, after)

    def _releaseCompareButtons(self, but: str = "") -> None:
        self._isRefreshing = True
        for mode, button in self._compareButtons.items():
            if mode != but:
                button.checked = False
        self._isRefreshing = False

    def onChart(self, *_args) -> None:
        """Show how the fit converges, or has converged; a second click puts the views back."""
        if self.chart.isShown:
            self.chart.remove()
        elif self.shown is not None:
            self.chart.show(self.shown)
        self._redraw()

    def onCopyReport(self, *_args) -> None:
        """Put the report on the clipboard."""
        if self.shown is not None:
            slicer.app.clipboard().setText(self.shown.asText())

    def onCheckDevices(self, *_args) -> None:
        """Tell which devices work."""
        self.ui.checkDevicesButton.enabled = False
        self._torchCheck = dependencies.TorchCheck(self._onDevicesChecked)

    def _onDevicesChecked(self, found: dict) -> None:
        self.ui.checkDevicesButton.enabled = True
        self._devices, self._estimateKey = found, None
        if "error" in found:
            text = _("PyTorch cannot be used: {error}. Install or repair it with the extension PyTorch.").format(
                error=found["error"]
            )
        else:
            text = _("PyTorch works on: {names}.").format(
                names=", ".join(DEVICE_NAMES[d] for d in DEVICES if found.get(d))
            )
        self._showStatus(text, isWarning="error" in found)
        self.refresh()

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
                if self.parameters is not None:
                    self.parameters.result = run.nodes[0]
        if run.isEnded or time.perf_counter() - self._lastRedraw > SECONDS_BETWEEN_REDRAWS:
            self._redraw()
        elif not self._redrawTimer.active:
            self._redrawTimer.start()

    def _redraw(self, *_args) -> None:
        self._lastRedraw = time.perf_counter()
        run, ui, queue = self.shown, self.ui, self.logic.queue
        waiting = self._waiting()
        isActive = bool(waiting)
        ui.cancelButton.enabled = isActive
        ui.progressBar.visible = isActive
        self._showQueue(waiting)
        if self.parameters is not None:
            self._showRunButton()
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
        self._showStatus(text + (f"\n{run.warnings[-1]}" if run.warnings else ""), isWarning=bool(run.warnings))
        if run.preview is not None:
            source = proxyOf(slicer.mrmlScene.GetNodeByID(run.request.inputIDs[0]))
            if source is not None:
                self.preview.show(run.preview, source)

    def _showEnd(self, run: Run) -> None:
        if run.state is State.DONE:
            seconds = run.report["seconds"]["total"]
            text = _("Done in {time}: {names}").format(
                time=duration(seconds), names=", ".join(n.GetName() for n in run.nodes)
            )
            if run.warnings:
                text += "\n" + run.warnings[-1]
            if run.nodes:  # else it is a time point: the whole sequence tells when it is done
                self._showStatus(text, isWarning=False)
        elif run.state is State.CANCELLED:
            self._showStatus(run.message)
        else:
            self._showStatus(f"{sentence(run.message)} {sentence(run.advice)}".strip(), isWarning=True)

    def _showResult(self) -> None:
        """What can be done with the chosen result; also after it was loaded with a scene."""
        ui, result = self.ui, self.result()
        ui.resultButton.visible = bool(resultsInScene())
        for widget in (ui.consistencyRow, ui.compareRow, ui.moreRow):
            widget.visible = result is not None
        if result is None:
            return
        text, isLow = messages.ofConsistency(consistencyOf(result))
        ui.consistencyLabel.text = text
        self._showIcon(ui.consistencyIcon, isLow)
        ui.resampleButton.visible = representationOf(result) is not None

    def _showStatus(self, text: str, isWarning: bool = False) -> None:
        if text != self.ui.statusLabel.text:
            self.ui.statusLabel.text = text
        self._showIcon(self.ui.statusIcon, isWarning)

    def _showIcon(self, label, isShown: bool) -> None:
        if isShown:
            icon = label.style().standardIcon(qt.QStyle.SP_MessageBoxWarning)
            label.setPixmap(icon.pixmap(20, 20))
        label.visible = isShown

    def _waiting(self) -> list[Run]:
        """The active run and those that wait for it; of a sequence, its next time point only."""
        runs, sequences = [], []
        for run in self.logic.queue.runs:
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


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text and text[0].upper() + text[1:].rstrip(".") + "."


def resultsInScene() -> list:
    """All volumes that this module has made."""
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [v for v in volumes if v.GetAttribute("INRSuperResolution.Method") is not None]


def dataclassFields(method) -> dict:
    """The fields of the method's settings."""
    return next(iter(method.presets.values())).__dataclass_fields__
