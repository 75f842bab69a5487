"""Decodes compressed pixels in a process of its own: GDCM's decoders hang on, or crash at, some damaged files.

Run as a script: reads paths of DICOM files from stdin, a line each, writes the values beside as ``.npy`` and answers
with a line: empty, or what went wrong.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

# for any file, and more for each million values
PATIENCE_SECONDS = 12.0
SECONDS_PER_MILLION = 1.0
# a process whose parent was killed ends itself after this
LONGEST_SECONDS = 300


class Decoder:
    """The process, started when it is first needed; ends with the context."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def decode(self, path: Path, count: int) -> Any:
        """The values of a file, of about `count` in number; raises ValueError if there are none to be had."""
        import numpy as np

        if self._process is None:
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            answer = self._answers.get(timeout=PATIENCE_SECONDS + SECONDS_PER_MILLION * count / 1e6)
        except (OSError, queue.Empty):
            answer = "the decoder does not come to an end"
        if answer:
            self.close()
            raise ValueError(answer)
        return np.load(path.with_suffix(".npy"), allow_pickle=False)

    def _start(self) -> None:
        answers: queue.Queue[str] = queue.Queue()
        self._answers = answers
        process = subprocess.Popen(
            [sys.executable, "-u", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

        def listen() -> None:
            for line in process.stdout or ():
                answers.put(line.strip())
            answers.put("the decoder ended")

        threading.Thread(target=listen, daemon=True).start()
        self._process = process


def main() -> None:
    """The process; see the module."""
    del sys.path[0]  # this folder, whose modules are not to be found as top-level ones
    import os

    import numpy as np
    import SimpleITK as sitk

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print
    for line in sys.stdin:
        path = Path(line.strip())
        if hasattr(signal, "alarm"):
            signal.alarm(LONGEST_SECONDS)
        try:
            image = sitk.ReadImage(str(path))
            told = "" if image.GetNumberOfComponentsPerPixel() == 1 else "they have several values each"
            if not told:
                np.save(path.with_suffix(".npy"), sitk.GetArrayFromImage(image))
        except Exception as error:
            told = ([part.strip() for part in str(error).splitlines() if part.strip()] or [type(error).__name__])[-1]
        answers.write(told + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
