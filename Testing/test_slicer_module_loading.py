"""How the module is loaded, and its self test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scenes import calmest, run_and_wait, small_volume

REPOSITORY = Path(__file__).resolve().parents[1]


def test_module_loads_without_heavy_imports():
    program = """
import sys
sys.path.insert(0, "Testing")
import SlicerHost, numpy, SimpleITK
from owntime import own_time
host = SlicerHost.start()
before = own_time()
host.load_module()
took = own_time() - before
print([m for m in ("torch", "scipy", "skimage", "nibabel", "safetensors") if m in sys.modules], took, flush=True)
"""
    environment = dict(os.environ, QT_QPA_PLATFORM="offscreen")

    def loading() -> float:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60
        )
        heavy, _, seconds = done.stdout.rpartition(" ")
        assert heavy.strip() == "[]", done.stdout + done.stderr
        return float(seconds)

    assert calmest(loading, 0.3) <= 0.3


@pytest.mark.parametrize("how", ["runTest", "collected"])
def test_self_test_of_the_module(slicer, capsys, how):
    """Both ways in which Slicer starts it, and each prints the marker that CMakeLists.txt asks for."""
    import unittest

    from INRSuperResolution import INRSuperResolutionTest

    INRSuperResolutionTest.passed.clear()
    collected = unittest.defaultTestLoader.loadTestsFromTestCase(INRSuperResolutionTest)
    assert {test._testMethodName for test in collected} == set(INRSuperResolutionTest.names)
    result = unittest.TestResult()
    (INRSuperResolutionTest("runTest") if how == "runTest" else collected).run(result)
    assert result.wasSuccessful(), result.errors + result.failures
    marker = "INRSuperResolution: self test passed"
    assert capsys.readouterr().out.count(marker) == 1
    assert marker in (REPOSITORY / "INRSuperResolution" / "CMakeLists.txt").read_text()


def test_reload_takes_every_part_anew(host, slicer, panel):
    """Slicer's own reload: all parts are read again, also those in folders, and the new panel works."""
    from INRSuperResolutionModule.scene import compare

    compare.TILES = 3  # stands for the code before an edit
    before = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "INRSuperResolutionModule"}
    assert "INRSuperResolutionModule.scene.compare" in before
    panel.onReload()
    fresh = slicer.modules.INRSuperResolutionWidget
    try:
        assert fresh is not panel
        for name, module in before.items():
            assert sys.modules[name] is not module, f"{name} is the old one"
        comparison = sys.modules[type(fresh.panel.result.comparison).__module__]
        assert comparison is sys.modules["INRSuperResolutionModule.scene.compare"] and comparison.TILES == 8
        small_volume(slicer)
        fresh.enter()
        fresh._parameterNode.method = "linear"
        run = run_and_wait(host, fresh)
        assert run.state.value == "done", run.asText()
        assert isinstance(run, sys.modules["INRSuperResolutionModule.runs.run"].Run)
        assert not panel.logic.queue.runs, "the old panel still listens"
    finally:
        fresh.cleanup()
