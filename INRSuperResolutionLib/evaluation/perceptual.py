"""LPIPS (Zhang et al. 2018): how far apart two images are to networks that were trained on photographs.

Needs the package ``lpips`` (the extra of that name) and the weights of a network of torchvision, which no package holds: files that lie in
torch's hub folder. Nothing is downloaded.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingError
from .planes import planes

# names of torchvision's files in torch's hub
FILES = {"alex": "alexnet-*.pth", "vgg": "vgg16-*.pth", "squeeze": "squeezenet1_1-*.pth"}
# slices that are compared by a benchmark
SLICES = 12


@functools.cache
def network(name: str) -> Any:
    """One of :data:`FILES` as a module of ``lpips``.

    Raises
    ------
    MissingError
        If the package or the weights are not there.
    """
    try:
        import lpips
        import torch
    except ImportError as error:
        raise MissingError("the package lpips is not installed", 'pip install "inr-super-resolution[lpips]"') from error
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    files = sorted(folder.glob(FILES[name]))
    if not files:
        raise MissingError(
            f"LPIPS with {name} needs weights, and there is no {FILES[name]} in {folder}",
            "Put torchvision's file there, or set TORCH_HOME to where it is",
        )
    weights = torch.load(files[-1], map_location="cpu", weights_only=True)
    # without pnet_rand the package would download the weights itself
    made = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    own = {key: weights[f"features.{key.split('.', 1)[1]}"] for key in made.net.state_dict()}
    made.net.load_state_dict(own)
    return made.eval()


def perceptual_distance(result: np.ndarray, truth: np.ndarray, axis: int) -> dict[str, float | None]:
    """Mean LPIPS over slices of images whose range is 1, by every network at hand; None under ``lpips`` where there is none."""
    chosen = (np.linspace(0.2, 0.8, SLICES) * (truth.shape[axis] - 1)).astype(int)
    a, b = (np.moveaxis(v, axis, 0)[chosen] for v in (result, truth))
    found: dict[str, float | None] = {}
    for name in FILES:
        try:
            found[f"lpips_{name}"] = _distance(name, a, b)
        except MissingError:
            continue
    return found or {"lpips": None}


def volume_distance(name: str, result: np.ndarray, reference: np.ndarray, mask: np.ndarray, axis: int) -> float:
    """Mean LPIPS over the slices across an axis, of images on one scale (:func:`planes.on_one_scale`)."""
    pairs = [(a, b) for a, b, _, _ in planes(result, reference, mask, axis)]
    return float(np.mean([_distance(name, a[None], b[None]) for a, b in pairs])) if pairs else float("nan")


def _distance(name: str, a: np.ndarray, b: np.ndarray) -> float:
    """Of slices (n, rows, columns) from 0 to 1."""
    made = network(name)
    import torch

    first, second = (
        (torch.from_numpy(np.clip(v, 0, 1).astype(np.float32)) * 2 - 1)[:, None].expand(-1, 3, -1, -1) for v in (a, b)
    )
    with torch.inference_mode():
        return float(made(first, second).mean())
