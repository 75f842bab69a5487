"""Which processors PyTorch works on, told when the user asks."""

from slicer.i18n import tr as _

from ..library import addLibraryToPath
from ..runs import dependencies
from .notice import Notice

addLibraryToPath()

from INRSuperResolutionLib.jobs.job import DEVICES  # noqa: E402

DEVICE_NAMES = {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("NVIDIA GPU"), "mps": _("Apple GPU")}


class Devices:
    """The button that checks the devices, and what it has found.

    Parameters
    ----------
    ui
        The named child widgets.
    onChecked
        Called when the devices are known.
    """

    def __init__(self, ui, status: Notice, onChecked) -> None:
        self.ui, self._status, self._onChecked = ui, status, onChecked
        self._found: dict = {}
        self._check = None
        ui.checkDevicesButton.connect("clicked(bool)", self.onCheck)

    def isGPU(self, device: str) -> bool:
        """Whether a run with this choice of device works on a graphics card, as far as is known."""
        return device in ("cuda", "mps") or (device == "auto" and bool(self._found.get("cuda")))

    def onCheck(self, *_args) -> None:
        """Tell which devices work."""
        if dependencies.TORCH in dependencies.missing(needsTorch=True):
            self._status.show(_("PyTorch is not installed yet: the first run that needs it asks, and installs it."))
            return
        self.ui.checkDevicesButton.enabled = False
        self._check = dependencies.TorchCheck(self._onDone)

    def _onDone(self, found: dict) -> None:
        self.ui.checkDevicesButton.enabled = True
        self._found = found
        if "error" in found:
            text = _("PyTorch cannot be used: {error}. Install or repair it with the extension PyTorch.").format(
                error=found["error"]
            )
        else:
            text = _("PyTorch works on: {names}.").format(
                names=", ".join(DEVICE_NAMES[d] for d in DEVICES if found.get(d))
            )
        self._status.show(text, isWarning="error" in found)
        self._onChecked()
