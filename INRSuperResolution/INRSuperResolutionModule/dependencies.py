"""What the worker needs: torch through the extension PyTorch, the rest by pip; only on Run, and with consent."""

import importlib.util
import subprocess
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .inputs import InputProblem
from .process import pythonExecutable

TORCH_REQUIREMENT = ">=2.2"
REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"
# the name to import where it is not the name to install
IMPORT_NAMES = {"scikit-image": "skimage"}
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


def checkTorch(timeout: float = 60.0) -> dict:
    """Import torch in a process of its own, and tell which devices work; {'error': …} if it cannot be imported.

    A broken installation can crash Python, which must not be Slicer's.
    """
    import json

    try:
        done = subprocess.run(
            [pythonExecutable(), "-c", CHECK], capture_output=True, text=True, timeout=timeout, check=False
        )
        return {"cpu": True, **json.loads(done.stdout)}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        text = done.stderr.strip().splitlines()[-1:] if "done" in locals() else [_("no answer")]
        return {"error": text[0] if text else _("Python crashed")}
