"""What the processors of this machine can do."""

from __future__ import annotations

import multiprocessing
import os

from .errors import MissingError

DEVICES = ("auto", "cpu", "cuda", "mps")


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


def resolve_device(name: str) -> str:
    """The torch device that `name` (auto, cpu, cuda or mps) stands for.

    Raises
    ------
    MissingError
        If torch or the device is not there.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingError(f"PyTorch cannot be imported: {error}", "Install it: pip install torch") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise MissingError(f"device {name} is not available here", "Use --device cpu, or auto")
    return name


def fastest_device() -> str:
    """A graphics card if PyTorch works on one here, Apple's included, else the processor."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
