"""The layout of the library: imports run downwards only, files stay short, and the module folder needs no torch."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "INRSuperResolutionLib"
MODULE = ROOT / "INRSuperResolution"
MOST_LINES = 500
# from the ground up; what stands in one row may import each other, but not in a circle
FLOORS = (
    ("errors", "progress", "device", "memory", "json_text", "pictures"),
    ("image",),
    ("acquisition",),
    ("representation",),
    ("methods",),
    ("auto",),
    ("training",),
    ("fitting",),
    ("evaluation",),
    ("jobs",),
    ("benchmarks", "cohorts", "study"),
    ("cli", "demo", "__main__"),
)
# the package itself only holds the version and looks names up when they are asked for: nothing inside may go through it
OF_THE_PACKAGE = {"__version__"}


def python_files(folder: Path) -> list[Path]:
    """Those under version control, or not ignored by it; all of them where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return sorted(p for p in folder.rglob("*.py") if not set(p.parts) & {".venv", "build"})
    return sorted(p for p in (folder / name for name in listed.split("\0") if name) if p.is_file())


def module_name(path: Path) -> str:
    """``image.files`` for ``image/files.py``, ``image`` for ``image/__init__.py``, empty for the package itself."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    return {module_name(p): p for p in python_files(LIBRARY)}


def imported_by(name: str, path: Path) -> set[str]:
    """The files of the library that a file imports, wherever in it: at the top, in a function, for types only."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith(LIBRARY.name), f"{name}: import {alias.name}, not relative"
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level == 0:
            assert not (node.module or "").startswith(LIBRARY.name), f"{name}: from {node.module}, not relative"
            continue
        base = package[: len(package) - node.level + 1] + (node.module or "").split(".")
        source = ".".join(part for part in base if part)
        for alias in node.names:
            inner = f"{source}.{alias.name}" if source else alias.name
            if inner in modules():
                found.add(inner)
            elif source:
                found.add(source)
            else:
                assert alias.name in OF_THE_PACKAGE, f"{name} imports {alias.name} through the package itself"
    return found - {name}


@functools.cache
def imports() -> dict[str, set[str]]:
    return {name: imported_by(name, path) for name, path in modules().items() if name}


def floor_of(name: str) -> int:
    return next(n for n, wings in enumerate(FLOORS) if name.split(".")[0] in wings)


def chains() -> dict[str, list[str]]:
    """The longest chain of imports below each file, itself first; fails at a circle."""
    longest: dict[str, list[str]] = {}

    def visit(name: str, above: tuple[str, ...]) -> list[str]:
        assert name not in above, f"a circle: {' → '.join([*above[above.index(name) :], name])}"
        if name not in longest:
            below = [visit(other, (*above, name)) for other in sorted(imports()[name])]
            longest[name] = [name, *max(below, key=len, default=[])]
        return longest[name]

    for name in imports():
        visit(name, ())
    return longest


def test_every_file_has_its_floor():
    known = {wing for wings in FLOORS for wing in wings}
    assert {name.split(".")[0] for name in imports()} == known


def test_imports_run_downwards():
    upwards = [
        f"{name} imports {other}"
        for name, others in imports().items()
        for other in others
        if floor_of(other) > floor_of(name)
    ]
    assert sorted(upwards) == []


def test_there_are_no_circles():
    longest = max(chains().values(), key=len)
    print(f"{len(longest)} floors: {' → '.join(longest)}")  # pytest -rP shows it


def test_the_test_itself_sees_lazy_and_typing_imports(tmp_path, monkeypatch):
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..jobs.run import run_job\ndef f():\n    from ..cli import main\n"
    (tmp_path / "a.py").write_text(lazy)
    assert imported_by("image.a", tmp_path / "a.py") == {"jobs.run", "cli"}
    (tmp_path / "b.py").write_text("from . import __version__\nfrom .. import fit\n")
    with pytest.raises(AssertionError, match="fit through the package"):
        imported_by("image.b", tmp_path / "b.py")


def test_no_file_is_too_long():
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in python_files(ROOT)}
    assert len(lengths) > 100
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


def test_the_module_folder_imports_no_torch():
    """Slicer shows the panel before torch is installed."""
    files = python_files(MODULE)
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert not [n for n in names if n.split(".")[0] == "torch"], f"{path.name}:{node.lineno}"
