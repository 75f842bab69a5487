"""What CMake installs, with stubs of Slicer's macros: every file lands where the module finds it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MODULES = "lib/Slicer-5.12/qt-scripted-modules"
# what Slicer's macro does with SCRIPTS and RESOURCES: kept below the folder of the call, or below a folder of its name
# with WITH_SUBDIR; paths that leave the folder are not installed
STUBS = r"""
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/empty.cmake)
set(BUILD_TESTING ON)
enable_testing()
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown keywords: ${MY_UNPARSED_ARGUMENTS}")
  endif()
  set(below "")
  if(MY_WITH_SUBDIR)
    get_filename_component(below ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  endif()
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(IS_ABSOLUTE ${file} OR file MATCHES "\\.\\.")
      message(FATAL_ERROR "${file} would not be installed")
    endif()
    get_filename_component(folder ${file} DIRECTORY)
    install(FILES ${file} DESTINATION "lib/Slicer-5.12/qt-scripted-modules/${below}/${folder}")
  endforeach()
endfunction()
function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  get_filename_component(name ${MY_SCRIPT} NAME_WE)
  add_test(NAME py_${name} COMMAND ${CMAKE_COMMAND} -E echo)
endfunction()
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The folder of scripted modules after an installation."""
    if shutil.which("cmake") is None:
        pytest.skip("CMake is not installed")
    folder = tmp_path_factory.mktemp("cmake")
    stubs = folder / "stubs"
    stubs.mkdir()
    (stubs / "SlicerConfig.cmake").write_text(STUBS)
    (stubs / "empty.cmake").write_text("")
    build = folder / "build"
    for command in (
        ["cmake", "-S", REPOSITORY, "-B", build, f"-DSlicer_DIR={stubs}", f"-DCMAKE_INSTALL_PREFIX={folder / 'tree'}"],
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
    endings = (".py", ".ui", ".png", ".txt", ".safetensors", ".json", ".md")
    files = [p.relative_to(REPOSITORY / source) for p in (REPOSITORY / source).rglob("*") if p.suffix in endings]
    wanted = {str(f) for f in files if f.name != "CMakeLists.txt" and "__pycache__" not in f.parts}
    installed = {str(p.relative_to(tree / target)) for p in (tree / target).rglob("*") if p.is_file()}
    if target == ".":
        installed = {p for p in installed if not p.startswith("INRSuperResolutionLib/")}
    assert installed == wanted, "name the files in CMakeLists.txt"


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
