"""``--max-seconds`` bounds the whole run: it is refused, made shorter or ended, and an old result stays."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from phantoms import phantom

from INRSuperResolutionLib import METHODS, InputError, write
from INRSuperResolutionLib.image.grid import Grid
from INRSuperResolutionLib.jobs import worker
from INRSuperResolutionLib.jobs.estimate import Estimate, estimate
from INRSuperResolutionLib.jobs.job import Job
from INRSuperResolutionLib.jobs.time_limit import seconds_for_fit
from INRSuperResolutionLib.methods.plain.interpolation import SplineRepresentation
from INRSuperResolutionLib.progress import Progress


@pytest.fixture
def volume(tmp_path):
    write(phantom((16, 14, 5), np.diag([1, 1, 4, 1.0])), tmp_path / "a.nii")
    assert work(tmp_path / "a.nii")[0] == 0  # what is imported late is there, however busy the machine is
    (tmp_path / "o.nii").write_bytes(b"old")
    return tmp_path / "a.nii"


def work(volume, **changes) -> tuple[int, dict]:
    """Exit code and last event of a worker in this process."""
    job = Job("upscale", [str(volume)], [str(volume.with_name("o.nii"))], method="cubic")
    path = volume.with_name("job.json")
    path.write_text(json.dumps({**job.to_dict(), **changes}))
    events: list[dict] = []
    code = worker.work(str(path), events.append, worker.CancelSignal(), lambda: None)
    path.unlink()
    return code, events[-1]


def test_a_run_that_samples_too_long_ends_without_a_result(volume, monkeypatch):
    evaluate = SplineRepresentation.evaluate
    monkeypatch.setattr(SplineRepresentation, "tiles", lambda s, grid: grid.tiles(200))
    calls = []

    def slow(self, grid, channels):
        calls.append(time.sleep(0.6))
        return evaluate(self, grid, channels)

    monkeypatch.setattr(SplineRepresentation, "evaluate", slow)
    started = time.perf_counter()
    code, event = work(volume, max_seconds=2.0)
    assert (code, event["code"]) == (2, "input")
    assert "the time limit of 2 s" in event["message"] and event["advice"]
    assert 2 <= len(calls) <= 5 and time.perf_counter() - started < 10
    assert sorted(p.name for p in volume.parent.iterdir()) == ["a.nii", "o.nii"]
    assert volume.with_name("o.nii").read_bytes() == b"old"


def test_what_is_made_in_time_is_written(volume, monkeypatch):
    """Writing that has begun is not cut off."""
    from INRSuperResolutionLib.jobs import run

    monkeypatch.setattr(run, "write", lambda *a: (time.sleep(3.2), write(*a)))
    assert work(volume, max_seconds=3.0)[0] == 0
    assert volume.with_name("o.nii").read_bytes() != b"old"


def test_a_run_that_cannot_fit_the_time_is_refused_before_the_fit(volume, monkeypatch):
    from INRSuperResolutionLib.jobs import run

    monkeypatch.setattr(run, "fit", lambda *a, **k: pytest.fail("it was fitted"))
    monkeypatch.setattr(run, "estimate", lambda *_: Estimate(90, 0, {"fit": 60, "sample": 25, "write": 5}, 40))
    code, event = work(volume, max_seconds=30)
    assert code == 2 and "without any fit, the run takes about 70 s" in event["message"]


def test_the_fit_gets_what_the_rest_leaves():
    job = Job("upscale", ["a.nii"], ["o.nii"], method="cubic", max_seconds=100.0)
    told: list[dict] = []

    def left(**estimate) -> float:
        return seconds_for_fit(job, Estimate(None, 0, **estimate), time.perf_counter(), Progress(told.append))

    assert left(stages={"fit": 50, "sample": 20, "write": 10}) == pytest.approx(100 - 1.3 * 30, abs=0.1)
    assert left(stages={"fit": 50, "sample": 20, "write": 10}, fixed=10) == pytest.approx(100 - 1.3 * 40, abs=0.1)
    assert not told
    assert left(stages={"fit": 50, "sample": 90}) == 20 and "may end without a result" in told[0]["message"]
    with pytest.raises(InputError, match="too short"):
        left(stages={"fit": 50, "sample": 201})


def test_what_no_limit_makes_shorter_is_foreseen_for_every_method():
    thick, fine = Grid((256, 256, 40), np.diag([1, 1, 4, 1.0])), Grid((256, 256, 160), np.eye(4))
    for name, method in METHODS.items():
        inputs = [thick] * max(1, method.min_inputs)
        free = estimate(name, method.settings(), inputs, [fine] * len(inputs))
        if free.seconds is None:
            continue
        limited = estimate(name, method.settings(), inputs, [fine] * len(inputs), max_seconds=1.0)
        assert 0 <= free.fixed <= free.stages["fit"] + 1e-9, name
        members = 2 if name == "combined" else 1
        assert limited.stages["fit"] <= free.fixed + members * 1.0 + 1e-9, name
        assert limited.fixed == free.fixed and limited.stages["sample"] == free.stages["sample"], name
