"""The worker as a process: events, cancel, death of the parent, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import leftovers, phantom

from INRSuperResolutionLib import Volume, read, write
from INRSuperResolutionLib.errors import Cancelled, InrsrError
from INRSuperResolutionLib.jobs.client import run_in_worker
from INRSuperResolutionLib.jobs.job import Job

WORKER = [sys.executable, "-u", "-m", "INRSuperResolutionLib.jobs.worker"]
CANCEL_SECONDS = 2.0  # the acceptance asks for it


@pytest.fixture
def long_job(tmp_path):
    """A fit that takes minutes, with an existing output that must survive."""
    write(phantom((30, 31, 8)), tmp_path / "a.nii.gz")
    write(phantom((30, 31, 8), seed=1), tmp_path / "b.nii.gz")
    (tmp_path / "out_a.nii.gz").write_bytes(b"old")
    job = Job(
        task="upscale",
        method="multicontrast",
        preset="paper",
        inputs=[str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")],
        outputs=[str(tmp_path / "out_a.nii.gz"), str(tmp_path / "out_b.nii.gz")],
        threads=1,
        run_id="testrun",
    )
    job.write(tmp_path / "job.json")
    return job


def start(folder, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [*WORKER, str(folder / "job.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **options,
    )


def wait_for_stage(process, stage) -> None:
    for line in process.stdout:
        event = json.loads(line)
        if event.get("stage") == stage and (stage != "fit" or event["fraction"] > 0):
            return
    raise AssertionError(f"the worker ended before the stage {stage}")


def assert_untouched(folder) -> None:
    assert (folder / "out_a.nii.gz").read_bytes() == b"old"
    assert not (folder / "out_b.nii.gz").exists()
    assert leftovers(folder) == []


@pytest.mark.parametrize("stage", ["read", "fit"])
@pytest.mark.parametrize("how", ["stdin", "SIGTERM", "closed stdin"])
def test_cancel_ends_within_two_seconds_and_leaves_nothing(tmp_path, long_job, stage, how):
    with start(tmp_path) as process:
        wait_for_stage(process, stage)
        asked = time.perf_counter()
        if how == "stdin":
            process.stdin.write("cancel\n")
            process.stdin.flush()
        elif how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:  # what a dead parent looks like
            process.stdin.close()
        events = [json.loads(line) for line in process.stdout]
        assert process.wait() == 3
        assert time.perf_counter() - asked < CANCEL_SECONDS
    assert events[-1]["event"] == "error"
    assert events[-1]["code"] == "cancelled"
    assert_untouched(tmp_path)


@pytest.mark.parametrize("stage", ["sample", "write"])
def test_cancel_while_sampling_and_writing(tmp_path, stage):
    """Inside long calls of numpy and zlib, which no flag reaches: the watchdog ends the process."""
    write(phantom((60, 60, 60)), tmp_path / "a.nii.gz")
    (tmp_path / "out_a.nii.gz").write_bytes(b"old")
    Job(
        task="upscale", method="cubic", inputs=[str(tmp_path / "a.nii.gz")], outputs=[str(tmp_path / "out_a.nii.gz")],
        scale=[7.0], run_id="late",
    ).write(tmp_path / "job.json")  # fmt: skip
    with start(tmp_path) as process:
        wait_for_stage(process, stage)
        asked = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait() == 3
        assert time.perf_counter() - asked < CANCEL_SECONDS
    assert_untouched(tmp_path)


def test_the_worker_dies_with_its_parent(tmp_path, long_job):
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen({[*WORKER, str(tmp_path / 'job.json')]!r}, stdin=subprocess.PIPE)\n"
        "print(p.pid, file=sys.stderr, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        worker = int(parent.stderr.readline())
        wait_for_stage(parent, "fit")
        parent.kill()
    deadline = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < deadline and is_running(worker):
        time.sleep(0.05)
    assert not is_running(worker)
    assert_untouched(tmp_path)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie (in a container nobody may be there to reap it)."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_killed_worker_is_reported_and_cleaned_up(tmp_path, long_job):
    def kill(event):
        if event.get("stage") == "fit":
            for child in Path("/proc/self/task").glob("*/children"):
                for pid in child.read_text().split():
                    os.kill(int(pid), signal.SIGKILL)

    with pytest.raises(InrsrError, match="killed by signal 9") as caught:
        run_in_worker(long_job, kill)
    assert caught.value.exit_code == 1
    assert_untouched(tmp_path)


def test_ctrl_c_of_the_client_cancels(tmp_path, long_job):
    def interrupt(event):
        if event.get("stage") == "fit":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Cancelled):
        run_in_worker(long_job, interrupt)
    assert_untouched(tmp_path)


def test_events_of_a_whole_run(tmp_path):
    write(phantom((12, 13, 5)), tmp_path / "a.nrrd")
    job = Job(
        task="upscale",
        method="linear",
        inputs=[str(tmp_path / "a.nrrd")],
        outputs=[str(tmp_path / "b.nrrd")],
        report=str(tmp_path / "r.json"),
        representation=str(tmp_path / "c.inr"),
    )
    events = []
    report = run_in_worker(job, events.append)
    stages = [e["stage"] for e in events if e["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == ["read", "fit", "sample", "write"]
    assert events[-1] == {"event": "result", "report": report}
    assert json.loads((tmp_path / "r.json").read_text()) == report
    asked = (
        "method preset version seed device threads parameters steps stopped_by seconds peak_memory_mb"
        " consistency_db weights inputs outputs"
    )
    assert set(asked.split()) <= set(report)
    assert set(report["seconds"]) >= {"read", "fit", "sample", "write", "total"}
    assert leftovers(tmp_path) == []


def test_previews_show_the_volume_as_it_forms(tmp_path, long_job):
    seen = []

    def look(event):
        if event["event"] == "preview":
            seen.append(read(event["path"]))
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "previews"
    folder.mkdir()
    with pytest.raises(Cancelled):
        run_in_worker(replace(long_job, preview_folder=str(folder)), look)
    assert np.ptp(seen[0].data) > 0


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    """A file size limit stands for the full disk: the write fails in the same way, in the middle."""
    rng = np.random.default_rng(0)
    write(Volume(rng.random((40, 40, 40)), np.eye(4)), tmp_path / "a.nii.gz")
    for name in ("b.nii.gz", "b.nrrd", "b.mha"):
        Job(
            task="upscale", method="linear", inputs=[str(tmp_path / "a.nii.gz")], outputs=[str(tmp_path / name)],
            scale=[2.0], run_id="full",
        ).write(tmp_path / "job.json")  # fmt: skip
        limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); import runpy, sys; sys.argv = ['w', {str(tmp_path / 'job.json')!r}]; runpy.run_module('INRSuperResolutionLib.jobs.worker', run_name='__main__')"
        done = subprocess.run([sys.executable, "-c", limit], capture_output=True, text=True, timeout=60)
        error = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode, error["code"]) == (2, "input"), done
        assert name in error["message"]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "job.json"]
