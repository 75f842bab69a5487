"""Signals, closed streams and kills, at any time: the right exit code, no traceback, old files whole, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from phantoms import leftovers, phantom

from INRSuperResolutionLib import read, write
from INRSuperResolutionLib.jobs import scratch
from INRSuperResolutionLib.jobs.client import run_in_worker
from INRSuperResolutionLib.jobs.job import Job

COMMAND = [sys.executable, "-m", "INRSuperResolutionLib"]
# a command that says when it works, and works for long
SLOW_DEGRADE = """
import sys, time
from INRSuperResolutionLib.image import files
def slow(*_):
    print("working", flush=True)
    time.sleep(60)
files.write = slow
from INRSuperResolutionLib.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path):
    """An input, an old output, and an empty folder for temporary files."""
    write(phantom((12, 11, 8), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out" / "o.nii").write_bytes(b"old")
    return tmp_path


def start(folder, *arguments, program=(), **options) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", *program] if program else COMMAND
    return subprocess.Popen(
        [*words, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(folder / "tmp")}, **options,
    )  # fmt: skip


def fit_for_long(folder) -> list[object]:
    return [
        "upscale", "siren", folder / "a.nii", "--output", folder / "out" / "o.nii", "--set", "volume_epochs=100000",
        "--set", "volume_steps=10000000", "--progress", "json",
    ]  # fmt: skip


def ours(folder) -> list[str]:
    """What is ours in a folder for temporary files; torch keeps a cache there, too."""
    return [p.name for p in folder.iterdir() if p.name.startswith(scratch.PREFIX)]


def assert_untouched(folder) -> None:
    assert [p.name for p in (folder / "out").iterdir()] == ["o.nii"]
    assert (folder / "out" / "o.nii").read_bytes() == b"old"
    assert ours(folder / "tmp") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["upscale", "degrade"])
def test_signals_end_a_command_with_3_and_leave_nothing(folder, number, command):
    if command == "upscale":
        process, word = start(folder, *fit_for_long(folder)), '"stage": "fit"'
    else:
        arguments = ("degrade", folder / "a.nii", "--output", folder / "out" / "o.nii", "--kind", "area", "--factor", 2)
        process, word = start(folder, *arguments, program=[SLOW_DEGRADE]), "working"
    with process:
        assert any(word in line for line in process.stdout)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    assert told.strip().splitlines() == ["inrsr: cancelled"]
    assert_untouched(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_during_the_imports(folder, number):
    """From the first line of ours on: the handlers come before the imports that take long."""
    program = f"""
import os, sys
class Finder:  # the first import of the commands
    def find_spec(self, name, path=None, target=None):
        if name.endswith("cli.arguments") or name == "numpy":
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Finder())
from INRSuperResolutionLib.cli import main
sys.exit(main(["methods"]))
"""
    with start(folder, program=[program]) as process:
        out, told = process.communicate(timeout=60)
    assert (process.returncode, out, told) == (3, "", "inrsr: cancelled\n")


def test_a_killed_command_leaves_nothing_for_longer_than_the_next_run(folder):
    with start(folder, *fit_for_long(folder)) as process:
        assert any('"stage": "fit"' in line for line in process.stdout)
        process.kill()
    deadline = time.monotonic() + 30
    while leftovers(folder / "out") and time.monotonic() < deadline:  # the worker sees that it is alone
        time.sleep(0.1)
    assert [p.name for p in (folder / "out").iterdir()] == ["o.nii"]
    assert len(ours(folder / "tmp")) > 0
    job = ("upscale", "nearest", folder / "a.nii", "--output", folder / "out" / "o.nii", "--progress", "none")
    with start(folder, *job) as process:
        assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0
    assert ours(folder / "tmp") == []
    assert read(folder / "out" / "o.nii").shape == (12, 11, 8)


def test_a_sweep_takes_what_the_dead_have_left_and_nothing_else(tmp_path):
    program = f"""
import os
from pathlib import Path
from INRSuperResolutionLib.jobs import scratch
made = scratch.make_scratch(Path({str(tmp_path)!r}), ".inrsr-")
(made[0] / "half a file").write_text("x")
print(made[0].name, flush=True)
os.kill(os.getpid(), 9)
"""
    dead = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip()
    alive, held = scratch.make_scratch(tmp_path, ".inrsr-")
    (tmp_path / ".inrsr-of the user").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / scratch.OWNER).write_text("")
    (tmp_path / ".inrsr-link").symlink_to(tmp_path / "target")
    assert (tmp_path / dead).is_dir()
    scratch.sweep(tmp_path, ".inrsr-")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [alive.name, ".inrsr-of the user", ".inrsr-link", "target"]
    )
    assert (tmp_path / "target" / scratch.OWNER).exists()
    scratch.drop_scratch(alive, held)
    assert not alive.exists()


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&-", "0<&- 1>&- 2>&-", "1>/dev/full"])
def test_closed_and_full_streams(folder, closed):
    words = " ".join(f"'{w}'" for w in [*COMMAND, "upscale", "nearest", str(folder / "a.nii"), "--output"])
    done = subprocess.run(
        f"{words} '{folder / 'out' / 'o.nii'}' {closed}", shell=True, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    np.testing.assert_array_equal(read(folder / "out" / "o.nii").data, read(folder / "a.nii").data)
    assert leftovers(folder / "out") == []


@pytest.mark.parametrize(("arguments", "code"), [("methods", 2), ("methods --json", 2)])
def test_what_cannot_be_told_is_no_success(arguments, code):
    command = f"{sys.executable} -m INRSuperResolutionLib {arguments} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_reader_that_goes_does_not_end_the_run(folder):
    command = " ".join(
        [*COMMAND, "upscale", "nearest", str(folder / "a.nii"), "--output", str(folder / "out" / "o.nii")]
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} --progress json | head -c 1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert read(folder / "out" / "o.nii").shape == (12, 11, 8)


def test_a_worker_without_memory_to_start_is_told(folder, monkeypatch):
    from INRSuperResolutionLib.errors import OutOfMemory
    from INRSuperResolutionLib.jobs import client

    job = Job(task="upscale", method="nearest", inputs=[str(folder / "a.nii")], outputs=[str(folder / "out" / "o.nii")])
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (60 << 20, 60 << 20)); import runpy; "
    limited += "sys.argv = sys.argv[1:]; x = b'x' * (50 << 20); runpy.run_module(sys.argv[0], run_name='__main__')"
    monkeypatch.setattr(client, "WORKER", (sys.executable, "-c", limited, "INRSuperResolutionLib.jobs.worker"))
    with pytest.raises(OutOfMemory, match="out of memory"):
        run_in_worker(job, lambda event: None)

    def cannot_fork(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(client.subprocess, "Popen", cannot_fork)
    with pytest.raises(OutOfMemory):
        run_in_worker(job, lambda event: None)
    assert (folder / "out" / "o.nii").read_bytes() == b"old"
    assert [p.name for p in Path(folder / "out").iterdir()] == ["o.nii"]


@pytest.mark.alone
def test_signals_at_random_times():
    """A few of Testing/signals_at_random.py, which sends as many as one wants."""
    script = Path(__file__).with_name("signals_at_random.py")
    done = subprocess.run([sys.executable, str(script), "--count", "6"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL: -9" in done.stdout
