"""The recipe for SLURM in the documentation, with dask-jobqueue's local stand-in for SLURM."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from phantoms import phantom
from test_batch import manifest, rows

import INRSuperResolutionLib as inrsr
from INRSuperResolutionLib.cohorts.case import DONE

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed (extra: slurm)")
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.alone  # it starts workers as jobs, which takes a while
def test_the_recipe_of_the_documentation(tmp_path):
    (recipe,) = re.findall(r"```python\n(.*?)```", (ROOT / "Documentation" / "cohorts.md").read_text("utf-8"), re.S)
    assert "SLURMCluster" in recipe and "64" in recipe and '"inrsr"' in recipe
    here = recipe.replace("from dask_jobqueue import SLURMCluster", "from dask_jobqueue.local import LocalCluster")
    here = here.replace("SLURMCluster", "LocalCluster").replace("64", "2")
    here = here.replace('"inrsr"', 'sys.executable, "-m", "INRSuperResolutionLib"')
    for n in range(3):
        inrsr.write(phantom((12, 11, 6), seed=n), tmp_path / f"scan{n}.nii.gz")
    manifest(tmp_path, "case,inputs,method\n" + "".join(f"c{n},scan{n}.nii.gz,linear\n" for n in range(3)))
    (tmp_path / "recipe.py").write_text(here)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "recipe.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in rows(tmp_path / "results").values()] == [DONE] * 3
