"""What the processors of this machine can do."""

from __future__ import annotations

import multiprocessing
import os


def has_bfloat16(device: str) -> bool:
    """Whether products and convolutions in bfloat16 are fast on a torch device (``cpu``, ``cuda`` or ``mps``)."""
    import torch

    if device == "cpu":
        supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
        return bool(supported and torch.backends.mkldnn.is_available() and supported())
    return device == "cuda" and torch.cuda.is_bf16_supported()


def can_fork() -> bool:
    """Whether processes can start as copies of this one, with all that it holds."""
    return "fork" in multiprocessing.get_all_start_methods()


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
