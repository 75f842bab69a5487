"""Trained weights: found by name among those that come with the library, or in a file.

A weights file is safetensors with a JSON header: the method, the architecture and how it was trained.
Those that come with the library lie in ``Resources/Weights``, each with a model card, and their
SHA-256 sums in ``checksums.json``. Pickled files (``.pth``, ``.pt``) are never opened: they can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MissingError
from ...image.intensity import is_ct
from ...image.volume import Volume
from ...json_text import parse_json
from ...representation import absurd_size

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

FORMAT = "inrsr-weights/1"
ENDING = ".safetensors"
AUTO = "auto"
# endings of the names of weights for CT, and beginnings of those for certain contrasts of MR
FOR_CT, FOR_MR = "-ct", "-mr-"
# what follows the method in the names of weights for slices that are averages, not point samples
FOR_AVERAGES = "-averaged"
# what follows the method in the names of weights of the preset paper
OF_PAPER = "-paper"
FOLDER = Path(__file__).parents[2] / "Resources" / "Weights"


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Parameters
    ----------
    name
        As asked for.
    sha256
        Of the whole file.
    method
        What it was trained for.
    architecture
        The fields of the method's architecture.
    training
        How it was trained, JSON-ready: volumes, settings, seed, steps, seconds.
    tensors
        float32.
    """

    name: str
    sha256: str
    method: str
    architecture: dict[str, Any]
    training: dict[str, Any]
    tensors: dict[str, Tensor]

    def described(self) -> dict[str, Any]:
        """All but the tensors, JSON-ready."""
        return {k: getattr(self, k) for k in ("name", "sha256", "method", "architecture", "training")}

    @classmethod
    def from_state(
        cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray], prefix: str = "network."
    ) -> Weights:
        """The inverse of :meth:`described`, with the tensors among `arrays` under `prefix` and their names."""
        import torch

        for name, kind in (("name", str), ("method", str), ("architecture", dict), ("training", dict)):
            if not isinstance(described.get(name), kind):
                raise InputError(f"the {name} of its weights is missing", "The file is damaged: make it again")
        tensors = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)}
        return cls(**described, tensors=tensors)


def shipped() -> dict[str, str]:
    """SHA-256 sums of the weights that come with the library, by name."""
    return dict(json.loads((FOLDER / "checksums.json").read_text("utf-8")))


def candidates(method: str, volumes: Sequence[Volume], averaged: bool = False) -> list[str]:
    """Names of the weights of `method` that come with the library and may suit the volumes, the most general first.

    If all volumes are CT, those made for CT; else those for any volume and those for certain contrasts of MR. Where
    slices are `averaged`, those made for that, if there are any.
    """
    known = shipped()
    begin = f"{method}{FOR_AVERAGES}" if averaged and f"{method}{FOR_AVERAGES}" in known else method
    for_ct = f"{begin}{FOR_CT}"
    if for_ct in known and all(is_ct(v.data) for v in volumes):
        return [for_ct]
    return [begin, *sorted(name for name in known if name.startswith(f"{begin}{FOR_MR}"))]


def fitting_weights(name: str, method: str, volumes: Sequence[Volume]) -> str:
    """For ``auto`` the most general of the :func:`candidates`; else `name` itself."""
    return candidates(method, volumes)[0] if name == AUTO else name


def load_weights(name: str, method: str | None) -> Weights:
    """Weights of `method` (None: of any), by name or from a file.

    Raises
    ------
    MissingError
        If there are none of that name, or the file is damaged, of another method, or no safetensors file.
    """
    sums = shipped()
    if name in sums:
        path, wanted = FOLDER / f"{name}{ENDING}", sums[name]
    else:
        path, wanted = Path(name), None
        if path.suffix != ENDING and not os.path.exists(path):  # noqa: PTH110 - False also for names that cannot be
            known = ", ".join(sums) or "none"
            advice = f"Known are: {known}. Others are made by inrsr train, and given as a {ENDING} file"
            if method is not None and name in (method, f"{method}{OF_PAPER}"):
                preset = " --preset paper" if name.endswith(OF_PAPER) else ""
                advice = (
                    f"None come with the library: inrsr train {method} VOLUME …{preset} --output FILE{ENDING} makes some,"
                    " and tells how long it will take; then give --weights FILE"
                )
            raise MissingError(f"there are no weights {name[:80]!r}", advice)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise MissingError(
            f"cannot read the weights {path}: {getattr(error, 'strerror', error)}", "Check the path"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if wanted is not None and found != wanted:
        raise MissingError(f"the weights {path} are damaged (wrong SHA-256)", "Install the extension again")
    # the length of a safetensors header may begin like a pickle: only the header itself tells them apart
    if content[8:9] != b"{" and (content[:2] == b"PK" or content[:1] == b"\x80"):
        raise MissingError(f"{path} is a pickled file, which could run code", f"Give a {ENDING} file")
    header, tensors = _parse(content, path)
    _check_header(header, tensors, path)
    if method is not None and header["method"] != method:
        raise MissingError(f"{path} holds weights of {header['method']}, not of {method}", "Give others")
    return Weights(name, found, header["method"], header["architecture"], header["training"], tensors)


def _parse(content: bytes, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        header = parse_json(json.loads(content[8 : 8 + length]).get("__metadata__", {}).get("inrsr", "{}"))
    except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise MissingError(f"{path} is damaged or no safetensors file", "Give another file") from error
    if not isinstance(header, dict):
        raise MissingError(f"{path} has no header of ours", "Give weights of ours")
    if header.get("format") != FORMAT:
        raise MissingError(f"{path} has the format {header.get('format')!r}, not {FORMAT!r}", "Give weights of ours")
    return header, {k: v.float() for k, v in tensors.items()}


def _check_header(header: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise MissingError unless the header names a method, an architecture of the tensors' size, and all are numbers."""
    for name, kind in (("method", str), ("architecture", dict), ("training", dict)):
        if not isinstance(header.get(name), kind):
            raise MissingError(f"{path} does not tell its {name}", "Give weights made by inrsr train")
    reason = absurd_size(header["architecture"], [tuple(t.shape) for t in tensors.values()])
    if reason:
        raise MissingError(f"{path} tells an architecture with {reason}, which its tensors do not have", "Give others")
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise MissingError(f"{path} holds values in {name} that are no numbers", "Train it again, or give others")


def save_weights(
    path: Path,
    method: str,
    architecture: Mapping[str, Any],
    training: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    half: bool = False,
) -> None:
    """Write a weights file, atomically; with `half`, as float16 (half the size)."""
    from safetensors.torch import save_file

    header = {"format": FORMAT, "method": method, "architecture": dict(architecture), "training": dict(training)}
    kept = {k: (v.half() if half else v).detach().cpu().contiguous() for k, v in tensors.items()}
    beside = path.with_name(f".inrsr-{os.getpid()}.tmp")
    try:
        save_file(kept, beside, {"inrsr": json.dumps(header)})
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}", "Check that the disk has room") from error
    finally:
        beside.unlink(missing_ok=True)
