"""LPIPS (Zhang et al. 2018), where the package ``lpips`` and the weights of its networks are at hand."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

# files of torch's hub that the package would otherwise download
FILES = {"alex": "alexnet-*.pth", "vgg": "vgg16-*.pth", "squeeze": "squeezenet1_1-*.pth"}
# slices that are compared
SLICES = 12


@functools.cache
def networks() -> dict[str, Any]:
    """The networks that can be had without a download, by name."""
    try:
        import lpips
        import torch
    except ImportError:
        return {}
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return {name: lpips.LPIPS(net=name, verbose=False) for name, file in FILES.items() if list(folder.glob(file))}


def perceptual_distance(result: np.ndarray, truth: np.ndarray, axis: int) -> dict[str, float | None]:
    """Mean LPIPS over slices of images whose range is 1; None under ``lpips`` where no network is at hand."""
    if not networks():
        return {"lpips": None}
    import torch

    chosen = (np.linspace(0.2, 0.8, SLICES) * (truth.shape[axis] - 1)).astype(int)
    pairs = [
        torch.from_numpy(np.clip(np.moveaxis(v, axis, 0)[chosen], 0, 1).astype(np.float32)) * 2 - 1
        for v in (result, truth)
    ]
    a, b = (v[:, None].expand(-1, 3, -1, -1) for v in pairs)
    with torch.inference_mode():
        return {f"lpips_{name}": float(network(a, b).mean()) for name, network in networks().items()}
