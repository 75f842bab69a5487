"""What a study has found: figures, a table, and CSV files."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from .plan import Study
from .statistics import mean_and_spread, mean_kappa, signed_rank


def figures_of(study: Study) -> dict[str, Any]:
    """The figures, JSON-ready: for each question the scores of each reader and of all, agreement; reading times."""
    by_question = {}
    for question in study.questions:
        scores = {r: _scores(study, r, question) for r in study.trials}
        pooled = [s for own in scores.values() for s in own.values()]
        kappa, of_two = mean_kappa(scores)
        by_question[question] = {
            "readers": {r: _summary(list(own.values())) for r, own in scores.items()},
            "pooled": _summary(pooled),
            "weighted_kappa": kappa,
            "weighted_kappa_of_two": of_two,
        }
    return {
        "name": study.name,
        "methods": list(study.methods),
        "pairs": len(study.pairs),
        "questions": by_question,
        "seconds_per_pair": {r: _times(study, r) for r in study.trials},
    }


def _scores(study: Study, reader: str, question: str) -> dict[int, int]:
    """The scores of a reader by number of the pair."""
    return {
        study.trials[reader][trial].pair: study.score(answer)
        for (trial, asked), answer in study.answered(reader).items()
        if asked == question
    }


def _summary(scores: list[int]) -> dict[str, Any] | None:
    if not scores:
        return None
    mean, spread = mean_and_spread(scores)
    return {"n": len(scores), "mean": mean, "sd": spread, "p": signed_rank(scores)}


def _times(study: Study, reader: str) -> dict[str, Any] | None:
    """Median, mean and sum of the seconds for a pair with all of its questions answered."""
    answers = study.answered(reader)
    trials = range(len(study.trials[reader]))
    whole = [
        sum(answers[t, q].seconds for q in study.questions)
        for t in trials
        if all((t, q) in answers for q in study.questions)
    ]
    if not whole:
        return None
    return {"n": len(whole), "median": float(np.median(whole)), "mean": float(np.mean(whole)), "sum": float(sum(whole))}


def table_of(study: Study) -> str:
    """The figures as text."""
    figures = figures_of(study)
    lines = [
        f"{study.name}: {study.methods[1]} compared with {study.methods[0]}, {len(study.pairs)} pairs",
        "-2 much worse, -1 slightly worse, 0 no different, 1 slightly better, 2 much better",
    ]
    for question, found in figures["questions"].items():
        for reader, own in (*found["readers"].items(), ("pooled", found["pooled"])):
            if own is not None:
                p = "all 0" if own["p"] is None else f"p = {own['p']:.3g}"
                lines.append(
                    f"{question:16} {reader:16} {own['mean']:+.2f} ± {own['sd']:.2f}  (n = {own['n']}, signed-rank {p})"
                )
        if found["weighted_kappa"] is not None:
            lines.append(f"{question:16} weighted kappa   {found['weighted_kappa']:+.2f}")
    for reader, own in figures["seconds_per_pair"].items():
        if own is not None:
            lines.append(f"{'seconds a pair':16} {reader:16} median {own['median']:.1f}, mean {own['mean']:.1f}")
    return "\n".join(lines)


ROWS = ("reader", "case", "question", "score", "key", "left", "right", "trial", "shown", "answered", "seconds")


def csv_of(study: Study) -> str:
    """Each answer that counts as a line of CSV, unblinded."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(ROWS)
    for reader, trials in study.trials.items():
        for (trial, question), a in sorted(study.answered(reader).items()):
            shown = trials[trial]
            left, right = study.methods[::-1] if shown.swapped else study.methods
            case = study.pairs[shown.pair].case
            writer.writerow(
                (reader, case, question, study.score(a), a.key, left, right, trial + 1, a.shown, a.answered, f"{a.seconds:.3f}")
            )  # fmt: skip
    return stream.getvalue()


def imrmc_of(study: Study, question: str) -> str:
    """The scores of one question in the columns of iMRMC (readerID, caseID, modalityID, score).

    The first method scores 0 in each pair, the second what it was compared to that. There is no disease in a comparison
    of images, so there are no lines of truth.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("readerID", "caseID", "modalityID", "score"))
    for reader in study.trials:
        for pair, score in sorted(_scores(study, reader, question).items()):
            for method, value in zip(study.methods, (0, score)):
                writer.writerow((reader, study.pairs[pair].case, method, value))
    return stream.getvalue()
