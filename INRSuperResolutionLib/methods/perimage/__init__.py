"""Networks fitted to one image: SeCo-INR, and the INRs that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...image.volume import Volume
from ...representation import Representation
from ..base import FitContext
from .settings import (
    FieldSettings,
    FrSettings,
    GaussSettings,
    MfnSettings,
    ReluPeSettings,
    SecoSettings,
    SirenSettings,
    WireSettings,
)

# one step on all pixels, as the papers' own images are fitted
_WHOLE = {
    "epochs": 1000,
    "batch": 0,
    "volume_epochs": 100,
    "volume_steps": 10**9,
    "final_rate": 0.1,
    "mixed_precision": False,
    "memory": 0.999,
    "agree": False,
}
# section 3.3 of the paper: ReLU-PE, Gauss and MFN need twice the epochs to converge
_TWICE = {"epochs": 2000, "volume_epochs": 200}
# Section 3.3 tells five layers of 256, Adam, a falling rate, β = 1 and 1,000 epochs; not the rate, nor by how much it falls:
# both are INCODE's (9e-4 · 0.1^(t/T); Kazerouni et al. 2024), the network that it builds on. Five sine layers and a linear one
_SINE = {"hidden_layers": 4, "band": 0.0, "learning_rate": 9e-4}


def _schedules(fast: FieldSettings, **paper: Any) -> dict[str, Any]:
    """Presets that differ in their schedule; `paper` gives what else was published.

    The rates of ``fast`` were chosen on a slice (icbm152_t1, 92) that no table uses.
    """
    return {
        "fast": fast,
        "balanced": replace(
            fast,
            epochs=100,
            volume_epochs=24,
            volume_steps=48_000,
            learning_rate=fast.learning_rate * 2 / 3,
            final_rate=0.01,
        ),
        "paper": replace(fast, **{**_WHOLE, **paper}),
    }


SECO_PRESETS = _schedules(SecoSettings(), joint=True, conditions="distribution", conditioner_rate=9e-4, **_SINE)
BASELINE_PRESETS = {
    "siren": _schedules(SirenSettings(), **_SINE),
    "relu-pe": _schedules(ReluPeSettings(), learning_rate=1e-3, **_TWICE),
    "gauss": _schedules(GaussSettings(), learning_rate=1e-4, **_TWICE),
    "mfn": _schedules(MfnSettings(), learning_rate=1e-2, **_TWICE),
    "wire": _schedules(WireSettings(), learning_rate=5e-3, omega=20.0, scale=10.0),
    "fr": _schedules(FrSettings(), **_SINE),
}


def fit(volumes: Sequence[Volume], settings: FieldSettings, context: FitContext) -> Representation:
    """Fit the network that the settings describe to one volume."""
    from .fit import fit_field

    return fit_field(volumes, settings, context)
