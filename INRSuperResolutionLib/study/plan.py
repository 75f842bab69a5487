"""What a reader study is: pairs of images, questions, the order in which each reader sees them, and the answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ..errors import InputError

SCHEMA = "inrsr-study/1"
QUESTIONS = ("noise", "sharpness")
# what the keys 1 to 5 say of a question
KEYS = (
    "left is much better",
    "left is slightly better",
    "no different",
    "right is slightly better",
    "right is much better",
)
MOST_CHARACTERS = 100
T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """Two images of one patient on one grid: by the first and by the second method."""

    case: str
    images: tuple[str, str]
    """Paths, relative to the file of the study, or absolute."""


@dataclass(frozen=True)
class Trial:
    """What a reader sees at once."""

    pair: int
    """Number of the pair, from 0."""
    swapped: bool
    """Whether the second method is on the left."""


@dataclass(frozen=True)
class Answer:
    """One key for one question; of several for the same the last one counts."""

    reader: str
    trial: int
    question: str
    key: int
    """1 to 5, see :data:`KEYS`."""
    shown: str
    """When the question was asked, ISO 8601 in UTC."""
    answered: str
    seconds: float
    """From when it was asked, without the time away from the study."""


@dataclass
class Study:
    """All of a study; JSON-ready by :meth:`to_dict`."""

    name: str
    methods: tuple[str, str]
    questions: tuple[str, ...]
    pairs: tuple[Pair, ...]
    seed: int = 0
    trials: dict[str, tuple[Trial, ...]] = field(default_factory=dict)
    """For each reader, in the order in which they are seen."""
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        for what, values in (("case", [p.case for p in self.pairs]), ("question", self.questions), ("method", self.methods)):  # fmt: skip
            for value in values:
                _check_name(value, what)
            if len(set(values)) != len(values):
                raise InputError(f"study: a {what} is there twice", "Give each its own name")
        if not self.pairs or not self.questions:
            raise InputError(f"study: {len(self.pairs)} pairs, {len(self.questions)} questions", "Give at least one")

    def add_reader(self, reader: str) -> None:
        """Draw the order and the sides for a reader who is new; each method is as often on the left as on the right."""
        _check_name(reader, "reader")
        if reader in self.trials:
            return
        # of the standard library: its numbers are the same in every version
        draw = random.Random(f"{self.seed} {reader}")
        count = len(self.pairs)
        order = draw.sample(range(count), count)
        extra = draw.random() < 0.5
        sides = [n < count // 2 + (count % 2 and extra) for n in range(count)]
        draw.shuffle(sides)
        self.trials[reader] = tuple(Trial(pair, side) for pair, side in zip(order, sides))

    def next_trial(self, reader: str) -> int | None:
        """The first trial with a question that the reader has not answered; None at the end."""
        done = self.answered(reader)
        open_trials = (t for t in range(len(self.trials[reader])) if any((t, q) not in done for q in self.questions))
        return next(open_trials, None)

    def answered(self, reader: str) -> dict[tuple[int, str], Answer]:
        """The answer of a reader that counts, by trial and question."""
        return {(a.trial, a.question): a for a in self.answers if a.reader == reader}

    def score(self, answer: Answer) -> int:
        """How the second method compares with the first: −2 much worse … 0 no different … 2 much better."""
        towards_right = answer.key - 3
        return -towards_right if self.trials[answer.reader][answer.trial].swapped else towards_right

    def images(self, reader: str, trial: int) -> tuple[str, str]:
        """The images of a trial as they are shown: left, right."""
        shown = self.trials[reader][trial]
        first, second = self.pairs[shown.pair].images
        return (second, first) if shown.swapped else (first, second)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Study:
        """The inverse of :meth:`to_dict`; raises InputError for what is no study."""
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            raise InputError(f"it is no study of the schema {SCHEMA}", "Make it with inrsr study new")
        try:
            study = cls(
                str(values["name"]),
                _two(values["methods"]),
                tuple(map(str, values["questions"])),
                tuple(Pair(str(p["case"]), _two(p["images"])) for p in values["pairs"]),
                int(values["seed"]),
                {str(r): tuple(_made(Trial, t) for t in trials) for r, trials in values["trials"].items()},
                [_made(Answer, a) for a in values["answers"]],
            )
            study.check()
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"its parts are damaged: {type(error).__name__}: {error}", "Get it again") from error
        return study

    def check(self) -> None:
        """Raise ValueError unless trials and answers fit the pairs and the questions."""
        for reader, trials in self.trials.items():
            if sorted(t.pair for t in trials) != list(range(len(self.pairs))):
                raise ValueError(f"the trials of {reader}")
        for a in self.answers:
            if not (0 <= a.trial < len(self.trials[a.reader]) and a.question in self.questions and 1 <= a.key <= 5):
                raise ValueError(f"the answer {a}")


def _made(kind: type[T], values: dict[str, Any]) -> T:
    """A dataclass of simple types from JSON; raises TypeError for values of other types."""
    made = kind(**values)
    for f in fields(made):  # type: ignore[arg-type]
        value = getattr(made, f.name)
        fits: dict[str, Any] = {"int": int, "bool": bool, "str": str, "float": (int, float)}
        if not isinstance(value, fits[str(f.type)]) or (f.type != "bool" and isinstance(value, bool)):
            raise TypeError(f"{f.name} = {str(value)[:40]!r}")
    return made


def _two(values: Sequence[str]) -> tuple[str, str]:
    first, second = map(str, values)
    return first, second


def _check_name(name: str, what: str) -> None:
    if not name.strip() or len(name) > MOST_CHARACTERS or not name.isprintable():
        raise InputError(f"study: {name[:40]!r} is no name of a {what}", f"Use 1 to {MOST_CHARACTERS} letters")
