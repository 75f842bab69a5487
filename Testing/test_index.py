"""What Slicer's Extensions Index asks of the repository."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import struct
import subprocess
import sys
import types
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
ENTRY = ROOT / "Resources" / "ExtensionsIndex" / "INRSuperResolution.json"
PUBLISH = ENTRY.with_name("publish.py")
RULES = json.loads((ROOT / "Testing" / "index_schema.json").read_text("utf-8"))
KINDS = {
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "array of strings": lambda v: isinstance(v, list) and all(isinstance(e, str) for e in v),
}


def problems(entry: dict) -> list[str]:
    """What the index would refuse of an entry."""
    found = [f"{name} is missing" for name in RULES["required"] if name not in entry]
    for name, value in entry.items():
        if name not in RULES["types"]:
            found.append(f"{name} is not known")
        elif not KINDS[RULES["types"][name]](value):
            found.append(f"{name} = {value!r} is not of type {RULES['types'][name]}")
    low, high = RULES["tier"]
    if not found and not low <= entry.get("tier", low) <= high:
        found.append(f"tier {entry['tier']}")
    if not found and entry.get("scm_type", "git") not in RULES["scm_type"]:
        found.append(f"scm_type {entry['scm_type']}")
    if not found and entry["category"] not in RULES["categories"]:
        found.append(f"category {entry['category']}")
    if not found and urlsplit(entry["scm_url"]).scheme not in RULES["url_schemes"]:
        found.append(f"scm_url {entry['scm_url']}")
    if not found and not Path(urlsplit(entry["scm_url"]).path).stem.startswith("Slicer"):
        found.append("the repository's name does not start with Slicer")
    return found


def cmake_settings() -> dict[str, str]:
    text = (ROOT / "CMakeLists.txt").read_text("utf-8")
    # as the index's own script reads them: text, no variables
    return {"project": re.findall(r"project\s*\(\s*([^\s)]+)", text)[0]} | dict(
        re.findall(r'set\s*\(EXTENSION_(\w+) "([^"]*)"\)', text)
    )


def test_the_entry_fits_the_schema():
    text = ENTRY.read_bytes()
    entry = json.loads(text)
    assert problems(entry) == []
    assert entry["$schema"] == RULES["id"] and b"\r" not in text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"licence": "Apache"}, "licence is not known"),
        ({"tier": 7}, "tier 7"),
        ({"tier": "1"}, "tier = '1' is not of type integer"),
        ({"category": "Super-resolution"}, "category Super-resolution"),
        ({"build_dependencies": "PyTorch"}, "build_dependencies = 'PyTorch' is not of type array of strings"),
        ({"scm_url": "git@host:x"}, "scm_url git@host:x"),
        ({"scm_url": "https://host/INR.git"}, "the repository's name does not start with Slicer"),
    ],
)
def test_the_check_sees_faults(change, told):
    assert problems(json.loads(ENTRY.read_text("utf-8")) | change) == [told]


def test_entry_and_cmake_agree():
    entry, cmake = json.loads(ENTRY.read_text("utf-8")), cmake_settings()
    assert cmake["project"] == ENTRY.stem and not ENTRY.stem.lower().startswith("slicer")
    assert cmake["DEPENDS"].split() == entry["build_dependencies"]
    assert any((ROOT / name).is_file() for name in RULES["license_files"])


def test_the_description_says_what_it_is_for():
    text = cmake_settings()["DESCRIPTION"]
    for word in ("thick slices", "MR", "CT", "super-resolution", "research use"):
        assert word in text
    assert len(re.findall(r"[.;] ", text)) <= 2 and "INR" not in text, "two sentences, in words of a clinic"


def test_addresses_stand_in_one_place():
    done = subprocess.run([sys.executable, str(PUBLISH)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + "run Resources/ExtensionsIndex/publish.py --write"
    known = runpy.run_path(str(PUBLISH))
    for path in (known["ICON"], *known["SCREENSHOTS"]):
        assert (ROOT / path).read_bytes().startswith(b"\x89PNG"), path
    cmake = cmake_settings()
    assert cmake["HOMEPAGE"].startswith(known["HOME"]) and cmake["ICONURL"].startswith(known["RAW"])
    allowed = {"CMakeLists.txt", str(PUBLISH.relative_to(ROOT)), str(ENTRY.relative_to(ROOT))}
    for path in [*ROOT.glob("*.*"), *(ROOT / "Documentation").glob("*.md"), *(ROOT / "INRSuperResolution").rglob("*.py"),
                 *(ROOT / "INRSuperResolutionLib").rglob("*.py")]:  # fmt: skip
        if path.is_file() and str(path.relative_to(ROOT)) not in allowed and path.suffix != ".png":
            assert known["REPOSITORY"] not in path.read_text("utf-8"), (
                f"{path} names the address: take it from {PUBLISH}"
            )


def test_a_new_owner_reaches_every_address(tmp_path):
    """The script, on a copy, with the placeholder replaced."""
    for path in (PUBLISH, ENTRY, ROOT / "CMakeLists.txt"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text("utf-8").replace('OWNER = "_OWNER_"', 'OWNER = "someone"'), "utf-8")
    script = tmp_path / PUBLISH.relative_to(ROOT)
    assert subprocess.run([sys.executable, str(script)], capture_output=True, timeout=60).returncode == 1
    assert subprocess.run([sys.executable, str(script), "--write"], capture_output=True, timeout=60).returncode == 0
    for name in ("CMakeLists.txt", str(ENTRY.relative_to(ROOT))):
        text = (tmp_path / name).read_text("utf-8")
        assert "_OWNER_" not in text and "/someone/SlicerINRSuperResolution" in text


def test_the_icon_is_square_and_small():
    head = (ROOT / "INRSuperResolution" / "Resources" / "Icons" / "INRSuperResolution.png").read_bytes()[16:24]
    assert struct.unpack(">II", head) == (128, 128)


def test_the_repository_with_its_history_is_small():
    """The index refuses more than 100 MB; the last tenth is for what comes next."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
        if done.returncode:
            pytest.skip(f"no git repository: {done.stderr.strip()}")
        return done.stdout

    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("a shallow clone does not tell the size of the history")
    packed = dict(line.split(": ") for line in git("count-objects", "-v").splitlines())
    history = 1024 * (int(packed["size"]) + int(packed["size-pack"]))
    files = sum(int(line.split()[3]) for line in git("ls-tree", "-r", "-l", "HEAD").splitlines())
    assert (history + files) / 2**20 < 0.9 * RULES["largest_repository_mb"]


