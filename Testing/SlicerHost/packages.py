"""Stand-ins for `slicer.packaging` and for the extension PyTorch, which raise as the real ones do.

Nothing is ever installed: `world` says what a user answers, whether the machine is online, and which packages it
pretends not to have.
"""

from __future__ import annotations

import dataclasses
import importlib.abc
import importlib.machinery
import importlib.metadata
import logging
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import slicer
from packaging.requirements import Requirement

IMPORT_NAMES = {"scikit-image": "skimage"}


class Missing(importlib.abc.MetaPathFinder):
    """Keeps the packages that the machine pretends not to have from being found."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        hidden = {IMPORT_NAMES.get(n, n) for n in world.missing}
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@dataclasses.dataclass
class World:
    """The user, the internet and the packages of a machine."""

    agrees: bool = True
    online: bool = True
    missing: set[str] = dataclasses.field(default_factory=set)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Versions that it pretends to have."""
    has_pytorch_extension: bool = True
    pytorch_gives: Any = "torch"
    """What `installTorch` returns; an exception is raised instead."""
    questions: list[str] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)
    """What was asked to be installed."""

    def ask(self, text: str, *_: Any, **__: Any) -> bool:
        """As `slicer.util.confirmOkCancelDisplay`: with ``--testing`` the answer is yes."""
        if slicer.app.testingEnabled():
            return True
        self.questions.append(text)
        return self.agrees

    def install(self, requirements: list[str]) -> None:
        """As pip; without the internet it fails as a process does."""
        self.requests += requirements
        if not self.online:
            raise subprocess.CalledProcessError(1, ["PythonSlicer", "-m", "pip", "install", *requirements])
        for name in (Requirement(line).name for line in requirements):
            self.missing.discard(name)
            self.versions.pop(name, None)


world = World()


def reset() -> World:
    """A machine that has everything, again."""
    world.__dict__.update(World().__dict__)
    sys.modules.pop("PyTorchUtils", None)
    return world


real_distribution = importlib.metadata.distribution


class Pretended(importlib.metadata.Distribution):
    """A package in a version that the machine pretends to have."""

    def __init__(self, name: str, version: str) -> None:
        self._page = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._page if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


def distribution(name: str) -> importlib.metadata.Distribution:
    """As `importlib.metadata.distribution`, on that machine."""
    if name in world.missing:
        raise importlib.metadata.PackageNotFoundError(name)
    return Pretended(name, world.versions[name]) if name in world.versions else real_distribution(name)


def load_requirements(path: Any) -> list[Requirement]:
    lines = (line.strip() for line in Path(path).read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pip_check(requirement: Requirement) -> bool:
    try:
        return distribution(requirement.name).version in requirement.specifier
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_ensure(
    requirements: list[Requirement], prompt_install: bool = True, requester: str | None = None,
    skip_in_testing: bool = True, show_progress: bool = True, prompt_restart: bool = True,
) -> None:  # fmt: skip
    """As the real one: RuntimeError if the user declines, CalledProcessError if pip fails, nothing with ``--testing``."""
    missing = [r for r in requirements if not pip_check(r)]
    if not missing:
        return
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info("Testing mode is enabled: skipping pip_ensure for %s", missing)
        return
    if prompt_install and not slicer.util.confirmOkCancelDisplay(
        f"{len(missing)} Python packages need to be installed."
    ):
        raise RuntimeError("User declined package installation")
    world.install([str(r) for r in missing])


class PyTorchUtilsLogic:
    """As the extension's."""

    def installTorch(
        self, askConfirmation: bool = False, forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None, torchvisionVersionRequirement: str | None = None,
    ) -> Any:  # fmt: skip
        """None if the user declines; raises whatever happens on the way."""
        if askConfirmation and not slicer.util.confirmOkCancelDisplay("PyTorch will be downloaded and installed"):
            return None
        if isinstance(world.pytorch_gives, BaseException):
            raise world.pytorch_gives
        if world.pytorch_gives is not None:
            world.install([f"torch{torchVersionRequirement or ''}"])
        return world.pytorch_gives


class Extension(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the module PyTorchUtils where the extension is installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        found = name == "PyTorchUtils" and world.has_pytorch_extension
        return importlib.machinery.ModuleSpec(name, self) if found else None

    def exec_module(self, module: types.ModuleType) -> None:
        module.PyTorchUtilsLogic = PyTorchUtilsLogic  # type: ignore[attr-defined]


def install() -> None:
    """Make `slicer.packaging` and, where the world has it, `PyTorchUtils` importable."""
    made = types.ModuleType("slicer.packaging")
    made.__dict__.update(pip_ensure=pip_ensure, load_requirements=load_requirements, pip_check=pip_check)
    sys.modules["slicer.packaging"] = slicer.packaging = made
    slicer.util.confirmOkCancelDisplay = world.ask
    importlib.metadata.distribution = distribution  # type: ignore[assignment]
    sys.meta_path[:0] = [Missing(), Extension()]
