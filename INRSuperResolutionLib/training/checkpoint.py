"""Checkpoints of a training: weights, optimiser and progress in one safetensors file, replaced atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import InputError

FORMAT = "inrsr-checkpoint/1"


def save_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write all that the next step depends on; a kill leaves the last checkpoint whole.

    Parameters
    ----------
    state
        JSON-ready: the step, the settings and the log so far.
    """
    from safetensors.torch import save_file

    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer.{number}.{name}"] = torch.as_tensor(value)
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, beside, {"format": FORMAT, "state": json.dumps(state)})
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}", "Check that the disk has room") from error
    finally:
        beside.unlink(missing_ok=True)


def load_checkpoint(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put network and optimiser back as they were; returns the saved state.

    Raises
    ------
    InputError
        If the file is damaged, or of another network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read the checkpoint {path}: {error}", "Train without --resume") from error
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of this version", "Train without --resume")
    weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{path} is the checkpoint of another network", "Give the same settings, or train without --resume"
        ) from error
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            moments.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return json.loads(metadata["state"])
