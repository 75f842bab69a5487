"""Trained methods in miniature, for tests: a few steps on a phantom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from INRSuperResolutionLib import Volume, write
from INRSuperResolutionLib.methods.cycleinr.settings import VolumetricArchitecture
from INRSuperResolutionLib.methods.pretrained.networks import ARCHITECTURES, Architecture, architecture_of
from INRSuperResolutionLib.methods.pretrained.weights import save_weights
from INRSuperResolutionLib.training.blocks import BlockSettings
from INRSuperResolutionLib.training.data import DataSettings
from INRSuperResolutionLib.training.loop import Training
from INRSuperResolutionLib.training.settings import TrainingSettings

SMALL = {"features": 4, "blocks": 1}
QUICK = TrainingSettings(batch=2, warmup=1, every=4, validation_examples=2, mixed_precision=False)
DATA = DataSettings(crop=16, highest_scale=2.0)
BLOCKS = BlockSettings(crop=16, slices=8, highest_scale=3.0, targets=3, averaged=0.3)
# methods that restore slices in their plane, and those that make slices between slices
VOLUMETRIC = [m for m, a in ARCHITECTURES.items() if isinstance(a["fast"], VolumetricArchitecture)]
SLICEWISE = [m for m in ARCHITECTURES if m not in VOLUMETRIC]
TRAINED = list(ARCHITECTURES)


def small(method: str, **changes) -> Architecture:
    """The method's architecture with a tiny network."""
    sizes = {} if method == "edsr" else {"width": 8}
    if method in VOLUMETRIC:
        sizes.update(convolutions=2, latent=6)
    if method == "cycleinr":
        sizes.update(wide=4, wide_blocks=1, averages=True)
    return architecture_of(method, {**SMALL, **sizes, **changes})


def blobs(shape=(40, 44, 6), seed=0) -> Volume:
    """Bright ellipses of any size on dark ground: edges to restore, and no symmetry."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
    data = np.zeros(shape)
    for _ in range(30):
        centre = rng.random(3) * shape
        radius = rng.uniform(2, 8, 3)
        inside = (((index - centre.reshape(3, 1, 1, 1)) / radius.reshape(3, 1, 1, 1)) ** 2).sum(0) < 1
        data[inside] += rng.uniform(20, 100)
    return Volume(data, np.diag([1, 1, 4, 1.0]), name="blobs")


def training(
    method: str, folder: Path, name="w.safetensors", *, architecture=None, settings=QUICK, **options
) -> Training:
    """A short training on blobs, not yet run."""
    volume = folder / "blobs.nii.gz"
    if not volume.exists():
        write(blobs(), volume)
    options = {"steps": 6, **options}
    data = BLOCKS if method in VOLUMETRIC else DATA
    return Training(
        method, architecture or small(method), [str(volume)], folder / name, settings=settings, data=data, **options
    )


def random_weights(method: str, path: Path, seed=0, size=0.3, **changes) -> Path:
    """A weights file of an untrained network whose output is not small (or nothing, for a size of 0)."""
    from INRSuperResolutionLib.methods.pretrained.networks import make_network

    torch.manual_seed(seed)
    architecture = small(method, **changes)
    network = make_network(architecture)
    with torch.no_grad():
        for parameter in network.last.parameters():
            parameter.normal_(0, size)
    fields = {k: getattr(architecture, k) for k in architecture.__dataclass_fields__}
    save_weights(path, method, fields, {}, network.state_dict())
    return path
