"""Signals to a command, at any time: exit code 3, no traceback, old files whole, nothing left behind."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time

import pytest

COMMANDS = {
    "upscale": ("upscale", "linear"),
    "degrade": ("degrade", "--kind", "area", "--factor", "2"),
}


def unread(descriptor: int) -> int:
    """Bytes in a pipe that nobody has read yet."""
    held = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, held)
    return held[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_signals_end_a_command_with_3_and_leave_nothing(tmp_path, number, command):
    """While it works: it reads from a pipe into which nobody writes more."""
    fifo, output = tmp_path / "in.nii", tmp_path / "out" / "o.nii"
    os.mkfifo(fifo)
    for folder in ("out", "tmp"):
        (tmp_path / folder).mkdir()
    output.write_bytes(b"old")
    pipe = os.open(fifo, os.O_RDWR)
    os.write(pipe, b"x" * 100)
    with subprocess.Popen(
        [sys.executable, "-m", "INRSuperResolutionLib", *COMMANDS[command], str(fifo), "--output", str(output)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while unread(pipe) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        try:
            out, told = process.communicate(timeout=30)
        finally:
            process.kill()
            os.close(pipe)
    assert (process.returncode, out) == (3, ""), told
    assert told.strip().splitlines() == ["inrsr: cancelled"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["o.nii"]
    assert output.read_bytes() == b"old"
    assert list((tmp_path / "tmp").iterdir()) == []
