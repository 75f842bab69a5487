"""The panel: its sections tied together, each of which is a file of its own."""

import qt

from .choices import Choices
from .contrasts import Contrasts
from .devices import Devices
from .estimate import EstimateLine
from .notice import Notice
from .options import Options
from .result import ResultSection
from .run import RunSection


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
        self.choices = Choices()
        status = Notice(ui.statusLabel, ui.statusIcon)
        self.devices = Devices(ui, status, self._onDevicesChecked)
        self.contrasts = Contrasts(ui, self.choices, self.refresh)
        self.options = Options(ui, self.choices, self.refresh)
        self.estimate = EstimateLine(ui, self.choices, self.devices)
        self.result = ResultSection(ui, self.choices, logic, status)
        self.run = RunSection(ui, self.choices, logic, status, self.result.stopComparing, self.refresh)
        self._isRefreshing = False
        self._soon = qt.QTimer()
        self._soon.setSingleShot(True)
        self._soon.interval = 0
        self._soon.connect("timeout()", self.refresh)

    def setParameters(self, parameters) -> None:
        """Show another parameter node; None while the scene is closed."""
        self.choices.parameters = parameters
        self.refresh()

    def cleanUp(self) -> None:
        """Leave nothing of ours in the scene or the views."""
        self._soon.stop()
        self.run.cleanUp()
        self.result.stopComparing()

    def refresh(self, *_args) -> None:
        """Show what the parameter node and the scene say."""
        if self.choices.parameters is None or self._isRefreshing:
            return
        self._isRefreshing = True
        try:
            self.contrasts.show()
            self.options.show()
            self.result.show()
        finally:
            self._isRefreshing = False
        self.estimate.show()
        self.run.showButton()

    def refreshSoon(self, *_args) -> None:
        """Refresh in a turn of its own, once for all that happens to the scene in this one."""
        self._soon.start()

    def _onDevicesChecked(self) -> None:
        self.estimate.forget()
        self.refresh()
