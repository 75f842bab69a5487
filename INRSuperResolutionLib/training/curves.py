"""The log of a training as a table (CSV) and as a picture (PNG)."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import MissingError
from ..pictures import figure_of

COLUMNS = ("step", "seconds", "rate", "loss", "validation_loss", "validation_gain_db")


def write_curves(log: Sequence[dict[str, float]], output: Path) -> None:
    """Write ``.csv`` and, where matplotlib is installed, ``.png`` beside the weights file."""
    beside = output.with_suffix(".csv.tmp")
    with open(beside, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        table.writerows(log)
    os.replace(beside, output.with_suffix(".csv"))
    try:
        figure = figure_of(8, 3.5)
    except MissingError:
        return
    left, right = figure.subplots(1, 2)
    steps = [r["step"] for r in log]
    left.plot(steps, [r["loss"] for r in log], label="training")
    seen = [r for r in log if "validation_loss" in r]
    if seen:
        left.plot([r["step"] for r in seen], [r["validation_loss"] for r in seen], label="validation")
        right.plot([r["step"] for r in seen], [r["validation_gain_db"] for r in seen])
        left.legend()
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="step", ylabel="gain over the spline, validation (dB)")
    figure.savefig(output.with_suffix(".png"), dpi=100)
