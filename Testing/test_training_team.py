"""A training by several processes (torchrun, gloo), and one whose volumes a manifest names."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
from tinynetworks import blobs

from INRSuperResolutionLib import InputError, write
from INRSuperResolutionLib.methods.pretrained.weights import FOLDER, shipped
from INRSuperResolutionLib.training.manifest import read_volumes

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("features=4", "blocks=1", "width=8", "crop=16", "highest_scale=2", "every=2", "mixed_precision=false")


def train(folder: Path, name: str, processes: int, batch: int, *more: str) -> list[float]:
    """The losses."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    changes = [part for change in (*SMALL, f"batch={batch}") for part in ("--set", change)]
    output = folder / f"{name}.safetensors"
    command = [*start, "INRSuperResolutionLib", "train", "nexpr", str(folder / "manifest.csv"), "--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--steps", "6", "--quiet", *changes, *more], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    with output.with_suffix(".csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture
def listed(tmp_path) -> Path:
    write(blobs(), tmp_path / "a.nii.gz")
    told = hashlib.sha256((tmp_path / "a.nii.gz").read_bytes()).hexdigest()
    (tmp_path / "manifest.csv").write_text(f"volume,sha256,source,use\na.nii.gz,{told},a test,\n")
    return tmp_path


@pytest.mark.alone  # two processes that wait for each other
def test_two_processes_learn_what_one_does_and_go_on_bit_for_bit(listed):
    one = train(listed, "one", 1, 4)
    two = train(listed, "two", 2, 2)
    assert len(one) == 3 and two == pytest.approx(one, rel=1e-4)
    whole = load_file(listed / "two.safetensors")
    # stopped after step 2 of 6, as a kill leaves it
    stop = "import sys; from INRSuperResolutionLib.training import loop; from INRSuperResolutionLib.cli import main\n"
    stop += "record = loop.Training._record\n"
    stop += "def leave(self, *a):\n    record(self, *a)\n    sys.exit(9)\n"
    stop += "loop.Training._record = leave\nmain(sys.argv[1:])\n"
    (listed / "stopped.py").write_text(stop)
    changes = [part for change in (*SMALL, "batch=2") for part in ("--set", change)]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", listed / "stopped.py",
         "train", "nexpr", listed / "manifest.csv", "--output", listed / "parts.safetensors", "--steps", "6", *changes],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True,
    )  # fmt: skip
    assert not (listed / "parts.safetensors").exists() and (listed / "parts.checkpoint").exists()
    train(listed, "parts", 2, 2, "--resume")
    parts = load_file(listed / "parts.safetensors")
    assert whole.keys() == parts.keys() and all(bool((whole[k] == parts[k]).all()) for k in whole)


def test_a_manifest_names_volumes_by_their_checksums(listed):
    volume, path = listed / "a.nii.gz", listed / "manifest.csv"
    assert read_volumes([str(path), "b.nii.gz"]) == ([str(volume), "b.nii.gz"], [])
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "validate\n")
    assert read_volumes([str(path)], listed) == ([str(volume)], [str(volume)])
    with pytest.raises(InputError, match="a test"):
        volume.write_bytes(volume.read_bytes() + b"\0")
        read_volumes([str(path)])
    with pytest.raises(InputError, match="--data"):
        read_volumes([str(path)], listed / "elsewhere")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no manifest"),
        ("volume,sha256\na,b\n", "no manifest"),
        ("volume,sha256,source,use\na,b,c,test\n", "'test'"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, text, told):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        read_volumes([str(tmp_path / "m.csv")])


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_weights_have_a_manifest_of_what_they_saw(name, data_folder):
    with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
        training = json.loads(file.metadata()["inrsr"])["training"]
    seen, looked_at = read_volumes([str(FOLDER / f"{name}.csv")], data_folder)
    assert sorted({Path(v).name for v in seen}) == sorted(set(training["volumes"]))
    assert sorted(Path(v).name for v in looked_at) == sorted(training.get("validation") or [])
    assert not [v for v in seen if Path(v).name.startswith(("ms19_", "clinical04_"))]
