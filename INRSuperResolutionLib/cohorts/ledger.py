"""What became of the cases, on disk: the memory of a coordinator does not grow with a cohort."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType

from .case import DONE, Outcome

# failed cases that are named in the end
MOST_NAMED = 1000


class Ledger:
    """Outcomes, written as they come and read in any order. A ``with`` block removes the file.

    Only the place of each in the file is kept in memory, about 100 bytes.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the ledger
        self._places: dict[str, int] = {}
        self.failed: list[str] = []
        """The first failed cases."""
        self.codes: Counter[int] = Counter()
        """How many cases ended with which exit code."""
        self.states: Counter[str] = Counter()
        """How many are in which state."""
        self.first_bad: Outcome | None = None

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, outcome: Outcome) -> None:
        """Take note of a case."""
        self._places[outcome.case] = self._file.seek(0, 2)
        self._file.write(json.dumps(outcome.to_dict()).encode() + b"\n")
        self.codes[outcome.exit_code] += 1
        self.states[outcome.state] += 1
        if outcome.state != DONE:
            self.first_bad = self.first_bad or outcome
            if len(self.failed) < MOST_NAMED:
                self.failed.append(outcome.case)

    def read(self, names: Iterable[str]) -> Iterator[Outcome]:
        """The outcomes of these cases, in this order; of those that have one."""
        for name in names:
            if name in self._places:
                self._file.seek(self._places[name])
                yield Outcome(**json.loads(self._file.readline()))
