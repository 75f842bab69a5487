"""Qt's main loop as Slicer runs it: it holds Python's lock (the GIL) between callbacks.

PySide6 gives the lock away while the loop waits; PythonQt does not. So in Slicer a Python thread makes no progress
while nothing happens, and code that waits for one waits for ever. `ctypes.PyDLL` calls without giving the lock away.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import PySide6
import shiboken6
from PySide6 import QtCore

# QEventLoop::exec(QFlags<QEventLoop::ProcessEventsFlag>)
EXEC = "_ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE"


@functools.cache
def holding_exec() -> Callable[[int, int], int] | None:
    """`QEventLoop::exec`, called with the lock held; None where Qt's library or the name is another."""
    for path in sorted(Path(PySide6.__file__).parent.glob("Qt/lib/libQt6Core.so*")):
        try:
            function = getattr(ctypes.PyDLL(str(path)), EXEC)
        except (OSError, AttributeError):
            continue
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int
        return function  # type: ignore[no-any-return]
    return None


def run(loop: QtCore.QEventLoop) -> int:
    """Let a loop run until it is quit."""
    function = holding_exec()
    if function is None:
        return QtCore.QEventLoop.exec(loop)
    return function(shiboken6.getCppPointer(loop)[0], 0)