def test_the_workflow_calls_what_is_there():
    text = (ROOT / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    called = set(re.findall(r"\bmake (\w+)", text))
    assert {"lint", "test", "package"} <= called <= targets
    for action in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), "pinned by commit"
    assert "fetch-depth: 0" in text, "the test of the repository's size needs the history"


# ---- sample data ---------------------------------------------------------------------------------


def test_sample_data_are_registered_and_whole(slicer, monkeypatch, tmp_path):
    told = []
    logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **source: told.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    monkeypatch.setattr(slicer.app, "connect", lambda signal, slot: signal == "startupCompleted()" and slot())
    from INRSuperResolution import INRSuperResolution

    module = types.SimpleNamespace()
    INRSuperResolution(module)
    (source,) = told
    assert len({len(source[n]) for n in ("uris", "fileNames", "nodeNames", "checksums")}) == 1
    assert Path(source["thumbnailFileName"]).is_file()
    size = 0
    for uri, name, checksum in zip(source["uris"], source["fileNames"], source["checksums"]):
        path, _ = urllib.request.urlretrieve(uri, tmp_path / name)  # as Slicer gets it
        algorithm, _, digest = checksum.partition(":")
        assert hashlib.new(algorithm.lower(), Path(path).read_bytes()).hexdigest() == digest
        size += Path(path).stat().st_size
    assert size < 2**20
    for word in ("MR", "CT", "thick slices", "Sample Data"):
        assert word in module.helpText
    assert module.title == source["category"] == "Thick-Slice Super-Resolution"


def test_a_newer_slicer_gets_the_title_of_the_category(slicer, monkeypatch):
    titles, told = {}, []
    logic = types.SimpleNamespace(
        registerCustomSampleDataSource=lambda **source: told.append(source),
        registerCustomSampleDataCategory=titles.__setitem__,
    )
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    from INRSuperResolutionModule.scene.sampledata import registerSampleData

    registerSampleData()
    assert titles[told[0]["category"]] == "Thick-Slice Super-Resolution"


def test_the_samples_are_thick_scans_of_one_brain():
    from INRSuperResolutionLib import read

    folder = ROOT / "INRSuperResolution" / "Resources" / "SampleData"
    t1, flair = read(folder / "BrainT1_sagittal4mm.nrrd"), read(folder / "BrainFLAIR_axial4mm.nrrd")
    assert t1.spacing == pytest.approx((4, 1, 1)) and flair.spacing == pytest.approx((1, 1, 4))
    # they show the same region, in mm
    corners = [[(v.affine @ [*i, 1])[:3] for i in ((-0.5,) * 3, [n - 0.5 for n in v.shape])] for v in (t1, flair)]
    np.testing.assert_allclose(corners[0], corners[1])
