"""How the module folder is laid out: imports run one way, files are short, and PyTorch stays in the library."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "INRSuperResolution"
PARTS = MODULE / "INRSuperResolutionModule"
# each may import from those before it
FLOORS = ("library", "scene", "runs", "zoom", "panel", "study")
FILES = sorted(MODULE.rglob("*.py"))
MOST_LINES = 500


def imports_of(path: Path) -> set[str]:
    """The full names of all that a file imports, inside functions as well."""
    package = path.relative_to(MODULE).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # one dot is the file's own package
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def parts_of(path: Path) -> set[Path]:
    """The files of the module that a file imports."""
    found = set()
    for name in imports_of(path):
        steps = name.split(".")
        # the last may be a name in the file
        for place in (MODULE.joinpath(*steps), MODULE.joinpath(*steps[:-1])):
            if place.with_suffix(".py").is_file():
                found.add(place.with_suffix(".py"))
                break
    return found


def floor_of(path: Path) -> int:
    return FLOORS.index(path.relative_to(PARTS).with_suffix("").parts[0])


def is_part(path: Path) -> bool:
    return PARTS in path.parents and path != PARTS / "__init__.py"


def test_the_imports_are_seen():
    """The tests below would pass if no import were found."""
    panel = parts_of(PARTS / "panel" / "panel.py")
    assert {PARTS / "panel" / name for name in ("choices.py", "run.py", "result.py")} <= panel
    assert PARTS / "runs" / "messages.py" in parts_of(PARTS / "runs" / "run.py"), "from . import messages"
    assert PARTS / "scene" / "inputs.py" in parts_of(PARTS / "runs" / "run.py"), "from ..scene.inputs import …"
    assert PARTS / "zoom" / "panel.py" in parts_of(MODULE / "INRSuperResolution.py")


def test_imports_run_one_way():
    wrong = [
        f"{path.relative_to(PARTS)} imports {other.relative_to(PARTS)}"
        for path in filter(is_part, FILES)
        for other in parts_of(path)
        if floor_of(other) > floor_of(path)
    ]
    assert not wrong
    # raises CycleError, which names the files
    graphlib.TopologicalSorter({path: parts_of(path) for path in FILES}).prepare()


def test_files_are_short():
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert not {name: length for name, length in lengths.items() if length > MOST_LINES}


def test_pytorch_stays_in_the_library():
    """It belongs to the worker: to load it would block Slicer for seconds."""
    assert any(name.startswith("INRSuperResolutionLib") for path in FILES for name in imports_of(path))
    assert not [
        path.name for path in FILES for name in imports_of(path) if name.split(".")[0] in ("torch", "torchvision")
    ]
