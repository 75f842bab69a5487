"""The line that says, before a run starts, what it will take; or why it cannot start."""

from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..runs import foresight
from .choices import Choices
from .devices import Devices
from .notice import Notice, duration

addLibraryToPath()

from INRSuperResolutionLib.jobs.estimate import Estimate  # noqa: E402


class EstimateLine:
    """Time and memory of the run as chosen, with a warning if that is too much.

    Parameters
    ----------
    ui
        The named child widgets.
    """

    def __init__(self, ui, choices: Choices, devices: Devices) -> None:
        self._notice = Notice(ui.estimateLabel, ui.estimateIcon)
        self._choices, self._devices = choices, devices
        self._key, self._guess = None, None

    def show(self) -> None:
        """Say it."""
        guess = self.guess()
        if guess is None:
            self._notice.show(self._choices.problem())
            return
        memory = foresight.gigabytes(guess.memory_bytes)
        if guess.seconds is None:
            text = _("Needs about {memory} of memory.").format(memory=memory)
        else:
            text = _("Takes about {time}, needs about {memory} of memory.").format(
                time=duration(guess.seconds), memory=memory
            )
        warning = foresight.memoryWarning(self._choices.request(), guess, self._onGPU())
        self._notice.show(f"{text} {warning}".strip(), isWarning=bool(warning))

    def guess(self) -> Estimate | None:
        """Time and memory of the run as chosen; None while it cannot start."""
        if self._choices.problem():
            return None
        request = self._choices.request()
        key = repr(request)
        if key != self._key:
            self._key, self._guess = key, foresight.estimateOf(request, self._onGPU())
        return self._guess

    def forget(self) -> None:
        """Estimate anew next time, because something beside the request has changed."""
        self._key = None

    def _onGPU(self) -> bool:
        return self._devices.isGPU(self._choices.parameters.device)
