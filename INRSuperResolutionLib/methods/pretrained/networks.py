"""The networks that are trained ahead: their architectures by method, and how one is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base import changed
from ..coordinate.settings import (
    LIIF_ARCHITECTURE,
    PAPER_ENCODER,
    PAPER_LIIF,
    PAPER_LTE,
    PAPER_SRGAN,
    PAPER_SRNO,
    PAPER_SWIN,
    PAPER_UPSAMPLER,
    CoordinateArchitecture,
    LteArchitecture,
    SrganArchitecture,
    SrnoArchitecture,
    SwinArchitecture,
    UpsamplerArchitecture,
)
from ..cycleinr.settings import (
    ARSSR_ARCHITECTURE,
    EXPLICIT_ARCHITECTURE,
    LARGE_EXPLICIT,
    PAPER_ARSSR,
    PAPER_CYCLEINR,
    PAPER_SAINT,
    SAINT_ARCHITECTURE,
    VolumetricArchitecture,
)
from ..nexpr.settings import PAPER_ARCHITECTURE, NExpRArchitecture

if TYPE_CHECKING:
    from ..cycleinr.blocks import BlockNetwork
    from ..cycleinr.network import VolumetricNetwork
    from .encoder import SliceNetwork

Architecture = (
    NExpRArchitecture
    | CoordinateArchitecture
    | LteArchitecture
    | UpsamplerArchitecture
    | SrganArchitecture
    | SrnoArchitecture
    | SwinArchitecture
    | VolumetricArchitecture
)

ARCHITECTURES: dict[str, dict[str, Architecture]] = {
    "nexpr": {"fast": NExpRArchitecture(), "paper": PAPER_ARCHITECTURE},
    "coordinate": {"fast": CoordinateArchitecture(), "paper": PAPER_ENCODER},
    "liif": {"fast": LIIF_ARCHITECTURE, "paper": PAPER_LIIF},
    "edsr": {"fast": UpsamplerArchitecture(), "paper": PAPER_UPSAMPLER},
    "cycleinr": {"fast": VolumetricArchitecture(), "paper": PAPER_CYCLEINR},
    "arssr": {"fast": ARSSR_ARCHITECTURE, "paper": PAPER_ARSSR},
}
# systems of the papers' tables; no weights come with the library
COMPARED: dict[str, dict[str, Architecture]] = {
    "srgan": {"fast": SrganArchitecture(), "paper": PAPER_SRGAN},
    "lte": {"fast": LteArchitecture(), "paper": PAPER_LTE},
    "srno": {"fast": SrnoArchitecture(), "paper": PAPER_SRNO},
    "swinir": {"fast": SwinArchitecture(), "paper": PAPER_SWIN},
    "saint": {"fast": SAINT_ARCHITECTURE, "paper": PAPER_SAINT},
    "nexpr3d": {"fast": EXPLICIT_ARCHITECTURE, "paper": LARGE_EXPLICIT},
}
TRAINABLE = {**ARCHITECTURES, **COMPARED}


def architecture_of(method: str, values: Mapping[str, Any]) -> Architecture:
    """The architecture of `method` with all its `values`; raises InputError for unknown names and wrong types."""
    return changed(next(iter(TRAINABLE[method].values())), values, method)


def make_network(architecture: Architecture) -> SliceNetwork | VolumetricNetwork | BlockNetwork:
    """An untrained network."""
    if isinstance(architecture, VolumetricArchitecture):
        if architecture.design == "paper":
            from ..cycleinr.paper import PaperVolumetricNetwork

            return PaperVolumetricNetwork(architecture)
        if architecture.design == "saint":
            from ..cycleinr.saint import SaintNetwork

            return SaintNetwork(architecture)
        if architecture.design == "explicit":
            from ..cycleinr.explicit import ExplicitVolumetricNetwork

            return ExplicitVolumetricNetwork(architecture)
        from ..cycleinr.network import VolumetricNetwork

        return VolumetricNetwork(architecture)
    if isinstance(architecture, NExpRArchitecture):
        from ..nexpr.network import NExpRNetwork

        return NExpRNetwork(architecture)
    if isinstance(architecture, LteArchitecture):
        from ..coordinate.lte import LteNetwork

        return LteNetwork(architecture)
    if isinstance(architecture, SrganArchitecture):
        from ..coordinate.srgan import SrganNetwork

        return SrganNetwork(architecture)
    if isinstance(architecture, SrnoArchitecture):
        from ..coordinate.srno import SrnoNetwork

        return SrnoNetwork(architecture)
    if isinstance(architecture, SwinArchitecture):
        from ..coordinate.swinir import SwinNetwork

        return SwinNetwork(architecture)
    from ..coordinate.network import CoordinateNetwork, UpsamplerNetwork

    if isinstance(architecture, CoordinateArchitecture):
        return CoordinateNetwork(architecture)
    return UpsamplerNetwork(architecture)
