"""The one door that every piece of work passes through: what the worker needs is there, or is installed with consent.

Torch comes through the extension PyTorch, the rest by pip. Nothing is imported here: that is the worker's.
"""

import importlib.metadata
import importlib.util
import json
import re
import subprocess
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.inputs import InputProblem
from .process import pythonExecutable

TORCH = "torch>=2.2"
REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
# how much is downloaded, and what for
ABOUT = {
    "torch": (_("200 MB, with an NVIDIA graphics card up to 3 GB"), _("computes the restoration")),
    "scipy": (_("40 MB"), _("interpolation and filters")),
    "SimpleITK": (_("50 MB"), _("reads and writes images")),
    "nibabel": (_("4 MB"), _("reads and writes images")),
    "psutil": (_("1 MB"), _("tells how much memory is free")),
    "pydicom": (_("3 MB"), _("reads and writes DICOM")),
    "safetensors": (_("1 MB"), _("reads the trained networks")),
    "scikit-image": (_("15 MB"), _("finds tissue, measures agreement")),
}
CHECK_MILLISECONDS = 60000
CHECK = (
    "import json,torch;print(json.dumps({'cuda': torch.cuda.is_available(), 'mps': torch.backends.mps.is_available()}))"
)
_installing: list[str] = []
# requirements that were found met: to look takes time, and nothing takes them away while Slicer runs
_met: set[str] = set()


def missing(needsTorch: bool) -> list[str]:
    """Requirements (``name>=version``) that are not installed, or in too old a version; imports nothing."""
    lines = [line.strip() for line in REQUIREMENTS.read_text("utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    wanted += [TORCH] if needsTorch else []
    _met.update(line for line in wanted if line not in _met and isMet(line))
    return [line for line in wanted if line not in _met]


def forget() -> None:
    """Look anew next time: an installation may have replaced what was there."""
    _met.clear()
    importlib.invalidate_caches()


def isMet(requirement: str) -> bool:
    """Whether a package is installed in a version that is new enough."""
    name, _sign, least = requirement.partition(">=")
    version = versionOf(name)
    return version is not None and numbersOf(version) >= numbersOf(least)


def versionOf(name: str) -> str | None:
    """The installed version; None if there is none, or an interrupted installation has left no more than a folder.

    `importlib.metadata.version` parses the whole page of a package, which takes up to 5 ms each.
    """
    try:
        page = importlib.metadata.distribution(name).read_text("METADATA")
    except importlib.metadata.PackageNotFoundError:
        return None
    found = re.search(r"^Version:\s*(\S+)", page or "", re.MULTILINE)
    return found[1] if found else None


def numbersOf(version: str) -> list[int]:
    """As [2, 13, 0] for ``2.13.0+cpu``."""
    return [int(n) for n in re.match(r"[\d.]*", version)[0].split(".") if n]


def nameOf(requirement: str) -> str:
    """As people call the package."""
    name = requirement.partition(">=")[0]
    return "PyTorch" if name == "torch" else name


def ensure(needsTorch: bool) -> None:
    """Return when all that the worker needs is there; else ask once, and install it.

    Raises
    ------
    InputProblem
        If it is not there after all: declined, offline, failed. The next attempt asks again.
    """
    lacking = missing(needsTorch)
    if not lacking:
        return
    names = ", ".join(map(nameOf, lacking))
    if _installing:  # its window lets the panel be used meanwhile
        raise InputProblem(_("packages are being installed"), _("Wait until that is done, then try again."))
    if slicer.app.testingEnabled():
        raise InputProblem(
            _("these Python packages are missing: {names}").format(names=names),
            _("Slicer installs nothing while it runs tests: start it without --testing, and try again."),
        )
    if TORCH in lacking and importlib.util.find_spec("PyTorchUtils") is None:
        raise InputProblem(
            _("PyTorch is not installed"),
            _("Install the extension PyTorch in the Extensions Manager, restart Slicer and try again. "
              "Linear and cubic interpolation work without it."),
        )  # fmt: skip
    if not slicer.util.confirmOkCancelDisplay(question(lacking), _("Install Python packages")):
        raise InputProblem(
            _("nothing was installed, so nothing was started"),
            _("It needs {names}: try again and agree, when you like.").format(names=names),
        )
    _installing.extend(lacking)
    try:
        install([line for line in lacking if line != TORCH], TORCH in lacking)
    except subprocess.CalledProcessError as error:
        raise InputProblem(
            _("{names} could not be downloaded").format(names=", ".join(map(nameOf, missing(needsTorch))) or names),
            _("Check that this computer reaches the internet (pypi.org, and download.pytorch.org for PyTorch), "
              "also through a firewall or proxy, then try again. What is installed already is kept."),
        ) from error  # fmt: skip
    except Exception as error:
        # whatever an installer raises, the user is to read what to do
        raise InputProblem(
            _("the installation failed: {error}").format(error=str(error).partition("\n")[0] or type(error).__name__),
            _("Restart Slicer and try again; the Python console (View menu) tells more."),
        ) from error
    finally:
        _installing.clear()
        forget()
    lacking = missing(needsTorch)
    if lacking:
        raise InputProblem(
            _("still missing: {names}").format(names=", ".join(map(nameOf, lacking))),
            _("Restart Slicer and try again: what is in use cannot be replaced."),
        )


def question(lacking: list[str]) -> str:
    """What is to be installed, how large it is and what for."""
    lines = []
    for line in lacking:
        size, purpose = ABOUT[line.partition(">=")[0]]
        lines.append(_("{name} ({size}): {purpose}").format(name=nameOf(line), size=size, purpose=purpose))
    return _(
        "Super-resolution needs Python packages that are not yet on this computer:\n\n{list}\n\n"
        "They are downloaded once from the internet into Slicer's own Python, which can take some minutes. "
        "Your images stay on this computer.\n\nInstall them now?"
    ).format(list="\n".join(lines))


def install(lines: list[str], wantsTorch: bool) -> None:
    """Without further questions; raises what the installers raise."""
    if lines:
        try:
            from slicer import packaging
        except ImportError:  # Slicer 5.10 and older
            slicer.util.pip_install(["--only-binary", ":all:", *lines])
        else:
            wanted = packaging.load_requirements(REQUIREMENTS)
            packaging.pip_ensure(wanted, requester="INRSuperResolution", prompt_install=False)
    if wantsTorch:
        import PyTorchUtils

        requirement = TORCH.removeprefix("torch")
        # it picks the build for this graphics card
        PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=requirement)


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
