"""The errors a user can meet, each with the exit code of the command line."""

from __future__ import annotations

import errno

# what libraries say when memory has run out, in lower case: allocators of torch (Linux, Windows, MPS, cuDNN, cuBLAS),
# sizes that overflow, numpy, ITK, OpenBLAS, the loader of shared libraries, threads that get no stack
MEMORY_WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
    "failed to allocate",
    "unable to allocate",
    "memory allocation",
    "storage size calculation overflowed",
    "overflow when unpacking long",
    "maximum allowed dimension exceeded",
    "array is too big",
    "failed to map segment",
    "can't start new thread",
)
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
LESS_MEMORY = "Choose a coarser spacing, a smaller region or the preset fast, or use --device cpu"


class InrsrError(Exception):
    """An error that is told in one line: what was wrong, then what to do about it.

    Parameters
    ----------
    message
        What was wrong, with the offending value.
    advice
        The way out, as a sentence.
    """

    exit_code = 1
    code = "internal"

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(str(message).split())
        self.advice = " ".join(advice.split())

    def __str__(self) -> str:
        return f"{self.message}. {self.advice}" if self.advice else self.message


class InputError(InrsrError, ValueError):
    """Bad input, bad usage, or a place that cannot be written to."""

    exit_code = 2
    code = "input"


class Cancelled(InrsrError):
    """The user asked the run to stop."""

    exit_code = 3
    code = "cancelled"

    def __init__(self, message: str = "cancelled", advice: str = "") -> None:
        super().__init__(message, advice)


class OutOfMemory(InrsrError, MemoryError):
    """The run needs more memory than there is."""

    exit_code = 4
    code = "memory"


class MissingError(InrsrError):
    """Something optional is not there: weights, a package, a device."""

    exit_code = 5
    code = "missing"


def tells_of_memory(text: str) -> bool:
    """Whether a library's message says that memory has run out."""
    return any(word in text.lower() for word in MEMORY_WORDS)


def as_inrsr_error(error: BaseException) -> InrsrError:
    """Any exception as one with a message for the user."""
    if isinstance(error, InrsrError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Cancelled()
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return OutOfMemory(f"out of memory: {first}", LESS_MEMORY)
    if isinstance(error, (RuntimeError, ImportError, TypeError, ValueError)) and tells_of_memory(text):
        return OutOfMemory(f"out of memory: {first}", LESS_MEMORY)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return InputError(f"the disk is full: {error.filename or error}", "Free some space or choose another folder")
    return InrsrError(f"unexpected {type(error).__name__}: {first}", "Please report it, with the output of --debug")
