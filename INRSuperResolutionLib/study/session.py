"""A reader at work: which question is next, and answers saved at once. The same for a panel and for a prompt."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

from ..errors import InputError
from .plan import Answer, Study
from .store import change_study


class Session:
    """One reader's way through a study; it goes on where it was left.

    Parameters
    ----------
    path
        The file of the study.
    """

    def __init__(self, path: str | Path, reader: str) -> None:
        self.path, self.reader = Path(path), reader
        self.study: Study = change_study(path, lambda study: study.add_reader(reader))
        self.trial: int | None = None
        self._asked = 0
        self._to(0)
        self._look_again()

    @property
    def folder(self) -> Path:
        """What the paths of the images are relative to."""
        return self.path.absolute().parent

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return len(self.study.pairs)

    @property
    def question(self) -> str | None:
        """The question that is open; None at the end."""
        return None if self.trial is None else self.study.questions[self._asked]

    def answer(self, key: int) -> None:
        """Answer the open question by a key from 1 to 5, and save that; raises InputError for another key."""
        if self.trial is None or self.question is None:
            raise InputError("the study is at its end", "There is nothing to answer")
        if key not in range(1, 6):
            raise InputError(f"{key} is no answer", "Give 1 to 5")
        seconds = round(time.perf_counter() - self._since, 3)
        told = Answer(self.reader, self.trial, self.question, key, self._shown, _now(), seconds)
        self.study = change_study(self.path, lambda study: study.answers.append(told))
        if self._asked + 1 < len(self.study.questions):
            self._asked += 1
        else:
            self._to(self.trial + 1)
        self._look_again()

    def back(self) -> None:
        """Return to the question before this one, to answer it anew."""
        if self._asked > 0:
            self._asked -= 1
        elif self.trial is None or self.trial > 0:
            self.trial = self.count - 1 if self.trial is None else self.trial - 1
            self._asked = len(self.study.questions) - 1
        self._look_again()

    def pause(self) -> None:
        """The images are (again) before the reader from now on: the time before does not count."""
        self._look_again()

    def _to(self, trial: int) -> None:
        """The first open question of this trial, or else of the next open one."""
        done = self.study.answered(self.reader)
        asked = self.study.questions
        is_open = trial < self.count and any((trial, q) not in done for q in asked)
        self.trial = trial if is_open else self.study.next_trial(self.reader)
        self._asked = next((n for n, q in enumerate(asked) if (self.trial, q) not in done), 0)

    def _look_again(self) -> None:
        self._since, self._shown = time.perf_counter(), _now()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
