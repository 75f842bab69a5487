"""What the worker needs: torch through the extension PyTorch, the rest by pip; only on Run, and with consent."""

import importlib.util
import json
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.inputs import InputProblem
from .process import pythonExecutable

TORCH_REQUIREMENT = ">=2.2"
REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
# the name to import where it is not the name to install
IMPORT_NAMES = {"scikit-image": "skimage"}
CHECK_MILLISECONDS = 60000
CHECK = (
    "import json,torch;print(json.dumps({'cuda': torch.cuda.is_available(), 'mps': torch.backends.mps.is_available()}))"
)


def missingPackages() -> list[str]:
    """Requirements (torch aside) that are not installed; imports nothing."""
    lines = [line.strip() for line in REQUIREMENTS.read_text("utf-8").splitlines()]
    names = [line.split(">=")[0] for line in lines if line and not line.startswith("#")]
    return [n for n in names if importlib.util.find_spec(IMPORT_NAMES.get(n, n)) is None]


def hasTorch() -> bool:
    """Whether torch is installed; does not import it."""
    return importlib.util.find_spec("torch") is not None


def ensure(needsTorch: bool) -> None:
    """Install what is missing, after asking.

    Raises
    ------
    InputProblem
        If the user declines, or it cannot be installed.
    """
    if missingPackages():
        try:
            from slicer import packaging

            packaging.pip_ensure(packaging.load_requirements(REQUIREMENTS), requester="INRSuperResolution")
        except ImportError:  # Slicer 5.10 and older
            wanted = ", ".join(missingPackages())
            question = _("Super-resolution needs Python packages: {packages}. Install them now?")
            if slicer.util.confirmOkCancelDisplay(question.format(packages=wanted)):
                slicer.util.pip_install(f'--only-binary :all: -r "{REQUIREMENTS}"')
        importlib.invalidate_caches()
        if missingPackages():
            raise InputProblem(
                _("these Python packages are missing: {names}").format(names=", ".join(missingPackages())),
                _("Press Run again and agree to install them; this needs the internet once."),
            )
    if needsTorch and not hasTorch():
        installTorch()


def installTorch() -> None:
    """Through the extension PyTorch, which picks the build for this graphics card."""
    try:
        import PyTorchUtils
    except ImportError as error:
        raise InputProblem(
            _("PyTorch is not installed"),
            _("Install the extension PyTorch in the Extensions Manager, restart Slicer and press Run again. "
              "Linear and cubic interpolation work without it."),
        ) from error  # fmt: skip
    logic = PyTorchUtils.PyTorchUtilsLogic()
    if logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT) is None:
        raise InputProblem(_("PyTorch was not installed"), _("Press Run again and agree to install it."))


class TorchCheck:
    """Imports torch in a process of its own, and tells which devices work.

    A broken installation can crash Python, which must not be Slicer's.

    Parameters
    ----------
    onDone
        Called with {device: whether it works}, or {"error": …} if torch cannot be imported.
    """

    def __init__(self, onDone) -> None:
        self._onDone = onDone
        self._process = qt.QProcess()
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finish)
        self._process.start(pythonExecutable(), ["-c", CHECK])
        qt.QTimer.singleShot(CHECK_MILLISECONDS, self._process.kill)

    def _finish(self, code, status) -> None:
        text = bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")
        log = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace").strip()
        try:
            found = {"cpu": True, **json.loads(text)}
        except ValueError:
            found = {"error": log.splitlines()[-1] if log else _("Python crashed or gave no answer")}
        # later, because who hears it may forget this object
        qt.QTimer.singleShot(0, lambda: self._onDone(found))
