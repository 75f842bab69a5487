"""What CMake installs and packs, with a stand-in of Slicer's macros: every file lands where the module finds it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = "lib/Slicer-5.12/qt-scripted-modules"
STAND_IN = REPOSITORY / "Testing" / "SlicerMacros"


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The folder of scripted modules after an installation."""
    if shutil.which("cmake") is None:
        pytest.skip("CMake is not installed")
    folder = tmp_path_factory.mktemp("cmake")
    build = folder / "build"
    for command in (
        [
            "cmake",
            "-S",
            REPOSITORY,
            "-B",
            build,
            f"-DSlicer_DIR={STAND_IN}",
            f"-DCMAKE_INSTALL_PREFIX={folder / 'tree'}",
        ],
        ["cmake", "--build", build],
        ["cmake", "--install", build],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "tree" / MODULES


@pytest.mark.parametrize(
    ("source", "target"),
    [("INRSuperResolutionLib", "INRSuperResolutionLib"), ("INRSuperResolution", ".")],
)
def test_every_file_is_installed(tree, source, target):
    endings = (".py", ".ui", ".png", ".txt", ".safetensors", ".json", ".csv", ".md", ".nrrd")
    files = [p.relative_to(REPOSITORY / source) for p in (REPOSITORY / source).rglob("*") if p.suffix in endings]
    wanted = {str(f) for f in files if f.name != "CMakeLists.txt" and "__pycache__" not in f.parts}
    installed = {str(p.relative_to(tree / target)) for p in (tree / target).rglob("*") if p.is_file()}
    if target == ".":
        installed = {p for p in installed if not p.startswith("INRSuperResolutionLib/")}
    assert installed == wanted, "name the files in CMakeLists.txt"


def test_the_package_holds_all_that_is_installed(tree):
    build = tree.parents[3] / "build"
    done = subprocess.run(["cpack"], cwd=build, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (package,) = build.glob("standin-*.tar.gz")
    with tarfile.open(package) as archive:
        packed = {name.partition(f"{MODULES}/")[2] for name in archive.getnames() if MODULES in name}
    installed = {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()}
    assert installed <= packed and "INRSuperResolution.py" in installed


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("NAME A SCRIPTS gone.py", "nonexistent file or directory 'gone.py'"),
        ("NAME A SCRIPTS ../CMakeLists.txt", "would not be installed"),
        ("NAME A ICONS SCRIPTS CMakeLists.txt", "Unknown keywords"),
        ("SCRIPTS CMakeLists.txt", "NAME is mandatory"),
    ],
)
def test_the_stand_in_refuses_what_slicer_does(tmp_path, call, told):
    if shutil.which("cmake") is None:
        pytest.skip("CMake is not installed")
    lines = ["cmake_minimum_required(VERSION 3.16)", "project(A NONE)", "find_package(Slicer REQUIRED)"]
    (tmp_path / "CMakeLists.txt").write_text("\n".join([*lines, f"slicerMacroBuildScriptedModule({call})"]))
    command = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DSlicer_DIR={STAND_IN}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and told in " ".join(done.stderr.split())


def test_installed_module_finds_the_library_and_its_worker(tree):
    program = (
        "import sys, os; sys.path[:] = [p for p in sys.path if 'INR' not in p];"
        f"sys.path.insert(0, {str(tree)!r});"
        "from INRSuperResolutionModule.library import libraryFolder; import INRSuperResolutionLib.jobs.worker as w;"
        "print(libraryFolder(), w.__file__)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    folder, _, worker = done.stdout.strip().partition(" ")
    assert folder == str(tree), done.stderr
    assert worker.startswith(str(tree))
