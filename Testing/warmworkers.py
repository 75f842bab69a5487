"""Worker processes that start at once, because they are forked from one that has loaded PyTorch.

Most tests of the module wait for a worker, and most of that time goes by while it imports what it needs. Here a server
has imported it before. Each job still gets a process of its own, with the real bootstrap, its own pipes, process id
and exit code; the project's own modules are imported anew. Tests of the start itself, of killing and of broken
installations use the real thing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HEAVY = ("torch", "torch._dynamo", "scipy.ndimage", "scipy.interpolate", "scipy.optimize", "skimage.filters",
         "skimage.measure", "nibabel", "SimpleITK", "safetensors.torch")  # fmt: skip
SECONDS_TO_START = 180.0


def client_for(address: str) -> str:
    """A program that stands in for the worker's bootstrap: its pipes and its end are those of a forked worker."""
    from INRSuperResolutionModule.runs.process import BOOTSTRAP

    folder = str(Path(__file__).resolve().parent)
    return f"import sys;sys.path.insert(0,{folder!r});import warmworkers;warmworkers.ask({address!r},{BOOTSTRAP!r})"


def ask(address: str, program: str) -> None:
    """Have the server run the program with this process's arguments, pipes and environment; end as it ends."""
    request = {"program": program, "arguments": sys.argv, "environment": dict(os.environ), "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(address)
        told = json.dumps(request).encode()
        # the length first: a stream has no borders
        socket.send_fds(link, [len(told).to_bytes(8, "big")], [0, 1, 2])
        link.sendall(told)
        # else they would stay open here when the worker has closed its own
        for n in (0, 1, 2):
            os.close(n)
        answer = link.recv(16)
    code = int(answer or b"1")
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


def serve(address: str) -> None:
    """Fork a worker for every request, until the pipe on stdin closes."""
    for name in HEAVY:
        __import__(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address + ".new")
    listener.listen()
    Path(address + ".new").rename(address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener.settimeout(0.5)
    starter = os.getppid()
    while os.getppid() == starter:
        try:
            link, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            keep(link)
        link.close()


def keep(link: socket.socket) -> None:
    """Fork the worker, and tell how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    link.settimeout(None)
    size, pipes, *_ = socket.recv_fds(link, 8, 3)
    length, told = int.from_bytes(size, "big"), b""
    while len(told) < length:
        told += link.recv(length - len(told))
    pid = os.fork()
    if pid == 0:
        link.close()
        work(json.loads(told), pipes)
    for pipe in pipes:
        os.close(pipe)
    _, status = os.waitpid(pid, 0)
    link.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def work(request: dict, pipes: list[int]) -> None:
    """Become the worker."""
    code = 1
    try:
        for n, pipe in enumerate(pipes):
            os.dup2(pipe, n)
            os.close(pipe)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.argv = request["arguments"]
        exec(request["program"], {"__name__": "__main__"})
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Server:
    """The process that forks; it ends when it is closed, or this process has ended."""

    def __init__(self) -> None:
        # the path of a socket may have no more than about 100 characters
        self._folder = tempfile.TemporaryDirectory(prefix="warm")
        self.address = str(Path(self._folder.name) / "s")
        environment = {**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        self._process = subprocess.Popen(
            [sys.executable, "-u", __file__, self.address], stdin=subprocess.DEVNULL, env=environment
        )

    def wait(self) -> None:
        """Until it can fork."""
        end = time.perf_counter() + SECONDS_TO_START
        while not Path(self.address).exists():
            if self._process.poll() is not None or time.perf_counter() > end:
                raise RuntimeError("the server of warm workers did not start")
            time.sleep(0.05)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


if __name__ == "__main__":
    serve(sys.argv[1])
