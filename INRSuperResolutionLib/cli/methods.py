"""``inrsr methods``: what there is."""

from __future__ import annotations

import argparse
import dataclasses
import json

from ..auto import AUTO
from ..methods import METHODS
from .arguments import Commands


def add(commands: Commands) -> None:
    """The command and its arguments."""
    parser = commands.add_parser("methods", help="list the methods")
    parser.add_argument("--json", action="store_true", help="with presets and settings, as JSON")
    parser.set_defaults(run=list_methods)


def list_methods(options: argparse.Namespace) -> None:
    """``inrsr methods``."""
    if options.json:
        entries = [
            {
                "name": name,
                "title": m.title,
                "when": m.when,
                "baseline": m.is_baseline,
                "min_inputs": m.min_inputs,
                "max_inputs": m.max_inputs,
                "presets": {preset: dataclasses.asdict(settings) for preset, settings in m.presets.items()},
            }
            for name, m in METHODS.items()
        ]
        print(json.dumps(entries, indent=1))
        return
    width = max(map(len, METHODS))
    print(
        f"{AUTO:{width}}  The one that suits the scans: chosen from how they lie, and from what each brings back of them."
    )
    for name, m in METHODS.items():
        print(f"{name:{width}}  {m.title}. {m.when}")
