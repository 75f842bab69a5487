"""How much is left of a run, and what it is expected to need before it starts."""

from __future__ import annotations

import numpy as np
import pytest

from INRSuperResolutionLib import METHODS, Grid, progress
from INRSuperResolutionLib.jobs.bar import Bar
from INRSuperResolutionLib.jobs.estimate import estimate
from INRSuperResolutionLib.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def run(monkeypatch):
    """Plays stages that last given seconds; returns the events with the seconds that were truly left."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)

    def play(stages: dict[str, float], expected: dict[str, float], steps: int = 50):
        events = []
        ends = clock.now + sum(stages.values())
        told = Progress(lambda e: events.append({**e, "truly_left": ends - clock.now}))
        told.expect(expected)
        for name, seconds in stages.items():
            told.stage(name)
            for n in range(steps):
                clock.now += seconds / steps
                told.update((n + 1) / steps)
        return [e for e in events if "seconds_left" in e]

    return play


@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
def test_a_long_sampling_after_a_short_fit_is_foreseen(run, slower):
    """As of CycleINR on a whole head; the machine may be slower than expected."""
    stages = {"read": 1.0, "fit": 40 * slower, "sample": 300 * slower, "write": 5.0}
    events = run(stages, {"fit": 40, "sample": 300, "write": 5})
    for e in events:
        if e["stage"] in ("fit", "sample") and e["fraction"] > 0.3:
            assert e["seconds_left"] == pytest.approx(e["truly_left"], rel=0.35, abs=25)


def test_the_bar_is_never_full_with_minutes_left(run):
    # nothing is known of the stages, and they are unlike the usual ones
    for stages in ({"fit": 10.0, "sample": 300.0, "write": 3.0}, {"fit": 400.0, "sample": 10.0, "write": 3.0}):
        done = 0.0
        for e in run(stages, {}):
            assert done <= e["of_run"] <= 0.99  # it only grows
            done = e["of_run"]
            if done > 0.97:
                assert e["seconds_left"] < 0.1 * sum(stages.values())


def test_the_end_of_sampling_is_near_the_end(run):
    events = run({"fit": 10.0, "sample": 300.0, "write": 3.0}, {"write": 3.0})
    last = [e for e in events if e["stage"] == "sample"][-1]
    assert last["fraction"] == 1
    assert last["seconds_left"] < 20


def test_the_bar_shows_the_whole_run_and_the_estimate(capsys, monkeypatch):
    bar = Bar()
    monkeypatch.setattr(bar, "SECONDS_BETWEEN_LINES", -1.0)
    bar({"event": "estimate", "seconds": 41.3, "memory_bytes": 1.2 * 2**30})
    bar({"event": "progress", "stage": "fit", "fraction": 1.0, "seconds_left": 300.0, "of_run": 0.1, "metrics": {}})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "inrsr: about 41 s, 1.2 GB"
    assert " 10%  5 min left" in lines[1]
    assert "100%" not in lines[1]


def test_more_work_is_expected_to_take_longer():
    head = Grid((180, 220, 40), np.diag([1, 1, 4, 1.0]))
    fine = head.isotropic()
    for name, method in METHODS.items():
        grids = [head] * max(1, method.min_inputs)
        found = estimate(name, method.settings(), grids, [fine] * len(grids), threads=1, foreground=0.3)
        assert found.seconds > sum(found.stages.values())
        finer = estimate(name, method.settings(), grids, [head.with_spacing(0.7)] * len(grids), threads=1)
        assert finer.memory_bytes > found.memory_bytes
        assert finer.stages["write"] > found.stages["write"]
        many = estimate(name, method.settings(), grids, [fine] * len(grids), on_gpu=True)
        assert not method.needs_torch or many.seconds < found.seconds
