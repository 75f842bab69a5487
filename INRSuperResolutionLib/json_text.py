"""JSON that every reader takes: the standard has no NaN and no infinity, and files hold no half characters."""

from __future__ import annotations

import json
import math
from typing import Any


def finite(value: Any) -> Any:
    """The value with None for every number that is NaN or infinite, in lists and dicts too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return value


def json_text(value: Any, indent: int | None = None) -> str:
    """As :func:`json.dumps`, with null for NaN and infinity."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def parse_json(text: str) -> Any:
    """As :func:`json.loads`, with ? for halves of characters (surrogates): they can be neither printed nor written."""
    whole = json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace")
    return json.loads(whole)
