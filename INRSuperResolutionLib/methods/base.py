"""What a method is, and what it is given."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import InputError
from ..image.grid import Grid
from ..image.volume import Volume
from ..progress import SILENT, Progress

if TYPE_CHECKING:  # a panel lists the methods before scipy and safetensors are installed
    from ..acquisition.forward_model import SliceProfile
    from ..image.labels import Prior
    from ..representation import Representation
    from .pretrained.weights import Weights

Settings = TypeVar("Settings")

# what the generators of numpy and torch both take
LARGEST_SEED = 2**32
# the range of settings by their name, in whatever method; others need only be finite
_SIZE, _COUNT, _LONG, _RATE = (1, 16384), (0, 256), (1, 10**9), (1e-9, 10.0)
LIMITS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("width", "head_width", "class_width", "conditioner_width", "features", "latent", "frequencies", "phases"),
        _SIZE,
    ),
    **dict.fromkeys(("hidden_layers", "class_layers", "depth", "hidden", "convolutions", "wide_blocks"), _COUNT),
    **dict.fromkeys(("layers", "shared_layers", "products", "patch", "factor"), (1, 256)),
    "blocks": (0, 256),
    "steps": (0, 1e9),
    **dict.fromkeys(("epochs", "volume_epochs", "volume_steps", "class_epochs"), _LONG),
    **dict.fromkeys(("halve_every", "fine_crop"), (0, 10**9)),
    **dict.fromkeys(("ramps", "whole"), (0.0, 1.0)),
    **dict.fromkeys(("jitter", "largest_gradient"), (0.0, 1e6)),
    **dict.fromkeys(("warmup", "checks_per_epoch"), _LONG),
    **dict.fromkeys(("learning_rate", "conditioner_rate", "volume_rate"), _RATE),
    "final_rate": (1e-9, 1.0),
    "memory": (0.0, 0.999999),
    "crop": (8, 1 << 20),
    "mirrored": (1, 8),
    "heads": (1, 256),
    "window": (2, 64),
    **dict.fromkeys(("reach", "steps_per_slice"), (1, 256)),
    **dict.fromkeys(("stack_ends", "guide_ends", "doubt"), (0.0, 1.0)),
    "background_share": (0.0, 1.0),
    "batch": (0, 10**9),
    "volume_batch": (0, 10**9),
    "wide": (0, 16384),
    **dict.fromkeys(("penalty", "beta"), (0.0, 1e6)),
    **dict.fromkeys(("omega", "class_omega", "sigma", "scale", "input_scale"), (1e-6, 1e6)),
    "band": (0.0, 1e3),
    "train_seconds": (0.0, 1e7),
}


class Learner(Protocol):
    """Lets trained weights go on learning on the volumes themselves: what their sharp planes show is the truth.

    A fit is given it, because training stands above the methods.
    """

    def __call__(
        self, method: str, volumes: Sequence[Volume], start: str, seconds: float, axis: int | None, context: FitContext
    ) -> Weights:
        """The weights `start` of `method` after `seconds` more; `axis` is that across the slices, None for the coarsest.

        Raises
        ------
        InputError
            If there is no sharp plane to learn from.
        """


@dataclass(frozen=True)
class FitContext:
    """What a fit is given besides the volumes and the method's settings."""

    profiles: Sequence[SliceProfile]
    """For each volume, how its slices average the field."""
    mask: Volume | None = None
    """Fit only where this is above 0; None for the foreground."""
    labels: Prior | None = None
    """Classes of the voxels of the (first) volume; None lets a method that needs them find some."""
    finest: float | None = None
    """The finest spacing (mm) of the results, if it is known already."""
    grids: Sequence[Grid] | None = None
    """Where each result will be sampled, if that is known already."""
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``mps``; there."""
    seed: int = 0
    max_seconds: float | None = None
    progress: Progress = field(default=SILENT)
    left_out: Sequence[int] = ()
    """Slices (of the even scan) that a fit to one scan must not learn from: it will be judged by them."""
    learn: Learner | None = None
    """How weights go on learning on the volumes; needed for the weights ``self`` only."""


@dataclass(frozen=True)
class Method:
    """One entry of :data:`methods.METHODS`."""

    title: str
    when: str
    """One line: when to use it."""
    fit: Callable[[Sequence[Volume], Any, FitContext], Representation]
    presets: Mapping[str, Any]
    """Settings (a frozen dataclass) by name; the first is the default."""
    min_inputs: int = 1
    max_inputs: int | None = 1
    """None for any number."""
    is_baseline: bool = False
    needs_torch: bool = True
    takes_mask: bool = False
    """Whether a mask can tell it which voxels to fit."""
    takes_labels: bool = False
    """Whether a segmentation guides it."""
    in_plane: bool = False
    """Whether it restores also the plane of the slices, whose pixels are then means over their area."""

    def settings(self, preset: str = "", changes: Mapping[str, Any] | None = None) -> Any:
        """The settings of a preset, with some changed.

        Parameters
        ----------
        preset
            A key of `presets`; empty for the first.
        changes
            By name; texts are read as the setting's type.

        Raises
        ------
        InputError
            For a preset, name or value that is not valid.
        """
        if preset and preset not in self.presets:
            raise InputError(
                f"preset {preset!r} is not known to {self.title}", f"Give one of {', '.join(self.presets)}"
            )
        chosen = self.presets[preset or next(iter(self.presets))]
        return changed(chosen, changes or {}, self.title)

    def check_inputs(self, count: int) -> None:
        """Raise InputError unless the method works on `count` volumes."""
        if count < self.min_inputs:
            raise InputError(f"{self.title} needs at least {self.min_inputs} inputs, got {count}", "Name more volumes")
        if self.max_inputs is not None and count > self.max_inputs:
            raise InputError(f"{self.title} works on {self.max_inputs} input, got {count}", "Run it for each volume")


def changed(settings: Settings, changes: Mapping[str, Any], title: str) -> Settings:
    """A frozen dataclass with some values changed; texts are read as the setting's type.

    Raises
    ------
    InputError
        For a name that `title` does not know, or a value of the wrong type.
    """
    hints = typing.get_type_hints(type(settings))
    values = {}
    for name, value in changes.items():
        if name not in hints:
            known = ", ".join(hints) or "none"
            raise InputError(f"setting {name[:60]!r} is not known to {title}", f"Its settings are: {known}")
        values[name] = _as_type(value, hints[name], name)
        _check_range(name, values[name])
        if name == "batch" and values[name] == 0 and "volume_batch" not in hints:
            raise InputError(f"setting batch = 0 is out of range for {title}", "Give 1 or more")
    return dataclasses.replace(settings, **values)  # type: ignore[type-var]


def _check_range(name: str, value: Any) -> None:
    if isinstance(value, (bool, str)):
        return
    low, high = LIMITS.get(name, (-1e12, 1e12))
    if not low <= value <= high:  # NaN is in no range
        raise InputError(f"setting {name} = {value:g} is out of range", f"Give {low:g} to {high:g}")


def _as_type(value: Any, hint: Any, name: str) -> Any:
    try:
        if hint is bool:
            truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            return truth[str(value).lower()]
        if hint is int and float(value) != int(float(value)):
            raise ValueError
        if hint is str and not isinstance(value, str):
            raise ValueError
        return int(float(value)) if hint is int else hint(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
        raise InputError(f"setting {name} = {shown} is not of type {hint.__name__}", "Correct the value") from error
