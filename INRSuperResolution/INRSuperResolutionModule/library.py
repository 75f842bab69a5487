"""Finds the library: beside the module when installed, one folder up in the source tree."""

import shutil
import sys
from pathlib import Path


def libraryFolder() -> Path:
    """The folder that holds ``INRSuperResolutionLib``."""
    beside = Path(__file__).resolve().parents[1]
    return beside if (beside / "INRSuperResolutionLib").is_dir() else beside.parent


def pythonExecutable() -> str:
    """PythonSlicer; elsewhere the Python that runs."""
    return shutil.which("PythonSlicer") or sys.executable


def addLibraryToPath() -> None:
    """Make ``import INRSuperResolutionLib`` work."""
    folder = str(libraryFolder())
    if folder not in sys.path:
        sys.path.append(folder)


addLibraryToPath()
