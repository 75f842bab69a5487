"""Printing the tables of a benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping

from ..errors import InputError
from ..json_text import json_text

Row = dict[str, float | str | None]


def print_tables(makers: Mapping[str, Callable[[], Iterable[Row]]], options: argparse.Namespace) -> None:
    """Print the tables of ``options.tables`` (None for all), row by row or as JSON.

    Raises
    ------
    InputError
        For a table that is not among `makers`.
    """
    wanted = options.tables or list(makers)
    unknown = [t for t in wanted if t not in makers]
    if unknown:
        raise InputError(f"table {unknown[0]!r} is not known", f"Give some of {', '.join(makers)}")
    tables: dict[str, list[Row]] = {}
    for name in wanted:
        tables[name] = []
        for row in makers[name]():
            tables[name].append(row)
            if not options.json:
                print(name, "  ".join(f"{k} {told(v)}" for k, v in row.items()), flush=True)
    if options.json:
        print(json_text(tables, indent=1))


def told(value: float | str | None) -> str:
    """A figure as text."""
    return "–" if value is None else value if isinstance(value, str) else f"{value:.4g}"
