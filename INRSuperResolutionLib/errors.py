"""The errors a user can meet, each with the exit code of the command line."""

from __future__ import annotations


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
