"""The boxes of method, quality, output and device, and the form of settings ↔ parameter node."""

import json

import qt
from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..runs.sequences import sequenceOf
from ..scene.dicom import sliceThickness
from .choices import Choices, takesMore
from .devices import DEVICE_NAMES
from .settingsform import SettingsForm

addLibraryToPath()

from INRSuperResolutionLib.jobs.job import DEVICES  # noqa: E402
from INRSuperResolutionLib.methods import METHODS  # noqa: E402

OUTPUT_MODES = {
    "isotropic": _("Isotropic, at the finest spacing"),
    "spacing": _("Chosen spacing"),
    "factor": _("Times as many voxels"),
    "like": _("Like another volume"),
}
QUALITIES = {"fast": _("Fast"), "balanced": _("Balanced"), "paper": _("As in the paper")}
PROFILES = {
    "auto": _("As the header says (recommended)"), "estimate": _("Find out from the image"),
    "boxcar": _("Averaged evenly over their thickness"), "gaussian": _("Averaged, most from the middle"),
    "none": _("Thinned out, not averaged (research)"),
}  # fmt: skip


class Options:
    """Shows what can be chosen for the method at hand, and takes what is chosen.

    Parameters
    ----------
    ui
        The named child widgets.
    onChanged
        Called after a choice has gone into the parameter node.
    """

    def __init__(self, ui, choices: Choices, onChanged) -> None:
        self.ui, self._choices, self._onChanged = ui, choices, onChanged
        self._isShowing = False
        self.settingsForm = SettingsForm(ui.settingsForm, self._takeSettings)
        self._boxes = {
            "method": ui.methodCombo, "preset": ui.qualityCombo, "outputMode": ui.outputModeCombo,
            "device": ui.deviceCombo, "sliceProfile": ui.profileCombo,
        }  # fmt: skip
        self._fillBoxes()
        for box in self._boxes.values():
            box.connect("currentIndexChanged(int)", self._takeBoxes)
        ui.segmentationOutputCheckBox.connect("toggled(bool)", self._takeSegmentationOutput)

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
            (ui.profileCombo, PROFILES),
        ):
            for value, text in values.items():
                box.addItem(text, value)

    # ---- parameter node → widgets --------------------------------------------------------------

    def show(self) -> None:
        """Show what the parameter node says, and only what the method needs."""
        self._isShowing = True
        try:
            self._showMethod()
            self._showOutput()
            self._showSegmentation()
            self._showSequence()
            self._showThickness()
            self.settingsForm.show(
                METHODS[self._choices.methodName()].settings(self._choices.preset()), self._choices.changes()
            )
        finally:
            self._isShowing = False

    def _showMethod(self) -> None:
        ui, choices, p = self.ui, self._choices, self._choices.parameters
        method = METHODS[choices.methodName()]
        recommended = choices.recommended()
        ui.methodCombo.setItemText(0, _("Recommended: {title}").format(title=METHODS[recommended.method].title))
        if [ui.qualityCombo.itemData(n) for n in range(ui.qualityCombo.count)] != list(method.presets):
            ui.qualityCombo.clear()
            for preset in method.presets:
                ui.qualityCombo.addItem(QUALITIES.get(preset, preset), preset)
        for field, box in self._boxes.items():
            index = box.findData(getattr(p, field))
            box.currentIndex = max(index, 0)
        # who has not looked at the methods may not know either that one more click gives the better one
        canAdd = p.method not in METHODS and len(choices.inputs()) == 1 and ui.contrastsList.count > 0
        hint = _("If there are further contrasts of the same patient, tick them: they restore each other.")
        ui.whenLabel.text = f"{method.when} {hint}" if canAdd else method.when
        hasSettings = bool(dataclassFields(method))
        for widget in (ui.qualityCombo, ui.qualityComboLabel, ui.settingsLabel, ui.settingsWidget):
            widget.visible = hasSettings
        for widget in (ui.registerCheckBox, ui.registerCheckBoxLabel):
            widget.visible = takesMore(method)

    def _showOutput(self) -> None:
        ui = self.ui
        for mode, widgets in (
            ("spacing", (ui.spacingSpinBox, ui.spacingSpinBoxLabel)),
            ("factor", (ui.factorSpinBox, ui.factorSpinBoxLabel)),
            ("like", (ui.likeSelector, ui.likeSelectorLabel)),
        ):
            for widget in widgets:
                widget.visible = self._choices.parameters.outputMode == mode

    def _showSegmentation(self) -> None:
        ui = self.ui
        for widget in (
            ui.segmentationSelector, ui.segmentationSelectorLabel,
            ui.segmentationOutputCheckBox, ui.segmentationOutputCheckBoxLabel,
        ):  # fmt: skip
            widget.visible = METHODS[self._choices.methodName()].takes_labels
        ui.segmentationOutputCheckBox.checked = self._choices.wantsSegmentation()
        # of a whole sequence, none comes out
        ui.segmentationOutputCheckBox.enabled = self._choices.sequence() is None

    def _showSequence(self) -> None:
        ui = self.ui
        whole = sequenceOf(self._choices.parameters.inputVolume)
        for widget in (ui.sequenceCheckBox, ui.sequenceCheckBoxLabel):
            widget.visible = whole is not None
        if whole is not None:
            ui.sequenceCheckBox.text = _("All {n} time points").format(n=whole.GetNumberOfDataNodes())
        for widget in (ui.outputSelector, ui.outputSelectorLabel):
            widget.enabled = self._choices.sequence() is None

    def _showThickness(self) -> None:
        box, p = self.ui.thicknessSpinBox, self._choices.parameters
        volume = next(iter(self._choices.inputs()), None)
        known = sliceThickness(volume) if volume is not None else None
        told = _("as the header says")
        if known:
            told = _("as the header says: {mm:.3g} mm").format(mm=known)
        elif volume is not None:
            told = _("distance of the slices: {mm:.3g} mm").format(mm=max(volume.GetSpacing()))
        if box.specialValueText != told:
            box.specialValueText = told
        # points have none
        for widget in (box, self.ui.thicknessSpinBoxLabel):
            widget.enabled = p.sliceProfile != "none"

    # ---- widgets → parameter node --------------------------------------------------------------

    def _takeBoxes(self, *_args) -> None:
        p = self._choices.parameters
        if self._isShowing or p is None:
            return
        values = {field: box.itemData(box.currentIndex) for field, box in self._boxes.items()}
        changed = values["method"] != p.method or values["preset"] != p.preset
        for field, value in values.items():
            if value is not None and value != getattr(p, field):
                setattr(p, field, value)
        if changed and p.settings != "{}":
            p.settings = "{}"  # another method or preset has other settings
        self._onChanged()

    def _takeSegmentationOutput(self, isWanted: bool) -> None:
        if not self._isShowing and self._choices.parameters is not None:
            self._choices.parameters.segmentationOutput = "yes" if isWanted else "no"

    def _takeSettings(self) -> None:
        if self._choices.parameters is not None:
            self._choices.parameters.settings = json.dumps(self.settingsForm.changes())
            self._onChanged()


def dataclassFields(method) -> dict:
    """The fields of the method's settings."""
    return next(iter(method.presets.values())).__dataclass_fields__
